//! The trained weights of one cluster's children, encoded as postings and sorted by feature.

use crate::record::{Widths, put_posting, put_uint, uint};
use xmc_linear::{GroupWeights, LANES};

/// One cluster's weights: for each feature a posting (see [`crate::record`]).
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// Features that have a posting, increasing.
    pub(crate) features: Vec<u32>,
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
    /// Puts the groups of a cluster together; `groups[g]` holds children `16 g ..`, and the cluster's feature `f`
    /// is the original feature `features[f]`.
    pub(crate) fn new(widths: Widths, features: &[u32], groups: Vec<GroupWeights>) -> Self {
        let bias = groups.iter().flat_map(|group| &group.bias).copied().collect();
        let dense = groups.iter().flat_map(|group| &group.dense).copied().collect();
        let n_weights = groups.iter().map(|group| group.n_entries() as u64).sum();
        let n_rows: usize = groups.iter().map(|group| group.features.len()).sum();
        let mut unsorted = Unsorted::with_capacity(widths, n_rows.min(features.len()));
        unsorted.merge(features, &groups);
        drop(groups);
        Self { bias, dense, n_weights, ..unsorted.sorted() }
    }

    /// Feature and number of weights of each posting.
    pub(crate) fn postings(&self, widths: Widths) -> impl Iterator<Item = (u32, usize)> {
        self.postings_from(widths, 0)
    }

    /// The same from posting number `first` on.
    pub(crate) fn postings_from(&self, widths: Widths, first: usize) -> impl Iterator<Item = (u32, usize)> {
        let weights = move |at| uint(&self.codes, widths.col, at) as usize + 1;
        self.features.iter().enumerate().skip(first).map(move |(at, &feature)| (feature, weights(at)))
    }

    /// The first posting whose feature is not below each of `features`, which increase.
    pub(crate) fn cursors(&self, widths: Widths, features: &[u32]) -> Vec<Cursor> {
        let (mut cursors, mut here) = (Vec::with_capacity(features.len()), Cursor::default());
        for (feature, weights) in self.postings(widths) {
            let passed = features[cursors.len()..].iter().take_while(|first| **first <= feature).count();
            cursors.extend(std::iter::repeat_n(here, passed));
            here = Cursor { posting: here.posting + 1, byte: here.byte + widths.posting_len(weights) };
        }
        cursors.resize(features.len(), here);
        cursors
    }
}

/// A posting of a chunk: its number, and where its bytes begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Cursor {
    pub(crate) posting: usize,
    pub(crate) byte: usize,
}

/// Where a posting was written.
#[derive(Clone, Copy)]
struct Posting {
    feature: u32,
    weights: u32,
    start: usize,
}

/// Postings in the order of the cluster's own feature numbers.
struct Unsorted {
    widths: Widths,
    postings: Vec<Posting>,
    bytes: Vec<u8>,
    cols: Vec<u32>,
    values: Vec<f32>,
}

/// How far a group has been read.
#[derive(Clone, Copy, Default)]
struct Progress {
    row: usize,
    value: usize,
}

impl Unsorted {
    fn with_capacity(widths: Widths, n_postings: usize) -> Self {
        let (bytes, cols, values) = Default::default();
        Self { widths, postings: Vec::with_capacity(n_postings), bytes, cols, values }
    }

    fn merge(&mut self, features: &[u32], groups: &[GroupWeights]) {
        let mut cursors = vec![Progress::default(); groups.len()];
        loop {
            let heads = groups.iter().zip(&cursors).filter_map(|(group, at)| group.features.get(at.row));
            let Some(&feature) = heads.min() else { return };
            self.cols.clear();
            self.values.clear();
            for (number, (group, at)) in groups.iter().zip(&mut cursors).enumerate() {
                if group.features.get(at.row) == Some(&feature) {
                    self.take(number, group, at);
                }
            }
            self.write(features[feature as usize]);
        }
    }

    /// Adds one group's row to the current posting.
    fn take(&mut self, number: usize, group: &GroupWeights, at: &mut Progress) {
        let mut lanes = group.lanes[at.row];
        let n = lanes.count_ones() as usize;
        self.values.extend_from_slice(&group.values[at.value..at.value + n]);
        while lanes != 0 {
            self.cols.push((number * LANES) as u32 + lanes.trailing_zeros());
            lanes &= lanes - 1;
        }
        *at = Progress { row: at.row + 1, value: at.value + n };
    }

    fn write(&mut self, feature: u32) {
        let (widths, weights, start) = (self.widths, self.cols.len(), self.bytes.len());
        self.postings.push(Posting { feature, weights: weights as u32, start });
        put_posting(widths, &self.cols, &self.values, &mut self.bytes);
    }

    fn sorted(mut self) -> Chunk {
        self.postings.sort_unstable_by_key(|posting| posting.feature);
        let mut bytes = Vec::with_capacity(self.bytes.len());
        for posting in &self.postings {
            let len = self.widths.posting_len(posting.weights as usize);
            bytes.extend_from_slice(&self.bytes[posting.start..posting.start + len]);
        }
        let mut codes = vec![0; self.postings.len() * self.widths.col];
        for (code, posting) in codes.chunks_exact_mut(self.widths.col).zip(&self.postings) {
            put_uint(posting.weights - 1, self.widths.col, code);
        }
        Chunk {
            features: self.postings.iter().map(|posting| posting.feature).collect(),
            codes,
            bytes,
            ..Chunk::default()
        }
    }
}
