//! From samples to numbers. An item is the unit: its samples are not independent, so intervals resample items.

use std::collections::{BTreeMap, BTreeSet};

use kelvin_core::{
    benchmark::{Headline, Item},
    seed::Seed,
    statistics::{Interval, bootstrap_mean, mean, pass_at},
    task::Miss,
};
use serde::{Deserialize, Serialize};

use super::Sample;
use crate::eval::pass_sizes;

/// What a benchmark came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Items that were answered.
    pub n_items: usize,
    /// Responses to each; the fewest, where they differ.
    pub n_samples: usize,
    /// Mean over items of the share of right responses: accuracy of one response each, mean@k of several.
    pub accuracy: Scored,
    /// pass@k by k, where there are several responses.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pass_at: BTreeMap<usize, Scored>,
    /// Further scores by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub also: BTreeMap<String, Scored>,
    /// The harmonic mean over groups of accuracy plus 0.01 (BBEH's headline).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub harmonic: Option<f64>,
    /// Share of responses that ended at the length limit.
    pub truncated: f64,
    /// Share of responses in which no answer was found.
    pub no_answer: f64,
    /// Share of responses whose program took too long.
    pub timeout: f64,
    /// Length of a response in tokens.
    pub mean_tokens: f64,
    /// Parts of the benchmark, where there are any.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_group: BTreeMap<String, OfGroup>,
    /// The share of right responses of each item, by identifier.
    pub by_item: BTreeMap<String, f64>,
}

/// What a part of a benchmark came to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OfGroup {
    /// Its items that were answered.
    pub n_items: usize,
    /// As of the whole.
    pub accuracy: Scored,
    /// Share of responses that ended at the length limit.
    pub truncated: f64,
    /// Share of responses in which no answer was found.
    pub no_answer: f64,
}

/// A mean over items with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// The mean.
    pub value: f64,
    /// Its interval.
    #[serde(flatten)]
    pub interval: Interval,
}

/// The score of samples of one benchmark, in any order; `None` if there is none. Intervals are drawn from `seed`.
pub fn score(items: &[Item], headline: Headline, samples: &[Sample], seed: Seed) -> Option<Score> {
    let mut by_id: BTreeMap<&str, Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        by_id.entry(&sample.id).or_default().push(sample);
    }
    // In the order of the file, so that nothing depends on what finished first.
    let answered: Vec<(&Item, Vec<&Sample>)> = items
        .iter()
        .filter_map(|item| {
            let mut of_item = by_id.remove(item.id.as_str())?;
            of_item.sort_by_key(|it| it.sample);
            Some((item, of_item))
        })
        .collect();
    let n_samples = answered.iter().map(|it| it.1.len()).min()?;
    let all = Responses { answered: answered.iter().map(|it| it.1.as_slice()).collect() };
    let over_items = |name: &str, of: &dyn Fn(&[&Sample]) -> f64| all.mean_of(seed.fork(name), of);
    let sizes = if n_samples == 1 { Vec::new() } else { pass_sizes(n_samples) };
    let pass = |k: usize| (k, over_items(&format!("pass@{k}"), &|it| pass_at(k, n_right(it), it.len())));
    // A response without an answer has none of them, and misses them all.
    let names: BTreeSet<&String> = all.each().flat_map(|it| it.also.iter().map(|it| &it.0)).collect();
    let also = |name: &String| {
        let holds = |it: &&&Sample| it.also.iter().any(|(of, holds)| of == name && *holds);
        (name.clone(), over_items(name, &|it| it.iter().filter(holds).count() as f64 / it.len() as f64))
    };
    let by_group = by_group(&answered, seed.fork("group"));
    let tokens: Vec<f64> = all.each().map(|it| it.tokens as f64).collect();
    Some(Score {
        n_items: answered.len(),
        n_samples,
        accuracy: over_items("accuracy", &share_right),
        pass_at: sizes.into_iter().map(pass).collect(),
        also: names.into_iter().map(also).collect(),
        harmonic: (headline == Headline::HarmonicToo)
            .then(|| harmonic(by_group.values().map(|it| it.accuracy.value))),
        truncated: all.share(is_truncated),
        no_answer: all.share(has_no_answer),
        timeout: all.share(|it| it.reason == Some(Miss::Timeout)),
        mean_tokens: mean(&tokens),
        by_group,
        by_item: answered.iter().map(|(item, it)| (item.id.clone(), share_right(it))).collect(),
    })
}

/// Responses, together by item.
struct Responses<'it> {
    answered: Vec<&'it [&'it Sample]>,
}

impl<'it> Responses<'it> {
    fn each(&self) -> impl Iterator<Item = &'it Sample> {
        self.answered.iter().flat_map(|it| it.iter().copied())
    }

    fn share(&self, of: impl Fn(&Sample) -> bool) -> f64 {
        self.each().filter(|it| of(it)).count() as f64 / self.each().count().max(1) as f64
    }

    /// The mean of a value of items.
    fn mean_of(&self, seed: Seed, of: &dyn Fn(&[&Sample]) -> f64) -> Scored {
        let values: Vec<f64> = self.answered.iter().map(|it| of(it)).collect();
        Scored { value: mean(&values), interval: bootstrap_mean(&values, seed) }
    }
}

fn n_right(samples: &[&Sample]) -> usize {
    samples.iter().filter(|it| it.correct).count()
}

fn share_right(samples: &[&Sample]) -> f64 {
    n_right(samples) as f64 / samples.len() as f64
}

fn is_truncated(sample: &Sample) -> bool {
    sample.truncated
}

fn has_no_answer(sample: &Sample) -> bool {
    sample.extracted.is_none()
}

fn by_group(answered: &[(&Item, Vec<&Sample>)], seed: Seed) -> BTreeMap<String, OfGroup> {
    let mut groups: BTreeMap<&String, Vec<&[&Sample]>> = BTreeMap::new();
    for (item, samples) in answered.iter().filter(|it| !it.0.group.is_empty()) {
        groups.entry(&item.group).or_default().push(samples);
    }
    let groups = groups.into_iter().map(|(group, answered)| {
        let responses = Responses { answered };
        let score = OfGroup {
            n_items: responses.answered.len(),
            accuracy: responses.mean_of(seed.fork(group), &share_right),
            truncated: responses.share(is_truncated),
            no_answer: responses.share(has_no_answer),
        };
        (group.clone(), score)
    });
    groups.collect()
}

/// One per cent is added so that a group without a right answer does not make the whole 0 (Kazemi et al. 2025).
fn harmonic(accuracies: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = accuracies.len() as f64;
    n / accuracies.map(|it| 1.0 / (it + 0.01)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(id: &str, sample: usize, correct: bool) -> Sample {
        Sample {
            bench: "toy".into(),
            id: id.into(),
            sample,
            prompt_sha256: String::new(),
            grader: 1,
            response: String::new(),
            tokens: 10,
            truncated: sample == 1,
            extracted: correct.then(String::new),
            correct,
            reason: (!correct).then_some(Miss::Timeout),
            also: vec![("base".into(), true)],
        }
    }

    fn items(ids: &[&str]) -> Vec<Item> {
        ids.iter().map(|id| Item { id: (*id).into(), group: id[..1].into() }).collect()
    }

    #[test]
    fn scores_do_not_depend_on_the_order_of_samples() {
        let items = items(&["a1", "a2", "b1"]);
        let mut samples: Vec<Sample> = ["a1", "a2", "b1"]
            .iter()
            .enumerate()
            .flat_map(|(place, id)| (0..2).map(move |it| sample(id, it, it < place)))
            .collect();
        let first = score(&items, Headline::HarmonicToo, &samples, Seed::new(1)).unwrap();
        samples.reverse();
        assert_eq!(score(&items, Headline::HarmonicToo, &samples, Seed::new(1)).unwrap(), first);
        // 0, 1 and 2 of 2 are right.
        assert_eq!((first.accuracy.value, first.pass_at[&2].value), (0.5, 2.0 / 3.0));
        assert_eq!(
            (first.truncated, first.no_answer, first.timeout, first.mean_tokens),
            (0.5, 0.5, 0.5, 10.0)
        );
        let OfGroup { n_items, accuracy, truncated, no_answer } = first.by_group["a"];
        assert_eq!((n_items, accuracy.value, truncated, no_answer), (2, 0.25, 0.5, 0.75));
        assert_eq!((first.by_group["b"].accuracy.value, first.by_item["a2"]), (1.0, 0.5));
        assert_eq!(first.also["base"].value, 1.0);
        let expected = 2.0 / (1.0 / 0.26 + 1.0 / 1.01);
        assert!((first.harmonic.unwrap() - expected).abs() < 1e-12);
    }

    #[test]
    fn only_answered_items_count() {
        let items = items(&["a1", "a2"]);
        let one = score(&items, Headline::Micro, &[sample("a2", 0, true)], Seed::new(1)).unwrap();
        assert_eq!((one.n_items, one.n_samples, one.accuracy.value), (1, 1, 1.0));
        assert!(one.pass_at.is_empty() && one.harmonic.is_none() && one.accuracy.interval.low < 0.5);
        assert_eq!(score(&items, Headline::Micro, &[], Seed::new(1)), None);
    }
}
