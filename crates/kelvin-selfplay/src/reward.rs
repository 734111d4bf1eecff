//! The papers' reward equations, as pure functions (azr.md section 4.1).

use kelvin_core::{
    rollout::{Rewarded, Rollout},
    seed::Seed,
    task::Grade,
};

use crate::{
    settings::{AzrSettings, Learnability, RewardSource},
    stage::{Estimated, Solved},
};

/// The reward of a response without the asked-for form, and of a proposal that is no task.
pub const MALFORMED: f32 = -1.0;
/// The reward of a well-formed wrong answer.
pub const WRONG: f32 = -0.5;

/// AZR Eq. 4: nothing is learnt from a task that is always or never solved.
pub fn learnability(solve_rate: f32, curve: Learnability) -> f32 {
    match curve {
        Learnability::OneMinus if solve_rate == 0.0 => 0.0,
        Learnability::OneMinus | Learnability::Inverse => 1.0 - solve_rate,
    }
}

/// AZR Eq. 6 for a proposer: -1 unless the proposal is a task in the right form, then its learnability.
pub fn proposer(estimated: &Estimated, settings: &AzrSettings) -> f32 {
    match &estimated.outcome {
        Ok((_, grades)) if estimated.formatted => {
            match learnability(solve_rate(grades), settings.learnability) {
                0.0 => settings.zero_learnability_reward,
                learnability => learnability,
            }
        }
        Ok(_) | Err(_) => MALFORMED,
    }
}

/// AZR Eq. 5 and 6 for a solver: -1 without the form, -0.5 if wrong, else the credit.
pub fn solver(grade: &Grade) -> f32 {
    match grade {
        Grade { formatted: false, .. } => MALFORMED,
        Grade { score, .. } if *score > 0.0 => *score,
        Grade { .. } => WRONG,
    }
}

/// Share of right answers among the Monte-Carlo solves of a task.
pub fn solve_rate(grades: &[Grade]) -> f32 {
    grades.iter().map(|it| it.score).sum::<f32>() / grades.len().max(1) as f32
}

/// Both roles' rollouts with their rewards, proposers first.
pub fn all(estimated: &[Estimated], solved: &[Solved], settings: &AzrSettings, seed: Seed) -> Vec<Rewarded> {
    let proposers = estimated.iter().map(|it| (&it.rollout, proposer(it, settings)));
    let solvers = solved.iter().map(|it| (&it.rollout, solver(&it.grade)));
    pay(proposers.chain(solvers), settings, seed)
}

/// Solutions with their rewards.
pub fn solutions(solved: &[Solved], settings: &AzrSettings, seed: Seed) -> Vec<Rewarded> {
    pay(solved.iter().map(|it| (&it.rollout, solver(&it.grade))), settings, seed)
}

/// The verifier's reward, or the coin's of the control.
fn pay<'rollout>(
    verified: impl Iterator<Item = (&'rollout Rollout, f32)>,
    settings: &AzrSettings,
    seed: Seed,
) -> Vec<Rewarded> {
    let rewarded = verified.enumerate().map(|(index, (rollout, verified))| Rewarded {
        rollout: rollout.clone(),
        reward: match settings.reward {
            RewardSource::Verifier => verified,
            RewardSource::Random if seed.nth(index as u64).unit() < 0.5 => 1.0,
            RewardSource::Random => WRONG,
        },
    });
    rewarded.collect()
}

#[cfg(test)]
mod tests {
    use kelvin_core::task::{Miss, Reason, Rejection, Task, TaskType};

    use super::*;
    use crate::stage::tests::rollout;

    /// The table of azr.md section 4.1, exhaustively over role, validity, form and accuracy in eighths.
    #[test]
    fn the_reward_table() {
        let settings = AzrSettings::default();
        for formatted in [true, false] {
            for solved in 0..=8usize {
                let grades = (0..8)
                    .map(|index| if index < solved { Grade::correct() } else { Grade::missed(Miss::Wrong) })
                    .collect();
                let task = Task {
                    task_type: TaskType::Deduction,
                    born: 1,
                    label: None,
                    payload: serde_json::Value::Null,
                };
                let estimated = Estimated { rollout: rollout(4), formatted, outcome: Ok((task, grades)) };
                let expected = match (formatted, solved) {
                    (false, _) => -1.0,
                    (true, 0 | 8) => -0.5,
                    (true, _) => 1.0 - solved as f32 / 8.0,
                };
                assert_eq!(proposer(&estimated, &settings), expected, "{formatted} {solved}");
            }
            let rejected = Estimated {
                rollout: rollout(4),
                formatted,
                outcome: Err(Rejection::new(Reason::Timeout, "")),
            };
            assert_eq!(proposer(&rejected, &settings), -1.0);
        }
        assert_eq!(solver(&Grade::malformed()), -1.0);
        assert_eq!(solver(&Grade::missed(Miss::Wrong)), -0.5);
        assert_eq!(solver(&Grade::correct()), 1.0);
        assert_eq!(solver(&Grade { correct: false, score: 0.4, ..Grade::correct() }), 0.4);
    }

    #[test]
    fn inverse_pays_for_the_impossible() {
        assert_eq!(learnability(0.0, Learnability::Inverse), 1.0);
        assert_eq!(learnability(0.0, Learnability::OneMinus), 0.0);
        assert_eq!(learnability(1.0, Learnability::OneMinus), 0.0);
    }

    #[test]
    fn a_coin_ignores_the_verifier() {
        let settings = AzrSettings { reward: RewardSource::Random, ..AzrSettings::default() };
        let solved: Vec<Solved> =
            (0..2000).map(|_| Solved { rollout: rollout(2), grade: Grade::malformed(), born: 0 }).collect();
        let rewarded = all(&[], &solved, &settings, Seed::new(3));
        let heads = rewarded.iter().filter(|it| it.reward == 1.0).count();
        assert!(heads.abs_diff(1000) < 135, "six standard deviations: {heads}");
    }
}
