//! Baselines. Which rollouts are compared with which is the whole difference between estimators.

use std::collections::BTreeMap;

use kelvin_core::rollout::{Rewarded, Sample};

use crate::settings::AdvNorm;

/// Below this spread of rewards a group teaches nothing: its advantages are 0.
const SPREAD_MIN: f64 = 1e-4;
/// Under the root of the variance (azr.md section 5.1).
const VARIANCE_EPS: f64 = 1e-8;

/// Task-relative REINFORCE++ (AZR Eq. 8): one baseline and one scale for each task type and role.
pub fn trr_plus_plus(rewarded: Vec<Rewarded>, norm: AdvNorm) -> Vec<Sample> {
    standardize(rewarded, norm, |it| format!("{}/{}", it.rollout.role.as_str(), it.rollout.task_type))
}

/// Advantages relative to peers; the peers' name is also the sample's group in the objective.
fn standardize(rewarded: Vec<Rewarded>, norm: AdvNorm, peers: impl Fn(&Rewarded) -> String) -> Vec<Sample> {
    let mut by_group: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for it in &rewarded {
        let weight = match norm {
            AdvNorm::TokenWeighted => it.rollout.completion.tokens.len() as f64,
            AdvNorm::Sequence => 1.0,
        };
        by_group.entry(peers(it)).or_default().push((weight, f64::from(it.reward)));
    }
    let scales: BTreeMap<String, (f64, f64)> =
        by_group.into_iter().map(|(group, rewards)| (group, mean_and_variance(&rewards))).collect();
    let sample = |it: Rewarded| {
        let group = peers(&it);
        let (mean, variance) = scales[&group];
        let advantage = match variance.sqrt() < SPREAD_MIN {
            true => 0.0,
            false => ((f64::from(it.reward) - mean) / (variance + VARIANCE_EPS).sqrt()) as f32,
        };
        let completion = it.rollout.completion;
        Sample {
            prompt: completion.prompt_tokens,
            response: completion.tokens,
            advantage,
            old_logprobs: Vec::new(),
            group,
        }
    };
    rewarded.into_iter().map(sample).collect()
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
    use kelvin_core::{rollout::Role, task::TaskType};

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

    #[test]
    fn equal_rewards_teach_nothing() {
        let batch = (1..5).map(|n| rewarded(Role::Solver, TaskType::Abduction, n, 0.3)).collect();
        assert!(trr_plus_plus(batch, AdvNorm::TokenWeighted).iter().all(|it| it.advantage == 0.0));
        let nearly = [0.3, 0.300_05].map(|it| rewarded(Role::Solver, TaskType::Abduction, 1, it)).to_vec();
        assert!(trr_plus_plus(nearly, AdvNorm::TokenWeighted).iter().all(|it| it.advantage == 0.0));
    }
}
