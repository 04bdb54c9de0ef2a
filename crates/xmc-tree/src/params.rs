//! Hyper-parameters of the label tree and its construction.
//!
//! Binary balanced splits give 2^depth leaves whose codes are collapsed to the wanted branching, which
//! is the rule of PECOS's hierarchical k-means (Yu et al., JMLR 2022). Unbalanced k-means makes wide and shallow
//! trees, as Bonsai does (Khandagale et al., Machine Learning 2020).

use crate::hierarchy::{Cluster, Hierarchy};
use crate::{LabelRows, LabelTree, TreeError, TreeLayer};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use xmc_cluster::{
    BalancedKMeans, BalancedKMeansParams, Branch, ClusterError, KMeansTree, KMeansTreeParams, Partition,
    Sampling, Seeding,
};
use xmc_sparse::{Features, NoProgress, Progress};

/// How labels are clustered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Clustering {
    /// Halves, halves of these, and so on, collapsed to `branching`: every leaf costs the same to search.
    #[default]
    Balanced,
    /// `branching` clusters at once, of the size that the labels have (Bonsai: `branching` 100 and `max_depth` 2
    /// or 3). Leaves follow the data and have fewer labels on average, so that there are more of them. Every label meets
    /// every centroid in every refinement: on 25,265 subjects of library titles `branching` 16 took 70 s and 100 took
    /// 160 s, balanced clusters 5 s.
    Kmeans,
    /// No clusters, one-vs-rest: for few labels, or to know what search costs in accuracy.
    None,
}

/// Parameters of a [`LabelTree`], not yet checked.
///
/// A root with N clusters and labels right under them is `max_depth` 2: N is then the number of leaves, with
/// balanced clusters n_labels / `max_leaf` rounded up to a power of two, with k-means `branching`.
///
/// ```
/// use xmc_sparse::{Csr, Features};
/// use xmc_tree::{LabelFeatures, LabelTree};
/// // Four instances with one label each; labels 0 and 2 share feature 0, labels 1 and 3 feature 1.
/// let x = Features::from_sparse(Csr::from_rows(2, [[(0, 1.0)], [(1, 1.0)], [(0, 2.0)], [(1, 3.0)]])?);
/// let y = Csr::from_rows(4, [[(0, 1.0)], [(1, 1.0)], [(2, 1.0)], [(3, 1.0)]])?;
/// let features = LabelFeatures::Pifa.compute(&x, &y)?;
/// let tree = LabelTree::params().branching(2).max_leaf(2).check()?.fit(&features)?;
/// assert_eq!((tree.depth(), tree.n_clusters(0), tree.n_labels()), (2, 2, 4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TreeParams {
    /// How labels are clustered. Default [`Clustering::Balanced`].
    pub clustering: Clustering,
    /// Children of an inner cluster, about (PECOS `nr_splits`; K in Bonsai). At least 2, default 16.
    pub branching: usize,
    /// Most labels under one leaf cluster (PECOS `max_leaf_size`). At least 2, default 100.
    pub max_leaf: usize,
    /// Most clusters of the first layer, if the tree has more than one (PECOS `min_codes`). Balanced clusters only.
    /// Default: `branching`.
    pub min_codes: Option<usize>,
    /// Most layers, that of the labels included. With balanced clusters, upper layers are skipped until there are no
    /// more; with k-means, leaves at that depth are not split, whatever `max_leaf`. At least 1, which is
    /// one-vs-rest. Default: as many as the other parameters make (k-means: at most 33).
    pub max_depth: Option<usize>,
    /// Most refinements of one split. Default 20.
    pub kmeans_max_iter: usize,
    /// A split is done when at most this share of its labels changed sides in a refinement. In 0..1, default 0: when none
    /// does, as PECOS. 0.01 halves the time of clustering where labels are many, and can cost half a point of P@1.
    pub kmeans_tolerance: f32,
    /// Spherical k-means rather than plain. Default true.
    pub spherical: bool,
    /// What a split starts from. Default [`Seeding::RandomRows`].
    pub seeding: Seeding,
    /// Splits of upper nodes by a sample of their labels (PECOS `do_sample`). Balanced clusters only. Default none: by
    /// all.
    pub sampling: Option<Sampling>,
    /// Entries that the label features of a node may have to be made, counting those twice that two instances share (4 bytes each and less):
    /// above, the node is split without them, in more time. Where features are sums of instances and clusters balanced. Default
    /// [`NODE_ENTRIES`](crate::NODE_ENTRIES).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_entries: Option<u64>,
    /// Nodes that have their label features in memory at a time, at least 1. Default: as many as there are threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes_at_once: Option<usize>,
    /// Seed of every random draw. Default 0.
    pub seed: u64,
}

impl Default for TreeParams {
    fn default() -> Self {
        Self {
            clustering: Clustering::Balanced,
            branching: 16,
            max_leaf: 100,
            min_codes: None,
            max_depth: None,
            kmeans_max_iter: 20,
            kmeans_tolerance: 0.0,
            spherical: true,
            seeding: Seeding::RandomRows,
            sampling: None,
            node_entries: None,
            nodes_at_once: None,
            seed: 0,
        }
    }
}

impl TreeParams {
    xmc_cluster::setters! {
        clustering: Clustering,
        branching: usize,
        max_leaf: usize,
        min_codes: usize => Some,
        max_depth: usize => Some,
        kmeans_max_iter: usize,
        kmeans_tolerance: f32,
        spherical: bool,
        seeding: Seeding,
        sampling: Sampling => Some,
        node_entries: u64 => Some,
        nodes_at_once: usize => Some,
        seed: u64,
    }

    /// The same parameters, known to be in range.
    ///
    /// # Errors
    /// [`TreeError::Param`] when `branching` or `max_leaf` is below 2 or `min_codes`, `max_depth`,
    /// `kmeans_max_iter` or `nodes_at_once` is 0, [`TreeError::Cluster`] when `kmeans_tolerance` or `sampling` is out of range.
    pub fn check(self) -> Result<TreeBuilder, TreeError> {
        at_least("branching", self.branching, 2, "at least 2")?;
        // Leaves of one label would need 2^depth = n_labels.
        at_least("max_leaf", self.max_leaf, 2, "at least 2")?;
        at_least("min_codes", self.min_codes.unwrap_or(self.branching), 1, "at least 1")?;
        at_least("max_depth", self.max_depth.unwrap_or(1), 1, "at least 1")?;
        at_least("kmeans_max_iter", self.kmeans_max_iter, 1, "at least 1")?;
        at_least("nodes_at_once", self.nodes_at_once.unwrap_or(1), 1, "at least 1")?;
        let builder = TreeBuilder { params: self };
        // What clustering itself refuses is refused here, before any work.
        builder.kmeans(1)?;
        builder.kmeans_tree()?;
        Ok(builder)
    }
}

fn at_least(name: &'static str, found: usize, least: usize, expected: &'static str) -> Result<(), TreeError> {
    if found < least { Err(TreeError::Param { name, found, expected }) } else { Ok(()) }
}

/// Builds a [`LabelTree`] by checked [`TreeParams`].
#[derive(Debug, Clone, PartialEq)]
pub struct TreeBuilder {
    params: TreeParams,
}

impl TreeBuilder {
    /// The parameters.
    pub fn params(&self) -> &TreeParams {
        &self.params
    }

    /// Number of binary splits from the root to a leaf of balanced clusters for `n_labels` labels, or `None` when
    /// all labels fit into one leaf: ⌈log₂(n_labels / max_leaf)⌉, at least 1.
    pub fn n_splits(&self, n_labels: usize) -> Option<usize> {
        // The least depth with max_leaf · 2^depth ≥ n_labels, in integers: no logarithm to round.
        let n_leaves = n_labels.div_ceil(self.params.max_leaf).next_power_of_two();
        (n_leaves > 1).then(|| n_leaves.trailing_zeros() as usize)
    }

    /// The tree over the labels whose features (see [`LabelFeatures`](crate::LabelFeatures)) are the
    /// rows of `label_features`, `n_labels × n_features`. With all labels in one leaf, one-vs-rest.
    ///
    /// # Errors
    /// [`TreeError::NoLabels`]; [`TreeError::Cluster`] from [`BalancedKMeans::fit`] or [`KMeansTree::fit`].
    pub fn fit(&self, label_features: &Features) -> Result<LabelTree, TreeError> {
        self.fit_with_progress(label_features, &NoProgress)
    }

    /// As [`fit`](Self::fit), reporting labels placed: every label once for each binary split, or once in all with
    /// unbalanced k-means.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub fn fit_with_progress(
        &self,
        label_features: &Features,
        progress: &dyn Progress,
    ) -> Result<LabelTree, TreeError> {
        self.fit_rows(&LabelRows::Made(Cow::Borrowed(label_features)), progress)
    }

    /// As [`fit_with_progress`](Self::fit_with_progress), from features that may not be there: clusters that are not balanced have
    /// them made.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub fn fit_rows(&self, labels: &LabelRows<'_>, progress: &dyn Progress) -> Result<LabelTree, TreeError> {
        let n_labels = labels.n_labels();
        match self.params.clustering {
            _ if self.params.max_depth == Some(1) => LabelTree::one_vs_rest(n_labels),
            Clustering::None => LabelTree::one_vs_rest(n_labels),
            Clustering::Balanced => self.fit_balanced(labels, progress),
            Clustering::Kmeans if n_labels == 0 => Err(TreeError::NoLabels),
            Clustering::Kmeans => {
                let root = self.kmeans_tree()?.fit_with_progress(&*labels.make()?, progress)?;
                let mut hierarchy = Hierarchy::default();
                push_branch(root, &mut hierarchy);
                hierarchy.into_tree(n_labels)
            }
        }
    }

    fn fit_balanced(&self, labels: &LabelRows<'_>, progress: &dyn Progress) -> Result<LabelTree, TreeError> {
        let n_labels = labels.n_labels();
        let Some(depth) = self.n_splits(n_labels) else { return LabelTree::one_vs_rest(n_labels) };
        let kmeans = self.kmeans(depth)?;
        let partition = match labels {
            LabelRows::Made(features) => kmeans.fit_with_progress(features, progress),
            // Its seeds need dense rows.
            LabelRows::Sums(_) if self.params.seeding == Seeding::Linfa => {
                kmeans.fit_with_progress(&*labels.make()?, progress)
            }
            LabelRows::Sums(sums) => kmeans.fit_summed(sums.as_rows(&self.params), progress),
        }?;
        let tree = LabelTree::from_layers(self.collapse(&partition, n_labels)?)?;
        tree.with_max_depth(self.params.max_depth.unwrap_or(usize::MAX))
    }

    fn kmeans(&self, depth: usize) -> Result<BalancedKMeans, ClusterError> {
        let params = BalancedKMeansParams {
            depth,
            max_iter: self.params.kmeans_max_iter,
            tolerance: self.params.kmeans_tolerance,
            spherical: self.params.spherical,
            seeding: self.params.seeding,
            sampling: self.params.sampling,
            seed: self.params.seed,
        };
        params.check()
    }

    fn kmeans_tree(&self) -> Result<KMeansTree, ClusterError> {
        let default_depth = KMeansTreeParams::default().depth;
        let params = KMeansTreeParams {
            branching: self.params.branching,
            max_leaf: self.params.max_leaf,
            // The layer of the labels is none of the splits.
            depth: self.params.max_depth.map_or(default_depth, |layers| (layers - 1).min(default_depth)),
            max_iter: self.params.kmeans_max_iter,
            tolerance: self.params.kmeans_tolerance,
            spherical: self.params.spherical,
            seeding: self.params.seeding,
            seed: self.params.seed,
        };
        params.check()
    }

    /// From the leaves up: clusters are joined in runs of `branching` until few enough stand under
    /// the root.
    fn collapse(&self, leaves: &Partition, n_labels: usize) -> Result<Vec<TreeLayer>, TreeError> {
        let few = self.params.min_codes.unwrap_or(self.params.branching);
        let lists = leaves.leaves().map(|leaf| leaf.iter().copied());
        let mut layers = vec![TreeLayer::from_lists(lists, n_labels)?];
        let mut n_codes = leaves.n_leaves();
        while n_codes > few {
            layers.push(TreeLayer::runs(n_codes, self.params.branching)?);
            n_codes = n_codes.div_ceil(self.params.branching);
        }
        if n_codes > 1 {
            layers.push(TreeLayer::runs(n_codes, n_codes)?);
        }
        layers.reverse();
        Ok(layers)
    }
}

/// Adds `branch` and all that is under it; its number.
fn push_branch(branch: Branch, hierarchy: &mut Hierarchy) -> usize {
    let number = hierarchy.clusters.len();
    hierarchy.clusters.push(Cluster::default());
    match branch {
        Branch::Leaf(labels) => hierarchy.clusters[number].labels = labels,
        Branch::Inner(branches) => {
            let clusters = branches.into_iter().map(|branch| push_branch(branch, hierarchy)).collect();
            hierarchy.clusters[number].clusters = clusters;
        }
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder(branching: usize, max_leaf: usize) -> TreeBuilder {
        TreeParams::default().branching(branching).max_leaf(max_leaf).check().unwrap()
    }

    #[test]
    fn depth_is_the_logarithm_rounded_up() {
        assert_eq!(builder(16, 100).n_splits(25_265), Some(8));
        assert_eq!(builder(16, 100).n_splits(25_600), Some(8));
        assert_eq!(builder(16, 100).n_splits(25_601), Some(9));
        assert_eq!(builder(16, 100).n_splits(101), Some(1));
        assert_eq!(builder(16, 100).n_splits(100), None);
        assert_eq!(builder(16, 100).n_splits(0), None);
    }

    #[test]
    fn parameters_out_of_range_are_named() {
        let name = |params: TreeParams| match params.check() {
            Err(TreeError::Param { name, .. }) => name,
            other => panic!("{other:?}"),
        };
        assert_eq!(name(TreeParams::default().branching(1)), "branching");
        assert_eq!(name(TreeParams::default().max_leaf(1)), "max_leaf");
        assert_eq!(name(TreeParams::default().min_codes(0)), "min_codes");
        assert_eq!(name(TreeParams::default().max_depth(0)), "max_depth");
        assert_eq!(name(TreeParams::default().kmeans_max_iter(0)), "kmeans_max_iter");
        let sampling =
            TreeParams::default().sampling(Sampling { min_rate: 0.0, ..Sampling::default() }).check();
        assert!(matches!(sampling, Err(TreeError::Cluster(ClusterError::Share { name: "min_rate", .. }))));
        let tolerance = TreeParams::default().kmeans_tolerance(2.0).check();
        assert_eq!(tolerance, Err(TreeError::Cluster(ClusterError::Tolerance { found: 2.0 })));
    }
}
