//! The bytes of a feature's weights on one layer.
//!
//! A *record* holds all weights of one feature on one layer. It is a list of *postings*, one for each cluster
//! (parent) that has any, and a posting is the weights of that cluster's children:
//!
//! ```text
//! record  := header clusters codes starts postings
//! header  := LEB128 of 2n + wide                    n: number of postings
//! clusters := number × n                            increasing, `id` bytes each
//!          | bits                                   one for each cluster of the layer, in whole u64s
//! codes   := number × n                             `col` bytes each: weights in the posting − 1
//! starts  := number × (n − 1), when n > 16          where postings 1, 2 … begin: 4 bytes if wide, else 2
//! posting := columns × weights, values              places among the siblings, `col` bytes each
//!          | bits, values                           one bit for each sibling, in whole u16s
//! values  := value × weights                        2 or 4 bytes each (bf16, f32)
//!          | scale, value × weights                 a byte each (int8), see [`crate::value`]
//! ```
//!
//! Each of the two choices is the shorter form (the list when they are equal), so neither needs a mark; bits of
//! clusters are used when n > 16 in layers of at most 4096 clusters. A layer with one cluster has one posting in
//! each record, and leaves out header and clusters. All numbers are little endian and not aligned.
//!
//! The feature-major order is a change from PECOS's chunks (one for each cluster, feature by feature inside): a query
//! reads one short run of bytes for each of its features instead of probing each of its ten clusters for each
//! feature, and needs no index inside a chunk.

use crate::WeightType;
use crate::value::{from_bf16, from_int8, scale};
use xmc_sparse::kernels::{LANES, Simd};

/// Records of more postings say where each begins.
pub(crate) const SHORT: usize = 16;
/// Layers of more clusters list them by number: counting bits would take longer than searching.
const MAX_BITMAP: usize = 4096;

/// Widths of a layer's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Widths {
    /// Bytes of a cluster number; 0 when there is one cluster.
    pub(crate) id: usize,
    /// Bytes of a place among siblings.
    pub(crate) col: usize,
    /// The values.
    pub(crate) value: WeightType,
    /// Bytes of a bit for each cluster.
    cluster_bits: usize,
    /// Bytes of a bit for each sibling.
    sibling_bits: usize,
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
        let cluster_bits = if n_clusters > MAX_BITMAP { usize::MAX } else { 8 * n_clusters.div_ceil(64) };
        let sibling_bits = 2 * max_siblings.div_ceil(LANES);
        Self { id, col: bytes_for(max_siblings), value, cluster_bits, sibling_bits }
    }

    /// The same for `n_clusters` of the layer's clusters.
    pub(crate) fn of_part(self, n_clusters: usize) -> Self {
        let Self { id, cluster_bits, .. } = Self::new(n_clusters, 1, self.value);
        Self { id, cluster_bits, ..self }
    }

    /// The same with values of another type.
    pub(crate) fn with_value(self, value: WeightType) -> Self {
        Self { value, ..self }
    }

    /// Whether a posting of `weights` weights lists its columns.
    #[inline(always)]
    pub(crate) fn lists_columns(self, weights: usize) -> bool {
        weights * self.col <= self.sibling_bits
    }

    /// Bytes of a posting's columns.
    #[inline(always)]
    pub(crate) fn columns_len(self, weights: usize) -> usize {
        (weights * self.col).min(self.sibling_bits)
    }

    /// Bytes of a posting.
    #[inline(always)]
    pub(crate) fn posting_len(self, weights: usize) -> usize {
        self.columns_len(weights) + self.value.len(weights)
    }

    /// Whether a record of `n` postings lists its clusters.
    #[inline(always)]
    pub(crate) fn lists_clusters(self, n: usize) -> bool {
        n <= SHORT || n * self.id <= self.cluster_bits
    }

    /// Bytes of a record's clusters.
    #[inline(always)]
    pub(crate) fn clusters_len(self, n: usize) -> usize {
        if self.lists_clusters(n) { n * self.id } else { self.cluster_bits }
    }

    /// Bytes of everything before the postings, which take `postings` bytes.
    pub(crate) fn header_len(self, n: usize, postings: usize) -> usize {
        let front = if self.id == 0 { 0 } else { leb128_len(first_number(n, postings)) };
        front + self.clusters_len(n) + n * self.col + starts_len(n, is_wide(postings))
    }
}

/// Whether starts need 4 bytes.
pub(crate) fn is_wide(postings: usize) -> bool {
    postings > usize::from(u16::MAX)
}

/// The number at the front of a record.
pub(crate) fn first_number(n: usize, postings: usize) -> usize {
    2 * n + usize::from(is_wide(postings))
}

#[inline(always)]
fn starts_len(n: usize, wide: bool) -> usize {
    if n > SHORT { (n - 1) * start_width(wide) } else { 0 }
}

/// Bytes of the start of a posting.
#[inline(always)]
pub(crate) fn start_width(wide: bool) -> usize {
    if wide { 4 } else { 2 }
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
    widths: Widths,
    pub(crate) n: usize,
    wide: bool,
    clusters: &'a [u8],
    codes: &'a [u8],
    starts: &'a [u8],
    /// The postings, end to end.
    pub(crate) postings: &'a [u8],
}

impl<'a> Record<'a> {
    /// No postings.
    pub(crate) fn empty(widths: Widths) -> Self {
        Self { widths, n: 0, wide: false, clusters: &[], codes: &[], starts: &[], postings: &[] }
    }

    /// `None` when the bytes are too few.
    #[inline(always)]
    pub(crate) fn parse(widths: Widths, bytes: &'a [u8]) -> Option<Self> {
        let (first, rest) = if widths.id == 0 { (2, bytes) } else { take_leb128(bytes) };
        let (n, wide) = (first / 2, first % 2 == 1);
        let (clusters, rest) = rest.split_at_checked(widths.clusters_len(n))?;
        let (codes, rest) = rest.split_at_checked(n * widths.col)?;
        let (starts, postings) = rest.split_at_checked(starts_len(n, wide))?;
        Some(Self { widths, n, wide, clusters, codes, starts, postings })
    }

    /// Cluster of posting `number`, in a record that lists them.
    #[inline(always)]
    pub(crate) fn cluster(&self, number: usize) -> u32 {
        if self.widths.id == 0 { 0 } else { uint(self.clusters, self.widths.id, number) }
    }

    /// Number of weights of posting `number`.
    #[inline(always)]
    pub(crate) fn n_weights(&self, number: usize) -> usize {
        uint(self.codes, self.widths.col, number) as usize + 1
    }

    /// Where posting `number` of a record of more than [`SHORT`] begins.
    #[inline(always)]
    pub(crate) fn start(&self, number: usize) -> usize {
        match number {
            0 => 0,
            _ => uint(self.starts, start_width(self.wide), number - 1) as usize,
        }
    }

    /// Number of the posting of `cluster`, in a record of more than [`SHORT`].
    #[inline(always)]
    pub(crate) fn find(&self, cluster: u32) -> Option<usize> {
        if self.widths.lists_clusters(self.n) { self.search(cluster) } else { self.count_bits(cluster) }
    }

    /// Gives `take` the cluster, the number of weights and the bytes of every posting; `None` when they end early.
    pub(crate) fn for_each(&self, mut take: impl FnMut(u32, usize, &'a [u8])) -> Option<()> {
        let mut named = (0..8 * self.clusters.len() as u32).filter(|at| self.has_bit(*at));
        let mut rest = self.postings;
        for number in 0..self.n {
            let cluster = match self.widths.lists_clusters(self.n) {
                true => self.cluster(number),
                false => named.next()?,
            };
            let weights = self.n_weights(number);
            let (posting, others) = rest.split_at_checked(self.widths.posting_len(weights))?;
            take(cluster, weights, posting);
            rest = others;
        }
        Some(())
    }

    /// Bit `at` of the clusters, in a record that does not list them.
    fn has_bit(&self, at: u32) -> bool {
        self.clusters[at as usize / 8] >> (at % 8) & 1 == 1
    }

    #[inline(always)]
    fn search(&self, cluster: u32) -> Option<usize> {
        let (mut low, mut high) = (0, self.n);
        while low < high {
            let middle = (low + high) / 2;
            if self.cluster(middle) < cluster {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        (low < self.n && self.cluster(low) == cluster).then_some(low)
    }

    #[inline(always)]
    fn count_bits(&self, cluster: u32) -> Option<usize> {
        let words = self.clusters.as_chunks::<8>().0;
        let (word, bit) = (cluster as usize / 64, cluster % 64);
        let last = u64::from_le_bytes(*words.get(word)?);
        if last >> bit & 1 == 0 {
            return None;
        }
        let before: u32 = words[..word].iter().map(|word| u64::from_le_bytes(*word).count_ones()).sum();
        Some((before + (last & ((1 << bit) - 1)).count_ones()) as usize)
    }
}

/// Appends the posting of `columns`, which increase, and their `values`.
pub(crate) fn put_posting(widths: Widths, columns: &[u32], values: &[f32], out: &mut Vec<u8>) {
    let (start, weights) = (out.len(), columns.len());
    out.resize(start + widths.posting_len(weights), 0);
    let (places, stored) = out[start..].split_at_mut(widths.columns_len(weights));
    put_columns(widths, columns, places);
    widths.value.put(values, stored);
}

/// Writes the columns of a posting, which increase, to its first bytes: all 0 before.
pub(crate) fn put_columns(widths: Widths, columns: &[u32], out: &mut [u8]) {
    for (at, &column) in columns.iter().enumerate() {
        if widths.lists_columns(columns.len()) {
            put_uint(column, widths.col, &mut out[at * widths.col..]);
        } else {
            out[column as usize / 8] |= 1 << (column % 8);
        }
    }
}

/// The columns of a posting of `weights` weights.
pub(crate) fn take_columns(widths: Widths, weights: usize, posting: &[u8], columns: &mut Vec<u32>) {
    columns.clear();
    if widths.lists_columns(weights) {
        columns.extend((0..weights).map(|at| uint(posting, widths.col, at)));
    } else {
        let bits = &posting[..widths.columns_len(weights)];
        let has = |column: &u32| bits[*column as usize / 8] >> (column % 8) & 1 == 1;
        columns.extend((0..8 * bits.len() as u32).filter(has));
    }
}

/// `sums[c] += x · w[c]` over a posting of `weights` weights. `sums` has room for whole vectors of siblings.
#[inline(always)]
pub(crate) fn accumulate<S: Simd>(
    simd: S,
    widths: Widths,
    weights: usize,
    posting: &[u8],
    x: f32,
    sums: &mut [f32],
) {
    let Some((columns, values)) = posting.split_at_checked(widths.columns_len(weights)) else { return };
    match widths.value {
        WeightType::Bf16 => add_values::<S, 2>(
            simd,
            (widths, weights),
            columns,
            values,
            x,
            sums,
            from_bf16,
            S::add_expanded_bf16,
        ),
        WeightType::F32 => add_values::<S, 4>(
            simd,
            (widths, weights),
            columns,
            values,
            x,
            sums,
            f32::from_le_bytes,
            S::add_expanded_f32,
        ),
        WeightType::Int8 => {
            let Some((&code, values)) = values.split_first() else { return };
            let x = x * scale(code);
            add_values::<S, 1>(
                simd,
                (widths, weights),
                columns,
                values,
                x,
                sums,
                from_int8,
                S::add_expanded_int8,
            );
        }
    }
}

/// The same for values of `W` bytes.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "one loop for all types of values and both forms of columns")]
fn add_values<S: Simd, const W: usize>(
    simd: S,
    (widths, weights): (Widths, usize),
    columns: &[u8],
    values: &[u8],
    x: f32,
    sums: &mut [f32],
    decode: impl Fn([u8; W]) -> f32,
    add_expanded: impl Fn(S, f32, u16, &[[u8; W]], &mut [f32; LANES]),
) {
    if !widths.lists_columns(weights) {
        return each_vector::<W>(columns, values, sums, |bits, values, sums| {
            add_expanded(simd, x, bits, values, sums);
        });
    }
    match widths.col {
        1 => sparse::<1, W>(columns, values, x, sums, decode),
        2 => sparse::<2, W>(columns, values, x, sums, decode),
        _ => sparse::<4, W>(columns, values, x, sums, decode),
    }
}

/// Hands each vector of siblings its bits and its values.
#[inline(always)]
fn each_vector<const W: usize>(
    columns: &[u8],
    values: &[u8],
    sums: &mut [f32],
    add: impl Fn(u16, &[[u8; W]], &mut [f32; LANES]),
) {
    let mut values = values.as_chunks::<W>().0;
    for (bits, sums) in columns.as_chunks::<2>().0.iter().zip(sums.as_chunks_mut::<LANES>().0) {
        let bits = u16::from_le_bytes(*bits);
        let Some((these, rest)) = values.split_at_checked(bits.count_ones() as usize) else { return };
        add(bits, these, sums);
        values = rest;
    }
}

#[inline(always)]
fn sparse<const C: usize, const W: usize>(
    columns: &[u8],
    values: &[u8],
    x: f32,
    sums: &mut [f32],
    decode: impl Fn([u8; W]) -> f32,
) {
    for (column, &value) in columns.as_chunks::<C>().0.iter().zip(values.as_chunks::<W>().0) {
        let column = column.iter().rev().fold(0usize, |number, &byte| number << 8 | usize::from(byte));
        if let Some(sum) = sums.get_mut(column) {
            *sum += x * decode(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!((widths.id, widths.col), (2, 1));
        assert!(widths.lists_columns(14) && !widths.lists_columns(15));
        assert_eq!((widths.posting_len(14), widths.posting_len(100)), (42, 214));
        assert!(widths.lists_clusters(20) && !widths.lists_clusters(21));
        // The number of all 256 siblings fits a byte, as it is stored less one.
        assert_eq!(Widths::new(1, 256, WeightType::F32).col, 1);
        assert!(Widths::new(5000, 4, WeightType::F32).lists_clusters(5000));
    }

    #[test]
    fn foreign_bytes_do_no_harm() {
        let widths = Widths::new(300, 100, WeightType::Bf16);
        assert!(Record::parse(widths, &[0xff; 3]).is_none_or(|record| record.n == 0));
        assert!(Record::parse(widths, &[200, 1, 0]).is_none());
        struct Foreign(Widths);
        impl xmc_sparse::kernels::WithSimd for Foreign {
            type Output = [f32; 2];
            fn run<S: Simd>(self, simd: S) -> [f32; 2] {
                let mut sums = [0.0; 2];
                accumulate(simd, self.0, 2, &[9, 9, 9, 9, 0, 0], 1.0, &mut sums);
                accumulate(simd, self.0, 90, &[9; 40], 1.0, &mut sums);
                sums
            }
        }
        assert_eq!(xmc_sparse::kernels::dispatch(Foreign(widths)), [0.0; 2]);
    }
}
