//! How the values of a posting are stored.
//!
//! `int8` values are whole multiples of a scale that the posting begins with: `2^(c/8 − 25)` for a byte c, the smallest
//! that lets the largest value be at most 127. A byte is enough: the scale is at most 9 % larger than it would have to be.

use serde::{Deserialize, Serialize};
use std::f32::consts::SQRT_2;
use std::ops::RangeInclusive;

/// How stored weights are represented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightType {
    /// The upper half of an `f32`: 8 significant bits, the same range. Half the size.
    #[default]
    Bf16,
    /// Full precision.
    F32,
    /// A byte, with one more for all weights that a feature has in a cluster: whole multiples of 1/127 of the largest of these, about.
    Int8,
}

/// Whole multiples of a scale that fit a byte, the same number on both sides of 0.
const STEPS: RangeInclusive<f32> = -127.0..=127.0;
/// Scales in an octave.
const PER_OCTAVE: f32 = 8.0;
/// The smallest scale is 2 to the power of minus this.
const OCTAVES_BELOW_1: u32 = 25;

impl WeightType {
    /// Bytes of `n` values.
    #[inline(always)]
    pub(crate) fn len(self, n: usize) -> usize {
        match self {
            Self::Bf16 => 2 * n,
            Self::F32 => 4 * n,
            Self::Int8 => 1 + n,
        }
    }

    /// Writes finite `values` to `out`, which has room for exactly these.
    pub(crate) fn put(self, values: &[f32], out: &mut [u8]) {
        match self {
            Self::Bf16 => {
                for (out, &value) in out.as_chunks_mut::<2>().0.iter_mut().zip(values) {
                    *out = to_bf16(value).to_le_bytes();
                }
            }
            Self::F32 => {
                for (out, &value) in out.as_chunks_mut::<4>().0.iter_mut().zip(values) {
                    *out = value.to_le_bytes();
                }
            }
            Self::Int8 => {
                let Some((code, out)) = out.split_first_mut() else { return };
                *code = scale_code(values.iter().fold(0.0, |most, value| value.abs().max(most)));
                let reciprocal = 1.0 / scale(*code);
                for (out, &value) in out.iter_mut().zip(values) {
                    let steps = (value * reciprocal).round().clamp(*STEPS.start(), *STEPS.end());
                    *out = (steps as i8).cast_unsigned();
                }
            }
        }
    }

    /// Appends the values in `bytes` to `out`.
    pub(crate) fn take(self, bytes: &[u8], out: &mut Vec<f32>) {
        match self {
            Self::Bf16 => out.extend(bytes.as_chunks::<2>().0.iter().map(|&bytes| from_bf16(bytes))),
            Self::F32 => out.extend(bytes.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes))),
            Self::Int8 => {
                let Some((&code, bytes)) = bytes.split_first() else { return };
                out.extend(bytes.iter().map(|&byte| scale(code) * from_int8([byte])));
            }
        }
    }
}

/// A value from its upper half.
#[inline(always)]
pub(crate) fn from_bf16(bytes: [u8; 2]) -> f32 {
    f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16)
}

/// The upper half of a finite value, rounded to nearest, ties to even.
pub(crate) fn to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// A value in multiples of its scale.
#[inline(always)]
pub(crate) fn from_int8(bytes: [u8; 1]) -> f32 {
    f32::from(i8::from_le_bytes(bytes))
}

/// The scale that `code` stands for.
#[inline(always)]
pub(crate) fn scale(code: u8) -> f32 {
    /// `2^(n/8)`.
    const FRACTIONS: [f32; 8] =
        [1.0, 1.090_507_7, 1.189_207_1, 1.296_839_6, SQRT_2, 1.542_210_8, 1.681_792_9, 1.834_008];
    let octave = f32::from_bits((u32::from(code >> 3) + 127 - OCTAVES_BELOW_1) << 23);
    octave * FRACTIONS[usize::from(code & 7)]
}

/// The code of the smallest scale of which `largest` is at most 127 times.
fn scale_code(largest: f32) -> u8 {
    let needed = largest / STEPS.end();
    // A float becomes a byte at the nearer end: what is too large for the largest scale is clamped.
    let mut code = (PER_OCTAVE * (needed.log2() + OCTAVES_BELOW_1 as f32)).floor().max(0.0) as u8;
    while scale(code) < needed && code < u8::MAX {
        code += 1;
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_rounds_to_nearest() {
        for value in [0.0f32, 1.0, -1.5, 3.0e-5, 123.456, -0.1] {
            let back = from_bf16(to_bf16(value).to_le_bytes());
            assert!((back - value).abs() <= value.abs() / 256.0, "{value} {back}");
        }
        assert_eq!(from_bf16(to_bf16(1.0 + 1.0 / 256.0).to_le_bytes()), 1.0);
        assert_eq!(from_bf16(to_bf16(1.0 + 3.0 / 256.0).to_le_bytes()), 1.0 + 4.0 / 256.0);
    }

    #[test]
    fn scales_are_as_small_as_they_may_be() {
        for exponent in -17..12 {
            for part in [1.0, 1.05, 1.3, 1.999] {
                let largest = part * 2f32.powi(exponent);
                let code = scale_code(largest);
                assert!(127.0 * scale(code) >= largest && 127.0 * scale(code - 1) < largest, "{largest}");
            }
        }
        assert_eq!((scale_code(0.0), scale_code(f32::MAX), scale_code(1e-30)), (0, 255, 0));
        for code in 1..=u8::MAX {
            let ratio = f64::from(scale(code)) / f64::from(scale(code - 1));
            assert!((ratio - 2f64.powf(0.125)).abs() < 1e-6, "{code}: {ratio}");
        }
    }

    #[test]
    fn values_come_back() {
        let values = [0.31f32, -2.5, 0.0, 1.0, -0.01];
        for (kind, most) in [(WeightType::F32, 0.0), (WeightType::Bf16, 0.005), (WeightType::Int8, 0.011)] {
            let (mut bytes, mut back) = (vec![0; kind.len(values.len())], Vec::new());
            kind.put(&values, &mut bytes);
            kind.take(&bytes, &mut back);
            let worst = values.iter().zip(&back).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(back.len() == values.len() && worst <= most, "{kind:?}: {worst}");
        }
        // One that no scale is large enough for is the largest that there is.
        let mut bytes = [0; 2];
        WeightType::Int8.put(&[-1e30], &mut bytes);
        assert_eq!(bytes, [255, 0x81]);
    }
}
