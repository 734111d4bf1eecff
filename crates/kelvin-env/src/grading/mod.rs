//! Answers that are compared as text or numbers, without running anything.

mod answer;
mod boxed;
mod expression;
mod formula;
mod number;
mod token;

#[cfg(test)]
mod tests;

use kelvin_core::task::{Grade, Miss};

pub use answer::canonical_answer;
pub use boxed::last_boxed;

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

/// Grades a short mathematical answer: right if its canonical form is that of `gold`, see [`canonical_answer`]. Of a text
/// with boxes the last box counts.
pub fn grade_math(gold: &str, answer: &str) -> Grade {
    let (gold, answer) = (committed(gold), committed(answer));
    let canonical = canonical_answer(answer);
    if canonical.is_empty() || (answer::number(gold).is_some() && answer::number(answer).is_none()) {
        return Grade::missed(Miss::Unparsable);
    }
    if canonical == canonical_answer(gold) { Grade::correct() } else { Grade::missed(Miss::Wrong) }
}

fn committed(text: &str) -> &str {
    last_boxed(text).unwrap_or(text).trim()
}
