//! Sums of rows and products of rows with them: the two passes of k-means.
//!
//! Both give the same bits at any number of threads. A feature's sum adds the rows in their order,
//! whichever stripe of features a thread works on; dense sums are added up in blocks of a fixed
//! number of rows, in order.

use crate::node::Node;
use crate::params::{BalancedKMeansParams, Seeding};
use crate::row::{DROPPED, FETCH, add_rows};
use crate::seeds;
use ndarray::ArrayView2;
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;
use xmc_sparse::kernels::{LANES, Simd, WithSimd, dispatch};

/// Rows in a block of dense sums.
const BLOCK_ROWS: usize = 4096;

/// Fewest rows that are worth a task of their own.
pub(crate) const MIN_TASK_ROWS: usize = 128;

/// Features in a chunk of element-wise work.
pub(crate) const CHUNK: usize = 1 << 14;

/// A row number within the node and the weight with which it enters a sum.
pub(crate) type Weighted = (u32, f32);

/// What a split needs of the rows of a node, whether they are there ([`NodeRows`]) or are sums of others
/// ([`SumRows`](crate::summed::SumRows)).
pub(crate) trait Rows: Sync {
    /// Number of rows.
    fn n_rows(&self) -> usize;

    /// Sparse and dense columns.
    fn widths(&self) -> (usize, usize);

    /// What the row's product with itself has beyond its columns.
    fn own(&self, row: u32) -> f32;

    /// Whether there is nothing in the row: no use as a seed.
    fn is_zero(&self, row: u32) -> bool;

    /// The sum of all rows, where it is known.
    fn sum(&self) -> Option<&RowSum> {
        None
    }

    /// Adds weight times row to `sum` for every one of `picked`.
    fn add(&self, sum: &mut RowSum, picked: &[Weighted]);

    /// The products of `rows` with `sum`, without the rows' own weights.
    fn products(&self, sum: &RowSum, rows: &[u32], out: &mut [f32]);

    /// First scores of the rows `sample`.
    fn first_scores(&self, _: &BalancedKMeansParams, sample: &[u32], rng: &mut Xoshiro256PlusPlus) -> Vec<f32>
    where
        Self: Sized,
    {
        seeds::random_row_scores(self, sample, rng)
    }
}

/// The rows of a node, with the dense part of the whole matrix.
#[derive(Clone, Copy)]
pub(crate) struct NodeRows<'a> {
    pub(crate) node: &'a Node,
    pub(crate) dense: Option<ArrayView2<'a, f32>>,
}

impl Rows for NodeRows<'_> {
    fn n_rows(&self) -> usize {
        self.node.rows.len()
    }

    fn widths(&self) -> (usize, usize) {
        (self.node.n_features, self.dense.map_or(0, |rows| rows.ncols()))
    }

    fn own(&self, row: u32) -> f32 {
        self.node.rows[row as usize].own
    }

    fn is_zero(&self, row: u32) -> bool {
        self.node.rows[row as usize].is_zero
    }

    fn sum(&self) -> Option<&RowSum> {
        self.node.sum.as_ref()
    }

    fn add(&self, sum: &mut RowSum, picked: &[Weighted]) {
        let node = self.node;
        let rows = picked.iter().map(|&(row, weight)| (weight, node.rows[row as usize].packed()));
        let add = |sums: &mut [f32], first| add_rows(rows.clone(), sums, first, |_| ());
        match node.stripes.len() {
            0 | 1 => add(&mut sum.sparse, 0),
            _ => split_stripes(&mut sum.sparse, node)
                .into_par_iter()
                .for_each(|(first, sums)| add(sums, first as usize)),
        }
        self.add_dense(&mut sum.dense, picked);
    }

    fn products(&self, sum: &RowSum, rows: &[u32], out: &mut [f32]) {
        let tasks = rows.par_chunks(MIN_TASK_ROWS).zip(out.par_chunks_mut(MIN_TASK_ROWS));
        tasks.for_each(|(rows, out)| {
            let of = NodeRows { node: self.node, dense: self.dense.map(ArrayView2::reborrow) };
            dispatch(Products { of, sum, rows, out });
        });
    }

    fn first_scores(
        &self,
        params: &BalancedKMeansParams,
        sample: &[u32],
        rng: &mut Xoshiro256PlusPlus,
    ) -> Vec<f32> {
        match (params.seeding, self.dense) {
            (Seeding::Linfa, Some(dense)) => seeds::linfa_scores(*self, dense, sample, params.max_iter, rng),
            _ => seeds::random_row_scores(self, sample, rng),
        }
    }
}

impl NodeRows<'_> {
    fn add_dense(&self, sums: &mut [f32], picked: &[Weighted]) {
        let Some(rows) = self.dense else { return };
        let sum_block = |block: &[Weighted]| {
            let mut sum = vec![0.0; rows.ncols()];
            for &(row, weight) in block {
                let values = self.node.rows[row as usize].dense(self.dense);
                sum.iter_mut().zip(values).for_each(|(sum, &value)| *sum += weight * value);
            }
            sum
        };
        let blocks: Vec<Vec<f32>> = picked.par_chunks(BLOCK_ROWS).map(sum_block).collect();
        for block in blocks {
            sums.iter_mut().zip(block).for_each(|(sum, value)| *sum += value);
        }
    }
}

/// The products of a few rows.
struct Products<'a> {
    of: NodeRows<'a>,
    sum: &'a RowSum,
    rows: &'a [u32],
    out: &'a mut [f32],
}

impl WithSimd for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let NodeRows { node, dense } = self.of;
        for (at, (&row, out)) in self.rows.iter().zip(self.out).enumerate() {
            if let Some(&next) = self.rows.get(at + FETCH) {
                node.rows[next as usize].packed().fetch(simd);
            }
            let row = &node.rows[row as usize];
            *out = row.packed().dot(simd, &self.sum.sparse) + dot_dense(&self.sum.dense, row.dense(dense));
        }
    }
}

/// A weighted sum of rows.
#[derive(Debug, Clone)]
pub(crate) struct RowSum {
    pub(crate) sparse: Vec<f32>,
    pub(crate) dense: Vec<f32>,
}

impl RowSum {
    /// The sum of no rows.
    pub(crate) fn zero((n_sparse, n_dense): (usize, usize)) -> Self {
        Self { sparse: vec![0.0; n_sparse], dense: vec![0.0; n_dense] }
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

    /// Takes another sum away.
    pub(crate) fn subtract(&mut self, other: &Self) {
        let less = |sums: &mut [f32], other: &[f32]| {
            sums.iter_mut().zip(other).for_each(|(sum, other)| *sum -= other);
        };
        less(&mut self.sparse, &other.sparse);
        less(&mut self.dense, &other.dense);
    }

    /// Gives the sparse features the numbers `new_ids`, which keep their order; those that have none ([`DROPPED`]) are left out.
    pub(crate) fn renumber(&mut self, new_ids: &[u32]) {
        let mut ids = new_ids.iter();
        self.sparse.retain(|_| ids.next().is_some_and(|&id| id != DROPPED));
    }

    /// ‖S‖² and ‖T − S‖² for this sum S and a sum T, without the rows' own weights.
    pub(crate) fn squared_norms(&self, all: &Self) -> (f64, f64) {
        // Collected, not summed in parallel: the order of the additions must not depend on the threads.
        let parts = self.sparse.par_chunks(CHUNK).zip(all.sparse.par_chunks(CHUNK));
        let sparse: Vec<_> = parts.map(|(sums, all)| dispatch(Squares { sums, all })).collect();
        let dense = dispatch(Squares { sums: &self.dense, all: &all.dense });
        sparse.into_iter().fold(dense, |sum, part| (sum.0 + part.0, sum.1 + part.1))
    }
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

/// Σ sᵢ² and Σ (tᵢ − sᵢ)², of as many of both.
struct Squares<'a> {
    sums: &'a [f32],
    all: &'a [f32],
}

impl WithSimd for Squares<'_> {
    type Output = (f64, f64);

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> (f64, f64) {
        let (mut right, mut left) = ([0.0f32; LANES], [0.0f32; LANES]);
        let ((sums, sums_rest), (all, all_rest)) = (self.sums.as_chunks(), self.all.as_chunks());
        for (sums, all) in sums.iter().zip(all) {
            add_squares(&mut right, &mut left, sums, all);
        }
        let (mut sums, mut all) = ([0.0; LANES], [0.0; LANES]);
        sums[..sums_rest.len()].copy_from_slice(sums_rest);
        all[..all_rest.len()].copy_from_slice(all_rest);
        add_squares(&mut right, &mut left, &sums, &all);
        (f64::from(right.iter().sum::<f32>()), f64::from(left.iter().sum::<f32>()))
    }
}

/// One step of [`Squares`] in each lane.
#[inline(always)]
fn add_squares(right: &mut [f32; LANES], left: &mut [f32; LANES], sums: &[f32; LANES], all: &[f32; LANES]) {
    for lane in 0..LANES {
        right[lane] += sums[lane] * sums[lane];
        left[lane] += (all[lane] - sums[lane]) * (all[lane] - sums[lane]);
    }
}

/// Thirty-two running sums, which the compiler keeps in vector registers: one chain of additions would wait for itself.
pub(crate) fn dot_dense(left: &[f32], right: &[f32]) -> f32 {
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
