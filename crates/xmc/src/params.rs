//! Every hyper-parameter of a training, in one place: what `--params file.toml` holds.

use crate::{DisentangleTraining, EncodingParams, XmcError};
use serde::{Deserialize, Serialize};
use xmc_sparse::Combine;
use xmc_tfidf::TfIdfParams;
use xmc_tree::{LabelFeatureInputs, LabelFeatures, SearchParams, TreeParams};
use xmc_xrlinear::XrLinearParams;

/// Hyper-parameters of the whole way from text to labels. Tree, solver and search default to PECOS's values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainParams {
    /// Seed of everything random; it overrides the seeds of the parts. Default 0.
    pub seed: u64,
    /// Text features; not used when the data are features already.
    pub features: TfIdfParams,
    /// Embeddings beside the text features, if the training has an encoder ([`crate::Trainer::encoder`]).
    pub encoding: EncodingParams,
    /// Each label's name is one more training instance of that label, with this weight; 0 for none. It helps most
    /// where labels have few instances, and is how a label without any can be predicted at all. Only for text, and
    /// only when the names are known ([`crate::Trainer::label_names`]). Default 1.
    pub label_rows: f32,
    /// Number of label trees, with a model on each: at least 1, default 1. Trees differ by their seeds; together they
    /// are more accurate, and cost as many times the training, the space and the search.
    pub n_trees: usize,
    /// How the predictions of several trees become one. Default `average`.
    pub combine: Combine,
    /// What labels are clustered by.
    pub label_features: LabelFeatures,
    /// Weight of instances in label features `pifa-lf-convex`, 0 to 1. Default 0.5.
    pub label_features_alpha: f32,
    /// Numbers that stand for the sparse features of a label while labels are clustered, at least 1: for label features that would not fit
    /// into memory (`LabelFeatureInputs::sketch`). Default none: the features themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_sketch: Option<usize>,
    /// The label tree.
    pub tree: TreeParams,
    /// The linear models.
    pub linear: XrLinearParams,
    /// Multiplies the relevance of a label by one over its propensity, so that rare labels cost more to miss.
    /// Needs relevance to be on (`linear.relevance.mode`). Default off.
    pub tail_weights: bool,
    /// Further places for labels in the tree. Default off.
    pub disentangle: DisentangleTraining,
    /// How the model searches, unless told otherwise.
    pub search: SearchParams,
}

impl Default for TrainParams {
    fn default() -> Self {
        Self {
            seed: 0,
            features: TfIdfParams::default(),
            encoding: EncodingParams::default(),
            label_rows: 1.0,
            n_trees: 1,
            combine: Combine::default(),
            label_features: LabelFeatures::default(),
            label_features_alpha: LabelFeatureInputs::ALPHA,
            label_sketch: None,
            tree: TreeParams::default(),
            linear: XrLinearParams::default(),
            tail_weights: false,
            disentangle: DisentangleTraining::default(),
            search: SearchParams::default(),
        }
    }
}

impl TrainParams {
    /// Checks every parameter.
    ///
    /// # Errors
    /// The first one that makes no sense.
    pub fn check(&self) -> Result<(), XmcError> {
        // No vectoriser at all is for embeddings alone; whether there are any, the training knows.
        if !self.features.vectorizers.is_empty() {
            self.features.clone().check()?;
        }
        self.encoding.check()?;
        self.tree.clone().check()?;
        self.linear.check()?;
        self.disentangle.check()?;
        self.search.check()?;
        let rule = |ok, name, expected, found| match ok {
            true => Ok(()),
            false => Err(XmcError::Param { name, expected, found }),
        };
        let weight = self.label_rows;
        rule(weight.is_finite() && weight >= 0.0, "label_rows", "a weight of at least 0", weight)?;
        rule(self.label_sketch != Some(0), "label_sketch", "at least 1", 0.0)?;
        rule(self.n_trees >= 1, "n_trees", "at least 1", self.n_trees as f32)?;
        self.check_combination(&self.search)
    }

    /// Checks that the scores of a search can be combined.
    pub(crate) fn check_combination(&self, search: &SearchParams) -> Result<(), XmcError> {
        let leaf = search.leaf_post_processor.unwrap_or(search.post_processor);
        match self.n_trees > 1 && self.combine == Combine::Average && !leaf.multiplies() {
            true => Err(XmcError::Combine { post_processor: leaf }),
            false => Ok(()),
        }
    }

    /// The parameters of tree `number`, with its seed in all parts.
    pub(crate) fn of_tree(&self, number: usize) -> Self {
        let mut of_tree = self.clone();
        let seed = self.seed.wrapping_add(number as u64);
        (of_tree.tree.seed, of_tree.linear.seed) = (seed, seed);
        of_tree
    }
}
