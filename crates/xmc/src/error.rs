//! What can go wrong between text and labels.

use std::convert::Infallible;
use std::path::PathBuf;
use xmc_data::DataError;
use xmc_embed::{EmbedError, EncodingError};
use xmc_metrics::MetricsError;
use xmc_sparse::{LabelId, SparseError};
use xmc_store::StoreError;
use xmc_tfidf::TfIdfError;
use xmc_tree::{PostProcessor, TreeError};
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
    /// A directory without an encoder.
    #[error(
        "{}: expected a table that `xmc distill` made, a model with an encoder or a transformer (config.json), found none of them",
        path.display()
    )]
    NoEncoder {
        /// The directory.
        path: PathBuf,
    },
    /// A transformer, in a build without.
    #[error(
        "this needs a transformer, which this build of xmc leaves out: build it with `--features transformer`"
    )]
    NoTransformer,
    /// An ensemble of nothing.
    #[error("an ensemble needs at least one model")]
    NoModels,
    /// Models of different labels in one ensemble.
    #[error("model {model} does not have the labels of model 1: {what}")]
    OtherLabels {
        /// Number of the model, from 1.
        model: usize,
        /// The difference.
        what: String,
    },
    /// The directory holds a model of another kind, or its parts contradict each other.
    #[error("the model's {what} do not fit the rest of it: train it again")]
    Inconsistent {
        /// Which part.
        what: &'static str,
    },
    /// A budget that a model does not fit without a single weight.
    #[error("the model cannot take {budget} bytes: without its weights it takes {least} already")]
    ModelBytes {
        /// The bytes wanted.
        budget: u64,
        /// The bytes of everything else.
        least: u64,
    },
    /// A limit on memory below what a training needs at least.
    #[error("a training within {limit} bytes of memory is not possible: {stage} needs {needed} at least")]
    Memory {
        /// The stage.
        stage: &'static str,
        /// The limit wanted, in bytes.
        limit: u64,
        /// What the stage needs.
        needed: u64,
    },
    /// What a training would take cannot be told.
    #[error("no plan can be made for a training with {what}")]
    NoPlan {
        /// What is in the way.
        what: &'static str,
    },
    /// Parameters that cannot be written down.
    #[error("the parameters cannot be written as JSON")]
    Identity(#[source] serde_json::Error),
    /// A parameter out of its range.
    #[error("parameter `{name}` is {found}, expected {expected}")]
    Param {
        /// Name of the field.
        name: &'static str,
        /// The values allowed.
        expected: &'static str,
        /// The value found.
        found: f32,
    },
    /// Data that a model was not trained on, where those are wanted.
    #[error(
        "these are not the data that the model was trained on: expected {expected} {what}, found {found}"
    )]
    OtherData {
        /// What was counted.
        what: &'static str,
        /// The number in the training data.
        expected: usize,
        /// The number found.
        found: usize,
    },
    /// As [`XmcError::OtherData`]: a label is another one.
    #[error(
        "these are not the data that the model was trained on: label {label} was '{expected}', found '{found}'"
    )]
    OtherLabel {
        /// Number of the label.
        label: LabelId,
        /// Its key in the model.
        expected: String,
        /// Its key in the data.
        found: String,
    },
    /// As [`XmcError::OtherData`]: a label has another number of records.
    #[error(
        "these are not the data that the model was trained on: label '{key}' had {expected} records, found {found}"
    )]
    OtherLabelCount {
        /// Key of the label.
        key: String,
        /// Records in the training data.
        expected: u64,
        /// Records found.
        found: u64,
    },
    /// Several trees are wanted, and one is given.
    #[error("a tree is given, but {n_trees} different ones are to be trained: give up one of the two")]
    GivenTree {
        /// Number of trees asked for.
        n_trees: usize,
    },
    /// Scores that have no average.
    #[error(
        "scores of {post_processor} may be negative, so that a label that a tree did not find would count as a good one \
         in the average of several trees: combine them by rank-average, softmax-average or sigmoid-average"
    )]
    Combine {
        /// The post-processor of the labels.
        post_processor: PostProcessor,
    },
    /// Reading data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A token table or a cache of embeddings.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    /// A transformer.
    #[cfg(feature = "transformer")]
    #[error(transparent)]
    Transformer(Box<xmc_xrtransformer::TransformerError>),
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

#[cfg(feature = "transformer")]
impl From<xmc_xrtransformer::TransformerError> for XmcError {
    fn from(error: xmc_xrtransformer::TransformerError) -> Self {
        Self::Transformer(Box::new(error))
    }
}

/// What an encoder of kind `E` and its cache run into.
impl<E: std::error::Error + Into<XmcError> + 'static> From<EncodingError<E>> for XmcError {
    fn from(error: EncodingError<E>) -> Self {
        match error {
            EncodingError::Cache(error) => error.into(),
            EncodingError::Encoder(error) => error.into(),
        }
    }
}

/// A table cannot fail.
impl From<Infallible> for XmcError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
