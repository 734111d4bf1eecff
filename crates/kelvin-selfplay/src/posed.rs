//! What proposals promised and what solvers then made of them: AZR's roles pull against each other where a task that
//! earns its proposer much earns its solver little.

use std::collections::BTreeMap;

use kelvin_core::{environment::DynEnvironment, task::Task};

use crate::{
    learnability, reward,
    settings::AzrSettings,
    stage::{Estimated, Solved},
};

/// Learnability of the tasks of one step, by type and identity. It is part of a run's state: problems of the next step
/// are compared with it.
pub type Posed = BTreeMap<String, f32>;

/// The learnability of a step's proposals.
///
/// # Errors
/// If a task is another environment's.
pub fn of_step(
    env: &dyn DynEnvironment,
    estimated: &[Estimated],
    azr: &AzrSettings,
) -> anyhow::Result<Posed> {
    let mut posed = Posed::new();
    for (task, grades) in estimated.iter().filter_map(|it| it.outcome.as_ref().ok()) {
        posed.insert(key(env, task)?, learnability::learnability(grades, azr));
    }
    Ok(posed)
}

/// What the proposer was promised for each problem, where `posed` knows it.
///
/// # Errors
/// If a problem is another environment's.
pub fn of_problems(
    env: &dyn DynEnvironment,
    problems: &[Task],
    posed: [&Posed; 2],
) -> anyhow::Result<Vec<Option<f32>>> {
    let find = |task: &Task| {
        let key = key(env, task)?;
        Ok(posed.iter().find_map(|it| it.get(&key)).copied())
    };
    problems.iter().map(find).collect()
}

fn key(env: &dyn DynEnvironment, task: &Task) -> anyhow::Result<String> {
    Ok(format!("{}/{}", task.task_type, env.identity(task)?))
}

/// Pearson's correlation over problems: learnability, and the mean reward of the problem's solutions. `None` for fewer
/// than three problems, or where either is the same for all. `learnability` has an entry for each problem.
pub fn correlation<'step>(
    learnability: &[Option<f32>],
    solved: impl Iterator<Item = &'step Solved>,
) -> Option<f64> {
    let mut by_problem = BTreeMap::<usize, (f64, f64)>::new();
    for it in solved.filter(|it| learnability[it.rollout.group].is_some()) {
        let (n, sum) = by_problem.entry(it.rollout.group).or_default();
        *n += 1.0;
        *sum += f64::from(reward::solver(&it.grade));
    }
    let pair = |(problem, (n, sum)): (&usize, &(f64, f64))| {
        (f64::from(learnability[*problem].expect("others are left out")), sum / n)
    };
    let pairs: Vec<(f64, f64)> = by_problem.iter().map(pair).collect();
    pearson(&pairs)
}

fn pearson(pairs: &[(f64, f64)]) -> Option<f64> {
    let n = pairs.len() as f64;
    let (x_mean, y_mean) =
        (pairs.iter().map(|it| it.0).sum::<f64>() / n, pairs.iter().map(|it| it.1).sum::<f64>() / n);
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (x, y) in pairs {
        xx += (x - x_mean).powi(2);
        yy += (y - y_mean).powi(2);
        xy += (x - x_mean) * (y - y_mean);
    }
    // Means are rounded, so that equal values can leave a trace.
    let has_spread = 1e-12 < xx && 1e-12 < yy;
    (3 <= pairs.len() && has_spread).then(|| xy / (xx * yy).sqrt())
}

#[cfg(test)]
mod tests {
    use kelvin_core::task::{Grade, Miss};

    use super::*;
    use crate::stage::tests::rollout;

    fn solved(problem: usize, right: bool) -> Solved {
        let grade = if right { Grade::correct() } else { Grade::missed(Miss::Wrong) };
        let mut rollout = rollout(1);
        rollout.group = problem;
        Solved { rollout, grade, born: 0 }
    }

    #[test]
    fn pearson_by_hand() {
        assert_eq!(pearson(&[(0.0, 1.0), (1.0, 0.0)]), None, "two points always lie on a line");
        assert_eq!(pearson(&[(0.1, 1.0), (0.1, 0.0), (0.1, 0.5)]), None);
        let falling = pearson(&[(0.0, 3.0), (1.0, 1.0), (2.0, -1.0)]).unwrap();
        assert!((falling + 1.0).abs() < 1e-12);
        // Deviations -1, 0, 1 and 0, -2, 2: 2 / sqrt(2 * 8).
        let loose = pearson(&[(1.0, 2.0), (2.0, 0.0), (3.0, 4.0)]).unwrap();
        assert!((loose - 0.5).abs() < 1e-12);
    }

    #[test]
    fn problems_without_a_promise_do_not_count() {
        let all = [
            solved(0, true),
            solved(0, true),
            solved(1, true),
            solved(1, false),
            solved(2, false),
            solved(3, true),
        ];
        let learnability = [Some(0.25), Some(0.5), Some(0.75), None];
        let found = correlation(&learnability, all.iter()).unwrap();
        assert!((found + 1.0).abs() < 1e-9, "1, 0.25 and -0.5 on a falling line: {found}");
        assert_eq!(correlation(&[Some(0.25), Some(0.5), None, None], all.iter()), None);
    }
}
