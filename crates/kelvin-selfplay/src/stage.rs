//! The verbs of self-play. Each takes values, returns values and changes nothing; completions are judged (run,
//! validated, graded) on other threads while the rest still decode, and come back in the order they were asked.

use std::sync::{Arc, Mutex, mpsc};

use kelvin_core::{
    environment::DynEnvironment,
    policy::{Player, completions},
    rollout::{Completion, Prompt, Role, Rollout, SampleRequest, Sampling},
    seed::Seed,
    task::{Grade, Reason, Rejection, SEED_STAGE, Step, Task, TaskType},
};

use crate::{
    buffer::TaskBuffer,
    settings::{Duplicates, RunSettings},
    state::HeldOut,
};

/// What a stage plays with: a domain, a frozen policy, and the step it happens in.
#[derive(Clone, Copy)]
pub struct Scene<'run> {
    /// The domain.
    pub env: &'run dyn DynEnvironment,
    /// The policy; it cannot learn while this borrow lives.
    pub player: Player<'run>,
    /// The current step.
    pub step: Step,
    /// The settings of the run.
    pub settings: &'run RunSettings,
}

/// What a proposer is asked: pose a task of this type, given these.
pub struct ProposalAsk {
    /// The type of task.
    pub task_type: TaskType,
    /// What the prompt shows.
    pub references: Vec<Task>,
    /// The prompt.
    pub prompt: Prompt,
}

/// A proposal after validation by execution.
pub struct Proposed {
    /// The proposer's rollout.
    pub rollout: Rollout,
    /// The response has the asked-for form.
    pub formatted: bool,
    /// The task, or why it is none.
    pub outcome: Result<Task, Rejection>,
}

/// A proposal with what the solver made of it.
pub struct Estimated {
    /// The proposer's rollout.
    pub rollout: Rollout,
    /// The response has the asked-for form.
    pub formatted: bool,
    /// The task with the grades of its Monte-Carlo solves, or why it is none.
    pub outcome: Result<(Task, Vec<Grade>), Rejection>,
}

/// A solver's rollout with its grade.
pub struct Solved {
    /// The solver's rollout.
    pub rollout: Rollout,
    /// Its grade.
    pub grade: Grade,
    /// The step at which its task entered the buffer.
    pub born: Step,
}

/// Chooses references from the buffer and writes `per_type` prompts for each task type. A prompt over its token
/// limit loses references; one that needs its only reference gets another.
///
/// # Errors
/// If no prompt of a type fits its limit, or the buffer holds nothing to refer to.
pub fn proposal_asks(
    scene: Scene,
    buffer: &TaskBuffer,
    task_types: &[TaskType],
    per_type: usize,
    seed: Seed,
) -> anyhow::Result<Vec<ProposalAsk>> {
    let mut asks = Vec::with_capacity(task_types.len() * per_type);
    for &task_type in task_types {
        let seed = seed.fork(task_type.as_str());
        for index in 0..per_type {
            asks.push(proposal_ask(scene, buffer, task_type, seed.nth(index as u64))?);
        }
    }
    Ok(asks)
}

/// Draws before a task type whose one reference never fits is an error.
const REFERENCE_DRAWS_MAX: u64 = 64;

fn proposal_ask(
    scene: Scene,
    buffer: &TaskBuffer,
    task_type: TaskType,
    seed: Seed,
) -> anyhow::Result<ProposalAsk> {
    let azr = &scene.settings.azr;
    let tokens_max = scene.settings.sampling.propose_prompt_tokens_max;
    let shown = if azr.include_references { azr.n_references } else { 0 };
    let needed = scene.env.references_needed(task_type);
    let from = scene.env.reference_types(task_type);
    for draw in 0..REFERENCE_DRAWS_MAX {
        let mut references = buffer.references(&from, needed.unwrap_or(shown), azr, seed.nth(draw));
        anyhow::ensure!(
            needed.is_none_or(|it| references.len() == it),
            "the buffer has nothing to pose a {task_type} task about\nhint: play a type it can refer to as well"
        );
        loop {
            let prompt = scene.env.propose_prompt(task_type, &references)?;
            if scene.player.sampler.prompt_len(&prompt)? <= tokens_max {
                return Ok(ProposalAsk { task_type, references, prompt });
            }
            if needed.is_some() || references.pop().is_none() {
                break;
            }
        }
    }
    anyhow::bail!(
        "no {task_type} proposal prompt fits {tokens_max} tokens\n\
         hint: raise sampling.propose_prompt_tokens_max"
    )
}

/// One proposal per ask, validated by execution as it finishes.
///
/// # Errors
/// If the policy or the sandbox fails.
pub fn propose(
    scene: Scene,
    asks: &[ProposalAsk],
    sampling: &Sampling,
    seed: Seed,
) -> anyhow::Result<Vec<Proposed>> {
    let prompts = asks.iter().map(|it| (it.task_type, it.prompt.clone())).collect();
    roll(scene, Role::Proposer, prompts, 1, sampling, seed, |rollout| {
        let ask = &asks[rollout.group];
        let text = &rollout.completion.text;
        let formatted = scene.env.proposal_is_formatted(ask.task_type, text);
        let outcome = match scene.step {
            SEED_STAGE => scene.env.validate_seed(ask.task_type, &ask.references, text)?,
            _ => scene.env.validate(ask.task_type, &ask.references, text)?,
        };
        let outcome = outcome.map(|task| Task { born: scene.step, ..task });
        Ok(Proposed { rollout, formatted, outcome })
    })
}

/// Rejects what the buffer holds already (if the settings say so), what would train on a held-out program, and
/// what no solver prompt has room for.
///
/// # Errors
/// If a task does not fit its environment.
pub fn screen(
    scene: Scene,
    proposed: Vec<Proposed>,
    buffer: &TaskBuffer,
    held_out: &HeldOut,
) -> anyhow::Result<Vec<Proposed>> {
    let mut seen = std::collections::HashSet::new();
    let mut screened = Vec::with_capacity(proposed.len());
    for it in proposed {
        let outcome = match it.outcome {
            Err(rejection) => Err(rejection),
            Ok(task) => match refusal(scene, &task, buffer, held_out, &mut seen)? {
                Some(rejection) => Err(rejection),
                None => Ok(task),
            },
        };
        screened.push(Proposed { outcome, ..it });
    }
    Ok(screened)
}

fn refusal(
    scene: Scene,
    task: &Task,
    buffer: &TaskBuffer,
    held_out: &HeldOut,
    seen: &mut std::collections::HashSet<(TaskType, String)>,
) -> anyhow::Result<Option<Rejection>> {
    if let Some(rejection) = unfit(scene, task, held_out)? {
        return Ok(Some(rejection));
    }
    if scene.settings.azr.duplicates == Duplicates::Reject {
        let identity = (task.task_type, scene.env.identity(task)?);
        if buffer.holds(&identity) || !seen.insert(identity) {
            return Ok(Some(Rejection::new(Reason::Duplicate, "the buffer holds it already")));
        }
    }
    Ok(None)
}

/// Why no run may train on a task: it is held out, or no solver prompt has room for it.
///
/// # Errors
/// If the task does not fit its environment.
pub(crate) fn unfit(scene: Scene, task: &Task, held_out: &HeldOut) -> anyhow::Result<Option<Rejection>> {
    if held_out.families.contains(&scene.env.family(task)?) {
        return Ok(Some(Rejection::new(Reason::HeldOut, "its program is in the held-out set")));
    }
    let n_tokens = scene.player.sampler.prompt_len(&scene.env.solve_prompt(task)?)?;
    let n_tokens_max = scene.settings.sampling.solve_prompt_tokens_max;
    if n_tokens_max < n_tokens {
        let detail = format!("its solver prompt has {n_tokens} tokens of {n_tokens_max}");
        return Ok(Some(Rejection::new(Reason::PromptTooLong, detail)));
    }
    Ok(None)
}

/// Learnability's raw material: `n` Monte-Carlo solves of each valid proposal. Gives the proposals with the grades,
/// and the solves themselves, those of one task as neighbours.
///
/// # Errors
/// If the policy or the sandbox fails.
pub fn estimate(
    scene: Scene,
    proposed: Vec<Proposed>,
    n: usize,
    seed: Seed,
) -> anyhow::Result<(Vec<Estimated>, Vec<Solved>)> {
    let tasks: Vec<Task> = proposed.iter().filter_map(|it| it.outcome.clone().ok()).collect();
    let solved = solve(scene, &tasks, n, &scene.settings.sampling.estimate, seed)?;
    let mut groups = solved.chunks(n.max(1)).map(|group| group.iter().map(|it| it.grade).collect());
    let attach = |it: Proposed| Estimated {
        rollout: it.rollout,
        formatted: it.formatted,
        outcome: it.outcome.map(|task| (task, groups.next().expect("one group of solves per valid task"))),
    };
    Ok((proposed.into_iter().map(attach).collect(), solved))
}

/// `group_size` solutions of each task, graded as they finish; those of one task are neighbours.
///
/// # Errors
/// If the policy or the sandbox fails.
pub fn solve(
    scene: Scene,
    tasks: &[Task],
    group_size: usize,
    sampling: &Sampling,
    seed: Seed,
) -> anyhow::Result<Vec<Solved>> {
    let prompts = tasks.iter().map(|task| Ok((task.task_type, scene.env.solve_prompt(task)?)));
    let prompts = prompts.collect::<anyhow::Result<_>>()?;
    roll(scene, Role::Solver, prompts, group_size, sampling, seed, |rollout| {
        let task = &tasks[rollout.group];
        Ok(Solved { grade: scene.env.grade(task, &rollout.completion.text)?, born: task.born, rollout })
    })
}

/// Draws `group_size` completions of each prompt and judges each on a judge thread as soon as it finishes.
fn roll<T: Send>(
    scene: Scene,
    role: Role,
    prompts: Vec<(TaskType, Prompt)>,
    group_size: usize,
    sampling: &Sampling,
    seed: Seed,
    judge: impl Fn(Rollout) -> anyhow::Result<T> + Sync,
) -> anyhow::Result<Vec<T>> {
    let n_requests = prompts.len() * group_size;
    let sampling = Arc::new(sampling.clone());
    let (to_sampler, requests) = mpsc::channel();
    for (group, (_, prompt)) in prompts.iter().enumerate() {
        for member in 0..group_size {
            let seed = seed.nth(group as u64).nth(member as u64);
            let request = SampleRequest { prompt: prompt.clone(), seed, sampling: sampling.clone() };
            to_sampler.send((group * group_size + member, request)).expect("the receiver lives below");
        }
    }
    drop(to_sampler);
    let rollout = |index: usize, completion: Completion| {
        let (task_type, prompt) = prompts[index / group_size].clone();
        Rollout {
            policy: scene.player.name.clone(),
            version: scene.player.version,
            step: scene.step,
            role,
            task_type,
            group: index / group_size,
            prompt,
            completion,
        }
    };
    let judged: Mutex<Vec<Option<T>>> = Mutex::new((0..n_requests).map(|_| None).collect());
    let (to_judges, completions) = completions();
    let completions = Mutex::new(Some(completions));
    // A judge that fails takes the receiver away, so that the sampler stops and the other judges find nothing.
    let next = || -> Option<(usize, Completion)> {
        completions.lock().expect("judges do not panic holding it").as_ref()?.recv().ok()
    };
    let judge_all = || -> anyhow::Result<()> {
        while let Some((index, completion)) = next() {
            match judge(rollout(index, completion)) {
                Ok(value) => {
                    let previous =
                        judged.lock().expect("judges do not panic holding it")[index].replace(value);
                    assert!(previous.is_none(), "request {index} was answered twice");
                }
                Err(error) => {
                    completions.lock().expect("judges do not panic holding it").take();
                    return Err(error);
                }
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let judges: Vec<_> = (0..scene.settings.n_judges.max(1)).map(|_| scope.spawn(judge_all)).collect();
        let served = scene.player.sampler.serve(requests, to_judges);
        for judge in judges {
            judge.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        served
    })?;
    let judged = judged.into_inner().expect("all judges have joined");
    Ok(judged.into_iter().map(|it| it.expect("every request is answered")).collect())
}

#[cfg(test)]
pub(crate) mod tests {
    use kelvin_core::rollout::Finish;

    use super::*;

    /// A rollout of `n_tokens` tokens of no importance.
    pub(crate) fn rollout(n_tokens: usize) -> Rollout {
        Rollout {
            policy: "policy".into(),
            version: 0,
            step: 1,
            role: Role::Solver,
            task_type: TaskType::Deduction,
            group: 0,
            prompt: String::new(),
            completion: Completion {
                prompt_tokens: Arc::new([1]),
                tokens: vec![2; n_tokens],
                logprobs: vec![-1.0; n_tokens],
                plain_logprobs: vec![-1.0; n_tokens],
                text: String::new(),
                finish: Finish::Stop,
            },
        }
    }
}
