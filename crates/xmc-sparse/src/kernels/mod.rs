//! Sixteen `f32` lanes, on whatever the machine has.
//!
//! The batched solver trains 16 sibling labels in lock step and inference adds up sibling scores; both
//! are written once, generic over [`Simd`], and compiled for each instruction set. [`dispatch`] picks the
//! best one at run time, so one binary runs everywhere. The whole computation is dispatched, not each
//! operation: a call through a function pointer costs as much as a row of ten entries.
//!
//! The scheme (a zero-sized token that proves that the instructions exist, and `inline(always)` methods that
//! melt into one `target_feature` function) is that of the `pulp` and `memchr` crates.
//!
//! This module is the only place of the crate with `unsafe` code.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512;
#[cfg(target_arch = "aarch64")]
pub use neon::Neon;
pub use portable::Portable;

use crate::set_bits;

/// Number of lanes of a vector: the labels that are solved together.
pub const LANES: usize = 16;

/// Sixteen `f32` values on one cache line.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[repr(C, align(64))]
pub struct Lanes(pub [f32; LANES]);

impl Lanes {
    /// All lanes zero.
    pub const ZERO: Self = Self([0.0; LANES]);
}

/// Vector operations over [`LANES`] lanes; a value of an implementing type proves that they can run.
///
/// Masks are bit sets: bit `l` belongs to lane `l`.
pub trait Simd: Copy {
    /// Sixteen lanes in registers.
    type V: Copy;

    /// Most vectors whose sums stay in registers while [`Self::add_packed_bf16`] adds to them.
    const PACKED_VECTORS: usize = 1;

    /// `value` in every lane.
    fn splat(self, value: f32) -> Self::V;
    /// Lanes from memory.
    fn load(self, from: &Lanes) -> Self::V;
    /// Lanes to memory.
    fn store(self, to: &mut Lanes, v: Self::V);
    /// `a + b`.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a · b`.
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a / b`.
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a · b + c`, fused where the machine can.
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The same of single numbers, rounded alike.
    fn mul_add(self, a: f32, b: f32, c: f32) -> f32;
    /// The smaller of each lane.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// The larger of each lane.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// Lanes where `a < b`.
    fn lt(self, a: Self::V, b: Self::V) -> u16;
    /// Lanes where `a != b`.
    fn ne(self, a: Self::V, b: Self::V) -> u16;
    /// `a` where the mask is set, else `b`.
    fn select(self, mask: u16, a: Self::V, b: Self::V) -> Self::V;

    /// `2ⁿ`, for whole numbers `n` from −126 to 127.
    fn pow2(self, n: Self::V) -> Self::V;

    /// The sum of all lanes: of halves of halves, so that every instruction set rounds the same.
    fn sum(self, v: Self::V) -> f32;

    /// `eˣ` to within two units of the last place; `x` is held between −87 and 88, where the result is a normal
    /// number.
    ///
    /// `eˣ = 2ⁿ eʳ` with whole `n` and `|r| ≤ ln 2 / 2`, where seven terms of the series are exact enough.
    #[inline(always)]
    fn exp(self, x: Self::V) -> Self::V {
        // Adding and taking away 1.5 · 2²³ rounds to a whole number.
        let round = self.splat(12_582_912.0);
        let x = self.min(self.max(x, self.splat(-87.0)), self.splat(88.0));
        let n = self.sub(self.fma(x, self.splat(std::f32::consts::LOG2_E), round), round);
        // ln 2 in two parts, the first with so few digits that its product with n is exact.
        let r = self.fma(n, self.splat(-0.693_359_4), x);
        let r = self.fma(n, self.splat(2.121_944_4e-4), r);
        let mut series = self.splat(1.0 / 5040.0);
        series = self.fma(series, r, self.splat(1.0 / 720.0));
        series = self.fma(series, r, self.splat(1.0 / 120.0));
        series = self.fma(series, r, self.splat(1.0 / 24.0));
        series = self.fma(series, r, self.splat(1.0 / 6.0));
        series = self.fma(series, r, self.splat(0.5));
        let power = self.fma(self.mul(series, r), r, r);
        self.mul(self.add(power, self.splat(1.0)), self.pow2(n))
    }

    /// The lanes of `mask`, lowest first, at the beginning of `to`; what is behind them may be anything.
    #[inline(always)]
    fn compress(self, mask: u16, v: Self::V, to: &mut [f32; LANES]) {
        let mut lanes = Lanes::ZERO;
        self.store(&mut lanes, v);
        to.iter_mut().zip(set_bits(mask.into())).for_each(|(to, lane)| *to = lanes.0[lane as usize]);
    }

    /// `first` plus each lane of `mask`, lowest first, at the beginning of `to`; what is behind them may be anything.
    #[inline(always)]
    fn compress_places(self, mask: u16, first: u32, to: &mut [u32; LANES]) {
        to.iter_mut().zip(set_bits(mask.into())).for_each(|(to, lane)| *to = first + lane);
    }

    /// `sums[l] += x · w` for each set bit `l` of `bits`, lowest first, with the next of `values`: the upper
    /// halves of `f32`s, little endian, at least as many as there are bits. Those behind them may be anything; with sixteen in all it is fastest.
    #[inline(always)]
    fn add_expanded_bf16(self, x: f32, bits: u16, values: &[[u8; 2]], sums: &mut [f32; LANES]) {
        add_bf16_by_bit(self, x, bits, values, sums);
    }

    /// The same with `f32` values.
    #[inline(always)]
    fn add_expanded_f32(self, x: f32, bits: u16, values: &[[u8; 4]], sums: &mut [f32; LANES]) {
        add_f32_by_bit(self, x, bits, values, sums);
    }

    /// The same with bytes, see [`from_log8`].
    #[inline(always)]
    fn add_expanded_log8(self, x: f32, bits: u16, values: &[[u8; 1]], sums: &mut [f32; LANES]) {
        add_log8_by_bit(self, x, bits, values, sums);
    }

    /// As [`Self::add_expanded_bf16`], with sums in registers.
    #[inline(always)]
    fn add_packed_bf16(self, x: f32, bits: u16, values: &[[u8; 2]; LANES], sums: Self::V) -> Self::V {
        let mut lanes = Lanes::ZERO;
        self.store(&mut lanes, sums);
        self.add_expanded_bf16(x, bits, values, &mut lanes.0);
        self.load(&lanes)
    }

    /// Sixteen places and whole numbers, packed by [`pack_place`]: what `table` has at the place (0 beyond its end), and the number.
    #[inline(always)]
    fn look_up(self, table: &[f32], packed: &[u32; LANES]) -> (Self::V, Self::V) {
        let (mut found, mut numbers) = (Lanes::ZERO, Lanes::ZERO);
        for (lane, &packed) in packed.iter().enumerate() {
            let (place, number) = unpack_place(packed);
            found.0[lane] = table.get(place).copied().unwrap_or(0.0);
            numbers.0[lane] = number;
        }
        (self.load(&found), self.load(&numbers))
    }

    /// Adds `weight` times the numbers of `packed`, by [`pack_place`], to what `sums` has at their places; `sums` are those of places from
    /// `first` on, and what is not among them is left out. The places are all different: of equal ones, all but one may be lost.
    #[inline(always)]
    fn add_at(self, sums: &mut [f32], first: u32, packed: &[u32], weight: f32) {
        add_one_by_one(self, sums, first, packed, weight);
    }

    /// What `sums` has at the places of at most sixteen `packed`, by [`pack_place`], and leaves 0 there. Lanes without a word, and places beyond the end, are 0. The
    /// places are all different.
    #[inline(always)]
    fn take_at(self, sums: &mut [f32], packed: &[u32]) -> Self::V {
        let mut taken = Lanes::ZERO;
        for (taken, &packed) in taken.0.iter_mut().zip(packed) {
            *taken = sums.get_mut(unpack_place(packed).0).map_or(0.0, std::mem::take);
        }
        self.load(&taken)
    }

    /// Asks for the cache line of `slice[index]`; any index is allowed.
    #[inline(always)]
    fn prefetch<T>(self, slice: &[T], index: usize) {
        prefetch(slice, index);
    }
}

/// [`Simd::add_at`] by scalars.
#[inline(always)]
fn add_one_by_one<S: Simd>(simd: S, sums: &mut [f32], first: u32, packed: &[u32], weight: f32) {
    for &packed in packed {
        let (place, number) = unpack_place(packed);
        if let Some(sum) = sums.get_mut(place.wrapping_sub(first as usize)) {
            *sum = simd.mul_add(weight, number, *sum);
        }
    }
}

/// Bits of a place in [`pack_place`].
pub const PLACE_BITS: u32 = 18;

/// A place below `1 << PLACE_BITS` and a whole number with a sign, of 14 bits, in one word.
#[inline(always)]
pub fn pack_place(place: u32, number: i32) -> u32 {
    place | (number << PLACE_BITS) as u32
}

/// The place and the number of [`pack_place`].
#[inline(always)]
pub fn unpack_place(packed: u32) -> (usize, f32) {
    ((packed & ((1 << PLACE_BITS) - 1)) as usize, (packed as i32 >> PLACE_BITS) as f32)
}

/// Values of a byte in an octave.
pub const LOG8_PER_OCTAVE: u32 = 8;
/// The binary logarithm of the smallest value of a byte.
pub const LOG8_MIN: i32 = -9;

/// `2^(n/8)`.
const FRACTIONS: [f32; LOG8_PER_OCTAVE as usize] = [
    1.0,
    1.090_507_7,
    1.189_207_1,
    1.296_839_6,
    std::f32::consts::SQRT_2,
    1.542_210_8,
    1.681_792_9,
    1.834_008,
];

/// What each byte stands for.
static LOG8: [f32; 256] = {
    let (mut all, mut byte) = ([0.0; 256], 0);
    while byte < 256 {
        let octave = (byte as u32 >> 3 & 15) + (127 + LOG8_MIN) as u32;
        let value = f32::from_bits(octave << 23) * FRACTIONS[byte & 7];
        all[byte] = if byte < 128 { value } else { -value };
        byte += 1;
    }
    all
};

/// A number of a byte: the sign in its highest bit, and the logarithm of the magnitude in eighths of an octave, `±2^(b/8 − 9)`. A number from
/// 0.002 to 122 is at most 4.5 % from the nearest one.
#[inline(always)]
pub fn from_log8([byte]: [u8; 1]) -> f32 {
    LOG8[usize::from(byte)]
}

/// The byte whose number is nearest to `value`, by ratio; of what is too small or too large, the first or last one of its sign.
pub fn to_log8(value: f32) -> u8 {
    let eighths = (LOG8_PER_OCTAVE as f32 * (value.abs().log2() - LOG8_MIN as f32)).round();
    // A float becomes a whole number at the nearer end.
    (eighths as u8).min(127) | u8::from(value.is_sign_negative()) << 7
}

#[inline(always)]
fn add_bf16_by_bit<S: Simd>(simd: S, x: f32, bits: u16, values: &[[u8; 2]], sums: &mut [f32; LANES]) {
    add_each_bit(simd, x, bits, values.iter().map(|&value| from_bf16(value)), sums);
}

#[inline(always)]
fn add_f32_by_bit<S: Simd>(simd: S, x: f32, bits: u16, values: &[[u8; 4]], sums: &mut [f32; LANES]) {
    add_each_bit(simd, x, bits, values.iter().map(|&value| f32::from_le_bytes(value)), sums);
}

#[inline(always)]
fn add_log8_by_bit<S: Simd>(simd: S, x: f32, bits: u16, values: &[[u8; 1]], sums: &mut [f32; LANES]) {
    add_each_bit(simd, x, bits, values.iter().map(|&value| from_log8(value)), sums);
}

#[inline(always)]
fn from_bf16(value: [u8; 2]) -> f32 {
    f32::from_bits(u32::from(u16::from_le_bytes(value)) << 16)
}

#[inline(always)]
fn add_each_bit<S: Simd>(
    simd: S,
    x: f32,
    bits: u16,
    values: impl Iterator<Item = f32>,
    sums: &mut [f32; LANES],
) {
    for (lane, value) in set_bits(bits.into()).zip(values) {
        let sum = &mut sums[lane as usize % LANES];
        *sum = simd.mul_add(x, value, *sum);
    }
}

/// Lanes of a half of a vector.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const HALF: usize = LANES / 2;

/// For each byte of bits, where the two bytes of each lane's value stand among the values of the set ones: what an instruction that looks up bytes
/// takes. Of the other lanes, a place that is never there.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
static SPREAD: [[u8; 2 * HALF]; 256] = {
    let (mut all, mut byte) = ([[0x80; 2 * HALF]; 256], 0);
    while byte < 256 {
        let (mut lane, mut place) = (0, 0);
        while lane < HALF {
            if byte >> lane & 1 == 1 {
                all[byte][2 * lane] = place;
                all[byte][2 * lane + 1] = place + 1;
                place += 2;
            }
            lane += 1;
        }
        byte += 1;
    }
    all
};

/// The values of the lower eight lanes with `bits`, and of the upper eight, each with those behind them; if there are so many.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
fn halves_of<const W: usize>(bits: u16, values: &[[u8; W]]) -> Option<[&[[u8; W]; HALF]; 2]> {
    let upper = values.get((bits & 0xff).count_ones() as usize..)?;
    Some([values.first_chunk()?, upper.first_chunk()?])
}

/// Asks the memory system for the cache line of `slice[index]` (a hint: never faults, whatever the index).
#[inline(always)]
pub fn prefetch<T>(slice: &[T], index: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of any address is allowed; it reads nothing that the program can see. The
    // address is computed with `wrapping_add`, so no pointer goes out of bounds.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(slice.as_ptr().wrapping_add(index).cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above; the instruction changes no register and no flag.
    unsafe {
        let at = slice.as_ptr().wrapping_add(index);
        std::arch::asm!("prfm pldl1keep, [{at}]", at = in(reg) at, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = (slice, index);
}

/// A computation that is generic over the instruction set.
///
/// Mark `run` (and what it calls in its loops) `#[inline(always)]`: only then is it compiled with the
/// instructions of `S`.
pub trait WithSimd {
    /// What it computes.
    type Output;
    /// The computation.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// An instruction set that the kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// Plain Rust, on any machine.
    Portable,
    /// NEON, which every 64-bit Arm machine has: four registers of 4 lanes.
    Neon,
    /// AVX2 with FMA: two registers of 8 lanes.
    Avx2,
    /// AVX-512F: one register of 16 lanes.
    Avx512,
}

impl Isa {
    /// Every instruction set that this machine can run, the best one last.
    pub fn available() -> Vec<Self> {
        let mut all = vec![Self::Portable];
        #[cfg(target_arch = "aarch64")]
        if Neon::detect().is_some() {
            all.push(Self::Neon);
        }
        #[cfg(target_arch = "x86_64")]
        {
            if Avx2::detect().is_some() {
                all.push(Self::Avx2);
            }
            if Avx512::detect().is_some() {
                all.push(Self::Avx512);
            }
        }
        all
    }
}

/// Runs `work` on the best instruction set of this machine.
#[inline]
pub fn dispatch<W: WithSimd>(work: W) -> W::Output {
    #[cfg(target_arch = "aarch64")]
    if let Some(simd) = Neon::detect() {
        return simd.vectorize(work);
    }
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(simd) = Avx512::detect() {
            return simd.vectorize(work);
        }
        if let Some(simd) = Avx2::detect() {
            return simd.vectorize(work);
        }
    }
    work.run(Portable)
}

/// Runs `work` on one instruction set: for tests and benchmarks.
///
/// # Panics
/// When this machine does not have it; see [`Isa::available`].
pub fn dispatch_on<W: WithSimd>(isa: Isa, work: W) -> W::Output {
    match isa {
        Isa::Portable => work.run(Portable),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => Neon::detect().expect("this machine has no NEON").vectorize(work),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => Avx2::detect().expect("this machine has no AVX2").vectorize(work),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => Avx512::detect().expect("this machine has no AVX-512").vectorize(work),
        foreign => panic!("{foreign:?} is for another kind of machine"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every operation once, on the same input: what each instruction set must agree on.
    struct EveryOperation(Lanes, Lanes, u16);

    impl WithSimd for EveryOperation {
        type Output = (Vec<Lanes>, u16, u16, f32);

        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Self::Output {
            let (a, b) = (s.load(&self.0), s.load(&self.1));
            let results = [
                s.splat(1.5),
                s.add(a, b),
                s.sub(a, b),
                s.mul(a, b),
                s.div(a, b),
                s.fma(a, b, s.splat(0.5)),
                s.min(a, b),
                s.max(a, b),
                s.select(self.2, a, b),
            ];
            let stored = results.map(|v| {
                let mut out = Lanes::ZERO;
                s.store(&mut out, v);
                out
            });
            let mut compressed = [0.0; LANES];
            s.compress(self.2, a, &mut compressed);
            compressed[self.2.count_ones() as usize..].fill(0.0);
            let mut places = [0; LANES];
            s.compress_places(self.2, 32, &mut places);
            places[self.2.count_ones() as usize..].fill(0);
            let compressed = [Lanes(compressed), Lanes(places.map(|place| place as f32))];
            let stored = stored.into_iter().chain(compressed).collect();
            (stored, s.lt(a, b), s.ne(a, b), s.sum(a))
        }
    }

    fn lanes(seed: u32) -> Lanes {
        // Small multiples of 1/8: every product and sum is exact, so fused and unfused agree.
        Lanes(std::array::from_fn(|l| ((l as u32 * 7 + seed * 5) % 23) as f32 / 8.0 - 1.0 / 16.0))
    }

    #[test]
    fn every_instruction_set_computes_the_same_lanes() {
        for (a, b, mask) in [(0, 1, 0x00ff), (3, 3, 0xaaaa), (9, 4, 0x8001)] {
            let work = || EveryOperation(lanes(a), lanes(b), mask);
            let expected = dispatch_on(Isa::Portable, work());
            for isa in Isa::available() {
                assert_eq!(dispatch_on(isa, work()), expected, "{isa:?}");
            }
            assert_eq!(dispatch(work()), expected);
        }
    }

    /// Whether `fma` rounds once.
    fn is_fused(isa: Isa) -> bool {
        isa != Isa::Portable || cfg!(target_arch = "aarch64")
    }

    /// Numbers with all their digits, so that every rounding shows.
    fn any_lanes(seed: u32) -> Lanes {
        let bits = |l: u32| (seed * 16 + l + 1).wrapping_mul(2_654_435_761);
        Lanes(std::array::from_fn(|l| (bits(l as u32) as f32 / u32::MAX as f32 - 0.5) * 3.0))
    }

    #[test]
    fn every_instruction_set_rounds_the_same() {
        for seed in 0..200 {
            let (a, b) = (any_lanes(seed), any_lanes(seed + 1000));
            let half = |of: &[f32]| -> Vec<f32> {
                let (low, high) = of.split_at(of.len() / 2);
                low.iter().zip(high).map(|(low, high)| low + high).collect()
            };
            let sum = half(&half(&half(&half(&a.0))))[0];
            let fused = std::array::from_fn(|l| a.0[l].mul_add(b.0[l], 0.5));
            for isa in Isa::available() {
                let (lanes, _, _, found) = dispatch_on(isa, EveryOperation(a, b, 0));
                assert_eq!(found.to_bits(), sum.to_bits(), "{isa:?}");
                assert!(!is_fused(isa) || lanes[5] == Lanes(fused), "{isa:?}");
            }
        }
    }

    #[test]
    fn of_zeros_and_nan_the_second_is_smaller_and_larger() {
        for (a, b) in [(0.0, -0.0f32), (-0.0, 0.0), (f32::NAN, 1.0), (1.0, f32::NAN)] {
            for isa in Isa::available() {
                let work = EveryOperation(Lanes([a; LANES]), Lanes([b; LANES]), 0);
                let (lanes, less, differ, _) = dispatch_on(isa, work);
                let bits = |lanes: Lanes| lanes.0.map(f32::to_bits);
                assert_eq!([bits(lanes[6]), bits(lanes[7])], [[b.to_bits(); LANES]; 2], "{isa:?} {a} {b}");
                assert_eq!((less, differ), (0, if a == b { 0 } else { u16::MAX }), "{isa:?} {a} {b}");
            }
        }
    }

    struct Powers(Lanes);

    impl WithSimd for Powers {
        type Output = (Lanes, Lanes);

        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Self::Output {
            let (mut exp, mut pow2) = (Lanes::ZERO, Lanes::ZERO);
            s.store(&mut exp, s.exp(s.load(&self.0)));
            s.store(&mut pow2, s.pow2(s.load(&self.0)));
            (exp, pow2)
        }
    }

    #[test]
    fn powers_of_two_are_exact() {
        for start in (-126..=112).step_by(LANES) {
            let exponents: [i32; LANES] = std::array::from_fn(|l| start + l as i32);
            for isa in Isa::available() {
                let (_, found) = dispatch_on(isa, Powers(Lanes(exponents.map(|n| n as f32))));
                assert_eq!(found.0, exponents.map(|n| 2f32.powi(n)), "{isa:?}");
            }
        }
    }

    #[test]
    fn the_exponential_is_right_to_two_units_of_the_last_place() {
        for step in 0..20_000 {
            let x: [f32; LANES] =
                std::array::from_fn(|l| (step * LANES + l) as f32 / 320_000.0 * 175.0 - 87.0);
            for isa in Isa::available() {
                let (found, _) = dispatch_on(isa, Powers(Lanes(x)));
                for (found, x) in found.0.into_iter().zip(x) {
                    let expected = f64::from(x).exp();
                    let error = (f64::from(found) / expected - 1.0).abs();
                    assert!(
                        error < 2.0 * f64::from(f32::EPSILON),
                        "{isa:?} exp({x}) = {found}, not {expected}"
                    );
                }
            }
        }
        for isa in Isa::available() {
            let (found, _) = dispatch_on(isa, Powers(Lanes([-1e30; LANES])));
            assert!(found.0.iter().all(|&v| v > 0.0 && v < 1e-37), "{isa:?} {found:?}");
            let (found, _) = dispatch_on(isa, Powers(Lanes([0.0; LANES])));
            assert_eq!(found.0, [1.0; LANES], "{isa:?}");
        }
    }

    struct Expand(f32, u16, Vec<u16>);

    impl WithSimd for Expand {
        type Output = [[f32; LANES]; 3];

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Self::Output {
            let bf16: Vec<[u8; 2]> = self.2.iter().map(|half| half.to_le_bytes()).collect();
            let full: Vec<[u8; 4]> =
                self.2.iter().map(|&half| (u32::from(half) << 16).to_le_bytes()).collect();
            let bytes: Vec<[u8; 1]> = full.iter().map(|&v| [to_log8(f32::from_le_bytes(v))]).collect();
            let mut sums = [[1.0; LANES]; 3];
            simd.add_expanded_bf16(self.0, self.1, &bf16, &mut sums[0]);
            simd.add_expanded_f32(self.0, self.1, &full, &mut sums[1]);
            simd.add_expanded_log8(self.0, self.1, &bytes, &mut sums[2]);
            sums
        }
    }

    #[test]
    fn packed_values_go_to_the_set_bits() {
        let few = [1u16, 0x8000, 0x00ff, 0xff00, 0xffff, 0xa5a5, 0x7001, 0x7f80];
        for bits in (0..=u16::MAX).step_by(89).chain(few) {
            // 1/4, −1/2, 1, −2 … are exact in eight and in sixteen bits, and so are sums of them.
            let value = |n: usize| (-2f32).powi(n as i32 % 9 - 2);
            let halves: Vec<u16> =
                (0..bits.count_ones() as usize).map(|n| (value(n).to_bits() >> 16) as u16).collect();
            let mut expected = [1.0f32; LANES];
            let set = (0..LANES).filter(|lane| bits >> lane & 1 == 1);
            set.enumerate().for_each(|(n, lane)| expected[lane] += 2.0 * value(n));
            // With none behind those of the bits, and with some.
            for behind in [0, 3, LANES] {
                let halves: Vec<u16> = halves.iter().copied().chain(vec![0x4048; behind]).collect();
                for isa in Isa::available() {
                    let found = dispatch_on(isa, Expand(2.0, bits, halves.clone()));
                    assert_eq!(found, [expected; 3], "{isa:?} {bits:x} {behind}");
                }
            }
        }
    }

    struct AddPacked(f32, u16, [u16; LANES]);

    impl WithSimd for AddPacked {
        type Output = [[f32; LANES]; 2];

        /// What is found, and what one after the other gives.
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Self::Output {
            let Self(x, bits, halves) = self;
            let values = halves.map(u16::to_le_bytes);
            let start = Lanes(std::array::from_fn(|lane| lane as f32 / 7.0 - 1.0));
            let (mut found, mut expected) = (Lanes::ZERO, start.0);
            simd.store(&mut found, simd.add_packed_bf16(x, bits, &values, simd.load(&start)));
            for (lane, &value) in set_bits(bits.into()).zip(&values) {
                expected[lane as usize] = simd.mul_add(x, from_bf16(value), expected[lane as usize]);
            }
            [found.0, expected]
        }
    }

    #[test]
    fn packed_values_are_added_as_they_are_one_by_one() {
        for bits in (0..=u16::MAX).step_by(97) {
            let halves =
                std::array::from_fn(|at| (0.3 * (at as f32 - 7.3)).to_bits().wrapping_shr(16) as u16);
            for isa in Isa::available() {
                let [found, expected] = dispatch_on(isa, AddPacked(0.123, bits, halves));
                assert_eq!(found.map(f32::to_bits), expected.map(f32::to_bits), "{isa:?} {bits:#x}");
            }
        }
    }

    #[test]
    fn packed_values_are_rounded_once_where_the_machine_can() {
        let halves: Vec<u16> = any_lanes(7).0.iter().map(|value| (value.to_bits() >> 16) as u16).collect();
        for isa in Isa::available().into_iter().filter(|&isa| is_fused(isa)) {
            for bits in [0u16, 0x0810, 0xa5a5, 0xff0f, 0x1fff, 0xffff] {
                let (x, mut values) =
                    (0.3f32, halves.iter().map(|&half| f32::from_bits(u32::from(half) << 16)));
                let expected: [f32; LANES] = std::array::from_fn(|lane| match bits >> lane & 1 {
                    0 => 1.0,
                    _ => x.mul_add(values.next().unwrap(), 1.0),
                });
                // With none behind those of the bits, and with some.
                for n in [bits.count_ones() as usize, LANES] {
                    let found = dispatch_on(isa, Expand(x, bits, halves[..n].to_vec()));
                    assert_eq!([found[0], found[1]], [expected; 2], "{isa:?} {bits:x} {n}");
                }
            }
        }
    }

    #[test]
    fn bytes_are_logarithms() {
        for byte in 0..=u8::MAX {
            assert_eq!(to_log8(from_log8([byte])), byte);
            let eighths = f64::from(byte & 127) / 8.0 + f64::from(LOG8_MIN);
            let sign = if byte < 128 { 1.0 } else { -1.0 };
            let ratio = f64::from(from_log8([byte])) / (sign * eighths.exp2());
            assert!((ratio - 1.0).abs() < 1e-6, "{byte}: {ratio}");
        }
        for value in [0.0021f32, 0.1, -0.31, 1.04, -7.7, 120.0] {
            let ratio = from_log8([to_log8(value)]) / value;
            assert!((ratio - 1.0).abs() < 0.045, "{value}: {ratio}");
        }
        assert_eq!([0.0, 1e-9, -1e-9, 1e9, -1e9].map(to_log8), [0, 0, 128, 127, 255]);
    }

    #[test]
    fn bytes_are_the_same_on_every_instruction_set() {
        // All 256, each in some lane.
        for first in (0..256).step_by(LANES) {
            let bytes: Vec<[u8; 1]> = (first..first + LANES).map(|byte| [byte as u8]).collect();
            for isa in Isa::available() {
                let mut sums = [0.0; LANES];
                dispatch_on(isa, AddBytes(&bytes, &mut sums));
                assert_eq!(
                    sums.to_vec(),
                    bytes.iter().map(|&byte| from_log8(byte)).collect::<Vec<_>>(),
                    "{isa:?}"
                );
            }
        }
    }

    struct LookUp<'a>(&'a [f32], [u32; LANES]);

    impl WithSimd for LookUp<'_> {
        type Output = [Lanes; 2];

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Self::Output {
            let (found, numbers) = simd.look_up(self.0, &self.1);
            [found, numbers].map(|v| {
                let mut out = Lanes::ZERO;
                simd.store(&mut out, v);
                out
            })
        }
    }

    #[test]
    fn a_place_and_a_number_with_a_sign_stand_in_a_word() {
        let table: Vec<f32> = (0..270_000).map(|at| at as f32 + 0.5).collect();
        let places: [u32; LANES] =
            [0, 1, 7, 8, 262_143, 262_142, 140_000, 139_999, 3, 3, 999, 1000, 131_072, 131_071, 20_000, 2];
        let numbers = [0, 1, -1, 8191, -8192, 77, -77, 3, 4, -5, 6, 7, 8, 9, 1000, -1000];
        let packed = std::array::from_fn(|l| pack_place(places[l], numbers[l]));
        for len in [0, 1, 9, 1000, 140_000, 262_143, 262_144, 270_000] {
            let found = |place: u32| if (place as usize) < len { place as f32 + 0.5 } else { 0.0 };
            let expected = [Lanes(places.map(found)), Lanes(numbers.map(|number| number as f32))];
            for isa in Isa::available() {
                assert_eq!(dispatch_on(isa, LookUp(&table[..len], packed)), expected, "{isa:?} {len}");
            }
        }
    }

    /// Adds, then takes the first sixteen.
    struct AddAndTake<'a>(&'a mut [f32], u32, &'a [u32]);

    impl WithSimd for AddAndTake<'_> {
        type Output = Lanes;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Lanes {
            simd.add_at(self.0, self.1, self.2, 0.5);
            let (at, mut taken) = (self.0.len().min(self.1 as usize), Lanes::ZERO);
            simd.store(&mut taken, simd.take_at(&mut self.0[at..], &self.2[..self.2.len().min(LANES)]));
            taken
        }
    }

    #[test]
    fn numbers_are_added_at_their_places_and_taken_from_there() {
        let number = |place: u32| place as i32 % 100 - 50;
        for n in [0, 3, 16, 37] {
            // Every 7,000th place from 12 on, those of a later window first.
            let places: Vec<u32> = (0..n).rev().map(|at| 12 + 7000 * at).collect();
            let packed: Vec<u32> = places.iter().map(|&place| pack_place(place, number(place))).collect();
            for (first, len) in [(0, 262_144), (0, 12), (0, 13), (7012, 100_000), (7013, 40_000)] {
                let (mut expected, end) = (vec![1.0; len], first + len as u32);
                for &place in places.iter().filter(|place| (first..end).contains(place)) {
                    expected[(place - first) as usize] += 0.5 * number(place) as f32;
                }
                let mut taken = Lanes::ZERO;
                let (at, of_first) = (len.min(first as usize), places.iter().take(LANES));
                for (taken, &place) in taken.0.iter_mut().zip(of_first) {
                    *taken = expected[at..].get_mut(place as usize).map_or(0.0, std::mem::take);
                }
                for isa in Isa::available() {
                    let mut found = vec![1.0; len];
                    let work = AddAndTake(&mut found, first, &packed);
                    assert_eq!(dispatch_on(isa, work), taken, "{isa:?} {n} {first} {len}");
                    assert!(found == expected, "{isa:?} {n} {first} {len}");
                }
            }
        }
    }

    struct AddBytes<'a>(&'a [[u8; 1]], &'a mut [f32; LANES]);

    impl WithSimd for AddBytes<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            simd.add_expanded_log8(1.0, u16::MAX, self.0, self.1);
        }
    }

    #[test]
    fn prefetch_takes_any_index() {
        prefetch(&[1u8, 2], 1);
        prefetch(&[0u64; 0], usize::MAX);
    }
}
