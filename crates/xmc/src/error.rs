//! What can go wrong between text and labels.

use xmc_data::DataError;
use xmc_metrics::MetricsError;
use xmc_sparse::SparseError;
use xmc_store::StoreError;
use xmc_tfidf::TfIdfError;
use xmc_tree::TreeError;
use xmc_xrlinear::XrLinearError;

/// An error of any stage.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum XmcError {
    /// Text was given to a model that was trained on features.
    #[error(
        "this model was trained on features and cannot read text: give it the same features (.npz or XC format)"
    )]
    NeedsFeatures,
    /// The data have another number of columns than the model was trained on.
    #[error("{what}: the model was trained on {expected}, the data have {found}")]
    Width {
        /// Which columns.
        what: &'static str,
        /// The number expected.
        expected: usize,
        /// The number found.
        found: usize,
    },
    /// The directory holds a model of another kind, or its parts contradict each other.
    #[error("the model's {what} do not fit the rest of it: train it again")]
    Inconsistent {
        /// Which part.
        what: &'static str,
    },
    /// Reading data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Text features.
    #[error(transparent)]
    TfIdf(#[from] TfIdfError),
    /// The label tree or the search.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Training or opening the linear matcher.
    #[error(transparent)]
    XrLinear(#[from] XrLinearError),
    /// The model directory.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Evaluation.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// A matrix.
    #[error(transparent)]
    Sparse(#[from] SparseError),
}
