//! Held-out evaluation: accuracy at the sampling temperature, greedy accuracy and pass@k side by side, so that a
//! reader sees what is sharpening (the mean moves to the greedy and pass@k values) and what is new.

use std::collections::BTreeMap;

use kelvin_core::{
    metrics::Metrics,
    rollout::Sampling,
    seed::Seed,
    task::{Grade, TaskType},
};

use crate::{
    stage::{self, Scene, Solves},
    state::HeldOut,
};

/// Accuracies of one task type, in `[0, 1]`, each with half of its 95 % interval over tasks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    /// Mean over tasks of the share of right samples.
    pub mean: Estimate,
    /// Share of tasks that the greedy answer solves.
    pub greedy: Estimate,
    /// Share of tasks that any of the samples solves.
    pub pass: Estimate,
}

/// A mean over tasks and half the width of its 95 % interval (normal approximation, tasks as the units).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub value: f64,
    /// 1.96 standard errors.
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
    let right = |grade: &Grade| f64::from(u8::from(grade.correct));
    let mut by_type: BTreeMap<TaskType, [Vec<f64>; 3]> = BTreeMap::new();
    for ((task, sampled), greedy) in held_out.tasks.iter().zip(sampled.chunks(n)).zip(&greedy) {
        let n_right: f64 = sampled.iter().map(|it| right(&it.grade)).sum();
        let [mean, first, pass] = by_type.entry(task.task_type).or_default();
        mean.push(n_right / n as f64);
        first.push(right(&greedy.grade));
        pass.push(f64::from(u8::from(n_right > 0.0)));
    }
    let accuracy = |[mean, greedy, pass]: [Vec<f64>; 3]| Accuracy {
        mean: estimate(&mean),
        greedy: estimate(&greedy),
        pass: estimate(&pass),
    };
    Ok(by_type.into_iter().map(|(task_type, values)| (task_type, accuracy(values))).collect())
}

/// The evaluation as metrics: `eval/<type>/{accuracy,greedy,pass_at_<k>}` with `_ci95`, and their means over types.
pub fn metrics(accuracies: &BTreeMap<TaskType, Accuracy>, n_samples: usize) -> Metrics {
    let pass = format!("pass_at_{n_samples}");
    let columns: [(&str, Column); 3] =
        [("accuracy", |it| it.mean), ("greedy", |it| it.greedy), (&pass, |it| it.pass)];
    let mut metrics = Metrics::new();
    for (name, pick) in columns {
        for (task_type, accuracy) in accuracies {
            metrics.insert(format!("eval/{task_type}/{name}"), pick(accuracy).value);
            metrics.insert(format!("eval/{task_type}/{name}_ci95"), pick(accuracy).half_width);
        }
        let n = accuracies.len() as f64;
        let mean = accuracies.values().map(|it| pick(it).value).sum::<f64>() / n;
        let variance = accuracies.values().map(|it| pick(it).half_width.powi(2)).sum::<f64>();
        metrics.insert(format!("eval/mean/{name}"), mean);
        metrics.insert(format!("eval/mean/{name}_ci95"), variance.sqrt() / n);
    }
    metrics
}

type Column = fn(&Accuracy) -> Estimate;

fn estimate(values: &[f64]) -> Estimate {
    let n = values.len() as f64;
    let value = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|it| (it - value).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    Estimate { value, half_width: 1.96 * (variance / n).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_coin() {
        let values: Vec<f64> = (0..100).map(|it| f64::from(it % 2)).collect();
        let Estimate { value, half_width } = estimate(&values);
        assert_eq!(value, 0.5);
        assert!((half_width - 1.96 * (0.25f64 / 99.0).sqrt()).abs() < 1e-12);
    }
}
