//! The encoder of a training, and where embeddings are kept.

use clap::Args;
use std::path::PathBuf;

/// An encoder for the texts.
#[derive(Debug, Args)]
#[command(next_help_heading = "Embeddings (not used when the data are features)")]
pub(crate) struct EncoderArgs {
    /// Embed the texts beside --vectorizer, or alone with --vectorizer none. A directory: a transformer as Hugging Face keeps
    /// them (config.json, model.safetensors, vocabulary), or a table of `xmc distill`. It becomes part of the model
    #[arg(long, value_name = "DIR")]
    pub(crate) encoder: Option<PathBuf>,
    /// Keep a transformer's embeddings of the training texts below this directory, for the next training
    #[arg(long, value_name = "DIR", requires = "encoder")]
    pub(crate) embedding_cache: Option<PathBuf>,
}
