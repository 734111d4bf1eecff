//! Plays the loop on a policy and an executor that note what is asked of them. Each response has words of its own, by
//! which sampler, executor, trainer and the step's own report name the same row; so a recording depends neither on threads
//! nor on what finished first.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Range,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, mpsc::Receiver},
};

use kelvin_core::{
    executor::{Executor, Job, Outcome},
    fake::FakePolicy,
    objective::Objective,
    policy::{
        AdamParams, Completions, Indexed, LossStats, OptimStats, Part, Policy, Sampler, Trainer, UpdateId,
    },
    rollout::{Rollout, SampleRequest},
    task::TaskType,
};

use super::{
    domain::{Programs, Sums, add},
    workload::{Ask, Purpose, Row, Workload},
};
use crate::{
    report::StepReport,
    run, seeding,
    settings::{AzrSettings, EvalSettings, Recipe, RunSettings, SamplingSettings},
    stage::round_len,
    state::{HeldOut, RunState},
};

/// How the policy of a recording writes.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// The share of its proposals that are tasks.
    pub valid: f64,
    /// Its solve rate is at most `x` for a share `1 - (1 - x^a)^b` of its tasks (Kumaraswamy 1980): these are a and b.
    pub solve_rates: [f64; 2],
}

/// Which steps are recorded.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Steps before, in which the buffer comes to hold tasks that were posed and tried.
    pub n_before: usize,
    /// Steps recorded.
    pub n_recorded: usize,
}

/// What steps of Absolute Zero ask for, one workload for each. What a run has before its first ordinary step is left out:
/// seed files, steps that solve alone, evaluation, and limits of prompts, which here are of another domain.
///
/// # Errors
/// If the settings do not fit one another, or are of another recipe.
pub fn record(
    settings: &RunSettings,
    programs: BTreeMap<TaskType, Programs>,
    habits: Habits,
    span: Span,
) -> anyhow::Result<Vec<Workload>> {
    anyhow::ensure!(settings.recipe == Recipe::Azr, "workloads are those of Absolute Zero");
    let settings = &RunSettings {
        azr: AzrSettings { solver_only_steps: 0, ..settings.azr.clone() },
        eval: EvalSettings { every: 0, ..settings.eval.clone() },
        sampling: SamplingSettings {
            propose_prompt_tokens_max: usize::MAX,
            solve_prompt_tokens_max: usize::MAX,
            ..settings.sampling.clone()
        },
        ..settings.clone()
    };
    let tape = Arc::new(Tape::default());
    let env = Sums::new(Arc::new(Counting(tape.clone())), programs);
    let heard = tape.clone();
    let inner = FakePolicy::new(move |request: &SampleRequest, _| {
        let text = respond(request, habits);
        let mut notes = heard.notes();
        let drawn = Drawn { call: notes.n_calls, nth: notes.drawn.len() };
        notes.drawn.insert(text.clone(), drawn);
        text
    });
    let trainer = Box::new(Noting { inner, tape: tape.clone() });
    let mut state = RunState::new(vec![Policy { name: "policy".into(), version: 0, trainer }]);
    let held_out = HeldOut::new(&env, &settings.task_types, &settings.eval)?;
    seeding::seed(&mut state, &env, &held_out, settings)?;
    for _ in 0..span.n_before {
        run::recipe_step(&mut state, &env, &held_out, settings)?;
    }
    let mut workloads: Vec<Workload> = Vec::with_capacity(span.n_recorded);
    for _ in 0..span.n_recorded {
        *tape.notes() = Notes::default();
        let report = run::recipe_step(&mut state, &env, &held_out, settings)?;
        workloads.push(workload(&report, &tape.notes(), &settings.azr));
    }
    Ok(workloads)
}

/// Proposals are sums of any size, the first number of which says how often the sum is found.
fn respond(request: &SampleRequest, habits: Habits) -> String {
    const N_NUMBERS: usize = 1 << 31;
    let mut draws = request.seed.draws();
    // What sets equal answers apart.
    let mark = request.seed.fork("mark").value();
    match request.prompt.split_once(" + ") {
        None if draws.chance(habits.valid) => {
            format!("{} {} #{mark:x}", draws.below(N_NUMBERS), draws.below(N_NUMBERS))
        }
        None => format!("nothing #{mark:x}"),
        Some((a, b)) => {
            let number = |text: &str| text.parse::<u64>().expect("the domain writes numbers");
            let (a, b) = (number(a), number(b));
            let [first, second] = habits.solve_rates;
            let share = (a as f64 + 0.5) / N_NUMBERS as f64;
            let rate = (1.0 - (1.0 - share).powf(1.0 / second)).powf(1.0 / first);
            let sum = if draws.chance(rate) { a + b } else { a + b + 1 };
            format!("{sum} #{mark:x}")
        }
    }
}

/// What is noted of a step, by the text of a response.
#[derive(Default)]
struct Notes {
    /// Calls of the sampler so far.
    n_calls: usize,
    /// When a row was drawn.
    drawn: HashMap<String, Drawn>,
    /// Programs that its verdict ran.
    programs: HashMap<String, usize>,
    /// What the trainer was given.
    trained: HashSet<String>,
}

/// When a row was drawn: in which call of the sampler, and after how many others of the step, which only says what cannot
/// have waited for it.
#[derive(Clone, Copy)]
struct Drawn {
    call: usize,
    nth: usize,
}

#[derive(Default)]
struct Tape(Mutex<Notes>);

impl Tape {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().expect("nobody panics holding it")
    }
}

/// The executor.
struct Counting(Arc<Tape>);

impl Executor for Counting {
    fn run(&self, job: &Job) -> anyhow::Result<Vec<Outcome>> {
        *self.0.notes().programs.entry(job.program.clone()).or_default() += job.inputs.len();
        Ok(job.inputs.iter().map(|it| add(it)).collect())
    }
    fn parallelism(&self) -> usize {
        1
    }
}

/// The policy.
struct Noting<F> {
    inner: FakePolicy<F>,
    tape: Arc<Tape>,
}

impl<F: Fn(&SampleRequest, u64) -> String + Send + Sync> Sampler for Noting<F> {
    fn serve(
        &self,
        requests: Receiver<Indexed<SampleRequest>>,
        completions: Completions,
    ) -> anyhow::Result<()> {
        self.tape.notes().n_calls += 1;
        self.inner.serve(requests, completions)
    }
    fn logprobs(&self, sequences: &[Vec<u32>], temperature: f32) -> anyhow::Result<Vec<Vec<f32>>> {
        self.inner.logprobs(sequences, temperature)
    }
    fn prompt_len(&self, prompt: &str) -> anyhow::Result<usize> {
        self.inner.prompt_len(prompt)
    }
}

impl<F: Fn(&SampleRequest, u64) -> String + Send + Sync> Trainer for Noting<F> {
    fn forward_backward_part(
        &mut self,
        update: UpdateId,
        part: Part<'_>,
        objective: &Objective,
    ) -> anyhow::Result<LossStats> {
        // A token is a byte; what is none ends the response.
        let text =
            |tokens: &[u32]| tokens.iter().filter_map(|&it| u8::try_from(it).ok()).map(char::from).collect();
        self.tape.notes().trained.extend(part.samples.iter().map(|it| text(&it.response)));
        self.inner.forward_backward_part(update, part, objective)
    }
    fn optim_step(&mut self, update: UpdateId, adam: &AdamParams) -> anyhow::Result<OptimStats> {
        self.inner.optim_step(update, adam)
    }
    fn publish(&mut self, update: UpdateId) -> anyhow::Result<()> {
        self.inner.publish(update)
    }
    fn sampler(&self) -> &dyn Sampler {
        self
    }
    fn reset_optimizer(&mut self) -> anyhow::Result<()> {
        self.inner.reset_optimizer()
    }
    fn freeze(&self) -> anyhow::Result<Box<dyn Sampler>> {
        self.inner.freeze()
    }
    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        self.inner.save(dir)
    }
    fn restore(&mut self, dir: &Path) -> anyhow::Result<()> {
        self.inner.restore(dir)
    }
}

/// The rows of a step in the order in which the loop asks for them: within a call of the sampler first what waits for
/// nothing in it, then the tries of each proposal, round by round.
///
/// # Panics
/// If a row was drawn before one that it is said to wait for.
fn workload(report: &StepReport, notes: &Notes, azr: &AzrSettings) -> Workload {
    let mut asks = Asks { notes, workload: Workload::default(), drawn: Vec::new() };
    for call in 1..=notes.n_calls {
        let is_of_call = |it: &&Rollout| notes.drawn[&it.completion.text].call == call;
        let proposals: Vec<&Rollout> =
            report.estimated.iter().map(|it| &it.rollout).filter(is_of_call).collect();
        let solutions = report.solved.iter().map(|it| &it.rollout).filter(is_of_call);
        let first = asks.drawn.len();
        let opening = proposals.iter().map(|it| (Purpose::Propose, *it));
        asks.ask(0..first, opening.chain(solutions.map(|it| (Purpose::Solve, it))));
        let places: HashMap<usize, usize> =
            proposals.iter().enumerate().map(|(idx, it)| (it.group, first + idx)).collect();
        for tries in report.attempts.chunk_by(|a, b| a.rollout.group == b.rollout.group) {
            let Some(&proposal) = places.get(&tries[0].rollout.group) else { continue };
            let mut after = proposal..proposal + 1;
            for round in tries.chunks(round_len(azr)) {
                after = asks.ask(after, round.iter().map(|it| (Purpose::Estimate, &it.rollout)));
            }
        }
    }
    asks.workload
}

/// A workload as it grows.
struct Asks<'step> {
    notes: &'step Notes,
    workload: Workload,
    /// After how many others each row was drawn.
    drawn: Vec<usize>,
}

impl Asks<'_> {
    /// Adds an ask for `rows` after those with these places, and gives their own places.
    fn ask<'row>(
        &mut self,
        after: Range<usize>,
        rows: impl Iterator<Item = (Purpose, &'row Rollout)>,
    ) -> Range<usize> {
        let first = self.drawn.len();
        for (purpose, rollout) in rows {
            let text = &rollout.completion.text;
            self.drawn.push(self.notes.drawn[text].nth);
            self.workload.rows.push(Row {
                purpose,
                task_type: rollout.task_type,
                group: rollout.group,
                n_programs: self.notes.programs.get(text).copied().unwrap_or(0),
                is_trained: self.notes.trained.contains(text),
            });
        }
        let places = first..self.drawn.len();
        let last_before = self.drawn[after.clone()].iter().max();
        let waited = self.drawn[places.clone()].iter().all(|it| last_before.is_none_or(|last| last < it));
        assert!(waited, "a row waits for one that was drawn after it");
        self.workload.asks.push(Ask { after, rows: places.clone() });
        places
    }
}
