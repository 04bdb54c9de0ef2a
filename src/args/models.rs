//! The models that answer, and the device that a transformer runs on.

use super::help;
use super::vectorizer::{name, named};
use clap::Args;
use std::path::PathBuf;
use xmc::{Combine, DeviceChoice};

/// One model, or several as one.
#[derive(Debug, Args)]
pub(crate) struct ModelsArgs {
    /// The model directory. Given several times: an ensemble of models of the same labels
    #[arg(long, value_name = "DIR", required = true)]
    pub(crate) model: Vec<PathBuf>,
    #[arg(long, value_name = "NAME", value_parser = named::<Combine>, help_heading = "Search", help = help(
        "How the scores of several models become one: average, rank-average, softmax-average, sigmoid-average or round-robin",
        name(&Combine::default())
    ))]
    pub(crate) combine: Option<Combine>,
    /// Keep a transformer's embeddings below this directory, and take from it those that are there
    #[arg(long, value_name = "DIR")]
    pub(crate) embedding_cache: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

/// Where a transformer runs.
#[derive(Debug, Default, Args)]
pub(crate) struct DeviceArgs {
    /// Where a transformer runs: auto (a GPU where there is one), cpu, cuda or cuda:N
    #[arg(long, value_name = "NAME", default_value_t, hide_default_value = true, help_heading = "General")]
    pub(crate) device: DeviceChoice,
}
