//! Truth by vote: in a domain without ground truth the majority of the solver's own answers labels a task, and answers are
//! right where they agree with it (r-zero.md section 3).

use kelvin_core::{
    environment::DynEnvironment,
    metrics::Metrics,
    task::{Grade, Label, Miss, Reason, Rejection, Task},
    vote::majority_vote,
};

use crate::stage::{Estimated, Played, Solved};

/// What an answer is worth before its task has a label: its form alone.
///
/// # Errors
/// If the task is another environment's.
pub(crate) fn provisional(env: &dyn DynEnvironment, task: &Task, response: &str) -> anyhow::Result<Grade> {
    Ok(match env.answer(task, response)? {
        Some(_) => Grade::missed(Miss::Wrong),
        None => Grade::malformed(),
    })
}

/// Labels each task with the majority of its attempts, and grades them by it. A task whose attempts can too rarely be
/// read is none: a share over `unreadable_max`, or all. In a domain with ground truth nothing changes.
///
/// # Errors
/// If the environment fails.
pub fn settle(
    env: &dyn DynEnvironment,
    estimated: &mut [Estimated],
    attempts: &mut Vec<Solved>,
    unreadable_max: f32,
) -> anyhow::Result<()> {
    if !env.truth_by_vote() {
        return Ok(());
    }
    let mut refused = Vec::new();
    let mut begin = 0;
    for (place, it) in estimated.iter_mut().enumerate() {
        let Ok((task, grades)) = &mut it.outcome else { continue };
        let own = &mut attempts[begin..begin + grades.len()];
        begin += grades.len();
        assert!(own.iter().all(|it| it.rollout.group == place), "attempts lie in the order of their tasks");
        let answers: Vec<Option<String>> = own
            .iter()
            .map(|it| env.answer(task, &it.rollout.completion.text))
            .collect::<anyhow::Result<_>>()?;
        let vote = majority_vote(&answers);
        let unreadable = vote.n_unparsable as f32 / vote.denominator.max(1) as f32;
        let Some(winner) = vote.winner.cloned().filter(|_| unreadable <= unreadable_max) else {
            let detail =
                format!("{} of {} answers to it cannot be read", vote.n_unparsable, vote.denominator);
            it.outcome = Err(Rejection::new(Reason::Unanswerable, detail));
            refused.push(place);
            continue;
        };
        task.label = Some(Label { answer: winner, share: vote.share() as f32 });
        for (attempt, grade) in own.iter_mut().zip(grades) {
            attempt.grade = env.grade(task, &attempt.rollout.completion.text)?;
            *grade = attempt.grade;
        }
    }
    attempts.retain(|it| !refused.contains(&it.rollout.group));
    Ok(())
}

/// [`settle`] for all that a call drew.
///
/// # Errors
/// If the environment fails.
pub fn settled(env: &dyn DynEnvironment, played: Played, unreadable_max: f32) -> anyhow::Result<Played> {
    let Played { mut estimated, mut attempts, .. } = played;
    settle(env, &mut estimated, &mut attempts, unreadable_max)?;
    Ok(Played { estimated, attempts, ..played })
}

/// How the answers of a step agree; nothing where nobody answered.
pub fn metrics(attempts: &[Solved]) -> Metrics {
    if attempts.is_empty() {
        return Metrics::new();
    }
    let share = |of: &dyn Fn(&Grade) -> bool| {
        attempts.iter().filter(|it| of(&it.grade)).count() as f64 / attempts.len() as f64
    };
    Metrics::from([
        ("vote/agreement".to_owned(), share(&|it| it.correct)),
        ("vote/unreadable".to_owned(), share(&|it| it.miss == Some(Miss::Unparsable))),
    ])
}
