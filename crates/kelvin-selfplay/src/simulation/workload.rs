//! What a step asks of sampler, executor and trainer, and what has to be over before it asks.

use std::{collections::BTreeSet, ops::Range};

use kelvin_core::task::TaskType;

/// What a row is drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// A proposal.
    Propose,
    /// A solution of a drawn problem.
    Solve,
    /// A Monte-Carlo solution behind learnability.
    Estimate,
}

/// A row of a step, from its request to the update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// What for.
    pub purpose: Purpose,
    /// The task's type.
    pub task_type: TaskType,
    /// Rows of one number have one prompt.
    pub prompt: usize,
    /// Programs that its verdict runs, each on one input.
    pub n_programs: usize,
    /// Whether the trainer is given it.
    pub is_trained: bool,
    /// How often its log-probabilities are asked for beside that: before an update, or of a reference.
    pub n_scored: usize,
}

/// Rows that are asked for together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The rows that have their verdicts before; none where nothing is waited for.
    pub after: Range<usize>,
    /// The rows.
    pub rows: Range<usize>,
}

/// A step of the loop, as what it asked for and was answered says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// The rows, by their asks.
    pub rows: Vec<Row>,
    /// The asks; each is for the rows that follow those of the one before.
    pub asks: Vec<Ask>,
    /// How often weights are published.
    pub n_published: usize,
}

impl Workload {
    /// Rows of a purpose.
    pub fn n_rows(&self, purpose: Purpose) -> usize {
        self.rows.iter().filter(|it| it.purpose == purpose).count()
    }

    /// Programs behind all rows.
    pub fn n_programs(&self) -> usize {
        self.rows.iter().map(|it| it.n_programs).sum()
    }

    /// Rows of a purpose that the trainer is given.
    pub fn n_trained(&self, purpose: Purpose) -> usize {
        self.trained(purpose).count()
    }

    /// Rows of a purpose whose log-probabilities are asked for, as often as they are.
    pub fn n_scored(&self, purpose: Purpose) -> usize {
        self.rows.iter().filter(|it| it.purpose == purpose).map(|it| it.n_scored).sum()
    }

    /// Different prompts of a purpose.
    pub fn n_prompts(&self, purpose: Purpose) -> usize {
        n_different(self.rows.iter().filter(|it| it.purpose == purpose))
    }

    /// Different prompts of a purpose that the trainer is given.
    pub fn n_trained_prompts(&self, purpose: Purpose) -> usize {
        n_different(self.trained(purpose))
    }

    fn trained(&self, purpose: Purpose) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |it| it.purpose == purpose && it.is_trained)
    }
}

fn n_different<'row>(rows: impl Iterator<Item = &'row Row>) -> usize {
    rows.map(|it| it.prompt).collect::<BTreeSet<usize>>().len()
}
