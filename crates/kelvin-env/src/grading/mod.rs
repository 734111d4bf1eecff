//! Answers that are compared as text or numbers, without running anything.

mod boxed;
mod number;

use kelvin_core::task::{Grade, Miss};

pub use boxed::last_boxed;
pub use number::Number;

/// Grades the name of an exception, or `NoError`: the first word of the answer, cut at a colon, in any case.
pub fn grade_error(gold: &str, answer: &str) -> Grade {
    let named = answer.split_whitespace().next().and_then(|word| word.split(':').next()).unwrap_or_default();
    if named.is_empty() {
        Grade::missed(Miss::Unparsable)
    } else if named.to_lowercase() == gold.trim().to_lowercase() {
        Grade::correct()
    } else {
        Grade::missed(Miss::Wrong)
    }
}

/// Grades a short mathematical answer: equal as exact rationals where both are numbers, else equal as text
/// without blanks and dollar signs. Of a text with boxes the last box counts.
pub fn grade_math(gold: &str, answer: &str) -> Grade {
    let (gold, answer) = (committed(gold), committed(answer));
    if answer.is_empty() {
        return Grade::missed(Miss::Unparsable);
    }
    let equal = match (Number::parse(gold), Number::parse(answer)) {
        (Some(gold), Some(answer)) => gold == answer,
        (Some(_), None) => return Grade::missed(Miss::Unparsable),
        (None, Some(_)) => false,
        (None, None) => bare(gold) == bare(answer),
    };
    if equal { Grade::correct() } else { Grade::missed(Miss::Wrong) }
}

fn committed(text: &str) -> &str {
    last_boxed(text).unwrap_or(text).trim()
}

fn bare(text: &str) -> String {
    text.chars().filter(|&it| !it.is_whitespace() && it != '$').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_compared_by_name() {
        assert!(grade_error("ZeroDivisionError", "zerodivisionerror: division by zero").correct);
        assert!(grade_error("NoError", " NoError\n").correct);
        assert!(
            grade_error("Größe", "GRÖSSE").miss == Some(Miss::Wrong) && grade_error("Öl", "öL: x").correct
        );
        assert_eq!(grade_error("NoError", "ValueError").miss, Some(Miss::Wrong));
        assert_eq!(grade_error("NoError", "  ").miss, Some(Miss::Unparsable));
    }

    #[test]
    fn numbers_are_compared_exactly() {
        for (gold, answer) in [
            ("0.5", "\\frac{1}{2}"),
            ("1/2", "$.50$"),
            ("1234", "\\boxed{1,234}"),
            ("-3", "so x is \\boxed{4}, no, \\boxed{-3.0}"),
            ("1e3", "1000"),
            ("7", "\\(+7.\\)"),
            ("x+1", "$x + 1$"),
            ("100000000000000000000000000000001", "100000000000000000000000000000001.0"),
        ] {
            assert!(grade_math(gold, answer).correct, "{gold} {answer}");
        }
        for (gold, answer, miss) in [
            ("0.3", "0.30000000000000004", Miss::Wrong),
            ("12", "1,2", Miss::Unparsable),
            ("5", "", Miss::Unparsable),
            ("5", "five", Miss::Unparsable),
            ("1/3", "0.333", Miss::Wrong),
            ("100000000000000000000000000000001", "100000000000000000000000000000000", Miss::Wrong),
            ("0", "1/0", Miss::Unparsable),
        ] {
            let grade = grade_math(gold, answer);
            assert_eq!((grade.correct, grade.miss), (false, Some(miss)), "{gold} {answer}");
        }
    }
}
