//! Lanes in plain Rust: the reference, and what machines with neither AVX2 nor NEON run.

use super::{LANES, Lanes, Simd};
use std::array::from_fn;

/// Plain Rust lanes; available everywhere.
#[derive(Debug, Clone, Copy, Default)]
pub struct Portable;

impl Simd for Portable {
    type V = [f32; LANES];

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        [value; LANES]
    }
    #[inline(always)]
    fn load(self, from: &Lanes) -> Self::V {
        from.0
    }
    #[inline(always)]
    fn store(self, to: &mut Lanes, v: Self::V) {
        to.0 = v;
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        from_fn(|l| a[l] + b[l])
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        from_fn(|l| a[l] - b[l])
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        from_fn(|l| a[l] * b[l])
    }
    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        from_fn(|l| a[l] / b[l])
    }
    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        from_fn(|l| self.mul_add(a[l], b[l], c[l]))
    }
    /// Fused on Arm. Elsewhere the instruction may be missing, and the function of the standard library is slow.
    #[inline(always)]
    fn mul_add(self, a: f32, b: f32, c: f32) -> f32 {
        if cfg!(target_arch = "aarch64") { a.mul_add(b, c) } else { a * b + c }
    }
    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        from_fn(|l| if a[l] < b[l] { a[l] } else { b[l] })
    }
    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        from_fn(|l| if a[l] > b[l] { a[l] } else { b[l] })
    }
    #[inline(always)]
    fn lt(self, a: Self::V, b: Self::V) -> u16 {
        (0..LANES).fold(0, |mask, l| mask | (u16::from(a[l] < b[l]) << l))
    }
    #[inline(always)]
    fn ne(self, a: Self::V, b: Self::V) -> u16 {
        (0..LANES).fold(0, |mask, l| mask | (u16::from(a[l] != b[l]) << l))
    }
    #[inline(always)]
    fn select(self, mask: u16, a: Self::V, b: Self::V) -> Self::V {
        from_fn(|l| if mask >> l & 1 == 1 { a[l] } else { b[l] })
    }
    #[inline(always)]
    fn pow2(self, n: Self::V) -> Self::V {
        from_fn(|l| f32::from_bits(((n[l] as i32 + 127) as u32) << 23))
    }
    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        let eight: [f32; 8] = from_fn(|l| v[l] + v[l + 8]);
        let four: [f32; 4] = from_fn(|l| eight[l] + eight[l + 4]);
        (four[0] + four[2]) + (four[1] + four[3])
    }
}
