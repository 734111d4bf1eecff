//! Benchmarks that a run is measured by as it learns: the same questions, draws and grades as `kelvin eval`.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use kelvin_core::{
    benchmark::Ask, metrics::Metrics, policy::Sampler, rollout::Prompt, seed::Seed, task::Step,
};

use super::{Course, Drawn, Sample, Score, ask, score};

/// Makes a prompt of what a benchmark asks.
pub type Render<'run> = Box<dyn Fn(Ask) -> anyhow::Result<Prompt> + 'run>;

/// What a run is measured by.
pub struct Exam<'run> {
    /// The benchmarks.
    pub courses: Vec<Course<'run>>,
    /// Makes a prompt of what a benchmark asks.
    pub render: Render<'run>,
    /// The longest prompt and response that the model reads, in tokens.
    pub context_tokens: usize,
    /// Threads that grade.
    pub n_judges: usize,
    /// The root of the draws that the intervals are made of.
    pub seed: Seed,
    /// Steps between; the first and the last one are asked in any case.
    pub every: Step,
}

impl Exam<'_> {
    /// Whether it is held after this step of a run of so many.
    pub fn is_due(&self, step: Step, steps: Step) -> bool {
        step == 0 || step == steps || (self.every != 0 && step.is_multiple_of(self.every))
    }

    /// Asks everything. Gives the samples, in the order of benchmarks, items and draws, and their metrics.
    ///
    /// # Errors
    /// If the policy or the sandbox fails.
    pub fn hold(&self, sampler: &dyn Sampler) -> anyhow::Result<(Vec<Sample>, Metrics)> {
        let drawn = Drawn { sampler, context_tokens: self.context_tokens, n_judges: self.n_judges };
        let (mut all, mut metrics) = (Vec::new(), Metrics::new());
        for course in &self.courses {
            let kept = Mutex::new(Vec::new());
            let keep = |sample| {
                // A poisoned lock only says that another judge panicked, which joining it tells.
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
                Ok(())
            };
            ask(&drawn, course, &*self.render, &BTreeMap::new(), &keep)?;
            let mut samples = kept.into_inner().unwrap_or_else(PoisonError::into_inner);
            let items = &course.benchmark.items()[..course.n_items()];
            let places: BTreeMap<&str, usize> =
                items.iter().enumerate().map(|(place, it)| (it.id.as_str(), place)).collect();
            samples.sort_by_key(|it| (places[it.id.as_str()], it.sample));
            let seed = self.seed.fork("intervals").fork(course.name);
            if let Some(score) = score(items, course.benchmark.headline(), &samples, seed) {
                metrics.extend(of_score(course.name, &score));
            }
            all.extend(samples);
        }
        Ok((all, metrics))
    }
}

/// A score as metrics `benchmark/<name>/...`.
fn of_score(name: &str, score: &Score) -> Metrics {
    let mut values = vec![
        ("accuracy".to_owned(), score.accuracy.value),
        ("accuracy_low".to_owned(), score.accuracy.interval.low),
        ("accuracy_high".to_owned(), score.accuracy.interval.high),
        ("items".to_owned(), score.n_items as f64),
        ("truncated".to_owned(), score.truncated),
        ("no_answer".to_owned(), score.no_answer),
        ("tokens".to_owned(), score.mean_tokens),
    ];
    values.extend(score.harmonic.map(|it| ("harmonic".to_owned(), it)));
    values.extend(score.pass_at.iter().map(|(k, it)| (format!("pass_at_{k}"), it.value)));
    values.into_iter().map(|(key, value)| (format!("benchmark/{name}/{key}"), value)).collect()
}
