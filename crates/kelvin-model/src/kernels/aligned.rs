//! A buffer whose start lies on a cache line, so that no 64-byte load of a panel crosses two.

use half::bf16;

/// One cache line.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
struct Line([f32; 16]);

/// Floats on whole cache lines.
#[derive(Clone, Debug, Default)]
pub(crate) struct AlignedBuf {
    lines: Vec<Line>,
}

impl AlignedBuf {
    /// An empty buffer.
    pub(crate) const fn new() -> AlignedBuf {
        AlignedBuf { lines: Vec::new() }
    }

    /// Makes room for at least `len` floats; what they hold is unspecified but initialised.
    pub(crate) fn reserve(&mut self, len: usize) {
        let n_lines = len.div_ceil(16);
        if self.lines.len() < n_lines {
            self.lines.resize(n_lines, Line([0.0; 16]));
        }
    }

    /// The same memory as bf16, two for each float.
    pub(crate) fn as_bf16(&self) -> &[bf16] {
        // SAFETY: any 16 bits are a bf16, which has the alignment of a `u16` and no padding; `n` lines hold `32 n`.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.lines.len() * 32) }
    }

    /// As [`AlignedBuf::as_bf16`], writable.
    pub(crate) fn as_mut_bf16(&mut self) -> &mut [bf16] {
        // SAFETY: as in `as_bf16`, and any 32 bits are a float; the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.lines.len() * 32) }
    }

    pub(crate) fn as_slice(&self) -> &[f32] {
        // SAFETY: a `Line` is 16 floats without padding, so `n` lines are `16 n` initialised floats.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.lines.len() * 16) }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [f32] {
        // SAFETY: as in `as_slice`; the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.lines.len() * 16) }
    }
}
