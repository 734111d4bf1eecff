//! Stored numbers to f32, in loops that compilers turn into vectors. Each says whether all were finite.

use half::bf16;

/// The exponent of infinities and NaN.
const NOT_FINITE: u32 = 0x7f80_0000;

/// `into[i]` from bytes `4i..4i + 4`.
pub(super) fn from_f32(bytes: &[u8], into: &mut [f32]) -> bool {
    assert_eq!(bytes.len(), 4 * into.len());
    let mut odd = 0;
    for (value, bytes) in into.iter_mut().zip(bytes.chunks_exact(4)) {
        let bits = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        odd |= u32::from(bits & NOT_FINITE == NOT_FINITE);
        *value = f32::from_bits(bits);
    }
    odd == 0
}

/// `into[i]` from bytes `2i..2i + 2`, exactly.
pub(super) fn from_bf16(bytes: &[u8], into: &mut [f32]) -> bool {
    assert_eq!(bytes.len(), 2 * into.len());
    let mut odd = 0;
    for (value, bytes) in into.iter_mut().zip(bytes.chunks_exact(2)) {
        let bits = u32::from(u16::from_le_bytes([bytes[0], bytes[1]])) << 16;
        odd |= u32::from(bits & NOT_FINITE == NOT_FINITE);
        *value = f32::from_bits(bits);
    }
    odd == 0
}

/// `into[i]` from bytes `2i..2i + 2`, exactly.
pub(super) fn from_f16(bytes: &[u8], into: &mut [f32]) -> bool {
    assert_eq!(bytes.len(), 2 * into.len());
    // Exponents are counted from 15 in f16 and from 127 in f32. Multiplying mends that, for subnormals too.
    const REBASE: f32 = f32::from_bits((127 + 127 - 15) << 23);
    let mut odd = 0;
    for (value, bytes) in into.iter_mut().zip(bytes.chunks_exact(2)) {
        let bits = u32::from(u16::from_le_bytes([bytes[0], bytes[1]]));
        odd |= u32::from(bits & 0x7c00 == 0x7c00);
        let size = f32::from_bits((bits & 0x7fff) << 13) * REBASE;
        *value = f32::from_bits(size.to_bits() | (bits & 0x8000) << 16);
    }
    odd == 0
}

/// `into[i]` is bytes `2i..2i + 2`.
pub(super) fn to_bf16(bytes: &[u8], into: &mut [bf16]) -> bool {
    assert_eq!(bytes.len(), 2 * into.len());
    let mut odd = 0;
    for (value, bytes) in into.iter_mut().zip(bytes.chunks_exact(2)) {
        let bits = u16::from_le_bytes([bytes[0], bytes[1]]);
        odd |= u16::from(bits & 0x7f80 == 0x7f80);
        *value = bf16::from_bits(bits);
    }
    odd == 0
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;

    #[test]
    fn every_half_is_what_the_library_makes_of_it() {
        for bits in 0..=u16::MAX {
            let bytes = bits.to_le_bytes();
            let (mut single, mut brain) = ([0.0], [bf16::ZERO]);
            let expected = f16::from_bits(bits);
            assert_eq!(from_f16(&bytes, &mut single), expected.is_finite());
            assert!(!expected.is_finite() || single[0].to_bits() == expected.to_f32().to_bits(), "{bits:#x}");
            let expected = bf16::from_bits(bits);
            assert_eq!(from_bf16(&bytes, &mut single), expected.is_finite());
            assert!(!expected.is_finite() || single[0].to_bits() == expected.to_f32().to_bits(), "{bits:#x}");
            assert_eq!(to_bf16(&bytes, &mut brain), expected.is_finite());
            assert_eq!(brain[0].to_bits(), bits);
        }
    }

    #[test]
    fn one_number_that_is_not_finite_is_seen_anywhere() {
        for (len, at) in [(1, 0), (37, 0), (37, 36), (64, 31)] {
            for strange in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut values = vec![1.5f32; len];
                let bytes =
                    |values: &[f32]| values.iter().flat_map(|it| it.to_le_bytes()).collect::<Vec<_>>();
                let mut into = vec![0.0; len];
                assert!(from_f32(&bytes(&values), &mut into) && into == values);
                values[at] = strange;
                assert!(!from_f32(&bytes(&values), &mut into));
            }
        }
    }
}
