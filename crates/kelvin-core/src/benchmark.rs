//! The seam to a benchmark: questions of its publisher's with known answers, a prompt for each, and a grade for what a
//! policy says. Nobody learns from one. Benchmarks stand beside environments: they pose nothing and validate nothing.

use serde::{Deserialize, Serialize};

use crate::{
    rollout::{Prompt, Sampling},
    task::{Miss, names},
};

names! {
    /// Whose rules an evaluation follows.
    Profile {
        /// What this project defends: `docs/evaluation.md`.
        Clean = "clean",
        /// What the paper ran that published the numbers, flaws included: `docs/divergences/evaluation.md`.
        Paper = "paper",
    }
}

names! {
    /// How a question reaches the model; it moves scores more than training does, so every table names it.
    PromptMode {
        /// As text that the model continues.
        Plain = "plain",
        /// As a message in the model's chat template.
        Chat = "chat",
        /// In the few markers that the embedded model knows.
        Compact = "compact",
    }
}

/// What is known of a benchmark before its files are there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Card {
    /// The name on the command line, such as `cruxeval-o`.
    pub name: &'static str,
    /// The name in prose.
    pub title: &'static str,
    /// Questions in the publisher's file.
    pub n_rows: usize,
    /// Where the files are to be had.
    pub source: &'static str,
    /// Their licence.
    pub licence: &'static str,
    /// What is expected below the data folder.
    pub files: &'static [SourceFile],
    /// What one should know before reading a score; empty for most.
    pub note: &'static str,
}

/// A file of the publisher's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SourceFile {
    /// Its place below the data folder.
    pub path: &'static str,
    /// SHA-256 in hex of the file that this project was checked against; `None` where it had none.
    pub sha256: Option<&'static str>,
    /// Where the same rows may stand instead, in another form; a name's ending says which.
    pub also: &'static [&'static str],
}

impl SourceFile {
    /// A file that this project was checked against, and its SHA-256 in hex.
    pub const fn known(path: &'static str, sha256: &'static str) -> SourceFile {
        SourceFile { path, sha256: Some(sha256), also: &[] }
    }

    /// A file that this project had not.
    pub const fn unknown(path: &'static str) -> SourceFile {
        SourceFile { path, sha256: None, also: &[] }
    }

    /// The same rows may stand there too.
    pub const fn or(self, also: &'static [&'static str]) -> SourceFile {
        SourceFile { also, ..self }
    }
}

/// A question, as far as those who count know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The publisher's own identifier, or the place in the file; unique within the benchmark.
    pub id: String,
    /// The part of the benchmark that it belongs to, such as a subject; empty where there are no parts.
    pub group: String,
}

/// A question as it is put to a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Text that the model continues.
    Text(Prompt),
    /// Messages for the model's chat template.
    Chat {
        /// The system message, where there is one.
        system: Option<String>,
        /// What the user says.
        user: String,
        /// What the answer begins with.
        prefill: String,
    },
}

/// What a response came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What the response commits to; `None` where nothing was found.
    pub extracted: Option<String>,
    /// Why it is not right; `None` where it is.
    pub miss: Option<Miss>,
    /// Further scores of this response by name, such as `base` of HumanEval+.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<(String, bool)>,
}

impl Verdict {
    /// No answer was found.
    pub fn no_answer() -> Verdict {
        Verdict { extracted: None, miss: Some(Miss::Unparsable), also: Vec::new() }
    }

    /// The verdict on what was found.
    pub fn on(extracted: impl Into<String>, miss: Option<Miss>) -> Verdict {
        Verdict { extracted: Some(extracted.into()), miss, also: Vec::new() }
    }

    /// Whether the response is right.
    pub fn is_correct(&self) -> bool {
        self.miss.is_none()
    }
}

/// How verdicts become a score, beside the share of right responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Headline {
    /// The share of right responses over all questions.
    Micro,
    /// That, and the harmonic mean over groups of accuracy plus one per cent (BBEH).
    HarmonicToo,
}

/// A benchmark whose files were read.
pub trait Benchmark: Send + Sync {
    /// Its questions, in the order of the publisher's file.
    fn items(&self) -> &[Item];

    /// The question of an item.
    ///
    /// # Errors
    /// If this benchmark has no prompt of this mode.
    fn ask(&self, item_idx: usize, mode: PromptMode) -> anyhow::Result<Ask>;

    /// How answers are drawn where nobody says otherwise: the longest answer, the stops and the paper's temperature.
    fn sampling(&self, mode: PromptMode) -> Sampling;

    /// Grades a response. Takes any text.
    ///
    /// # Errors
    /// If the sandbox is broken; a bad response is a [`Verdict`].
    fn grade(&self, item_idx: usize, mode: PromptMode, response: &str) -> anyhow::Result<Verdict>;

    /// A response in plain mode that is right: the publisher's own solution or answer. Graders are checked with it before
    /// any model is asked; `None` where the publisher gives none.
    fn gold(&self, item_idx: usize) -> Option<String>;

    /// How verdicts become a score.
    fn headline(&self) -> Headline {
        Headline::Micro
    }
}
