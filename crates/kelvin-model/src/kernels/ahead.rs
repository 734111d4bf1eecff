//! What the next block of a product reads, fetched into the second-level cache while this one is multiplied.
//! Nothing depends on it but time.

use std::ops::Range;

use super::{aligned::LINE_FLOATS, matrix::MatRef};

/// A part of a matrix that is fetched run by run, a run being what is contiguous: of a row or of a column.
pub(super) struct Ahead {
    /// Where the run that is being fetched begins.
    at: *const f32,
    /// Elements from one run to the next.
    stride: usize,
    /// Runs that are left, this one among them.
    runs: usize,
    /// Lines of a run, and those of this one that were asked for.
    lines: usize,
    asked: usize,
    /// Lines to ask for at each tile.
    per_tile: usize,
}

impl Ahead {
    /// The elements of `of` in `rows` and `cols`, all asked for after `n_tiles` calls of [`Ahead::fetch`].
    pub(super) fn new(of: MatRef, rows: &Range<usize>, cols: &Range<usize>, n_tiles: usize) -> Ahead {
        let (runs, len, stride) = match (of.row_stride(), of.col_stride()) {
            (1, stride) => (cols.len(), rows.len(), stride),
            (stride, _) => (rows.len(), cols.len(), stride),
        };
        let lines = len.div_ceil(LINE_FLOATS);
        let at = of.from(rows.start, cols.start).as_ptr();
        Ahead { at, stride, runs, lines, asked: 0, per_tile: (runs * lines).div_ceil(n_tiles) }
    }

    /// Asks for a tile's share.
    #[inline]
    pub(super) fn fetch(&mut self) {
        let mut left = self.per_tile;
        while 0 < left && 0 < self.runs {
            let upto = self.lines.min(self.asked + left);
            for line in self.asked..upto {
                ask(self.at.wrapping_add(line * LINE_FLOATS));
            }
            left -= upto - self.asked;
            self.asked = upto;
            if upto == self.lines {
                self.asked = 0;
                self.runs -= 1;
                self.at = self.at.wrapping_add(self.stride);
            }
        }
    }
}

/// Asks for the line at an address, which may be any: nothing is read.
#[inline(always)]
fn ask(at: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of x86-64, and a prefetch faults nowhere.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T1>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offsets in floats of all lines, which are asked for one at a time.
    fn lines(of: MatRef, rows: Range<usize>, cols: Range<usize>, base: &[f32]) -> Vec<usize> {
        let mut ahead = Ahead { per_tile: 1, ..Ahead::new(of, &rows, &cols, 1) };
        let next = || {
            let offset =
                (ahead.at as usize - base.as_ptr() as usize) / size_of::<f32>() + ahead.asked * LINE_FLOATS;
            let is_left = 0 < ahead.runs;
            ahead.fetch();
            is_left.then_some(offset)
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn every_line_is_asked_for_once_whichever_way_a_matrix_lies() {
        let data = vec![0f32; 100 * 40];
        let rows = MatRef::new(&data, 100, 40);
        let expected = [128, 144, 168, 184, 208, 224];
        assert_eq!(lines(rows, 3..6, 8..40, &data), expected);
        // The same of the transposed view, whose columns are contiguous.
        assert_eq!(lines(rows.t(), 8..40, 3..6, &data), expected);
    }

    #[test]
    fn all_is_asked_for_after_so_many_tiles_and_nothing_beyond() {
        let data = vec![0f32; 100 * 40];
        let of = MatRef::new(&data, 100, 40);
        for n_tiles in [1, 2, 5, 100] {
            let mut ahead = Ahead::new(of, &(0..7), &(0..40), n_tiles);
            (0..n_tiles).for_each(|_| ahead.fetch());
            assert_eq!((ahead.runs, ahead.asked), (0, 0), "{n_tiles} tiles");
            ahead.fetch();
            assert_eq!(ahead.runs, 0);
        }
        let mut nothing = Ahead::new(of, &(0..7), &(40..40), 3);
        nothing.fetch();
        assert_eq!((nothing.per_tile, nothing.asked), (0, 0));
    }
}
