//! `xmc eval`.

use super::{ModelsArgs, ReadArgs, SearchArgs, at_least_one, reading::LabelByArg};
use clap::Args;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  xmc eval --model subjects --test held-out.tsv.gz
  xmc eval --model subjects --test held-out.tsv.gz --at 1,5 --beam 50 --json
  xmc eval --model m --test X.tst.npz --test-labels Y.tst.npz

All values are percent: p precision, r recall, ndcg normalised discounted cumulative gain, psp and
psndcg their propensity-scored forms (by label frequencies of the training data), micro-f1 and
macro-f1, coverage (the share of the true labels that is hit at least once). A true label that
the model has never seen counts as one that it missed.";

/// Score a model on labelled data
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct EvalArgs {
    #[command(flatten)]
    pub(crate) models: ModelsArgs,
    /// Labelled data, '-' for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) test: PathBuf,
    /// The labels, when they are in a second file (XC, .npz, .npy)
    #[arg(long, value_name = "FILE")]
    pub(crate) test_labels: Option<PathBuf>,
    /// Dense features beside the data (numpy.save), one row for each record
    #[arg(long, value_name = "FILE")]
    pub(crate) dense: Option<PathBuf>,
    /// Cut-offs of the ranked lists
    #[arg(long, value_name = "K,K…", value_delimiter = ',', default_values_t = [1, 3, 5, 10], value_parser = at_least_one)]
    pub(crate) at: Vec<usize>,
    /// Leave labels that no training record had out of the truth (records whose truth becomes empty still count)
    #[arg(long)]
    pub(crate) seen_only: bool,
    /// How the data refer to the model's labels
    #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
    pub(crate) label_by: LabelByArg,
    /// Print one JSON object: {"p@1": 37.1, …, "n": 1000}
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) search: SearchArgs,
    #[command(flatten)]
    pub(crate) reading: ReadArgs,
}
