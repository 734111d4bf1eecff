//! Matrix products.

use std::{cell::Cell, ops::Range};

use rayon::prelude::*;

use super::{
    ahead::Ahead,
    aligned::AlignedBuf,
    element::Element,
    left::{Left, is_transposed},
    matrix::{MatMut, MatRef},
    micro::{self, MAX_TILE_ROWS, PANEL, Sums, Tile},
    pack::{PackedMatrix, Panel, pack, packed_len},
    simd::{self, Level},
};

/// Rows of B taken at once: a panel of 256 x 32 floats is 32 KiB, about a first-level cache.
pub(super) const K_BLOCK: usize = 256;
/// Columns of B packed at once: 512 KiB at the full depth, for the second-level cache.
const N_BLOCK: usize = 512;
/// Rows of A passed over a panel before the next panel, a multiple of the tile. Nothing fetches those of a product's
/// first block ahead.
const M_BLOCK: usize = 48;

thread_local! {
    /// Packed blocks of A and B. Taken while in use, so that a nested product finds an empty one.
    static SCRATCH: Cell<(AlignedBuf, AlignedBuf)> = const { Cell::new((AlignedBuf::new(), AlignedBuf::new())) };
}

/// `c = a b`, or `c += a b` if `accumulate`. Each row of `c` depends on that row of `a` alone.
///
/// # Panics
/// If the shapes do not fit.
pub fn matmul(a: MatRef, b: MatRef, mut c: MatMut, accumulate: bool) {
    if is_settled(a, b, &mut c, accumulate) {
        return;
    }
    let (rows, cols) = (0..c.rows(), 0..c.cols());
    // SAFETY: the shapes fit, and `c` is borrowed exclusively.
    unsafe { part(a, b, Out::new(&mut c), rows, cols, accumulate) };
}

/// The fewest columns of a share of [`matmul_parallel`], a multiple of a panel: fewer would read A too often.
const SHARE_COLS_MIN: usize = 4 * PANEL;
/// Parts of a product with packed weights for each thread: who is done early takes some of another's, and at the end waits
/// for one part at most, which takes as long as reading it.
const PACKED_SHARES: usize = 16;

/// [`matmul`] shared among rayon's threads, by columns of `c` or by its rows. The same bits for any number of
/// threads: each element is one chain over k, whatever share it is in.
///
/// # Panics
/// If the shapes do not fit.
pub fn matmul_parallel(a: MatRef, b: MatRef, mut c: MatMut, accumulate: bool) {
    if is_settled(a, b, &mut c, accumulate) {
        return;
    }
    let (m, n, n_shares) = (c.rows(), c.cols(), 4 * rayon::current_num_threads());
    let out = Out::new(&mut c);
    // Each share packs its part of one operand, and all of the other where that is packed at all.
    if n < 2 * SHARE_COLS_MIN || (is_transposed(a) && n <= m) {
        let share = m.div_ceil(n_shares).next_multiple_of(M_BLOCK);
        (0..m).into_par_iter().step_by(share).for_each(|first| {
            // SAFETY: the shapes fit, `c` is borrowed exclusively, and no two shares have a row in common.
            unsafe { part(a, b, out, first..(first + share).min(m), 0..n, accumulate) };
        });
    } else {
        let share = n.div_ceil(n_shares).next_multiple_of(PANEL).max(SHARE_COLS_MIN);
        (0..n).into_par_iter().step_by(share).for_each(|first| {
            // SAFETY: as above, with columns for rows.
            unsafe { part(a, b, out, 0..m, first..(first + share).min(n), accumulate) };
        });
    }
}

/// Checks the shapes, and answers whether nothing is left to multiply.
fn is_settled(a: MatRef, b: MatRef, c: &mut MatMut, accumulate: bool) -> bool {
    assert_eq!(a.cols(), b.rows(), "columns of a are rows of b");
    assert_eq!((a.rows(), b.cols()), (c.rows(), c.cols()), "c has the rows of a and the columns of b");
    if a.cols() == 0 && !accumulate {
        c.fill(0.0);
    }
    a.rows() == 0 || b.cols() == 0 || a.cols() == 0
}

/// The elements of `out` in `rows` and `cols`.
///
/// # Safety
/// The shapes of `a`, `b` and `out` fit, all have at least one element, `rows` and `cols` lie within `out`, and
/// nobody else touches these elements.
unsafe fn part(a: MatRef, b: MatRef, out: Out, rows: Range<usize>, cols: Range<usize>, accumulate: bool) {
    let (k, level) = (a.cols(), simd::level());
    let n_tiles = |rows: &Range<usize>, cols: &Range<usize>| {
        rows.len().div_ceil(MAX_TILE_ROWS) * cols.len().div_ceil(PANEL)
    };
    let (mut a_scratch, mut b_scratch) = SCRATCH.take();
    for cols in cols.clone().step_by(N_BLOCK).map(|first| piece(first, cols.end, N_BLOCK)) {
        for ks in (0..k).step_by(K_BLOCK).map(|first| piece(first, k, K_BLOCK)) {
            b_scratch.reserve(packed_len(ks.len(), cols.len()));
            pack(b, ks.clone(), cols.clone(), b_scratch.as_mut_slice());
            let next_ks = piece(ks.end, k, K_BLOCK);
            let mut next_b = Ahead::new(b, &next_ks, &cols, n_tiles(&rows, &cols));
            for own in rows.clone().step_by(M_BLOCK).map(|first| piece(first, rows.end, M_BLOCK)) {
                let (next_rows, of_ks) = match piece(own.end, rows.end, M_BLOCK) {
                    none if none.is_empty() => (piece(rows.start, rows.end, M_BLOCK), &next_ks),
                    next => (next, &ks),
                };
                let next_a = Ahead::new(a, &next_rows, of_ks, n_tiles(&own, &cols));
                let block = Block {
                    level,
                    a: Left::new(a, &own, &ks, &mut a_scratch),
                    b: b_scratch.as_slice(),
                    k: ks.len(),
                    sums: Sums::added_if(accumulate || 0 < ks.start),
                };
                // SAFETY: forwarded to the caller.
                unsafe { block.multiply(&own, &cols, out, next_a, &mut next_b) };
            }
        }
    }
    SCRATCH.set((a_scratch, b_scratch));
}

/// What begins at `first`, of up to `len`.
fn piece(first: usize, end: usize, len: usize) -> Range<usize> {
    first..(first + len).min(end)
}

/// A block of A and the packed block of B that it is multiplied by.
struct Block<'data> {
    level: Level,
    a: Left<'data>,
    b: &'data [f32],
    k: usize,
    sums: Sums,
}

impl Block<'_> {
    /// Fetches what comes next on the way.
    ///
    /// # Safety
    /// `out` has these rows and columns, nobody else touches them there, and the block is theirs.
    unsafe fn multiply(
        &self,
        rows: &Range<usize>,
        cols: &Range<usize>,
        out: Out,
        mut next_a: Ahead,
        next_b: &mut Ahead,
    ) {
        for (panel, first_col) in self.b.chunks_exact(self.k * PANEL).zip(cols.clone().step_by(PANEL)) {
            let width = PANEL.min(cols.end - first_col);
            for (tile_idx, first_row) in rows.clone().step_by(MAX_TILE_ROWS).enumerate() {
                let height = MAX_TILE_ROWS.min(rows.end - first_row);
                next_a.fetch();
                next_b.fetch();
                let a = self.a.tile(tile_idx);
                debug_assert!(
                    (height - 1) * self.a.row_stride + (self.k - 1) * self.a.col_stride < a.len(),
                    "a tile of A lies within its block"
                );
                // SAFETY: A's tile has `height` rows of `k` elements at its strides (a view's bounds are
                // checked when it is made; a packed block is filled above), the panel has `k * 32` floats,
                // and the caller vouches for `height` rows and `width` columns of C from here on.
                unsafe {
                    let c = out.c.add(first_row * out.row_stride + first_col);
                    let tile = Tile {
                        k: self.k,
                        a: a.as_ptr(),
                        a_row: self.a.row_stride,
                        a_col: self.a.col_stride,
                        b: panel.as_ptr(),
                        b_row: PANEL,
                        c,
                        c_row: out.row_stride,
                        sums: self.sums,
                    };
                    panel_rows(self.level, height, width, tile);
                }
            }
        }
    }
}

/// Multiplies rows by a panel of which `width` columns are wanted, fresh or added.
///
/// # Safety
/// As [`micro::rows`], but only `width` columns of C are writable.
unsafe fn panel_rows<E: Element>(level: Level, rows: usize, width: usize, tile: Tile<E>) {
    if width == PANEL {
        // SAFETY: forwarded to the caller.
        unsafe { micro::rows(level, rows, tile) };
        return;
    }
    let mut full = [0f32; MAX_TILE_ROWS * PANEL];
    for first_row in (0..rows).step_by(MAX_TILE_ROWS) {
        let height = MAX_TILE_ROWS.min(rows - first_row);
        // SAFETY: `full` takes whole rows of up to 12; of C only `width` columns are touched.
        unsafe {
            let a = tile.a.add(first_row * tile.a_row);
            let whole = Tile { a, c: full.as_mut_ptr(), c_row: PANEL, sums: Sums::Fresh, ..tile };
            micro::rows(level, height, whole);
            for (row, sums) in full.chunks_exact(PANEL).take(height).enumerate() {
                for (col, &sum) in sums[..width].iter().enumerate() {
                    let c = tile.c.add((first_row + row) * tile.c_row + col);
                    *c = if tile.sums == Sums::Added { *c + sum } else { sum };
                }
            }
        }
    }
}

/// [`matmul`] to the bit, with `b` packed beforehand; for products with few rows.
///
/// # Panics
/// If the shapes do not fit.
pub fn matmul_packed(a: MatRef, b: &PackedMatrix, c: MatMut, accumulate: bool) {
    assert_eq!((a.cols(), c.cols()), (b.rows(), b.cols()), "a and c have the inner and outer width of b");
    matmul_packed_prefix(a, b, c, accumulate);
}

/// [`matmul_packed`] with the first `a.cols()` rows and the first `c.cols()` columns of `b` only.
///
/// # Panics
/// If `b` has fewer, or `a` and `c` differ in rows.
pub fn matmul_packed_prefix(a: MatRef, b: &PackedMatrix, mut c: MatMut, accumulate: bool) {
    assert!(a.cols() <= b.rows() && c.cols() <= b.cols(), "b is large enough");
    assert_eq!(a.rows(), c.rows(), "c has the rows of a");
    let n_panels = c.cols().div_ceil(PANEL);
    let out = Out::new(&mut c);
    // SAFETY: the shapes fit, and `c` is borrowed exclusively.
    unsafe { packed_panels(a, b, out, 0..n_panels, accumulate) };
}

/// [`matmul_packed`] with the columns shared among rayon's threads, for a large `b` and few rows.
///
/// # Panics
/// If the shapes do not fit.
pub fn matmul_packed_parallel(a: MatRef, b: &PackedMatrix, mut c: MatMut, accumulate: bool) {
    assert_eq!((a.cols(), c.cols()), (b.rows(), b.cols()), "a and c have the inner and outer width of b");
    assert_eq!(a.rows(), c.rows(), "c has the rows of a");
    let n_panels = c.cols().div_ceil(PANEL);
    let share = n_panels.div_ceil(PACKED_SHARES * rayon::current_num_threads()).max(1);
    let out = Out::new(&mut c);
    (0..n_panels).into_par_iter().step_by(share).for_each(|first| {
        let panels = first..(first + share).min(n_panels);
        // SAFETY: the shapes fit, `c` is borrowed exclusively, and no two shares have a column in common.
        unsafe { packed_panels(a, b, out, panels, accumulate) };
    });
}

/// Where a product goes, for threads that write different parts of it.
#[derive(Clone, Copy)]
struct Out {
    c: *mut f32,
    row_stride: usize,
    cols: usize,
}

impl Out {
    fn new(c: &mut MatMut) -> Out {
        Out { row_stride: c.row_stride(), cols: c.cols(), c: c.as_mut_ptr() }
    }
}

// SAFETY: whoever holds a copy promises, at each use, to write elements that no other thread touches.
unsafe impl Send for Out {}
// SAFETY: as above.
unsafe impl Sync for Out {}

/// # Safety
/// `out` has `a.rows()` rows, nobody else touches the columns of `panels`, and `b` has `a.cols()` rows and
/// those panels.
unsafe fn packed_panels(a: MatRef, b: &PackedMatrix, out: Out, panels: Range<usize>, accumulate: bool) {
    let level = simd::level();
    for first_row in (0..a.rows()).step_by(M_BLOCK) {
        let rows = M_BLOCK.min(a.rows() - first_row);
        for idx in panels.clone() {
            let first_col = idx * PANEL;
            // SAFETY: the caller vouches for `out` and the panel; `first_row` and `rows` lie in `a`.
            unsafe {
                match b.panel(idx) {
                    Panel::F32(panel) => {
                        packed_panel(level, a, first_row, rows, panel, out, first_col, accumulate)
                    }
                    Panel::Bf16(panel) => {
                        packed_panel(level, a, first_row, rows, panel, out, first_col, accumulate)
                    }
                }
            }
        }
    }
}

/// `rows` rows of `a` from `first_row` on, times one panel, to the columns from `first_col` on.
///
/// # Safety
/// `a` and `out` have these rows, `panel` has `a.cols()` rows, and nobody else touches these elements of `out`.
unsafe fn packed_panel<E: Element>(
    level: Level,
    a: MatRef,
    first_row: usize,
    rows: usize,
    panel: &[E],
    out: Out,
    first_col: usize,
    accumulate: bool,
) {
    // Sums are split where those of `part` are, so that a product is the same however its right side is held. A sum of
    // nothing is written too.
    for ks in (0..a.cols().max(1)).step_by(K_BLOCK).map(|first| piece(first, a.cols(), K_BLOCK)) {
        // SAFETY: forwarded to the caller.
        unsafe {
            let tile = Tile {
                k: ks.len(),
                a: a.as_ptr().add(first_row * a.row_stride() + ks.start * a.col_stride()),
                a_row: a.row_stride(),
                a_col: a.col_stride(),
                b: panel[ks.start * PANEL..].as_ptr(),
                b_row: PANEL,
                c: out.c.add(first_row * out.row_stride + first_col),
                c_row: out.row_stride,
                sums: Sums::added_if(accumulate || 0 < ks.start),
            };
            panel_rows(level, rows, PANEL.min(out.cols - first_col), tile);
        }
    }
}
