//! Sixteen lanes in two AVX2 registers.

use super::{Lanes, Simd, WithSimd};
use std::arch::x86_64::*;

/// Proof that AVX2 and FMA can run. Only [`Avx2::detect`] makes one.
#[derive(Debug, Clone, Copy)]
pub struct Avx2(());

impl Avx2 {
    /// The token, when this machine has the instructions.
    #[inline]
    pub fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
    }

    /// Runs `work` compiled for this instruction set.
    #[inline]
    pub fn vectorize<W: WithSimd>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx2,fma,bmi1,bmi2,popcnt,lzcnt")]
        fn inner<W: WithSimd>(simd: Avx2, work: W) -> W::Output {
            work.run(simd)
        }
        // SAFETY: `self` proves that the CPU has AVX2 and FMA; every CPU with AVX2 has the BMI, POPCNT and
        // LZCNT instructions as well.
        unsafe { inner(self, work) }
    }

    /// Applies an 8-lane operation to both halves.
    #[inline(always)]
    fn both(a: [__m256; 2], b: [__m256; 2], op: impl Fn(__m256, __m256) -> __m256) -> [__m256; 2] {
        [op(a[0], b[0]), op(a[1], b[1])]
    }
}

/// The bits of `mask` as full-lane masks.
#[inline(always)]
fn expand(mask: u8) -> __m256 {
    // SAFETY: only called from the methods of a token that proves AVX2.
    unsafe {
        let bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
        let set = _mm256_and_si256(_mm256_set1_epi32(i32::from(mask)), bits);
        _mm256_castsi256_ps(_mm256_cmpeq_epi32(set, bits))
    }
}

/// `2ⁿ`: a float whose exponent is `n` and whose fraction is empty.
#[inline(always)]
fn exponent(n: __m256) -> __m256 {
    // SAFETY: as above.
    unsafe {
        let biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
        _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
    }
}

// SAFETY (each block below): `self` proves that AVX2 and FMA are there; loads and stores go through
// references to `Lanes`, which are 64 bytes long and 64-byte aligned.
impl Simd for Avx2 {
    type V = [__m256; 2];

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        unsafe { [_mm256_set1_ps(value); 2] }
    }
    #[inline(always)]
    fn load(self, from: &Lanes) -> Self::V {
        let at = from.0.as_ptr();
        unsafe { [_mm256_load_ps(at), _mm256_load_ps(at.add(8))] }
    }
    #[inline(always)]
    fn store(self, to: &mut Lanes, v: Self::V) {
        let at = to.0.as_mut_ptr();
        unsafe {
            _mm256_store_ps(at, v[0]);
            _mm256_store_ps(at.add(8), v[1]);
        }
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        Self::both(a, b, |a, b| unsafe { _mm256_add_ps(a, b) })
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        Self::both(a, b, |a, b| unsafe { _mm256_sub_ps(a, b) })
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        Self::both(a, b, |a, b| unsafe { _mm256_mul_ps(a, b) })
    }
    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        Self::both(a, b, |a, b| unsafe { _mm256_div_ps(a, b) })
    }
    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }
    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        Self::both(a, b, |a, b| unsafe { _mm256_min_ps(a, b) })
    }
    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        Self::both(a, b, |a, b| unsafe { _mm256_max_ps(a, b) })
    }
    #[inline(always)]
    fn lt(self, a: Self::V, b: Self::V) -> u16 {
        let [low, high] = Self::both(a, b, |a, b| unsafe { _mm256_cmp_ps::<_CMP_LT_OQ>(a, b) });
        unsafe { (_mm256_movemask_ps(low) | _mm256_movemask_ps(high) << 8) as u16 }
    }
    #[inline(always)]
    fn ne(self, a: Self::V, b: Self::V) -> u16 {
        let [low, high] = Self::both(a, b, |a, b| unsafe { _mm256_cmp_ps::<_CMP_NEQ_UQ>(a, b) });
        unsafe { (_mm256_movemask_ps(low) | _mm256_movemask_ps(high) << 8) as u16 }
    }
    #[inline(always)]
    fn select(self, mask: u16, a: Self::V, b: Self::V) -> Self::V {
        let [low, high] = [expand(mask as u8), expand((mask >> 8) as u8)];
        unsafe { [_mm256_blendv_ps(b[0], a[0], low), _mm256_blendv_ps(b[1], a[1], high)] }
    }
    #[inline(always)]
    fn pow2(self, n: Self::V) -> Self::V {
        [exponent(n[0]), exponent(n[1])]
    }
    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        unsafe {
            let eight = _mm256_add_ps(v[0], v[1]);
            let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }
}
