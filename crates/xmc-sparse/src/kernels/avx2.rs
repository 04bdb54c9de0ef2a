//! Sixteen lanes in two AVX2 registers.

use super::{HALF, LANES, LOG8, Lanes, PLACE_BITS, SPREAD, Simd, WithSimd};
use super::{add_bf16_by_bit, add_f32_by_bit, add_log8_by_bit, add_one_by_one, halves_of};
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

    // Two of sixteen registers each, and there have to be some for what is added.
    const PACKED_VECTORS: usize = 2;

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
    fn mul_add(self, a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
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
    #[inline(always)]
    fn look_up(self, table: &[f32], packed: &[u32; LANES]) -> (Self::V, Self::V) {
        let halves = packed.as_chunks::<HALF>().0;
        let [low, low_numbers] = look_up_half(table, &halves[0]);
        let [high, high_numbers] = look_up_half(table, &halves[1]);
        ([low, high], [low_numbers, high_numbers])
    }
    #[inline(always)]
    fn add_at(self, sums: &mut [f32], first: u32, packed: &[u32], weight: f32) {
        let (lines, rest) = packed.as_chunks::<HALF>();
        for line in lines {
            let Unpacked { places, numbers, are_there } = unpack(line, first, sums.len());
            if !are_there {
                add_one_by_one(self, sums, first, line, weight);
                continue;
            }
            for (&place, &number) in places.iter().zip(&numbers) {
                // SAFETY: all eight are places of `sums`.
                let sum = unsafe { sums.get_unchecked_mut(place as usize) };
                *sum = number.mul_add(weight, *sum);
            }
        }
        add_one_by_one(self, sums, first, rest, weight);
    }
    // (No closures in what follows: one that is not inlined is compiled without these instructions, and each of them becomes a call.)
    #[inline(always)]
    fn add_expanded_bf16(self, x: f32, bits: u16, values: &[[u8; 2]], sums: &mut [f32; LANES]) {
        let ([low, high], Some([first, second])) = (bits.to_le_bytes(), halves_of(bits, values)) else {
            return add_bf16_by_bit(self, x, bits, values, sums);
        };
        add_in_memory(x, [spread_bf16(low, first), spread_bf16(high, second)], sums);
    }
    #[inline(always)]
    fn add_expanded_f32(self, x: f32, bits: u16, values: &[[u8; 4]], sums: &mut [f32; LANES]) {
        let ([low, high], Some([first, second])) = (bits.to_le_bytes(), halves_of(bits, values)) else {
            return add_f32_by_bit(self, x, bits, values, sums);
        };
        add_in_memory(x, [spread_f32(low, first), spread_f32(high, second)], sums);
    }
    #[inline(always)]
    fn add_expanded_log8(self, x: f32, bits: u16, values: &[[u8; 1]], sums: &mut [f32; LANES]) {
        let ([low, high], Some([first, second])) = (bits.to_le_bytes(), halves_of(bits, values)) else {
            return add_log8_by_bit(self, x, bits, values, sums);
        };
        add_in_memory(x, [spread_log8(low, first), spread_log8(high, second)], sums);
    }
    #[inline(always)]
    fn add_packed_bf16(self, x: f32, bits: u16, values: &[[u8; 2]; LANES], sums: Self::V) -> Self::V {
        // There are eight behind those of the lower lanes.
        let ([low, high], Some([first, second])) = (bits.to_le_bytes(), halves_of(bits, values)) else {
            return sums;
        };
        self.fma(self.splat(x), [spread_bf16(low, first), spread_bf16(high, second)], sums)
    }
}

/// What `table` has at the places of eight words of [`super::pack_place`], and their numbers. (Eight loads, with all else in vectors, are as fast on
/// Zen 3.)
#[inline(always)]
fn look_up_half(table: &[f32], packed: &[u32; HALF]) -> [__m256; 2] {
    let end = table.len().min(1 << PLACE_BITS) as i32;
    // SAFETY: only called from the methods of a token that proves AVX2 and FMA. What is gathered are places of `table`.
    unsafe {
        let words = _mm256_loadu_si256(packed.as_ptr().cast());
        let places = _mm256_and_si256(words, _mm256_set1_epi32((1 << PLACE_BITS) - 1));
        let there = _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(end), places));
        let found = _mm256_mask_i32gather_ps::<4>(_mm256_setzero_ps(), table.as_ptr(), places, there);
        [found, _mm256_cvtepi32_ps(_mm256_srai_epi32::<{ PLACE_BITS as i32 }>(words))]
    }
}

/// Eight words of [`super::pack_place`], taken apart.
struct Unpacked {
    places: [u32; HALF],
    numbers: [f32; HALF],
    /// Whether all places are below the end.
    are_there: bool,
}

/// Takes eight words apart; places are counted from `first`.
#[inline(always)]
fn unpack(packed: &[u32; HALF], first: u32, end: usize) -> Unpacked {
    let (mut places, mut numbers) = ([0; HALF], [0.0; HALF]);
    let end = end.min(1 << PLACE_BITS) as i32;
    // SAFETY: only called from the methods of a token that proves AVX2 and FMA; what is read and written is eight long.
    unsafe {
        let words = _mm256_loadu_si256(packed.as_ptr().cast());
        let from_first = _mm256_sub_epi32(
            _mm256_and_si256(words, _mm256_set1_epi32((1 << PLACE_BITS) - 1)),
            _mm256_set1_epi32(first as i32),
        );
        // Of places before the first one the upper bit is set.
        let there = _mm256_andnot_si256(from_first, _mm256_cmpgt_epi32(_mm256_set1_epi32(end), from_first));
        _mm256_storeu_si256(places.as_mut_ptr().cast(), from_first);
        _mm256_storeu_ps(
            numbers.as_mut_ptr(),
            _mm256_cvtepi32_ps(_mm256_srai_epi32::<{ PLACE_BITS as i32 }>(words)),
        );
        Unpacked { places, numbers, are_there: _mm256_movemask_ps(_mm256_castsi256_ps(there)) == 0xff }
    }
}

/// `sums += x · values`.
#[inline(always)]
fn add_in_memory(x: f32, values: [__m256; 2], sums: &mut [f32; LANES]) {
    let at = sums.as_mut_ptr();
    // SAFETY: only called from the methods of a token that proves AVX2 and FMA; `sums` is 16 long.
    unsafe {
        let x = _mm256_set1_ps(x);
        _mm256_storeu_ps(at, _mm256_fmadd_ps(x, values[0], _mm256_loadu_ps(at)));
        _mm256_storeu_ps(at.add(HALF), _mm256_fmadd_ps(x, values[1], _mm256_loadu_ps(at.add(HALF))));
    }
}

/// For each lane of `bits` the place of its value among those of the set ones, in bytes of two: its lower byte is in the lower half of the lane.
#[inline(always)]
fn places(bits: u8) -> __m128i {
    // SAFETY: as above; the table has 16 bytes for each byte of bits.
    unsafe { _mm_loadu_si128(SPREAD[usize::from(bits)].as_ptr().cast()) }
}

/// The upper halves of `f32`s in the lanes of the set bits.
#[inline(always)]
fn spread_bf16(bits: u8, values: &[[u8; 2]; HALF]) -> __m256 {
    // SAFETY: as above; 16 bytes of values are read.
    unsafe {
        let halves = _mm_shuffle_epi8(_mm_loadu_si128(values.as_ptr().cast()), places(bits));
        _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(halves)))
    }
}

/// `f32`s in the lanes of the set bits.
#[inline(always)]
fn spread_f32(bits: u8, values: &[[u8; 4]; HALF]) -> __m256 {
    // SAFETY: as above; 32 bytes of values are read. Of a place three bits count, those that tell its lane.
    unsafe {
        let lanes = _mm256_srli_epi32::<1>(_mm256_cvtepu16_epi32(places(bits)));
        let values = _mm256_permutevar8x32_ps(_mm256_loadu_ps(values.as_ptr().cast()), lanes);
        _mm256_and_ps(values, expand(bits))
    }
}

/// Bytes, see [`super::from_log8`], in the lanes of the set bits.
#[inline(always)]
fn spread_log8(bits: u8, values: &[[u8; 1]; HALF]) -> __m256 {
    // SAFETY: as above; 8 bytes of values and the first eight of the table are read.
    unsafe {
        let bytes = _mm_cvtepu8_epi16(_mm_loadl_epi64(values.as_ptr().cast()));
        let bytes = _mm256_cvtepu16_epi32(_mm_shuffle_epi8(bytes, places(bits)));
        // The bits of the number are those of its fraction, moved by octaves, with the sign. Of a byte three bits count, those of the fraction.
        let fractions = _mm256_permutevar8x32_epi32(_mm256_loadu_si256(LOG8.as_ptr().cast()), bytes);
        let octaves = _mm256_slli_epi32::<20>(_mm256_and_si256(bytes, _mm256_set1_epi32(0x78)));
        let sign = _mm256_slli_epi32::<24>(_mm256_and_si256(bytes, _mm256_set1_epi32(0x80)));
        let numbers = _mm256_or_si256(_mm256_add_epi32(fractions, octaves), sign);
        _mm256_and_ps(_mm256_castsi256_ps(numbers), expand(bits))
    }
}
