//! One vector for each token, in two bytes or one a number.
//!
//! A sum of some ten vectors forgives what rounding does to each of them: `f16` keeps 11 bits, `int8` 7 and a scale for each
//! vector, and half the bytes are half the waiting for memory.

use crate::EmbedError;
use half::f16;
use ndarray::ArrayView2;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use xmc_sparse::SparseRow;
use xmc_sparse::kernels::{Simd, WithSimd, dispatch, prefetch};
use xmc_store::{Buffer, Container, ModelWriter};

/// Largest number of an `int8` vector.
const INT8_MAX: f32 = 127.0;
/// Numbers of a cache line of bytes.
const LINE: usize = 64;

/// How the numbers of a table are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Precision {
    /// IEEE 754 half precision.
    F16,
    /// A byte, and a scale for each token. The default.
    #[default]
    Int8,
}

/// The vectors of numbered tokens.
#[derive(Debug, Clone)]
pub(crate) struct TokenVectors {
    n_dims: usize,
    numbers: Numbers,
}

#[derive(Debug, Clone)]
enum Numbers {
    /// Bits of `f16`, `tokens × n_dims`.
    F16(Buffer<u16>),
    /// `tokens × n_dims`, and what each row is multiplied by.
    Int8(Buffer<i8>, Buffer<f32>),
}

impl TokenVectors {
    /// Rounds `vectors` (`tokens × n_dims`, finite).
    pub(crate) fn new(vectors: ArrayView2<'_, f32>, precision: Precision) -> Self {
        let (n_tokens, n_dims) = vectors.dim();
        let rows = (0..n_tokens).into_par_iter().map(|token| vectors.row(token));
        let numbers = match precision {
            Precision::F16 => {
                let bits =
                    rows.flat_map_iter(|row| row.to_vec().into_iter().map(|v| f16::from_f32(v).to_bits()));
                Numbers::F16(bits.collect::<Vec<u16>>().into())
            }
            Precision::Int8 => {
                let scale = |row: ndarray::ArrayView1<'_, f32>| {
                    row.iter().fold(0.0f32, |max, v| max.max(v.abs())) / INT8_MAX
                };
                let scales: Vec<f32> = rows.clone().map(scale).collect();
                let bytes = rows.flat_map_iter(|row| {
                    let factor = 1.0 / scale(row).max(f32::MIN_POSITIVE);
                    row.to_vec().into_iter().map(move |v| (v * factor).round() as i8)
                });
                Numbers::Int8(bytes.collect::<Vec<i8>>().into(), scales.into())
            }
        };
        Self { n_dims, numbers }
    }

    pub(crate) fn n_dims(&self) -> usize {
        self.n_dims
    }

    pub(crate) fn precision(&self) -> Precision {
        match self.numbers {
            Numbers::F16(_) => Precision::F16,
            Numbers::Int8(..) => Precision::Int8,
        }
    }

    /// The bytes of all numbers, for a fingerprint.
    pub(crate) fn parts(&self) -> [&[u8]; 2] {
        match &self.numbers {
            Numbers::F16(bits) => [bytemuck::cast_slice(bits), &[]],
            Numbers::Int8(bytes, scales) => [bytemuck::cast_slice(bytes), bytemuck::cast_slice(scales)],
        }
    }

    /// Sets `sum` to the sum of the vectors of `tokens`, each times its value. Tokens out of range add nothing.
    pub(crate) fn weighted_sum(&self, tokens: SparseRow<'_>, sum: &mut [f32]) {
        dispatch(WeightedSum { vectors: self, tokens, sum });
    }

    /// The vector of `token` in single precision; zeros when it is out of range.
    pub(crate) fn vector(&self, token: u32) -> Vec<f32> {
        let mut vector = vec![0.0; self.n_dims];
        self.weighted_sum(SparseRow { indices: &[token], values: &[1.0] }, &mut vector);
        vector
    }

    pub(crate) fn save(&self, writer: &ModelWriter, prefix: &str) -> Result<(), EmbedError> {
        match &self.numbers {
            Numbers::F16(bits) => writer.put_array(&format!("{prefix}/f16"), bits)?,
            Numbers::Int8(bytes, scales) => {
                writer.put_array(&format!("{prefix}/int8"), bytes)?;
                writer.put_array(&format!("{prefix}/scales"), scales)?;
            }
        }
        Ok(())
    }

    /// What [`save`](Self::save) wrote; of `n_tokens` tokens.
    pub(crate) fn open(
        container: &Container,
        prefix: &str,
        (n_tokens, n_dims): (usize, usize),
        precision: Precision,
    ) -> Result<Self, EmbedError> {
        let check = |section: &str, expected: usize, found: usize| match found == expected {
            true => Ok(()),
            false => Err(EmbedError::TableSize { section: section.to_owned(), expected, found }),
        };
        let numbers = match precision {
            Precision::F16 => {
                let name = format!("{prefix}/f16");
                let bits = container.array(&name)?;
                check(&name, n_tokens.saturating_mul(n_dims), bits.len())?;
                Numbers::F16(bits)
            }
            Precision::Int8 => {
                let names = [format!("{prefix}/int8"), format!("{prefix}/scales")];
                let (bytes, scales) = (container.array(&names[0])?, container.array(&names[1])?);
                check(&names[0], n_tokens.saturating_mul(n_dims), bytes.len())?;
                check(&names[1], n_tokens, scales.len())?;
                Numbers::Int8(bytes, scales)
            }
        };
        Ok(Self { n_dims, numbers })
    }
}

struct WeightedSum<'a> {
    vectors: &'a TokenVectors,
    tokens: SparseRow<'a>,
    sum: &'a mut [f32],
}

impl WithSimd for WeightedSum<'_> {
    type Output = ();

    // Plain loops: compiled for each instruction set they become vectors, and add up the same on all.
    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let (n_dims, tokens, sum) = (self.vectors.n_dims, self.tokens, self.sum);
        let row_of = |token: u32| token as usize * n_dims..(token as usize + 1) * n_dims;
        sum.fill(0.0);
        match &self.vectors.numbers {
            Numbers::F16(bits) => {
                prefetch_rows(bits, n_dims, LINE / 2, tokens.indices);
                for (token, value) in tokens.iter() {
                    let row = bits.get(row_of(token)).unwrap_or_default();
                    sum.iter_mut().zip(row).for_each(|(sum, &bits)| *sum += value * f16_to_f32(bits));
                }
            }
            Numbers::Int8(bytes, scales) => {
                prefetch_rows(bytes, n_dims, LINE, tokens.indices);
                for (token, value) in tokens.iter() {
                    let factor = value * scales.get(token as usize).copied().unwrap_or_default();
                    let row = bytes.get(row_of(token)).unwrap_or_default();
                    sum.iter_mut().zip(row).for_each(|(sum, &byte)| *sum += factor * f32::from(byte));
                }
            }
        }
    }
}

/// Asks for all rows before the first is read: their waits for memory overlap.
#[inline(always)]
fn prefetch_rows<T>(numbers: &[T], n_dims: usize, line: usize, tokens: &[u32]) {
    for &token in tokens {
        (0..n_dims).step_by(line).for_each(|at| prefetch(numbers, token as usize * n_dims + at));
    }
}

/// Half precision by integer arithmetic that a compiler turns into vectors: exponent and fraction moved to their places and the
/// difference of the exponents' biases, `2¹¹²`, multiplied in, which also makes numbers of subnormal ones.
#[inline(always)]
fn f16_to_f32(bits: u16) -> f32 {
    let bits = u32::from(bits);
    let magnitude = f32::from_bits((bits & 0x7fff) << 13) * f32::from_bits((127 + 112) << 23);
    f32::from_bits(magnitude.to_bits() | (bits & 0x8000) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use proptest::prelude::*;

    fn sum_of(vectors: &TokenVectors, indices: &[u32], values: &[f32]) -> Vec<f32> {
        let mut sum = vec![9.0; vectors.n_dims()];
        vectors.weighted_sum(SparseRow { indices, values }, &mut sum);
        sum
    }

    #[test]
    fn every_half_is_the_number_that_the_library_makes_of_it() {
        for bits in 0..=u16::MAX {
            let expected = f16::from_bits(bits);
            if expected.is_finite() {
                assert_eq!(f16_to_f32(bits).to_bits(), expected.to_f32().to_bits(), "{bits:04x}");
            }
        }
    }

    #[test]
    fn a_token_out_of_range_adds_nothing() {
        for precision in [Precision::F16, Precision::Int8] {
            let vectors = TokenVectors::new(ndarray::arr2(&[[1.0, -0.5], [0.25, 0.0]]).view(), precision);
            let sum = sum_of(&vectors, &[0, 2, u32::MAX], &[2.0, 5.0, 5.0]);
            assert!((sum[0] - 2.0).abs() < 1e-6 && (sum[1] + 1.0).abs() < 0.01, "{precision:?}: {sum:?}");
        }
    }

    #[test]
    fn zeros_stay_zeros() {
        let vectors = TokenVectors::new(Array2::zeros((2, 3)).view(), Precision::Int8);
        assert_eq!(sum_of(&vectors, &[0, 1], &[1.0, 1.0]), [0.0; 3]);
    }

    proptest! {
        #[test]
        fn rounded_vectors_are_near(values in prop::collection::vec(-3.0f32..3.0, 5 * 7), weight in -2.0f32..2.0) {
            let exact = Array2::from_shape_vec((5, 7), values).unwrap();
            for (precision, share) in [(Precision::F16, 1.0 / 2048.0), (Precision::Int8, 0.5 / 127.0)] {
                let vectors = TokenVectors::new(exact.view(), precision);
                let found = sum_of(&vectors, &[1, 4], &[weight, 1.0]);
                let largest = |row: usize| exact.row(row).iter().fold(0.0f32, |max, v| max.max(v.abs()));
                let bound = share * 1.01 * (weight.abs() * largest(1) + largest(4)) + 1e-5;
                for (at, found) in found.iter().enumerate() {
                    let expected = weight * exact[(1, at)] + exact[(4, at)];
                    prop_assert!((found - expected).abs() <= bound, "{precision:?} {found} {expected}");
                }
            }
        }
    }
}
