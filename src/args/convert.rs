//! `xmc convert`.

use super::{LabelArgs, ReadArgs};
use clap::Args;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  xmc convert --input X.npz --input-labels Y.npz --out data
  xmc train --train data --model m                    reads in milliseconds, and holds no data in memory
  xmc convert --input titles.tsv.gz --labels labels.tsv --out titles
  xmc convert --input new.jsonl --unlabelled --out new
  xmc inspect --data titles --verify                  compare every byte with its checksum

The directory is given wherever a file of data is: --train, --valid, --test, --input. Its arrays are mapped, not
read: data may be larger than memory. Models trained on it are those of the original, and labels are
found in a model, or in another --labels file, as if the original were read.

Converting takes little memory whatever the size of the data, but for matrices in column order (CSC, Fortran),
which are held whole. The directory is written whole or not at all.";

/// Write data once in a form that is mapped instead of read
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ConvertArgs {
    /// The data, '-' for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) input: PathBuf,
    /// Its labels, when they are in a second file (XC, .npz, .npy)
    #[arg(long, value_name = "FILE", conflicts_with = "unlabelled")]
    pub(crate) input_labels: Option<PathBuf>,
    /// Dense features beside the data (numpy.save), one row for each record
    #[arg(long, value_name = "FILE")]
    pub(crate) dense: Option<PathBuf>,
    /// The directory of the converted data, to be made or replaced
    #[arg(long, value_name = "DIR", visible_alias = "output")]
    pub(crate) out: PathBuf,
    /// The data have no labels, or need none: for predict and bench
    #[arg(long, conflicts_with_all = ["labels", "label_by", "unknown_labels"])]
    pub(crate) unlabelled: bool,
    /// At the end, print sizes and times as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) labels: LabelArgs,
    #[command(flatten)]
    pub(crate) reading: ReadArgs,
}
