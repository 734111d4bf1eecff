//! What steps take on an engine and its machines: the steps that the loop asks for, played as a queue at the rates of the
//! machines, each rate at one end of its range and then at the other.

use std::collections::BTreeSet;

use kelvin_core::seed::Seed;
use kelvin_model::ModelConfig;
use kelvin_selfplay::simulation::{Purpose, Workload};
use serde::Serialize;

use super::{
    flow::Flow,
    queue::{Shop, play},
    rates::{Engine, FULL_BYTES, Gpu, Luck, PROGRAM_S, Range, Rates, SLOTS, rates},
    steps::Steps,
    workload::{Expected, Lengths, PURPOSES, Prompts, Tokens, record},
};
use crate::{config::Config, wire};

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

impl Asked {
    /// What draws, in parts that are equal.
    fn n_samplers(&self) -> usize {
        match self.engine {
            Engine::Native => 1,
            Engine::Vllm | Engine::Sglang => self.gpus,
        }
    }
}

/// The plan of a run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Plan {
    pub(crate) asked: Asked,
    #[serde(flatten)]
    pub(crate) room: Room,
    #[serde(flatten)]
    pub(crate) steps: Steps<StepPlan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) iteration_hours: Option<Range>,
    pub(crate) run_hours: Range,
    pub(crate) run_usd: Option<Range>,
}

/// Memory of each GPU; none for the native engine, whose memory the section before has.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Room {
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) fits: Option<bool>,
    pub(crate) kv_rows_max: Option<u64>,
}

/// The plan of a step.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StepPlan {
    pub(crate) tokens: Tokens,
    /// Until the last row is drawn, and until the last one is graded: what is waited for counts.
    pub(crate) draw_s: Range,
    pub(crate) graded_s: Range,
    /// Seconds of every sampler for prompts, and of every core for programs, both within those until the last row is graded.
    pub(crate) read_s: Range,
    pub(crate) program_s: Range,
    /// Of the trainer, and within that for log-probabilities alone.
    pub(crate) learn_s: Range,
    pub(crate) score_s: Range,
    pub(crate) publish_s: Range,
    pub(crate) step_s: Range,
    pub(crate) queue: Vec<Flow>,
}

/// Steps of one kind, with what plays them.
struct Course<'plan> {
    config: &'plan Config,
    asked: &'plan Asked,
    workloads: &'plan [Workload],
    /// Of each, and of one on average.
    each: Vec<Tokens>,
    mean: Tokens,
    rates: Rates,
}

impl Plan {
    /// # Errors
    /// If the loop cannot be played with these settings.
    pub(crate) fn of(
        config: &Config,
        model: &ModelConfig,
        (n_learnt, n_weights): (u64, u64),
        asked: Asked,
    ) -> anyhow::Result<Plan> {
        let kinds = record(config, asked.expected.valid, 1)?;
        let courses = kinds.map(|it| Course::of(config, model, (n_learnt, n_weights), &asked, it));
        let room = match asked.engine {
            Engine::Native => Room::default(),
            Engine::Vllm | Engine::Sglang => {
                let means = courses.each().into_iter().map(|it| it.mean);
                let row_tokens = means.map(|it| it.prompt_mean + it.response_mean).fold(0.0, f64::max);
                Room::of(config, model, (n_learnt, n_weights), &asked, row_tokens)
            }
        };
        let steps = courses.map(|it| it.plan(room));
        let hours = |it: Range| it.map(|it| it / 3600.0);
        let run_hours = hours(steps.of_run(|it| it.step_s));
        let run_usd = (asked.engine != Engine::Native).then(|| {
            let usd_per_hour = asked.gpu.sheet().usd_per_hour;
            [0, 1].map(|at| run_hours[at] * asked.gpus as f64 * usd_per_hour[at])
        });
        let iteration_hours = steps.of_iteration(|it| it.step_s).map(hours);
        Ok(Plan { asked, room, steps, iteration_hours, run_hours, run_usd })
    }
}

impl Room {
    /// What is left of a GPU for rows of so many tokens.
    fn of(
        config: &Config,
        model: &ModelConfig,
        (n_learnt, n_weights): (u64, u64),
        asked: &Asked,
        row_tokens: f64,
    ) -> Room {
        let (sheet, n, n_policies) = (asked.gpu.sheet(), asked.gpus as f64, wire::policies(config).len());
        let [learnt, weights] = [n_learnt, n_weights].map(|it| it as f64);
        // Who learns is sharded over all; each draws with copies of its own. Adapters of several policies stand on one model.
        let (frozen, n_copies) =
            if n_learnt == n_weights { (0.0, n_policies as f64) } else { (2.0 * weights / n, 1.0) };
        // What a KL term pulls towards are other weights where all learn, and other adapters where those do.
        let reference = if config.objective.kl_coefficient == 0.0 { 0.0 } else { 2.0 * learnt / n };
        let held =
            FULL_BYTES * learnt * n_policies as f64 / n + frozen + reference + n_copies * 2.0 * weights;
        let kv_token = 4.0 * (model.num_hidden_layers * model.num_key_value_heads * model.head_dim) as f64;
        let row = kv_token * row_tokens;
        // A tenth stays free for activations and what allocators waste.
        let room = 0.9 * sheet.memory_bytes - held;
        Room {
            memory_bytes: Some(held as u64),
            fits: Some(row < room),
            kv_rows_max: Some((room / row).max(0.0) as u64),
        }
    }
}

impl Course<'_> {
    fn of<'plan>(
        config: &'plan Config,
        model: &ModelConfig,
        weights: (u64, u64),
        asked: &'plan Asked,
        workloads: &'plan Vec<Workload>,
    ) -> Course<'plan> {
        let prompts = match asked.engine {
            Engine::Native => Prompts::Shared,
            Engine::Vllm | Engine::Sglang => Prompts::Repeated,
        };
        let lengths = |it| Lengths::of(config, asked.expected, it);
        let each: Vec<Tokens> = workloads.iter().map(|it| Tokens::of(it, lengths, prompts)).collect();
        let mean = Tokens::mean(&each);
        let rates = rates(config, model, weights, asked, &mean);
        Course { config, asked, workloads, each, mean, rates }
    }

    /// Seconds, from the queue of the samplers that are asked for, and the queues of other numbers of them.
    fn plan(&self, room: Room) -> StepPlan {
        let n_asked = self.asked.n_samplers();
        let flows = [Luck::Best, Luck::Middle, Luck::Worst].map(|it| self.played(n_asked, room, it));
        // Seldom and by little, a queue takes longer where each part of it is faster; what is in the table is never outside.
        let span = |of: fn(&Flow) -> f64| {
            let seconds = flows.iter().map(of);
            [seconds.clone().fold(f64::INFINITY, f64::min), seconds.fold(0.0, f64::max)]
        };
        let numbers: BTreeSet<usize> = SAMPLERS.into_iter().chain([n_asked]).collect();
        let of_rates = |of: fn(&Course<'_>, Luck) -> f64| [Luck::Best, Luck::Worst].map(|it| of(self, it));
        StepPlan {
            tokens: self.mean,
            draw_s: span(|it| it.drawn_s),
            graded_s: span(|it| it.graded_s),
            read_s: of_rates(|it, luck| it.read_s(luck) / it.asked.n_samplers() as f64),
            program_s: PROGRAM_S.map(|it| it * self.mean.programs / self.asked.cores as f64),
            learn_s: of_rates(|it, luck| it.learn_s(&it.mean, luck)),
            score_s: of_rates(|it, luck| it.mean.scored / luck.of_rate(it.rates.scored)),
            publish_s: of_rates(|it, luck| {
                let n: usize = it.workloads.iter().map(|it| it.n_published).sum();
                n as f64 / it.workloads.len() as f64 * luck.of_seconds(it.rates.publish_s)
            }),
            step_s: span(|it| it.step_s),
            queue: numbers.into_iter().map(|it| self.played(it, room, Luck::Middle)).collect(),
        }
    }

    /// The mean step of so many samplers.
    fn played(&self, n_samplers: usize, room: Room, luck: Luck) -> Flow {
        let Course { config, asked, workloads, each, rates, .. } = self;
        let slots = match asked.engine {
            Engine::Native => config.policy.options.max_rows,
            Engine::Vllm | Engine::Sglang => SLOTS,
        };
        // What has no room is played as if it had.
        let slots = room.kv_rows_max.filter(|it| 0 < *it).map_or(slots, |it| slots.min(it as usize));
        let seed = Seed::new(config.seed).fork("plan");
        let flows: Vec<Flow> = (0..)
            .zip(workloads.iter().zip(each))
            .map(|(step, (workload, tokens))| {
                let shop = Shop {
                    lengths: PURPOSES.map(|it| Lengths::of(config, asked.expected, it)),
                    prompt_s: PURPOSES.map(|it| self.prompt_s(workload, it, luck)),
                    program_s: luck.of_seconds(PROGRAM_S),
                    n_samplers,
                    slots,
                    tokens_per_s: luck.of_rate(rates.drawn),
                    row_tokens_per_s_max: luck.of_rate(rates.row_max),
                    n_executors: asked.cores,
                    publish_s: workload.n_published as f64 * luck.of_seconds(rates.publish_s),
                };
                play(workload, &shop, self.learn_s(tokens, luck), seed.nth(step))
            })
            .collect();
        Flow::mean(&flows)
    }

    /// Seconds of the trainer for a step of these tokens.
    fn learn_s(&self, tokens: &Tokens, luck: Luck) -> f64 {
        tokens.learnt / luck.of_rate(self.rates.learnt) + tokens.scored / luck.of_rate(self.rates.scored)
    }

    /// Seconds of a sampler for the prompt of a row: at best equal prompts are computed once, at worst with each row.
    fn prompt_s(&self, workload: &Workload, purpose: Purpose, luck: Luck) -> f64 {
        let Some([slowest, fastest]) = self.rates.read else { return 0.0 };
        let n_tokens = Lengths::of(self.config, self.asked.expected, purpose).prompt_mean;
        let share = workload.n_prompts(purpose) as f64 / workload.n_rows(purpose).max(1) as f64;
        luck.of_seconds([share * n_tokens / fastest, n_tokens / slowest])
    }

    /// Seconds of a sampler for all prompts of a step.
    fn read_s(&self, luck: Luck) -> f64 {
        let of_step = |it: &Workload| -> f64 {
            PURPOSES.map(|purpose| it.n_rows(purpose) as f64 * self.prompt_s(it, purpose, luck)).iter().sum()
        };
        self.workloads.iter().map(of_step).sum::<f64>() / self.workloads.len() as f64
    }
}
