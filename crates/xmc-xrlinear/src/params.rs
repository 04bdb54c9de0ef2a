//! Hyper-parameters of training.

use crate::{Negatives, RelevanceMode, RelevanceNorm, RelevanceParams, WeightType, XrLinearError};
use serde::{Deserialize, Serialize};
use xmc_linear::{CheckedSvmParams, SvmParams};
use xmc_tree::{PerLayer, SearchParams};

/// Weights of a layer that training keeps in memory unless told otherwise ([`XrLinearParams::part_weights`]).
pub const PART_WEIGHTS: u64 = 1 << 25;

/// Parameters of XR-Linear training.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct XrLinearParams {
    /// The binary problems of each layer.
    pub svm: PerLayer<SvmParams>,
    /// Where the negatives of each layer come from. Default `tfn`.
    pub negatives: PerLayer<Negatives>,
    /// Clusters to which the layers above send an instance, for matcher-aware negatives. At least 1, default 10.
    pub matcher_beam: MatcherBeam,
    /// Cost-sensitive learning. Default off.
    pub relevance: RelevanceParams,
    /// How weights are stored. Default `bf16`.
    pub weights: WeightType,
    /// Weights of a layer that training keeps in memory, about: a layer that has more is written in parts, which are put together when all
    /// are there. Five to eight bytes each. At least 1; default 2^25. The stored weights are the same.
    pub part_weights: Option<u64>,
    /// Orders the solver's passes. Default 0.
    pub seed: u64,
}

/// A beam whose default is that of a search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MatcherBeam(pub PerLayer<usize>);

impl Default for MatcherBeam {
    fn default() -> Self {
        Self(SearchParams::default().beam_size)
    }
}

impl XrLinearParams {
    /// Sets the parameters of the binary problems: one for all layers, or a [`PerLayer`].
    #[must_use]
    pub fn svm(mut self, svm: impl Into<PerLayer<SvmParams>>) -> Self {
        self.svm = svm.into();
        self
    }

    /// Sets where negatives come from: one for all layers, or a [`PerLayer`].
    #[must_use]
    pub fn negatives(mut self, negatives: impl Into<PerLayer<Negatives>>) -> Self {
        self.negatives = negatives.into();
        self
    }

    /// Sets the beam of matcher-aware negatives.
    #[must_use]
    pub fn matcher_beam(mut self, beam: impl Into<PerLayer<usize>>) -> Self {
        self.matcher_beam = MatcherBeam(beam.into());
        self
    }

    /// Sets relevance weighting.
    #[must_use]
    pub fn relevance(mut self, mode: RelevanceMode, norm: RelevanceNorm) -> Self {
        self.relevance = RelevanceParams { mode, norm };
        self
    }

    /// Sets how weights are stored.
    #[must_use]
    pub fn weights(mut self, weights: WeightType) -> Self {
        self.weights = weights;
        self
    }

    /// Sets how many weights are in memory at a time.
    #[must_use]
    pub fn part_weights(mut self, weights: impl Into<Option<u64>>) -> Self {
        self.part_weights = weights.into();
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
    /// [`XrLinearError::Linear`], [`XrLinearError::Tree`] for a beam of 0, [`XrLinearError::PartWeights`] for parts of no weights.
    pub fn check(&self) -> Result<CheckedXrLinearParams, XrLinearError> {
        if self.part_weights == Some(0) {
            return Err(XrLinearError::PartWeights);
        }
        let matcher = SearchParams::default().beam_size(self.matcher_beam.0.clone());
        matcher.check()?;
        Ok(CheckedXrLinearParams {
            svm: self.svm.try_map(|svm| svm.check())?,
            negatives: self.negatives.clone(),
            matcher,
            relevance: self.relevance,
            weights: self.weights,
            part_weights: self.part_weights.unwrap_or(PART_WEIGHTS),
            seed: self.seed,
        })
    }
}

/// [`XrLinearParams`] that have passed their checks; see [`CheckedXrLinearParams::fit`](crate::CheckedXrLinearParams::fit).
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedXrLinearParams {
    pub(crate) svm: PerLayer<CheckedSvmParams>,
    pub(crate) negatives: PerLayer<Negatives>,
    /// The search that matcher-aware negatives come from.
    pub(crate) matcher: SearchParams,
    pub(crate) relevance: RelevanceParams,
    pub(crate) weights: WeightType,
    pub(crate) part_weights: u64,
    pub(crate) seed: u64,
}
