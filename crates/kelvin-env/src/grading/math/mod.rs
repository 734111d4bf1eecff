//! Whether two short mathematical answers, in LaTeX or plain, say the same.

use super::{canonical_answer, last_boxed};

/// What a comparison comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The answer says what the gold answer says.
    Equal,
    /// It says something else.
    Different,
    /// It is empty, or no mathematics where the gold answer is some.
    Unparsable,
}

/// What counts as the same where people disagree. The default is what `docs/grading.md` defends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Options {
    /// Whether a list without brackets, or a set, has an order.
    pub lists: Order,
}

/// Whether the order of a list counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Order {
    /// `1, 2` is `2, 1`.
    #[default]
    Free,
    /// `1, 2` is not `2, 1`, as in the graders of MATH.
    Kept,
}

/// Compares an answer with the gold answer. Of a text with boxes the last box counts. Takes any text, in bounded work.
pub fn equal(gold: &str, answer: &str, _options: &Options) -> Verdict {
    let committed = |text| last_boxed(text).unwrap_or(text).trim().to_owned();
    let (gold, answer) = (canonical_answer(&committed(gold)), canonical_answer(&committed(answer)));
    match answer.is_empty() {
        true => Verdict::Unparsable,
        false if gold == answer => Verdict::Equal,
        false => Verdict::Different,
    }
}
