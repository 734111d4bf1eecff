//! What a command says to whoever is there. Nobody may be: a run goes on when the pipe that it prints into closes.

use std::{
    borrow::Cow,
    io::{self, Write},
};

/// A line on standard error.
pub(crate) fn say(text: &str) {
    drop(writeln!(io::stderr(), "{text}"));
}

/// A line on standard output.
pub(crate) fn show(text: &str) {
    drop(writeln!(io::stdout(), "{text}"));
}

/// Text that a terminal shows and does not obey: control characters but tabs and ends of lines are spelled out.
pub(crate) fn tame(text: &str) -> Cow<'_, str> {
    let obeys = |it: char| it.is_control() && !matches!(it, '\n' | '\t');
    if !text.contains(obeys) {
        return Cow::Borrowed(text);
    }
    let mut tamed = String::with_capacity(text.len());
    for letter in text.chars() {
        if obeys(letter) { tamed.extend(letter.escape_unicode()) } else { tamed.push(letter) }
    }
    Cow::Owned(tamed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_told_nothing_by_text() {
        assert_eq!(tame("\tä\n"), "\tä\n");
        assert_eq!(tame("\x1b]0;x\x07\u{9b}2J\r"), "\\u{1b}]0;x\\u{7}\\u{9b}2J\\u{d}");
    }
}
