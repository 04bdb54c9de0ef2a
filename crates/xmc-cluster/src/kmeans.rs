//! The recursion: halve all rows, then both halves, down to the wanted depth.

use crate::bisect::bisect;
use crate::node::Node;
use crate::params::BalancedKMeansParams;
use crate::{ClusterError, Partition};
use ndarray::ArrayView2;
use rand::RngCore;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;
use xmc_sparse::{Features, NoProgress, Progress};

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
        self.check_rows(features)?;
        let (depth, n_rows) = (self.params.depth, features.n_samples());
        progress.begin("cluster labels", Some((depth * n_rows) as u64), "rows");
        let recursion =
            Recursion { params: &self.params, dense: features.dense(), seeds: self.node_seeds(), progress };
        let leaves = recursion.descend(Node::root(features), 0, depth);
        progress.end();
        Ok(Partition::new(leaves))
    }

    fn check_rows(&self, features: &Features) -> Result<(), ClusterError> {
        let (n_rows, depth) = (features.n_samples(), self.params.depth);
        let n_leaves = 1usize << depth;
        if n_rows > u32::MAX as usize {
            return Err(ClusterError::TooManyRows { n_rows });
        }
        if n_leaves > n_rows {
            return Err(ClusterError::TooDeep { n_rows, n_leaves, depth });
        }
        self.params.seeding.check_rows(features)
    }

    /// One seed for each node, drawn up front: which thread splits a node does not matter.
    fn node_seeds(&self) -> Vec<u64> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(self.params.seed);
        (0..(1usize << self.params.depth) - 1).map(|_| rng.next_u64()).collect()
    }
}

struct Recursion<'a> {
    params: &'a BalancedKMeansParams,
    dense: Option<ArrayView2<'a, f32>>,
    /// Seeds of the nodes in heap order: the children of node `k` are `2k + 1` and `2k + 2`.
    seeds: Vec<u64>,
    progress: &'a dyn Progress,
}

impl Recursion<'_> {
    /// The leaves under node number `heap_id`, which is to be split `levels` more times.
    fn descend(&self, mut node: Node, heap_id: usize, levels: usize) -> Vec<Vec<u32>> {
        if levels == 0 {
            return vec![node.rows.iter().map(|row| row.id).collect()];
        }
        if heap_id > 0 {
            node.compact();
        }
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(self.seeds[heap_id]);
        let depth = self.params.depth;
        let rate = self.params.sampling.map_or(1.0, |sampling| sampling.rate(depth - levels, depth));
        let sides = bisect(&node, self.dense, self.params, rate, &mut rng);
        self.progress.advance(sides.len() as u64);
        let (left, right) = node.split(&sides);
        let (mut leaves, right) = rayon::join(
            || self.descend(left, 2 * heap_id + 1, levels - 1),
            || self.descend(right, 2 * heap_id + 2, levels - 1),
        );
        leaves.extend(right);
        leaves
    }
}
