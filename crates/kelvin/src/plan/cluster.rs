//! What a step takes on an engine and its machines, from published throughput: ranges, since measurements of others differ by
//! factors. `docs/plan.md` has the sources and what is wrong with each.

use std::collections::BTreeSet;

use kelvin_core::seed::Seed;
use kelvin_model::ModelConfig;
use kelvin_selfplay::simulation::{Purpose, Workload};
use serde::Serialize;

use super::{
    flow::Flow,
    queue::{Shop, play},
    work::forward_flops,
    workload::{Expected, Lengths, PURPOSES, Prompts, Tokens, record},
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
/// Share of the memory bandwidth that a row reaches which is drawn alone.
const ROW_BANDWIDTH: Range = [0.77, 1.0];
/// Share of the peak that training reaches, counted without what is computed again, and that prompts are taken to reach.
const UTILISATION: Range = [0.20, 0.40];
/// Bytes of all-weights training for each weight: bf16 weight and gradient, f32 copy and two moments.
const FULL_BYTES: f64 = 16.0;
/// kelvin's engine on two cores: tokens per second of the tiny shape, drawn and learnt, and its weights. From twice the slowest
/// of the runs on one core in `results/2026-11-23-plan.json`, which shared it with their programs and with other work, to the
/// fastest round of `results/2026-11-23-engine-peers.json`, and in learning to twice the fastest of those runs.
const NATIVE_DRAWN: Range = [11_200.0, 28_200.0];
const NATIVE_LEARNT: Range = [7_100.0, 13_600.0];
const TINY: (f64, f64) = (192.0, 4.0);
/// Share of a step's tokens per second that one row has at most, natively.
const NATIVE_ROW_SHARE: f64 = 1.0 / 8.0;
/// Seconds of a core for a program on one input, called twice (`kelvin bench exec`, alone and shared).
const PROGRAM_S: Range = [0.0005, 0.005];
/// Bytes per second at which new weights reach a sampler: a fast disk, or a link of 100 gigabits.
const PUBLISH_BYTES_PER_S: Range = [12.5e9, 2e9];
/// Rows that a sampler draws at once.
const SLOTS: usize = 256;
/// The numbers of samplers whose queue is played, beside the number that is asked for.
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
    pub(crate) expected: Expected,
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
    /// Until the last row is drawn, and until the last one is graded: what is waited for counts.
    pub(crate) draw_s: Range,
    pub(crate) graded_s: Range,
    /// Seconds of every sampler for prompts, and of every core for programs, both within those until the last row is graded.
    pub(crate) read_s: Range,
    pub(crate) program_s: Range,
    pub(crate) learn_s: Range,
    pub(crate) publish_s: Range,
    pub(crate) step_s: Range,
    pub(crate) run_hours: Range,
    pub(crate) run_usd: Option<Range>,
    pub(crate) queue: Vec<Flow>,
}

/// What the machines do, in tokens per second: one of those that draw, a row of it at most, its reading of prompts where that
/// is not a part of drawing, and all that learn.
struct Rates {
    drawn: Range,
    row_max: Range,
    read: Option<Range>,
    learnt: Range,
    publish_s: Range,
}

/// Where in its range everything is.
#[derive(Clone, Copy)]
enum Luck {
    Best,
    /// The geometric middle.
    Middle,
    Worst,
}

impl Luck {
    fn of_rate(self, [least, most]: Range) -> f64 {
        match self {
            Luck::Best => most,
            Luck::Middle => (least * most).sqrt(),
            Luck::Worst => least,
        }
    }

    fn of_seconds(self, [least, most]: Range) -> f64 {
        self.of_rate([most, least])
    }
}

/// The steps that are played.
struct Course<'config> {
    config: &'config Config,
    rates: Rates,
    workloads: Vec<Workload>,
    /// Of each.
    tokens: Vec<Tokens>,
}

impl Plan {
    /// # Errors
    /// If the loop cannot be played with these settings.
    pub(crate) fn of(
        config: &Config,
        model: &ModelConfig,
        n_learnt: u64,
        n_weights: u64,
        asked: Asked,
    ) -> anyhow::Result<Plan> {
        let prompts = match asked.engine {
            Engine::Native => Prompts::Shared,
            Engine::Vllm | Engine::Sglang => Prompts::Repeated,
        };
        let workloads = record(config, asked.expected.valid, 1)?;
        let lengths = |it| Lengths::of(config, asked.expected, it);
        let steps: Vec<Tokens> = workloads.iter().map(|it| Tokens::of(it, lengths, prompts)).collect();
        let tokens = Tokens::mean(&steps);
        let rates = rates(config, model, (n_learnt, n_weights), &asked, &tokens);
        let course = Course { config, rates, workloads, tokens: steps };
        let mut plan = Plan {
            asked,
            tokens,
            memory_bytes: None,
            fits: None,
            kv_rows_max: None,
            draw_s: [0.0; 2],
            graded_s: [0.0; 2],
            read_s: [0.0; 2],
            program_s: PROGRAM_S.map(|it| it * tokens.programs / asked.cores as f64),
            learn_s: [Luck::Best, Luck::Worst].map(|it| tokens.learnt / it.of_rate(course.rates.learnt)),
            publish_s: course.rates.publish_s,
            step_s: [0.0; 2],
            run_hours: [0.0; 2],
            run_usd: None,
            queue: Vec::new(),
        };
        if asked.engine != Engine::Native {
            plan.put_in_memory(model, n_learnt, n_weights);
        }
        plan.play(&course);
        Ok(plan)
    }

    fn put_in_memory(&mut self, model: &ModelConfig, n_learnt: u64, n_weights: u64) {
        let (sheet, n) = (self.asked.gpu.sheet(), self.asked.gpus as f64);
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
    }

    /// Seconds and money, from the queue of the samplers that are asked for, and the queues of other numbers of them.
    fn play(&mut self, course: &Course<'_>) {
        let n_asked = match self.asked.engine {
            Engine::Native => 1,
            Engine::Vllm | Engine::Sglang => self.asked.gpus,
        };
        let flows = [Luck::Best, Luck::Middle, Luck::Worst].map(|it| self.played(course, n_asked, it));
        // Seldom and by little, a queue takes longer where each part of it is faster; what is in the table is never outside.
        let span = |of: fn(&Flow) -> f64| {
            let seconds = flows.iter().map(of);
            [seconds.clone().fold(f64::INFINITY, f64::min), seconds.fold(0.0, f64::max)]
        };
        self.draw_s = span(|it| it.drawn_s);
        self.graded_s = span(|it| it.graded_s);
        self.step_s = span(|it| it.step_s);
        self.read_s = [Luck::Best, Luck::Worst].map(|it| course.read_s(&self.asked, it) / n_asked as f64);
        self.run_hours = self.step_s.map(|it| it * f64::from(course.config.steps) / 3600.0);
        if self.asked.engine != Engine::Native {
            let usd_per_hour = self.asked.gpu.sheet().usd_per_hour;
            let usd = |at: usize| self.run_hours[at] * n_asked as f64 * usd_per_hour[at];
            self.run_usd = Some([usd(0), usd(1)]);
        }
        let numbers: BTreeSet<usize> = SAMPLERS.into_iter().chain([n_asked]).collect();
        self.queue = numbers.into_iter().map(|it| self.played(course, it, Luck::Middle)).collect();
    }

    /// The mean step of so many samplers.
    fn played(&self, course: &Course<'_>, n_samplers: usize, luck: Luck) -> Flow {
        let Course { config, rates, workloads, tokens } = course;
        let slots = match self.asked.engine {
            Engine::Native => config.policy.options.max_rows,
            Engine::Vllm | Engine::Sglang => SLOTS,
        };
        // What has no room is played as if it had.
        let slots = self.kv_rows_max.filter(|it| 0 < *it).map_or(slots, |it| slots.min(it as usize));
        let seed = Seed::new(config.seed).fork("plan");
        let flows: Vec<Flow> = (0..)
            .zip(workloads.iter().zip(tokens))
            .map(|(step, (workload, tokens))| {
                let shop = Shop {
                    lengths: PURPOSES.map(|it| Lengths::of(config, self.asked.expected, it)),
                    prompt_s: PURPOSES.map(|it| course.prompt_s(&self.asked, workload, it, luck)),
                    program_s: luck.of_seconds(PROGRAM_S),
                    n_samplers,
                    slots,
                    tokens_per_s: luck.of_rate(rates.drawn),
                    row_tokens_per_s_max: luck.of_rate(rates.row_max),
                    n_executors: self.asked.cores,
                    publish_s: luck.of_seconds(rates.publish_s),
                };
                play(workload, &shop, tokens.learnt / luck.of_rate(rates.learnt), seed.nth(step))
            })
            .collect();
        Flow::mean(&flows)
    }
}

impl Course<'_> {
    /// Seconds of a sampler for the prompt of a row: at best equal prompts are computed once, at worst with each row.
    fn prompt_s(&self, asked: &Asked, workload: &Workload, purpose: Purpose, luck: Luck) -> f64 {
        let Some([slowest, fastest]) = self.rates.read else { return 0.0 };
        let n_tokens = Lengths::of(self.config, asked.expected, purpose).prompt_mean;
        let share = workload.n_prompts(purpose) as f64 / workload.n_rows(purpose).max(1) as f64;
        luck.of_seconds([share * n_tokens / fastest, n_tokens / slowest])
    }

    /// Seconds of a sampler for all prompts of a step.
    fn read_s(&self, asked: &Asked, luck: Luck) -> f64 {
        let of_step = |it: &Workload| -> f64 {
            PURPOSES
                .map(|purpose| it.n_rows(purpose) as f64 * self.prompt_s(asked, it, purpose, luck))
                .iter()
                .sum()
        };
        self.workloads.iter().map(of_step).sum::<f64>() / self.workloads.len() as f64
    }
}

fn rates(
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
    let learnt = UTILISATION.map(|it| n * it * sheet.flops / (n_passes * flops));
    let bytes = 2.0 * if n_learnt == n_weights { n_weights } else { n_learnt } as f64;
    Rates {
        drawn,
        row_max: ROW_BANDWIDTH.map(|it| it * sheet.bytes_per_s / (2.0 * n_weights as f64)),
        read: Some(UTILISATION.map(|it| it * sheet.flops / prompt_flops)),
        learnt,
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
