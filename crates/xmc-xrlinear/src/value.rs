//! How the values of a posting are stored.
//!
//! A byte is a sign and a logarithm ([`xmc_sparse::kernels::from_log8`]). Whole multiples of a scale would be more exact for the largest weights, but most features have
//! one or two weights in a cluster, so that the scales take half as much again as what they scale.

use serde::{Deserialize, Serialize};
use xmc_sparse::kernels::{from_log8, to_log8};

/// How stored weights are represented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightType {
    /// The upper half of an `f32`: 8 significant bits, the same range. Half the size.
    #[default]
    Bf16,
    /// Full precision.
    F32,
    /// A byte: sign and logarithm, to within 4.5 % between 0.002 and 122 ([`xmc_sparse::kernels::from_log8`]).
    Int8,
}

impl WeightType {
    /// Bytes of `n` values.
    #[inline(always)]
    pub(crate) fn len(self, n: usize) -> usize {
        match self {
            Self::Bf16 => 2 * n,
            Self::F32 => 4 * n,
            Self::Int8 => n,
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
                out.iter_mut().zip(values).for_each(|(out, &value)| *out = to_log8(value));
            }
        }
    }

    /// Appends the values in `bytes` to `out`.
    pub(crate) fn take(self, bytes: &[u8], out: &mut Vec<f32>) {
        match self {
            Self::Bf16 => out.extend(bytes.as_chunks::<2>().0.iter().map(|&bytes| from_bf16(bytes))),
            Self::F32 => out.extend(bytes.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes))),
            Self::Int8 => out.extend(bytes.iter().map(|&byte| from_log8([byte]))),
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
    fn values_come_back() {
        let values = [0.31f32, -2.5, 0.002, 1.0, -0.01];
        for (kind, most) in [(WeightType::F32, 0.0), (WeightType::Bf16, 0.004), (WeightType::Int8, 0.045)] {
            let (mut bytes, mut back) = (vec![0; kind.len(values.len())], Vec::new());
            kind.put(&values, &mut bytes);
            kind.take(&bytes, &mut back);
            let worst = values.iter().zip(&back).map(|(a, b)| (b / a - 1.0).abs()).fold(0.0, f32::max);
            assert!(back.len() == values.len() && worst <= most, "{kind:?}: {worst}");
        }
    }
}
