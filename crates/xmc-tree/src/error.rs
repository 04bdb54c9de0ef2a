//! Every way that a label tree, its features or its parameters can be wrong.

use xmc_cluster::ClusterError;
use xmc_sparse::SparseError;

/// A tree that is no tree, parameters out of range, or features that do not fit.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// A layer whose child offsets do not describe its list of children.
    #[error("tree layer: {reason} ({offsets} offsets, {slots} slots)")]
    Offsets {
        /// Number of offsets, one more than parents.
        offsets: usize,
        /// Number of entries in the list of children.
        slots: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// A parent names a child that the layer does not have.
    #[error("tree layer: parent {parent} has child {child}, but the layer has {n_children} children")]
    ChildOutOfRange {
        /// Parent number.
        parent: usize,
        /// The child found.
        child: u32,
        /// Number of children of the layer.
        n_children: usize,
    },
    /// The children of a parent are not strictly increasing.
    #[error(
        "tree layer: the children of parent {parent} must strictly increase, but {before} is followed by {after}"
    )]
    ChildrenUnsorted {
        /// Parent number.
        parent: usize,
        /// Child that comes first.
        before: u32,
        /// Child that follows it.
        after: u32,
    },
    /// A child that no parent holds: its labels could never be found.
    #[error("tree layer: child {child} has no parent")]
    Orphan {
        /// The child without a parent.
        child: usize,
    },
    /// A tree without layers.
    #[error("a label tree needs at least one layer")]
    NoLayers,
    /// The first layer must start at one root.
    #[error("the first tree layer must have one parent, the root; found {found}")]
    Roots {
        /// Number of parents found.
        found: usize,
    },
    /// A layer does not continue the one above.
    #[error(
        "tree layer {layer}: expected {expected} parents (the children of the layer above), found {found}"
    )]
    Chain {
        /// Layer number from the root, 0-based.
        layer: usize,
        /// Number of children of the layer above.
        expected: usize,
        /// Number of parents found.
        found: usize,
    },
    /// A parameter is out of its range.
    #[error("tree parameter `{name}` is {found}, expected {expected}")]
    Param {
        /// Name of the field.
        name: &'static str,
        /// The value found.
        found: usize,
        /// The values allowed.
        expected: &'static str,
    },
    /// There is nothing to build a tree over.
    #[error("a label tree needs at least one label")]
    NoLabels,
    /// More labels (or slots) than the ids can number.
    #[error("{found} labels are too many: ids are 32 bits wide")]
    TooManyLabels {
        /// Number of labels found.
        found: usize,
    },
    /// Instance weights, labels or features of different heights or a value that is not finite.
    #[error(transparent)]
    Matrix(#[from] SparseError),
    /// Label features that need the labels' own features, which are not there.
    #[error(
        "label features `{kind}` need the labels' own features (names through the vectoriser, or a matrix); \
         give them or use `pifa`"
    )]
    NoOwnFeatures {
        /// The kind of label features.
        kind: &'static str,
    },
    /// A mixing weight that is none.
    #[error("`alpha`, the weight of instances in `pifa-lf-convex`, is {found}, expected 0 to 1")]
    Alpha {
        /// The value found.
        found: f32,
    },
    /// Clustering failed.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A post-processor that does not exist.
    #[error(
        "there is no post-processor '{found}': expected l1-hinge, l2-hinge, l3-hinge, log-l3-hinge (any power 1 to 9), sigmoid, log-sigmoid or noop"
    )]
    PostProcessor {
        /// The name given.
        found: String,
    },
    /// A search that would return nothing.
    #[error("the {name} must be at least 1")]
    Search {
        /// Which parameter is 0.
        name: &'static str,
    },
}
