//! Sixteen lanes in one AVX-512 register.

use super::{LANES, Lanes, PLACE_BITS, Simd, WithSimd};
use std::arch::x86_64::*;

/// Proof that AVX-512F (and AVX2, FMA, F16C beside it) can run. Only [`Avx512::detect`] makes one.
#[derive(Debug, Clone, Copy)]
pub struct Avx512(());

impl Avx512 {
    /// The token, when this machine has the instructions.
    #[inline]
    pub fn detect() -> Option<Self> {
        let all = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma");
        all.then_some(Self(()))
    }

    /// Runs `work` compiled for this instruction set.
    #[inline]
    pub fn vectorize<W: WithSimd>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma,bmi1,bmi2,popcnt,lzcnt")]
        fn inner<W: WithSimd>(simd: Avx512, work: W) -> W::Output {
            work.run(simd)
        }
        // SAFETY: `self` proves that the CPU has the AVX features; every CPU with AVX-512 has the BMI,
        // POPCNT and LZCNT instructions as well.
        unsafe { inner(self, work) }
    }
}

// SAFETY (each block below): `self` proves that AVX-512F is there; loads and stores go through references
// to `Lanes`, which are 64 bytes long and 64-byte aligned.
impl Simd for Avx512 {
    type V = __m512;

    const PACKED_VECTORS: usize = 8;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        unsafe { _mm512_set1_ps(value) }
    }
    #[inline(always)]
    fn load(self, from: &Lanes) -> Self::V {
        unsafe { _mm512_load_ps(from.0.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, to: &mut Lanes, v: Self::V) {
        unsafe { _mm512_store_ps(to.0.as_mut_ptr(), v) }
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn mul_add(self, a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    fn lt(self, a: Self::V, b: Self::V) -> u16 {
        unsafe { _mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b) }
    }
    #[inline(always)]
    fn ne(self, a: Self::V, b: Self::V) -> u16 {
        unsafe { _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(a, b) }
    }
    #[inline(always)]
    fn select(self, mask: u16, a: Self::V, b: Self::V) -> Self::V {
        unsafe { _mm512_mask_blend_ps(mask, b, a) }
    }
    #[inline(always)]
    fn pow2(self, n: Self::V) -> Self::V {
        unsafe { _mm512_scalef_ps(_mm512_set1_ps(1.0), n) }
    }
    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        unsafe { _mm512_reduce_add_ps(v) }
    }
    #[inline(always)]
    fn compress(self, mask: u16, v: Self::V, to: &mut [f32; LANES]) {
        // In a register, then all of it: storing some lanes only takes much longer.
        // SAFETY: `to` is sixteen long.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), _mm512_maskz_compress_ps(mask, v)) }
    }
    #[inline(always)]
    fn compress_places(self, mask: u16, first: u32, to: &mut [u32; LANES]) {
        // SAFETY: `to` is sixteen long.
        unsafe {
            let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            let places = _mm512_add_epi32(lanes, _mm512_set1_epi32(first.cast_signed()));
            _mm512_storeu_epi32(to.as_mut_ptr().cast(), _mm512_maskz_compress_epi32(mask, places));
        }
    }
    #[inline(always)]
    fn look_up(self, table: &[f32], packed: &[u32; LANES]) -> (Self::V, Self::V) {
        // SAFETY: the unpacked lanes are places of `table`.
        unsafe {
            let Unpacked { places, there, numbers } = unpack(packed, 0, table.len());
            let found = _mm512_mask_i32gather_ps::<4>(_mm512_setzero_ps(), there, places, table.as_ptr());
            (found, numbers)
        }
    }
    #[inline(always)]
    fn add_at(self, sums: &mut [f32], first: u32, packed: &[u32], weight: f32) {
        for packed in packed.chunks(LANES) {
            // SAFETY: the unpacked lanes are places of `sums`.
            unsafe {
                let Unpacked { places, there, numbers } = unpack(packed, first, sums.len());
                let old = _mm512_mask_i32gather_ps::<4>(_mm512_setzero_ps(), there, places, sums.as_ptr());
                let new = _mm512_fmadd_ps(_mm512_set1_ps(weight), numbers, old);
                _mm512_mask_i32scatter_ps::<4>(sums.as_mut_ptr(), there, places, new);
            }
        }
    }
    #[inline(always)]
    fn take_at(self, sums: &mut [f32], packed: &[u32]) -> Self::V {
        // SAFETY: the unpacked lanes are places of `sums`.
        unsafe {
            let Unpacked { places, there, .. } = unpack(packed, 0, sums.len());
            let zero = _mm512_setzero_ps();
            let taken = _mm512_mask_i32gather_ps::<4>(zero, there, places, sums.as_ptr());
            _mm512_mask_i32scatter_ps::<4>(sums.as_mut_ptr(), there, places, zero);
            taken
        }
    }
    #[inline(always)]
    fn add_expanded_bf16(self, x: f32, bits: u16, values: &[[u8; 2]], sums: &mut [f32; LANES]) {
        let present = present(values.len());
        // SAFETY: the masked load touches the first sixteen values only, if there are as many; `sums` is 16 long.
        unsafe {
            let halves = _mm256_maskz_loadu_epi16(present, values.as_ptr().cast());
            let packed = from_halves(halves);
            add_expanded(x, bits, packed, sums);
        }
    }
    #[inline(always)]
    fn add_expanded_f32(self, x: f32, bits: u16, values: &[[u8; 4]], sums: &mut [f32; LANES]) {
        let present = present(values.len());
        // SAFETY: as above.
        unsafe {
            let packed = _mm512_maskz_loadu_ps(present, values.as_ptr().cast());
            add_expanded(x, bits, packed, sums);
        }
    }
    #[inline(always)]
    fn add_expanded_log8(self, x: f32, bits: u16, values: &[[u8; 1]], sums: &mut [f32; LANES]) {
        let present = present(values.len());
        // SAFETY: as above, and the table is 16 long.
        unsafe {
            let bytes = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(present, values.as_ptr().cast()));
            // The bits of the number are those of its fraction, moved by octaves, with the sign.
            let fractions = _mm512_castps_si512(_mm512_loadu_ps(SMALLEST.0.as_ptr()));
            let fractions = _mm512_permutexvar_epi32(bytes, fractions);
            let octaves = _mm512_and_si512(bytes, _mm512_set1_epi32(0x78));
            let sign = _mm512_slli_epi32::<24>(_mm512_and_si512(bytes, _mm512_set1_epi32(0x80)));
            let moved = _mm512_add_epi32(fractions, _mm512_slli_epi32::<20>(octaves));
            add_expanded(x, bits, _mm512_castsi512_ps(_mm512_or_si512(moved, sign)), sums);
        }
    }
    #[inline(always)]
    fn add_packed_bf16(self, x: f32, bits: u16, values: &[[u8; 2]; LANES], sums: Self::V) -> Self::V {
        // SAFETY: all of `values` is read.
        unsafe {
            let packed = from_halves(_mm256_loadu_si256(values.as_ptr().cast()));
            _mm512_fmadd_ps(_mm512_set1_ps(x), _mm512_maskz_expand_ps(bits, packed), sums)
        }
    }
}

/// The first octave of [`super::from_log8`], twice: the instruction that looks up sixteen numbers takes four bits of each place.
static SMALLEST: Lanes = {
    let (mut all, mut lane) = ([0.0; LANES], 0);
    while lane < LANES {
        all[lane] = super::LOG8[lane % 8];
        lane += 1;
    }
    Lanes(all)
};

/// The mask of the first `n` lanes, all for more than 16.
#[inline(always)]
fn present(n: usize) -> u16 {
    (1u32 << n.min(LANES)).wrapping_sub(1) as u16
}

/// Words of [`super::pack_place`], and which lanes have one whose place is there.
struct Unpacked {
    places: __m512i,
    there: u16,
    numbers: __m512,
}

/// The first sixteen of `packed`, their places counted from `first` on; below `len` they are there.
///
/// # Safety
/// AVX-512F must be there.
#[inline(always)]
unsafe fn unpack(packed: &[u32], first: u32, len: usize) -> Unpacked {
    let present = present(packed.len());
    // SAFETY: the caller has AVX-512F; the masked load touches what `packed` has.
    unsafe {
        let words = _mm512_maskz_loadu_epi32(present, packed.as_ptr().cast());
        let places = _mm512_and_si512(words, _mm512_set1_epi32((1 << PLACE_BITS) - 1));
        // A place before the first is a large one: numbers are compared without a sign.
        let places = _mm512_sub_epi32(places, _mm512_set1_epi32(first as i32));
        let end = _mm512_set1_epi32(len.min(1 << PLACE_BITS) as i32);
        let there = _mm512_mask_cmplt_epu32_mask(present, places, end);
        Unpacked { places, there, numbers: _mm512_cvtepi32_ps(_mm512_srai_epi32::<PLACE_BITS>(words)) }
    }
}

/// Sixteen `f32`s from their upper halves.
///
/// # Safety
/// AVX-512F must be there.
#[inline(always)]
unsafe fn from_halves(halves: __m256i) -> __m512 {
    // SAFETY: the caller has AVX-512F.
    unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(halves))) }
}

/// `sums += x · packed`, the lanes of `packed` spread over the set bits.
///
/// # Safety
/// AVX-512F must be there.
#[inline(always)]
unsafe fn add_expanded(x: f32, bits: u16, packed: __m512, sums: &mut [f32; LANES]) {
    // SAFETY: the caller has AVX-512F; `sums` is 16 long.
    unsafe {
        let spread = _mm512_maskz_expand_ps(bits, packed);
        let before = _mm512_loadu_ps(sums.as_ptr());
        _mm512_storeu_ps(sums.as_mut_ptr(), _mm512_fmadd_ps(_mm512_set1_ps(x), spread, before));
    }
}
