//! Whether two short mathematical answers, in LaTeX or plain, say the same (docs/grading.md).
//!
//! Both are read (`latex.rs`, `answer.rs`, `parse.rs`) into a tree (`tree.rs`) and compared by what they are
//! (`compare.rs`): lists without order, tuples in order, sets of numbers by what they hold (`region.rs`), formulas by their
//! values at fixed points (`sample.rs`), exactly where arithmetic allows it. What cannot be told is not equal.

mod answer;
mod approx;
mod commands;
mod compare;
mod evaluate;
mod latex;
mod matrix;
mod names;
mod numerals;
mod parse;
mod plus_minus;
mod region;
mod roots;
mod sample;
mod spelling;
mod thousands;
mod tree;
mod units;
mod value;

#[cfg(test)]
mod tests;

use self::{compare::Comparison, evaluate::Budget, latex::Commas, tree::Answer};
use super::last_boxed;

/// The most nodes of formulas that one comparison may evaluate, copy or compare.
const NODES_MAX: u32 = 50_000;

/// What a comparison comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The answer says what the gold answer says.
    Equal,
    /// It says something else, or it cannot be told within the bounds.
    Different,
    /// It is empty, or words where the gold answer is mathematics.
    Unparsable,
}

/// What counts as the same where people disagree. The default is what `docs/grading.md` defends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether a list without brackets has an order.
    pub lists: Order,
    /// Whether brackets are part of an answer.
    pub brackets: Brackets,
    /// What a percent sign means.
    pub percent: Percent,
    /// A decimal with at least so many digits behind its point is equal to an exact value that rounds to it; without a
    /// number, decimals stand only for themselves.
    pub rounded_decimals: Option<u32>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            lists: Order::Free,
            brackets: Brackets::Matter,
            percent: Percent::Dropped,
            rounded_decimals: Some(6),
        }
    }
}

/// Whether the order of a list counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// `1, 2` is `2, 1`.
    Free,
    /// `1, 2` is not `2, 1`, as in the graders of MATH.
    Kept,
}

/// Whether `(1, 2)`, `[1, 2]`, `\{1, 2\}` and `1, 2` differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brackets {
    /// They differ.
    Matter,
    /// They are the same, in the same order.
    Ignored,
}

/// What `28\%` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Percent {
    /// 28, as in all public test suites.
    Dropped,
    /// 28, or 0.28.
    AlsoShare,
}

/// Compares an answer with the gold answer. Of a text with boxes the last box counts. Takes any text, in bounded work.
pub fn equal(gold: &str, answer: &str, options: &Options) -> Verdict {
    let (gold, answer) = (committed(gold), committed(answer));
    if answer.is_empty() {
        return Verdict::Unparsable;
    }
    if signs(gold) == signs(answer) {
        return Verdict::Equal;
    }
    let (golds, answers) = (readings(gold), readings(answer));
    let is_equal = golds.iter().any(|gold| {
        answers.iter().any(|answer| {
            let mut comparison = Comparison { options, budget: Budget(NODES_MAX) };
            comparison.same(gold, answer)
        })
    });
    match (is_equal, &golds[0], &answers[0]) {
        (true, _, _) => Verdict::Equal,
        (false, Answer::Text(..), _) => Verdict::Different,
        (false, _, Answer::Text(..)) => Verdict::Unparsable,
        (false, _, _) => Verdict::Different,
    }
}

fn committed(text: &str) -> &str {
    last_boxed(text).unwrap_or(text).trim()
}

/// What an answer may be: where its commas can separate thousands or the members of a list, both.
fn readings(text: &str) -> Vec<Answer> {
    let read = |commas| plus_minus::expanded(answer::read(text, commas));
    let mut readings = vec![read(Commas::Thousands)];
    if text.contains(',') {
        let list = read(Commas::List);
        if list != readings[0] {
            readings.push(list);
        }
    }
    readings
}

/// The text of an answer's signs, which is the same for different layouts; of one that is too long its words.
fn signs(text: &str) -> String {
    let tokens = if answer::is_short(text) { latex::tokens(text, Commas::List) } else { None };
    match tokens {
        Some(tokens) if !tokens.is_empty() => tokens
            .iter()
            .flat_map(|it| [if it.kind == latex::Kind::Text { "\"" } else { "\u{1}" }, &it.text])
            .collect(),
        Some(_) | None => text.split_whitespace().collect(),
    }
}
