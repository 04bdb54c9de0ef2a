//! Sparse rows in four bytes for an entry.
//!
//! Refinements read every entry of a node and a sum at its feature, so what they cost is bytes: an entry is one word, 18 bits of it a place and 14 a number. Features are cut into blocks of 262,144; a row's entries stand block by block, and a place is one
//! within its block. The number is the value in whole multiples of the row's scale, which takes the largest value to 8,191: an entry is wrong by at most
//! 1/16,382 of that, where `bf16` would be wrong by up to 1/512 of the entry.

use ndarray::ArrayView2;
use xmc_sparse::ColumnSet;
use xmc_sparse::kernels::{LANES, PLACE_BITS, Simd, WithSimd, dispatch, pack_place, unpack_place};

/// Features of a block.
const BLOCK: usize = 1 << PLACE_BITS;

/// The largest number.
const MAX: f32 = 8191.0;

/// A row, wherever its entries are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PackedRow<'a> {
    /// What a number of 1 stands for.
    pub(crate) scale: f32,
    /// Where the entries of each block end but those of the last.
    pub(crate) ends: &'a [u32],
    /// Places and numbers, features increasing.
    pub(crate) entries: &'a [u32],
}

/// One row of a node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NodeRow {
    /// Row number in the whole matrix.
    pub(crate) id: u32,
    /// Squared norm of the features that no other row of the node has.
    pub(crate) own: f32,
    /// All features are zero, the dense ones too: no use as a seed.
    pub(crate) is_zero: bool,
    /// As in [`PackedRow`], and shared features only.
    scale: f32,
    ends: Box<[u32]>,
    entries: Vec<u32>,
}

/// Blocks of `n_features`.
fn n_blocks(n_features: usize) -> usize {
    n_features.div_ceil(BLOCK).max(1)
}

/// Appends the entries of a row of `values`, features below `n_features` in increasing order, and the ends of its blocks; the value of a number of 1.
pub(crate) fn pack(
    values: &[(u32, f32)],
    n_features: usize,
    entries: &mut Vec<u32>,
    ends: &mut Vec<u32>,
) -> f32 {
    // Numbers without a sign are ordered as their bits.
    let largest = values.iter().map(|(_, value)| value.abs().to_bits()).max().map_or(0.0, f32::from_bits);
    let to_number = MAX / largest;
    let to_number = if to_number.is_finite() { to_number } else { 0.0 };
    let start = entries.len();
    entries.resize(start + values.len(), 0);
    let (packed, mut kept) = (&mut entries[start..], 0);
    let mut block_ends = BlockEnds::new(n_features);
    for &(feature, value) in values {
        let number = to_whole(value * to_number);
        block_ends.reach(feature, kept);
        packed[kept] = pack_place(feature % BLOCK as u32, number);
        kept += usize::from(number != 0);
    }
    entries.truncate(start + kept);
    ends.extend(block_ends.finish(kept));
    largest / MAX
}

/// The nearest whole number of one below 2²² in size, of two the even one: a sum with 1.5 · 2²³ ends with the bit that stands for 1. A conversion, which has to end
/// somewhere with every number, takes twice as long.
#[inline(always)]
fn to_whole(number: f32) -> i32 {
    const ONES: f32 = 12_582_912.0;
    (number + ONES).to_bits().wrapping_sub(ONES.to_bits()) as i32
}

/// Where blocks end, noted while entries are written.
struct BlockEnds {
    ends: Box<[u32]>,
    /// The block that is being written.
    block: usize,
}

impl BlockEnds {
    fn new(n_features: usize) -> Self {
        Self { ends: vec![0; n_blocks(n_features) - 1].into_boxed_slice(), block: 0 }
    }

    /// An entry of `feature` is the next, after `n_entries` others.
    #[inline(always)]
    fn reach(&mut self, feature: u32, n_entries: usize) {
        let block = feature as usize / BLOCK;
        if block > self.block {
            self.ends[self.block..block].fill(n_entries as u32);
            self.block = block;
        }
    }

    fn finish(mut self, n_entries: usize) -> Box<[u32]> {
        self.ends[self.block..].fill(n_entries as u32);
        self.ends
    }
}

impl<'a> PackedRow<'a> {
    /// The first feature and the entries of every block.
    #[inline(always)]
    fn blocks(self) -> impl Iterator<Item = (usize, &'a [u32])> {
        let ends = self.ends.iter().map(|&end| end as usize).chain([self.entries.len()]);
        ends.enumerate().scan(0, move |start, (block, end)| {
            let entries = &self.entries[std::mem::replace(start, end)..end];
            Some((block * BLOCK, entries))
        })
    }

    /// The entries: features, increasing, and values.
    pub(crate) fn iter(self) -> impl Iterator<Item = (u32, f32)> + 'a {
        self.blocks().flat_map(move |(first, entries)| {
            entries.iter().map(move |&entry| {
                let (place, number) = unpack_place(entry);
                ((first + place) as u32, number * self.scale)
            })
        })
    }

    /// Adds the features to a set.
    #[inline(always)]
    pub(crate) fn insert_to(self, set: &mut ColumnSet) {
        for (first, entries) in self.blocks() {
            for &entry in entries {
                set.insert((first + unpack_place(entry).0) as u32);
            }
        }
    }

    /// Adds one to the count of every feature.
    pub(crate) fn count(self, counts: &mut [u32]) {
        for (first, entries) in self.blocks() {
            let counts = &mut counts[first..];
            entries.iter().for_each(|&entry| counts[unpack_place(entry).0] += 1);
        }
    }

    /// The product with `sums`.
    #[inline(always)]
    pub(crate) fn dot<S: Simd>(self, simd: S, sums: &[f32]) -> f32 {
        let mut sum = simd.splat(0.0);
        for (first, entries) in self.blocks() {
            let sums = sums.get(first..).unwrap_or_default();
            let (lines, rest) = entries.as_chunks::<LANES>();
            for line in lines {
                let (values, numbers) = simd.look_up(sums, line);
                sum = simd.fma(values, numbers, sum);
            }
            if !rest.is_empty() {
                let mut line = [0; LANES];
                line[..rest.len()].copy_from_slice(rest);
                let (values, numbers) = simd.look_up(sums, &line);
                sum = simd.fma(values, numbers, sum);
            }
        }
        simd.sum(sum) * self.scale
    }

    /// The squares of what `sums` has at the entries' features, and leaves 0 there.
    #[inline(always)]
    pub(crate) fn take_squares<S: Simd>(self, simd: S, sums: &mut [f32]) -> f32 {
        let mut squares = simd.splat(0.0);
        for (first, entries) in self.blocks() {
            for line in entries.chunks(LANES) {
                let taken = simd.take_at(sums.get_mut(first..).unwrap_or_default(), line);
                squares = simd.fma(taken, taken, squares);
            }
        }
        simd.sum(squares)
    }

    /// Asks for the first entries.
    #[inline(always)]
    pub(crate) fn fetch<S: Simd>(self, simd: S) {
        simd.prefetch(self.entries, 0);
        simd.prefetch(self.entries, LANES);
    }

    /// Adds `weight` times the entries of features from `first` on to `sums`, which are those features'.
    #[inline(always)]
    fn add_to<S: Simd>(self, simd: S, sums: &mut [f32], first: usize, weight: f32) {
        let (end, weight) = (first + sums.len(), weight * self.scale);
        for (start, entries) in self.blocks().take_while(|(start, _)| *start < end) {
            let entries = if start < first { from_place(entries, first - start) } else { entries };
            let entries = before_place(entries, end - start);
            let sums = &mut sums[start.saturating_sub(first)..];
            simd.add_at(sums, first.saturating_sub(start) as u32, entries, weight);
        }
    }
}

/// Adds rows, each by its weight, to `sums`, which are those of the features from `first` on; `then` has each while it is in the cache.
pub(crate) fn add_rows<'r>(
    rows: impl Iterator<Item = (f32, PackedRow<'r>)> + Clone,
    sums: &mut [f32],
    first: usize,
    then: impl FnMut(PackedRow<'r>),
) {
    dispatch(AddRows { rows, sums, first, then });
}

/// How many rows ahead entries are asked for.
pub(crate) const FETCH: usize = 3;

struct AddRows<'s, I, T> {
    rows: I,
    sums: &'s mut [f32],
    first: usize,
    then: T,
}

impl<'r, I, T> WithSimd for AddRows<'_, I, T>
where
    I: Iterator<Item = (f32, PackedRow<'r>)> + Clone,
    T: FnMut(PackedRow<'r>),
{
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let mut ahead = self.rows.clone().skip(FETCH);
        for (weight, row) in self.rows {
            if let Some((_, next)) = ahead.next() {
                next.fetch(simd);
            }
            row.add_to(simd, self.sums, self.first, weight);
            (self.then)(row);
        }
    }
}

impl NodeRow {
    /// A row of `values`, features below `n_features` in increasing order, each multiplied by `scale`.
    pub(crate) fn new(id: u32, values: &[(u32, f32)], scale: f32, n_features: usize) -> Self {
        let (mut entries, mut ends) = (Vec::with_capacity(values.len()), Vec::new());
        let unit = pack(values, n_features, &mut entries, &mut ends);
        Self { id, own: 0.0, is_zero: false, scale: scale * unit, ends: ends.into(), entries }
    }

    /// The entries.
    #[inline(always)]
    pub(crate) fn packed(&self) -> PackedRow<'_> {
        PackedRow { scale: self.scale, ends: &self.ends, entries: &self.entries }
    }

    /// The row's part of the dense features of the whole matrix; empty where there are none.
    pub(crate) fn dense<'a>(&self, rows: Option<ArrayView2<'a, f32>>) -> &'a [f32] {
        let Some(rows) = rows else { return &[] };
        let all = rows.to_slice().expect("invariant: dense features are in row order");
        &all[self.id as usize * rows.ncols()..][..rows.ncols()]
    }

    /// Number of entries.
    pub(crate) fn nnz(&self) -> usize {
        self.entries.len()
    }

    /// Gives the entries the numbers `new_ids`, which keep their order; those that have none ([`DROPPED`]) become part of the row's own weight.
    pub(crate) fn renumber(&mut self, new_ids: &[u32], n_features: usize) {
        let (old, mut ends) = (std::mem::take(&mut self.ends), BlockEnds::new(n_features));
        let (mut own, mut start, mut kept) = (0.0, 0, 0);
        for (block, end) in old.iter().map(|&end| end as usize).chain([self.entries.len()]).enumerate() {
            let new_ids = &new_ids[block * BLOCK..];
            for at in std::mem::replace(&mut start, end)..end {
                let (place, number) = unpack_place(self.entries[at]);
                match new_ids[place] {
                    DROPPED => own += number * number,
                    feature => {
                        ends.reach(feature, kept);
                        self.entries[kept] = pack_place(feature % BLOCK as u32, number as i32);
                        kept += 1;
                    }
                }
            }
        }
        self.own += own * self.scale * self.scale;
        self.entries.truncate(kept);
        self.ends = ends.finish(kept);
    }

    /// Gives back the memory of entries that are gone.
    pub(crate) fn shrink(&mut self) {
        self.entries.shrink_to_fit();
    }
}

/// Marks a feature that is dropped.
pub(crate) const DROPPED: u32 = u32::MAX;

/// Flat rows, for many that stay as they are.
#[derive(Debug)]
pub(crate) struct PackedRows {
    /// Where each row begins in `entries`, and the end of the last.
    starts: Vec<usize>,
    scales: Vec<f32>,
    /// Those of each row, `n_ends` of them.
    ends: Vec<u32>,
    n_ends: usize,
    entries: Vec<u32>,
}

impl PackedRows {
    /// No rows, with room for `n_rows` of `nnz` entries in all, features below `n_features`.
    pub(crate) fn with_capacity(n_rows: usize, nnz: usize, n_features: usize) -> Self {
        let n_ends = n_blocks(n_features) - 1;
        let mut starts = Vec::with_capacity(n_rows + 1);
        starts.push(0);
        Self {
            starts,
            scales: Vec::with_capacity(n_rows),
            ends: Vec::with_capacity(n_ends * n_rows),
            n_ends,
            entries: Vec::with_capacity(nnz),
        }
    }

    /// Appends a row of `values`, features increasing.
    pub(crate) fn push(&mut self, values: &[(u32, f32)], n_features: usize) {
        self.scales.push(pack(values, n_features, &mut self.entries, &mut self.ends));
        self.starts.push(self.entries.len());
    }

    /// Row `row`.
    #[inline(always)]
    pub(crate) fn row(&self, row: usize) -> PackedRow<'_> {
        PackedRow {
            scale: self.scales[row],
            ends: &self.ends[row * self.n_ends..][..self.n_ends],
            entries: &self.entries[self.starts[row]..self.starts[row + 1]],
        }
    }
}

/// The entries of a block from `place` on.
fn from_place(entries: &[u32], at: usize) -> &[u32] {
    &entries[entries.partition_point(|&entry| unpack_place(entry).0 < at)..]
}

/// The entries of a block before place `at`: most often all, which the last one tells.
#[inline(always)]
fn before_place(entries: &[u32], at: usize) -> &[u32] {
    let is_before = |entry: &u32| unpack_place(*entry).0 < at;
    if entries.last().is_none_or(is_before) {
        entries
    } else {
        &entries[..entries.partition_point(is_before)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use xmc_sparse::kernels::{Isa, dispatch_on};

    const N_FEATURES: usize = 2 * BLOCK + 100;

    struct Dot<'a>(&'a NodeRow, &'a [f32]);

    impl WithSimd for Dot<'_> {
        type Output = f32;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> f32 {
            self.0.packed().dot(simd, self.1)
        }
    }

    fn entries() -> impl Strategy<Value = BTreeMap<u32, f32>> {
        // Some at the borders of blocks.
        let feature = prop_oneof![
            0..N_FEATURES as u32,
            (0..6u32).prop_map(|at| 262_141 + at),
            (0..6u32).prop_map(|at| 524_285 + at)
        ];
        prop::collection::btree_map(feature, -4.0f32..4.0, 0..80)
    }

    fn sums_of(feature: u32) -> f32 {
        (feature % 17) as f32 - 8.0
    }

    proptest! {
        #[test]
        fn a_row_has_the_values_that_it_was_made_of(entries in entries()) {
            let values: Vec<_> = entries.iter().map(|(&feature, &value)| (feature, value)).collect();
            let row = NodeRow::new(3, &values, 0.5, N_FEATURES);
            let found: BTreeMap<u32, f32> = row.packed().iter().collect();
            prop_assert_eq!(found.len(), row.nnz());
            // Half a number of 1, and of what is less there may be nothing.
            let largest = values.iter().fold(0.0f32, |largest, (_, value)| largest.max(value.abs()));
            for (feature, value) in values {
                let found = found.get(&feature).copied().unwrap_or(0.0);
                prop_assert!((found - 0.5 * value).abs() <= 0.26 * largest / MAX, "{} {}", found, value);
            }
        }

        #[test]
        fn products_and_sums_are_those_of_the_values(entries in entries(), first in 0..N_FEATURES, len in 1..N_FEATURES) {
            let values: Vec<_> = entries.into_iter().collect();
            let row = NodeRow::new(0, &values, 1.0, N_FEATURES);
            let sums: Vec<f32> = (0..N_FEATURES as u32).map(sums_of).collect();
            let expected: f32 = row.packed().iter().map(|(feature, value)| value * sums_of(feature)).sum();
            for isa in Isa::available() {
                let found = dispatch_on(isa, Dot(&row, &sums));
                prop_assert!((found - expected).abs() < 1e-3, "{:?} {} {}", isa, found, expected);
            }
            let end = (first + len).min(N_FEATURES);
            let mut expected = vec![1.0; end - first];
            row.packed().iter().filter(|(feature, _)| (first..end).contains(&(*feature as usize))).for_each(|(feature, value)| {
                expected[feature as usize - first] += 2.0 * value;
            });
            for isa in Isa::available() {
                let mut part = vec![1.0; end - first];
                let rows = std::iter::once((2.0, row.packed()));
                dispatch_on(isa, AddRows { rows, sums: &mut part, first, then: |_| () });
                prop_assert!(part.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5), "{:?}", isa);
            }
        }

        #[test]
        fn renumbered_rows_keep_their_values_and_what_is_dropped_is_their_own(entries in entries(), step in 2..5u32) {
            let values: Vec<_> = entries.into_iter().collect();
            let mut row = NodeRow::new(0, &values, 1.0, N_FEATURES);
            let (kept, dropped): (Vec<_>, Vec<_>) = row.packed().iter().partition(|(feature, _)| feature % step == 0);
            let new_ids: Vec<u32> =
                (0..N_FEATURES as u32).map(|f| if f % step == 0 { f / step } else { DROPPED }).collect();
            row.renumber(&new_ids, N_FEATURES.div_ceil(step as usize));
            let kept: Vec<_> = kept.into_iter().map(|(feature, value)| (feature / step, value)).collect();
            prop_assert_eq!(row.packed().iter().collect::<Vec<_>>(), kept);
            let own: f32 = dropped.iter().map(|(_, value)| value * value).sum();
            prop_assert!((row.own - own).abs() <= 1e-4 * own, "{} {}", row.own, own);
            let mut counts = vec![0; N_FEATURES];
            row.packed().count(&mut counts);
            prop_assert_eq!(counts.iter().sum::<u32>() as usize, row.nnz());
        }
    }

    #[test]
    fn a_row_of_nothing_is_nothing() {
        let row = NodeRow::new(7, &[], 1.0, 5);
        assert_eq!((row.id, row.nnz(), row.packed().iter().count()), (7, 0, 0));
        assert_eq!(dispatch_on(Isa::Portable, Dot(&row, &[1.0; 5])), 0.0);
    }
}
