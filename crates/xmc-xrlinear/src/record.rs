//! The bytes of a feature's weights on one layer.
//!
//! A *record* holds all weights of one feature on one layer. It is a list of *postings*, one for each cluster
//! (parent) that has any, and a posting is the weights of that cluster's children:
//!
//! ```text
//! record  := n ids codes skips postings            n: LEB128, number of postings
//! ids     := cluster × n                            increasing, `id_width` bytes each
//! codes   := code × n                               `col_width` bytes: entries − 1, or all ones for dense
//! skips   := u32 × ⌈n/64⌉ − 1, when n > 64          start of postings 64, 128 … after the first one
//! posting := columns × entries, values × entries    sparse: places among the siblings, `col_width` bytes each
//!          | values × siblings                      dense
//! ```
//!
//! A layer with one cluster has one posting in each record, and leaves out `n` and `ids`. All numbers are little
//! endian and not aligned. The feature-major order is a change from PECOS's chunks (one for each cluster,
//! feature by feature inside): a query reads one short run of bytes for each of its features instead of probing
//! each of its ten clusters for each feature, and needs no index inside a chunk.

use crate::WeightType;

/// Postings between two skips.
pub(crate) const SKIP: usize = 64;

/// Widths of a layer's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Widths {
    /// Bytes of a cluster number; 0 when there is one cluster.
    pub(crate) id: usize,
    /// Bytes of a place among siblings.
    pub(crate) col: usize,
    /// The values.
    pub(crate) value: WeightType,
}

fn bytes_for(n: usize) -> usize {
    match n {
        0..=0x100 => 1,
        0x101..=0x1_0000 => 2,
        _ => 4,
    }
}

impl Widths {
    pub(crate) fn new(n_clusters: usize, max_siblings: usize, value: WeightType) -> Self {
        let id = if n_clusters == 1 { 0 } else { bytes_for(n_clusters) };
        Self { id, col: bytes_for(max_siblings), value }
    }

    /// The code of a dense posting.
    #[inline(always)]
    pub(crate) fn dense_code(self) -> u32 {
        u32::MAX >> (32 - 8 * self.col)
    }

    /// The code of a posting of `entries` weights among `siblings`: whichever form is shorter.
    pub(crate) fn code(self, entries: usize, siblings: usize) -> u32 {
        let dense = siblings * self.value.width();
        let sparse = entries * (self.col + self.value.width());
        if dense <= sparse { self.dense_code() } else { entries as u32 - 1 }
    }

    /// Bytes of a posting.
    #[inline(always)]
    pub(crate) fn posting_len(self, code: u32, siblings: usize) -> usize {
        if code == self.dense_code() {
            siblings * self.value.width()
        } else {
            (code as usize + 1) * (self.col + self.value.width())
        }
    }

    /// Bytes of everything before the postings.
    pub(crate) fn header_len(self, n: usize) -> usize {
        if self.id == 0 {
            return self.col;
        }
        leb128_len(n) + n * (self.id + self.col) + 4 * n_skips(n)
    }
}

/// Number of skips of a record of `n` postings.
#[inline(always)]
pub(crate) fn n_skips(n: usize) -> usize {
    n.div_ceil(SKIP).saturating_sub(1)
}

fn leb128_len(n: usize) -> usize {
    (usize::BITS - (n | 1).leading_zeros()).div_ceil(7) as usize
}

/// Writes `n` at the front of `out`; returns its length.
pub(crate) fn put_leb128(mut n: usize, out: &mut [u8]) -> usize {
    let mut at = 0;
    while n >= 0x80 {
        out[at] = n as u8 | 0x80;
        n >>= 7;
        at += 1;
    }
    out[at] = n as u8;
    at + 1
}

/// Reads a number and what follows it; 0 at the end of the bytes.
#[inline(always)]
fn take_leb128(bytes: &[u8]) -> (usize, &[u8]) {
    let (mut n, mut shift) = (0usize, 0);
    for (at, &byte) in bytes.iter().enumerate().take(5) {
        n |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return (n, &bytes[at + 1..]);
        }
        shift += 7;
    }
    (0, &[])
}

/// Writes `value` in `width` bytes.
#[inline(always)]
pub(crate) fn put_uint(value: u32, width: usize, out: &mut [u8]) {
    out[..width].copy_from_slice(&value.to_le_bytes()[..width]);
}

/// Number `at` of an array of `width`-byte numbers; 0 past the end.
#[inline(always)]
pub(crate) fn uint(bytes: &[u8], width: usize, at: usize) -> u32 {
    match width {
        1 => bytes.get(at).map_or(0, |&byte| byte.into()),
        2 => bytes.get(2 * at..2 * at + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]).into()),
        _ => bytes.get(4 * at..4 * at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])),
    }
}

/// A record taken apart. Bytes that are not a record yield wrong numbers or none, never a panic.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) n: usize,
    pub(crate) ids: &'a [u8],
    pub(crate) codes: &'a [u8],
    pub(crate) skips: &'a [u8],
    pub(crate) postings: &'a [u8],
}

impl<'a> Record<'a> {
    /// `None` when the bytes are too few.
    #[inline(always)]
    pub(crate) fn parse(widths: Widths, bytes: &'a [u8]) -> Option<Self> {
        let (n, rest) = if widths.id == 0 { (1, bytes) } else { take_leb128(bytes) };
        let (ids, rest) = rest.split_at_checked(n * widths.id)?;
        let (codes, rest) = rest.split_at_checked(n * widths.col)?;
        let (skips, postings) = rest.split_at_checked(4 * n_skips(n))?;
        Some(Self { n, ids, codes, skips, postings })
    }
}

/// `sums[c] += x · w[c]` over a posting.
#[inline(always)]
pub(crate) fn accumulate(widths: Widths, code: u32, posting: &[u8], x: f32, sums: &mut [f32]) {
    let width = widths.value.width();
    if code == widths.dense_code() {
        match widths.value {
            WeightType::Bf16 => dense::<2>(posting, x, sums, bf16),
            WeightType::F32 => dense::<4>(posting, x, sums, f32::from_le_bytes),
        }
        return;
    }
    let Some((cols, values)) = posting.split_at_checked((code as usize + 1) * widths.col) else { return };
    debug_assert_eq!(values.len(), (code as usize + 1) * width);
    match (widths.col, widths.value) {
        (1, WeightType::Bf16) => sparse::<1, 2>(cols, values, x, sums, bf16),
        (2, WeightType::Bf16) => sparse::<2, 2>(cols, values, x, sums, bf16),
        (_, WeightType::Bf16) => sparse::<4, 2>(cols, values, x, sums, bf16),
        (1, WeightType::F32) => sparse::<1, 4>(cols, values, x, sums, f32::from_le_bytes),
        (2, WeightType::F32) => sparse::<2, 4>(cols, values, x, sums, f32::from_le_bytes),
        (_, WeightType::F32) => sparse::<4, 4>(cols, values, x, sums, f32::from_le_bytes),
    }
}

#[inline(always)]
fn dense<const W: usize>(values: &[u8], x: f32, sums: &mut [f32], decode: impl Fn([u8; W]) -> f32) {
    for (sum, &value) in sums.iter_mut().zip(values.as_chunks::<W>().0) {
        *sum += x * decode(value);
    }
}

#[inline(always)]
fn sparse<const C: usize, const W: usize>(
    cols: &[u8],
    values: &[u8],
    x: f32,
    sums: &mut [f32],
    decode: impl Fn([u8; W]) -> f32,
) {
    for (col, &value) in cols.as_chunks::<C>().0.iter().zip(values.as_chunks::<W>().0) {
        let col = col.iter().rev().fold(0usize, |number, &byte| number << 8 | usize::from(byte));
        if let Some(sum) = sums.get_mut(col) {
            *sum += x * decode(value);
        }
    }
}

/// A value from its upper half.
#[inline(always)]
fn bf16(bytes: [u8; 2]) -> f32 {
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
            let back = bf16(to_bf16(value).to_le_bytes());
            assert!((back - value).abs() <= value.abs() / 256.0, "{value} {back}");
        }
        assert_eq!(bf16(to_bf16(1.0 + 1.0 / 256.0).to_le_bytes()), 1.0);
        assert_eq!(bf16(to_bf16(1.0 + 3.0 / 256.0).to_le_bytes()), 1.0 + 4.0 / 256.0);
    }

    #[test]
    fn numbers_of_any_length_come_back() {
        for n in [0, 1, 127, 128, 300, 16_383, 16_384, 2_812_281] {
            let mut bytes = [0; 8];
            let len = put_leb128(n, &mut bytes);
            assert_eq!(len, leb128_len(n));
            assert_eq!(take_leb128(&bytes[..len]), (n, &[][..]));
        }
        assert_eq!(take_leb128(&[0x80]), (0, &[][..]));
    }

    #[test]
    fn the_shorter_form_is_chosen() {
        let widths = Widths::new(300, 100, WeightType::Bf16);
        assert_eq!((widths.id, widths.col, widths.dense_code()), (2, 1, 255));
        assert_eq!(widths.code(66, 100), 65);
        assert_eq!(widths.code(67, 100), 255);
        assert_eq!(widths.posting_len(65, 100), 198);
        assert_eq!(widths.posting_len(255, 100), 200);
        // All of 256 siblings cannot be counted in a byte less one, and need not be.
        assert_eq!(Widths::new(1, 256, WeightType::F32).code(256, 256), 255);
    }

    #[test]
    fn foreign_bytes_do_no_harm() {
        let widths = Widths::new(300, 100, WeightType::Bf16);
        assert!(Record::parse(widths, &[0xff; 3]).is_none_or(|record| record.n == 0));
        assert!(Record::parse(widths, &[200, 1, 0]).is_none());
        let mut sums = [0.0; 2];
        accumulate(widths, 3, &[9, 9, 9, 9, 0, 0], 1.0, &mut sums);
        assert_eq!(sums, [0.0; 2]);
    }
}
