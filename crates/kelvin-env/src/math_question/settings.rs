//! The named settings of the environment, with the values of the preset `kelvin`.

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use super::PromptSet;

/// What a response needs to be a proposal (r-zero.md section 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Validity {
    /// A question within the limits and without tags, and an answer of the proposer's own behind it.
    #[default]
    BothParts,
    /// As in the original's code: any question; a box may be missing, but not be empty.
    Original,
}

/// Which questions stay out of the solver's data, whoever answers them (r-zero.md section 5.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolFilters {
    /// None: what makes a proposal decides.
    #[default]
    None,
    /// The original's: questions with the Chinese word for a proof or with `box`, answers with `text`. Honest questions
    /// about boxes go too.
    Original,
}

/// What can be chosen about the environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Which prompts, and with them which parser. Default `full`.
    pub prompt_set: PromptSet,
    /// What a proposal needs. Default `both_parts`.
    pub validity: Validity,
    /// The fewest words of a question; 0 for 8 with the prompt set `full` and 4 with `compact`, whose shortest
    /// question has 5. Not for `original` validity.
    pub words_min: usize,
    /// The most words of a question. Default 1,024. Not for `original` validity.
    pub words_max: usize,
    /// Whether something may stand behind the proposer's own answer. Default true, as in the original.
    pub text_after_answer: bool,
    /// Whether a question may ask for a proof. Default false: a vote over proofs says nothing.
    pub proofs: bool,
    /// Which questions stay out of the solver's data. Default `none`.
    pub pool_filters: PoolFilters,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            prompt_set: PromptSet::Full,
            validity: Validity::BothParts,
            words_min: 0,
            words_max: 1024,
            text_after_answer: true,
            proofs: false,
            pool_filters: PoolFilters::None,
        }
    }
}

impl Settings {
    /// The original code's rules.
    pub fn original() -> Settings {
        Settings {
            validity: Validity::Original,
            proofs: true,
            pool_filters: PoolFilters::Original,
            ..Settings::default()
        }
    }

    /// The fewest words of a question.
    pub fn words_min(&self) -> usize {
        match (self.words_min, self.prompt_set) {
            (0, PromptSet::Full) => 8,
            (0, PromptSet::Compact) => 4,
            (words, _) => words,
        }
    }

    /// Refuses settings that contradict themselves.
    ///
    /// # Errors
    /// If no question could be valid, or the original's rule is asked of prompts that it does not know.
    pub fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.words_min() <= self.words_max,
            "questions of at least {} and at most {} words\nhint: set words_max to words_min or more",
            self.words_min(),
            self.words_max
        );
        ensure!(
            self.prompt_set == PromptSet::Full || self.validity == Validity::BothParts,
            "the original's validity is about the prompt set \"full\"\nhint: leave validity out, or set prompt_set = \"full\""
        );
        Ok(())
    }
}
