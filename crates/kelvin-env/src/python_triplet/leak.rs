//! Whether a message gives the program away that the solver is to find.

use std::collections::HashSet;

/// Whether `message` and `program` share a run of `n_tokens` words, numbers or signs. Zero turns the check off.
pub(super) fn shares_tokens(message: &str, program: &str, n_tokens: usize) -> bool {
    if n_tokens == 0 {
        return false;
    }
    let (message, program) = (tokens(message), tokens(program));
    let runs: HashSet<&[&str]> = program.windows(n_tokens).collect();
    message.windows(n_tokens).any(|run| runs.contains(run))
}

/// Words with their digits and underscores, and every other visible character by itself.
fn tokens(text: &str) -> Vec<&str> {
    let in_word = |it: char| it.is_alphanumeric() || it == '_';
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match in_word(first) {
            true => rest.find(|it| !in_word(it)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        found.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_line_leaks_and_a_description_does_not() {
        let program = "def f(a, b):\n    return [x + b for x in a if x % 2 == 0]";
        assert_eq!(tokens("x_1 %=\n 2"), ["x_1", "%", "=", "2"]);
        assert!(shares_tokens("try [x+b for x in a if x%2==0], it works", program, 12));
        assert!(!shares_tokens("add b to the even elements of a", program, 3));
        assert!(!shares_tokens("try [x+b for x in a if x%2==0], it works", program, 0));
        assert!(!shares_tokens("", program, 1));
    }
}
