//! Answers that are compared as text or numbers, without running anything. Two questions are asked of a mathematical
//! answer, and each has its own reader: whether it says what the gold answer says ([`math`]), and by which text it votes
//! ([`canonical_answer`]).

mod boxed;
mod canonical;
pub mod choice;
pub mod code;
pub mod extract;
pub mod math;
mod number;
pub mod paper;

#[cfg(test)]
mod tests;

use kelvin_core::task::{Grade, Miss};

pub use boxed::last_boxed;
pub use canonical::canonical_answer;

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

/// Grades a short mathematical answer: right if [`math::equal`] says so under its default rules.
pub fn grade_math(gold: &str, answer: &str) -> Grade {
    match math::equal(gold, answer, &math::Options::default()) {
        math::Verdict::Equal => Grade::correct(),
        math::Verdict::Different => Grade::missed(Miss::Wrong),
        math::Verdict::Unparsable => Grade::missed(Miss::Unparsable),
    }
}
