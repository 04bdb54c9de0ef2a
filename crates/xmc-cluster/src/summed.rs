//! Rows that are not there: each a weighted sum of instances, brought to length 1.
//!
//! What a label looks like is the sum of the instances that have it. Where an instance has dozens of labels, all these sums have
//! dozens of times the entries of the instances, more than fit into memory. A split needs no sum itself, though, but two things
//! that are linear in them, with labels l, instances i and shares w:
//!
//! ```text
//! Σ_l a_l Σ_i w_li x_i = Σ_i (Σ_l a_l w_li) x_i          a sum of rows
//! ⟨c, Σ_i w_li x_i⟩    = Σ_i w_li ⟨c, x_i⟩               the product of a row with a centroid
//! ```
//!
//! Both cost one pass over the shares and one over the instances' entries. Deeper down a node has few labels but still reaches many
//! instances; from where that takes longer than to work with the sums, they are made, a node at a time.

use crate::ClusterError;
use crate::gather::{Gathering, Instances, square, squares_of};
use crate::node::Node;
use crate::row::{NodeRow, PackedRow, add_rows};
use crate::sums::{CHUNK, MIN_TASK_ROWS, RowSum, Rows, Weighted, dot_dense};
use ndarray::Array2;
use rayon::prelude::*;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use xmc_sparse::kernels::{Simd, WithSimd, dispatch};
use xmc_sparse::{Csr, Features, SparseRow, run_in_order};

/// Entries that the sums of a node may have for them to be made, unless told otherwise ([`SummedRows::limits`]): at most 512 MiB.
pub const NODE_ENTRIES: u64 = 1 << 27;

/// Entries of the sums that take as long as a visit of a share or of an instance's entry: sums are visited once in a refinement, after the
/// first, and half of their entries are shared; the others twice. From 3 to 6 the time is the same, and the memory is less.
const ENTRIES_PER_VISIT: u64 = 4;

/// Most entries that the sums of a node have when they are made: `entries` are those of all rows, counting those twice that two instances share, `visits`
/// shares and entries of the instances, and `most` the limit ([`SummedRows::limits`]).
pub fn most_entries_made(entries: u64, visits: u64, most: u64) -> u64 {
    entries.min(most).min(ENTRIES_PER_VISIT * visits)
}

/// Blocks of instances whose sums are made beside each other. A constant, not the number of threads: the bits depend on it.
const BLOCKS: usize = 16;

/// Fewest instances of a block.
const MIN_BLOCK: usize = 1 << 12;

/// Rows `z_l = s_l Σ_i w_li x_i` of Euclidean length 1, known by the shares w and the instances x.
pub struct SummedRows<'a> {
    shares: &'a Csr,
    x: &'a Features,
    /// The sparse part of x.
    instances: Instances,
    /// Of each row s, 0 for a sum of length 0, and the squares of what no other row has; not there before they are asked for.
    scales: OnceLock<Vec<(f32, f32)>>,
    node_entries: u64,
    /// Nodes whose rows are made at a time.
    pub(crate) at_once: usize,
}

impl<'a> SummedRows<'a> {
    /// Rows by their `shares` (`n_rows × n_instances`) of instances `x` (`n_instances × n_features`).
    ///
    /// Panics when `shares` has not one column for each instance.
    pub fn new(shares: &'a Csr, x: &'a Features) -> Self {
        assert_eq!(shares.n_cols(), x.n_samples(), "one share for each instance");
        let mut n_rows = vec![0; x.n_samples()];
        shares.indices().iter().for_each(|&instance| n_rows[instance as usize] += 1);
        let instances = Instances::new(x.sparse(), &n_rows);
        Self {
            shares,
            x,
            instances,
            scales: OnceLock::new(),
            node_entries: NODE_ENTRIES,
            at_once: usize::MAX,
        }
    }

    /// Sets how many entries the rows of a node may have to be made, counting those twice that two instances share, and of how many nodes
    /// they may be in memory at a time. Default [`NODE_ENTRIES`], and as many nodes as there are threads.
    #[must_use]
    pub fn limits(mut self, node_entries: Option<u64>, at_once: Option<usize>) -> Self {
        self.node_entries = node_entries.unwrap_or(NODE_ENTRIES);
        self.at_once = at_once.unwrap_or(usize::MAX);
        self
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.shares.n_rows()
    }

    /// Why seeds that need dense rows cannot be had.
    pub(crate) fn not_dense(&self) -> ClusterError {
        ClusterError::NotDense { nnz: self.x.sparse().nnz(), n_dense: self.x.n_dense() }
    }

    /// The rows themselves as the root of a recursion, and their dense part.
    pub(crate) fn make(&self, ids: &[u32]) -> (Node, Option<Array2<f32>>) {
        let (n_features, n_dense) = (self.instances.n_features, self.x.n_dense());
        let row = |sum: &mut Sum<'_>, row: usize| sum.unit(ids[row] as usize, row as u32);
        let (rows, dense): (Vec<_>, Vec<_>) = self.sum_each(ids.len(), row).unzip();
        let dense = (n_dense > 0).then(|| Array2::from_shape_vec((ids.len(), n_dense), dense.concat()));
        let dense = dense.map(|dense| dense.expect("invariant: all rows are equally wide"));
        (Node::new(rows, n_features), dense)
    }

    fn scale(&self, id: usize) -> (f32, f32) {
        self.scales.get_or_init(|| self.scales())[id]
    }

    fn scales(&self) -> Vec<(f32, f32)> {
        self.sum_each(self.n_rows(), Sum::scale).collect()
    }

    /// What `of` makes of each of `n_rows` sums. A few at a time, as labels with very many instances may stand together.
    fn sum_each<'s, T: Send>(
        &'s self,
        n_rows: usize,
        of: impl Fn(&mut Sum<'s>, usize) -> T + Sync,
    ) -> impl Iterator<Item = T> {
        let task = |sum: &mut Sum<'s>, task: usize| {
            let first = task * MIN_TASK_ROWS;
            (first..(first + MIN_TASK_ROWS).min(n_rows)).map(|row| of(sum, row)).collect::<Vec<_>>()
        };
        run_in_order(n_rows.div_ceil(MIN_TASK_ROWS), || Sum::new(self), task).into_iter().flatten()
    }

    /// The sparse parts that row `id` is the sum of.
    fn parts(&self, id: usize) -> impl Iterator<Item = (f32, PackedRow<'_>)> + Clone {
        self.shares.row(id).iter().map(|(instance, share)| (share, self.instances.row(instance as usize)))
    }
}

/// A row in the making; one for each thread.
struct Sum<'a> {
    of: &'a SummedRows<'a>,
    sparse: Gathering,
    dense: Vec<f32>,
    /// The squares of features that no other row has.
    own: f32,
}

impl<'a> Sum<'a> {
    fn new(of: &'a SummedRows<'a>) -> Self {
        let (sparse, dense) = (Gathering::new(of.instances.n_features), vec![0.0; of.x.n_dense()]);
        Self { of, sparse, dense, own: 0.0 }
    }

    /// Adds the dense parts of a row's instances, and what only it has.
    fn add_rest(&mut self, id: usize) {
        let SummedRows { shares, x, instances, .. } = self.of;
        for (instance, share) in shares.row(id).iter() {
            self.own += share * share * instances.own(instance as usize);
            let dense = x.row(instance as usize).dense;
            self.dense.iter_mut().zip(dense).for_each(|(sum, value)| *sum += share * value);
        }
    }

    /// One over the length of the sum of row `id`, 0 where that is no number, and the squares of what is its own when it has length 1; nothing is left.
    fn scale(&mut self, id: usize) -> (f32, f32) {
        self.add_rest(id);
        let sparse = self.sparse.squares(self.of.parts(id));
        let dense: f64 = self.dense.iter_mut().map(|value| square(std::mem::take(value))).sum();
        let own = std::mem::take(&mut self.own);
        let scale = scale_of(sparse + dense + f64::from(own));
        (scale, own * scale * scale)
    }

    /// Row `id` brought to length 1, as row `number` of a node, and its dense part; nothing is left.
    fn unit(&mut self, id: usize, number: u32) -> (NodeRow, Vec<f32>) {
        self.add_rest(id);
        self.sparse.add(self.of.parts(id));
        let entries = self.sparse.take();
        let dense: f64 = self.dense.iter().copied().map(square).sum();
        let own = std::mem::take(&mut self.own);
        let scale = scale_of(squares_of(entries) + dense + f64::from(own));
        let dense = self.dense.iter_mut().map(|value| scale * std::mem::take(value)).collect();
        let mut row = NodeRow::new(number, entries, scale, self.of.instances.n_features);
        (row.is_zero, row.own) = (scale == 0.0, own * scale * scale);
        (row, dense)
    }
}

/// What takes a sum of so many squares to 1; 0 where that is no number.
fn scale_of(squares: f64) -> f32 {
    if squares > 0.0 { (1.0 / squares.sqrt()) as f32 } else { 0.0 }
}

/// Sparse entries of an instance.
fn n_sparse(instance: u32, x: &Features) -> u64 {
    x.row(instance as usize).sparse.nnz() as u64
}

/// Sparse entries of a sum of `instances`, counting those twice that two of them share.
fn summed_entries(instances: &[u32], x: &Features) -> u64 {
    instances.iter().map(|&instance| n_sparse(instance, x)).sum()
}

/// What a node takes, in visits of entries.
struct Cost {
    /// Entries of the sums, about.
    entries: u64,
    /// Shares, and entries of the instances that are reached.
    visits: u64,
    /// The instances that rows of the node have a share of.
    reached: Vec<bool>,
}

impl Cost {
    fn of(ids: &[u32], shares: &Csr, x: &Features) -> Self {
        let reached = Reached::none(x.n_samples());
        let of_row = |&id: &u32| {
            let instances = shares.row(id as usize).indices;
            reached.add(instances);
            // Dense columns are the same ones in every instance.
            (summed_entries(instances, x) + x.n_dense() as u64, instances.len() as u64)
        };
        let add = |a: (u64, u64), b: (u64, u64)| (a.0 + b.0, a.1 + b.1);
        let (entries, n_shares) =
            ids.par_iter().with_min_len(MIN_TASK_ROWS).map(of_row).reduce(|| (0, 0), add);
        let reached = reached.finish();
        let instances = (0u32..).zip(&reached).filter(|(_, reached)| **reached);
        let visits =
            n_shares + instances.map(|(instance, _)| n_sparse(instance, x) + x.n_dense() as u64).sum::<u64>();
        Self { entries, visits, reached }
    }

    /// Whether sums of more than `most` entries need not be made, or they take longer than without.
    fn pays(&self, most: u64) -> bool {
        self.entries > most || self.entries > ENTRIES_PER_VISIT * self.visits
    }
}

/// Instances that some rows have a share of, noted by all threads.
struct Reached(Vec<AtomicBool>);

impl Reached {
    fn none(n_instances: usize) -> Self {
        Self((0..n_instances).map(|_| AtomicBool::new(false)).collect())
    }

    fn add(&self, instances: &[u32]) {
        instances.iter().for_each(|&instance| self.0[instance as usize].store(true, Ordering::Relaxed));
    }

    fn finish(self) -> Vec<bool> {
        self.0.into_iter().map(AtomicBool::into_inner).collect()
    }
}

/// Some of the rows, as a node of the recursion.
pub(crate) struct SumRows<'a> {
    all: &'a SummedRows<'a>,
    /// Numbers of the rows, increasing.
    ids: Vec<u32>,
    cost: Cost,
}

impl<'a> SumRows<'a> {
    pub(crate) fn new(all: &'a SummedRows<'a>, ids: Vec<u32>) -> Self {
        let cost = Cost::of(&ids, all.shares, all.x);
        Self { all, ids, cost }
    }

    /// Whether this is better than to make the rows.
    pub(crate) fn pays(&self) -> bool {
        self.cost.pays(self.all.node_entries)
    }

    pub(crate) fn into_ids(self) -> Vec<u32> {
        self.ids
    }

    /// Scale and shares of row `row` of the node.
    fn row(&self, row: u32) -> (f32, SparseRow<'a>) {
        let id = self.ids[row as usize] as usize;
        (self.all.scale(id).0, self.all.shares.row(id))
    }

    /// The instances that `rows` have a share of.
    fn reached(&self, rows: &[u32]) -> Vec<bool> {
        let reached = Reached::none(self.all.x.n_samples());
        let rows = rows.par_iter().with_min_len(MIN_TASK_ROWS);
        rows.for_each(|&row| reached.add(self.all.shares.row(self.ids[row as usize] as usize).indices));
        reached.finish()
    }

    /// Instances of a block.
    fn block_size(&self) -> usize {
        self.all.x.n_samples().div_ceil(BLOCKS).max(MIN_BLOCK)
    }

    /// The weight of every instance in the sum of the rows `picked`.
    fn instance_weights(&self, picked: &[Weighted]) -> Vec<f32> {
        let mut weights = vec![0.0; self.all.x.n_samples()];
        let blocks = weights.par_chunks_mut(self.block_size()).enumerate();
        blocks.for_each(|(block, weights)| {
            let first = (block * self.block_size()) as u32;
            let end = first + weights.len() as u32;
            for &(row, weight) in picked {
                let (scale, shares) = self.row(row);
                let from = shares.indices.partition_point(|&instance| instance < first);
                let rest = shares.indices[from..].iter().zip(&shares.values[from..]);
                for (&instance, &share) in rest.take_while(|(instance, _)| **instance < end) {
                    weights[(instance - first) as usize] += weight * scale * share;
                }
            }
        });
        weights
    }
}

impl Rows for SumRows<'_> {
    fn n_rows(&self) -> usize {
        self.ids.len()
    }

    fn widths(&self) -> (usize, usize) {
        (self.all.instances.n_features, self.all.x.n_dense())
    }

    fn own(&self, row: u32) -> f32 {
        self.all.scale(self.ids[row as usize] as usize).1
    }

    fn is_zero(&self, row: u32) -> bool {
        self.row(row).0 == 0.0
    }

    fn add(&self, sum: &mut RowSum, picked: &[Weighted]) {
        let weights = self.instance_weights(picked);
        let (size, x, instances) = (self.block_size(), self.all.x, &self.all.instances);
        let of_block = |(block, weights): (usize, &[f32])| {
            let mut part = RowSum::zero(self.widths());
            let weighted = (block * size..).zip(weights).filter(|(_, weight)| **weight != 0.0);
            let rows = weighted.clone().map(|(instance, &weight)| (weight, instances.row(instance)));
            add_rows(rows, &mut part.sparse, 0, |_| ());
            for (instance, &weight) in weighted {
                let dense = x.row(instance).dense;
                part.dense.iter_mut().zip(dense).for_each(|(sum, value)| *sum += weight * value);
            }
            part
        };
        let parts: Vec<RowSum> = weights.par_chunks(size).enumerate().map(of_block).collect();
        sum.sparse.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, sums)| {
            for part in &parts {
                sums.iter_mut().zip(&part.sparse[chunk * CHUNK..]).for_each(|(sum, value)| *sum += value);
            }
        });
        for part in &parts {
            sum.dense.iter_mut().zip(&part.dense).for_each(|(sum, value)| *sum += value);
        }
    }

    fn products(&self, sum: &RowSum, rows: &[u32], out: &mut [f32]) {
        let mut of_instances = vec![0.0; self.all.x.n_samples()];
        let few = (rows.len() < self.n_rows()).then(|| self.reached(rows));
        let reached = few.as_deref().unwrap_or(&self.cost.reached);
        let tasks = of_instances.par_chunks_mut(MIN_TASK_ROWS).enumerate();
        tasks.for_each(|(task, out)| {
            dispatch(Products { of: self.all, reached, sum, first: task * MIN_TASK_ROWS, out });
        });
        let rows = rows.par_iter().with_min_len(MIN_TASK_ROWS);
        rows.zip(out).for_each(|(&row, out)| {
            let (scale, shares) = self.row(row);
            *out = scale * dot_sparse(&of_instances, shares);
        });
    }
}

/// The products of instances from `first` on that are `reached`.
struct Products<'a> {
    of: &'a SummedRows<'a>,
    reached: &'a [bool],
    sum: &'a RowSum,
    first: usize,
    out: &'a mut [f32],
}

impl WithSimd for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let SummedRows { x, instances, .. } = self.of;
        for (instance, out) in (self.first..).zip(self.out).filter(|(instance, _)| self.reached[*instance]) {
            let dense = dot_dense(&self.sum.dense, x.row(instance).dense);
            *out = instances.row(instance).dot(simd, &self.sum.sparse) + dense;
        }
    }
}

/// Four running sums: one chain of additions would wait for itself at every entry.
fn dot_sparse(dense: &[f32], row: SparseRow<'_>) -> f32 {
    let mut lanes = [0.0f32; 4];
    let (indices, last_indices) = row.indices.as_chunks::<4>();
    let (values, last_values) = row.values.as_chunks::<4>();
    for (indices, values) in indices.iter().zip(values) {
        for lane in 0..4 {
            lanes[lane] += dense[indices[lane] as usize] * values[lane];
        }
    }
    let last = last_indices.iter().zip(last_values);
    let last: f32 = last.map(|(&index, &value)| dense[index as usize] * value).sum();
    (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]) + last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sums::NodeRows;
    use ndarray::{Array1, Array2};

    /// 40 instances and 12 rows of three to five of them, the last of none.
    fn sample() -> (Csr, Features) {
        let entries = |row: u32| {
            let feature = move |k: u32| (row * 7 + k * 5) % 30;
            let mut entries: Vec<_> = (0..5).map(|k| (feature(k), 0.5 + ((row + k) % 3) as f32)).collect();
            entries.sort_by_key(|entry| entry.0);
            entries
        };
        let dense = Array2::from_shape_fn((40, 3), |(row, col)| ((row * 3 + col) % 7) as f32 - 3.0);
        let x = Features::new(Csr::from_rows(30, (0..40).map(entries)).unwrap(), Some(dense)).unwrap();
        let of_row = |row: u32| {
            let n = if row == 11 { 0 } else { 3 + row % 3 };
            (0..n).map(|k| (row * 2 + k * 4, 0.25 + k as f32)).collect::<Vec<_>>()
        };
        (Csr::from_rows(40, (0..12).map(of_row)).unwrap(), x)
    }

    /// The rows, made in the simplest way.
    fn made(shares: &Csr, x: &Features, ids: &[u32]) -> Array2<f32> {
        let mut rows = Array2::<f32>::zeros((ids.len(), x.n_sparse() + x.n_dense()));
        for (mut out, &id) in rows.rows_mut().into_iter().zip(ids) {
            for (instance, share) in shares.row(id as usize).iter() {
                let row = x.row(instance as usize);
                row.sparse.iter().for_each(|(feature, value)| out[feature as usize] += share * value);
                (x.n_sparse()..).zip(row.dense).for_each(|(at, value)| out[at] += share * value);
            }
            let length = out.dot(&out).sqrt();
            if length > 0.0 {
                out /= length;
            }
        }
        rows
    }

    #[test]
    fn sums_and_products_are_those_of_the_rows() {
        let (shares, x) = sample();
        let all = SummedRows::new(&shares, &x);
        let ids = vec![1, 4, 5, 9, 11];
        let rows = made(&shares, &x, &ids);
        let ((node, dense), summed) = (all.make(&ids), SumRows::new(&all, ids));
        let there = NodeRows { node: &node, dense: dense.as_ref().map(|rows| rows.view()) };
        assert_eq!((summed.n_rows(), summed.is_zero(3), summed.is_zero(4)), (5, false, true));
        let picked = [(0, 1.0), (2, -0.5), (3, 2.0)];
        let (mut a, mut b) = (RowSum::zero(there.widths()), RowSum::zero(summed.widths()));
        there.add(&mut a, &picked);
        summed.add(&mut b, &picked);
        let (mut p, mut q) = ([0.0; 3], [0.0; 3]);
        there.products(&a, &[0, 3, 4], &mut p);
        summed.products(&b, &[0, 3, 4], &mut q);
        // What only one row has is in no entry, but in its own weight.
        let own = |products: &mut [f32; 3], own: [f32; 2]| {
            products[0] += own[0];
            products[1] += 2.0 * own[1];
        };
        own(&mut p, [there.own(0), there.own(3)]);
        own(&mut q, [summed.own(0), summed.own(3)]);
        let sum = picked
            .iter()
            .fold(Array1::<f32>::zeros(33), |sum, &(row, weight)| sum + weight * &rows.row(row as usize));
        for (at, row) in [0, 3, 4].into_iter().enumerate() {
            let expected = rows.row(row).dot(&sum);
            assert!(
                (p[at] - expected).abs() < 1e-4 && (q[at] - expected).abs() < 1e-4,
                "{p:?} {q:?} {expected}"
            );
        }
        assert!(p[0] > 0.1, "{p:?}");
    }

    #[test]
    fn a_row_whose_values_cancel_out_has_the_scale_of_the_rest() {
        let x = Features::from_sparse(
            Csr::from_rows(2, [vec![(0, 1.0), (1, 2.0)], vec![(0, -1.0)], vec![(0, 4.0)]]).unwrap(),
        );
        let shares =
            Csr::from_rows(3, [vec![(0, 1.0), (1, 1.0)], vec![(0, 1.0), (1, 1.0), (2, 0.5)]]).unwrap();
        let scales = SummedRows::new(&shares, &x).scales();
        let found = scales.iter().map(|scale| scale.0);
        assert!(found.zip([0.5, 1.0 / 8f32.sqrt()]).all(|(a, b)| (a - b).abs() < 1e-4), "{scales:?}");
    }

    #[test]
    fn shares_pay_where_instances_have_many_labels() {
        let x =
            Features::from_sparse(Csr::from_rows(9, (0..50).map(|_| (0..9).map(|at| (at, 1.0)))).unwrap());
        let few = Csr::from_rows(50, (0..50).map(|row| [(row, 1.0)])).unwrap();
        let many = Csr::from_rows(50, (0..50).map(|_| (0..50).map(|at| (at, 1.0)))).unwrap();
        let ids: Vec<u32> = (0..50).collect();
        assert!(!Cost::of(&ids, &few, &x).pays(NODE_ENTRIES));
        assert!(Cost::of(&ids, &few, &x).pays(449) && !Cost::of(&ids, &few, &x).pays(450));
        // 50 × 50 × 9 entries against 50 × 50 shares and 50 × 9 entries.
        assert!(Cost::of(&ids, &many, &x).pays(NODE_ENTRIES));
    }
}
