//! How far two programs lie apart: 1 - 2 LCS / (n + m), with LCS the longest common subsequence of their n and m
//! symbols. A symbol is a token without what a reader would not count as a difference (`symbols`). `compat` is the
//! original's definition beside it.

mod compat;
mod shingles;
mod subsequence;
mod symbols;

use std::collections::HashMap;

pub use compat::compat_distance;
pub use shingles::shingles;
use symbols::{Symbol, Text};

/// How many symbols of the differing middles of two programs are aligned; those after them count as different.
/// The seed programs of azr.md section 1.2 have a few hundred.
const MAX_ALIGNED_SYMBOLS: usize = 4096;

/// The distance between two programs: 0 for the same one, 1 for two that have nothing in common.
///
/// The share of their tokens that has to be deleted or inserted to make one of them the other. Comments, layout
/// and the names of variables do not count; names of builtins, modules, attributes and keyword arguments do,
/// and literals do by their type and value. A text that is no Python is compared by its lines.
pub fn distance(a: &str, b: &str) -> f64 {
    let (a, b) = (Text::read(a), Text::read(b));
    let (a, b) = numbered(&a.symbols(), &b.symbols());
    let n_symbols = a.len() + b.len();
    if n_symbols == 0 {
        return 0.0;
    }
    n_edits(&a, &b) as f64 / n_symbols as f64
}

/// Both sequences with equal numbers for equal symbols, counted from zero.
fn numbered(a: &[Symbol<'_>], b: &[Symbol<'_>]) -> (Vec<usize>, Vec<usize>) {
    let mut numbers: HashMap<&Symbol<'_>, usize> = HashMap::new();
    let all = a.iter().chain(b).map(|symbol| {
        let n_known = numbers.len();
        *numbers.entry(symbol).or_insert(n_known)
    });
    let mut of_a: Vec<usize> = all.collect();
    let of_b = of_a.split_off(a.len());
    (of_a, of_b)
}

/// Deletions and insertions between two sequences; what lies past [`MAX_ALIGNED_SYMBOLS`] is not aligned.
fn n_edits(a: &[usize], b: &[usize]) -> usize {
    let n_before = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[n_before..], &b[n_before..]);
    let n_after = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[..a.len() - n_after], &b[..b.len() - n_after]);
    let aligned = |symbols: &[usize]| symbols.len().min(MAX_ALIGNED_SYMBOLS);
    let n_common = subsequence::longest_common(&a[..aligned(a)], &b[..aligned(b)]);
    a.len() + b.len() - 2 * n_common
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_past_the_limit_counts_as_different() {
        let a: Vec<usize> = [vec![0; MAX_ALIGNED_SYMBOLS], vec![1, 2]].concat();
        let b: Vec<usize> = [vec![0; MAX_ALIGNED_SYMBOLS - 1], vec![3], vec![1, 4]].concat();
        assert_eq!(n_edits(&a, &b), 4, "the common beginning is not in the way of the limit");
        let a: Vec<usize> = [vec![5], vec![0; MAX_ALIGNED_SYMBOLS], vec![1, 2]].concat();
        let b: Vec<usize> = [vec![6], vec![0; MAX_ALIGNED_SYMBOLS], vec![1, 4]].concat();
        assert_eq!(n_edits(&a, &b), 2 + 2 * 3);
        assert_eq!(n_edits(&a, &a), 0);
    }
}
