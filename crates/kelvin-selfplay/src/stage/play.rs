//! All of a step's sampling in one call. Proposals and the solutions of drawn problems are asked for at once; as soon
//! as a proposal is a task, its Monte-Carlo solutions join the same call, round by round where the settings stop early.
//!
//! What comes out depends on no order of completion: each request's seed is a path by its own place, a round is looked
//! at when it is complete, and which of several equal proposals is the task is decided in the order of requests. A
//! later one that finished first may have been tried already: its tries are drawn for nothing and dropped.

use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use kelvin_core::{
    policy::Indexed,
    rollout::{Completion, Prompt, Role, Rollout, SampleRequest, Sampling},
    seed::Seed,
    task::{Grade, Rejection, SEED_STAGE, Task, TaskType},
};

use super::{
    Estimated, ProposalAsk, Scene, Screen, Solved, StreamTime,
    screen::{Owners, Posed, copy, screened},
    stopping,
    stream::{Judge, stream},
    timeline::{Tokens, Work},
};
use crate::vote;

/// Proposals to draw, one for each ask, and the tries behind their learnability.
#[derive(Clone, Copy)]
pub struct Poses<'step> {
    /// What proposers are asked.
    pub asks: &'step [ProposalAsk],
    /// How to draw proposals.
    pub sampling: &'step Sampling,
    /// What keeps valid proposals out; nothing without it.
    pub screen: Option<Screen<'step>>,
    /// Monte-Carlo solutions of each task at most; fewer where `azr.estimate_stop` ends them.
    pub n_estimate: usize,
    /// Proposals draw below its child `propose`, tries below `estimate` by the place of their proposal.
    pub seed: Seed,
}

/// Solutions to draw, `n` for each task.
#[derive(Clone, Copy)]
pub struct Solves<'step> {
    /// The problems.
    pub tasks: &'step [Task],
    /// Solutions of each.
    pub n: usize,
    /// How to draw them.
    pub sampling: &'step Sampling,
    /// Each draws below its place.
    pub seed: Seed,
}

/// What nothing is drawn with.
static NO_DRAWS: Sampling = Sampling::plain(0);

impl Poses<'_> {
    /// No proposals.
    pub fn none() -> Poses<'static> {
        Poses { asks: &[], sampling: &NO_DRAWS, screen: None, n_estimate: 0, seed: Seed::new(0) }
    }
}

impl Solves<'_> {
    /// No solutions.
    pub fn none() -> Solves<'static> {
        Solves { tasks: &[], n: 0, sampling: &NO_DRAWS, seed: Seed::new(0) }
    }
}

/// What came of one call.
pub struct Played {
    /// The proposals, in the order of their asks, with the grades of their tries.
    pub estimated: Vec<Estimated>,
    /// The tries themselves, those of one task as neighbours; their group is the place of their proposal.
    pub attempts: Vec<Solved>,
    /// The solutions, those of one task as neighbours.
    pub solved: Vec<Solved>,
    /// Tries of proposals that turned out to be copies. Depends on which row finished first.
    pub n_dropped: usize,
    /// Where the time went.
    pub time: StreamTime,
}

/// Draws proposals, their tries and solutions in one call, judging each as it finishes.
///
/// # Errors
/// If the policy or the sandbox fails.
pub fn play(scene: Scene, poses: Poses, solves: Solves) -> anyhow::Result<Played> {
    let prompts = solves.tasks.iter().map(|task| scene.env.solve_prompt(task));
    let stage = Stage {
        scene,
        poses,
        solves,
        solve_prompts: prompts.collect::<anyhow::Result<_>>()?,
        estimate_sampling: Arc::new(scene.settings.sampling.estimate.clone()),
        proposals: poses.asks.iter().map(|_| OnceLock::new()).collect(),
        solutions: (0..solves.tasks.len() * solves.n).map(|_| OnceLock::new()).collect(),
        tries: Mutex::new(Tries {
            owners: Owners::default(),
            of_proposal: poses.asks.iter().map(|_| Vec::new()).collect(),
        }),
        n_tries: AtomicUsize::new(0),
        n_try_tokens: AtomicUsize::new(0),
    };
    let timeline = stream(scene.player.sampler, scene.settings.n_judges, stage.opening(), &stage)?;
    let time = timeline.ended(stage.tokens());
    Ok(stage.played(time))
}

/// One call while it goes.
struct Stage<'step> {
    scene: Scene<'step>,
    poses: Poses<'step>,
    solves: Solves<'step>,
    /// Of each problem.
    solve_prompts: Vec<Prompt>,
    estimate_sampling: Arc<Sampling>,
    proposals: Vec<OnceLock<Judged>>,
    solutions: Vec<OnceLock<Solved>>,
    tries: Mutex<Tries>,
    n_tries: AtomicUsize,
    n_try_tokens: AtomicUsize,
}

/// A proposal with its verdict.
struct Judged {
    rollout: Rollout,
    formatted: bool,
    outcome: Result<Posed, Rejection>,
}

/// The Monte-Carlo solutions so far.
struct Tries {
    owners: Owners,
    /// Those asked for, in their order; filled as they are graded.
    of_proposal: Vec<Vec<Option<Solved>>>,
}

/// What a request is for. Each has its own index, whatever is asked and when.
#[derive(Clone, Copy)]
enum Slot {
    Proposal(usize),
    Solution { problem: usize, member: usize },
    Try { proposal: usize, member: usize },
}

impl Judge for Stage<'_> {
    fn work(&self, index: usize) -> Work {
        match self.slot(index) {
            Slot::Proposal(_) => Work::Validate,
            Slot::Solution { .. } | Slot::Try { .. } => Work::Grade,
        }
    }

    fn judge(&self, index: usize, completion: Completion) -> anyhow::Result<Vec<Indexed<SampleRequest>>> {
        match self.slot(index) {
            Slot::Proposal(proposal) => self.validate(proposal, completion),
            Slot::Solution { problem, member } => {
                let (task, prompt) = (&self.solves.tasks[problem], &self.solve_prompts[problem]);
                let solved = self.grade(problem, task, prompt, completion)?;
                let known = self.solutions[problem * self.solves.n + member].set(solved);
                assert!(known.is_ok(), "request {index} was answered twice");
                Ok(Vec::new())
            }
            Slot::Try { proposal, member } => self.attempt(proposal, member, completion),
        }
    }
}

impl Stage<'_> {
    /// What needs nobody's verdict: proposals first, since tries wait for them.
    fn opening(&self) -> Vec<Indexed<SampleRequest>> {
        let Solves { n, sampling, seed, .. } = self.solves;
        let propose_sampling = Arc::new(self.poses.sampling.clone());
        let solve_sampling = Arc::new(sampling.clone());
        let propose_seed = self.poses.seed.fork("propose");
        let proposals = self.poses.asks.iter().enumerate().map(|(proposal, ask)| {
            let seed = propose_seed.nth(proposal as u64).nth(0);
            let sampling = propose_sampling.clone();
            let request = SampleRequest { prompt: ask.prompt.clone(), seed, sampling };
            (self.index(Slot::Proposal(proposal)), request)
        });
        let solutions = self.solve_prompts.iter().enumerate().flat_map(|(problem, prompt)| {
            let solve_sampling = &solve_sampling;
            (0..n).map(move |member| {
                let seed = seed.nth(problem as u64).nth(member as u64);
                let request =
                    SampleRequest { prompt: prompt.clone(), seed, sampling: solve_sampling.clone() };
                (self.index(Slot::Solution { problem, member }), request)
            })
        });
        proposals.chain(solutions).collect()
    }

    fn index(&self, slot: Slot) -> usize {
        let (n_proposals, n_solutions) = (self.proposals.len(), self.solutions.len());
        match slot {
            Slot::Proposal(proposal) => proposal,
            Slot::Solution { problem, member } => n_proposals + problem * self.solves.n + member,
            Slot::Try { proposal, member } => {
                n_proposals + n_solutions + proposal * self.poses.n_estimate + member
            }
        }
    }

    fn slot(&self, index: usize) -> Slot {
        let Some(index) = index.checked_sub(self.proposals.len()) else { return Slot::Proposal(index) };
        let Some(index) = index.checked_sub(self.solutions.len()) else {
            return Slot::Solution { problem: index / self.solves.n, member: index % self.solves.n };
        };
        Slot::Try { proposal: index / self.poses.n_estimate, member: index % self.poses.n_estimate }
    }

    /// Judges a proposal; if it is a task, its first tries are asked for.
    fn validate(
        &self,
        proposal: usize,
        completion: Completion,
    ) -> anyhow::Result<Vec<Indexed<SampleRequest>>> {
        let (scene, ask) = (self.scene, &self.poses.asks[proposal]);
        let formatted = scene.env.proposal_is_formatted(ask.task_type, &completion.text);
        let outcome = match scene.step {
            SEED_STAGE => scene.env.validate_seed(ask.task_type, ask.given(), &completion.text)?,
            _ => scene.env.validate(ask.task_type, ask.given(), &completion.text)?,
        };
        let outcome = match outcome {
            Ok(task) => {
                let task = Task { born: scene.step, ..task };
                screened(scene, task, &ask.references, self.poses.screen)?
            }
            Err(rejection) => Err(rejection),
        };
        let rollout = self.rollout(Role::Proposer, ask.task_type, proposal, &ask.prompt, completion);
        let known = self.proposals[proposal].set(Judged { rollout, formatted, outcome });
        assert!(known.is_ok(), "proposal {proposal} was answered twice");
        let Ok(posed) = self.posed(proposal) else { return Ok(Vec::new()) };
        let mut tries = self.tries();
        tries.owners.claim(proposal, posed);
        Ok(self.next_round(&mut tries, proposal, posed))
    }

    /// Grades a try; the last one of a round may ask for another.
    fn attempt(
        &self,
        proposal: usize,
        member: usize,
        completion: Completion,
    ) -> anyhow::Result<Vec<Indexed<SampleRequest>>> {
        self.n_tries.fetch_add(1, Ordering::Relaxed);
        self.n_try_tokens.fetch_add(completion.tokens.len(), Ordering::Relaxed);
        let posed = self.posed(proposal).expect("only tasks are tried");
        if !self.tries().owners.owns(proposal, posed) {
            return Ok(Vec::new());
        }
        let solved = self.grade(proposal, &posed.task, &posed.solve_prompt, completion)?;
        let mut tries = self.tries();
        let known = tries.of_proposal[proposal][member].replace(solved);
        assert!(known.is_none(), "try {member} of proposal {proposal} was answered twice");
        Ok(self.next_round(&mut tries, proposal, posed))
    }

    /// The tries that follow those there are, if these are complete and the task is still this proposal's.
    fn next_round(&self, tries: &mut Tries, proposal: usize, posed: &Posed) -> Vec<Indexed<SampleRequest>> {
        let so_far = &mut tries.of_proposal[proposal];
        let scores: Option<Vec<f32>> = so_far.iter().map(|it| it.as_ref().map(|it| it.grade.score)).collect();
        let Some(scores) = scores.filter(|_| tries.owners.owns(proposal, posed)) else { return Vec::new() };
        let n_more = stopping::n_more(&scores, self.poses.n_estimate, &self.scene.settings.azr);
        so_far.resize_with(scores.len() + n_more, || None);
        let seed = self.poses.seed.fork("estimate").nth(proposal as u64);
        let request = |member: usize| {
            let sampling = self.estimate_sampling.clone();
            let request =
                SampleRequest { prompt: posed.solve_prompt.clone(), seed: seed.nth(member as u64), sampling };
            (self.index(Slot::Try { proposal, member }), request)
        };
        (scores.len()..scores.len() + n_more).map(request).collect()
    }

    fn grade(
        &self,
        group: usize,
        task: &Task,
        prompt: &Prompt,
        completion: Completion,
    ) -> anyhow::Result<Solved> {
        let env = self.scene.env;
        let grade = match &task.label {
            None if env.truth_by_vote() => vote::provisional(env, task, &completion.text)?,
            _ => env.grade(task, &completion.text)?,
        };
        let rollout = self.rollout(Role::Solver, task.task_type, group, prompt, completion);
        Ok(Solved { rollout, grade, born: task.born })
    }

    fn rollout(
        &self,
        role: Role,
        task_type: TaskType,
        group: usize,
        prompt: &Prompt,
        completion: Completion,
    ) -> Rollout {
        Rollout {
            policy: self.scene.player.name.clone(),
            // Engines elsewhere may lag.
            version: self.scene.player.version.saturating_sub(completion.behind),
            step: self.scene.step,
            role,
            task_type,
            group,
            prompt: prompt.clone(),
            completion,
        }
    }

    fn posed(&self, proposal: usize) -> Result<&Posed, &Rejection> {
        self.proposals[proposal].get().expect("it was judged").outcome.as_ref()
    }

    fn tries(&self) -> MutexGuard<'_, Tries> {
        self.tries.lock().expect("judges do not panic holding it")
    }

    fn tokens(&self) -> Tokens {
        let of = |rollout: &Rollout| rollout.completion.tokens.len();
        Tokens {
            propose: self.proposals.iter().filter_map(OnceLock::get).map(|it| of(&it.rollout)).sum(),
            estimate: self.n_try_tokens.load(Ordering::Relaxed),
            solve: self.solutions.iter().filter_map(OnceLock::get).map(|it| of(&it.rollout)).sum(),
        }
    }

    /// Everything in the order of requests, once all verdicts are in.
    fn played(self, time: StreamTime) -> Played {
        let Tries { owners, of_proposal } = self.tries.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (mut estimated, mut attempts) = (Vec::new(), Vec::new());
        for (proposal, (judged, tries)) in self.proposals.into_iter().zip(of_proposal).enumerate() {
            let Judged { rollout, formatted, outcome } = judged.into_inner().expect("all are judged");
            let outcome = match outcome {
                Ok(posed) if !owners.owns(proposal, &posed) => Err(copy()),
                Ok(posed) => {
                    let before = attempts.len();
                    attempts.extend(tries.into_iter().map(|it| it.expect("the last round is complete")));
                    let own = &attempts[before..];
                    Ok((posed.task, own.iter().map(|it: &Solved| it.grade).collect::<Vec<Grade>>()))
                }
                Err(rejection) => Err(rejection),
            };
            estimated.push(Estimated { rollout, formatted, outcome });
        }
        let solved = self.solutions.into_iter().map(|it| it.into_inner().expect("all are judged")).collect();
        let n_dropped = self.n_tries.into_inner() - attempts.len();
        Played { estimated, attempts, solved, n_dropped, time }
    }
}
