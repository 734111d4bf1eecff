//! Held-out evaluation: accuracy at the sampling temperature, greedy accuracy and pass@k side by side, so that a
//! reader sees what is sharpening (the mean moves to the greedy and pass@k values) and what is new. Beside them stand
//! what guesses would get, and what withheld tasks come to where others of the evaluation may be trained on.

use std::collections::BTreeMap;

use kelvin_core::{
    environment::DynEnvironment,
    metrics::Metrics,
    rollout::Sampling,
    seed::Seed,
    statistics::{Interval, mean, pass_at, wilson},
    task::TaskType,
};

use crate::{
    stage::{self, Scene, Solves},
    state::HeldOut,
};

/// Accuracies of one task type, in `[0, 1]`, each with half of its 95 % interval over tasks.
#[derive(Clone, Debug, PartialEq)]
pub struct Accuracy {
    /// Mean over tasks of the share of right samples.
    pub mean: Estimate,
    /// Share of tasks that the greedy answer solves.
    pub greedy: Estimate,
    /// Share of tasks that any of k samples solves, for each k of [`pass_sizes`].
    pub pass: Vec<Estimate>,
    /// The mean over the withheld tasks alone, where others of the type may be trained on.
    pub withheld: Option<Estimate>,
}

/// A mean over tasks and half the width of its 95 % interval (normal approximation, tasks as the units).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub value: f64,
    /// 1.96 standard errors, or the longer side of Wilson's interval where all values are alike.
    pub half_width: f64,
}

/// Solves every held-out task `n_samples` times and once greedily.
///
/// # Errors
/// If the policy or the sandbox fails.
pub fn evaluate(
    scene: Scene,
    held_out: &HeldOut,
    seed: Seed,
) -> anyhow::Result<BTreeMap<TaskType, Accuracy>> {
    let n = scene.settings.eval.n_samples;
    let sampling = &scene.settings.sampling.eval;
    let greedy = Sampling { stop: sampling.stop.clone(), ..Sampling::greedy(sampling.max_new_tokens) };
    let tasks = &held_out.tasks;
    let sampled = stage::solve(scene, Solves { tasks, n, sampling, seed: seed.fork("sampled") })?;
    let greedy = Solves { tasks, n: 1, sampling: &greedy, seed: seed.fork("greedy") };
    let greedy = stage::solve(scene, greedy)?;
    let mut by_type: BTreeMap<TaskType, Counts> = BTreeMap::new();
    for ((task, sampled), greedy) in held_out.tasks.iter().zip(sampled.chunks(n)).zip(&greedy) {
        let counts = by_type.entry(task.task_type).or_default();
        counts.right.push(sampled.iter().filter(|it| it.grade.correct).count());
        counts.greedy.push(f64::from(u8::from(greedy.grade.correct)));
        counts.is_withheld.push(held_out.families.contains(&scene.env.family(task)?));
    }
    Ok(by_type.into_iter().map(|(task_type, counts)| (task_type, counts.accuracy(n))).collect())
}

/// What the tasks of one type came to, task by task.
#[derive(Default)]
struct Counts {
    /// Right samples.
    right: Vec<usize>,
    /// 1 where the greedy answer is right.
    greedy: Vec<f64>,
    /// Whether no run may train on it.
    is_withheld: Vec<bool>,
}

impl Counts {
    fn accuracy(&self, n: usize) -> Accuracy {
        let of = |value: &dyn Fn(usize) -> f64| {
            estimate(&self.right.iter().map(|&it| value(it)).collect::<Vec<f64>>())
        };
        let share = |n_right: usize| n_right as f64 / n as f64;
        let withheld = self.right.iter().zip(&self.is_withheld).filter(|(_, it)| **it);
        let withheld: Vec<f64> = withheld.map(|(&n_right, _)| share(n_right)).collect();
        let some_teach = !withheld.is_empty() && withheld.len() < self.right.len();
        Accuracy {
            mean: of(&share),
            withheld: some_teach.then(|| estimate(&withheld)),
            greedy: estimate(&self.greedy),
            pass: pass_sizes(n).into_iter().map(|k| of(&|n_right| pass_at(k, n_right, n))).collect(),
        }
    }
}

/// The numbers of samples that pass@k is given for: powers of two, and all `n`.
pub fn pass_sizes(n: usize) -> Vec<usize> {
    let mut sizes: Vec<usize> = (1..).map(|it| 1 << it).take_while(|&it| it < n).collect();
    sizes.push(n);
    sizes
}

/// The evaluation as metrics: `eval/<type>/{accuracy,greedy,pass_at_<k>,withheld}` with `_ci95`, and their means over
/// types.
pub fn metrics(accuracies: &BTreeMap<TaskType, Accuracy>, n_samples: usize) -> Metrics {
    let mut columns: Vec<(String, Column)> = vec![
        ("accuracy".to_owned(), Box::new(|it| Some(it.mean))),
        ("greedy".to_owned(), Box::new(|it| Some(it.greedy))),
        ("withheld".to_owned(), Box::new(|it| it.withheld)),
    ];
    for (size_idx, k) in pass_sizes(n_samples).into_iter().enumerate() {
        columns.push((format!("pass_at_{k}"), Box::new(move |it| Some(it.pass[size_idx]))));
    }
    let mut metrics = Metrics::new();
    for (name, pick) in columns {
        let picked: Vec<(TaskType, Estimate)> =
            accuracies.iter().filter_map(|(&task_type, it)| Some((task_type, pick(it)?))).collect();
        if picked.is_empty() {
            continue;
        }
        for (task_type, estimate) in &picked {
            metrics.insert(format!("eval/{task_type}/{name}"), estimate.value);
            metrics.insert(format!("eval/{task_type}/{name}_ci95"), estimate.half_width);
        }
        let n = picked.len() as f64;
        let mean = picked.iter().map(|it| it.1.value).sum::<f64>() / n;
        let variance = picked.iter().map(|it| it.1.half_width.powi(2)).sum::<f64>();
        metrics.insert(format!("eval/mean/{name}"), mean);
        metrics.insert(format!("eval/mean/{name}_ci95"), variance.sqrt() / n);
    }
    metrics
}

type Column = Box<dyn Fn(&Accuracy) -> Option<Estimate>>;

/// What guesses get of these types, where the environment can count it: `eval/<type>/{floor_uniform,floor_constant}`.
pub fn floors(env: &dyn DynEnvironment, task_types: &[TaskType]) -> Metrics {
    let mut metrics = Metrics::new();
    for &task_type in task_types {
        if let Some(floors) = env.floors(task_type) {
            metrics.insert(format!("eval/{task_type}/floor_uniform"), floors.uniform);
            metrics.insert(format!("eval/{task_type}/floor_constant"), floors.constant);
        }
    }
    metrics
}

/// A mean with its normal 95 % interval; where all values are alike, which says nothing of their spread, with the length of
/// Wilson's interval.
fn estimate(values: &[f64]) -> Estimate {
    let n = values.len() as f64;
    let value = mean(values);
    let variance = values.iter().map(|it| (it - value).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    let half_width = if values.iter().all(|it| *it == values[0]) {
        let Interval { low, high } = wilson(value.clamp(0.0, 1.0), values.len());
        (value - low).max(high - value)
    } else {
        1.96 * (variance / n).sqrt()
    };
    Estimate { value, half_width }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pass_is_given_for_powers_of_two_and_for_all() {
        assert_eq!(pass_sizes(1), [1]);
        assert_eq!(pass_sizes(8), [2, 4, 8]);
        assert_eq!(pass_sizes(12), [2, 4, 8, 12]);
    }

    #[test]
    fn the_interval_of_a_coin() {
        let values: Vec<f64> = (0..100).map(|it| f64::from(it % 2)).collect();
        let Estimate { value, half_width } = estimate(&values);
        assert_eq!(value, 0.5);
        assert!((half_width - 1.96 * (0.25f64 / 99.0).sqrt()).abs() < 1e-12);
        let all = estimate(&[1.0; 30]);
        assert!(all.value == 1.0 && (0.1..0.12).contains(&all.half_width), "{}", all.half_width);
    }
}
