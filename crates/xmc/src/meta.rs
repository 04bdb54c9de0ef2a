//! What a model says of itself: how it was made, and from what.

use crate::stages::Stages;
use crate::{EncoderKind, Scores, TrainParams, TreeDisentanglement};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::SystemTime;

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
    /// The encoder that makes dense features of texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<EncoderKind>,
    /// How the encoder was made, if the training made it: `mode` `static` or `fine-tune`, its parameters and what came out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder_made: Option<serde_json::Value>,
    /// Whether the names of the labels were learnt from.
    #[serde(default)]
    pub label_names: bool,
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
    /// What label disentanglement did, tree by tree; nothing when it was off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disentangled: Vec<TreeDisentanglement>,
    /// Weights that were smaller have been left out after the training. Absent when the model is as it was trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compressed_below: Option<f32>,
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

impl Meta {
    /// Notes when the training ended and what took how long, if that is wanted.
    pub(crate) fn set_times(&mut self, wanted: bool, stages: &Stages<'_>) {
        let now = || humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        self.trained_at = wanted.then(now);
        self.stages = if wanted { stages.seconds() } else { BTreeMap::new() };
    }
}
