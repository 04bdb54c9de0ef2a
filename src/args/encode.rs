//! `xmc encode`.

use super::{GivenEncoderArgs, ReadArgs};
use clap::Args;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  xmc encode --encoder all-MiniLM-L6-v2 titles.txt --output titles.npy
  xmc encode --encoder table titles.txt --output titles.npy
  xmc train --train titles.tsv --dense titles.npy --model m

The output is a matrix for NumPy (numpy.load), 32-bit floats, a row for each record: a vector of length 1, or
zeros for a text of which the encoder knows nothing.";

/// Write the embeddings of texts
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct EncodeArgs {
    #[command(flatten)]
    pub(crate) encoder: GivenEncoderArgs,
    /// The texts, a line each, or with labels as for training; '-' for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The matrix to write (.npy)
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// At the end, print counts and times as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) reading: ReadArgs,
}
