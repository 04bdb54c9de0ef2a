//! The trained weights of one cluster's children, encoded as postings and sorted by the records that they go to.

use crate::record::{Widths, put_posting, put_uint, uint};
use xmc_linear::{GroupWeights, LANES};

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
        let n_rows: usize = groups.iter().map(|group| group.features.len()).sum();
        let mut unsorted = Unsorted::with_capacity(widths, n_rows.min(records.len()));
        unsorted.merge(records, &groups);
        drop(groups);
        Self { bias, dense, ..unsorted.sorted() }
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

/// Where a posting was written.
#[derive(Clone, Copy)]
struct Posting {
    record: u32,
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

    fn merge(&mut self, records: &[u32], groups: &[GroupWeights]) {
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
            self.write(records[feature as usize]);
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

    fn write(&mut self, record: u32) {
        let (widths, weights, start) = (self.widths, self.cols.len(), self.bytes.len());
        self.postings.push(Posting { record, weights: weights as u32, start });
        put_posting(widths, &self.cols, &self.values, &mut self.bytes);
    }

    fn sorted(mut self) -> Chunk {
        self.postings.sort_unstable_by_key(|posting| posting.record);
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
            records: self.postings.iter().map(|posting| posting.record).collect(),
            codes,
            bytes,
            n_weights: self.postings.iter().map(|posting| u64::from(posting.weights)).sum(),
            ..Chunk::default()
        }
    }
}
