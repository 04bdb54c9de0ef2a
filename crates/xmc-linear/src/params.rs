//! Hyper-parameters of the solver, with LIBLINEAR's and PECOS's defaults.

use crate::{LinearError, Loss};
use serde::{Deserialize, Serialize};

/// Parameters of one binary problem: an L2-regularised loss, solved in the dual.
///
/// The objective is `½‖w‖² + ½b² + Σᵢ Cᵢ loss(yᵢ(w·xᵢ + b·bias))`. `Cᵢ` is the class's cost times the instance's weight, and
/// for a positive times the cost of the pair.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct SvmParams {
    /// What a margin costs. Default `squared-hinge`.
    pub loss: Loss,
    /// Cost of a positive instance, `Cp` in LIBLINEAR. Above 0, default 1.
    pub cost_positive: f32,
    /// Cost of a negative instance, `Cn`. Above 0, default 1.
    pub cost_negative: f32,
    /// Stop when the largest violation of the optimality conditions spans less than this. Above 0,
    /// default 0.1. The logistic loss measures a violation as a difference of log-odds.
    pub eps: f32,
    /// At most this many passes over the instances. At least 1, default 100.
    pub max_iter: u32,
    /// Value of the constant feature that carries the (regularised) intercept; 0 for no intercept.
    /// Default 1.
    pub bias: f32,
    /// Weights below this in absolute value are dropped. At least 0, default 0.1.
    pub threshold: f32,
    /// Of each label's sparse weights that pass the threshold at most this many are kept, the largest in absolute
    /// value; of equal ones that of the smaller feature number. The intercept counts as one of them, as in PECOS: it is 0
    /// where larger weights leave it no room. Dense weights are kept always and do not count. At least 1, default `None`: all.
    pub max_nonzeros_per_label: Option<usize>,
}

impl Default for SvmParams {
    fn default() -> Self {
        Self {
            loss: Loss::default(),
            cost_positive: 1.0,
            cost_negative: 1.0,
            eps: 0.1,
            max_iter: 100,
            bias: 1.0,
            threshold: 0.1,
            max_nonzeros_per_label: None,
        }
    }
}

impl SvmParams {
    /// Sets the loss.
    #[must_use]
    pub fn loss(mut self, loss: Loss) -> Self {
        self.loss = loss;
        self
    }

    /// Sets the cost of positive and negative instances.
    #[must_use]
    pub fn costs(mut self, positive: f32, negative: f32) -> Self {
        (self.cost_positive, self.cost_negative) = (positive, negative);
        self
    }

    /// Sets the stopping tolerance.
    #[must_use]
    pub fn eps(mut self, eps: f32) -> Self {
        self.eps = eps;
        self
    }

    /// Sets the largest number of passes.
    #[must_use]
    pub fn max_iter(mut self, max_iter: u32) -> Self {
        self.max_iter = max_iter;
        self
    }

    /// Sets the value of the constant feature.
    #[must_use]
    pub fn bias(mut self, bias: f32) -> Self {
        self.bias = bias;
        self
    }

    /// Sets the pruning threshold.
    #[must_use]
    pub fn threshold(mut self, threshold: f32) -> Self {
        self.threshold = threshold;
        self
    }

    /// Sets the largest number of sparse weights of a label.
    #[must_use]
    pub fn max_nonzeros_per_label(mut self, max_nonzeros_per_label: Option<usize>) -> Self {
        self.max_nonzeros_per_label = max_nonzeros_per_label;
        self
    }

    /// The parameters, if each is in its range.
    ///
    /// # Errors
    /// [`LinearError::Parameter`] for the first one that is not.
    pub fn check(self) -> Result<CheckedSvmParams, LinearError> {
        let rule = |ok, name, expected, found| match ok {
            true => Ok(()),
            false => Err(LinearError::Parameter { name, expected, found }),
        };
        let positive = |value: f32| value.is_finite() && value > 0.0;
        let not_negative = |value: f32| value.is_finite() && value >= 0.0;
        rule(positive(self.cost_positive), "cost_positive", "a number above 0", self.cost_positive.into())?;
        rule(positive(self.cost_negative), "cost_negative", "a number above 0", self.cost_negative.into())?;
        rule(positive(self.eps), "eps", "a number above 0", self.eps.into())?;
        rule(self.max_iter >= 1, "max_iter", "at least 1", self.max_iter.into())?;
        rule(not_negative(self.bias), "bias", "0 or a number above it", self.bias.into())?;
        rule(not_negative(self.threshold), "threshold", "0 or a number above it", self.threshold.into())?;
        rule(self.max_nonzeros_per_label != Some(0), "max_nonzeros_per_label", "at least 1", 0.0)?;
        Ok(CheckedSvmParams(self))
    }
}

/// [`SvmParams`] that have passed their checks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CheckedSvmParams(SvmParams);

impl std::ops::Deref for CheckedSvmParams {
    type Target = SvmParams;
    fn deref(&self) -> &SvmParams {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_parameter_out_of_range_is_named() {
        let name = |params: SvmParams| match params.check() {
            Err(LinearError::Parameter { name, .. }) => name,
            _ => "none",
        };
        let ok = SvmParams::default();
        assert_eq!(name(ok), "none");
        assert_eq!(name(ok.costs(0.0, 1.0)), "cost_positive");
        assert_eq!(name(ok.costs(1.0, f32::NAN)), "cost_negative");
        assert_eq!(name(ok.eps(-1.0)), "eps");
        assert_eq!(name(ok.max_iter(0)), "max_iter");
        assert_eq!(name(ok.bias(f32::INFINITY)), "bias");
        assert_eq!(name(ok.threshold(-0.1)), "threshold");
        assert_eq!(name(ok.max_nonzeros_per_label(Some(0))), "max_nonzeros_per_label");
    }
}
