//! What the steps of a run were spent on, and whether the sampler and the trainer were kept waiting: the acceptance test of
//! azr.md, appendix C8, for runs on a GPU. It reads a run's metrics, so that it says the same wherever a run was.

use std::path::PathBuf;

use anyhow::{Context, ensure};

use crate::series::{self, Row};

/// Where a step's seconds go while nothing is drawn or learnt.
const IDLE: [&str; 5] = ["validate_s", "grade_s", SERVERS, "measure_s", "other_s"];
/// The one of them that older runs count as drawing.
const SERVERS: &str = "servers_s";
/// The place of what a step measures of itself.
const MEASURE: usize = 3;
/// Where they go otherwise.
const BUSY: [&str; 4] = ["propose_s", "estimate_s", "solve_s", "update_s"];
/// Parts of a run whose idle shares are compared.
const N_PARTS: usize = 5;

/// What is asked of a run.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The run folder, or a folder with its metrics.jsonl
    run: PathBuf,
    /// The steps that it must have
    #[arg(long, default_value_t = 50)]
    steps: usize,
    /// The largest share of the run in which nothing is drawn or learnt
    #[arg(long, default_value_t = 0.1)]
    idle_max: f64,
    /// How far the idle share of a fifth of the run may lie over the least of those before: what two like fifths differ by
    #[arg(long, default_value_t = 0.01)]
    rise_max: f64,
    /// The largest share of the run that its own measures may take
    #[arg(long, default_value_t = 0.01)]
    measure_max: f64,
}

/// Prints the split, then checks it.
///
/// # Errors
/// If the run has not so many steps, its parts do not add up, or it waits longer than it may, or ever longer.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let rows = series::read(&options.run.join("metrics.jsonl"))?;
    let steps: Vec<&Row> = rows.iter().filter(|it| it.values.contains_key("timing/step_s")).collect();
    ensure!(
        options.steps <= steps.len(),
        "{} has {} steps with their times, and {} are asked for\nhint: `kelvin resume RUN --steps N` goes on with it",
        options.run.display(),
        steps.len(),
        options.steps
    );
    let steps = &steps[..options.steps];
    let split = split(steps)?;
    for (name, share) in BUSY.into_iter().chain(IDLE).zip(split) {
        println!("{name:<12} {:>5.1} % of the time", 100.0 * share);
    }
    let idle = idle_by_part(steps)?;
    let told: Vec<String> = idle.iter().map(|it| format!("{:.1}", 100.0 * it)).collect();
    println!("idle, by fifths of the run: {} %", told.join(", "));
    let whole: f64 = split[BUSY.len()..].iter().sum();
    ensure!(
        whole <= options.idle_max,
        "nothing was drawn or learnt in {:.1} % of the time, {:.1} are allowed\nhint: more cores for programs, \
         python.workers; where servers_s is most of it, servers that stay",
        100.0 * whole,
        100.0 * options.idle_max
    );
    let mut least = f64::INFINITY;
    for share in idle {
        ensure!(
            share <= least + options.rise_max,
            "the idle share rises from {:.1} to {:.1} % between fifths of the run",
            100.0 * least,
            100.0 * share
        );
        least = least.min(share);
    }
    let measures = split[BUSY.len() + MEASURE];
    ensure!(
        measures <= options.measure_max,
        "measuring took {:.1} % of the time, {:.1} are allowed\nhint: diagnostics.distance_every",
        100.0 * measures,
        100.0 * options.measure_max
    );
    Ok(())
}

fn seconds(step: &Row, name: &str) -> anyhow::Result<f64> {
    let value = step.values.get(&format!("timing/{name}")).or((name == SERVERS).then_some(&0.0));
    value.copied().with_context(|| format!("step {} has no timing/{name}", step.step))
}

/// Shares of the time, those of `BUSY` first.
fn split(steps: &[&Row]) -> anyhow::Result<[f64; 9]> {
    let sum = |name: &str| steps.iter().map(|it| seconds(it, name)).sum::<anyhow::Result<f64>>();
    let whole = sum("step_s")?;
    let mut shares = [0.0; 9];
    for (share, name) in shares.iter_mut().zip(BUSY.into_iter().chain(IDLE)) {
        *share = sum(name)? / whole;
    }
    let all: f64 = shares.iter().sum();
    ensure!((all - 1.0).abs() < 0.01, "the parts of a step add up to {:.1} % of it", 100.0 * all);
    Ok(shares)
}

/// The idle share of each part of a run, as many steps in each as there are.
fn idle_by_part(steps: &[&Row]) -> anyhow::Result<Vec<f64>> {
    let len = steps.len().div_ceil(N_PARTS).max(1);
    steps.chunks(len).map(|part| Ok(split(part)?[BUSY.len()..].iter().sum())).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Ten steps of ten seconds, of which so many are idle.
    fn told(idle: impl Fn(u32) -> f64, more: f64) -> anyhow::Result<()> {
        measured(idle, 0.0, more)
    }

    fn measured(idle: impl Fn(u32) -> f64, measured: f64, more: f64) -> anyhow::Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let line = |step: u32| {
            let idle = idle(step);
            let parts = [1.0, 2.0, 3.0, 4.0 - idle, idle - measured, 0.0, 0.0, measured, 0.0];
            let parts = BUSY.into_iter().chain(IDLE).zip(parts);
            let parts: String = parts.map(|(name, it)| format!(", \"timing/{name}\": {it}")).collect();
            format!("{{\"step\": {step}, \"timing/step_s\": {}{parts}}}\n", 10.0 + more)
        };
        let lines: String = (1..=10).map(line).collect();
        fs::write(dir.path().join("metrics.jsonl"), format!("{{\"step\": 0}}\n{lines}")).unwrap();
        run(&Options {
            run: dir.path().to_owned(),
            steps: 10,
            idle_max: 0.1,
            rise_max: 0.01,
            measure_max: 0.01,
        })
    }

    #[test]
    fn a_run_that_waits_too_long_or_ever_longer_is_refused() {
        told(|_| 0.5, 0.0).unwrap();
        told(|step| 1.0 - 0.1 * f64::from(step), 0.0).unwrap();
        assert!(told(|_| 1.5, 0.0).unwrap_err().to_string().contains("15.0 % of the time"));
        assert!(told(|step| 0.1 * f64::from(step), 0.0).unwrap_err().to_string().contains("rises"));
        // Half a point from fifth to fifth.
        assert!(told(|step| 0.025 * f64::from(step), 0.0).unwrap_err().to_string().contains("rises"));
        measured(|_| 0.5, 0.09, 0.0).unwrap();
        assert!(measured(|_| 0.5, 0.11, 0.0).unwrap_err().to_string().contains("measuring took 1.1 %"));
        assert!(told(|_| 0.5, 1.0).unwrap_err().to_string().contains("add up"));
    }
}
