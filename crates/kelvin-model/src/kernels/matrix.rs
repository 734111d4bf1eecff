//! Views of matrices in slices. Construction checks that every element lies in the slice, so the kernels need
//! not check again.

/// A read-only matrix with any strides.
#[derive(Clone, Copy, Debug)]
pub struct MatRef<'data> {
    data: &'data [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'data> MatRef<'data> {
    /// A dense row-major matrix.
    ///
    /// # Panics
    /// If `data` is shorter than `rows * cols`.
    pub fn new(data: &'data [f32], rows: usize, cols: usize) -> MatRef<'data> {
        MatRef::strided(data, rows, cols, cols)
    }

    /// A row-major matrix whose rows start `row_stride` elements apart.
    ///
    /// # Panics
    /// If the last element lies beyond `data`.
    pub fn strided(data: &'data [f32], rows: usize, cols: usize, row_stride: usize) -> MatRef<'data> {
        assert_fits(data.len(), rows, cols, row_stride);
        MatRef { data, rows, cols, row_stride, col_stride: 1 }
    }

    /// The transposed view.
    pub fn t(self) -> MatRef<'data> {
        MatRef {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    /// Number of rows.
    pub fn rows(self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(self) -> usize {
        self.cols
    }

    pub(super) fn row_stride(self) -> usize {
        self.row_stride
    }

    pub(super) fn col_stride(self) -> usize {
        self.col_stride
    }

    pub(super) fn as_ptr(self) -> *const f32 {
        self.data.as_ptr()
    }

    /// The elements from `(row, col)` on in memory; empty if the view has no such element.
    pub(super) fn from(self, row: usize, col: usize) -> &'data [f32] {
        if row < self.rows && col < self.cols {
            &self.data[row * self.row_stride + col * self.col_stride..]
        } else {
            &[]
        }
    }
}

/// A writable row-major matrix.
#[derive(Debug)]
pub struct MatMut<'data> {
    data: &'data mut [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
}

impl<'data> MatMut<'data> {
    /// A dense matrix.
    ///
    /// # Panics
    /// If `data` is shorter than `rows * cols`.
    pub fn new(data: &'data mut [f32], rows: usize, cols: usize) -> MatMut<'data> {
        MatMut::strided(data, rows, cols, cols)
    }

    /// A matrix whose rows start `row_stride` elements apart.
    ///
    /// # Panics
    /// If the last element lies beyond `data`, or rows overlap.
    pub fn strided(data: &'data mut [f32], rows: usize, cols: usize, row_stride: usize) -> MatMut<'data> {
        assert_fits(data.len(), rows, cols, row_stride);
        assert!(cols <= row_stride || rows <= 1, "rows of {cols} overlap at a stride of {row_stride}");
        MatMut { data, rows, cols, row_stride }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    pub(super) fn row_stride(&self) -> usize {
        self.row_stride
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut f32 {
        self.data.as_mut_ptr()
    }

    pub(super) fn fill(&mut self, value: f32) {
        for row in 0..self.rows {
            self.data[row * self.row_stride..][..self.cols].fill(value);
        }
    }
}

fn assert_fits(len: usize, rows: usize, cols: usize, row_stride: usize) {
    let needed = match (rows, cols) {
        (0, _) | (_, 0) => Some(0),
        _ => (rows - 1).checked_mul(row_stride).and_then(|start| start.checked_add(cols)),
    };
    assert!(
        needed.is_some_and(|needed| needed <= len),
        "{rows} x {cols} at a stride of {row_stride} needs {needed:?} floats, not {len}"
    );
}
