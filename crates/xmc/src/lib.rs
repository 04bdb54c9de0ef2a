//! Extreme multi-label classification: text in, the right few of thousands or millions of labels out.
//!
//! `xmc` turns text into TF-IDF features, arranges the labels in a tree by what their instances look like,
//! trains a linear model on every node of it (XR-Linear), and finds the best labels of a new text in
//! microseconds by walking down. A model is one directory; it opens in milliseconds whatever its size.
//!
//! # First steps
//!
//! ```
//! use xmc::{Dataset, Model, TrainParams};
//!
//! let dataset = Dataset::from_examples([
//!     ("red running shoes for men", vec!["shoes", "sport"]),
//!     ("leather shoes, brown", vec!["shoes"]),
//!     ("running shorts with pockets", vec!["sport", "clothing"]),
//!     ("cotton shirt, brown", vec!["clothing"]),
//!     ("wooden kitchen table", vec!["furniture"]),
//!     ("kitchen chair, leather seat", vec!["furniture"]),
//! ]);
//! let mut params = TrainParams::default();
//! params.features.vectorizers[0].min_df = xmc::DocFrequency::Count(1); // six lines are few
//! let model = Model::train(&dataset, params)?;
//!
//! let labels = model.predict("brown leather shoes")?;
//! assert_eq!(labels[0].name, "shoes");
//! # Ok::<(), xmc::XmcError>(())
//! ```
//!
//! # With files
//!
//! [`read_dataset`] reads TSV, JSON Lines, CSV, the Extreme Classification Repository's format and SciPy's
//! `.npz`, and maps what [`convert`] has written of any of them, for data larger than memory; [`Trainer`] has everything else that a real training wants (a given tree, validation, progress), and writes the
//! model to a directory; [`Model::open`] maps it. A [`Model`] is `Send + Sync` and cheap to clone: one copy serves all threads, and
//! all processes of a machine share its pages. [`Predictor`] serves single queries without allocating.
//!
//! # Where the parts live
//!
//! This crate is a facade: each stage is a crate of its own (`xmc-data`, `xmc-tfidf`, `xmc-tree`, `xmc-linear`, `xmc-xrlinear`,
//! `xmc-metrics`, `xmc-store`) and its types are re-exported here.

mod compress;
mod dense;
mod disentangle;
mod encoder;
mod ensemble;
mod error;
mod explain;
#[cfg(feature = "transformer")]
mod fine_tuning;
mod labels;
mod meta;
mod model;
mod params;
mod plan;
mod predictor;
mod preset;
mod scope;
mod stages;
mod trainer;
mod training_set;
mod tune;

pub use compress::Compressor;
pub use disentangle::{DisentangleTraining, Disentangler, TreeDisentanglement};
pub use encoder::{Encoder, EncoderKind, EncodingParams};
pub use ensemble::Ensemble;
pub use error::XmcError;
pub use explain::{
    Contribution, Contributions, ExplainOptions, ExplainedLabel, ExplainedPath, Explainer, Explanation,
    PathNode, PathStep,
};
#[cfg(feature = "transformer")]
pub use fine_tuning::FineTuning;
pub use meta::{DataSource, Meta};
pub use model::{Evaluation, Model, OpenOptions, Prediction};
pub use params::TrainParams;
pub use plan::{PlannedStage, TrainingPlan};
pub use predictor::Predictor;
pub use preset::Preset;
pub use scope::Scope;
pub use trainer::Trainer;
pub use tune::{Trial, Tuner, Tuning};

pub use xmc_data::{
    Converted, CsvColumns, DataError, DataMeta, Dataset, Format, Input, LabelBy, LabelMap, LabelSource,
    Labelling, OnError, Purpose, ReadOptions, RecordReader, Texts, UnknownLabels, convert, read_dataset,
};
pub use xmc_embed::{
    DeviceChoice, Distilled, Pooling, Precision, StaticParams, StaticTable, StaticValidParams, TextEncoder,
    UnknownDevice,
};
pub use xmc_linear::{Loss, SvmParams};
pub use xmc_metrics::{Evaluator, Metric, Scores};
pub use xmc_sparse::{
    Combine, Csr, DenseBlock, Features, LabelId, NoProgress, Progress, RankedLists, Row, Scored, SharedSlice,
};
pub use xmc_store::{Container, Kind, remove_unfinished};
pub use xmc_tfidf::{
    Analyzer, DocFrequency, Documents, Idf, Norm, TfIdf, TfIdfParams, Tokenizer, VectorizerParams,
};
pub use xmc_tree::{
    AssignmentRule, LabelFeatures, LabelTree, Matcher, MergeCopies, PerLayer, PostProcessor, SearchParams,
    TreeParams,
};
pub use xmc_xrlinear::{
    Negatives, RelevanceMode, RelevanceNorm, RelevanceParams, WeightType, XrLinear, XrLinearParams,
};
#[cfg(feature = "transformer")]
pub use xmc_xrtransformer::{Bootstrap, FineTuneParams, LevelLoss, LevelParams, ScratchParams};
