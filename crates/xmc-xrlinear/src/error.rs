//! What can go wrong in training and loading.

use xmc_linear::LinearError;
use xmc_sparse::SparseError;
use xmc_store::StoreError;
use xmc_tree::TreeError;

/// Data that do not fit each other, parameters out of range, or a model that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum XrLinearError {
    /// Parts of no weights.
    #[error("`part_weights` is 0, expected at least 1 weight in memory at a time")]
    PartWeights,
    /// Matrices (or the tree) of different sizes.
    #[error("{what}: expected {expected}, found {found}")]
    Shape {
        /// Which dimension of what.
        what: &'static str,
        /// The size expected.
        expected: usize,
        /// The size found.
        found: usize,
    },
    /// Nothing to learn from.
    #[error("no instance has a label: there is nothing to train on")]
    NoLabels,
    /// An instance weight that is not a number above 0.
    #[error("instance {row} has weight {found}, expected a number above 0")]
    InstanceWeight {
        /// Instance number, 0-based.
        row: usize,
        /// The weight found.
        found: f32,
    },
    /// A positive pair without a relevance above 0.
    #[error(
        "the relevance of label {label} for instance {row} is {found}, expected a number above 0 for each label of an \
         instance"
    )]
    Relevance {
        /// Instance number, 0-based.
        row: usize,
        /// Label number, 0-based.
        label: u32,
        /// What was found; 0 where the matrix has no entry.
        found: f32,
    },
    /// Sources of negatives that do not exist.
    #[error("there are no negatives '{found}': expected tfn, man or usn, or several joined with '+'")]
    Negatives {
        /// The names given.
        found: String,
    },
    /// User-supplied negatives are wanted, but there are none.
    #[error("negatives 'usn' need a matrix of hard negatives (instances × labels), and none was given")]
    NoUserNegatives,
    /// A tree without clusters, where clusters are needed.
    #[error(
        "the tree has no clusters above its labels: label disentanglement needs some to move labels between (fewer labels \
         to a leaf make a deeper tree)"
    )]
    NoClusters,
    /// A stored model whose parts contradict each other.
    #[error("the stored weights of layer {layer} are inconsistent: {what}; train the model again")]
    Inconsistent {
        /// Layer number, root first.
        layer: usize,
        /// What does not fit.
        what: &'static str,
    },
    /// A solver parameter.
    #[error(transparent)]
    Linear(#[from] LinearError),
    /// The label tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A matrix.
    #[error(transparent)]
    Sparse(#[from] SparseError),
    /// The container.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl XrLinearError {
    /// A record of layer number `layer` is not what was written.
    pub(crate) fn damaged_record(layer: usize) -> Self {
        Self::Inconsistent { layer, what: "a record of weights is damaged" }
    }
}
