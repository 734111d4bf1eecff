//! R-Zero (Huang et al. 2025, arXiv 2508.05004): a challenger learns to ask what the solver is unsure of, the solver's
//! majority answers what the challenger asks, and the solver learns from its own majority. [`step`] is the page.

mod curriculum;
mod learner;
pub mod phase;
pub mod probe;
mod reward;

use kelvin_core::{
    environment::DynEnvironment,
    metrics::Metrics,
    rollout::{Rewarded, Role},
    seed::Seed,
    task::Task,
};
use serde::{Deserialize, Serialize};

use crate::{
    advantage,
    clock::Stopwatch,
    records::Records,
    repetition,
    report::{Seconds, StepReport},
    settings::RunSettings,
    stage::{self, Estimated, Poses, Scene, Screen, Solved, Solves, StreamTime},
    state::{HeldOut, RunState},
    vote,
};
pub use learner::resume;
use phase::{Phase, Place};

/// What R-Zero remembers between steps, beside its policies and tasks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// What the solver learns from in this iteration.
    pub curriculum: Vec<Task>,
    /// What it learnt from before.
    pub earlier: Vec<Task>,
    /// Held-out accuracy at the end of each iteration, and of the start.
    pub probes: Vec<f32>,
    /// Whether the run is over before its last step.
    pub ended: bool,
}

/// One step of the phase that it is in.
///
/// # Errors
/// If a policy, the sandbox or a trainer fails; what a model writes is never an error.
pub fn step(
    state: &mut RunState,
    env: &dyn DynEnvironment,
    held_out: &HeldOut,
    settings: &RunSettings,
) -> anyhow::Result<StepReport> {
    state.buffer.limit(settings);
    let now = state.step + 1;
    let place = Place::of(now, &settings.r_zero);
    let seed = Seed::new(settings.seed).fork("step").nth(u64::from(now));
    if place.begins() {
        learner::begin(state, place, settings)?;
    }
    let world = World { env, held_out, settings, place, seed };
    let mut report = match place.phase {
        Phase::Challenge => challenge(state, world)?,
        Phase::Curriculum => curriculum::gather(state, world)?,
        Phase::Solve => solve(state, world)?,
    };
    state.step = now;
    report.own.insert("r_zero/iteration".into(), f64::from(place.iteration));
    report.own.insert("r_zero/phase".into(), f64::from(place.phase as u8));
    Ok(report)
}

/// What a step happens in.
#[derive(Clone, Copy)]
struct World<'run> {
    env: &'run dyn DynEnvironment,
    held_out: &'run HeldOut,
    settings: &'run RunSettings,
    place: Place,
    seed: Seed,
}

impl<'run> World<'run> {
    /// The stage with who plays `role` on it.
    fn scene(self, state: &'run RunState, role: Role) -> Scene<'run> {
        let World { env, settings, .. } = self;
        Scene { env, player: state.policies.player(role), step: state.step + 1, settings }
    }
}

/// The challenger learns to pose what the frozen solver is unsure of (eq. of section 4), and not the same again.
fn challenge(state: &mut RunState, world: World<'_>) -> anyhow::Result<StepReport> {
    let (settings, rules) = (world.settings, &world.settings.r_zero);
    let asked = ask(state, world, rules.questions, rules.votes, world.seed)?;
    let mut watch = Stopwatch::start();
    let repeats = repeats(world, &asked.estimated)?;
    let known = curriculum::known(state, world, &asked.estimated)?;
    let earned =
        asked.estimated.iter().zip(&repeats).zip(&known).enumerate().map(|(at, ((it, repeats), known))| {
            let mut rollout = it.rollout.clone();
            rollout.group = at.checked_div(rules.challenger_group).unwrap_or(0);
            (rollout, reward::challenger(it, *repeats, *known, rules))
        });
    let rewarded = crate::reward::pay(earned, &settings.azr, world.seed.fork("coin"));
    let mut own = vote::metrics(&asked.attempts);
    own.extend(reward::metrics(&asked.estimated, &repeats, &known, rules));
    let measure_s = watch.lap();
    let batch = advantage::of_groups(rewarded.clone(), &settings.azr);
    let update = learner::update(state, world, Role::Proposer, &batch, rules.challenger_updates)?;
    let Asked { estimated, attempts, time } = asked;
    let seconds = Seconds { sampling: time, measure_s, update_s: watch.lap() };
    Ok(StepReport { estimated, attempts, rewarded, batch, update, own, seconds, ..StepReport::default() })
}

/// The solver learns to answer as its majority did (GRPO, section 7).
fn solve(state: &mut RunState, world: World<'_>) -> anyhow::Result<StepReport> {
    let (settings, rules) = (world.settings, &world.settings.r_zero);
    let problems = curriculum::batch(&state.r_zero, world);
    let (n, sampling) = (rules.solver_rollouts, &settings.sampling.solve);
    let solves = Solves { tasks: &problems, n, sampling, seed: world.seed.fork("solve") };
    let played = stage::play(world.scene(state, Role::Solver), Poses::none(), solves)?;
    let mut watch = Stopwatch::start();
    let earned = played.solved.iter().map(|it| (it.rollout.clone(), reward::solver(&it.grade, rules)));
    let rewarded: Vec<Rewarded> = crate::reward::pay(earned, &settings.azr, world.seed.fork("coin"));
    let records = Records::of_solutions(world.env, &problems, &played.solved)?;
    let measure_s = watch.lap();
    let batch = advantage::of_groups(rewarded.clone(), &settings.azr);
    let update = learner::update(state, world, Role::Solver, &batch, rules.solver_updates)?;
    let own = Metrics::from([("curriculum/size".to_owned(), state.r_zero.curriculum.len() as f64)]);
    let seconds = Seconds { sampling: played.time, measure_s, update_s: watch.lap() };
    let solved = played.solved;
    Ok(StepReport { solved, rewarded, batch, records, update, own, seconds, ..StepReport::default() })
}

/// Questions with the frozen solver's answers.
struct Asked {
    /// In the order of the requests; each question with the grades of its answers, by its label where there is no other
    /// truth.
    estimated: Vec<Estimated>,
    /// The answers, those of one question as neighbours; their group is the place of their question.
    attempts: Vec<Solved>,
    time: StreamTime,
}

/// The frozen challenger poses `n` questions, and the frozen solver gives `votes` answers to each.
fn ask(state: &RunState, world: World<'_>, n: usize, votes: usize, seed: Seed) -> anyhow::Result<Asked> {
    let (settings, buffer) = (world.settings, &state.buffer);
    let challenger = world.scene(state, Role::Proposer);
    let n_of_type = n.div_ceil(settings.task_types.len());
    let asks =
        stage::proposal_asks(challenger, buffer, &settings.task_types, n_of_type, seed.fork("references"))?;
    let screen = Some(Screen { buffer, held_out: world.held_out });
    let poses = Poses { asks: &asks, sampling: &settings.sampling.propose, screen, n_estimate: 0, seed };
    let posed = stage::play(challenger, poses, Solves::none())?;
    let tasks: Vec<Task> =
        posed.estimated.iter().filter_map(|it| Some(it.outcome.as_ref().ok()?.0.clone())).collect();
    let sampling = &settings.sampling.estimate;
    let solves = Solves { tasks: &tasks, n: votes, sampling, seed: seed.fork("estimate") };
    let answered = stage::play(world.scene(state, Role::Solver), Poses::none(), solves)?;
    let mut answers = answered.solved.into_iter();
    let mut estimated = Vec::with_capacity(posed.estimated.len());
    let mut attempts = Vec::with_capacity(tasks.len() * votes);
    for (place, it) in posed.estimated.into_iter().enumerate() {
        let outcome = it.outcome.map(|(task, _)| {
            let before = attempts.len();
            attempts.extend(answers.by_ref().take(votes).map(|mut it| {
                it.rollout.group = place;
                it
            }));
            (task, attempts[before..].iter().map(|it: &Solved| it.grade).collect())
        });
        estimated.push(Estimated { outcome, ..it });
    }
    vote::settle(world.env, &mut estimated, &mut attempts, settings.r_zero.unreadable_max)?;
    Ok(Asked { estimated, attempts, time: posed.time.then(answered.time) })
}

/// Of each question the share of the step's questions that repeat one another with it (section 4.1); of what is none 0,
/// unless it counts too.
fn repeats(world: World<'_>, estimated: &[Estimated]) -> anyhow::Result<Vec<f32>> {
    let rules = &world.settings.r_zero;
    let mut texts = Vec::with_capacity(estimated.len());
    for it in estimated {
        match &it.outcome {
            Ok((task, _)) => texts.push(world.env.wording(task)?),
            Err(_) if rules.repetition_of_all => texts.push(String::new()),
            Err(_) => {}
        }
    }
    let shares = repetition::cluster_shares(&texts, rules.repetition_distance, rules.repetition_direction);
    let mut shares = shares.into_iter();
    let share = |it: &Estimated| match it.outcome {
        Err(_) if !rules.repetition_of_all => 0.0,
        Ok(_) | Err(_) => shares.next().expect("one for each text") as f32,
    };
    Ok(estimated.iter().map(share).collect())
}
