//! Sixteen lanes in four NEON registers.
//!
//! Every result has the bits that AVX-512 gives: sums are taken in the same order, and the smaller or larger of two zeros, or of a number and NaN, is
//! the second one, where the instructions of Arm would decide otherwise.

use super::{HALF, LANES, Lanes, SPREAD, Simd, WithSimd, add_bf16_by_bit, halves_of};
use std::arch::aarch64::*;
use std::array::from_fn;

/// Proof that NEON can run. Only [`Neon::detect`] makes one.
#[derive(Debug, Clone, Copy)]
pub struct Neon(());

impl Neon {
    /// The token. Every 64-bit Arm machine with an operating system has the instructions.
    #[inline]
    pub fn detect() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Self(()))
    }

    /// Runs `work` compiled for this instruction set.
    #[inline]
    pub fn vectorize<W: WithSimd>(self, work: W) -> W::Output {
        #[target_feature(enable = "neon")]
        fn inner<W: WithSimd>(simd: Neon, work: W) -> W::Output {
            work.run(simd)
        }
        // SAFETY: `self` proves that the CPU has NEON.
        unsafe { inner(self, work) }
    }

    /// Applies a 4-lane operation to all quarters.
    #[inline(always)]
    fn each(a: Quarters, b: Quarters, op: impl Fn(float32x4_t, float32x4_t) -> float32x4_t) -> Quarters {
        from_fn(|q| op(a[q], b[q]))
    }
}

type Quarters = [float32x4_t; 4];

/// The bit of each lane.
static BITS: [u32; LANES] = {
    let (mut bits, mut lane) = ([0; LANES], 0);
    while lane < LANES {
        bits[lane] = 1 << lane;
        lane += 1;
    }
    bits
};

/// The bits of the lanes of quarter `q`.
#[inline(always)]
fn bits(q: usize) -> uint32x4_t {
    // SAFETY: only called from the methods of a token that proves NEON; four quarters of four are 16.
    unsafe { vld1q_u32(BITS[4 * q..4 * q + 4].as_ptr()) }
}

/// Full-lane masks as bits.
#[inline(always)]
fn pack(masks: [uint32x4_t; 4]) -> u16 {
    // SAFETY: as above.
    unsafe {
        let [a, b, c, d] = from_fn(|q| vandq_u32(masks[q], bits(q)));
        vaddvq_u32(vorrq_u32(vorrq_u32(a, b), vorrq_u32(c, d))) as u16
    }
}

// SAFETY (each block below): `self` proves that NEON is there; loads and stores go through references to
// `Lanes`, which are 16 values long.
impl Simd for Neon {
    type V = Quarters;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        unsafe { [vdupq_n_f32(value); 4] }
    }
    #[inline(always)]
    fn load(self, from: &Lanes) -> Self::V {
        let at = from.0.as_ptr();
        unsafe { [vld1q_f32(at), vld1q_f32(at.add(4)), vld1q_f32(at.add(8)), vld1q_f32(at.add(12))] }
    }
    #[inline(always)]
    fn store(self, to: &mut Lanes, v: Self::V) {
        let at = to.0.as_mut_ptr();
        unsafe {
            vst1q_f32(at, v[0]);
            vst1q_f32(at.add(4), v[1]);
            vst1q_f32(at.add(8), v[2]);
            vst1q_f32(at.add(12), v[3]);
        }
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        Self::each(a, b, |a, b| unsafe { vaddq_f32(a, b) })
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        Self::each(a, b, |a, b| unsafe { vsubq_f32(a, b) })
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        Self::each(a, b, |a, b| unsafe { vmulq_f32(a, b) })
    }
    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        Self::each(a, b, |a, b| unsafe { vdivq_f32(a, b) })
    }
    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        from_fn(|q| unsafe { vfmaq_f32(c[q], a[q], b[q]) })
    }
    #[inline(always)]
    fn mul_add(self, a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        Self::each(a, b, |a, b| unsafe { vbslq_f32(vcltq_f32(a, b), a, b) })
    }
    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        Self::each(a, b, |a, b| unsafe { vbslq_f32(vcgtq_f32(a, b), a, b) })
    }
    #[inline(always)]
    fn lt(self, a: Self::V, b: Self::V) -> u16 {
        pack(from_fn(|q| unsafe { vcltq_f32(a[q], b[q]) }))
    }
    #[inline(always)]
    fn ne(self, a: Self::V, b: Self::V) -> u16 {
        !pack(from_fn(|q| unsafe { vceqq_f32(a[q], b[q]) }))
    }
    #[inline(always)]
    fn select(self, mask: u16, a: Self::V, b: Self::V) -> Self::V {
        from_fn(|q| unsafe { vbslq_f32(vtstq_u32(vdupq_n_u32(mask.into()), bits(q)), a[q], b[q]) })
    }
    #[inline(always)]
    fn pow2(self, n: Self::V) -> Self::V {
        // A float whose exponent is `n` and whose fraction is empty.
        from_fn(|q| unsafe {
            let biased = vaddq_s32(vcvtq_s32_f32(n[q]), vdupq_n_s32(127));
            vreinterpretq_f32_s32(vshlq_n_s32::<23>(biased))
        })
    }
    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        unsafe {
            let four = vaddq_f32(vaddq_f32(v[0], v[2]), vaddq_f32(v[1], v[3]));
            let two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
            vpadds_f32(two)
        }
    }
    #[inline(always)]
    fn add_expanded_bf16(self, x: f32, bits: u16, values: &[[u8; 2]], sums: &mut [f32; LANES]) {
        // Of fewer values than a register holds, one after the other is as fast.
        let (Some(values), ([low, high], _)) = (halves_of(bits, values), sums.as_chunks_mut()) else {
            return add_bf16_by_bit(self, x, bits, values, sums);
        };
        let [low_bits, high_bits] = bits.to_le_bytes();
        add_half_bf16(x, low_bits, values[0], low);
        add_half_bf16(x, high_bits, values[1], high);
    }
}

/// `sums += x · values`, these spread over the set bits.
#[inline(always)]
fn add_half_bf16(x: f32, bits: u8, values: &[[u8; 2]; HALF], sums: &mut [f32; HALF]) {
    // SAFETY: only called from a method of a token that proves NEON. All that is read or written is 16 bytes of places, 16
    // bytes of values and 8 sums; a place that is out of range yields 0.
    unsafe {
        let places = vld1q_u8(SPREAD[usize::from(bits)].as_ptr());
        let spread = vreinterpretq_u16_u8(vqtbl1q_u8(vld1q_u8(values.as_ptr().cast()), places));
        let low = vreinterpretq_f32_u32(vshll_n_u16::<16>(vget_low_u16(spread)));
        let high = vreinterpretq_f32_u32(vshll_high_n_u16::<16>(spread));
        let at = sums.as_mut_ptr();
        vst1q_f32(at, vfmaq_n_f32(vld1q_f32(at), low, x));
        vst1q_f32(at.add(4), vfmaq_n_f32(vld1q_f32(at.add(4)), high, x));
    }
}
