//! Baselines. Which rollouts are compared with which is the whole difference between estimators.

use std::collections::BTreeMap;

use kelvin_core::{
    rollout::{Rewarded, Sample},
    task::TaskType,
};

use crate::settings::AdvNorm;

/// Below this spread of rewards a group teaches nothing: its advantages are 0.
const SPREAD_MIN: f64 = 1e-4;
/// Under the root of the variance (azr.md section 5.1).
const VARIANCE_EPS: f64 = 1e-8;

/// Task-relative REINFORCE++ (AZR Eq. 8): one baseline and one scale for each task type and role.
pub fn trr_plus_plus(rewarded: Vec<Rewarded>, norm: AdvNorm) -> Vec<Sample> {
    let mut by_kind: BTreeMap<Kind, Vec<(f64, f64)>> = BTreeMap::new();
    for it in &rewarded {
        let weight = match norm {
            AdvNorm::TokenWeighted => it.rollout.completion.tokens.len() as f64,
            AdvNorm::Sequence => 1.0,
        };
        by_kind.entry(kind(it)).or_default().push((weight, f64::from(it.reward)));
    }
    let scales: BTreeMap<Kind, (f64, f64)> =
        by_kind.into_iter().map(|(kind, rewards)| (kind, mean_and_variance(&rewards))).collect();
    let compared = |it: Rewarded| {
        let (mean, variance) = scales[&kind(&it)];
        sample(it, mean, variance)
    };
    rewarded.into_iter().map(compared).collect()
}

/// For several solutions of each task: the baseline is the task's own mean, so that nothing is learnt from one task being
/// easier than another; the scale is the spread within the tasks of a type. Tasks whose solutions all earn the same
/// teach nothing and are left out.
pub fn relative_to_task(attempts: Vec<Rewarded>) -> Vec<Sample> {
    let mut by_task: BTreeMap<usize, Vec<(f64, f64)>> = BTreeMap::new();
    for it in &attempts {
        by_task.entry(it.rollout.group).or_default().push((1.0, f64::from(it.reward)));
    }
    let tasks: BTreeMap<usize, (f64, f64)> =
        by_task.into_iter().map(|(task, rewards)| (task, mean_and_variance(&rewards))).collect();
    let telling: Vec<Rewarded> =
        attempts.into_iter().filter(|it| SPREAD_MIN <= tasks[&it.rollout.group].1.sqrt()).collect();
    let mut within: BTreeMap<Kind, Vec<(f64, f64)>> = BTreeMap::new();
    for it in &telling {
        within.entry(kind(it)).or_default().push((1.0, tasks[&it.rollout.group].1));
    }
    let variances: BTreeMap<Kind, f64> =
        within.into_iter().map(|(kind, variances)| (kind, mean_and_variance(&variances).0)).collect();
    let compared = |it: Rewarded| {
        let (mean, variance) = (tasks[&it.rollout.group].0, variances[&kind(&it)]);
        sample(it, mean, variance)
    };
    telling.into_iter().map(compared).collect()
}

/// Role and task type.
type Kind = (&'static str, TaskType);

fn kind(it: &Rewarded) -> Kind {
    (it.rollout.role.as_str(), it.rollout.task_type)
}

/// The reward over the baseline, in units of the spread; what is averaged together has one role and type.
fn sample(it: Rewarded, mean: f64, variance: f64) -> Sample {
    let group = format!("{}/{}", it.rollout.role.as_str(), it.rollout.task_type);
    let advantage = match variance.sqrt() < SPREAD_MIN {
        true => 0.0,
        false => ((f64::from(it.reward) - mean) / (variance + VARIANCE_EPS).sqrt()) as f32,
    };
    let completion = it.rollout.completion;
    Sample {
        prompt: completion.prompt_tokens,
        response: completion.tokens,
        advantage,
        sampler_logprobs: completion.logprobs,
        group,
        ..Sample::default()
    }
}

/// Weighted mean, and the unbiased weighted variance (azr.md section 5.1).
fn mean_and_variance(rewards: &[(f64, f64)]) -> (f64, f64) {
    let n: f64 = rewards.iter().map(|(weight, _)| weight).sum();
    let mean = rewards.iter().map(|(weight, reward)| weight * reward).sum::<f64>() / n;
    let variance = rewards.iter().map(|(weight, reward)| weight * (reward - mean).powi(2)).sum::<f64>() / n;
    (mean, if n > 1.0 { variance * n / (n - 1.0) } else { variance })
}

#[cfg(test)]
mod tests {
    use kelvin_core::rollout::Role;

    use super::*;
    use crate::stage::tests::rollout;

    fn rewarded(role: Role, task_type: TaskType, n_tokens: usize, reward: f32) -> Rewarded {
        let mut rollout = rollout(n_tokens);
        rollout.role = role;
        rollout.task_type = task_type;
        Rewarded { rollout, reward }
    }

    /// The formula of azr.md section 5.1 worked by hand for lengths 1, 2, 3 and rewards 1, 0, -0.5.
    #[test]
    fn token_weighted_with_unequal_lengths() {
        let batch = [(1, 1.0), (2, 0.0), (3, -0.5)]
            .map(|(n, reward)| rewarded(Role::Solver, TaskType::Deduction, n, reward));
        let samples = trr_plus_plus(batch.to_vec(), AdvNorm::TokenWeighted);
        let mean = (1.0 - 1.5) / 6.0f64;
        let squares = (1.0 - mean).powi(2) + 2.0 * mean.powi(2) + 3.0 * (-0.5 - mean).powi(2);
        let deviation = (squares / 5.0 + 1e-8).sqrt();
        for (sample, reward) in samples.iter().zip([1.0, 0.0, -0.5]) {
            assert!((f64::from(sample.advantage) - (reward - mean) / deviation).abs() < 1e-6);
        }
    }

    #[test]
    fn six_groups_do_not_see_each_other() {
        let mut batch = Vec::new();
        for role in Role::ALL {
            for task_type in [TaskType::Deduction, TaskType::Abduction, TaskType::Induction] {
                batch.push(rewarded(role, task_type, 3, 1.0));
                batch.push(rewarded(role, task_type, 3, 0.0));
            }
        }
        let before = trr_plus_plus(batch.clone(), AdvNorm::Sequence);
        batch[0].reward = 100.0;
        let after = trr_plus_plus(batch, AdvNorm::Sequence);
        assert_ne!(before[1].group, before[2].group);
        assert_eq!(before[2..], after[2..]);
        assert!((before[0].advantage - 0.5f32.sqrt()).abs() < 1e-4);
    }

    /// Two tasks of one type: the harder one's success counts from its own mean, and one that nobody solved is out.
    #[test]
    fn solutions_are_compared_with_those_of_their_task() {
        let attempts = |rewards: &[(usize, f32)]| -> Vec<Rewarded> {
            let attempt = |&(task, reward): &(usize, f32)| {
                let mut it = rewarded(Role::Solver, TaskType::Deduction, 2, reward);
                it.rollout.group = task;
                it
            };
            rewards.iter().map(attempt).collect()
        };
        let samples = relative_to_task(attempts(&[
            (0, 1.0),
            (0, 0.0),
            (0, 0.0),
            (0, 0.0),
            (1, 0.0),
            (1, 0.0),
            (1, 0.0),
            (1, 0.0),
            (2, 1.0),
            (2, 1.0),
            (2, 0.0),
            (2, 0.0),
        ]));
        // Variances within: 3/16 * 4/3 = 1/4 and 1/4 * 4/3 = 1/3.
        let spread = ((0.25f64 + 1.0 / 3.0) / 2.0).sqrt();
        let expected = [0.75, -0.25, -0.25, -0.25, 0.5, 0.5, -0.5, -0.5].map(|it| it / spread);
        assert_eq!(samples.len(), expected.len());
        for (sample, expected) in samples.iter().zip(expected) {
            assert!((f64::from(sample.advantage) - expected).abs() < 1e-6, "{}", sample.advantage);
        }
        assert!(relative_to_task(attempts(&[(0, 1.0), (0, 1.0)])).is_empty());
    }

    #[test]
    fn equal_rewards_teach_nothing() {
        let batch = (1..5).map(|n| rewarded(Role::Solver, TaskType::Abduction, n, 0.3)).collect();
        assert!(trr_plus_plus(batch, AdvNorm::TokenWeighted).iter().all(|it| it.advantage == 0.0));
        let nearly = [0.3, 0.300_05].map(|it| rewarded(Role::Solver, TaskType::Abduction, 1, it)).to_vec();
        assert!(trr_plus_plus(nearly, AdvNorm::TokenWeighted).iter().all(|it| it.advantage == 0.0));
    }
}
