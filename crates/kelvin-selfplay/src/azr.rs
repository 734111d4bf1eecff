//! Absolute Zero Reasoner (Zhao et al. 2025, arXiv 2505.03335), Algorithm 1: one model poses Python tasks, a
//! Python interpreter checks them, the model solves them, and both halves are rewarded. [`step`] is the page.

use kelvin_core::{
    environment::DynEnvironment,
    policy::{LossStats, OptimStats},
    rollout::{Rewarded, Role, Sample},
    seed::Seed,
    task::{Task, TaskType},
};

use crate::{
    advantage,
    clock::Stopwatch,
    reference, reward,
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

    // Grow the buffer, and solve: this step's tasks with lag 0, the last step's with lag 1.
    state.buffer.append(env, estimated.iter().filter_map(|it| admitted(it, azr)))?;
    let problems = match azr.solve_lag {
        SolveLag::Zero => draw_problems(state, settings, seed),
        SolveLag::One => lagged,
    };
    let solved =
        stage::solve(scene, &problems, azr.n_solutions, &settings.sampling.solve, seed.fork("solve"))?;
    let solve_s = watch.lap();

    // Reward both roles (Eq. 4 to 6), and compare each rollout with its own role and task type (TRR++, Eq. 8), or
    // each solution with the others of its task where it has others.
    let rewarded = reward::all(&estimated, &solved, azr, seed.fork("coin"));
    let mut batch = compared(rewarded.clone(), azr);
    if azr.train_estimates {
        let attempts = reward::solutions(&attempts, azr, seed.fork("estimate-coin"));
        batch.extend(advantage::of_groups(attempts, azr));
    }

    // One update on the whole batch (Eq. 9).
    let temperature = settings.sampling.solve.temperature;
    if let Some(reference) = &state.reference {
        reference::score(&mut batch, &**reference, temperature)?;
    }
    let objective = settings.objective.objective(temperature);
    let (loss, optim) = state.policies.update(&batch, &objective, &settings.optimizer.at(now))?;
    state.step = now;
    let seconds = Seconds { propose: propose_s, estimate: estimate_s, solve: solve_s, update: watch.lap() };
    Ok(StepReport { estimated, solved, rewarded, batch, loss, optim, seconds })
}

/// What a step did, for metrics and transcripts.
pub struct StepReport {
    /// The proposals.
    pub estimated: Vec<Estimated>,
    /// The solutions of the problems that were drawn.
    pub solved: Vec<Solved>,
    /// Both with their rewards, proposals first.
    pub rewarded: Vec<Rewarded>,
    /// What the update saw: those of `rewarded` that train, then estimates if they do.
    pub batch: Vec<Sample>,
    /// What the loss said.
    pub loss: LossStats,
    /// What the optimizer said.
    pub optim: OptimStats,
    /// Where the time went.
    pub seconds: Seconds,
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
    /// Rewards, advantages, the update and its publication.
    pub update: f64,
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
