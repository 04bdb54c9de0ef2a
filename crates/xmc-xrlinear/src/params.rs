//! Hyper-parameters of training.

use crate::XrLinearError;
use serde::{Deserialize, Serialize};
use xmc_linear::{CheckedSvmParams, SvmParams};

/// How stored weights are represented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightType {
    /// The upper half of an `f32`: 8 significant bits, the same range. Half the size.
    #[default]
    Bf16,
    /// Full precision.
    F32,
}

impl WeightType {
    /// Bytes of a value.
    pub(crate) fn width(self) -> usize {
        match self {
            Self::Bf16 => 2,
            Self::F32 => 4,
        }
    }
}

/// Parameters of XR-Linear training.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct XrLinearParams {
    /// The binary problems.
    pub svm: SvmParams,
    /// How weights are stored. Default `bf16`.
    pub weights: WeightType,
    /// Orders the solver's passes. Default 0.
    pub seed: u64,
}

impl XrLinearParams {
    /// Sets the parameters of the binary problems.
    #[must_use]
    pub fn svm(mut self, svm: SvmParams) -> Self {
        self.svm = svm;
        self
    }

    /// Sets how weights are stored.
    #[must_use]
    pub fn weights(mut self, weights: WeightType) -> Self {
        self.weights = weights;
        self
    }

    /// Sets the seed.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The parameters, if each is in its range.
    ///
    /// # Errors
    /// [`XrLinearError::Linear`].
    pub fn check(self) -> Result<CheckedXrLinearParams, XrLinearError> {
        Ok(CheckedXrLinearParams { svm: self.svm.check()?, weights: self.weights, seed: self.seed })
    }
}

/// [`XrLinearParams`] that have passed their checks; see [`CheckedXrLinearParams::fit`](crate::CheckedXrLinearParams::fit).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CheckedXrLinearParams {
    pub(crate) svm: CheckedSvmParams,
    pub(crate) weights: WeightType,
    pub(crate) seed: u64,
}
