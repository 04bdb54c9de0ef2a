//! How an encoder is fine-tuned on a tree.

use crate::{LevelParams, TransformerError};
use serde::{Deserialize, Serialize};

/// What the label head of a level starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bootstrap {
    /// Linear models of the level's clusters on the embeddings of the level before.
    #[default]
    Linear,
    /// The same, in which a positive counts as often as the instance has labels in the cluster.
    WeightedLinear,
    /// The weights of the cluster above; random ones on the first level.
    Inherit,
    /// Random weights.
    None,
}

/// Parameters of [`FineTuner`](super::FineTuner).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct FineTuneParams {
    /// A level's training; `n_steps` and `n_warm_up_steps` are those of each level unless `steps` says otherwise.
    pub level: LevelParams,
    /// Steps of each level, the last number for all that follow. Default none: `level.n_steps`.
    pub steps: Vec<u64>,
    /// Layers of the tree with more clusters than this are not trained on: their heads would not fit, and the ranker
    /// knows their labels. At least 1, default 32768.
    pub max_clusters: usize,
    /// Trains on the last of these levels only: for comparison. Default false.
    pub last_level_only: bool,
    /// What heads start from. Default `linear`.
    pub bootstrap: Bootstrap,
    /// Cost of an instance in the linear models that heads start from, on vectors of length 1. Above 0, default 1. PECOS has 100, on
    /// vectors as long as they are, which are then fitted too closely to find a new text's clusters: on 100,000 titles 32 % of the
    /// best ones of 128, where 1 finds 49 %.
    pub bootstrap_cost: f32,
    /// Clusters to which a linear model on text features and embeddings leads an instance; what is below them is what the
    /// next level tells its positives from, beside what is below the true clusters. 0 for the latter alone; default 20.
    pub matched: usize,
    /// Reports after which a level ends when its validation score has not risen. Default none: never.
    pub patience: Option<u32>,
}

impl Default for FineTuneParams {
    fn default() -> Self {
        Self {
            level: LevelParams::default(),
            steps: Vec::new(),
            max_clusters: 32_768,
            last_level_only: false,
            bootstrap: Bootstrap::default(),
            bootstrap_cost: 1.0,
            matched: 20,
            patience: None,
        }
    }
}

impl FineTuneParams {
    /// Whether each parameter is in its range.
    ///
    /// # Errors
    /// [`TransformerError::Parameter`] for the first one that is not.
    pub fn check(&self) -> Result<(), TransformerError> {
        self.level.check()?;
        let rule = |ok, name, expected: &str, found: String| match ok {
            true => Ok(()),
            false => Err(TransformerError::Parameter { name, expected: expected.to_owned(), found }),
        };
        let steps = self.steps.iter().position(|&steps| steps == 0);
        rule(steps.is_none(), "steps", "at least 1 for each level", "0".to_owned())?;
        rule(self.max_clusters >= 1, "max_clusters", "at least 1", self.max_clusters.to_string())?;
        let cost = self.bootstrap_cost;
        rule(cost.is_finite() && cost > 0.0, "bootstrap_cost", "a number above 0", cost.to_string())?;
        rule(self.patience != Some(0), "patience", "at least 1", "0".to_owned())
    }

    /// The training of level `number`, with a seed of its own.
    pub(super) fn of_level(&self, number: usize) -> LevelParams {
        let mut params = self.level.clone();
        if let Some(&steps) = self.steps.get(number).or(self.steps.last()) {
            params.n_warm_up_steps = params.n_warm_up_steps.min(steps / 2);
            params.n_steps = steps;
        }
        params.seed = params.seed.wrapping_add(number as u64);
        params
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_number_of_steps_is_for_all_levels_that_follow() {
        let params = FineTuneParams { steps: vec![300, 50], ..FineTuneParams::default() };
        let steps: Vec<_> = (0..3).map(|level| params.of_level(level).n_steps).collect();
        assert_eq!(steps, [300, 50, 50]);
        assert_eq!(params.of_level(1).n_warm_up_steps, 25);
        assert_eq!(FineTuneParams::default().of_level(4).n_steps, LevelParams::default().n_steps);
    }

    #[test]
    fn each_parameter_out_of_range_is_named() {
        let name = |params: FineTuneParams| match params.check() {
            Err(TransformerError::Parameter { name, .. }) => name,
            _ => "none",
        };
        let ok = FineTuneParams::default;
        assert_eq!(name(ok()), "none");
        assert_eq!(name(FineTuneParams { steps: vec![10, 0], ..ok() }), "steps");
        assert_eq!(name(FineTuneParams { max_clusters: 0, ..ok() }), "max_clusters");
        assert_eq!(name(FineTuneParams { bootstrap_cost: f32::NAN, ..ok() }), "bootstrap_cost");
        assert_eq!(name(FineTuneParams { patience: Some(0), ..ok() }), "patience");
    }
}
