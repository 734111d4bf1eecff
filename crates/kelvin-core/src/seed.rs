//! Every random choice of a run is a pure function of the run's seed and the path to the choice.
//!
//! There is no generator to pass, lock or save: a path such as `run / step 12 / "propose" / 7 / "references"`
//! names a draw, so results depend neither on thread count nor on completion order, and resume stores no
//! random state.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// A node in the tree of random choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Seed(u64);

impl Seed {
    /// The root of a tree.
    pub fn new(root: u64) -> Seed {
        Seed(mix(root))
    }

    /// The child named `label`. Equal labels give equal children.
    pub fn fork(self, label: &str) -> Seed {
        // The length closes the label, so that fork("a").fork("b") is not fork("ab").
        let folded = label.bytes().fold(self.0, |state, byte| mix(state ^ u64::from(byte)));
        Seed(mix(folded ^ (label.len() as u64).rotate_left(32)))
    }

    /// The child at `index`.
    pub fn nth(self, index: u64) -> Seed {
        Seed(mix(self.0 ^ mix(index)))
    }

    /// 64 uniform bits.
    pub fn value(self) -> u64 {
        mix(self.0)
    }

    /// Uniform in `[0, 1)` with 53 bits.
    pub fn unit(self) -> f64 {
        (self.value() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in `0..bound`, by multiply-shift; the bias is below `bound / 2^64`.
    ///
    /// # Panics
    /// If `bound` is zero: an empty choice is a mistake of the caller.
    pub fn below(self, bound: usize) -> usize {
        assert!(0 < bound, "a choice among nothing");
        ((u128::from(self.value()) * bound as u128) >> 64) as usize
    }

    /// A sequence of draws below this node, for code that makes many in a row. It lives on the stack of one
    /// function and is never stored.
    pub fn draws(self) -> Draws {
        Draws { seed: self, next: 0 }
    }
}

/// Successive children of one [`Seed`].
#[derive(Clone, Debug)]
pub struct Draws {
    seed: Seed,
    next: u64,
}

impl Draws {
    /// The next child.
    pub fn seed(&mut self) -> Seed {
        self.next += 1;
        self.seed.nth(self.next)
    }

    /// Uniform in `0..bound`; see [`Seed::below`].
    pub fn below(&mut self, bound: usize) -> usize {
        self.seed().below(bound)
    }

    /// Uniform in `low..=high`.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        assert!(low <= high, "an empty range");
        low + self.below((high - low + 1) as usize) as i64
    }

    /// Uniform in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        self.seed().unit()
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// One element of `items`, uniformly.
    pub fn pick<'items, T>(&mut self, items: &'items [T]) -> &'items T {
        &items[self.below(items.len())]
    }

    /// `n` distinct indices below `bound` in random order; all of them when `bound < n`. Time and memory grow with `n`
    /// alone.
    pub fn distinct(&mut self, n: usize, bound: usize) -> Vec<usize> {
        // The first n swaps of a shuffle of 0..bound, of which only the displaced places are kept.
        let mut displaced: HashMap<usize, usize> = HashMap::new();
        let mut drawn = Vec::with_capacity(n.min(bound));
        for at in 0..n.min(bound) {
            let other = at + self.below(bound - at);
            let here = displaced.remove(&at).unwrap_or(at);
            match other == at {
                true => drawn.push(here),
                false => drawn.push(displaced.insert(other, here).unwrap_or(other)),
            }
        }
        drawn
    }
}

/// The SplitMix64 finaliser (Steele, Lea and Flood 2014).
fn mix(z: u64) -> u64 {
    let z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_draws() {
        let root = Seed::new(1);
        assert_eq!(root.fork("a").nth(3).value(), root.fork("a").nth(3).value());
        assert_ne!(root.fork("ab").value(), root.fork("a").fork("b").value());
        assert_ne!(root.nth(0).value(), root.nth(1).value());
        assert_ne!(root.fork("").value(), root.value());
    }

    #[test]
    fn below_is_uniform() {
        let mut counts = [0usize; 7];
        for index in 0..70_000 {
            counts[Seed::new(5).nth(index).below(7)] += 1;
        }
        // Standard deviation of a cell is 93; six of them.
        assert!(counts.iter().all(|&count| count.abs_diff(10_000) < 560), "{counts:?}");
    }

    #[test]
    fn distinct_draws_are_distinct() {
        let mut drawn = Seed::new(2).draws().distinct(5, 9);
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 5);
        assert_eq!(Seed::new(2).draws().distinct(5, 3).len(), 3);
    }

    /// The same draws as a shuffle that holds every place.
    #[test]
    fn distinct_draws_are_a_shuffle_cut_short() {
        for (index, (n, bound)) in [(0, 5), (1, 1), (4, 1000), (20, 21), (50, 50)].into_iter().enumerate() {
            let seed = Seed::new(8).nth(index as u64);
            let mut places: Vec<usize> = (0..bound).collect();
            let mut draws = seed.draws();
            (0..n).for_each(|at| places.swap(at, at + draws.below(bound - at)));
            assert_eq!(seed.draws().distinct(n, bound), places[..n]);
        }
    }
}
