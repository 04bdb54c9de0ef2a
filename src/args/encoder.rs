//! The encoder of a training, and where embeddings are kept.

use super::help;
use crate::failure::usage;
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use xmc::EncodingParams;

/// An encoder for the texts.
#[derive(Debug, Args)]
#[command(next_help_heading = EncodingArgs::HEADING)]
pub(crate) struct EncoderArgs {
    /// Embed the texts beside --vectorizer, or alone with --vectorizer none. A directory: a transformer as Hugging Face keeps
    /// them (config.json, model.safetensors, vocabulary), or a table of `xmc distill`. It becomes part of the model
    #[arg(long, value_name = "DIR")]
    pub(crate) encoder: Option<PathBuf>,
    /// Keep a transformer's embeddings of the training texts below this directory, for the next training
    #[arg(long, value_name = "DIR", requires = "encoder")]
    pub(crate) embedding_cache: Option<PathBuf>,
}

/// How it reads texts.
#[derive(Debug, Args)]
#[command(next_help_heading = EncodingArgs::HEADING)]
pub(crate) struct EncodingArgs {
    #[arg(long, value_name = "TOKENS",
        help = help("Tokens of a text that a transformer looks at", EncodingParams::default().max_length))]
    encoder_max_length: Option<usize>,
}

impl EncodingArgs {
    /// Where these options stand in the help.
    pub(crate) const HEADING: &'static str = "Embeddings (not used when the data are features)";

    /// Puts what was typed into `params`.
    pub(crate) fn apply(&self, params: &mut EncodingParams) {
        params.max_length = self.encoder_max_length.unwrap_or(params.max_length);
    }

    /// What was typed over the defaults.
    pub(crate) fn params(&self) -> Result<EncodingParams> {
        let mut params = EncodingParams::default();
        self.apply(&mut params);
        params.check().map_err(usage)?;
        Ok(params)
    }
}
