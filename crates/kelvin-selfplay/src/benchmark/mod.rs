//! Benchmarks put to a policy: completions are graded on judge threads while others still decode, every one becomes a
//! [`Sample`] that is kept as soon as it is there, and scores are made of the samples alone. So an evaluation that was cut
//! off goes on where it was, and stored samples can be graded again without a model.

mod ask;
mod compare;
mod exam;
mod score;

use kelvin_core::{benchmark::Verdict, task::Miss};
use serde::{Deserialize, Serialize};

pub use ask::{Course, Drawn, Kept, Key, Known, ask, golds, regrade};
pub use compare::{Comparison, compare};
pub use exam::{Exam, Render};
pub use score::{Score, Scored, score};

/// The version of the graders: verdicts of other versions are not mixed.
pub const GRADER_VERSION: u32 = 1;

/// One response to one question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The benchmark's name.
    pub bench: String,
    /// The item's identifier.
    pub id: String,
    /// Which of the item's samples, from 0.
    pub sample: usize,
    /// SHA-256 of the prompt as the model read it, in hex.
    pub prompt_sha256: String,
    /// The version of the code that graded it: [`GRADER_VERSION`] at that time.
    pub grader: u32,
    /// What the model said.
    pub response: String,
    /// Its length in tokens.
    pub tokens: usize,
    /// Whether it ended at the length limit.
    pub truncated: bool,
    /// What was read out of it; `None` where nothing was found.
    pub extracted: Option<String>,
    /// Whether that is right.
    pub correct: bool,
    /// Why not.
    pub reason: Option<Miss>,
    /// Further scores by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<(String, bool)>,
}

impl Sample {
    /// What tells it from all others.
    pub fn key(&self) -> Key {
        Key { bench: self.bench.clone(), id: self.id.clone(), sample: self.sample }
    }

    /// What an evaluation that goes on has to know of it.
    pub fn known(&self) -> (Key, Known) {
        (self.key(), Known { prompt_sha256: self.prompt_sha256.clone(), grader: self.grader })
    }

    /// A response of which nothing is there.
    fn cut_off(key: Key, prompt_sha256: &str) -> Sample {
        Sample {
            bench: key.bench,
            id: key.id,
            sample: key.sample,
            prompt_sha256: prompt_sha256.to_owned(),
            grader: GRADER_VERSION,
            response: String::new(),
            tokens: 0,
            truncated: true,
            extracted: None,
            correct: false,
            reason: Some(Miss::Unparsable),
            also: Vec::new(),
        }
    }

    fn graded(mut self, verdict: Verdict) -> Sample {
        self.grader = GRADER_VERSION;
        self.correct = verdict.is_correct();
        self.extracted = verdict.extracted;
        self.reason = verdict.miss;
        self.also = verdict.also;
        self
    }
}
