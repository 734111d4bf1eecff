//! Micro-kernels: a few rows of A times one packed panel of B. Every element of the result is one chain of
//! multiply-adds over k in order, whatever the number of rows, which is what makes rows independent.

use super::{element::Element, simd::Level};

/// Columns of a packed panel.
pub(super) const PANEL: usize = 32;
/// The most rows that one call of a micro-kernel takes.
pub(super) const MAX_TILE_ROWS: usize = 12;

/// What becomes of what is in C.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sums {
    /// It is overwritten.
    Fresh,
    /// Sums are added to it when they are done.
    Added,
    /// They go on from it, the same chains as if one call had taken the steps of all.
    Continued,
}

impl Sums {
    pub(super) fn added_if(accumulate: bool) -> Sums {
        if accumulate { Sums::Added } else { Sums::Fresh }
    }
}

/// Operands of `C[rows, 32] (+)= A[rows, k] B[k, 32]`.
#[derive(Clone, Copy)]
pub(super) struct Tile<E> {
    pub(super) k: usize,
    pub(super) a: *const f32,
    pub(super) a_row: usize,
    pub(super) a_col: usize,
    pub(super) b: *const E,
    /// From one row of B to the next; 32 where it is packed.
    pub(super) b_row: usize,
    pub(super) c: *mut f32,
    pub(super) c_row: usize,
    pub(super) sums: Sums,
}

/// Multiplies any number of rows by one panel.
///
/// # Safety
/// A has `rows * k` readable elements at its strides, B `k * 32`, C `rows * 32` writable ones, which are written already
/// where sums are not fresh, no two of C's the same and none of them in A or B. The machine has the instructions of `level`.
pub(super) unsafe fn rows<E: Element>(level: Level, rows: usize, tile: Tile<E>) {
    // SAFETY: forwarded to the caller.
    unsafe {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => x86::rows_avx512(rows, tile),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => x86::rows_avx2(rows, tile),
            #[cfg(not(target_arch = "x86_64"))]
            Level::Avx512 | Level::Avx2 => rows_portable(rows, tile),
            Level::Portable => rows_portable(rows, tile),
        }
    }
}

impl<E: Element> Tile<E> {
    /// The tile that starts `row` rows further down.
    ///
    /// # Safety
    /// The tile has that row.
    #[inline(always)]
    unsafe fn down(self, row: usize) -> Tile<E> {
        // SAFETY: forwarded to the caller.
        unsafe { Tile { a: self.a.add(row * self.a_row), c: self.c.add(row * self.c_row), ..self } }
    }
}

/// A fused multiply-add where the target has one at compile time, else a product and a sum.
#[inline(always)]
fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(any(target_feature = "fma", target_arch = "aarch64")) { a.mul_add(b, c) } else { a * b + c }
}

/// Columns that the portable kernel holds in registers.
const STRIP: usize = 8;

unsafe fn rows_portable<E: Element>(rows: usize, tile: Tile<E>) {
    let mut row = 0;
    while row < rows {
        // SAFETY: `row < rows`, and each arm takes at most `rows - row` rows; the rest is the caller's.
        unsafe {
            let at = tile.down(row);
            row += match rows - row {
                1 => tile_portable::<1, E>(at),
                2 => tile_portable::<2, E>(at),
                3 => tile_portable::<3, E>(at),
                _ => tile_portable::<4, E>(at),
            };
        }
    }
}

unsafe fn tile_portable<const ROWS: usize, E: Element>(tile: Tile<E>) -> usize {
    for strip in (0..PANEL).step_by(STRIP) {
        let mut sums = [[0f32; STRIP]; ROWS];
        if tile.sums == Sums::Continued {
            for (row, sums) in sums.iter_mut().enumerate() {
                for (col, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: the caller vouches for `ROWS` rows of C.
                    *sum = unsafe { *tile.c.add(row * tile.c_row + strip + col) };
                }
            }
        }
        for q in 0..tile.k {
            for (row, sums) in sums.iter_mut().enumerate() {
                // SAFETY: the caller vouches for `ROWS` rows of A and `k` rows of B.
                let a = unsafe { *tile.a.add(row * tile.a_row + q * tile.a_col) };
                for (col, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: as above.
                    let b = unsafe { E::column(tile.b.add(q * tile.b_row), strip + col) };
                    *sum = multiply_add(a, b, *sum);
                }
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            for (col, &sum) in sums.iter().enumerate() {
                // SAFETY: the caller vouches for `ROWS` rows of C.
                unsafe {
                    let c = tile.c.add(row * tile.c_row + strip + col);
                    *c = if tile.sums == Sums::Added { *c + sum } else { sum };
                }
            }
        }
    }
    ROWS
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{
        super::aligned::{LINE_BYTES, LINE_FLOATS},
        Element, PANEL, Sums, Tile,
    };

    /// How far ahead of the product panels are fetched, in bytes. Panels of a large model come from memory one after
    /// another; the processor's own prefetching stops at every page.
    const AHEAD: usize = 2048;

    /// Asks for the lines of C that a tile will add to or overwrite, which come while it is summed.
    ///
    /// # Safety
    /// C has `rows` rows.
    #[inline(always)]
    unsafe fn fetch_sums<E: Element>(rows: usize, tile: Tile<E>) {
        for row in 0..rows {
            for line in (0..PANEL).step_by(LINE_FLOATS) {
                // SAFETY: the caller vouches for the row, of 32 floats.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(tile.c.add(row * tile.c_row + line).cast()) };
            }
        }
    }

    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn rows_avx512<E: Element>(rows: usize, tile: Tile<E>) {
        let mut row = 0;
        while row < rows {
            // Two balanced tiles rather than a full one and a sliver.
            let take = match rows - row {
                left @ (0..=12) => left,
                left @ 13..24 => left.div_ceil(2),
                _ => 12,
            };
            // SAFETY: `row < rows` and `take <= rows - row`; the rest is the caller's.
            unsafe {
                let at = tile.down(row);
                match take {
                    1 => tile_avx512::<1, E>(at),
                    2 => tile_avx512::<2, E>(at),
                    3 => tile_avx512::<3, E>(at),
                    4 => tile_avx512::<4, E>(at),
                    5 => tile_avx512::<5, E>(at),
                    6 => tile_avx512::<6, E>(at),
                    7 => tile_avx512::<7, E>(at),
                    8 => tile_avx512::<8, E>(at),
                    9 => tile_avx512::<9, E>(at),
                    10 => tile_avx512::<10, E>(at),
                    11 => tile_avx512::<11, E>(at),
                    _ => tile_avx512::<12, E>(at),
                }
            }
            row += take;
        }
    }

    #[target_feature(enable = "avx512f")]
    unsafe fn tile_avx512<const ROWS: usize, E: Element>(tile: Tile<E>) {
        // SAFETY: the caller vouches for `ROWS` rows of A and C and `k` rows of B; a row of B or C is two
        // registers.
        unsafe {
            fetch_sums(ROWS, tile);
            let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
            if tile.sums == Sums::Continued {
                for (row, sums) in sums.iter_mut().enumerate() {
                    let c = tile.c.add(row * tile.c_row);
                    *sums = [_mm512_loadu_ps(c), _mm512_loadu_ps(c.add(16))];
                }
            }
            let (mut a, mut b) = (tile.a, tile.b);
            for _ in 0..tile.k {
                for line in (0..PANEL * size_of::<E>()).step_by(LINE_BYTES) {
                    _mm_prefetch::<_MM_HINT_T0>(b.wrapping_byte_add(AHEAD + line).cast());
                }
                let [b0, b1] = E::load_512(b);
                for (row, sums) in sums.iter_mut().enumerate() {
                    let x = _mm512_set1_ps(*a.add(row * tile.a_row));
                    sums[0] = _mm512_fmadd_ps(x, b0, sums[0]);
                    sums[1] = _mm512_fmadd_ps(x, b1, sums[1]);
                }
                // The last step may point past the end: it is not read there.
                a = a.wrapping_add(tile.a_col);
                b = b.wrapping_add(tile.b_row);
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                let c = tile.c.add(row * tile.c_row);
                if tile.sums == Sums::Added {
                    sums[0] = _mm512_add_ps(_mm512_loadu_ps(c), sums[0]);
                    sums[1] = _mm512_add_ps(_mm512_loadu_ps(c.add(16)), sums[1]);
                }
                _mm512_storeu_ps(c, sums[0]);
                _mm512_storeu_ps(c.add(16), sums[1]);
            }
        }
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn rows_avx2<E: Element>(rows: usize, tile: Tile<E>) {
        let mut row = 0;
        while row < rows {
            let take = (rows - row).min(6);
            // SAFETY: `row < rows` and `take <= rows - row`; the rest is the caller's.
            unsafe {
                let at = tile.down(row);
                match take {
                    1 => tile_avx2::<1, E>(at),
                    2 => tile_avx2::<2, E>(at),
                    3 => tile_avx2::<3, E>(at),
                    4 => tile_avx2::<4, E>(at),
                    5 => tile_avx2::<5, E>(at),
                    _ => tile_avx2::<6, E>(at),
                }
            }
            row += take;
        }
    }

    #[target_feature(enable = "avx2,fma")]
    unsafe fn tile_avx2<const ROWS: usize, E: Element>(tile: Tile<E>) {
        // SAFETY: the caller vouches for `ROWS` rows of C.
        unsafe { fetch_sums(ROWS, tile) };
        // Two of a row's four quarters at a time: as many sums as there are registers.
        for quarter in [0, PANEL / 4] {
            // SAFETY: the caller vouches for `ROWS` rows of A and C and `k` rows of B; half a row of B or C is
            // two registers.
            unsafe {
                let mut sums = [[_mm256_setzero_ps(); 2]; ROWS];
                if tile.sums == Sums::Continued {
                    for (row, sums) in sums.iter_mut().enumerate() {
                        let c = tile.c.add(row * tile.c_row + quarter);
                        *sums = [_mm256_loadu_ps(c), _mm256_loadu_ps(c.add(PANEL / 2))];
                    }
                }
                let (mut a, mut b) = (tile.a, tile.b);
                for _ in 0..tile.k {
                    let [b0, b1] = E::load_256(b, quarter);
                    for (row, sums) in sums.iter_mut().enumerate() {
                        let x = _mm256_set1_ps(*a.add(row * tile.a_row));
                        sums[0] = _mm256_fmadd_ps(x, b0, sums[0]);
                        sums[1] = _mm256_fmadd_ps(x, b1, sums[1]);
                    }
                    // The last step may point past the end: it is not read there.
                    a = a.wrapping_add(tile.a_col);
                    b = b.wrapping_add(tile.b_row);
                }
                for (row, sums) in sums.iter_mut().enumerate() {
                    let c = tile.c.add(row * tile.c_row + quarter);
                    if tile.sums == Sums::Added {
                        sums[0] = _mm256_add_ps(_mm256_loadu_ps(c), sums[0]);
                        sums[1] = _mm256_add_ps(_mm256_loadu_ps(c.add(PANEL / 2)), sums[1]);
                    }
                    _mm256_storeu_ps(c, sums[0]);
                    _mm256_storeu_ps(c.add(PANEL / 2), sums[1]);
                }
            }
        }
    }
}
