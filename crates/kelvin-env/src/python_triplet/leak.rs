//! Whether a message gives the program away that the solver is to find.

use std::collections::HashSet;

/// The shortest run that is more than words which any hint may share with a program.
const RUN_MIN: usize = 6;

/// Whether `message` and `program` share a run of `n_tokens` words, numbers or signs, or the message holds the whole body of
/// a program with fewer, from six on. Zero turns the check off.
pub(super) fn shares_tokens(message: &str, program: &str, n_tokens: usize) -> bool {
    if n_tokens == 0 {
        return false;
    }
    let body = tokens(program.split_once('\n').map_or(program, |(_, body)| body));
    let (told, n_run) = match (RUN_MIN..n_tokens).contains(&body.len()) {
        true => (&body, body.len()),
        false => (&tokens(program), n_tokens),
    };
    let runs: HashSet<&[&str]> = told.windows(n_run).collect();
    tokens(message).windows(n_run).any(|run| runs.contains(run))
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

    #[test]
    fn a_program_shorter_than_the_run_leaks_as_a_whole() {
        let program = "def f(x):\n    return x[::-1]";
        assert!(shares_tokens("it does `return x[::-1]`", program, 16));
        assert!(shares_tokens("f = lambda x: x[::-1]", program, 5), "a limit below the least run holds");
        assert!(!shares_tokens("it does x[::-1] in the end", program, 16), "not the whole body");
        assert!(!shares_tokens("return x", "def f(x):\n    return x", 16), "any hint may say as much");
        let identity = "def f(items: list):\n    return items";
        assert!(!shares_tokens("pass it to f(items: list)", identity, 16), "the head says nothing");
        let one_line = "def f(a, b): return a + b";
        assert!(shares_tokens("say def f(a, b): return a + b", one_line, 16));
    }
}
