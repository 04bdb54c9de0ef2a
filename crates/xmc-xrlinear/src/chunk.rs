//! The trained weights of one cluster's children, encoded as postings and sorted by the records that they go to.

use crate::WeightType;
use crate::record::{Widths, put_uint, uint, write_posting};
use crate::value::to_bf16;
use xmc_linear::{GroupWeights, LANES};
use xmc_sparse::kernels::{Simd, WithSimd, dispatch};

/// One cluster's weights: for each feature, or group of features ([`crate::groups`]), a posting (see [`crate::record`]).
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// The records that have a posting, increasing.
    pub(crate) records: Vec<u32>,
    /// Number of weights of each posting less one, `widths.col` bytes each.
    pub(crate) codes: Vec<u8>,
    /// The postings, end to end.
    pub(crate) bytes: Vec<u8>,
    /// Intercept of each child.
    pub(crate) bias: Vec<f32>,
    /// Dense weights, child by child.
    pub(crate) dense: Vec<f32>,
    /// Stored weights.
    pub(crate) n_weights: u64,
}

impl Chunk {
    /// Puts the groups of a cluster together; `groups[g]` holds children `16 g ..`, and the weights of the cluster's feature `f`
    /// go to record `records[f]`.
    pub(crate) fn new(widths: Widths, records: &[u32], groups: Vec<GroupWeights>) -> Self {
        let bias = groups.iter().flat_map(|group| &group.bias).copied().collect();
        let dense = groups.iter().flat_map(|group| &group.dense).copied().collect();
        let unsorted = dispatch(Merge { widths, records, groups: &groups });
        drop(groups);
        Self { bias, dense, ..unsorted.sorted(widths) }
    }

    /// Record and number of weights of each posting.
    pub(crate) fn postings(&self, widths: Widths) -> impl Iterator<Item = (u32, usize)> {
        self.postings_from(widths, 0)
    }

    /// The same from posting number `first` on.
    pub(crate) fn postings_from(&self, widths: Widths, first: usize) -> impl Iterator<Item = (u32, usize)> {
        let weights = move |at| uint(&self.codes, widths.col, at) as usize + 1;
        self.records.iter().enumerate().skip(first).map(move |(at, &record)| (record, weights(at)))
    }

    /// The first posting whose record is not below each of `records`, which increase.
    pub(crate) fn cursors(&self, widths: Widths, records: &[u32]) -> Vec<Cursor> {
        let (mut cursors, mut here) = (Vec::with_capacity(records.len()), Cursor::default());
        for (record, weights) in self.postings(widths) {
            let passed = records[cursors.len()..].iter().take_while(|first| **first <= record).count();
            cursors.extend(std::iter::repeat_n(here, passed));
            here = Cursor { posting: here.posting + 1, byte: here.byte + widths.posting_len(weights) };
        }
        cursors.resize(records.len(), here);
        cursors
    }
}

/// A posting of a chunk: its number, and where its bytes begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Cursor {
    pub(crate) posting: usize,
    pub(crate) byte: usize,
}

/// Bytes behind what is being written that may be written over: whole vectors are, whatever they hold.
const ROOM: usize = 3 * LANES;

/// Where a posting was written.
#[derive(Clone, Copy)]
struct Posting {
    weights: u32,
    start: usize,
}

/// Postings in the order of the cluster's own feature numbers.
struct Unsorted {
    /// The record of each posting, and below it the posting's number: what they are sorted by.
    keys: Vec<u64>,
    postings: Vec<Posting>,
    /// As far as `end`, and [`ROOM`] at least behind it.
    bytes: Vec<u8>,
    end: usize,
}

impl Unsorted {
    fn sorted(mut self, widths: Widths) -> Chunk {
        self.keys.sort_unstable();
        let postings = || self.keys.iter().map(|&key| self.postings[key as u32 as usize]);
        let (mut bytes, mut end) = (vec![0; self.end + ROOM], 0);
        for Posting { weights, start } in postings() {
            let len = widths.posting_len(weights as usize);
            copy::<u8, ROOM>(&self.bytes[start..], &mut bytes[end..], len);
            end += len;
        }
        bytes.truncate(end);
        let mut codes = vec![0; self.keys.len() * widths.col];
        for (code, posting) in codes.chunks_exact_mut(widths.col).zip(postings()) {
            put_uint(posting.weights - 1, widths.col, code);
        }
        Chunk {
            records: self.keys.iter().map(|&key| (key >> 32) as u32).collect(),
            codes,
            bytes,
            n_weights: self.postings.iter().map(|posting| u64::from(posting.weights)).sum(),
            ..Chunk::default()
        }
    }
}

/// Features whose lanes are laid out at a time.
const TILE: usize = 1024;

/// The lanes of all groups, side by side for each of the next features.
struct Tile {
    /// `lanes[feature % TILE][group]`.
    lanes: Vec<u16>,
    /// Rows of each group that are in this tile or in one before.
    taken: Vec<usize>,
}

impl Tile {
    fn new(groups: &[GroupWeights]) -> Self {
        Self { lanes: vec![0; TILE * groups.len()], taken: vec![0; groups.len()] }
    }

    /// The lanes of `feature` in each of `groups`; to be called for all features in turn.
    #[inline(always)]
    fn lanes_of(&mut self, groups: &[GroupWeights], feature: usize) -> &[u16] {
        if feature.is_multiple_of(TILE) {
            self.fill(groups, feature);
        }
        &self.lanes[feature % TILE * groups.len()..][..groups.len()]
    }

    fn fill(&mut self, groups: &[GroupWeights], first: usize) {
        self.lanes.fill(0);
        for (number, (group, taken)) in groups.iter().zip(&mut self.taken).enumerate() {
            let rest = group.features[*taken..].iter().zip(&group.lanes[*taken..]);
            for (&feature, &lanes) in rest.take_while(|row| (*row.0 as usize) < first + TILE) {
                self.lanes[(feature as usize - first) * groups.len() + number] = lanes;
                *taken += 1;
            }
        }
    }
}

/// Puts groups of weights together, feature by feature.
///
/// Most postings have one weight or two, and which groups they are of is not foreseeable: everything is copied in
/// whole vectors, and what is too much is written over.
struct Merge<'a> {
    widths: Widths,
    records: &'a [u32],
    groups: &'a [GroupWeights],
}

impl WithSimd for Merge<'_> {
    type Output = Unsorted;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Unsorted {
        let Self { widths, records, groups } = self;
        let n_weights: usize = groups.iter().map(|group| group.values.len()).sum();
        let mut out = Unsorted {
            keys: Vec::with_capacity(n_weights.min(records.len())),
            postings: Vec::with_capacity(n_weights.min(records.len())),
            bytes: vec![0; n_weights * (widths.col + widths.value.len(1)) + ROOM],
            end: 0,
        };
        let n_slots = groups.len() * LANES;
        let (mut columns, mut values) = (vec![0; n_slots + LANES], vec![0.0; n_slots + LANES]);
        let mut tile = Tile::new(groups);
        let mut taken = vec![0; groups.len()];
        for (feature, &record) in records.iter().enumerate() {
            let mut weights = 0;
            let lanes = tile.lanes_of(groups, feature);
            for (number, (&lanes, (group, taken))) in
                lanes.iter().zip(groups.iter().zip(&mut taken)).enumerate()
            {
                let n = lanes.count_ones() as usize;
                if let Some(room) = columns[weights..].first_chunk_mut() {
                    simd.compress_places(lanes, (number * LANES) as u32, room);
                }
                copy::<f32, LANES>(&group.values[*taken..], &mut values[weights..], n);
                (weights, *taken) = (weights + n, *taken + n);
            }
            if weights > 0 {
                out.keys.push(u64::from(record) << 32 | out.postings.len() as u64);
                out.postings.push(Posting { weights: weights as u32, start: out.end });
                out.end += write(widths, weights, &columns, &values, &mut out.bytes[out.end..]);
            }
        }
        out
    }
}

/// Copies the first `n` of `from`, or `N` if these are enough and there are so many: copying a number that the compiler does not know is a call.
#[inline(always)]
fn copy<T: Copy, const N: usize>(from: &[T], to: &mut [T], n: usize) {
    match (from.first_chunk::<N>(), to.first_chunk_mut::<N>()) {
        (Some(from), Some(to)) if n <= N => *to = *from,
        _ => to[..n].copy_from_slice(&from[..n]),
    }
}

/// Writes a posting of `weights` weights to the beginning of `out`; how long it is.
#[inline(always)]
fn write(widths: Widths, weights: usize, columns: &[u32], values: &[f32], out: &mut [u8]) -> usize {
    let len = widths.posting_len(weights);
    let is_usual = widths.value == WeightType::Bf16 && widths.col == 1 && widths.lists_columns(weights);
    match (columns.first_chunk::<LANES>(), values.first_chunk::<LANES>()) {
        (Some(columns), Some(values)) if is_usual && weights <= LANES => {
            out[..LANES].copy_from_slice(&columns.map(|column| column as u8));
            let stored = values.map(|value| to_bf16(value).to_le_bytes());
            out[weights..weights + 2 * LANES].copy_from_slice(stored.as_flattened());
        }
        _ => {
            out[..len].fill(0);
            write_posting(widths, &columns[..weights], &values[..weights], &mut out[..len]);
        }
    }
    len
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::take_columns;
    use rand::{Rng, SeedableRng, seq::SliceRandom};
    use rand_xoshiro::Xoshiro256PlusPlus;
    use std::collections::BTreeMap;

    /// Weights of `n_groups` full groups: each feature in a share of them that differs.
    fn groups(n_groups: usize, n_features: u32, rng: &mut impl Rng) -> Vec<GroupWeights> {
        let mut groups = vec![GroupWeights::default(); n_groups];
        for feature in 0..n_features {
            let share = rng.gen_range(0.0..1.0f64).powi(4);
            for group in &mut groups {
                let lanes = (0..LANES).fold(0, |lanes, lane| lanes | u16::from(rng.gen_bool(share)) << lane);
                if lanes != 0 {
                    group.features.push(feature);
                    group.lanes.push(lanes);
                    group.values.extend((0..lanes.count_ones()).map(|_| rng.gen_range(-2.0..2.0f32)));
                }
            }
        }
        groups
    }

    /// Column and value of each weight of a group, row by row.
    fn rows(number: usize, group: &GroupWeights) -> Vec<(u32, Vec<(u32, f32)>)> {
        let mut values = group.values.iter().copied();
        let lanes = |lanes: u16| (0..LANES as u32).filter(move |lane| lanes >> lane & 1 == 1);
        let columns = |of_row| lanes(of_row).map(|lane| (number * LANES) as u32 + lane);
        let mut row = |of_row| columns(of_row).zip(values.by_ref()).collect::<Vec<_>>();
        group.features.iter().zip(&group.lanes).map(|(&feature, &lanes)| (feature, row(lanes))).collect()
    }

    #[test]
    fn a_chunk_has_the_weights_of_its_groups_in_the_order_of_the_records() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        for (n_groups, kind) in [
            (1, WeightType::Bf16),
            (5, WeightType::Bf16),
            (5, WeightType::F32),
            (5, WeightType::Int8),
            (17, WeightType::Bf16),
        ] {
            let n_features = 2 * TILE as u32 + 77;
            let mut records: Vec<u32> = (0..n_features).map(|feature| 3 * feature + 1).collect();
            records.shuffle(&mut rng);
            let (groups, widths) =
                (groups(n_groups, n_features, &mut rng), Widths::new(9, n_groups * LANES, kind));
            let mut expected = BTreeMap::<u32, Vec<(u32, f32)>>::new();
            for (feature, row) in groups.iter().enumerate().flat_map(|(number, group)| rows(number, group)) {
                expected.entry(records[feature as usize]).or_default().extend(row);
            }

            let chunk = Chunk::new(widths, &records, groups);
            let (mut start, mut columns, mut values) = (0, Vec::new(), Vec::new());
            assert!(chunk.records.iter().eq(expected.keys()));
            for ((_, weights), expected) in chunk.postings(widths).zip(expected.values()) {
                let posting = &chunk.bytes[start..start + widths.posting_len(weights)];
                take_columns(widths, weights, posting, &mut columns);
                assert!(columns.iter().eq(expected.iter().map(|(column, _)| column)));
                let mut stored = vec![0; kind.len(weights)];
                values.clear();
                values.extend(expected.iter().map(|(_, value)| *value));
                kind.put(&values, &mut stored);
                assert_eq!(posting[widths.columns_len(weights)..], stored);
                start += posting.len();
            }
            assert_eq!(start, chunk.bytes.len());
        }
    }
}
