//! Absolute Zero Reasoner (Zhao et al. 2025, arXiv 2505.03335), Algorithm 1: one model poses Python tasks, a
//! Python interpreter checks them, the model solves them, and both halves are rewarded. [`step`] is the page.

use kelvin_core::{
    environment::DynEnvironment,
    metrics::Metrics,
    rollout::{Rewarded, Role, Sample},
    seed::Seed,
    task::{Task, TaskType},
};

use crate::{
    advantage,
    clock::Stopwatch,
    intrinsic, novelty, posed,
    records::Records,
    reference,
    report::{Seconds, StepReport, Updated},
    reward,
    settings::{AzrSettings, RunSettings, SolveLag},
    stage::{self, Played, Poses, ProposalAsk, Scene, Screen, Solved, Solves},
    state::{HeldOut, RunState},
    vote,
};

/// One step: propose, validate, estimate learnability, solve, reward, TRR++, update.
///
/// # Errors
/// If the policy, the sandbox or the trainer fails; what a model writes is never an error.
pub fn step(
    state: &mut RunState,
    env: &dyn DynEnvironment,
    held_out: &HeldOut,
    settings: &RunSettings,
) -> anyhow::Result<StepReport> {
    state.buffer.limit(settings);
    let now = state.step + 1;
    let seed = Seed::new(settings.seed).fork("step").nth(u64::from(now));
    let scene = Scene { env, player: state.policies.player(Role::Solver), step: now, settings };
    let (azr, types) = (&settings.azr, &settings.task_types);

    // Propose a batch per task type from K past examples, validate each proposal by execution, and estimate the
    // learnability of each valid task by n tries of the solver (Eq. 4); with lag 1, solve what the last step left.
    // All rows are drawn in one call, and each is judged as it finishes.
    let n_asks = azr.proposals_at(now);
    let asks = stage::proposal_asks(scene, &state.buffer, types, n_asks, seed.fork("references"))?;
    let mut problems = match azr.solve_lag {
        SolveLag::Zero => Vec::new(),
        SolveLag::One => draw_problems(state, env, settings, seed),
    };
    let screen = Screen { buffer: &state.buffer, held_out };
    let poses = poses(&asks, screen, settings, seed);
    let played = stage::play(scene, poses, solves(&problems, settings, seed))?;
    let played = vote::settled(env, played, azr.unreadable_max)?;

    // What proposals show beside their solve rate: seen before they grow the buffer. With lag 0, solve what it then holds.
    let mut watch = Stopwatch::start();
    let near = novelty::look(scene, &asks, &played.estimated, &state.buffer)?;
    let seen = intrinsic::see(scene, &asks, &played.estimated, &near, &state.buffer)?;
    let mut played = novelty::refuse(played, &near, azr);
    let see_s = watch.lap();
    state.buffer.admit(env, &played.estimated, azr)?;
    if azr.solve_lag == SolveLag::Zero {
        problems = draw_problems(state, env, settings, seed);
        let later = stage::play(scene, Poses::none(), solves(&problems, settings, seed))?;
        played = Played { solved: later.solved, time: played.time.then(later.time), ..played };
    }
    let Played { estimated, attempts, solved, n_dropped, time } = played;
    state.buffer.observe(env, &problems, &solved, azr)?;
    watch.lap();
    let posed = posed::of_step(env, &estimated, azr)?;
    let records = Records::of(env, (seen, near), &problems, &solved, [&posed, &state.posed])?;
    let measure_s = see_s + watch.lap();

    // Reward both roles (Eq. 4 to 6), and compare each rollout with its own role and task type (TRR++, Eq. 8), or
    // each solution with the others of its task where it has others.
    let mut rewarded = reward::all(&estimated, &solved, azr, seed.fork("coin"));
    intrinsic::pay(&mut rewarded, &estimated, &records.seen, settings);
    let mut batch = compared(rewarded.clone(), &attempts, azr, seed);

    // One update on the whole batch (Eq. 9).
    let temperature = settings.sampling.solve.temperature;
    if let Some(reference) = &state.reference {
        reference::score(&mut batch, &**reference, temperature)?;
    }
    let objective = settings.objective.objective(temperature);
    let adam = settings.optimizer.at(now);
    let (loss, optim) = state.policies.update(Role::Solver, &batch, &objective, &adam)?;
    let update = Some(Updated { loss, optim, learning_rate: adam.learning_rate });
    (state.step, state.posed) = (now, posed);
    let seconds = Seconds { sampling: time, measure_s, update_s: watch.lap() };
    let own = Metrics::new();
    Ok(StepReport { estimated, attempts, solved, rewarded, batch, records, update, n_dropped, own, seconds })
}

/// The proposals of a step, with the tries behind their learnability.
fn poses<'step>(
    asks: &'step [ProposalAsk],
    screen: Screen<'step>,
    settings: &'step RunSettings,
    seed: Seed,
) -> Poses<'step> {
    let (sampling, n_estimate) = (&settings.sampling.propose, settings.azr.n_estimate);
    Poses { asks, sampling, screen: Some(screen), n_estimate, seed }
}

/// The solutions that a step trains on.
fn solves<'step>(problems: &'step [Task], settings: &'step RunSettings, seed: Seed) -> Solves<'step> {
    Solves {
        tasks: problems,
        n: settings.azr.n_solutions,
        sampling: &settings.sampling.solve,
        seed: seed.fork("solve"),
    }
}

/// What solvers are asked. Where truth is a vote, that is what was voted on: what a run began with may not have been.
fn draw_problems(
    state: &RunState,
    env: &dyn DynEnvironment,
    settings: &RunSettings,
    seed: Seed,
) -> Vec<Task> {
    let (azr, seed) = (&settings.azr, seed.fork("problems"));
    let draw = |&task_type: &TaskType| {
        let seed = seed.fork(task_type.as_str());
        state.buffer.problems(task_type, azr.batch_size, state.step + 1, azr, seed)
    };
    let can_grade = |it: &Task| it.label.is_some() || !env.truth_by_vote();
    settings.task_types.iter().flat_map(draw).filter(can_grade).collect()
}

/// The rollouts of the roles that train (ablation `train_propose`) with their advantages, proposals first, then the
/// tries behind learnability where they train.
fn compared(rewarded: Vec<Rewarded>, attempts: &[Solved], azr: &AzrSettings, seed: Seed) -> Vec<Sample> {
    let (proposals, solutions): (Vec<_>, Vec<_>) =
        rewarded.into_iter().partition(|it| it.rollout.role == Role::Proposer);
    let proposals = if azr.train_propose { proposals } else { Vec::new() };
    let (single, in_groups) = match azr.n_solutions {
        1 => ([proposals, solutions].concat(), Vec::new()),
        _ => (proposals, solutions),
    };
    let mut batch = advantage::of_single(single, azr);
    batch.extend(advantage::of_groups(in_groups, azr));
    if azr.train_estimates {
        let rewarded = reward::solutions(attempts, azr, seed.fork("estimate-coin"));
        batch.extend(advantage::of_groups(rewarded, azr));
    }
    batch
}
