//! The papers' reward equations, as pure functions (azr.md section 4.1).

use kelvin_core::{
    rollout::{Rewarded, Rollout},
    seed::Seed,
    task::Grade,
};

use crate::{
    learnability,
    settings::{AzrSettings, RewardSource},
    stage::{Estimated, Solved},
};

/// The reward of a response without the asked-for form, and of a proposal that is no task.
pub const MALFORMED: f32 = -1.0;
/// The reward of a well-formed wrong answer.
pub const WRONG: f32 = -0.5;

/// AZR Eq. 6 for a proposer: -1 unless the proposal is a task in the right form, then its learnability.
pub fn proposer(estimated: &Estimated, settings: &AzrSettings) -> f32 {
    match &estimated.outcome {
        Ok((_, grades)) if estimated.formatted => match learnability::learnability(grades, settings) {
            0.0 => settings.zero_learnability_reward,
            learnability => learnability,
        },
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
    let proposers = estimated.iter().map(|it| (it.rollout.clone(), proposer(it, settings)));
    let solvers = solved.iter().map(|it| (it.rollout.clone(), solver(&it.grade)));
    pay(proposers.chain(solvers), settings, seed)
}

/// Solutions with their rewards.
pub fn solutions(solved: &[Solved], settings: &AzrSettings, seed: Seed) -> Vec<Rewarded> {
    pay(solved.iter().map(|it| (it.rollout.clone(), solver(&it.grade))), settings, seed)
}

/// The verifier's reward, or the coin's of the control.
pub(crate) fn pay(
    verified: impl Iterator<Item = (Rollout, f32)>,
    settings: &AzrSettings,
    seed: Seed,
) -> Vec<Rewarded> {
    let rewarded = verified.enumerate().map(|(index, (rollout, verified))| Rewarded {
        rollout,
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
    use crate::{settings::Learnability, stage::tests::rollout};

    fn task(task_type: TaskType) -> Task {
        Task { task_type, born: 1, label: None, payload: serde_json::Value::Null }
    }

    /// The table of azr.md section 4.1 for proposers, exhaustively: what learnability 0 is worth, type, validity, form,
    /// accuracy in eighths and its curve.
    #[test]
    fn the_reward_table_of_proposers() {
        type Curve = fn(f32) -> f32;
        let curves: [(Learnability, Curve); 3] = [
            (Learnability::OneMinus, |a| if a == 0.0 { 0.0 } else { 1.0 - a }),
            (Learnability::Inverse, |a| 1.0 - a),
            (Learnability::Symmetric, |a| 4.0 * a * (1.0 - a)),
        ];
        let types = [TaskType::Deduction, TaskType::Abduction, TaskType::Induction, TaskType::Error];
        for (zero, task_type, (learnability, value)) in [-0.5, 0.0]
            .into_iter()
            .flat_map(|zero| types.map(|it| (zero, it)))
            .flat_map(|(zero, it)| curves.map(|curve| (zero, it, curve)))
        {
            let settings =
                AzrSettings { learnability, zero_learnability_reward: zero, ..AzrSettings::default() };
            for formatted in [true, false] {
                for solved in 0..=8usize {
                    let grade =
                        |index| if index < solved { Grade::correct() } else { Grade::missed(Miss::Wrong) };
                    let outcome = Ok((task(task_type), (0..8).map(grade).collect()));
                    let estimated = Estimated { rollout: rollout(4), formatted, outcome };
                    let expected = match (formatted, value(solved as f32 / 8.0)) {
                        (false, _) => -1.0,
                        (true, 0.0) => zero,
                        (true, value) => value,
                    };
                    assert_eq!(proposer(&estimated, &settings), expected, "{formatted} {solved}");
                }
                for &reason in Reason::ALL {
                    let outcome = Err(Rejection::new(reason, ""));
                    assert_eq!(
                        proposer(&Estimated { rollout: rollout(4), formatted, outcome }, &settings),
                        -1.0
                    );
                }
            }
        }
    }

    /// The same table for solvers: form, and accuracy in eighths, which only induction can have between 0 and 1.
    #[test]
    fn the_reward_table_of_solvers() {
        for eighths in 0..=8u8 {
            let score = f32::from(eighths) / 8.0;
            let expected = if eighths == 0 { -0.5 } else { score };
            let grade = Grade { formatted: true, correct: eighths == 8, score, miss: None };
            assert_eq!(solver(&grade), expected);
            assert_eq!(solver(&Grade { formatted: false, ..grade }), -1.0);
        }
        for &miss in Miss::ALL {
            assert_eq!(solver(&Grade::missed(miss)), -0.5);
        }
        assert_eq!(solver(&Grade::malformed()), -1.0);
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
