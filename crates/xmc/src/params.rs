//! Every hyper-parameter of a training, in one place: what `--params file.toml` holds.

use crate::XmcError;
use serde::{Deserialize, Serialize};
use xmc_tfidf::TfIdfParams;
use xmc_tree::{LabelFeatures, SearchParams, TreeParams};
use xmc_xrlinear::XrLinearParams;

/// Hyper-parameters of the whole way from text to labels. Tree, solver and search default to PECOS's values.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainParams {
    /// Seed of everything random; it overrides the seeds of the parts. Default 0.
    pub seed: u64,
    /// Text features; not used when the data are features already.
    pub features: TfIdfParams,
    /// What labels are clustered by.
    pub label_features: LabelFeatures,
    /// The label tree.
    pub tree: TreeParams,
    /// The linear models.
    pub linear: XrLinearParams,
    /// How the model searches, unless told otherwise.
    pub search: SearchParams,
}

impl TrainParams {
    /// Checks every parameter.
    ///
    /// # Errors
    /// The first one that makes no sense.
    pub fn check(&self) -> Result<(), XmcError> {
        self.features.clone().check()?;
        self.tree.clone().check()?;
        self.linear.check()?;
        self.search.check()?;
        Ok(())
    }

    /// The parameters with their one seed in all parts.
    pub(crate) fn seeded(mut self) -> Self {
        self.tree.seed = self.seed;
        self.linear.seed = self.seed;
        self
    }
}
