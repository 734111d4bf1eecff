//! Asking a policy the questions of a benchmark.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::ensure;
use kelvin_core::{
    benchmark::{Ask, Benchmark, Item, PromptMode, Verdict},
    policy::{Indexed, Sampler},
    rollout::{Completion, Finish, Prompt, SampleRequest, Sampling},
    seed::Seed,
};
use sha2::{Digest, Sha256};

use super::{GRADER_VERSION, Sample};
use crate::stage::{Judge, Work, stream};

/// A benchmark, and how it is put to a model.
#[derive(Clone)]
pub struct Course<'it> {
    /// Its name.
    pub name: &'it str,
    /// The benchmark.
    pub benchmark: &'it dyn Benchmark,
    /// Only the first so many items; `None` for all.
    pub limit: Option<usize>,
    /// Responses to each.
    pub n_samples: usize,
    /// How questions reach the model.
    pub mode: PromptMode,
    /// How responses are drawn.
    pub sampling: Arc<Sampling>,
    /// The root of all draws. A draw depends on benchmark, item and sample, not on how many others there are.
    pub seed: Seed,
}

impl Course<'_> {
    /// Items that are asked.
    pub fn n_items(&self) -> usize {
        let n = self.benchmark.items().len();
        self.limit.map_or(n, |limit| limit.min(n))
    }
}

/// What tells a sample from all others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The benchmark's name.
    pub bench: String,
    /// The item's identifier.
    pub id: String,
    /// Which of its samples.
    pub sample: usize,
}

/// What is known of a sample that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// SHA-256 of its prompt, in hex.
    pub prompt_sha256: String,
    /// The version of the graders that its verdict is of.
    pub grader: u32,
}

impl Known {
    fn ensure_of(&self, prompt_sha256: &str, key: &Key) -> anyhow::Result<()> {
        ensure!(
            self.prompt_sha256 == prompt_sha256,
            "{} {}: the sample that is there answers another prompt\nhint: name another folder",
            key.bench,
            key.id
        );
        ensure!(
            self.grader == GRADER_VERSION,
            "{} {}: the sample that is there was graded by version {} of the graders, and this is {GRADER_VERSION}\n\
             hint: grade the samples again, with --regrade",
            key.bench,
            key.id,
            self.grader
        );
        Ok(())
    }
}

/// What answers.
#[derive(Clone, Copy)]
pub struct Drawn<'it> {
    /// The model.
    pub sampler: &'it dyn Sampler,
    /// The longest prompt and response that it reads, in tokens. A question that leaves no room for a response counts as
    /// one whose response was cut off before it began.
    pub context_tokens: usize,
    /// Threads that grade.
    pub n_judges: usize,
}

/// Where samples go; several threads give at once.
pub type Kept<'it> = &'it (dyn Fn(Sample) -> anyhow::Result<()> + Sync);

/// Draws and grades what is not `known`, and keeps every sample as it is graded, in any order. `render` makes a prompt of
/// what a benchmark asks.
///
/// # Errors
/// If a question has no prompt, what is known of a sample is of another prompt or version of the graders, or the policy, the
/// sandbox or `keep` fails.
pub fn ask(
    drawn: &Drawn,
    course: &Course,
    render: &dyn Fn(Ask) -> anyhow::Result<Prompt>,
    known: &BTreeMap<Key, Known>,
    keep: Kept,
) -> anyhow::Result<()> {
    let (mut asked, mut requests) = (Vec::new(), Vec::new());
    let root = course.seed.fork(course.name);
    for (item_idx, item) in course.benchmark.items().iter().enumerate().take(course.n_items()) {
        let key = |sample| Key { bench: course.name.to_owned(), id: item.id.clone(), sample };
        let prompt = render(course.benchmark.ask(item_idx, course.mode)?)?;
        let prompt_sha256: Arc<str> = hex(&Sha256::digest(&prompt)).into();
        let mut wanted = Vec::new();
        for key in (0..course.n_samples).map(key) {
            match known.get(&key) {
                Some(it) => it.ensure_of(&prompt_sha256, &key)?,
                None => wanted.push(key),
            }
        }
        if wanted.is_empty() {
            continue;
        }
        if drawn.context_tokens <= drawn.sampler.prompt_len(&prompt)? {
            wanted.into_iter().try_for_each(|key| keep(Sample::cut_off(key, &prompt_sha256)))?;
            continue;
        }
        for key in wanted {
            let seed = root.fork(&item.id).nth(key.sample as u64);
            requests.push((
                asked.len(),
                SampleRequest { prompt: prompt.clone(), seed, sampling: course.sampling.clone() },
            ));
            asked.push(Asked { item_idx, key, prompt_sha256: prompt_sha256.clone() });
        }
    }
    if !requests.is_empty() {
        stream(drawn.sampler, drawn.n_judges, requests, &Grader { course, asked, keep })?;
    }
    Ok(())
}

/// The publisher's own answers as samples that nobody graded, of the first `limit` items.
pub fn golds(benchmark: &dyn Benchmark, name: &str, limit: Option<usize>) -> Vec<Sample> {
    let items = benchmark.items().iter().enumerate().take(limit.unwrap_or(usize::MAX));
    let gold = |(item_idx, item): (usize, &Item)| {
        let key = Key { bench: name.to_owned(), id: item.id.clone(), sample: 0 };
        Some(Sample { response: benchmark.gold(item_idx)?, ..Sample::cut_off(key, "") })
    };
    items.filter_map(gold).collect()
}

/// Grades samples again, as many at once as there are judges; gives them in their order. Samples of items that the
/// benchmark does not have are dropped.
///
/// # Errors
/// If the sandbox is broken.
pub fn regrade(
    benchmark: &dyn Benchmark,
    mode: PromptMode,
    n_judges: usize,
    samples: Vec<Sample>,
) -> anyhow::Result<Vec<Sample>> {
    let places: BTreeMap<&str, usize> =
        benchmark.items().iter().enumerate().map(|(place, it)| (it.id.as_str(), place)).collect();
    let (next, graded) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || -> anyhow::Result<()> {
        while let Some((index, sample)) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            samples.get(index).map(|it| (index, it))
        } {
            let Some(&item_idx) = places.get(sample.id.as_str()) else { continue };
            let verdict: Verdict = benchmark.grade(item_idx, mode, &sample.response)?;
            let sample = sample.clone().graded(verdict);
            // A poisoned lock only says that another judge panicked, which joining it tells.
            graded.lock().unwrap_or_else(PoisonError::into_inner).push((index, sample));
        }
        Ok(())
    };
    thread::scope(|scope| {
        let judges: Vec<_> = (0..n_judges.max(1)).map(|_| scope.spawn(work)).collect();
        judges
            .into_iter()
            .try_for_each(|it| it.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    let mut graded = graded.into_inner().unwrap_or_else(PoisonError::into_inner);
    graded.sort_by_key(|it| it.0);
    Ok(graded.into_iter().map(|it| it.1).collect())
}

struct Asked {
    item_idx: usize,
    key: Key,
    prompt_sha256: Arc<str>,
}

struct Grader<'it> {
    course: &'it Course<'it>,
    asked: Vec<Asked>,
    keep: Kept<'it>,
}

impl Judge for Grader<'_> {
    fn work(&self, _index: usize) -> Work {
        Work::Grade
    }

    fn judge(&self, index: usize, completion: Completion) -> anyhow::Result<Vec<Indexed<SampleRequest>>> {
        let Asked { item_idx, key, prompt_sha256 } = &self.asked[index];
        let verdict = self.course.benchmark.grade(*item_idx, self.course.mode, &completion.text)?;
        let sample = Sample {
            tokens: completion.tokens.len(),
            truncated: completion.finish == Finish::Length,
            response: completion.text,
            ..Sample::cut_off(key.clone(), prompt_sha256)
        };
        (self.keep)(sample.graded(verdict))?;
        Ok(Vec::new())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}
