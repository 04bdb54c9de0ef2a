//! What a table is made of.

use crate::{EmbedError, Precision};
use serde::{Deserialize, Serialize};
use xmc_tfidf::{DocFrequency, TfIdf, TfIdfParams, VectorizerParams};

/// Parameters of a [`StaticTable`](crate::StaticTable) made from an encoder, not yet checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StaticParams {
    /// Width of the vectors: the encoder's own when it is narrower. Default 128: of an encoder of 384 numbers, so many
    /// directions keep nine tenths of what its vectors are worth to a ranker, at a third of the time.
    pub n_dims: usize,
    /// How the vectors are kept. Default [`Precision::Int8`].
    pub precision: Precision,
    /// How texts are cut into tokens and what each weighs. Whole words (word n-grams of one word) start from the encoder's vectors for
    /// them, everything else starts from nothing. Default: words, and pairs of words that 3 texts have. Pieces of words make tables no
    /// better beside TF-IDF that has pieces itself, and take seven times as long to fit; alone, they speak for words that the corpus lacks.
    pub tokens: TfIdfParams,
    /// `λ`: what it costs a token to leave where it started, where the squared values of a text's tokens add up to 1. Above 0.
    /// Default none: the one of [`StaticParams::PENALTIES`] that agrees best with the encoder on held-out texts.
    pub penalty: Option<f32>,
    /// Most steps of the solver. Default 25.
    pub max_iter: usize,
    /// The solver ends when its residual is smaller by this factor. Above 0. Default 0.01: what remains is less than what `int8` rounds off.
    pub tolerance: f32,
}

impl Default for StaticParams {
    fn default() -> Self {
        let words = VectorizerParams::words(1, 1).min_df(DocFrequency::Count(1));
        let pairs = VectorizerParams::words(2, 2).min_df(DocFrequency::Count(3));
        Self {
            n_dims: 128,
            precision: Precision::default(),
            tokens: TfIdf::params().vectorizers(vec![words, pairs]),
            penalty: None,
            max_iter: 25,
            tolerance: 0.01,
        }
    }
}

impl StaticParams {
    /// What [`StaticParams::penalty`] is chosen from.
    pub const PENALTIES: [f32; 5] = [0.1, 0.3, 1.0, 3.0, 10.0];

    /// Checks every parameter.
    ///
    /// # Errors
    /// [`EmbedError::Param`], and [`EmbedError::Tokens`] as [`TfIdfParams::check`].
    pub fn check(self) -> Result<StaticValidParams, EmbedError> {
        let above_0 = |name, found: f64| match found.is_finite() && found > 0.0 {
            true => Ok(()),
            false => Err(EmbedError::Param { name, found }),
        };
        above_0("n_dims", self.n_dims as f64)?;
        above_0("penalty", f64::from(self.penalty.unwrap_or(1.0)))?;
        above_0("max_iter", self.max_iter as f64)?;
        above_0("tolerance", f64::from(self.tolerance))?;
        self.tokens.clone().check()?;
        Ok(StaticValidParams(self))
    }
}

/// Parameters that passed [`StaticParams::check`]: ready to [`fit`](Self::fit).
#[derive(Debug, Clone, PartialEq)]
pub struct StaticValidParams(pub(super) StaticParams);

impl StaticValidParams {
    /// The parameters as they were given.
    pub fn as_params(&self) -> &StaticParams {
        &self.0
    }
}
