//! What can go wrong in training and loading.

use xmc_linear::LinearError;
use xmc_sparse::SparseError;
use xmc_store::StoreError;
use xmc_tree::TreeError;

/// Data that do not fit each other, parameters out of range, or a model that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum XrLinearError {
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
