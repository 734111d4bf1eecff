//! What machines do and what they cost, from published throughput: ranges, since measurements of others differ by factors.
//! `docs/plan.md` has the sources and what is wrong with each.

use kelvin_model::ModelConfig;
use serde::Serialize;

use super::{cluster::Asked, work::forward_flops, workload::Tokens};
use crate::config::Config;

/// From the least to the most that is likely.
pub(crate) type Range = [f64; 2];

/// What draws and learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Engine {
    /// kelvin's own, on two cores of this kind of machine
    Native,
    /// vLLM draws, the same GPUs learn
    Vllm,
    /// SGLang draws, the same GPUs learn
    Sglang,
}

/// A machine by its data sheet and what an hour of it costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Gpu {
    /// A100 SXM, 80 GB
    A100,
    /// H100 SXM, 80 GB
    H100,
    /// H200 SXM, 141 GB
    H200,
}

pub(super) struct Sheet {
    pub(super) memory_bytes: f64,
    bytes_per_s: f64,
    flops: f64,
    pub(super) usd_per_hour: Range,
}

impl Gpu {
    pub(super) fn sheet(self) -> Sheet {
        let sheet = |memory_gb: f64, gb_per_s: f64, tflops: f64, usd_per_hour| Sheet {
            memory_bytes: memory_gb * 1e9,
            bytes_per_s: gb_per_s * 1e9,
            flops: tflops * 1e12,
            usd_per_hour,
        };
        match self {
            Gpu::A100 => sheet(80.0, 2039.0, 312.0, [1.49, 2.49]),
            Gpu::H100 => sheet(80.0, 3350.0, 989.0, [2.49, 3.99]),
            Gpu::H200 => sheet(141.0, 4800.0, 989.0, [3.59, 6.35]),
        }
    }
}

/// Tokens per second that an H100 draws of a model of `ANCHOR_WEIGHTS` in bf16, many rows at once.
const VLLM_TOKENS_PER_S: Range = [5_333.0, 12_553.0];
const SGLANG_TOKENS_PER_S: Range = [5_333.0, 16_215.0];
const ANCHOR_WEIGHTS: f64 = 8.03e9;
/// Share of the memory bandwidth that a row reaches which is drawn alone.
const ROW_BANDWIDTH: Range = [0.77, 1.0];
/// Share of the peak that training reaches, counted without what is computed again, and that prompts are taken to reach.
const UTILISATION: Range = [0.20, 0.40];
/// Bytes of all-weights training for each weight: bf16 weight and gradient, f32 copy and two moments.
pub(super) const FULL_BYTES: f64 = 16.0;
/// kelvin's engine on two cores: tokens per second of the tiny shape, drawn and learnt, and its weights. From twice the slowest
/// of the runs on one core in `results/2026-11-23-plan.json`, which shared it with their programs and with other work, to the
/// fastest round of `results/2026-11-23-engine-peers.json`, and in learning to twice the fastest of those runs.
const NATIVE_DRAWN: Range = [11_200.0, 28_200.0];
const NATIVE_LEARNT: Range = [7_100.0, 13_600.0];
const TINY: (f64, f64) = (192.0, 4.0);
/// Share of a step's tokens per second that one row has at most, natively.
const NATIVE_ROW_SHARE: f64 = 1.0 / 8.0;
/// Seconds of a core for a program on one input, called twice (`kelvin bench exec`, alone and shared).
pub(super) const PROGRAM_S: Range = [0.0005, 0.005];
/// Bytes per second at which new weights reach a sampler: a fast disk, or a link of 100 gigabits.
const PUBLISH_BYTES_PER_S: Range = [12.5e9, 2e9];
/// Rows that a sampler draws at once.
pub(super) const SLOTS: usize = 256;

/// What the machines do, in tokens per second: one of those that draw, a row of it at most, its reading of prompts where that
/// is not a part of drawing, and all that learn.
pub(super) struct Rates {
    pub(super) drawn: Range,
    pub(super) row_max: Range,
    pub(super) read: Option<Range>,
    pub(super) learnt: Range,
    /// Of a pass for log-probabilities alone.
    pub(super) scored: Range,
    /// Of new weights, each time.
    pub(super) publish_s: Range,
}

/// Where in its range everything is.
#[derive(Clone, Copy)]
pub(super) enum Luck {
    Best,
    /// The geometric middle.
    Middle,
    Worst,
}

impl Luck {
    pub(super) fn of_rate(self, [least, most]: Range) -> f64 {
        match self {
            Luck::Best => most,
            Luck::Middle => (least * most).sqrt(),
            Luck::Worst => least,
        }
    }

    pub(super) fn of_seconds(self, [least, most]: Range) -> f64 {
        self.of_rate([most, least])
    }
}

pub(super) fn rates(
    config: &Config,
    model: &ModelConfig,
    (n_learnt, n_weights): (u64, u64),
    asked: &Asked,
    tokens: &Tokens,
) -> Rates {
    let context = tokens.prompt_mean + tokens.response_mean / 2.0;
    let flops = forward_flops(model, context);
    let anchor = match asked.engine {
        Engine::Native => {
            // Half of the cores do half.
            let smaller = tiny_flops() / flops * native_cores(config) as f64 / 2.0;
            return Rates {
                drawn: NATIVE_DRAWN.map(|it| it * smaller),
                row_max: NATIVE_DRAWN.map(|it| it * smaller * NATIVE_ROW_SHARE),
                // The runs and rounds behind the rates had prompts.
                read: None,
                learnt: NATIVE_LEARNT.map(|it| it * smaller),
                // Backward is two products for each of forward.
                scored: NATIVE_LEARNT.map(|it| 3.0 * it * smaller),
                publish_s: [0.0, 0.0],
            };
        }
        Engine::Vllm => VLLM_TOKENS_PER_S,
        Engine::Sglang => SGLANG_TOKENS_PER_S,
    };
    let (sheet, h100, n) = (asked.gpu.sheet(), Gpu::H100.sheet(), asked.gpus as f64);
    let drawn =
        anchor.map(|it| it * ANCHOR_WEIGHTS / n_weights as f64 * sheet.bytes_per_s / h100.bytes_per_s);
    let prompt_flops = forward_flops(model, tokens.prompt_mean / 2.0);
    // Backward is two products for each of forward, one of them for what learns; activations are computed again.
    let n_passes = if n_learnt == n_weights { 4.0 } else { 3.0 };
    let scored = UTILISATION.map(|it| n * it * sheet.flops / flops);
    let bytes = 2.0 * if n_learnt == n_weights { n_weights } else { n_learnt } as f64;
    Rates {
        drawn,
        row_max: ROW_BANDWIDTH.map(|it| it * sheet.bytes_per_s / (2.0 * n_weights as f64)),
        read: Some(UTILISATION.map(|it| it * sheet.flops / prompt_flops)),
        learnt: scored.map(|it| it / n_passes),
        scored,
        publish_s: PUBLISH_BYTES_PER_S.map(|it| bytes / it),
    }
}

/// Cores that the native engine is planned on: the two that it was measured on, or one where no more is asked for.
pub(crate) fn native_cores(config: &Config) -> usize {
    if config.policy.options.threads == 1 { 1 } else { 2 }
}

/// Operations of a token of the tiny shape of `kelvin bench`: 4 layers, d 192, 6 heads, 2 kv heads, ffn 512, vocabulary 512.
fn tiny_flops() -> f64 {
    let (hidden, layers) = TINY;
    2.0 * (layers * (hidden * 320.0 + hidden * hidden + 3.0 * hidden * 512.0) + hidden * 512.0)
        + 4.0 * layers * hidden * 64.0
}
