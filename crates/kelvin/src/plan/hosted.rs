//! What a run costs at a hosted server of the Tinker protocol, which is paid by the token. How long it takes nobody
//! publishes. `docs/plan.md` has the sources and what is wrong with each.

use kelvin_remote::tinker::Losses;
use kelvin_selfplay::simulation::Workload;
use serde::Serialize;

use super::{
    rates::Range,
    steps::Steps,
    workload::{Expected, Lengths, Prompts, Tokens, record},
};
use crate::config::Config;

/// US dollars for a million tokens of Qwen3-8B: by the list of January 2026, and by that of October.
const PREFILL_USD: Range = [0.13, 0.195];
const SAMPLE_USD: Range = [0.40, 0.60];
const TRAIN_USD: Range = [0.40, 0.44];
/// The weights of that model; others are taken to cost by theirs.
const ANCHOR_WEIGHTS: f64 = 8.19e9;

/// What all steps cost.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Hosted {
    #[serde(flatten)]
    pub(crate) steps: Steps<HostedStep>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) iteration_usd: Option<Range>,
    pub(crate) run_usd: Range,
}

/// The plan of a step.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct HostedStep {
    pub(crate) tokens: Tokens,
    /// Tokens of prompts that are drawn behind: each row sends its own.
    pub(crate) prefilled: f64,
    /// Tokens whose log-probabilities alone are asked for: for losses that are made here, before updates that are several, and
    /// behind a KL term.
    pub(crate) scored: f64,
    pub(crate) step_usd: Range,
}

impl Hosted {
    /// # Errors
    /// If the loop cannot be played with these settings.
    pub(crate) fn of(config: &Config, n_weights: u64, expected: Expected) -> anyhow::Result<Hosted> {
        let kinds = record(config, expected.valid, 1)?;
        let steps = kinds.map(|it| HostedStep::of(config, n_weights, expected, it));
        let iteration_usd = steps.of_iteration(|it| it.step_usd);
        let run_usd = steps.of_run(|it| it.step_usd);
        Ok(Hosted { steps, iteration_usd, run_usd })
    }
}

impl HostedStep {
    fn of(config: &Config, n_weights: u64, expected: Expected, workloads: &[Workload]) -> HostedStep {
        let lengths = |it| Lengths::of(config, expected, it);
        let of_steps = workloads.iter().map(|it| Tokens::of(it, lengths, Prompts::Repeated));
        let tokens = Tokens::mean(&of_steps.collect::<Vec<_>>());
        let prefilled = tokens.rows * tokens.prompt_mean;
        let for_losses = match config.policy.remote.losses {
            Losses::Ours => tokens.learnt,
            Losses::Server => 0.0,
        };
        let scored = tokens.scored + for_losses;
        let scale = n_weights as f64 / ANCHOR_WEIGHTS * 1e-6;
        // What a pass without a gradient costs is not said: as a prompt at the least, as learning at the most.
        let score_usd = [PREFILL_USD[0], TRAIN_USD[1]];
        let usd = |at: usize| {
            scale
                * (prefilled * PREFILL_USD[at]
                    + tokens.drawn * SAMPLE_USD[at]
                    + scored * score_usd[at]
                    + tokens.learnt * TRAIN_USD[at])
        };
        HostedStep { tokens, prefilled, scored, step_usd: [usd(0), usd(1)] }
    }
}
