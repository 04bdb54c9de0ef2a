//! Every way that a label tree, its features or its parameters can be wrong.

use crate::{Place, PostProcessor};
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
    /// A real-valued parameter is out of its range.
    #[error("tree parameter `{name}` is {found}, expected {expected}")]
    RealParam {
        /// Name of the field.
        name: &'static str,
        /// The value found.
        found: f32,
        /// The values allowed.
        expected: &'static str,
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
    /// A child of an inner layer under several parents; only labels may stand in several places.
    #[error(
        "tree layer {layer}: {children} clusters stand in {slots} places; only the last layer may have children \
         under several parents"
    )]
    Overlap {
        /// Layer number from the root, 0-based.
        layer: usize,
        /// Children of the layer.
        children: usize,
        /// Places under its parents.
        slots: usize,
    },
    /// A layer that is not there or cannot be skipped.
    #[error("a tree of {depth} layers has no inner layer {layer} to skip: the last one holds the labels")]
    NoInnerLayer {
        /// Layer number from the root, 0-based.
        layer: usize,
        /// Layers of the tree.
        depth: usize,
    },
    /// A taxonomy without a node.
    #[error("the taxonomy is empty: expected at least one label")]
    TaxonomyEmpty,
    /// A line without its two fields.
    #[error("taxonomy line {line}: expected {expected}, found {content:?}")]
    TaxonomyFields {
        /// Line number, from 1.
        line: usize,
        /// The fields expected.
        expected: &'static str,
        /// The line.
        content: String,
    },
    /// A label or a category without a name.
    #[error(
        "taxonomy line {line}: a name is empty (write `\\/` for a slash that is part of a name) in {content:?}"
    )]
    TaxonomySegment {
        /// Line number, from 1.
        line: usize,
        /// The line.
        content: String,
    },
    /// Text that is not JSON, or JSON of another shape.
    #[error("taxonomy line {line}, column {column}: {reason}")]
    TaxonomyJson {
        /// Line number, from 1.
        line: usize,
        /// Column number, from 1.
        column: usize,
        /// What the parser says.
        reason: String,
    },
    /// A label without a key.
    #[error("taxonomy, {place}: an object without children is a label and needs a `name`, its key")]
    TaxonomyNoName {
        /// Where it stands.
        place: Place,
    },
    /// An outline that was cut short.
    #[error("taxonomy, {place}: {found} children were left out; export the tree without limits")]
    TaxonomyLeftOut {
        /// Where they are missing.
        place: Place,
        /// How many.
        found: u64,
    },
    /// A label that the label map does not have.
    #[error("taxonomy, {place}: there is no label {label:?}; remove it, or add it to the labels")]
    TaxonomyLabel {
        /// Where it stands.
        place: Place,
        /// The key.
        label: String,
    },
    /// A label or category in two places.
    #[error(
        "taxonomy, {place}: {label:?} is under {parent:?}, but {before} puts it under {other:?}; it can have one \
         place only"
    )]
    TaxonomyTwoParents {
        /// Where the second place is given.
        place: Place,
        /// The label or category.
        label: String,
        /// The second parent.
        parent: String,
        /// Where the first place is given.
        before: Place,
        /// The first parent.
        other: String,
    },
    /// A parent that is not described.
    #[error(
        "taxonomy, {place}: {child:?} is under {parent:?}, which has no line of its own; add one, with no parent \
         if it is at the top"
    )]
    TaxonomyNoParent {
        /// Where the child stands.
        place: Place,
        /// The child.
        child: String,
        /// Its parent.
        parent: String,
    },
    /// Parents that lead back to where they started.
    #[error("taxonomy, {place}: the parents go round in a circle: {}", cycle.join(" → "))]
    TaxonomyCycle {
        /// Where one of them stands.
        place: Place,
        /// Names from child to parent, the first one again at the end.
        cycle: Vec<String>,
    },
    /// More categories above each other than any taxonomy has.
    #[error("taxonomy, {place}: more than {limit} categories above each other")]
    TaxonomyDepth {
        /// Where it is too deep.
        place: Place,
        /// The most allowed.
        limit: usize,
    },
    /// Labels that the taxonomy does not mention.
    #[error(
        "the taxonomy has no place for {found} of the labels: {}{}", named.join(", "),
        if *found > named.len() { ", …" } else { "" }
    )]
    TaxonomyUnplaced {
        /// How many.
        found: usize,
        /// Keys of the first of them.
        named: Vec<String>,
    },
    /// A path whose scores would be both multiplied and added.
    #[error(
        "post-processor {leaf} of the labels does not go with {inner} of the clusters: one multiplies along the path, \
         the other adds; use one kind, or noop for the labels"
    )]
    MixedPostProcessors {
        /// Post-processor of the clusters.
        inner: PostProcessor,
        /// Post-processor of the labels.
        leaf: PostProcessor,
    },
    /// A lowest score that no score can be compared with.
    #[error("the lowest score to return is NaN, expected a number")]
    MinScore,
    /// A label that the tree does not have.
    #[error("there is no label {label}: the tree has labels 0 to {n_labels} exclusive")]
    UnknownLabel {
        /// The label asked for.
        label: u32,
        /// Number of labels.
        n_labels: usize,
    },
    /// A cluster that the tree does not have.
    #[error("there is no cluster {cluster} on layer {layer} of the tree")]
    UnknownCluster {
        /// Layer number, 0-based; the layer of the labels has no clusters.
        layer: usize,
        /// The cluster asked for.
        cluster: u32,
    },
}

impl TreeError {
    pub(crate) fn json(error: &serde_json::Error) -> Self {
        // The parser's message ends with the place, which has its own fields here.
        let reason = error.to_string();
        let reason = reason.rsplit_once(" at line ").map_or(reason.as_str(), |(reason, _)| reason).to_owned();
        Self::TaxonomyJson { line: error.line(), column: error.column(), reason }
    }
}
