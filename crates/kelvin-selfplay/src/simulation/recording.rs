//! Plays the loop on a policy and an executor that note what is asked of them. Each response has words of its own, by
//! which sampler, executor, trainer and the step's own report name the same row; so a recording depends neither on threads
//! nor on what finished first.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard},
};

use kelvin_core::{
    executor::{Executor, Job, Outcome},
    fake::FakePolicy,
    policy::Policy,
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
    settings::{AzrSettings, EvalSettings, Recipe, RunSettings, SamplingSettings, SolveLag},
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
    let trainer = Box::new(FakePolicy::new(move |request: &SampleRequest, _| {
        let text = respond(request, habits);
        let mut notes = heard.notes();
        let nth = notes.drawn.len();
        notes.drawn.insert(text.clone(), nth);
        text
    }));
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
    /// After how many others of the step a row was drawn, which only says what cannot have waited for it.
    drawn: HashMap<String, usize>,
    /// Programs that its verdict ran.
    programs: HashMap<String, usize>,
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

/// The rows of a step in the order in which the loop asks for them: first what waits for nothing, then the tries of each
/// proposal, round by round, and what is solved only when all that is settled.
///
/// # Panics
/// If a row was drawn before one that it is said to wait for.
fn workload(report: &StepReport, notes: &Notes, azr: &AzrSettings) -> Workload {
    // A token is a byte; what is none ends the response.
    let text =
        |tokens: &[u32]| tokens.iter().filter_map(|&it| u8::try_from(it).ok()).map(char::from).collect();
    let trained = report.batch.iter().map(|it| text(&it.response)).collect();
    let mut asks = Asks { notes, trained, workload: Workload::default(), drawn: Vec::new() };
    let proposals: Vec<&Rollout> = report.estimated.iter().map(|it| &it.rollout).collect();
    let solutions = || report.solved.iter().map(|it| (Purpose::Solve, &it.rollout));
    let opening = proposals.iter().map(|it| (Purpose::Propose, *it));
    match azr.solve_lag {
        SolveLag::Zero => asks.ask(0..0, opening),
        SolveLag::One => asks.ask(0..0, opening.chain(solutions())),
    };
    let places: HashMap<usize, usize> =
        proposals.iter().enumerate().map(|(idx, it)| (it.group, idx)).collect();
    for tries in report.attempts.chunk_by(|a, b| a.rollout.group == b.rollout.group) {
        let proposal = places[&tries[0].rollout.group];
        let mut after = proposal..proposal + 1;
        for round in tries.chunks(round_len(azr)) {
            after = asks.ask(after, round.iter().map(|it| (Purpose::Estimate, &it.rollout)));
        }
    }
    if azr.solve_lag == SolveLag::Zero {
        asks.ask(0..asks.drawn.len(), solutions());
    }
    asks.workload
}

/// A workload as it grows.
struct Asks<'step> {
    notes: &'step Notes,
    /// What the trainer was given.
    trained: HashSet<String>,
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
            self.drawn.push(self.notes.drawn[text]);
            self.workload.rows.push(Row {
                purpose,
                task_type: rollout.task_type,
                group: rollout.group,
                n_programs: self.notes.programs.get(text).copied().unwrap_or(0),
                is_trained: self.trained.contains(text),
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
