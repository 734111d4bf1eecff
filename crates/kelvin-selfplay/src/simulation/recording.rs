//! Plays the loop on a policy and an executor that note what is asked of them, and reads off the notes what its steps asked
//! for: which rows, after which others, with which programs, and what the trainer was given.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Range,
    sync::Arc,
};

use kelvin_core::{
    policy::Policy,
    rollout::Rollout,
    task::{Step, TaskType},
};

use super::{
    domain::{Programs, Sums},
    tape::{Counting, Notes, Tape, Writing, mark, text},
    workload::{Ask, Purpose, Row, Workload},
};
use crate::{
    r_zero::phase::{Phase, Place},
    report::StepReport,
    run, seeding,
    settings::{AzrSettings, EvalSettings, RZeroSettings, Recipe, RunSettings, SamplingSettings, SolveLag},
    stage::{Estimated, round_len},
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
    anyhow::ensure!(settings.recipe == Recipe::Azr, "steps that are all alike are those of Absolute Zero");
    let mut stage = Stage::open(settings.clone(), programs, habits)?;
    for _ in 0..span.n_before {
        stage.step()?;
    }
    (0..span.n_recorded).map(|_| stage.step()).collect()
}

/// What an iteration of R-Zero asks for: of each of its phases the first `n_recorded` steps, in the order of the phases. The
/// whole of a curriculum is posed, since the solver draws from it; of the steps that learn those alone which are recorded.
/// Where steps solve again what earlier curricula had, it is the second iteration. Left out is what [`record`] leaves out;
/// no question is one that the run knows.
///
/// # Errors
/// If the settings do not fit one another, or are of another recipe.
pub fn record_iteration(
    settings: &RunSettings,
    programs: BTreeMap<TaskType, Programs>,
    habits: Habits,
    n_recorded: Step,
) -> anyhow::Result<BTreeMap<Phase, Vec<Workload>>> {
    anyhow::ensure!(settings.recipe == Recipe::RZero, "only R-Zero has iterations");
    let rules = RZeroSettings {
        challenger_steps: settings.r_zero.challenger_steps.min(n_recorded),
        solver_steps: settings.r_zero.solver_steps.min(n_recorded),
        ..settings.r_zero.clone()
    };
    let settings = RunSettings { r_zero: rules.clone(), ..settings.clone() };
    let mut stage = Stage::open(settings, programs, habits)?;
    let n_before = if rules.replay == 0.0 { 0 } else { rules.iteration_steps() };
    let mut phases = BTreeMap::<Phase, Vec<Workload>>::new();
    for step in 1..=n_before + rules.iteration_steps() {
        let workload = stage.step()?;
        let place = Place::of(step, &rules);
        if n_before < step && place.at <= n_recorded {
            phases.entry(place.phase).or_default().push(workload);
        }
    }
    Ok(phases)
}

/// A run that is recorded, between two steps.
struct Stage {
    settings: RunSettings,
    env: Sums,
    state: RunState,
    held_out: HeldOut,
    tape: Arc<Tape>,
}

impl Stage {
    /// A run whose seeds are there.
    fn open(
        settings: RunSettings,
        programs: BTreeMap<TaskType, Programs>,
        habits: Habits,
    ) -> anyhow::Result<Stage> {
        let settings = RunSettings {
            azr: AzrSettings { solver_only_steps: 0, ..settings.azr },
            eval: EvalSettings { every: 0, ..settings.eval },
            sampling: SamplingSettings {
                propose_prompt_tokens_max: usize::MAX,
                solve_prompt_tokens_max: usize::MAX,
                ..settings.sampling
            },
            ..settings
        };
        let tape = Arc::new(Tape::default());
        let env = Sums::new(Arc::new(Counting(tape.clone())), programs);
        let writing = || Writing::new(habits, tape.clone());
        let has_two = settings.recipe == Recipe::RZero && settings.r_zero.two_policies;
        let names: &[&str] = if has_two { &["challenger", "solver"] } else { &["policy"] };
        let policies: Vec<Policy> = names.iter().map(|name| writing().called(name)).collect();
        let mut state = RunState::new(policies);
        if settings.objective.kl_coefficient != 0.0 {
            // Where a phase pulls to its own start, that takes its place.
            state.reference = Some(Box::new(writing()));
        }
        let held_out = HeldOut::new(&env, &settings.task_types, &settings.eval)?;
        seeding::seed(&mut state, &env, &held_out, &settings)?;
        Ok(Stage { settings, env, state, held_out, tape })
    }

    fn step(&mut self) -> anyhow::Result<Workload> {
        *self.tape.notes() = Notes::default();
        let report = run::recipe_step(&mut self.state, &self.env, &self.held_out, &self.settings)?;
        Ok(workload(&report, &self.tape.notes(), &self.settings))
    }
}

/// The rows of a step in the order in which the loop asks for them.
///
/// # Panics
/// If a row was drawn before one that it is said to wait for.
fn workload(report: &StepReport, notes: &Notes, settings: &RunSettings) -> Workload {
    let mut asks = Asks {
        notes,
        trained: report.batch.iter().map(|it| text(&it.response)).collect(),
        prompts: HashMap::new(),
        workload: Workload { n_published: notes.n_published, ..Workload::default() },
        drawn: Vec::new(),
    };
    match settings.recipe {
        Recipe::Azr => asks.of_azr(report, &settings.azr),
        Recipe::RZero => asks.of_r_zero(report),
    }
    asks.workload
}

/// A workload as it grows.
struct Asks<'step> {
    notes: &'step Notes,
    /// What the trainer was given.
    trained: HashSet<String>,
    /// Numbers of the prompts so far. Those of two types are never one, as tasks that are equal here are put in other words.
    prompts: HashMap<(TaskType, &'step str), usize>,
    workload: Workload,
    /// After how many others each row was drawn.
    drawn: Vec<usize>,
}

impl<'step> Asks<'step> {
    /// First what waits for nothing, then the tries of each proposal, round by round, and what is solved only when all that
    /// is settled.
    fn of_azr(&mut self, report: &'step StepReport, azr: &AzrSettings) {
        let proposals: Vec<&Rollout> = report.estimated.iter().map(|it| &it.rollout).collect();
        let solutions = || report.solved.iter().map(|it| (Purpose::Solve, &it.rollout));
        let opening = proposals.iter().map(|it| (Purpose::Propose, *it));
        match azr.solve_lag {
            SolveLag::Zero => self.ask(0..0, opening),
            SolveLag::One => self.ask(0..0, opening.chain(solutions())),
        };
        let places: HashMap<usize, usize> =
            proposals.iter().enumerate().map(|(idx, it)| (it.group, idx)).collect();
        for tries in report.attempts.chunk_by(|a, b| a.rollout.group == b.rollout.group) {
            let proposal = places[&tries[0].rollout.group];
            let mut after = proposal..proposal + 1;
            for round in tries.chunks(round_len(azr)) {
                after = self.ask(after, round.iter().map(|it| (Purpose::Estimate, &it.rollout)));
            }
        }
        if azr.solve_lag == SolveLag::Zero {
            self.ask(0..self.drawn.len(), solutions());
        }
    }

    /// The questions of a round, once all are there the answers to them, and then the next round; or solutions alone.
    fn of_r_zero(&mut self, report: &'step StepReport) {
        let (mut questions, mut answers) = (&report.estimated[..], &report.attempts[..]);
        let mut after = 0..0;
        while let [_, others @ ..] = questions {
            // The questions of a round are numbered from 0.
            let n_others = others.iter().take_while(|it| it.rollout.group != 0).count();
            let (round, later) = questions.split_at(1 + n_others);
            let n_answers = |it: &Estimated| it.outcome.as_ref().map_or(0, |(_, grades)| grades.len());
            let (own, rest) = answers.split_at(round.iter().map(n_answers).sum());
            after = self.ask(after, round.iter().map(|it| (Purpose::Propose, &it.rollout)));
            if !own.is_empty() {
                after = self.ask(after, own.iter().map(|it| (Purpose::Estimate, &it.rollout)));
            }
            (questions, answers) = (later, rest);
        }
        assert!(answers.is_empty(), "each answer is to a question");
        if !report.solved.is_empty() {
            self.ask(after, report.solved.iter().map(|it| (Purpose::Solve, &it.rollout)));
        }
    }

    /// Adds an ask for `rows` after those with these places, and gives their own places.
    fn ask(
        &mut self,
        after: Range<usize>,
        rows: impl Iterator<Item = (Purpose, &'step Rollout)>,
    ) -> Range<usize> {
        let first = self.drawn.len();
        for (purpose, rollout) in rows {
            let text = &rollout.completion.text;
            let n_before = self.prompts.len();
            let prompt =
                *self.prompts.entry((rollout.task_type, rollout.prompt.as_str())).or_insert(n_before);
            self.drawn.push(self.notes.drawn[text]);
            self.workload.rows.push(Row {
                purpose,
                task_type: rollout.task_type,
                prompt,
                n_programs: self.notes.programs.get(text).copied().unwrap_or(0),
                is_trained: self.trained.contains(text),
                n_scored: self.notes.scored.get(mark(text)).copied().unwrap_or(0),
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
