//! Near-duplicates: proposals that are nearly one of the references they were shown, or nearly a task that is there
//! already. Tasks are sets of shingles, which their environment makes; how much two sets share is estimated from MinHash
//! sketches, and those that may share much are found by bands of them (Broder 1997; Indyk and Motwani 1998), so that a
//! look-up does not grow with the buffer. Everything follows from the tasks alone.

use std::collections::{BTreeMap, HashMap, HashSet};

use kelvin_core::{
    seed::Seed,
    task::{Reason, Rejection, Task, TaskType},
};

use crate::{
    buffer::TaskBuffer,
    settings::{AzrSettings, NearDuplicates},
    stage::{Estimated, Played, ProposalAsk, Proposed, Scene, Solved},
};

/// Bands of a sketch: two tasks are compared if one band of theirs is equal.
const N_BANDS: usize = 16;
/// Hashes in a band. At similarity s, a pair is compared with probability 1 - (1 - s^6)^16.
const BAND_WIDTH: usize = 6;
const N_HASHES: usize = N_BANDS * BAND_WIDTH;
/// The newest tasks of an equal band that are compared: a buffer full of one program costs no more than another.
const COMPARED_MAX: usize = 64;

/// Whose near-duplicate a valid proposal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Near {
    /// The type of the proposal.
    pub task_type: TaskType,
    /// Of a reference that it was shown.
    pub reference: bool,
    /// Of a task of its type that can be drawn, or of an earlier proposal of the step that was not refused.
    pub buffer: bool,
}

/// Looks at each valid proposal of a call, in order, beside its references, the buffer and the valid proposals before it
/// that are not refused. Proposals of an environment without shingles are not looked at.
///
/// # Errors
/// If a task does not fit its environment.
pub fn look(
    scene: Scene,
    asks: &[ProposalAsk],
    estimated: &[Estimated],
    buffer: &TaskBuffer,
) -> anyhow::Result<Vec<Option<Near>>> {
    look_at_all(
        scene,
        asks,
        estimated.iter().map(|it| it.outcome.as_ref().ok().map(|(task, _)| task)),
        buffer,
    )
}

/// Rejects near-duplicates where the settings say so; their tries are dropped. `looks` are those of the proposals.
pub fn refuse(played: Played, looks: &[Option<Near>], azr: &AzrSettings) -> Played {
    let mut estimated = Vec::with_capacity(played.estimated.len());
    let mut refused = HashSet::new();
    for (it, near) in played.estimated.into_iter().zip(looks) {
        let outcome = match near.and_then(|near| near.refusal(azr)) {
            Some(rejection) => {
                refused.insert(it.rollout.group);
                Err(rejection)
            }
            None => it.outcome,
        };
        estimated.push(Estimated { outcome, ..it });
    }
    let n_before = played.attempts.len();
    let attempts: Vec<Solved> =
        played.attempts.into_iter().filter(|it| !refused.contains(&it.rollout.group)).collect();
    let n_dropped = played.n_dropped + n_before - attempts.len();
    Played { estimated, attempts, n_dropped, ..played }
}

/// [`look`] and [`refuse`] for proposals that nobody tried.
///
/// # Errors
/// If a task does not fit its environment.
pub fn screen_proposals(
    scene: Scene,
    asks: &[ProposalAsk],
    proposed: Vec<Proposed>,
    buffer: &TaskBuffer,
) -> anyhow::Result<Vec<Proposed>> {
    let looks = look_at_all(scene, asks, proposed.iter().map(|it| it.outcome.as_ref().ok()), buffer)?;
    let screened = proposed.into_iter().zip(looks).map(|(it, near)| {
        let refusal = near.and_then(|near| near.refusal(&scene.settings.azr));
        Proposed { outcome: refusal.map_or(it.outcome, Err), ..it }
    });
    Ok(screened.collect())
}

fn look_at_all<'task>(
    scene: Scene,
    asks: &[ProposalAsk],
    tasks: impl Iterator<Item = Option<&'task Task>>,
    buffer: &TaskBuffer,
) -> anyhow::Result<Vec<Option<Near>>> {
    let mut fresh = Fresh::default();
    let look_at = |(task, ask): (Option<&Task>, &ProposalAsk)| match task {
        Some(task) => fresh.look_at(scene, task, &ask.references, buffer),
        None => Ok(None),
    };
    tasks.zip(asks).map(look_at).collect()
}

impl Near {
    /// Why such a proposal is none, where the settings reject it.
    pub fn refusal(self, azr: &AzrSettings) -> Option<Rejection> {
        match azr.near_duplicates {
            NearDuplicates::Reject if self.reference => {
                Some(Rejection::new(Reason::Similar, "it is nearly a reference that it was shown"))
            }
            NearDuplicates::Reject if self.buffer => {
                Some(Rejection::new(Reason::Similar, "it is nearly a task that is there already"))
            }
            NearDuplicates::Reject | NearDuplicates::Admit => None,
        }
    }
}

/// The valid proposals of a step so far.
#[derive(Default)]
struct Fresh {
    by_type: BTreeMap<TaskType, SketchIndex>,
    n_seen: u32,
}

impl Fresh {
    /// Looks at the next valid proposal, which was made from `references`. None where the environment has no shingles.
    ///
    /// # Errors
    /// If a task does not fit its environment.
    fn look_at(
        &mut self,
        scene: Scene,
        task: &Task,
        references: &[Task],
        buffer: &TaskBuffer,
    ) -> anyhow::Result<Option<Near>> {
        let Some(sketch) = Sketch::of(&scene.env.shingles(task)?) else { return Ok(None) };
        let similarity = scene.settings.azr.near_duplicate_similarity;
        let mut near = Near { task_type: task.task_type, reference: false, buffer: false };
        for reference in references {
            let of_reference = Sketch::of(&scene.env.shingles(reference)?);
            near.reference |= of_reference.is_some_and(|it| similarity <= it.similarity(&sketch));
        }
        let fresh = self.by_type.entry(task.task_type).or_default();
        near.buffer = fresh.holds_similar(&sketch, similarity)
            || buffer.holds_similar(task.task_type, &sketch, similarity);
        // What is not admitted is nowhere to be near to.
        if near.refusal(&scene.settings.azr).is_none() {
            fresh.insert(self.n_seen, sketch);
            self.n_seen += 1;
        }
        Ok(Some(near))
    }
}

/// What a set of shingles looks like, in 160 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sketch {
    bands: [u32; N_BANDS],
    /// A byte of each hash (Li and König 2010).
    bytes: [u8; N_HASHES],
}

impl Sketch {
    /// The sketch of a set; none of an empty one.
    pub fn of(shingles: &[u64]) -> Option<Sketch> {
        if shingles.is_empty() {
            return None;
        }
        let seed = Seed::new(0).fork("sketch");
        let mixed: Vec<u64> = shingles.iter().map(|&it| seed.nth(it).value()).collect();
        // Of mixed numbers the products with odd ones are as good as more mixing, and much cheaper.
        let least: [u64; N_HASHES] = std::array::from_fn(|at| {
            let factor = seed.fork("factor").nth(at as u64).value() | 1;
            mixed.iter().map(|it| it.wrapping_mul(factor)).min().expect("the set has a member")
        });
        let band = |at: usize| {
            let hashes = &least[at * BAND_WIDTH..(at + 1) * BAND_WIDTH];
            (hashes.iter().fold(seed, |seed, &hash| seed.nth(hash)).value() >> 32) as u32
        };
        // The highest bits of a minimum are mostly zero, the lowest of a product hang on few others.
        let byte = |hash: u64| (hash >> 32) as u8;
        Some(Sketch { bands: std::array::from_fn(band), bytes: least.map(byte) })
    }

    /// The estimated share of common shingles among all of both, in `[0, 1]`; its standard error is at most 0.05.
    pub fn similarity(&self, other: &Sketch) -> f64 {
        let n_equal = self.bytes.iter().zip(&other.bytes).filter(|(a, b)| a == b).count();
        // Bytes of different hashes are equal once in 256.
        let by_chance = 1.0 / 256.0;
        ((n_equal as f64 / N_HASHES as f64 - by_chance) / (1.0 - by_chance)).max(0.0)
    }
}

/// Sketches by number, searchable by similarity.
#[derive(Default)]
pub struct SketchIndex {
    sketches: HashMap<u32, Sketch>,
    /// Numbers by band and its value, ascending.
    buckets: HashMap<(usize, u32), Vec<u32>>,
}

impl SketchIndex {
    /// Adds a sketch with a number over all before.
    pub(crate) fn insert(&mut self, number: u32, sketch: Sketch) {
        for band in sketch.bands.into_iter().enumerate() {
            let bucket = self.buckets.entry(band).or_default();
            assert!(bucket.last().is_none_or(|last| *last < number), "numbers ascend");
            bucket.push(number);
        }
        self.sketches.insert(number, sketch);
    }

    /// Takes a sketch out, if it is there.
    pub(crate) fn remove(&mut self, number: u32) -> Option<Sketch> {
        let sketch = self.sketches.remove(&number)?;
        for band in sketch.bands.into_iter().enumerate() {
            let bucket = self.buckets.get_mut(&band).expect("each band has its bucket");
            bucket.remove(bucket.binary_search(&number).expect("the bucket holds it"));
            if bucket.is_empty() {
                self.buckets.remove(&band);
            }
        }
        Some(sketch)
    }

    /// Whether one of them is as similar as `similarity`, or more.
    pub(crate) fn holds_similar(&self, sketch: &Sketch, similarity: f64) -> bool {
        let buckets = sketch.bands.into_iter().enumerate().filter_map(|band| self.buckets.get(&band));
        let mut candidates = buckets.flat_map(|bucket| bucket.iter().rev().take(COMPARED_MAX));
        candidates.any(|number| similarity <= self.sketches[number].similarity(sketch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sketch(shingles: impl IntoIterator<Item = u64>) -> Sketch {
        Sketch::of(&shingles.into_iter().collect::<Vec<_>>()).unwrap()
    }

    /// Of 100 shingles each, `n` common.
    fn pair(n: u64, nth: u64) -> (Sketch, Sketch) {
        let from = nth * 1000;
        (sketch(from..from + 100), sketch(from + 100 - n..from + 200 - n))
    }

    #[test]
    fn similarity_is_the_share_of_common_shingles() {
        for n in [0, 50, 80, 90, 100] {
            let of_all = n as f64 / (200 - n) as f64;
            let mean = (0..50).map(|nth| pair(n, nth)).map(|(a, b)| a.similarity(&b)).sum::<f64>() / 50.0;
            // Fifty pairs of 96 hashes: five standard errors.
            assert!((mean - of_all).abs() < 0.04, "{n}: {mean} {of_all}");
        }
        assert_eq!(sketch([3, 1, 2]), sketch([2, 3, 1, 1]), "a set has no order");
        assert_eq!(Sketch::of(&[]), None);
    }

    #[test]
    fn the_index_finds_what_a_comparison_with_all_finds() {
        let mut index = SketchIndex::default();
        let pairs: Vec<(Sketch, Sketch)> = (0..200).map(|nth| pair(95, nth)).collect();
        for (number, (a, _)) in pairs.iter().enumerate() {
            index.insert(number as u32, a.clone());
        }
        let found = |index: &SketchIndex| pairs.iter().filter(|(_, b)| index.holds_similar(b, 0.8)).count();
        let by_all = pairs.iter().filter(|(_, b)| pairs.iter().any(|(a, _)| 0.8 <= a.similarity(b))).count();
        assert!(by_all.abs_diff(found(&index)) <= 2 && 180 < by_all, "{by_all} {}", found(&index));
        assert!(!index.holds_similar(&pair(95, 999).0, 0.8));
        for number in (0..200).step_by(2) {
            assert!(index.remove(number).is_some());
        }
        assert_eq!(index.remove(0), None);
        assert!(found(&index).abs_diff(by_all / 2) < 12, "half of them are gone: {}", found(&index));
        assert!((1..200).step_by(2).all(|number| index.remove(number).is_some()));
        assert!(index.buckets.is_empty() && index.sketches.is_empty(), "nothing stays behind");
    }
}
