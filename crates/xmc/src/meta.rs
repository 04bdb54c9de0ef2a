//! What a model says of itself: how it was made, and from what.

use crate::{Scores, TrainParams};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A file that a model was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSource {
    /// What it was used for: `train`, `labels`, `valid` …
    pub role: String,
    /// The path as it was given.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// XXH3-64 of its bytes, in hexadecimal.
    pub xxh3: String,
}

/// Provenance and shape of a model; the `meta` object of its manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Meta {
    /// Version of xmc that trained it.
    pub xmc_version: String,
    /// Hyper-parameters.
    pub params: TrainParams,
    /// Whether it takes text.
    pub takes_text: bool,
    /// Instances that it was trained on.
    pub n_samples: u64,
    /// Sparse features.
    pub n_features: u64,
    /// Dense features.
    pub n_dense: u64,
    /// Labels.
    pub n_labels: u64,
    /// Stored weights, without intercepts and dense ones.
    pub n_weights: u64,
    /// Files that it was made from.
    pub sources: Vec<DataSource>,
    /// Scores on the validation data, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid: Option<Scores>,
    /// When the training ended (RFC 3339, UTC). Absent from reproducible models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained_at: Option<String>,
    /// Seconds by stage. Empty in reproducible models.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stages: BTreeMap<String, f64>,
}
