//! The recursion: halve all rows, then both halves, down to the wanted depth.

use crate::bisect::{Halves, bisect};
use crate::node::Node;
use crate::params::BalancedKMeansParams;
use crate::summed::{SumRows, SummedRows};
use crate::sums::{NodeRows, Rows};
use crate::{ClusterError, Partition, Seeding};
use ndarray::{Array2, ArrayView2};
use rand::RngCore;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;
use std::sync::RwLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use xmc_sparse::{Features, NoProgress, Progress, run_few_in_order};

/// Recursive balanced 2-means over sparse rows, dense rows or both.
///
/// Every split halves a node exactly: ⌊n/2⌋ rows to the left, the rest to the right. The result
/// depends on the rows, the parameters and the seed, never on the number of threads.
///
/// ```
/// use xmc_cluster::BalancedKMeans;
/// use xmc_sparse::{Csr, Features};
/// let rows = [[(0, 1.0)], [(3, 1.0)], [(0, 0.9)], [(3, 0.8)]];
/// let features = Features::from_sparse(Csr::from_rows(4, rows)?);
/// let partition = BalancedKMeans::params().depth(1).check()?.fit(&features)?;
/// assert!(partition.leaves().any(|leaf| leaf == [0, 2]));
/// assert!(partition.leaves().any(|leaf| leaf == [1, 3]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct BalancedKMeans {
    params: BalancedKMeansParams,
}

impl BalancedKMeans {
    /// The default parameters.
    pub fn params() -> BalancedKMeansParams {
        BalancedKMeansParams::default()
    }

    pub(crate) fn new(params: BalancedKMeansParams) -> Self {
        Self { params }
    }

    /// Clusters the rows of `features` (`n_rows × n_features`) into `2^depth` leaves.
    ///
    /// # Errors
    /// [`ClusterError::TooDeep`] with more leaves than rows, [`ClusterError::TooManyRows`] above
    /// `u32::MAX` rows, [`ClusterError::NotDense`] when [`Seeding::Linfa`](crate::Seeding::Linfa) meets sparse entries.
    pub fn fit(&self, features: &Features) -> Result<Partition, ClusterError> {
        self.fit_with_progress(features, &NoProgress)
    }

    /// As [`fit`](Self::fit), reporting rows placed: every row once for each level.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub fn fit_with_progress(
        &self,
        features: &Features,
        progress: &dyn Progress,
    ) -> Result<Partition, ClusterError> {
        let n_rows = features.n_samples();
        self.check_rows(n_rows)?;
        self.params.seeding.check_rows(features)?;
        progress.begin("cluster labels", Some((self.params.depth * n_rows) as u64), "rows");
        let dense = features.dense();
        let dense = dense.as_ref().map(|rows| rows.view());
        let leaves = self.recursion(progress).descend(dense, Node::root(features), Place::ROOT);
        progress.end();
        Ok(Partition::new(leaves))
    }

    /// As [`fit_with_progress`](Self::fit_with_progress), for rows that are not there. They are made for a node at a time, where that is
    /// faster, and for as many nodes at once as there are threads; `rows` are gone when the last one has its own.
    ///
    /// # Errors
    /// As [`fit`](Self::fit), [`ClusterError::NotDense`] with any [`Seeding::Linfa`](crate::Seeding::Linfa).
    pub fn fit_summed(
        &self,
        rows: SummedRows<'_>,
        progress: &dyn Progress,
    ) -> Result<Partition, ClusterError> {
        let n_rows = rows.n_rows();
        self.check_rows(n_rows)?;
        if self.params.seeding == Seeding::Linfa {
            return Err(rows.not_dense());
        }
        progress.begin("cluster labels", Some((self.params.depth * n_rows) as u64), "rows");
        let leaves = self.recursion(progress).descend_summed(rows);
        progress.end();
        Ok(Partition::new(leaves))
    }

    fn recursion<'a>(&'a self, progress: &'a dyn Progress) -> Recursion<'a> {
        Recursion { params: &self.params, seeds: self.node_seeds(), progress }
    }

    fn check_rows(&self, n_rows: usize) -> Result<(), ClusterError> {
        let depth = self.params.depth;
        let n_leaves = 1usize << depth;
        if n_rows > u32::MAX as usize {
            return Err(ClusterError::TooManyRows { n_rows });
        }
        match n_leaves > n_rows {
            true => Err(ClusterError::TooDeep { n_rows, n_leaves, depth }),
            false => Ok(()),
        }
    }

    /// One seed for each node, drawn up front: which thread splits a node does not matter.
    fn node_seeds(&self) -> Vec<u64> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(self.params.seed);
        (0..(1usize << self.params.depth) - 1).map(|_| rng.next_u64()).collect()
    }
}

/// What nodes are made of, until the last one is.
struct Maker<'a> {
    rows: RwLock<Option<SummedRows<'a>>>,
    n_to_make: AtomicUsize,
}

impl<'a> Maker<'a> {
    fn new(rows: SummedRows<'a>, n_to_make: usize) -> Self {
        Self { rows: RwLock::new(Some(rows)), n_to_make: AtomicUsize::new(n_to_make) }
    }

    /// As [`SummedRows::make`].
    fn make(&self, ids: &[u32]) -> (Node, Option<Array2<f32>>) {
        let rows = self.rows.read().expect("invariant: no thread panics while it writes");
        let made = rows.as_ref().expect("invariant: rows are there until the last node is made").make(ids);
        drop(rows);
        if self.n_to_make.fetch_sub(1, Ordering::AcqRel) == 1 {
            *self.rows.write().expect("invariant: no thread panics while it writes") = None;
        }
        made
    }
}

struct Recursion<'a> {
    params: &'a BalancedKMeansParams,
    /// Seeds of the nodes in heap order: the children of node `k` are `2k + 1` and `2k + 2`.
    seeds: Vec<u64>,
    progress: &'a dyn Progress,
}

/// Where a node stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Its number in heap order.
    heap_id: usize,
    /// Splits above it.
    level: usize,
}

impl Place {
    const ROOT: Self = Self { heap_id: 0, level: 0 };

    fn children(self) -> [Self; 2] {
        [1, 2].map(|side| Self { heap_id: 2 * self.heap_id + side, level: self.level + 1 })
    }
}

impl Recursion<'_> {
    /// The halves of a node.
    fn halves<R: Rows>(&self, rows: &R, at: Place) -> Halves {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(self.seeds[at.heap_id]);
        let rate = self.params.sampling.map_or(1.0, |sampling| sampling.rate(at.level, self.params.depth));
        let halves = bisect(rows, self.params, rate, &mut rng);
        self.progress.advance(halves.sides.len() as u64);
        halves
    }

    /// The leaves under `node`. `dense` is the dense part of the matrix that its rows are numbered in.
    fn descend(&self, dense: Option<ArrayView2<'_, f32>>, mut node: Node, at: Place) -> Vec<Vec<u32>> {
        if at.level == self.params.depth {
            return vec![node.rows.iter().map(|row| row.id).collect()];
        }
        node.compact();
        let rows = NodeRows { node: &node, dense: dense.map(ArrayView2::reborrow) };
        let halves = self.halves(&rows, at);
        let ((left, right), [to_left, to_right]) = (node.split(halves), at.children());
        let (mut leaves, right) =
            rayon::join(|| self.descend(dense, left, to_left), || self.descend(dense, right, to_right));
        leaves.extend(right);
        leaves
    }

    /// The leaves of rows that are not there.
    fn descend_summed(&self, rows: SummedRows<'_>) -> Vec<Vec<u32>> {
        let (mut made, mut open) = (Vec::new(), vec![((0..rows.n_rows() as u32).collect(), Place::ROOT)]);
        // The last one first, so that nodes come to `made` from the left to the right.
        while let Some((ids, at)) = open.pop() {
            let node = SumRows::new(&rows, ids);
            if at.level == self.params.depth || !node.pays() {
                made.push((node.into_ids(), at));
                continue;
            }
            let sides = self.halves(&node, at).sides;
            let (right, left): (Vec<_>, Vec<_>) =
                node.into_ids().into_iter().zip(sides).partition(|&(_, is_right)| is_right);
            let [to_left, to_right] = at.children();
            let ids = |rows: Vec<(u32, bool)>| rows.into_iter().map(|(id, _)| id).collect::<Vec<_>>();
            open.extend([(ids(right), to_right), (ids(left), to_left)]);
        }
        // Not by rayon's own means: a thread that waits within one node would begin others, and have their rows in memory as well.
        let n_to_make = made.iter().filter(|(_, at)| at.level < self.params.depth).count();
        let (at_once, maker) = (rows.at_once, Maker::new(rows, n_to_make));
        let descend = |(): &mut (), job: usize| self.descend_made(&maker, &made[job]);
        run_few_in_order(at_once, made.len(), || (), descend).concat()
    }

    /// The leaves under a node whose rows are made here.
    fn descend_made(&self, maker: &Maker<'_>, (ids, at): &(Vec<u32>, Place)) -> Vec<Vec<u32>> {
        if at.level == self.params.depth {
            return vec![ids.clone()];
        }
        let (node, dense) = maker.make(ids);
        let mut leaves = self.descend(dense.as_ref().map(|dense| dense.view()), node, *at);
        leaves.iter_mut().flatten().for_each(|row| *row = ids[*row as usize]);
        leaves
    }
}
