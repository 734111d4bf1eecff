//! How complex a program is, by published measures: cognitive complexity over the file, cyclomatic complexity of its blocks,
//! Halstead's counts (azr.md section 4.3), and what follows from the last two for how well it is maintained.
//!
//! The numbers are those of the packages that the Absolute Zero Reasoner calls: complexipy 1.2.0 for the first,
//! radon 6.0.1 for the others. What these leave out or count twice is left out and counted twice here.

mod cognitive;
mod cyclomatic;
mod halstead;

pub use halstead::Halstead;

use super::{Lines, Refusal};
use crate::syntax;

/// Where each part of the Halstead term saturates, and what it weighs (azr.md section 4.3, `halstead_reward`).
const MAX_EFFORT: f64 = 10_000.0;
const MAX_CYCLOMATIC: f64 = 10.0;
const MAX_VOLUME: f64 = 500.0;
const EFFORT_WEIGHT: f64 = 0.5;
const CYCLOMATIC_WEIGHT: f64 = 0.3;
const VOLUME_WEIGHT: f64 = 0.2;

/// The cognitive complexity that counts as 1 (azr.md section 4.3, `complexity_reward`).
const COGNITIVE_UNIT: f64 = 15.0;

/// What the measures say about one program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Complexity {
    /// Cognitive complexity, summed over the statements of the file, its functions and the methods of its classes.
    ///
    /// complexipy subtracts in unsigned integers and can fall below zero (an `else` far inside that holds little
    /// but `x = a or b`); where it then reports a number near 2^64, this is 0.
    pub cognitive: u32,
    /// The largest cyclomatic complexity of the top-level functions, of the top-level classes and of their
    /// methods; 0 where there are none.
    pub cyclomatic_max: u32,
    /// The cyclomatic complexity of the file as a whole.
    pub cyclomatic_total: u32,
    /// Halstead's counts over the whole file.
    pub halstead: Halstead,
}

impl Complexity {
    /// The value of AZR's `complexity_reward`: cognitive complexity over 15, without an upper bound.
    pub fn cognitive_score(&self) -> f64 {
        f64::from(self.cognitive) / COGNITIVE_UNIT
    }

    /// The value of AZR's `halstead_reward`, from 0 to 1 in steps of 0.001:
    /// `0.5·min(effort/10000, 1) + 0.3·min(max cyclomatic/10, 1) + 0.2·min(volume/500, 1)`.
    pub fn halstead_score(&self) -> f64 {
        let effort = (self.halstead.effort() / MAX_EFFORT).min(1.0);
        let cyclomatic = (f64::from(self.cyclomatic_max) / MAX_CYCLOMATIC).min(1.0);
        let volume = (self.halstead.volume() / MAX_VOLUME).min(1.0);
        let score = EFFORT_WEIGHT * effort + CYCLOMATIC_WEIGHT * cyclomatic + VOLUME_WEIGHT * volume;
        // Python's `round` works on the decimal expansion, as formatting does; scaling by 1000 rounds twice.
        format!("{score:.3}").parse().expect("a formatted float is a float")
    }

    /// The maintainability index in radon's scale, from 0 to 100 for what is best maintained: of Halstead's volume, the file's
    /// cyclomatic complexity, lines of code, and lines with a comment for each of these.
    pub fn maintainability(&self, lines: &Lines) -> f64 {
        let volume = self.halstead.volume();
        if volume <= 0.0 || lines.n_code == 0 {
            return 100.0;
        }
        let comments = (MI_COMMENTS_ANGLE * (100.0 * lines.comment_density()).to_radians()).sqrt();
        let index = MI_WHOLE
            - MI_VOLUME * volume.ln()
            - MI_CYCLOMATIC * f64::from(self.cyclomatic_total)
            - MI_LINES * (lines.n_code as f64).ln()
            + MI_COMMENTS * comments.sin();
        (100.0 * index / MI_WHOLE).clamp(0.0, 100.0)
    }

    /// How far a program is from well maintainable, from 0 to 1: what `intrinsic.maintainability` pays for.
    pub fn maintainability_score(&self, lines: &Lines) -> f64 {
        1.0 - self.maintainability(lines) / 100.0
    }
}

/// Coefficients of the maintainability index (Coleman et al. 1994), as radon 6.0.1 has them.
const MI_WHOLE: f64 = 171.0;
const MI_VOLUME: f64 = 5.2;
const MI_CYCLOMATIC: f64 = 0.23;
const MI_LINES: f64 = 16.2;
const MI_COMMENTS: f64 = 50.0;
const MI_COMMENTS_ANGLE: f64 = 2.46;

/// Measures a program. It need not define an entry function.
///
/// # Errors
/// [`Refusal::ParseError`] with the first syntax error, or the limit the text goes past.
pub fn complexity(source: &str) -> Result<Complexity, Refusal> {
    let source = syntax::normalise(source);
    let parsed = syntax::parse_module(&source).map_err(Refusal::ParseError)?;
    let body = &parsed.syntax().body;
    Ok(Complexity {
        cognitive: cognitive::of_file(body),
        cyclomatic_max: cyclomatic::max_of_blocks(body),
        cyclomatic_total: cyclomatic::total(body),
        halstead: halstead::of_file(&source, body),
    })
}
