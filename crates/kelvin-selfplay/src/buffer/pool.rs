//! The tasks of one type that can be drawn, and which of them goes when there are too many. What stays depends on the
//! tasks and their order alone, not on when they were read.

use std::collections::{BinaryHeap, HashMap, VecDeque};

use kelvin_core::{
    seed::Seed,
    task::{Step, Task},
};

use crate::{
    novelty::{Sketch, SketchIndex},
    settings::{AzrSettings, Eviction, RunSettings},
};

/// A task that can be drawn.
pub(super) struct Entry {
    /// Its place among all tasks of its type that were ever admitted.
    pub(super) number: u32,
    /// The step at which it was admitted.
    pub(super) born: Step,
    /// Equal for equal tasks.
    pub(super) identity: u128,
    /// How often it is solved, as far as that is known; see [`AzrSettings::band`].
    pub(super) solve_rate: Option<f32>,
    /// The task as JSON.
    pub(super) text: Box<str>,
}

impl Entry {
    pub(super) fn task(&self) -> Task {
        serde_json::from_str(&self.text).expect("the buffer wrote it")
    }
}

/// What bounds the pools of a run.
#[derive(PartialEq)]
pub(super) struct Limits {
    buffer_max: usize,
    eviction: Eviction,
    new_window: Step,
    /// Of the keys of a reservoir.
    seed: Seed,
}

impl Limits {
    pub(super) fn of(settings: &RunSettings) -> Limits {
        let AzrSettings { buffer_max, eviction, new_window, .. } = settings.azr;
        Limits { buffer_max, eviction, new_window, seed: Seed::new(settings.seed).fork("reservoir") }
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Pool {
    /// Admitted at step 0.
    seeds: Vec<Entry>,
    /// All others, oldest first.
    later: VecDeque<Entry>,
    /// How many were ever admitted, by step, where there were any.
    admitted: Vec<(Step, u32)>,
    /// For a reservoir: key and number of those of `later` that are not new any more.
    aged: BinaryHeap<(u64, u32)>,
    /// The first number that is not among the aged yet.
    next_to_age: u32,
    /// What the tasks that can be drawn look like.
    pub(super) sketches: SketchIndex,
}

impl Pool {
    pub(super) fn len(&self) -> usize {
        self.seeds.len() + self.later.len()
    }

    pub(super) fn entry(&self, index: usize) -> &Entry {
        self.seeds.get(index).unwrap_or_else(|| &self.later[index - self.seeds.len()])
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.seeds.iter().chain(&self.later)
    }

    pub(super) fn n_admitted(&self) -> u32 {
        self.admitted.iter().map(|&(_, n)| n).sum()
    }

    /// Where the tasks begin that are new at step `now`; they are the last ones.
    pub(super) fn first_new(&self, now: Step, azr: &AzrSettings) -> usize {
        let oldest = azr.first_new_step(now);
        match azr.eviction {
            Eviction::Oldest | Eviction::Reservoir if oldest == 0 => 0,
            Eviction::Oldest | Eviction::Reservoir => {
                self.seeds.len() + self.later.partition_point(|it| it.born < oldest)
            }
            // The original takes as many from the end as were admitted, though a full buffer admitted them in vain.
            Eviction::KeepOldest => {
                let recent = self.admitted.iter().rev().take_while(|(step, _)| oldest <= *step);
                let n_new = recent.map(|&(_, n)| n as usize).sum();
                self.len().saturating_sub(n_new)
            }
        }
    }

    /// Takes in the next task of this type.
    pub(super) fn admit(&mut self, entry: Entry, sketch: Option<Sketch>, limits: Option<&Limits>) {
        match self.admitted.last_mut() {
            Some((step, n)) if *step == entry.born => *n += 1,
            Some(_) | None => self.admitted.push((entry.born, 1)),
        }
        self.insert(entry, sketch);
        if let Some(limits) = limits {
            self.evict(limits);
        }
    }

    fn insert(&mut self, entry: Entry, sketch: Option<Sketch>) {
        if let Some(sketch) = sketch {
            self.sketches.insert(entry.number, sketch);
        }
        match entry.born {
            0 => self.seeds.push(entry),
            _ => self.later.push_back(entry),
        }
    }

    /// Begins anew with the same tasks, under limits.
    pub(super) fn settle(&mut self, limits: &Limits) {
        let Pool { seeds, later, admitted, mut sketches, .. } = std::mem::take(self);
        self.admitted = admitted;
        for entry in seeds.into_iter().chain(later) {
            let sketch = sketches.remove(entry.number);
            self.insert(entry, sketch);
            self.evict(limits);
        }
    }

    /// Makes room after one task was taken in. Seeds stay, but where only the oldest do.
    fn evict(&mut self, limits: &Limits) {
        if limits.eviction == Eviction::Reservoir {
            self.age(limits);
        }
        if self.len() <= limits.buffer_max {
            return;
        }
        let evicted = match limits.eviction {
            Eviction::Oldest => self.later.pop_front(),
            Eviction::KeepOldest => self.later.pop_back().or_else(|| self.seeds.pop()),
            Eviction::Reservoir => match self.aged.pop() {
                Some((_, number)) => {
                    let index = self.later.binary_search_by_key(&number, |it| it.number);
                    self.later.remove(index.expect("what is aged was not evicted"))
                }
                // More new tasks than there is room.
                None => self.later.pop_front(),
            },
        };
        if let Some(entry) = evicted {
            self.sketches.remove(entry.number);
        }
    }

    /// Gives keys to the tasks that were new until the newest one came. Those with the smallest keys stay: a uniform
    /// sample, however long the run (Vitter 1985, by the keys of Efraimidis and Spirakis 2006).
    fn age(&mut self, limits: &Limits) {
        let Some(newest) = self.later.back().map(|it| it.born) else { return };
        let first = self.later.partition_point(|it| it.number < self.next_to_age);
        for entry in self.later.range(first..) {
            if newest < entry.born + limits.new_window {
                break;
            }
            self.aged.push((limits.seed.nth(u64::from(entry.number)).value(), entry.number));
            self.next_to_age = entry.number + 1;
        }
    }

    /// A solve rate that was just seen moves the mean over the last `n_estimate` solves, which begins in the middle of
    /// the band.
    pub(super) fn observe(&mut self, identity: u128, seen: f32, azr: &AzrSettings) {
        let weight = (azr.n_solutions as f32 / azr.n_estimate as f32).min(1.0);
        let middle = ((azr.band[0] + azr.band[1]) / 2.0) as f32;
        for entry in self.seeds.iter_mut().chain(&mut self.later).filter(|it| it.identity == identity) {
            let before = entry.solve_rate.unwrap_or(middle);
            entry.solve_rate = Some(before + weight * (seen - before));
        }
    }

    pub(super) fn set_solve_rates(&mut self, known: &[(u32, f32)]) {
        let mut known: HashMap<u32, f32> = known.iter().copied().collect();
        for entry in self.seeds.iter_mut().chain(&mut self.later) {
            entry.solve_rate = known.remove(&entry.number);
        }
        assert!(known.is_empty(), "a solve rate of a task that is not here");
    }
}
