//! Baselines. Which rollouts are compared with which is the whole difference between estimators.

use std::collections::BTreeMap;

use kelvin_core::{
    rollout::{Rewarded, Sample},
    task::TaskType,
};

use crate::settings::{AdvNorm, Advantage, AzrSettings, GroupAdvantage};

/// Below this spread of rewards a group teaches nothing: its advantages are 0.
const SPREAD_MIN: f64 = 1e-4;
/// Under the root of the variance (azr.md section 5.1).
const VARIANCE_EPS: f64 = 1e-8;
/// Added to the spread of a group (objectives.md section 1).
const GRPO_EPS: f64 = 1e-6;

/// Advantages of rollouts that stand alone, by the estimator of the settings.
pub fn of_single(rewarded: Vec<Rewarded>, azr: &AzrSettings) -> Vec<Sample> {
    match azr.advantage {
        Advantage::TrrPlusPlus => trr_plus_plus(rewarded, azr.adv_norm),
        Advantage::ReinforcePlusPlus => reinforce_plus_plus(rewarded, azr.adv_norm),
    }
}

/// Advantages of several solutions of each task, by the estimator of the settings.
pub fn of_groups(attempts: Vec<Rewarded>, azr: &AzrSettings) -> Vec<Sample> {
    match azr.group_advantage {
        GroupAdvantage::RelativeToTask => relative_to_task(attempts),
        GroupAdvantage::Grpo => grpo(attempts),
        GroupAdvantage::DrGrpo => dr_grpo(attempts),
        GroupAdvantage::Rloo => rloo(attempts),
    }
}

/// Task-relative REINFORCE++ (AZR Eq. 8): one baseline and one scale for each task type and role.
pub fn trr_plus_plus(rewarded: Vec<Rewarded>, norm: AdvNorm) -> Vec<Sample> {
    standardised(rewarded, norm, kind)
}

/// REINFORCE++ (Hu 2025; AZR Eq. 10): one baseline and one scale for all.
pub fn reinforce_plus_plus(rewarded: Vec<Rewarded>, norm: AdvNorm) -> Vec<Sample> {
    standardised(rewarded, norm, |_| ())
}

/// Rewards over the mean of their peers, in units of the peers' spread.
fn standardised<P: Ord>(
    rewarded: Vec<Rewarded>,
    norm: AdvNorm,
    peers: impl Fn(&Rewarded) -> P,
) -> Vec<Sample> {
    let mut by_peers: BTreeMap<P, Vec<(f64, f64)>> = BTreeMap::new();
    for it in &rewarded {
        let weight = match norm {
            AdvNorm::TokenWeighted => it.rollout.completion.tokens.len() as f64,
            AdvNorm::Sequence => 1.0,
        };
        by_peers.entry(peers(it)).or_default().push((weight, f64::from(it.reward)));
    }
    let scales: BTreeMap<P, (f64, f64)> =
        by_peers.into_iter().map(|(peers, rewards)| (peers, mean_and_variance(&rewards))).collect();
    let compared = |it: Rewarded| {
        let (mean, variance) = scales[&peers(&it)];
        let advantage = in_spreads(f64::from(it.reward) - mean, variance);
        sample(it, advantage)
    };
    rewarded.into_iter().map(compared).collect()
}

/// Group-relative policy optimization (Shao et al. 2024): a group's rewards less their mean, over their spread. Groups
/// without spread stay, with advantages of 0. What else makes a GRPO update is the objective's.
pub fn grpo(attempts: Vec<Rewarded>) -> Vec<Sample> {
    in_groups(attempts, |reward, group| {
        let (mean, variance) = mean_and_variance(group);
        (reward - mean) / (variance.sqrt() + GRPO_EPS)
    })
}

/// Dr. GRPO (Liu et al. 2025): without the spread, which favours tasks that are nearly always or never solved.
pub fn dr_grpo(attempts: Vec<Rewarded>) -> Vec<Sample> {
    in_groups(attempts, |reward, group| reward - mean_and_variance(group).0)
}

/// REINFORCE leave-one-out (Ahmadian et al. 2024): the baseline is the mean of the others. One alone has no others, and
/// an advantage of 0.
pub fn rloo(attempts: Vec<Rewarded>) -> Vec<Sample> {
    in_groups(attempts, |reward, group| {
        let others = group.len() as f64 - 1.0;
        let sum: f64 = group.iter().map(|(_, reward)| reward).sum();
        if others == 0.0 { 0.0 } else { reward - (sum - reward) / others }
    })
}

/// Each attempt's advantage from its reward and the rewards of its task, which weigh 1 each.
fn in_groups(attempts: Vec<Rewarded>, advantage: impl Fn(f64, &[(f64, f64)]) -> f64) -> Vec<Sample> {
    let by_task = rewards_by_task(&attempts);
    let compared = |it: Rewarded| {
        let advantage = advantage(f64::from(it.reward), &by_task[&it.rollout.group]);
        sample(it, advantage)
    };
    attempts.into_iter().map(compared).collect()
}

fn rewards_by_task(attempts: &[Rewarded]) -> BTreeMap<usize, Vec<(f64, f64)>> {
    let mut by_task: BTreeMap<usize, Vec<(f64, f64)>> = BTreeMap::new();
    for it in attempts {
        by_task.entry(it.rollout.group).or_default().push((1.0, f64::from(it.reward)));
    }
    by_task
}

/// For several solutions of each task: the baseline is the task's own mean, so that nothing is learnt from one task being
/// easier than another; the scale is the spread within the tasks of a type. Tasks whose solutions all earn the same
/// teach nothing and are left out.
pub fn relative_to_task(attempts: Vec<Rewarded>) -> Vec<Sample> {
    let tasks: BTreeMap<usize, (f64, f64)> = rewards_by_task(&attempts)
        .into_iter()
        .map(|(task, rewards)| (task, mean_and_variance(&rewards)))
        .collect();
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
        let advantage = in_spreads(f64::from(it.reward) - mean, variance);
        sample(it, advantage)
    };
    telling.into_iter().map(compared).collect()
}

/// Role and task type.
type Kind = (&'static str, TaskType);

fn kind(it: &Rewarded) -> Kind {
    (it.rollout.role.as_str(), it.rollout.task_type)
}

/// A distance from the baseline in units of the spread.
fn in_spreads(distance: f64, variance: f64) -> f64 {
    match variance.sqrt() < SPREAD_MIN {
        true => 0.0,
        false => distance / (variance + VARIANCE_EPS).sqrt(),
    }
}

/// What is averaged together has one role and type. The trainer's own log-probabilities are the old ones, since a
/// batch has one update.
fn sample(it: Rewarded, advantage: f64) -> Sample {
    let group = format!("{}/{}", it.rollout.role.as_str(), it.rollout.task_type);
    let completion = it.rollout.completion;
    Sample {
        prompt: completion.prompt_tokens,
        response: completion.tokens,
        advantage: advantage as f32,
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

    /// Attempts at tasks by number, of one role and type.
    fn attempts(rewards: &[(usize, f32)]) -> Vec<Rewarded> {
        let attempt = |&(task, reward): &(usize, f32)| {
            let mut it = rewarded(Role::Solver, TaskType::Deduction, 2, reward);
            it.rollout.group = task;
            it
        };
        rewards.iter().map(attempt).collect()
    }

    fn assert_advantages(samples: &[Sample], expected: &[f64]) {
        assert_eq!(samples.len(), expected.len());
        for (sample, expected) in samples.iter().zip(expected) {
            assert!((f64::from(sample.advantage) - expected).abs() < 1e-5, "{} {expected}", sample.advantage);
        }
    }

    /// Tasks with rewards 1, 0, 0, 0.5 and 1, 1 and -1 alone, interleaved.
    fn three_groups() -> Vec<Rewarded> {
        attempts(&[(3, 1.0), (9, 1.0), (3, 0.0), (3, 0.0), (9, 1.0), (3, 0.5), (4, -1.0)])
    }

    /// The mean is 3/8; the squares of 5, -3, -3 and 1 eighths sum to 11/16, over 3 is 11/48.
    #[test]
    fn grpo_by_hand() {
        let spread = (11.0f64 / 48.0).sqrt();
        let of = |eighths: f64| eighths / 8.0 / spread;
        assert_advantages(&grpo(three_groups()), &[of(5.0), 0.0, of(-3.0), of(-3.0), 0.0, of(1.0), 0.0]);
    }

    #[test]
    fn dr_grpo_by_hand() {
        let expected = [0.625, 0.0, -0.375, -0.375, 0.0, 0.125, 0.0];
        assert_advantages(&dr_grpo(three_groups()), &expected);
    }

    /// The others of 1 have mean 1/6, those of 0 have 1/2, those of 0.5 have 1/3.
    #[test]
    fn rloo_by_hand() {
        let expected = [5.0 / 6.0, 0.0, -0.5, -0.5, 0.0, 1.0 / 6.0, 0.0];
        assert_advantages(&rloo(three_groups()), &expected);
    }

    /// Rewards 1, 0, 0, 1 of two kinds: mean 1/2, unbiased variance 1/3. Task-relative, each kind has mean and
    /// spread of its own.
    #[test]
    fn reinforce_plus_plus_sees_all_kinds() {
        let of = |task_type, reward| rewarded(Role::Solver, task_type, 2, reward);
        let batch = vec![
            of(TaskType::Deduction, 1.0),
            of(TaskType::Deduction, 0.0),
            of(TaskType::Abduction, 0.0),
            of(TaskType::Abduction, 1.0),
        ];
        let half = 0.5 * 3f64.sqrt();
        assert_advantages(
            &reinforce_plus_plus(batch.clone(), AdvNorm::Sequence),
            &[half, -half, -half, half],
        );
        let mut shifted = batch;
        shifted[2].reward = 2.0;
        shifted[3].reward = 3.0;
        // Mean 3/2; the squares of 1, 3, 1 and 3 halves sum to 5, over 3 is 5/3.
        let spread = (5.0f64 / 3.0).sqrt();
        let expected = [-0.5, -1.5, 0.5, 1.5].map(|it| it / spread);
        assert_advantages(&reinforce_plus_plus(shifted.clone(), AdvNorm::Sequence), &expected);
        let own = 0.5f64.sqrt();
        assert_advantages(&trr_plus_plus(shifted, AdvNorm::Sequence), &[own, -own, -own, own]);
    }

    #[test]
    fn settings_choose_the_estimator() {
        let chosen = |group_advantage| {
            let azr = AzrSettings { group_advantage, ..AzrSettings::default() };
            of_groups(three_groups(), &azr)
        };
        assert_eq!(chosen(GroupAdvantage::Grpo), grpo(three_groups()));
        assert_eq!(chosen(GroupAdvantage::DrGrpo), dr_grpo(three_groups()));
        assert_eq!(chosen(GroupAdvantage::Rloo), rloo(three_groups()));
        assert_eq!(chosen(GroupAdvantage::RelativeToTask).len(), 4);
        let global = AzrSettings { advantage: Advantage::ReinforcePlusPlus, ..AzrSettings::default() };
        assert_eq!(
            of_single(three_groups(), &global),
            reinforce_plus_plus(three_groups(), AdvNorm::TokenWeighted)
        );
    }

    /// Two tasks of one type: the harder one's success counts from its own mean, and one that nobody solved is out.
    #[test]
    fn solutions_are_compared_with_those_of_their_task() {
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
