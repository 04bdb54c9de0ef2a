//! `xmc compress`.

use super::reading::LabelByArg;
use super::vectorizer::named;
use super::{DeviceArgs, ReadArgs};
use bytesize::ByteSize;
use clap::Args;
use std::path::PathBuf;
use xmc::WeightType;

const EXAMPLES: &str = "\
Examples:
  xmc compress --model subjects --out small --quantize int8
  xmc compress --model subjects --out small --quantize int8 --model-size 100MB --test held-out.tsv
  xmc compress --model subjects --out small --threshold 0.2

Nothing is trained: values get fewer bits, and small weights are left out. What that costs is shown with
--test. A model compressed in types and by a threshold is, to the byte, the one that 'xmc train' makes
with --weights and --threshold.";

/// Make a trained model smaller
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CompressArgs {
    /// The model directory
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// The new model directory, to be made or replaced
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// How weights are stored: int8 (a byte each: sign and logarithm), bf16, f32 [default: as they are]
    #[arg(long, value_name = "NAME", value_parser = named::<WeightType>, visible_alias = "weights")]
    pub(crate) quantize: Option<WeightType>,
    /// Leave out weights that are smaller
    #[arg(long, value_name = "VALUE", default_value_t = 0.0)]
    pub(crate) threshold: f32,
    /// Leave out the smallest weights until the model is no larger: 500MB, 1.5GiB
    #[arg(long, value_name = "SIZE")]
    pub(crate) model_size: Option<ByteSize>,
    /// Labelled data: score both models
    #[arg(long, value_name = "FILE")]
    pub(crate) test: Option<PathBuf>,
    /// The labels of these, when they are in a second file (XC, .npz, .npy)
    #[arg(long, value_name = "FILE", requires = "test")]
    pub(crate) test_labels: Option<PathBuf>,
    /// Dense features beside these (numpy.save), one row for each record
    #[arg(long, value_name = "FILE", requires = "test")]
    pub(crate) dense: Option<PathBuf>,
    /// How these refer to the model's labels
    #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
    pub(crate) label_by: LabelByArg,
    /// Leave times out of the model, so that the same input gives the same bytes
    #[arg(long)]
    pub(crate) no_timestamps: bool,
    /// At the end, print what was done as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) reading: ReadArgs,
}
