//! Sequences as rows, and batches as chunks.

use std::ops::Range;

/// Sequences of different lengths, their tokens as rows one after another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ragged {
    starts: Vec<usize>,
    positions: Vec<usize>,
}

impl Ragged {
    /// Takes the place of what was held.
    pub(crate) fn reset(&mut self, lengths: impl Iterator<Item = usize>) {
        self.positions.clear();
        self.starts.clear();
        self.starts.push(0);
        for len in lengths {
            self.positions.extend(0..len);
            self.starts.push(self.positions.len());
        }
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.positions.len()
    }

    /// The place of each row in its sequence.
    pub(crate) fn positions(&self) -> &[usize] {
        &self.positions
    }

    /// Rows of each sequence that has any.
    pub(crate) fn sequences(&self) -> impl Iterator<Item = Range<usize>> {
        self.starts.windows(2).map(|pair| pair[0]..pair[1]).filter(|rows| !rows.is_empty())
    }

    /// The longest sequence, in rows.
    pub(crate) fn longest(&self) -> usize {
        self.sequences().map(|rows| rows.len()).max().unwrap_or(0)
    }
}

/// Rows that a chunk holds on average: enough for the products to run well, few enough for the activations of
/// a chunk to stay near the caches.
const CHUNK_ROWS: usize = 512;

/// Splits a batch, given the rows of each of its sequences, into chunks of about [`CHUNK_ROWS`] rows: longest
/// first, each to the chunk with the fewest rows. Depends on the lengths alone, not on threads.
pub(crate) fn balanced_chunks(rows: &[usize]) -> Vec<Vec<usize>> {
    let n_chunks = rows.iter().sum::<usize>().div_ceil(CHUNK_ROWS).clamp(1, rows.len().max(1));
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
        let chunks = balanced_chunks(&rows);
        let mut all: Vec<usize> = chunks.iter().flatten().copied().collect();
        all.sort_unstable();
        assert_eq!(all, (0..97).collect::<Vec<_>>());
        let sizes: Vec<usize> = chunks.iter().map(|chunk| chunk.iter().map(|&idx| rows[idx]).sum()).collect();
        let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
        assert!(most - least <= 64 && *most <= CHUNK_ROWS + 64, "{sizes:?}");
        assert!(balanced_chunks(&[]).is_empty());
    }

    #[test]
    fn positions_restart_with_each_sequence() {
        let mut ragged = Ragged::default();
        ragged.reset([3, 1, 0, 2].into_iter());
        assert_eq!(ragged.positions(), [0, 1, 2, 0, 0, 1]);
        assert_eq!(ragged.sequences().collect::<Vec<_>>(), [0..3, 3..4, 4..6]);
        assert_eq!(ragged.longest(), 3);
    }
}
