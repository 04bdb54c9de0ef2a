//! Sums of rows and products of rows with them: the two passes of k-means.
//!
//! Both give the same bits at any number of threads. A feature's sum adds the rows in their order,
//! whichever stripe of features a thread works on; dense sums are added up in blocks of a fixed
//! number of rows, in order.

use crate::node::{Entry, Node, NodeRow};
use ndarray::ArrayView2;
use rayon::prelude::*;

/// Rows in a block of dense sums.
const BLOCK_ROWS: usize = 4096;

/// Fewest rows that are worth a task of their own.
const MIN_TASK_ROWS: usize = 128;

/// Features in a chunk of element-wise work.
const CHUNK: usize = 1 << 14;

/// A row number within the node and the weight with which it enters a sum.
pub(crate) type Weighted = (u32, f32);

/// A weighted sum of the rows of a node.
#[derive(Debug, Clone)]
pub(crate) struct RowSum<'a> {
    sparse: Vec<f32>,
    dense: Vec<f32>,
    dense_rows: Option<ArrayView2<'a, f32>>,
}

impl<'a> RowSum<'a> {
    /// The sum of no rows of `node`; `dense_rows` is the dense part of the whole matrix.
    pub(crate) fn zero(node: &Node, dense_rows: Option<ArrayView2<'a, f32>>) -> Self {
        let n_dense = dense_rows.map_or(0, |rows| rows.ncols());
        Self { sparse: vec![0.0; node.n_features], dense: vec![0.0; n_dense], dense_rows }
    }

    /// A direction over the dense features alone.
    pub(crate) fn from_dense(dense: Vec<f32>, dense_rows: ArrayView2<'a, f32>) -> Self {
        Self { sparse: Vec::new(), dense, dense_rows: Some(dense_rows) }
    }

    /// Adds weight times row for every one of `picked`.
    pub(crate) fn add(&mut self, node: &Node, picked: &[Weighted]) {
        match node.stripes.len() {
            // One stripe is the whole row: nothing to search for.
            0 | 1 => picked
                .iter()
                .for_each(|&(row, weight)| add_entries(&mut self.sparse, 0, node.entries(row), weight)),
            _ => split_stripes(&mut self.sparse, node).into_par_iter().for_each(|(first, sums)| {
                let end = first + sums.len() as u32;
                for &(row, weight) in picked {
                    add_entries(sums, first, within(node.entries(row), first, end), weight);
                }
            }),
        }
        self.add_dense(node, picked);
    }

    fn add_dense(&mut self, node: &Node, picked: &[Weighted]) {
        let Some(rows) = self.dense_rows else { return };
        let sum_block = |block: &[Weighted]| {
            let mut sum = vec![0.0; rows.ncols()];
            for &(row, weight) in block {
                let values = node.rows[row as usize].dense(self.dense_rows);
                sum.iter_mut().zip(values).for_each(|(sum, &value)| *sum += weight * value);
            }
            sum
        };
        let blocks: Vec<Vec<f32>> = picked.par_chunks(BLOCK_ROWS).map(sum_block).collect();
        for block in blocks {
            self.dense.iter_mut().zip(block).for_each(|(sum, value)| *sum += value);
        }
    }

    /// The products of `rows` with this sum, without the rows' own weights.
    pub(crate) fn products(&self, node: &Node, rows: &[u32], out: &mut [f32]) {
        let rows = rows.par_iter().with_min_len(MIN_TASK_ROWS);
        rows.zip(out).for_each(|(&row, out)| *out = self.product(&node.rows[row as usize]));
    }

    /// Becomes `a · left + b · right`.
    pub(crate) fn set_combination(&mut self, a: f32, left: &Self, b: f32, right: &Self) {
        let combine = |out: &mut [f32], left: &[f32], right: &[f32]| {
            for ((out, &left), &right) in out.iter_mut().zip(left).zip(right) {
                *out = a * left + b * right;
            }
        };
        let parts = left.sparse.par_chunks(CHUNK).zip(right.sparse.par_chunks(CHUNK));
        let chunks = self.sparse.par_chunks_mut(CHUNK).zip(parts);
        chunks.for_each(|(out, (left, right))| combine(out, left, right));
        combine(&mut self.dense, &left.dense, &right.dense);
    }

    /// ‖S‖² and ‖T − S‖² for this sum S and a sum T, without the rows' own weights.
    pub(crate) fn squared_norms(&self, all: &Self) -> (f64, f64) {
        // Collected, not summed in parallel: the order of the additions must not depend on the threads.
        let parts = self.sparse.par_chunks(CHUNK).zip(all.sparse.par_chunks(CHUNK));
        let sparse: Vec<_> = parts.map(|(sums, all)| squares(sums, all)).collect();
        let dense = squares(&self.dense, &all.dense);
        sparse.into_iter().fold(dense, |sum, part| (sum.0 + part.0, sum.1 + part.1))
    }

    fn product(&self, row: &NodeRow) -> f32 {
        let dense = dot_dense(&self.dense, row.dense(self.dense_rows));
        dot_entries(&self.sparse, &row.entries) + dense
    }
}

fn add_entries(sums: &mut [f32], first: u32, entries: &[Entry], weight: f32) {
    for entry in entries {
        sums[(entry.feature - first) as usize] += weight * entry.value;
    }
}

/// The entries whose features lie in `first..end`.
fn within(entries: &[Entry], first: u32, end: u32) -> &[Entry] {
    let rest = &entries[entries.partition_point(|entry| entry.feature < first)..];
    &rest[..rest.partition_point(|entry| entry.feature < end)]
}

/// The sums of every stripe with the stripe's first feature.
fn split_stripes<'s>(mut sums: &'s mut [f32], node: &Node) -> Vec<(u32, &'s mut [f32])> {
    let cut = |stripe: &std::ops::Range<u32>| {
        let (head, tail) = std::mem::take(&mut sums).split_at_mut(stripe.len());
        sums = tail;
        (stripe.start, head)
    };
    node.stripes.iter().map(cut).collect()
}

/// Σ sᵢ² and Σ (tᵢ − sᵢ)².
fn squares(sums: &[f32], all: &[f32]) -> (f64, f64) {
    let mut lanes = [[0.0f32; 8]; 2];
    for (sums, all) in sums.chunks(8).zip(all.chunks(8)) {
        for (lane, (&sum, &all)) in sums.iter().zip(all).enumerate() {
            lanes[0][lane] += sum * sum;
            lanes[1][lane] += (all - sum) * (all - sum);
        }
    }
    (f64::from(lanes[0].iter().sum::<f32>()), f64::from(lanes[1].iter().sum::<f32>()))
}

/// Four running sums: one chain of additions would wait for itself at every entry.
fn dot_entries(sums: &[f32], entries: &[Entry]) -> f32 {
    let mut lanes = [0.0f32; 4];
    let mut chunks = entries.chunks_exact(4);
    for chunk in &mut chunks {
        for (lane, entry) in lanes.iter_mut().zip(chunk) {
            *lane += sums[entry.feature as usize] * entry.value;
        }
    }
    let tail: f32 = chunks.remainder().iter().map(|entry| sums[entry.feature as usize] * entry.value).sum();
    (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]) + tail
}

/// Thirty-two running sums, which the compiler keeps in vector registers: one chain of additions would wait for itself.
fn dot_dense(left: &[f32], right: &[f32]) -> f32 {
    let mut sums = [0.0f32; 32];
    let (left, left_rest) = left.as_chunks::<32>();
    let (right, right_rest) = right.as_chunks::<32>();
    for (a, b) in left.iter().zip(right) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    let rest: f32 = left_rest.iter().zip(right_rest).map(|(a, b)| a * b).sum();
    sum_of(&sums) + rest
}

/// The sum, in halves. Not inlined: the compiler would lay out the loops before it by the pairs that are added here.
#[inline(never)]
fn sum_of(values: &[f32; 32]) -> f32 {
    let eight: [f32; 8] =
        std::array::from_fn(|at| (values[at] + values[at + 8]) + (values[at + 16] + values[at + 24]));
    let four: [f32; 4] = std::array::from_fn(|at| eight[at] + eight[at + 4]);
    (four[0] + four[2]) + (four[1] + four[3])
}
