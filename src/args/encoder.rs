//! The encoder of a training, and where embeddings are kept.

use super::vectorizer::{name, named};
use super::{DeviceArgs, at_least_one, help};
use crate::failure::usage;
use anyhow::Result;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use xmc::{EncodingParams, Pooling};

/// An encoder for the texts.
#[derive(Debug, Args)]
#[command(next_help_heading = EncodingArgs::HEADING)]
pub(crate) struct EncoderArgs {
    /// Embed the texts beside --vectorizer, or alone with --vectorizer none. A directory: a transformer as Hugging Face keeps
    /// them (config.json, model.safetensors, vocabulary), a table of `xmc distill`, or a model that has an encoder. It becomes part of the model
    #[arg(long, value_name = "DIR")]
    pub(crate) encoder: Option<PathBuf>,
    /// Keep a transformer's embeddings of the training texts below this directory, for the next training; those of the finished
    /// encoder when it is fine-tuned
    #[arg(long, value_name = "DIR")]
    pub(crate) embedding_cache: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

/// The encoder of a command that is about nothing else.
#[derive(Debug, Args)]
pub(crate) struct GivenEncoderArgs {
    /// The encoder: a transformer as Hugging Face keeps them, a table of `xmc distill`, or a model that has one
    #[arg(long, value_name = "DIR")]
    pub(crate) encoder: PathBuf,
    /// Keep a transformer's embeddings below this directory, and take from it those that are there
    #[arg(long, value_name = "DIR")]
    pub(crate) embedding_cache: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    #[command(flatten)]
    pub(crate) encoding: EncodingArgs,
}

/// How an encoder is used in a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum EncoderMode {
    /// As it is
    #[default]
    Frozen,
    /// Imitated by a table of token vectors, made of the training texts as `xmc distill` does: queries need no transformer
    Static,
    /// Fine-tuned first, on the levels of a label tree (XR-Transformer): for builds with transformers
    FineTune,
}

/// The fine-tuning of an encoder.
#[derive(Debug, Args)]
#[command(next_help_heading = "Fine-tuning (with --encoder-mode fine-tune)")]
pub(crate) struct FineTuneArgs {
    /// What becomes of the encoder. Without --encoder, fine-tune trains a small one from nothing [default: frozen]
    #[arg(long, value_name = "MODE", value_enum)]
    pub(crate) encoder_mode: Option<EncoderMode>,
    /// Steps of each level of the tree, from the root down, the last number for all that follow [default: 1000]
    #[arg(long, value_name = "N,N…", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) steps: Vec<u64>,
    /// Largest learning rate [default: 0.0001]
    #[arg(long, value_name = "RATE")]
    pub(crate) learning_rate: Option<f64>,
    /// Texts of a step [default: 32]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) batch_size: Option<usize>,
    /// Texts that go through the network together; the gradients of a step are added up over as many parts as there are
    /// [default: all of a step]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) part_size: Option<usize>,
    /// Multiply matrices in bfloat16 while training [default: on GPUs]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub(crate) bf16: Option<bool>,
    /// Steps over which the learning rate rises, on each level; from there it falls to 0 [default: 100]
    #[arg(long, value_name = "N")]
    pub(crate) warm_up_steps: Option<u64>,
    /// Loss of a level: hinge, squared-hinge or cross-entropy [default: squared-hinge]
    #[arg(long, value_name = "NAME")]
    pub(crate) level_loss: Option<String>,
    /// Steps between two reports, each with a checkpoint and a score on --valid [default: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) report_every: Option<u64>,
    /// What the label head of a level starts from: linear, weighted-linear, inherit or none [default: linear]
    #[arg(long, value_name = "NAME")]
    pub(crate) bootstrap: Option<String>,
    /// Train on the last level alone, for comparison
    #[arg(long)]
    pub(crate) last_level_only: bool,
    /// End a level when its score on --valid has not risen in so many reports; needs --run-dir
    #[arg(long, value_name = "N", requires_all = ["run_dir", "valid"])]
    pub(crate) patience: Option<u32>,
    /// Keep checkpoints and the learning curve in this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) run_dir: Option<PathBuf>,
}

/// How it reads texts.
#[derive(Debug, Args)]
#[command(next_help_heading = EncodingArgs::HEADING)]
pub(crate) struct EncodingArgs {
    #[arg(long, value_name = "TOKENS",
        help = help("Tokens of a text that a transformer looks at", EncodingParams::default().max_length))]
    encoder_max_length: Option<usize>,
    #[arg(long, value_name = "NAME", value_parser = named::<Pooling>, help = help(
        "How a transformer's token vectors become one: auto (as it says itself), mean or cls",
        name(&EncodingParams::default().pooling)
    ))]
    encoder_pooling: Option<Pooling>,
}

impl EncodingArgs {
    /// Where these options stand in the help.
    pub(crate) const HEADING: &'static str = "Embeddings (not used when the data are features)";

    /// Puts what was typed into `params`.
    pub(crate) fn apply(&self, params: &mut EncodingParams) {
        params.max_length = self.encoder_max_length.unwrap_or(params.max_length);
        params.pooling = self.encoder_pooling.unwrap_or(params.pooling);
    }

    /// What was typed over the defaults.
    pub(crate) fn params(&self) -> Result<EncodingParams> {
        let mut params = EncodingParams::default();
        self.apply(&mut params);
        params.check().map_err(usage)?;
        Ok(params)
    }
}
