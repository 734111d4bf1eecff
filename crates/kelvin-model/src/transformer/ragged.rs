//! Sequences as rows, and batches as chunks.

use std::ops::Range;

/// Sequences of different lengths, their tokens as rows one after another. A sequence may go on from rows of an
/// earlier one, so that samples of one prompt read it once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ragged {
    sequences: Vec<Sequence>,
    positions: Vec<usize>,
}

/// Rows of one sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sequence {
    /// Rows of an earlier sequence, from its beginning on, that stand before its own; often none.
    pub(crate) prefix: Range<usize>,
    /// Its own rows.
    pub(crate) rows: Range<usize>,
}

impl Sequence {
    /// All rows that its last row sees, in their order.
    pub(crate) fn seen(&self) -> impl Iterator<Item = usize> {
        self.prefix.clone().chain(self.rows.clone())
    }

    /// How many they are.
    pub(crate) fn len(&self) -> usize {
        self.prefix.len() + self.rows.len()
    }
}

impl Ragged {
    /// Forgets all sequences.
    pub(crate) fn clear(&mut self) {
        self.positions.clear();
        self.sequences.clear();
    }

    /// Adds a sequence of `len` rows and answers with them.
    pub(crate) fn push(&mut self, len: usize) -> Range<usize> {
        self.push_after(0..0, len)
    }

    /// Adds a sequence that goes on from `prefix`, which are the first rows of a sequence without one, with
    /// `len` rows of its own. Answers with those.
    pub(crate) fn push_after(&mut self, prefix: Range<usize>, len: usize) -> Range<usize> {
        let rows = self.rows()..self.rows() + len;
        self.positions.extend(prefix.len()..prefix.len() + len);
        if 0 < len {
            self.sequences.push(Sequence { prefix, rows: rows.clone() });
        }
        rows
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.positions.len()
    }

    /// The place of each row in its sequence.
    pub(crate) fn positions(&self) -> &[usize] {
        &self.positions
    }

    /// The sequences that have rows of their own.
    pub(crate) fn sequences(&self) -> &[Sequence] {
        &self.sequences
    }

    /// The longest sequence, with its prefix, in rows.
    pub(crate) fn longest(&self) -> usize {
        self.sequences.iter().map(Sequence::len).max().unwrap_or(0)
    }
}

/// Rows that a chunk of one thread holds on average: enough for the products to run well, few enough for the
/// activations of a chunk to stay near the caches.
pub(crate) const CHUNK_ROWS: usize = 512;

/// Splits a batch, given the rows of each of its sequences, into chunks of about `chunk_rows` rows: longest
/// first, each to the chunk with the fewest rows. Depends on the lengths alone, not on threads. A sequence is never
/// cut, so that one which is longer than a chunk has one of its own.
pub(crate) fn balanced_chunks(rows: &[usize], chunk_rows: usize) -> Vec<Vec<usize>> {
    let n_chunks = rows.iter().sum::<usize>().div_ceil(chunk_rows).clamp(1, rows.len().max(1));
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|&idx| (std::cmp::Reverse(rows[idx]), idx));
    let mut chunks = vec![(0, Vec::new()); n_chunks];
    for idx in order {
        let chunk = chunks.iter_mut().min_by_key(|(held, _)| *held).expect("there is at least one chunk");
        chunk.0 += rows[idx];
        chunk.1.push(idx);
    }
    chunks.into_iter().map(|(_, members)| members).filter(|members| !members.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_hold_every_sequence_once_and_balance() {
        let rows: Vec<usize> = (0..97).map(|idx| 1 + (idx * 7919) % 211).collect();
        let chunks = balanced_chunks(&rows, CHUNK_ROWS);
        let mut all: Vec<usize> = chunks.iter().flatten().copied().collect();
        all.sort_unstable();
        assert_eq!(all, (0..97).collect::<Vec<_>>());
        let sizes: Vec<usize> = chunks.iter().map(|chunk| chunk.iter().map(|&idx| rows[idx]).sum()).collect();
        let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
        assert!(most - least <= 64 && *most <= CHUNK_ROWS + 64, "{sizes:?}");
        assert!(balanced_chunks(&[], CHUNK_ROWS).is_empty());
    }

    #[test]
    fn positions_restart_with_each_sequence_and_go_on_from_a_prefix() {
        let mut ragged = Ragged::default();
        assert_eq!([ragged.push(3), ragged.push(0)], [0..3, 3..3]);
        assert_eq!(ragged.push_after(0..2, 2), 3..5);
        assert_eq!(ragged.push(1), 5..6);
        assert_eq!(ragged.positions(), [0, 1, 2, 2, 3, 0]);
        let seen: Vec<Vec<usize>> = ragged.sequences().iter().map(|it| it.seen().collect()).collect();
        assert_eq!(seen, [vec![0, 1, 2], vec![0, 1, 3, 4], vec![5]]);
        assert_eq!((ragged.rows(), ragged.longest()), (6, 4));
        ragged.clear();
        assert_eq!((ragged.rows(), ragged.longest(), ragged.sequences().len()), (0, 0, 0));
    }
}
