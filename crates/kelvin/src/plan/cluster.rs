//! What a step takes on an engine and its machines, from published throughput: ranges, since measurements of others differ by
//! factors. `docs/plan.md` has the sources and what is wrong with each.

use kelvin_core::seed::Seed;
use kelvin_model::ModelConfig;
use serde::Serialize;

use super::{
    queue::{Flow, Shop, play},
    step::Step,
    work::forward_flops,
};
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

struct Sheet {
    memory_bytes: f64,
    bytes_per_s: f64,
    flops: f64,
    usd_per_hour: Range,
}

impl Gpu {
    fn sheet(self) -> Sheet {
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
/// Share of the peak that training reaches, counted without what is computed again.
const TRAIN_UTILISATION: Range = [0.20, 0.40];
/// Bytes of all-weights training for each weight: bf16 weight and gradient, f32 copy and two moments.
const FULL_BYTES: f64 = 16.0;
/// kelvin's engine on two cores: tokens per second of the tiny shape, drawn and learnt, and its weights
/// (`results/2026-11-21-engine-peers.json`). Under what it was on a machine that does nothing else, it may be half.
const NATIVE_DRAWN: Range = [12_900.0, 25_800.0];
const NATIVE_LEARNT: Range = [4_925.0, 9_850.0];
const TINY: (f64, f64) = (192.0, 4.0);
/// Share of a step's tokens per second that one row has at most, natively.
const NATIVE_ROW_SHARE: f64 = 1.0 / 8.0;
/// Seconds of a core for a program on one input (`kelvin bench exec`, alone and shared).
const PROGRAM_S: Range = [0.0005, 0.005];
/// Bytes per second at which new weights reach a sampler: a fast disk, or a link of 100 gigabits.
const PUBLISH_BYTES_PER_S: Range = [12.5e9, 2e9];
/// Rows that a sampler draws at once.
const SLOTS: usize = 256;
/// The numbers of samplers whose queue is played.
const SAMPLERS: [usize; 4] = [1, 8, 64, 1024];

/// What a plan is made for.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Asked {
    pub(crate) engine: Engine,
    pub(crate) gpu: Gpu,
    pub(crate) gpus: usize,
    /// Cores that run programs.
    pub(crate) cores: usize,
    #[serde(flatten)]
    pub(crate) means: Means,
}

/// Tokens on average; of responses none for a quarter of their limits, of prompts none for a half.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Means {
    pub(crate) response_tokens: Option<f64>,
    pub(crate) prompt_tokens: Option<f64>,
}

/// Tokens of a step, as they are likely to be.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Tokens {
    pub(crate) rows: u64,
    pub(crate) response_mean: f64,
    pub(crate) prompt_mean: f64,
    pub(crate) drawn: f64,
    pub(crate) learnt: f64,
    pub(crate) programs: u64,
}

/// The plan of a step.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Plan {
    pub(crate) asked: Asked,
    pub(crate) tokens: Tokens,
    /// Of each GPU; none for the native engine, whose memory the section before has.
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) fits: Option<bool>,
    pub(crate) kv_rows_max: Option<u64>,
    pub(crate) draw_s: Range,
    pub(crate) program_s: Range,
    pub(crate) learn_s: Range,
    pub(crate) publish_s: Range,
    pub(crate) step_s: Range,
    pub(crate) run_hours: Range,
    pub(crate) run_usd: Option<Range>,
    pub(crate) queue: Vec<Flow>,
}

/// What the machines do, in tokens per second of all of them.
struct Rates {
    drawn: Range,
    row_max: f64,
    learnt: Range,
    publish_s: Range,
}

impl Plan {
    pub(crate) fn of(
        config: &Config,
        model: &ModelConfig,
        n_learnt: u64,
        n_weights: u64,
        asked: Asked,
    ) -> Plan {
        let step = Step::of(config);
        let tokens = tokens(&step, asked.means, asked.engine == Engine::Native);
        let rates = rates(model, n_learnt, n_weights, &asked, &tokens);
        let over = |tokens: f64, rate: Range| [tokens / rate[1], tokens / rate[0]];
        let (draw_s, learn_s) = (over(tokens.drawn, rates.drawn), over(tokens.learnt, rates.learnt));
        let program_s = PROGRAM_S.map(|it| it * tokens.programs as f64 / asked.cores as f64);
        // Programs run while others are drawn: what is longer counts.
        let sum = |at: usize| draw_s[at].max(program_s[at]) + learn_s[at] + rates.publish_s[at];
        let step_s = [sum(0), sum(1)];
        let run_hours = step_s.map(|it| it * f64::from(config.steps) / 3600.0);
        let mut plan = Plan {
            asked,
            tokens,
            memory_bytes: None,
            fits: None,
            kv_rows_max: None,
            draw_s,
            program_s,
            learn_s,
            publish_s: rates.publish_s,
            step_s,
            run_hours,
            run_usd: None,
            queue: Vec::new(),
        };
        if asked.engine != Engine::Native {
            plan.put_on_gpus(model, n_learnt, n_weights);
        }
        plan.queue = plan.played(config, &rates);
        plan
    }

    fn put_on_gpus(&mut self, model: &ModelConfig, n_learnt: u64, n_weights: u64) {
        let Asked { gpu, gpus, .. } = self.asked;
        let (sheet, n) = (gpu.sheet(), gpus as f64);
        // Who learns is sharded over all; each draws with a copy of its own.
        let frozen = if n_learnt == n_weights { 0.0 } else { 2.0 * n_weights as f64 / n };
        let held = FULL_BYTES * n_learnt as f64 / n + frozen + 2.0 * n_weights as f64;
        let kv_token = 4.0 * (model.num_hidden_layers * model.num_key_value_heads * model.head_dim) as f64;
        let row = kv_token * (self.tokens.prompt_mean + self.tokens.response_mean);
        // A tenth stays free for activations and what allocators waste.
        let room = 0.9 * sheet.memory_bytes - held;
        self.memory_bytes = Some(held as u64);
        self.fits = Some(row < room);
        self.kv_rows_max = Some((room / row).max(0.0) as u64);
        let usd = |at: usize| self.run_hours[at] * n * sheet.usd_per_hour[at];
        self.run_usd = Some([usd(0), usd(1)]);
    }

    /// The queue at each number of samplers, in the middle of the ranges.
    fn played(&self, config: &Config, rates: &Rates) -> Vec<Flow> {
        let (asked, tokens) = (&self.asked, &self.tokens);
        let middle = |range: Range| (range[0] * range[1]).sqrt();
        let n_machines = if asked.engine == Engine::Native { 1.0 } else { asked.gpus as f64 };
        let limit = config.sampling.solve.max_new_tokens.max(config.sampling.propose.max_new_tokens);
        let shop = |n_samplers| Shop {
            n_rows: tokens.rows as usize,
            tokens_mean: tokens.response_mean,
            tokens_max: limit as f64,
            programs_per_row: tokens.programs as f64 / tokens.rows as f64,
            program_s: middle(PROGRAM_S),
            n_samplers,
            slots: self.kv_rows_max.map_or(SLOTS, |it| SLOTS.min(it as usize)).max(1),
            tokens_per_s: middle(rates.drawn) / n_machines,
            row_tokens_per_s_max: rates.row_max,
            n_executors: asked.cores,
            train_s: tokens.learnt / middle(rates.learnt),
            publish_s: middle(rates.publish_s),
        };
        SAMPLERS.iter().map(|&n| play(&shop(n), Seed::new(config.seed).fork("plan"))).collect()
    }
}

/// With `is_shared`, a prompt of several rows is computed once where they are learnt from.
pub(super) fn tokens(step: &Step, means: Means, is_shared: bool) -> Tokens {
    let rows = step.proposals + step.solutions + step.estimates;
    let response_mean = means.response_tokens.unwrap_or(step.new_tokens as f64 / rows as f64 / 4.0);
    let prompt_mean = means.prompt_tokens.unwrap_or(step.prompt_tokens as f64 / rows as f64 / 2.0);
    let groups = (step.proposals + step.proposals * 2).max(1);
    let n_prompts = if is_shared { groups.min(step.trained) } else { step.trained };
    let programs = step.executions.iter().map(|it| it.validate + it.estimate + it.solve).sum();
    Tokens {
        rows,
        response_mean,
        prompt_mean,
        drawn: rows as f64 * response_mean,
        learnt: step.trained as f64 * response_mean + n_prompts as f64 * prompt_mean,
        programs,
    }
}

fn rates(model: &ModelConfig, n_learnt: u64, n_weights: u64, asked: &Asked, tokens: &Tokens) -> Rates {
    let context = tokens.prompt_mean + tokens.response_mean / 2.0;
    let flops = forward_flops(model, context);
    let anchor = match asked.engine {
        Engine::Native => {
            let smaller = tiny_flops() / flops;
            return Rates {
                drawn: NATIVE_DRAWN.map(|it| it * smaller),
                row_max: NATIVE_DRAWN[1] * smaller * NATIVE_ROW_SHARE,
                learnt: NATIVE_LEARNT.map(|it| it * smaller),
                publish_s: [0.0, 0.0],
            };
        }
        Engine::Vllm => VLLM_TOKENS_PER_S,
        Engine::Sglang => SGLANG_TOKENS_PER_S,
    };
    let (sheet, h100, n) = (asked.gpu.sheet(), Gpu::H100.sheet(), asked.gpus as f64);
    let drawn =
        anchor.map(|it| n * it * ANCHOR_WEIGHTS / n_weights as f64 * sheet.bytes_per_s / h100.bytes_per_s);
    // Backward is two products for each of forward, one of them for what learns; activations are computed again.
    let n_passes = if n_learnt == n_weights { 4.0 } else { 3.0 };
    let learnt = TRAIN_UTILISATION.map(|it| n * it * sheet.flops / (n_passes * flops));
    let bytes = 2.0 * if n_learnt == n_weights { n_weights } else { n_learnt } as f64;
    Rates {
        drawn,
        row_max: sheet.bytes_per_s / (2.0 * n_weights as f64),
        learnt,
        publish_s: PUBLISH_BYTES_PER_S.map(|it| bytes / it),
    }
}

/// Operations of a token of the tiny shape of `kelvin bench`: 4 layers, d 192, 6 heads, 2 kv heads, ffn 512, vocabulary 512.
fn tiny_flops() -> f64 {
    let (hidden, layers) = TINY;
    2.0 * (layers * (hidden * 320.0 + hidden * hidden + 3.0 * hidden * 512.0) + hidden * 512.0)
        + 4.0 * layers * hidden * 64.0
}
