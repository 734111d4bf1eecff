//! What a command says to whoever is there. Nobody may be: a run goes on when the pipe that it prints into closes.

use std::io::{self, Write};

/// A line on standard error.
pub(crate) fn say(text: &str) {
    drop(writeln!(io::stderr(), "{text}"));
}

/// A line on standard output.
pub(crate) fn show(text: &str) {
    drop(writeln!(io::stdout(), "{text}"));
}
