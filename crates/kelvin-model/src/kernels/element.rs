//! The types in which the elements of a packed panel are stored. Arithmetic is in f32 with all of them.

use half::bf16;

/// An element of a packed panel. A panel's row has 32 columns.
pub(super) trait Element: Copy {
    /// Column `col` of a row.
    ///
    /// # Safety
    /// `row` points at 32 elements, and `col` is below 32.
    unsafe fn column(row: *const Self, col: usize) -> f32;

    /// Columns 0 to 15 and 16 to 31 of a row.
    ///
    /// # Safety
    /// `row` points at 32 elements, and the machine has AVX-512 F.
    #[cfg(target_arch = "x86_64")]
    unsafe fn load_512(row: *const Self) -> [std::arch::x86_64::__m512; 2];

    /// The eight columns from `first` on and the eight from `first + 16` on; `first` is 0 or 8.
    ///
    /// # Safety
    /// `row` points at 32 elements, and the machine has AVX2.
    #[cfg(target_arch = "x86_64")]
    unsafe fn load_256(row: *const Self, first: usize) -> [std::arch::x86_64::__m256; 2];
}

impl Element for f32 {
    #[inline(always)]
    unsafe fn column(row: *const f32, col: usize) -> f32 {
        // SAFETY: forwarded to the caller.
        unsafe { *row.add(col) }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load_512(row: *const f32) -> [std::arch::x86_64::__m512; 2] {
        use std::arch::x86_64::_mm512_loadu_ps;
        // SAFETY: forwarded to the caller.
        unsafe { [_mm512_loadu_ps(row), _mm512_loadu_ps(row.add(16))] }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load_256(row: *const f32, first: usize) -> [std::arch::x86_64::__m256; 2] {
        use std::arch::x86_64::_mm256_loadu_ps;
        // SAFETY: forwarded to the caller.
        unsafe { [_mm256_loadu_ps(row.add(first)), _mm256_loadu_ps(row.add(first + 16))] }
    }
}

/// Where column `col` lies in a row of bf16: columns 0, 16, 1, 17, ... A register of pairs then widens to two registers
/// of neighbouring columns with a shift and a mask.
pub(super) fn bf16_place(col: usize) -> usize {
    2 * (col % 16) + col / 16
}

impl Element for bf16 {
    #[inline(always)]
    unsafe fn column(row: *const bf16, col: usize) -> f32 {
        // SAFETY: places of columns below 32 are below 32; the rest is the caller's.
        unsafe { *row.add(bf16_place(col)) }.to_f32()
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load_512(row: *const bf16) -> [std::arch::x86_64::__m512; 2] {
        use std::arch::x86_64::*;
        // SAFETY: 32 elements are one register; the rest is the caller's.
        unsafe {
            let pairs = _mm512_loadu_si512(row.cast());
            let low = _mm512_slli_epi32::<16>(pairs);
            let high = _mm512_and_si512(pairs, _mm512_set1_epi32(0xffff_0000_u32 as i32));
            [_mm512_castsi512_ps(low), _mm512_castsi512_ps(high)]
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load_256(row: *const bf16, first: usize) -> [std::arch::x86_64::__m256; 2] {
        use std::arch::x86_64::*;
        // SAFETY: the pairs of eight columns are one register; the rest is the caller's.
        unsafe {
            let pairs = _mm256_loadu_si256(row.add(2 * first).cast());
            let low = _mm256_slli_epi32::<16>(pairs);
            let high = _mm256_and_si256(pairs, _mm256_set1_epi32(0xffff_0000_u32 as i32));
            [_mm256_castsi256_ps(low), _mm256_castsi256_ps(high)]
        }
    }
}

/// The nearest bf16, ties to even, of a number that is not NaN.
#[inline(always)]
pub(super) fn round_bf16(x: f32) -> bf16 {
    let bits = x.to_bits();
    bf16::from_bits(((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::numeric::uniform;

    #[test]
    fn rounding_is_the_librarys() {
        let ties = [1.0 + f32::EPSILON * 32768.0, 1.0 + 3.0 * f32::EPSILON * 32768.0, -0.0, 3.3e38, 1e-40];
        for x in uniform(10_000, 9).into_iter().chain(ties) {
            assert_eq!(round_bf16(x), bf16::from_f32(x), "{x}");
        }
    }

    #[test]
    fn every_column_has_its_place() {
        let mut places: Vec<usize> = (0..32).map(bf16_place).collect();
        places.sort_unstable();
        assert_eq!(places, (0..32).collect::<Vec<_>>());
    }
}
