//! A buffer whose start lies on a cache line, so that no 64-byte load of a panel crosses two.

use half::bf16;

/// Bytes of a cache line.
pub(super) const LINE_BYTES: usize = 64;
/// Floats of one.
pub(super) const LINE_FLOATS: usize = LINE_BYTES / size_of::<f32>();

/// Floats from the start of a cache line on.
///
/// They are plain floats with room to move their start, not an aligned type: memory of that is zeroed by whoever asks for it, page
/// by page, while that of floats comes zeroed from the system when a thread first touches it. Loading a large model in all threads
/// needs the latter.
#[derive(Debug, Default)]
pub(crate) struct AlignedBuf {
    floats: Vec<f32>,
    /// Of the first line in `floats`.
    start: usize,
}

impl AlignedBuf {
    /// An empty buffer.
    pub(crate) const fn new() -> AlignedBuf {
        AlignedBuf { floats: Vec::new(), start: 0 }
    }

    /// Makes room for at least `len` floats; what they hold is unspecified but initialised.
    pub(crate) fn reserve(&mut self, len: usize) {
        if self.as_slice().len() < len {
            // What was there goes first: two of them may not fit.
            self.floats = Vec::new();
            self.floats = vec![0.0; len.next_multiple_of(LINE_FLOATS) + LINE_FLOATS];
            self.start = self.floats.as_ptr().align_offset(LINE_BYTES);
        }
    }

    /// The same memory as bf16, two for each float.
    pub(crate) fn as_bf16(&self) -> &[bf16] {
        let floats = self.as_slice();
        // SAFETY: any 16 bits are a bf16, which has the alignment of a `u16` and no padding; a float holds two.
        unsafe { std::slice::from_raw_parts(floats.as_ptr().cast(), floats.len() * 2) }
    }

    /// As [`AlignedBuf::as_bf16`], writable.
    pub(crate) fn as_mut_bf16(&mut self) -> &mut [bf16] {
        let floats = self.as_mut_slice();
        // SAFETY: as in `as_bf16`, and any 32 bits are a float; the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(floats.as_mut_ptr().cast(), floats.len() * 2) }
    }

    /// Whole lines.
    pub(crate) fn as_slice(&self) -> &[f32] {
        &self.floats[self.start..self.end()]
    }

    /// As [`AlignedBuf::as_slice`], writable.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [f32] {
        let end = self.end();
        &mut self.floats[self.start..end]
    }

    fn end(&self) -> usize {
        self.start + self.floats.len().saturating_sub(LINE_FLOATS)
    }
}

impl Clone for AlignedBuf {
    /// The copy has its own start, wherever its memory lies.
    fn clone(&self) -> AlignedBuf {
        let mut copy = AlignedBuf::new();
        copy.reserve(self.as_slice().len());
        copy.as_mut_slice().copy_from_slice(self.as_slice());
        copy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_begin_on_a_cache_line_and_are_copied_whole() {
        let mut kept = Vec::new();
        for len in [0, 1, 15, 16, 17, 1000, 1 << 16] {
            let mut buf = AlignedBuf::new();
            buf.reserve(len);
            assert!(len <= buf.as_slice().len() && buf.as_slice().len() < len + LINE_FLOATS);
            buf.as_mut_slice().iter_mut().enumerate().for_each(|(at, it)| *it = at as f32);
            let copy = buf.clone();
            assert_eq!(copy.as_slice(), buf.as_slice());
            for buf in [&buf, &copy] {
                assert!(len == 0 || buf.as_slice().as_ptr().addr() % LINE_BYTES == 0, "{len}");
                assert_eq!(buf.as_bf16().len(), 2 * buf.as_slice().len());
            }
            let largest = buf.as_slice().len();
            buf.reserve(largest / 2);
            assert_eq!(buf.as_slice().len(), largest, "it never shrinks");
            kept.push((buf, copy));
        }
    }
}
