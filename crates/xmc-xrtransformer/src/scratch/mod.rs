//! A small encoder made from nothing but the texts that it is for.
//!
//! Its vocabulary is learned, its weights are random: it is worth something only after fine-tuning.

mod pieces;

use crate::config::Config;
use crate::files::{self, Carried};
use crate::normal::Normal;
use crate::tokenizer::{self, Tokenizer};
use crate::weights::{self, Weights};
use crate::{Encoder, EncoderParams, Pooling, TransformerError};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::Path;
use tch::Tensor;

type Result<T> = std::result::Result<T, TransformerError>;

/// Sizes of an encoder that is made [from scratch](Encoder::from_scratch).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ScratchParams {
    /// Tokens of the vocabulary; fewer where the texts have no more. At least 100, default 16,384.
    pub vocabulary_size: usize,
    /// Width of the vectors, a multiple of `n_heads`. At least 1, default 128.
    pub hidden_size: usize,
    /// Layers. At least 1, default 2.
    pub n_layers: usize,
    /// Heads of attention. At least 1, default 4.
    pub n_heads: usize,
    /// What the weights depend on. Default 0.
    pub seed: u64,
}

impl Default for ScratchParams {
    fn default() -> Self {
        Self { vocabulary_size: 16_384, hidden_size: 128, n_layers: 2, n_heads: 4, seed: 0 }
    }
}

impl ScratchParams {
    fn check(&self) -> Result<()> {
        let rule = |ok, name, expected: &str, found: usize| match ok {
            true => Ok(()),
            false => {
                let (expected, found) = (expected.to_owned(), found.to_string());
                Err(TransformerError::Parameter { name, expected, found })
            }
        };
        rule(self.vocabulary_size >= 100, "vocabulary_size", "at least 100", self.vocabulary_size)?;
        rule(self.n_layers >= 1, "n_layers", "at least 1", self.n_layers)?;
        rule(self.n_heads >= 1, "n_heads", "at least 1", self.n_heads)?;
        let divides = self.hidden_size >= 1 && self.hidden_size.is_multiple_of(self.n_heads);
        rule(divides, "hidden_size", "a multiple of n_heads", self.hidden_size)
    }

    fn config(&self, n_tokens: usize, max_length: usize) -> Vec<u8> {
        let config = json!({
            "model_type": "bert",
            "vocab_size": n_tokens,
            "hidden_size": self.hidden_size,
            "num_hidden_layers": self.n_layers,
            "num_attention_heads": self.n_heads,
            "intermediate_size": 4 * self.hidden_size,
            "max_position_embeddings": max_length,
            "type_vocab_size": 1,
        });
        format!("{config:#}\n").into_bytes()
    }
}

impl Encoder {
    /// A BERT with random weights and a vocabulary of the pieces of `texts` (WordPiece, lower-cased, without accents).
    ///
    /// # Errors
    /// [`TransformerError::Parameter`], [`TransformerError::Io`] for temporary files, [`TransformerError::Torch`].
    pub fn from_scratch(texts: &[&str], scratch: &ScratchParams, params: &EncoderParams) -> Result<Self> {
        scratch.check()?;
        params.check(params.max_length)?;
        let pieces = pieces::learn(texts, scratch.vocabulary_size)?;
        let vocabulary: String = pieces.iter().map(|piece| format!("{piece}\n")).collect();
        let carried = Carried {
            config: scratch.config(pieces.len(), params.max_length),
            tokenizer: vec![
                ("vocab.txt".to_owned(), vocabulary.into_bytes()),
                (tokenizer::CONFIG.to_owned(), br#"{"do_lower_case": true}"#.to_vec()),
            ],
        };
        let config = Config::parse(&carried.config, Path::new(files::CONFIG))?;
        let dir = tempfile::tempdir()
            .map_err(|source| TransformerError::Io { path: std::env::temp_dir(), source })?;
        carried.write_tokenizer(dir.path())?;
        let tokenizer = Tokenizer::open(dir.path(), dir.path(), params.max_length, pieces.len())?;
        let pooling = match params.pooling {
            Pooling::Auto => Pooling::Mean,
            chosen => chosen,
        };
        Self::assemble(
            config.clone(),
            carried,
            tokenizer,
            random(&config, scratch.seed)?,
            params.pooling(pooling),
        )
    }
}

/// BERT's start: matrices from a normal distribution of standard deviation 0.02, biases 0, normalisations 1.
fn random(config: &Config, seed: u64) -> Result<Weights> {
    let mut normal = Normal::new(seed, 4);
    let one = |(name, shape): (String, Vec<i64>)| {
        let size = shape.iter().product::<i64>();
        let values: Vec<f32> = (0..size).map(|_| 0.02 * normal.next()).collect();
        let tensor = match (shape.len(), name.ends_with(".weight")) {
            (1, true) => Tensor::f_ones(&shape[..], (tch::Kind::Float, tch::Device::Cpu))?,
            (1, false) => Tensor::f_zeros(&shape[..], (tch::Kind::Float, tch::Device::Cpu))?,
            _ => Tensor::f_from_slice(&values)?.f_view(&shape[..])?,
        };
        Ok((name, tensor))
    };
    weights::shapes(config).into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DeviceChoice;
    use xmc_embed::TextEncoder;
    use xmc_sparse::NoProgress;

    const TEXTS: [&str; 3] = ["Forest hydrology and forests", "growing roses in a forest", "Crème brûlée"];

    #[test]
    fn an_encoder_is_made_of_texts_alone() {
        let params = EncoderParams::default().device(DeviceChoice::Cpu).max_length(16);
        let scratch = ScratchParams { vocabulary_size: 150, hidden_size: 16, ..ScratchParams::default() };
        let encoder = Encoder::from_scratch(&TEXTS, &scratch, &params).unwrap();
        let mut out = vec![0.0; 3 * 16];
        encoder.encode(&TEXTS, &NoProgress, &mut out).unwrap();
        for row in out.chunks(16) {
            assert!((row.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
        }
        // No piece of these texts is unknown; number 1 would be.
        let tokens = encoder.tokenize(&TEXTS);
        assert!((0..3).all(|row| !tokens.row(row).contains(&1)));
        let again = Encoder::from_scratch(&TEXTS, &scratch, &params).unwrap();
        assert_eq!(encoder.fingerprint(), again.fingerprint());
        let dir = tempfile::tempdir().unwrap();
        encoder.save(dir.path()).unwrap();
        let stored = Encoder::open(dir.path(), &params).unwrap();
        assert_eq!(stored.fingerprint(), encoder.fingerprint());
    }

    #[test]
    fn sizes_that_cannot_be_are_named() {
        let name = |change: fn(&mut ScratchParams)| {
            let mut scratch = ScratchParams::default();
            change(&mut scratch);
            match scratch.check() {
                Err(TransformerError::Parameter { name, .. }) => name,
                _ => "none",
            }
        };
        assert_eq!(name(|_| ()), "none");
        assert_eq!(name(|scratch| scratch.vocabulary_size = 99), "vocabulary_size");
        assert_eq!(name(|scratch| scratch.hidden_size = 30), "hidden_size");
        assert_eq!(name(|scratch| scratch.n_layers = 0), "n_layers");
        assert_eq!(name(|scratch| scratch.n_heads = 0), "n_heads");
    }
}
