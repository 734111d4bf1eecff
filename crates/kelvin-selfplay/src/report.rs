//! What a step did, for metrics and transcripts.

use kelvin_core::{
    metrics::Metrics,
    policy::{LossStats, OptimStats},
    rollout::{Rewarded, Sample},
};

use crate::{
    records::Records,
    stage::{Estimated, Solved, StreamTime},
};

/// What a step did. A recipe leaves empty what its step has not.
#[derive(Default)]
pub struct StepReport {
    /// The proposals.
    pub estimated: Vec<Estimated>,
    /// The solves behind their learnability.
    pub attempts: Vec<Solved>,
    /// The solutions of the problems that were drawn.
    pub solved: Vec<Solved>,
    /// Both with their rewards, proposals first; none of a role that earned nothing in this step.
    pub rewarded: Vec<Rewarded>,
    /// What the update saw: those of `rewarded` that train, then estimates if they do.
    pub batch: Vec<Sample>,
    /// What was seen of both.
    pub records: Records,
    /// What the update said; none where nothing learnt.
    pub update: Option<Updated>,
    /// Monte-Carlo solutions that were drawn for copies. Depends on which row finished first.
    pub n_dropped: usize,
    /// What the recipe alone measures.
    pub own: Metrics,
    /// Where the time went.
    pub seconds: Seconds,
}

/// What the updates of a step said; means over them where there were several.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Updated {
    /// The loss.
    pub loss: LossStats,
    /// The optimizer.
    pub optim: OptimStats,
    /// The size of its step.
    pub learning_rate: f64,
}

/// Wall time by phase, in seconds. Phases do not overlap; what a step takes beside them is prompts, the buffer, records.
#[derive(Clone, Debug, Default)]
pub struct Seconds {
    /// The sampling calls, with validating and grading.
    pub sampling: StreamTime,
    /// Looking at proposals and solutions for rewards and records.
    pub measure_s: f64,
    /// Rewards, advantages, the update and its publication.
    pub update_s: f64,
}
