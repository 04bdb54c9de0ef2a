//! Unbalanced recursive k-means: few levels of many clusters, of the size that the data has.
//!
//! The trees of Bonsai (Khandagale, Xiao and Babbar, Machine Learning 2020): wide and shallow, so that an early mistake of a
//! search leaves more ways open, and without balance, so that rare labels are not forced together with frequent ones.

use crate::kway::split;
use crate::node::Node;
use crate::params::check_refinement;
use crate::{ClusterError, Seeding};
use ndarray::ArrayView2;
use rand::RngCore;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use xmc_sparse::{Features, NoProgress, Progress};

/// Parameters of [`KMeansTree`], not yet checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KMeansTreeParams {
    /// Clusters of a split (K in Bonsai); those that stay empty are dropped. At least 2, default 100.
    pub branching: usize,
    /// A cluster with at most so many rows is not split. At least 1, default 100.
    pub max_leaf: usize,
    /// Most splits from the root to a leaf, 0 to 32; leaves at that depth may have more rows. Default 32.
    pub depth: usize,
    /// Most refinements of one split. At least 1, default 20.
    pub max_iter: usize,
    /// A split is done when at most this share of its rows changed clusters in a refinement. In 0..1, default 0.
    pub tolerance: f32,
    /// Centroids are normalised sums compared by their products (spherical k-means) rather than means compared by
    /// distance. Default true.
    pub spherical: bool,
    /// What a split starts from. Default [`Seeding::RandomRows`].
    pub seeding: Seeding,
    /// Seed of every random draw. Default 0.
    pub seed: u64,
}

impl Default for KMeansTreeParams {
    fn default() -> Self {
        Self {
            branching: 100,
            max_leaf: 100,
            depth: MAX_DEPTH,
            max_iter: 20,
            tolerance: 0.0,
            spherical: true,
            seeding: Seeding::RandomRows,
            seed: 0,
        }
    }
}

/// Deepest recursion. Splits that keep peeling off a few rows would otherwise go as deep as there are rows.
const MAX_DEPTH: usize = 32;

impl KMeansTreeParams {
    crate::setters! {
        branching: usize,
        max_leaf: usize,
        depth: usize,
        max_iter: usize,
        tolerance: f32,
        spherical: bool,
        seeding: Seeding,
        seed: u64,
    }

    /// The same parameters, known to be in range.
    ///
    /// # Errors
    /// [`ClusterError::Param`] or [`ClusterError::Tolerance`] for the first one that is out of its range.
    pub fn check(self) -> Result<KMeansTree, ClusterError> {
        let wrong = |name, found, expected| Err(ClusterError::Param { name, found, expected });
        if self.branching < 2 || self.branching > MAX_BRANCHING {
            return wrong("branching", self.branching, "2 to 65536");
        }
        if self.max_leaf == 0 {
            return wrong("max_leaf", 0, "at least 1");
        }
        if self.depth > MAX_DEPTH {
            return wrong("depth", self.depth, "at most 32");
        }
        check_refinement(self.max_iter, self.tolerance)?;
        Ok(KMeansTree { params: self })
    }
}

/// Most clusters of a split: beyond that one pass over the rows for every sixteen is no way to find them.
const MAX_BRANCHING: usize = 1 << 16;

/// Recursive k-means over sparse rows, dense rows or both.
///
/// The result depends on the rows, the parameters and the seed, never on the number of threads.
///
/// ```
/// use xmc_cluster::{Branch, KMeansTree};
/// use xmc_sparse::{Csr, Features};
/// let rows = [[(0, 1.0)], [(3, 1.0)], [(0, 0.9)], [(0, 0.8)]];
/// let features = Features::from_sparse(Csr::from_rows(4, rows)?);
/// let tree = KMeansTree::params().branching(2).max_leaf(3).seed(1).check()?.fit(&features)?;
/// let Branch::Inner(mut parts) = tree else { panic!("four rows are more than a leaf takes") };
/// parts.sort_by_key(Branch::n_rows);
/// assert_eq!(parts, [Branch::Leaf(vec![1]), Branch::Leaf(vec![0, 2, 3])]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct KMeansTree {
    params: KMeansTreeParams,
}

/// A cluster with all that is under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Branch {
    /// Clusters, two at least.
    Inner(Vec<Branch>),
    /// Row numbers, increasing.
    Leaf(Vec<u32>),
}

impl Branch {
    /// Number of rows under this cluster.
    pub fn n_rows(&self) -> usize {
        match self {
            Self::Inner(branches) => branches.iter().map(Self::n_rows).sum(),
            Self::Leaf(rows) => rows.len(),
        }
    }
}

impl KMeansTree {
    /// The default parameters.
    pub fn params() -> KMeansTreeParams {
        KMeansTreeParams::default()
    }

    /// Clusters the rows of `features` (`n_rows × n_features`). Leaves may lie at different depths.
    ///
    /// # Errors
    /// [`ClusterError::TooManyRows`] above `u32::MAX` rows, [`ClusterError::NotDense`] when [`Seeding::Linfa`] meets
    /// sparse entries.
    pub fn fit(&self, features: &Features) -> Result<Branch, ClusterError> {
        self.fit_with_progress(features, &NoProgress)
    }

    /// As [`fit`](Self::fit), reporting rows that have reached their leaf.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub fn fit_with_progress(
        &self,
        features: &Features,
        progress: &dyn Progress,
    ) -> Result<Branch, ClusterError> {
        let n_rows = features.n_samples();
        if n_rows > u32::MAX as usize {
            return Err(ClusterError::TooManyRows { n_rows });
        }
        self.params.seeding.check_rows(features)?;
        progress.begin("cluster labels", Some(n_rows as u64), "rows");
        let dense = features.dense();
        let dense = dense.as_ref().map(|rows| rows.view());
        let recursion = Recursion { params: &self.params, dense, progress };
        let root = recursion.descend(Node::root(features), 0, self.params.seed);
        progress.end();
        Ok(root)
    }
}

struct Recursion<'a> {
    params: &'a KMeansTreeParams,
    dense: Option<ArrayView2<'a, f32>>,
    progress: &'a dyn Progress,
}

impl Recursion<'_> {
    fn descend(&self, mut node: Node, depth: usize, seed: u64) -> Branch {
        let n_rows = node.rows.len();
        if n_rows <= self.params.max_leaf || depth == self.params.depth {
            self.progress.advance(n_rows as u64);
            return Branch::Leaf(node.rows.iter().map(|row| row.id).collect());
        }
        if depth > 0 {
            node.compact();
        }
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let (parts, n_parts) = split(&node, self.dense, self.params, &mut rng);
        // Seeds before the branches part: which thread takes which does not matter.
        let branches: Vec<(Node, u64)> =
            node.split_into(&parts, n_parts).into_iter().map(|node| (node, rng.next_u64())).collect();
        let descend = |(node, seed)| self.descend(node, depth + 1, seed);
        Branch::Inner(branches.into_par_iter().map(descend).collect())
    }
}
