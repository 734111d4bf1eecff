//! A program as the set of its short runs of symbols, by which many programs can be compared at once.

use std::hash::{Hash, Hasher};

use super::symbols::{Symbol, Text};

/// Symbols in a run. With fewer, programs of the same idioms look alike; with more, one change spoils most runs of a
/// short program.
const RUN: usize = 4;

/// Hashes of all runs of four symbols of a program, ascending, each once; of a shorter text, one of the whole. Comments,
/// layout and the names of variables do not count, nor which variable it is beyond the run. A text that is no Python is
/// taken by its lines. The hashes are the same on every machine of 64 bits.
pub fn shingles(source: &str) -> Vec<u64> {
    let text = Text::read(source);
    let symbols = text.symbols();
    let mut hashes: Vec<u64> = symbols.windows(RUN.min(symbols.len()).max(1)).map(hash_of_run).collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

fn hash_of_run(run: &[Symbol<'_>]) -> u64 {
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    for (at, symbol) in run.iter().enumerate() {
        match symbol {
            // By its first appearance in the run: what stands before the run may come and go.
            Symbol::Variable { .. } => {
                let first = run.iter().position(|it| it == symbol).expect("the symbol is in its run");
                ("variable", at - first).hash(&mut hasher);
            }
            Symbol::Mark(_)
            | Symbol::Name(_)
            | Symbol::Number(_)
            | Symbol::Text(_)
            | Symbol::Bytes(_)
            | Symbol::Line(_) => symbol.hash(&mut hasher),
        }
    }
    hasher.finish()
}

/// FNV-1a of 64 bits (Fowler, Noll and Vo): the standard library's hasher may change with its version.
struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: &str = "def f(xs, k):\n    total = 0\n    for x in xs:\n        if x % k == 0:\n            total += \
                           x * 3\n    return total";

    fn similarity(a: &str, b: &str) -> f64 {
        let (a, b) = (shingles(a), shingles(b));
        let n_common = a.iter().filter(|it| b.contains(it)).count();
        n_common as f64 / (a.len() + b.len() - n_common) as f64
    }

    #[test]
    fn names_comments_and_layout_do_not_count() {
        let renamed = "def g(items, n):  # sums up\n  acc = 0\n\n  for it in items:\n    if it%n == 0:\n      acc += \
                       it*3\n  return acc";
        assert_eq!(shingles(PROGRAM), shingles(renamed));
        assert_ne!(
            shingles(PROGRAM),
            shingles(&renamed.replace("it*3", "n*3")),
            "but which variable is meant"
        );
    }

    #[test]
    fn a_small_change_leaves_most_runs_and_another_program_few() {
        let padded = PROGRAM.replace("    total = 0", "    unused = []\n    total = 0");
        assert!((0.75..1.0).contains(&similarity(PROGRAM, &padded)), "{}", similarity(PROGRAM, &padded));
        let other = "def f(s):\n    words = s.split()\n    return ' '.join(reversed(words)).title()";
        assert!(similarity(PROGRAM, other) < 0.2, "{}", similarity(PROGRAM, other));
    }

    #[test]
    fn short_and_broken_texts_have_shingles_too() {
        assert_eq!(shingles("x").len(), 1);
        assert!(shingles("").is_empty());
        assert_eq!(shingles("def f(:\na\nb").len(), 1, "three lines");
    }
}
