//! How a level is trained.

use crate::TransformerError;
use serde::{Deserialize, Serialize};

/// What a score of a cluster costs that should be above or below 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LevelLoss {
    /// `max(0, 1 − yz)`.
    Hinge,
    /// `max(0, 1 − yz)²`.
    #[default]
    SquaredHinge,
    /// The cross-entropy of the softmax over an instance's candidates, its positives sharing the mass.
    CrossEntropy,
}

/// Parameters of a [`LevelTrainer`](super::LevelTrainer), with PECOS's defaults where it has one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct LevelParams {
    /// The loss. Default `squared-hinge`.
    pub loss: LevelLoss,
    /// Whether a positive counts as often as the instance has labels in the cluster. Default true.
    pub weighted: bool,
    /// Steps in all. At least 1, default 1000.
    pub n_steps: u64,
    /// Steps over which the learning rate rises to `learning_rate`; from there it falls to 0 at `n_steps`. Default 100.
    pub n_warm_up_steps: u64,
    /// Largest learning rate, of encoder and head. Above 0, default 1e-4.
    pub learning_rate: f64,
    /// What weights lose in a step, as a multiple of the learning rate; biases and normalisations lose nothing. At least 0,
    /// default 0.
    pub weight_decay: f64,
    /// Instances of a step. At least 1, default 32.
    pub batch_size: usize,
    /// Instances that go through the network together: a step adds up the gradients of as many parts as there are. At least 1,
    /// default `None`: all of a step.
    pub part_size: Option<usize>,
    /// Clusters that an instance is scored for: its positives, and of its other candidates a sample. At least 1, default 1000.
    pub max_candidates: usize,
    /// Gradients are scaled down to this length, those of encoder and head each for themselves. Above 0, default 1.
    pub max_gradient: f64,
    /// Whether activations are dropped at random, as the encoder's configuration says. Default true.
    pub dropout: bool,
    /// Share of a text's vector that is dropped before the head. From 0 to below 1, default 0.1.
    pub head_dropout: f64,
    /// Whether matrices are multiplied in bfloat16. Default `None`: on GPUs, where it is several times as fast.
    pub bf16: Option<bool>,
    /// What all that is random depends on. Default 0.
    pub seed: u64,
    /// Steps between two reports. At least 1, default 100.
    pub report_every: u64,
}

impl Default for LevelParams {
    fn default() -> Self {
        Self {
            loss: LevelLoss::default(),
            weighted: true,
            n_steps: 1000,
            n_warm_up_steps: 100,
            learning_rate: 1e-4,
            weight_decay: 0.0,
            batch_size: 32,
            part_size: None,
            max_candidates: 1000,
            max_gradient: 1.0,
            dropout: true,
            head_dropout: 0.1,
            bf16: None,
            seed: 0,
            report_every: 100,
        }
    }
}

impl LevelParams {
    /// Whether each parameter is in its range.
    ///
    /// # Errors
    /// [`TransformerError::Parameter`] for the first one that is not.
    pub fn check(&self) -> Result<(), TransformerError> {
        let rule = |ok, name, expected: &str, found: String| match ok {
            true => Ok(()),
            false => Err(TransformerError::Parameter { name, expected: expected.to_owned(), found }),
        };
        let count = |value: usize, name| rule(value >= 1, name, "at least 1", value.to_string());
        let steps = |value: u64, name| rule(value >= 1, name, "at least 1", value.to_string());
        let positive = |value: f64, name| {
            rule(value.is_finite() && value > 0.0, name, "a number above 0", value.to_string())
        };
        steps(self.n_steps, "n_steps")?;
        positive(self.learning_rate, "learning_rate")?;
        let decay = self.weight_decay;
        rule(decay.is_finite() && decay >= 0.0, "weight_decay", "0 or a number above it", decay.to_string())?;
        count(self.batch_size, "batch_size")?;
        count(self.part_size.unwrap_or(1), "part_size")?;
        count(self.max_candidates, "max_candidates")?;
        positive(self.max_gradient, "max_gradient")?;
        let dropout = self.head_dropout;
        rule(
            (0.0..1.0).contains(&dropout),
            "head_dropout",
            "a number from 0 to below 1",
            dropout.to_string(),
        )?;
        steps(self.report_every, "report_every")
    }

    /// Instances that all steps come to.
    pub(crate) fn n_instances(&self) -> usize {
        usize::try_from(self.n_steps).unwrap_or(usize::MAX).saturating_mul(self.batch_size)
    }

    /// The learning rate of step `step`, counted from 0.
    pub(super) fn learning_rate_at(&self, step: u64) -> f64 {
        let (done, warm) = ((step + 1) as f64, self.n_warm_up_steps.min(self.n_steps) as f64);
        if done <= warm {
            return self.learning_rate * done / warm;
        }
        let left = self.n_steps.saturating_sub(step) as f64;
        self.learning_rate * left / (self.n_steps as f64 - warm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_learning_rate_rises_and_falls() {
        let params =
            LevelParams { n_steps: 10, n_warm_up_steps: 4, learning_rate: 1.0, ..LevelParams::default() };
        let rates: Vec<_> = (0..10).map(|step| params.learning_rate_at(step)).collect();
        assert_eq!(rates[..4], [0.25, 0.5, 0.75, 1.0]);
        assert!(rates[4..].windows(2).all(|pair| pair[1] < pair[0]));
        assert!(rates[4] <= 1.0 && rates[9] > 0.0);
        let always = LevelParams { n_warm_up_steps: 0, ..params };
        assert_eq!(always.learning_rate_at(0), 1.0);
    }

    #[test]
    fn each_parameter_out_of_range_is_named() {
        let name = |change: fn(&mut LevelParams)| {
            let mut params = LevelParams::default();
            change(&mut params);
            match params.check() {
                Err(TransformerError::Parameter { name, .. }) => name,
                _ => "none",
            }
        };
        assert_eq!(name(|_| ()), "none");
        assert_eq!(name(|params| params.n_steps = 0), "n_steps");
        assert_eq!(name(|params| params.learning_rate = f64::NAN), "learning_rate");
        assert_eq!(name(|params| params.weight_decay = -1.0), "weight_decay");
        assert_eq!(name(|params| params.batch_size = 0), "batch_size");
        assert_eq!(name(|params| params.part_size = Some(0)), "part_size");
        assert_eq!(name(|params| params.max_candidates = 0), "max_candidates");
        assert_eq!(name(|params| params.max_gradient = 0.0), "max_gradient");
        assert_eq!(name(|params| params.head_dropout = 1.0), "head_dropout");
        assert_eq!(name(|params| params.report_every = 0), "report_every");
    }
}
