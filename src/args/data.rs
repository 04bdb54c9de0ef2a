//! What a training begins with, for all commands that train: data and hyper-parameters.

use super::{LabelArgs, ParamArgs, ReadArgs};
use clap::Args;
use std::path::PathBuf;
use xmc::Preset;

/// Training and validation data.
#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    /// Training data, '-' for standard input
    #[arg(long, value_name = "FILE", required_unless_present = "print_params")]
    pub(crate) train: Option<PathBuf>,
    /// Its labels, when they are in a second file (XC, .npz, .npy)
    #[arg(long, value_name = "FILE", requires = "train")]
    pub(crate) train_labels: Option<PathBuf>,
    /// Dense features beside the training data (numpy.save), one row for each record
    #[arg(long, value_name = "FILE", requires = "train")]
    pub(crate) dense: Option<PathBuf>,
    /// Validation data: a model keeps its scores on them
    #[arg(long, value_name = "FILE")]
    pub(crate) valid: Option<PathBuf>,
    /// Labels of the validation data, when they are in a second file
    #[arg(long, value_name = "FILE", requires = "valid")]
    pub(crate) valid_labels: Option<PathBuf>,
    /// Dense features beside the validation data
    #[arg(long, value_name = "FILE", requires = "valid")]
    pub(crate) valid_dense: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) labels: LabelArgs,
    #[command(flatten)]
    pub(crate) reading: ReadArgs,
}

/// Hyper-parameters: typed, from a file or a preset.
#[derive(Debug, Args)]
pub(crate) struct HyperArgs {
    /// A measured bundle of hyper-parameters for text: fast, balanced or accurate; other options go before it
    #[arg(long, value_name = "NAME", conflicts_with = "params")]
    pub(crate) preset: Option<Preset>,
    /// Hyper-parameters (TOML); options on the command line go before it
    #[arg(long, value_name = "FILE")]
    pub(crate) params: Option<PathBuf>,
    /// Print the hyper-parameters that would be used (or be searched from), as TOML, and end
    #[arg(long)]
    pub(crate) print_params: bool,
    #[command(flatten)]
    pub(crate) typed: ParamArgs,
}
