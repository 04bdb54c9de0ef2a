//! The trained weights of one cluster's children, encoded as postings and sorted by feature.

use crate::WeightType;
use crate::record::{Widths, put_uint, to_bf16};
use xmc_linear::{CompactRows, GroupWeights, LANES};

/// One cluster's weights: for each feature a posting (see [`crate::record`]).
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// Features that have a posting, increasing.
    pub(crate) features: Vec<u32>,
    /// Code of each posting.
    pub(crate) codes: Vec<u32>,
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
    /// Puts the groups of a cluster together; `groups[g]` holds children `16 g ..`.
    pub(crate) fn new(widths: Widths, rows: &CompactRows, groups: &[GroupWeights]) -> Self {
        let n_siblings = groups.iter().map(|group| group.bias.len()).sum();
        let mut unsorted = Unsorted::new(widths, n_siblings);
        unsorted.merge(rows, groups);
        let mut chunk = unsorted.sorted();
        chunk.bias = groups.iter().flat_map(|group| &group.bias).copied().collect();
        chunk.dense = groups.iter().flat_map(|group| &group.dense).copied().collect();
        chunk.n_weights = groups.iter().map(|group| group.n_entries() as u64).sum();
        chunk
    }
}

/// Where a posting was written.
#[derive(Clone, Copy)]
struct Posting {
    feature: u32,
    code: u32,
    start: usize,
}

/// Postings in the order of the cluster's own feature numbers.
struct Unsorted {
    widths: Widths,
    n_siblings: usize,
    postings: Vec<Posting>,
    bytes: Vec<u8>,
    cols: Vec<u32>,
    values: Vec<f32>,
}

/// How far a group has been read.
#[derive(Clone, Copy, Default)]
struct Cursor {
    row: usize,
    value: usize,
}

impl Unsorted {
    fn new(widths: Widths, n_siblings: usize) -> Self {
        let (postings, bytes, cols, values) = Default::default();
        Self { widths, n_siblings, postings, bytes, cols, values }
    }

    fn merge(&mut self, rows: &CompactRows, groups: &[GroupWeights]) {
        let mut cursors = vec![Cursor::default(); groups.len()];
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
            self.write(rows.original_feature(feature));
        }
    }

    /// Adds one group's row to the current posting.
    fn take(&mut self, number: usize, group: &GroupWeights, at: &mut Cursor) {
        let mut lanes = group.lanes[at.row];
        let n = lanes.count_ones() as usize;
        self.values.extend_from_slice(&group.values[at.value..at.value + n]);
        while lanes != 0 {
            self.cols.push((number * LANES) as u32 + lanes.trailing_zeros());
            lanes &= lanes - 1;
        }
        *at = Cursor { row: at.row + 1, value: at.value + n };
    }

    fn write(&mut self, feature: u32) {
        let code = self.widths.code(self.cols.len(), self.n_siblings);
        let start = self.bytes.len();
        self.postings.push(Posting { feature, code, start });
        self.bytes.resize(start + self.widths.posting_len(code, self.n_siblings), 0);
        let (widths, width) = (self.widths, self.widths.value.width());
        let out = &mut self.bytes[start..];
        if code == widths.dense_code() {
            for (&col, &value) in self.cols.iter().zip(&self.values) {
                put_value(widths.value, value, &mut out[col as usize * width..]);
            }
            return;
        }
        let (cols, values) = out.split_at_mut(self.cols.len() * widths.col);
        for (at, (&col, &value)) in self.cols.iter().zip(&self.values).enumerate() {
            put_uint(col, widths.col, &mut cols[at * widths.col..]);
            put_value(widths.value, value, &mut values[at * width..]);
        }
    }

    fn sorted(mut self) -> Chunk {
        self.postings.sort_unstable_by_key(|posting| posting.feature);
        let mut bytes = Vec::with_capacity(self.bytes.len());
        for posting in &self.postings {
            let len = self.widths.posting_len(posting.code, self.n_siblings);
            bytes.extend_from_slice(&self.bytes[posting.start..posting.start + len]);
        }
        Chunk {
            features: self.postings.iter().map(|posting| posting.feature).collect(),
            codes: self.postings.iter().map(|posting| posting.code).collect(),
            bytes,
            ..Chunk::default()
        }
    }
}

#[inline(always)]
fn put_value(kind: WeightType, value: f32, out: &mut [u8]) {
    match kind {
        WeightType::Bf16 => out[..2].copy_from_slice(&to_bf16(value).to_le_bytes()),
        WeightType::F32 => out[..4].copy_from_slice(&value.to_le_bytes()),
    }
}
