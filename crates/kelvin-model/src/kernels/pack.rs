//! Right-hand sides in panels of 32 columns, the order in which the micro-kernels read them.

use std::ops::Range;

use half::bf16;
use rayon::prelude::*;

use super::{
    aligned::AlignedBuf,
    element::{bf16_place, round_bf16},
    matrix::MatRef,
    micro::PANEL,
    simd::{self, multiversion},
};

/// The type in which a packed matrix is stored. Products are summed in f32 with either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Storage {
    /// Single precision.
    #[default]
    F32,
    /// Rounded to the nearest bf16: half the memory, and half the time where reading it is what takes time.
    Bf16,
}

impl Storage {
    /// Bytes of an element.
    pub fn bytes(self) -> usize {
        match self {
            Storage::F32 => 4,
            Storage::Bf16 => 2,
        }
    }
}

/// A right-hand side packed once and used for many products.
#[derive(Clone, Debug, Default)]
pub struct PackedMatrix {
    rows: usize,
    cols: usize,
    storage: Storage,
    /// Panel after panel; in a panel row after row; a row has 32 elements, zero beyond the last column.
    panels: AlignedBuf,
}

/// A panel of a packed matrix: `rows * 32` elements.
pub(super) enum Panel<'data> {
    F32(&'data [f32]),
    /// In the order of [`super::element::bf16_place`].
    Bf16(&'data [bf16]),
}

impl PackedMatrix {
    /// Packs the matrix `b[k, n]` of `c = a b`. For a weight `w[out, in]` and `y = x w^T`, pass
    /// `MatRef::new(w, out, in).t()`.
    pub fn new(b: MatRef) -> PackedMatrix {
        let mut packed = PackedMatrix::default();
        packed.repack(b);
        packed
    }

    /// Packs another matrix, of any shape, into the memory held, in f32.
    pub fn repack(&mut self, b: MatRef) {
        (self.rows, self.cols, self.storage) = (b.rows(), b.cols(), Storage::F32);
        self.panels.reserve(packed_len(b.rows(), b.cols()));
        pack(b, 0..b.rows(), 0..b.cols(), self.panels.as_mut_slice());
    }

    /// Packs a weight `w[out, in]` for `y = x w^T` that need not lie in memory as a whole: `read` is asked for
    /// consecutive rows of `w`, 32 at a time, from any thread and in any order.
    ///
    /// # Errors
    /// The first error of `read`.
    pub fn from_rows<E: Send>(
        outputs: usize,
        inputs: usize,
        storage: Storage,
        read: impl Fn(Range<usize>, &mut [f32]) -> Result<(), E> + Sync,
    ) -> Result<PackedMatrix, E> {
        let mut panels = AlignedBuf::new();
        panels.reserve((packed_len(inputs, outputs) * storage.bytes()).div_ceil(size_of::<f32>()));
        // What one thread reads, and what it packs before it rounds.
        let buffers = || (vec![0f32; PANEL * inputs], vec![0f32; PANEL * inputs]);
        let read = |idx: usize, rows: &mut [f32], panel: &mut [f32]| {
            let outputs = idx * PANEL..((idx + 1) * PANEL).min(outputs);
            let rows = &mut rows[..outputs.len() * inputs];
            read(outputs.clone(), rows)?;
            let source = MatRef::new(rows, outputs.len(), inputs).t();
            pack(source, 0..inputs, 0..outputs.len(), panel);
            Ok(())
        };
        let (n_panels, len) = (outputs.div_ceil(PANEL), inputs * PANEL);
        match storage {
            Storage::F32 => panels
                .as_mut_slice()
                .par_chunks_exact_mut(len)
                .take(n_panels)
                .enumerate()
                .try_for_each_init(buffers, |(rows, _), (idx, panel)| read(idx, rows, panel))?,
            Storage::Bf16 => {
                panels.as_mut_bf16().par_chunks_exact_mut(len).take(n_panels).enumerate().try_for_each_init(
                    buffers,
                    |(rows, wide), (idx, panel)| {
                        read(idx, rows, wide)?;
                        narrow(wide, panel);
                        Ok(())
                    },
                )?
            }
        }
        Ok(PackedMatrix { rows: inputs, cols: outputs, storage, panels })
    }

    /// Rows of the matrix, the `k` of a product.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns of the matrix, the `n` of a product.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Memory of the panels, in bytes.
    pub fn bytes(&self) -> usize {
        packed_len(self.rows, self.cols) * self.storage.bytes()
    }

    /// Column `col` as it was packed, which is row `col` of a weight.
    ///
    /// # Panics
    /// If there is no such column or `out` has not one element for each row.
    pub fn column(&self, col: usize, out: &mut [f32]) {
        assert!(col < self.cols && out.len() == self.rows);
        match self.panel(col / PANEL) {
            Panel::F32(panel) => {
                for (out, row) in out.iter_mut().zip(panel.chunks_exact(PANEL)) {
                    *out = row[col % PANEL];
                }
            }
            Panel::Bf16(panel) => {
                let place = bf16_place(col % PANEL);
                for (out, row) in out.iter_mut().zip(panel.chunks_exact(PANEL)) {
                    *out = row[place].to_f32();
                }
            }
        }
    }

    pub(super) fn panel(&self, idx: usize) -> Panel<'_> {
        let len = self.rows * PANEL;
        match self.storage {
            Storage::F32 => Panel::F32(&self.panels.as_slice()[idx * len..][..len]),
            Storage::Bf16 => Panel::Bf16(&self.panels.as_bf16()[idx * len..][..len]),
        }
    }
}

multiversion! {
    /// Rounds packed rows of 32 floats to bf16, in the order of its panels.
    pub fn narrow(wide: &[f32], narrow: &mut [bf16]) {
        assert_eq!(wide.len(), narrow.len());
        for (wide, narrow) in wide.chunks_exact(PANEL).zip(narrow.chunks_exact_mut(PANEL)) {
            for pair in 0..PANEL / 2 {
                narrow[2 * pair] = round_bf16(wide[pair]);
                narrow[2 * pair + 1] = round_bf16(wide[pair + PANEL / 2]);
            }
        }
    }
}

/// Floats of a packed `rows x cols` matrix.
pub(super) fn packed_len(rows: usize, cols: usize) -> usize {
    rows * cols.next_multiple_of(PANEL)
}

/// Packs a block of `b` into the front of `out`.
pub(super) fn pack(b: MatRef, rows: Range<usize>, cols: Range<usize>, out: &mut [f32]) {
    let panel_len = rows.len() * PANEL;
    if panel_len == 0 {
        return;
    }
    if b.col_stride() == 1 {
        return pack_rows(b, rows, cols, out);
    }
    for (panel, first_col) in out.chunks_exact_mut(panel_len).zip(cols.clone().step_by(PANEL)) {
        let width = PANEL.min(cols.end - first_col);
        let source = b.from(rows.start, first_col);
        if b.row_stride() == 1 {
            pack_columns(source, b.col_stride(), width, rows.len(), panel);
        } else {
            for (q, row) in panel.chunks_exact_mut(PANEL).enumerate() {
                for (col, out) in row[..width].iter_mut().enumerate() {
                    *out = source[q * b.row_stride() + col * b.col_stride()];
                }
            }
        }
        if width < PANEL {
            panel.chunks_exact_mut(PANEL).for_each(|row| row[width..].fill(0.0));
        }
    }
}

/// From contiguous rows, each read from end to end.
fn pack_rows(b: MatRef, rows: Range<usize>, cols: Range<usize>, out: &mut [f32]) {
    let panel_len = rows.len() * PANEL;
    for (q, row) in rows.enumerate() {
        let from = b.from(row, cols.start)[..cols.len()].chunks(PANEL);
        for (panel, from) in out.chunks_exact_mut(panel_len).zip(from) {
            let to = &mut panel[q * PANEL..][..PANEL];
            if from.len() == PANEL {
                to.copy_from_slice(from);
            } else {
                to[..from.len()].copy_from_slice(from);
                to[from.len()..].fill(0.0);
            }
        }
    }
}

/// From contiguous columns: a transposition.
fn pack_columns(source: &[f32], col_stride: usize, width: usize, rows: usize, panel: &mut [f32]) {
    // Whole 8 x 8 blocks first, then what is left.
    let (whole_rows, whole_cols) = match simd::level() {
        #[cfg(target_arch = "x86_64")]
        simd::Level::Avx2 | simd::Level::Avx512 => (rows / 8 * 8, width / 8 * 8),
        #[cfg(not(target_arch = "x86_64"))]
        simd::Level::Avx2 | simd::Level::Avx512 => (0, 0),
        simd::Level::Portable => (0, 0),
    };
    #[cfg(target_arch = "x86_64")]
    for q in (0..whole_rows).step_by(8) {
        for col in (0..whole_cols).step_by(8) {
            let from = &source[col * col_stride + q..][..7 * col_stride + 8];
            let to = &mut panel[q * PANEL + col..][..7 * PANEL + 8];
            // SAFETY: `level` found AVX2, and both slices hold 8 rows of 8 at their strides.
            unsafe { transpose_8x8(from.as_ptr(), col_stride, to.as_mut_ptr()) };
        }
    }
    let mut scalar = |rows: Range<usize>, cols: Range<usize>| {
        for q in rows {
            for col in cols.clone() {
                panel[q * PANEL + col] = source[col * col_stride + q];
            }
        }
    };
    for q in (0..whole_rows).step_by(16) {
        scalar(q..(q + 16).min(whole_rows), whole_cols..width);
    }
    for q in (whole_rows..rows).step_by(16) {
        scalar(q..(q + 16).min(rows), 0..width);
    }
}

/// Writes the transposed 8 x 8 block at `from` (rows `stride` apart) to `to` (rows 32 apart).
///
/// # Safety
/// Eight floats are readable at each of eight rows of `from` and writable at each of eight of `to`.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn transpose_8x8(from: *const f32, stride: usize, to: *mut f32) {
    use std::arch::x86_64::*;
    // SAFETY: forwarded to the caller.
    unsafe {
        let mut rows = [_mm256_setzero_ps(); 8];
        for (idx, row) in rows.iter_mut().enumerate() {
            *row = _mm256_loadu_ps(from.add(idx * stride));
        }
        let mut pairs = [_mm256_setzero_ps(); 8];
        for idx in 0..4 {
            pairs[2 * idx] = _mm256_unpacklo_ps(rows[2 * idx], rows[2 * idx + 1]);
            pairs[2 * idx + 1] = _mm256_unpackhi_ps(rows[2 * idx], rows[2 * idx + 1]);
        }
        let mut quads = [_mm256_setzero_ps(); 8];
        for half in 0..2 {
            let [a, b, c, d] = [0, 1, 2, 3].map(|idx| pairs[4 * half + idx]);
            quads[4 * half] = _mm256_shuffle_ps::<0x44>(a, c);
            quads[4 * half + 1] = _mm256_shuffle_ps::<0xee>(a, c);
            quads[4 * half + 2] = _mm256_shuffle_ps::<0x44>(b, d);
            quads[4 * half + 3] = _mm256_shuffle_ps::<0xee>(b, d);
        }
        for idx in 0..4 {
            let low = _mm256_permute2f128_ps::<0x20>(quads[idx], quads[4 + idx]);
            let high = _mm256_permute2f128_ps::<0x31>(quads[idx], quads[4 + idx]);
            _mm256_storeu_ps(to.add(idx * PANEL), low);
            _mm256_storeu_ps(to.add((4 + idx) * PANEL), high);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{numeric::uniform, simd::forced::each_level};

    #[test]
    fn every_element_lands_in_its_panel() {
        for (k, n) in [(1, 1), (8, 8), (9, 31), (17, 32), (24, 33), (40, 70), (3, 65)] {
            let values: Vec<f32> = (0..k * n).map(|idx| idx as f32 + 1.0).collect();
            let views = [MatRef::new(&values, k, n), MatRef::new(&values, n, k).t()];
            for view in views {
                each_level(|_| {
                    let packed = PackedMatrix::new(view);
                    for q in 0..k {
                        for col in 0..n.next_multiple_of(PANEL) {
                            let expected = if col < n { view.from(q, col)[0] } else { 0.0 };
                            let Panel::F32(panel) = packed.panel(col / PANEL) else { panic!("it is f32") };
                            let got = panel[q * PANEL + col % PANEL];
                            assert_eq!(got, expected, "{k} x {n} at {q}, {col}");
                        }
                    }
                });
            }
        }
    }

    #[test]
    fn a_weight_that_is_read_row_by_row_is_packed_as_one_in_memory() {
        for (outputs, inputs) in [(1, 1), (31, 8), (32, 17), (70, 40)] {
            let weight = uniform(outputs * inputs, 5);
            let read = |rows: Range<usize>, out: &mut [f32]| {
                out.copy_from_slice(&weight[rows.start * inputs..rows.end * inputs]);
                Ok::<(), ()>(())
            };
            let whole = PackedMatrix::new(MatRef::new(&weight, outputs, inputs).t());
            let (mut expected, mut got) = (vec![0.0; inputs], vec![0.0; inputs]);
            for storage in [Storage::F32, Storage::Bf16] {
                let packed = PackedMatrix::from_rows(outputs, inputs, storage, read).unwrap();
                assert_eq!((packed.rows(), packed.cols()), (inputs, outputs));
                for output in 0..outputs {
                    whole.column(output, &mut expected);
                    assert_eq!(expected, weight[output * inputs..][..inputs]);
                    if storage == Storage::Bf16 {
                        expected.iter_mut().for_each(|it| *it = bf16::from_f32(*it).to_f32());
                    }
                    packed.column(output, &mut got);
                    assert_eq!(got, expected, "{storage:?}, output {output} of {outputs} x {inputs}");
                }
            }
            assert_eq!(PackedMatrix::from_rows(outputs, inputs, Storage::F32, |_, _| Err(3)).unwrap_err(), 3);
        }
    }
}
