//! Left-hand sides as the micro-kernels read them: blocks of rows, in place where that is as fast as a copy.

use std::ops::Range;

use super::{
    aligned::{AlignedBuf, LINE_FLOATS},
    matrix::MatRef,
    micro::MAX_TILE_ROWS,
};

/// Rows this many floats apart (4 KiB), or a multiple, share one set of the first-level cache. A tile has more rows
/// than a set has places, and each would drive out the others.
const SET_STRIDE: usize = 1024;
/// Rows that are copied to all tiles before the next rows: a tile takes a part of a line, and others the rest.
const COPIED_ROWS: usize = 16;

/// A block of A, in tiles of 12 rows.
pub(super) struct Left<'data> {
    data: &'data [f32],
    pub(super) row_stride: usize,
    pub(super) col_stride: usize,
    /// From the first row of a tile to that of the next.
    tile_stride: usize,
}

/// Whether the rows of a block come to lie side by side before they are read: those of a transposed matrix.
pub(super) fn is_transposed(a: MatRef) -> bool {
    a.col_stride() != 1 && a.row_stride() == 1
}

impl<'data> Left<'data> {
    /// The block of `a` in `rows` and `ks`. Copied to `scratch` if reading it there would touch a page for every k or
    /// drive itself out of the cache.
    pub(super) fn new(
        a: MatRef<'data>,
        rows: &Range<usize>,
        ks: &Range<usize>,
        scratch: &'data mut AlignedBuf,
    ) -> Left<'data> {
        if is_transposed(a) {
            Left::transposed(a, rows, ks, scratch)
        } else if a.col_stride() == 1 && a.row_stride().is_multiple_of(SET_STRIDE) {
            Left::spread(a, rows, ks, scratch)
        } else {
            let tile_stride = MAX_TILE_ROWS * a.row_stride();
            let data = a.from(rows.start, ks.start);
            Left { data, row_stride: a.row_stride(), col_stride: a.col_stride(), tile_stride }
        }
    }

    /// The rows of each tile side by side.
    fn transposed(
        a: MatRef,
        rows: &Range<usize>,
        ks: &Range<usize>,
        scratch: &'data mut AlignedBuf,
    ) -> Left<'data> {
        let tile_stride = MAX_TILE_ROWS * ks.len();
        scratch.reserve(rows.len().div_ceil(MAX_TILE_ROWS) * tile_stride);
        for first in (0..ks.len()).step_by(COPIED_ROWS) {
            let upto = (first + COPIED_ROWS).min(ks.len());
            let tiles = scratch.as_mut_slice().chunks_exact_mut(tile_stride);
            for (tile, first_row) in tiles.zip(rows.clone().step_by(MAX_TILE_ROWS)) {
                let height = MAX_TILE_ROWS.min(rows.end - first_row);
                let source = a.from(first_row, ks.start);
                let tile = &mut tile[first * MAX_TILE_ROWS..upto * MAX_TILE_ROWS];
                for (q, to) in (first..upto).zip(tile.chunks_exact_mut(MAX_TILE_ROWS)) {
                    let from = &source[q * a.col_stride()..];
                    if height == MAX_TILE_ROWS {
                        to.copy_from_slice(&from[..MAX_TILE_ROWS]);
                    } else {
                        to[..height].copy_from_slice(&from[..height]);
                    }
                }
            }
        }
        Left { data: scratch.as_slice(), row_stride: 1, col_stride: MAX_TILE_ROWS, tile_stride }
    }

    /// As they were, a line further apart.
    fn spread(
        a: MatRef,
        rows: &Range<usize>,
        ks: &Range<usize>,
        scratch: &'data mut AlignedBuf,
    ) -> Left<'data> {
        let row_stride = ks.len().next_multiple_of(LINE_FLOATS) + LINE_FLOATS;
        scratch.reserve(rows.len() * row_stride);
        for (row, to) in rows.clone().zip(scratch.as_mut_slice().chunks_exact_mut(row_stride)) {
            to[..ks.len()].copy_from_slice(&a.from(row, ks.start)[..ks.len()]);
        }
        let tile_stride = MAX_TILE_ROWS * row_stride;
        Left { data: scratch.as_slice(), row_stride, col_stride: 1, tile_stride }
    }

    /// The elements from those of tile `idx` on.
    pub(super) fn tile(&self, idx: usize) -> &'data [f32] {
        &self.data[idx * self.tile_stride..]
    }
}
