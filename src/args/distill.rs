//! `xmc distill`.

use super::vectorizer::{name, named};
use super::{GivenEncoderArgs, LabelArgs, ReadArgs, at_least_one, help};
use clap::Args;
use std::path::PathBuf;
use xmc::{Precision, StaticParams};

const EXAMPLES: &str = "\
Examples:
  xmc distill --encoder all-MiniLM-L6-v2 --train titles.tsv --labels labels.tsv --out table
  xmc train --train titles.tsv --labels labels.tsv --preset balanced --encoder table --model subjects

The table has a vector for each word, and each frequent pair of words, of the texts. Words start from the encoder's
vectors for them and are fitted to what it says of the texts. Embedding a text with a table takes microseconds and
needs neither the encoder nor libtorch.";

/// Make a table of token vectors that imitates an encoder
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DistillArgs {
    #[command(flatten)]
    pub(crate) encoder: GivenEncoderArgs,
    /// Texts of the kind that the table is for, with or without labels, '-' for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) train: PathBuf,
    /// The table, a directory to be made or replaced
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    #[arg(long, value_name = "N", value_parser = at_least_one,
        help = help("Width of the vectors, if the encoder's are not narrower", StaticParams::default().n_dims))]
    pub(crate) dims: Option<usize>,
    #[arg(long, value_name = "NAME", value_parser = named::<Precision>,
        help = help("How vectors are kept: f16 or int8", name(&StaticParams::default().precision)))]
    pub(crate) precision: Option<Precision>,
    /// What it costs a token to leave where it started [default: what agrees best with the encoder on held-out texts]
    #[arg(long, value_name = "COST")]
    pub(crate) penalty: Option<f32>,
    /// At the end, print sizes and times as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) labels: LabelArgs,
    #[command(flatten)]
    pub(crate) reading: ReadArgs,
}
