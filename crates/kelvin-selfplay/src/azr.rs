//! Absolute Zero Reasoner (Zhao et al. 2025, arXiv 2505.03335), Algorithm 1: one model poses Python tasks, a
//! Python interpreter checks them, the model solves them, and both halves are rewarded. [`step`] is the page.

use kelvin_core::{
    environment::DynEnvironment,
    measures::Behaviour,
    policy::{LossStats, OptimStats},
    rollout::{Rewarded, Role, Sample},
    seed::Seed,
    task::{Task, TaskType},
};

use crate::{
    advantage,
    clock::Stopwatch,
    intrinsic::{self, Seen},
    posed, reference, reward,
    settings::{Admit, AzrSettings, RunSettings, SolveLag},
    stage::{self, Estimated, Scene, Solved},
    state::{HeldOut, RunState},
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
    let now = state.step + 1;
    let seed = Seed::new(settings.seed).fork("step").nth(u64::from(now));
    let scene = Scene { env, player: state.policies.player(), step: now, settings };
    let (azr, types) = (&settings.azr, &settings.task_types);
    let mut watch = Stopwatch::start();

    // Propose a batch per task type from K past examples; each proposal is validated by execution as it finishes.
    let asks = stage::proposal_asks(scene, &state.buffer, types, azr.batch_size, seed.fork("references"))?;
    let lagged = draw_problems(state, settings, seed);
    let proposed = stage::propose(scene, &asks, &settings.sampling.propose, seed.fork("propose"))?;
    let proposed = stage::screen(scene, proposed, &state.buffer, held_out)?;
    let propose_s = watch.lap();

    // Estimate learnability: the solver tries each valid task n times (Eq. 4).
    let (estimated, attempts) = stage::estimate(scene, proposed, azr.n_estimate, seed.fork("estimate"))?;
    let estimate_s = watch.lap();
    let seen = intrinsic::see(env, &asks, &estimated, &state.buffer, settings, now)?;
    let see_s = watch.lap();

    // Grow the buffer, and solve: this step's tasks with lag 0, the last step's with lag 1.
    state.buffer.append(env, estimated.iter().filter_map(|it| admitted(it, azr)))?;
    let problems = match azr.solve_lag {
        SolveLag::Zero => draw_problems(state, settings, seed),
        SolveLag::One => lagged,
    };
    let solved =
        stage::solve(scene, &problems, azr.n_solutions, &settings.sampling.solve, seed.fork("solve"))?;
    let solve_s = watch.lap();

    // What answers do beside being right, and what their problems promised: for the records.
    let behaviours = behaviours(env, &problems, &solved)?;
    let posed = posed::of_step(env, &estimated, azr.learnability)?;
    let learnability = posed::of_problems(env, &problems, [&posed, &state.posed])?;
    let measure_s = see_s + watch.lap();

    // Reward both roles (Eq. 4 to 6), and compare each rollout with its own role and task type (TRR++, Eq. 8), or
    // each solution with the others of its task where it has others.
    let mut rewarded = reward::all(&estimated, &solved, azr, seed.fork("coin"));
    intrinsic::pay(&mut rewarded, &estimated, &seen, settings);
    let mut batch = compared(rewarded.clone(), azr);
    if azr.train_estimates {
        let rewarded = reward::solutions(&attempts, azr, seed.fork("estimate-coin"));
        batch.extend(advantage::of_groups(rewarded, azr));
    }

    // One update on the whole batch (Eq. 9).
    let temperature = settings.sampling.solve.temperature;
    if let Some(reference) = &state.reference {
        reference::score(&mut batch, &**reference, temperature)?;
    }
    let objective = settings.objective.objective(temperature);
    let (loss, optim) = state.policies.update(&batch, &objective, &settings.optimizer.at(now))?;
    (state.step, state.posed) = (now, posed);
    let update = watch.lap();
    let seconds =
        Seconds { propose: propose_s, estimate: estimate_s, solve: solve_s, measure: measure_s, update };
    let records = Records { seen, behaviours, learnability };
    Ok(StepReport { estimated, attempts, solved, rewarded, batch, records, loss, optim, seconds })
}

/// The seed stage (Algorithm 1, line 1): from the zero triplet, proposals without updates until each buffer
/// holds B times S different tasks. Types that are posed about others' tasks (induction) wait for those, or
/// their first batch would all be about the zero triplet. Gives the proposals that were made.
///
/// # Errors
/// If the policy or the sandbox fails.
pub fn seed(
    state: &mut RunState,
    env: &dyn DynEnvironment,
    held_out: &HeldOut,
    settings: &RunSettings,
) -> anyhow::Result<usize> {
    let zero = env.seed_tasks().into_iter().filter(|it| settings.task_types.contains(&it.task_type));
    state.buffer.append(env, zero)?;
    let seed = Seed::new(settings.seed).fork("seed");
    let (first, then): (Vec<TaskType>, Vec<TaskType>) =
        settings.task_types.iter().partition(|it| env.references_needed(**it).is_none());
    let mut n_proposed = 0;
    for (at, types) in [first, then].iter().enumerate() {
        for round in 0..settings.azr.seed_rounds_max {
            let short = short_of_seeds(state, settings, types);
            if short.is_empty() {
                break;
            }
            let seed = seed.nth(at as u64).nth(round as u64);
            n_proposed += seed_round(state, env, held_out, settings, &short, seed)?;
        }
    }
    state.seeded = true;
    Ok(n_proposed)
}

fn short_of_seeds(state: &RunState, settings: &RunSettings, types: &[TaskType]) -> Vec<TaskType> {
    let target = settings.azr.batch_size * settings.azr.seed_factor;
    types.iter().copied().filter(|it| state.buffer.pool(*it, usize::MAX).len() < target).collect()
}

fn seed_round(
    state: &mut RunState,
    env: &dyn DynEnvironment,
    held_out: &HeldOut,
    settings: &RunSettings,
    types: &[TaskType],
    seed: Seed,
) -> anyhow::Result<usize> {
    let scene = Scene { env, player: state.policies.player(), step: 0, settings };
    let n = settings.azr.batch_size;
    let asks = stage::proposal_asks(scene, &state.buffer, types, n, seed.fork("references"))?;
    let proposed = stage::propose(scene, &asks, &settings.sampling.seed, seed.fork("propose"))?;
    let screened = stage::screen(scene, proposed, &state.buffer, held_out)?;
    let n_proposed = screened.len();
    for task in screened.into_iter().filter_map(|it| it.outcome.ok()) {
        for task_type in env.seed_types(task.task_type) {
            let twin = Task { task_type, ..task.clone() };
            let is_wanted = !short_of_seeds(state, settings, &[task_type]).is_empty();
            if settings.task_types.contains(&task_type)
                && is_wanted
                && !state.buffer.holds(&(task_type, env.identity(&twin)?))
            {
                state.buffer.append(env, [twin])?;
            }
        }
    }
    Ok(n_proposed)
}

/// What a step did, for metrics and transcripts.
pub struct StepReport {
    /// The proposals.
    pub estimated: Vec<Estimated>,
    /// The solves behind their learnability.
    pub attempts: Vec<Solved>,
    /// The solutions of the problems that were drawn.
    pub solved: Vec<Solved>,
    /// Both with their rewards, proposals first.
    pub rewarded: Vec<Rewarded>,
    /// What the update saw: those of `rewarded` that train, then estimates if they do.
    pub batch: Vec<Sample>,
    /// What was seen of both.
    pub records: Records,
    /// What the loss said.
    pub loss: LossStats,
    /// What the optimizer said.
    pub optim: OptimStats,
    /// Where the time went.
    pub seconds: Seconds,
}

/// What a step shows beside rewards.
#[derive(Default)]
pub struct Records {
    /// Of each proposal that is a task, in their order.
    pub seen: Vec<Option<Seen>>,
    /// Of each solution, in their order.
    pub behaviours: Vec<Vec<(Behaviour, f64)>>,
    /// Of each problem that was drawn: its learnability, where it was posed in this step or the one before.
    pub learnability: Vec<Option<f32>>,
}

/// Wall time by phase, in seconds. Validation and grading overlap the decoding they follow.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seconds {
    /// Proposing and validating.
    pub propose: f64,
    /// Monte-Carlo solving and grading.
    pub estimate: f64,
    /// Solving and grading.
    pub solve: f64,
    /// Looking at proposals and solutions for the records.
    pub measure: f64,
    /// Rewards, advantages, the update and its publication.
    pub update: f64,
}

fn behaviours(
    env: &dyn DynEnvironment,
    problems: &[Task],
    solved: &[Solved],
) -> anyhow::Result<Vec<Vec<(Behaviour, f64)>>> {
    let of =
        |it: &Solved| env.behaviours(&problems[it.rollout.group], &it.rollout.completion.text, &it.grade);
    solved.iter().map(of).collect()
}

fn draw_problems(state: &RunState, settings: &RunSettings, seed: Seed) -> Vec<Task> {
    let (azr, seed) = (&settings.azr, seed.fork("problems"));
    let draw = |&task_type: &TaskType| {
        let seed = seed.fork(task_type.as_str());
        state.buffer.problems(task_type, azr.batch_size, state.step + 1, azr, seed)
    };
    settings.task_types.iter().flat_map(draw).collect()
}

fn admitted(estimated: &Estimated, azr: &AzrSettings) -> Option<Task> {
    let (task, grades) = estimated.outcome.as_ref().ok()?;
    let solve_rate = reward::solve_rate(grades);
    let admit = match azr.admit {
        Admit::All => true,
        Admit::NonOne => solve_rate < 1.0,
        Admit::Learnable => 0.0 < solve_rate && solve_rate < 1.0,
    };
    admit.then(|| task.clone())
}

/// The rollouts of the roles that train (ablation `train_propose`) with their advantages, proposals first.
fn compared(rewarded: Vec<Rewarded>, azr: &AzrSettings) -> Vec<Sample> {
    let (proposals, solutions): (Vec<_>, Vec<_>) =
        rewarded.into_iter().partition(|it| it.rollout.role == Role::Proposer);
    let proposals = if azr.train_propose { proposals } else { Vec::new() };
    let (single, in_groups) = match azr.n_solutions {
        1 => ([proposals, solutions].concat(), Vec::new()),
        _ => (proposals, solutions),
    };
    let mut batch = advantage::of_single(single, azr);
    batch.extend(advantage::of_groups(in_groups, azr));
    batch
}
