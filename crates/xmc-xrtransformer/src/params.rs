//! How an encoder is used.

use crate::{DeviceChoice, Pooling, TransformerError};
use serde::{Deserialize, Serialize};

/// Parameters of an [`Encoder`](crate::Encoder).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct EncoderParams {
    /// Tokens of a text that are looked at, those that begin and end it included; what follows is cut off. From 3 to what
    /// the model has positions for, default 128.
    pub max_length: usize,
    /// How token vectors become one. Default `auto`.
    pub pooling: Pooling,
    /// Where it runs. Default `auto`. The vectors are the same up to rounding.
    pub device: DeviceChoice,
    /// Tokens of a batch, padding included; a single text may have more. At least 1. Default `None`: what suits the device.
    pub batch_tokens: Option<usize>,
}

impl Default for EncoderParams {
    fn default() -> Self {
        Self { max_length: 128, pooling: Pooling::Auto, device: DeviceChoice::Auto, batch_tokens: None }
    }
}

impl EncoderParams {
    /// Sets the number of tokens that are looked at.
    #[must_use]
    pub fn max_length(mut self, max_length: usize) -> Self {
        self.max_length = max_length;
        self
    }

    /// Sets how token vectors become one.
    #[must_use]
    pub fn pooling(mut self, pooling: Pooling) -> Self {
        self.pooling = pooling;
        self
    }

    /// Sets where it runs.
    #[must_use]
    pub fn device(mut self, device: DeviceChoice) -> Self {
        self.device = device;
        self
    }

    /// Sets the tokens of a batch.
    #[must_use]
    pub fn batch_tokens(mut self, batch_tokens: Option<usize>) -> Self {
        self.batch_tokens = batch_tokens;
        self
    }

    /// Whether each parameter is in its range, for a model with `n_positions`.
    pub(crate) fn check(&self, n_positions: usize) -> Result<(), TransformerError> {
        let rule = |ok, name, expected: &dyn Fn() -> String, found: usize| match ok {
            true => Ok(()),
            false => {
                Err(TransformerError::Parameter { name, expected: expected(), found: found.to_string() })
            }
        };
        let length = self.max_length;
        let range = || format!("3 to {n_positions}, the positions of the model");
        rule((3..=n_positions).contains(&length), "max_length", &range, length)?;
        rule(self.batch_tokens != Some(0), "batch_tokens", &|| "at least 1".to_owned(), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_parameter_out_of_range_is_named() {
        let name = |params: EncoderParams| match params.check(512) {
            Err(TransformerError::Parameter { name, .. }) => name,
            _ => "none",
        };
        let ok = EncoderParams::default();
        assert_eq!(name(ok), "none");
        assert_eq!(name(ok.max_length(512)), "none");
        assert_eq!(name(ok.max_length(513)), "max_length");
        assert_eq!(name(ok.max_length(2)), "max_length");
        assert_eq!(name(ok.batch_tokens(Some(0))), "batch_tokens");
    }
}
