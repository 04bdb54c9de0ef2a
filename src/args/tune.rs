//! `xmc tune`.

use super::{DataArgs, EncoderArgs, HyperArgs, at_least_one};
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;
use xmc_metrics::Metric;

const EXAMPLES: &str = "\
Examples:
  xmc tune --train titles.tsv.gz --budget 10m --output best.toml
  xmc train --train titles.tsv.gz --params best.toml --model subjects
  xmc tune --train train.tsv --valid valid.tsv --labels labels.tsv --preset fast --metric p@1 --budget 1h
  xmc tune --train X.npz --train-labels Y.npz --trials 20

The options that matter most are tried one after the other: --vectorizer, --encoder-scale (with --encoder), --cp and
--cn, --threshold, --max-leaf, --copies. Values race each other, first on a ninth of the data; those that cannot be better leave early, and
one replaces what was best so far only if it is better by more than a standard error on all the data (or on as much as
the budget allows to train on several times). All other options stay as they were given.

Without --valid a tenth of the training data is held out, at most 10,000 records. Never give the data that
you will report scores on: the best of many trials looks better on the data that chose it than it is.

With --budget the outcome depends on how fast the machine is; with --trials alone it does not.";

/// Search hyper-parameters on validation data
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TuneArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// Time for the search, such as 90s, 10m, 2h [default: 10m, or no limit with --trials]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) budget: Option<Duration>,
    /// Most trainings
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) trials: Option<usize>,
    /// What to improve: p@k, r@k or ndcg@k
    #[arg(long, value_name = "METRIC", value_parser = metric, default_value = "ndcg@5")]
    pub(crate) metric: (Metric, usize),
    /// Write the hyper-parameters that were found to this file, for --params
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// At the end, print what was found and every trial as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) encoder: EncoderArgs,
    #[command(flatten)]
    pub(crate) hyper: HyperArgs,
}

fn metric(name: &str) -> Result<(Metric, usize), String> {
    match Metric::at_cutoff(name) {
        Some((metric @ (Metric::Precision | Metric::Recall | Metric::Ndcg), k)) if k > 0 => Ok((metric, k)),
        _ => Err("expected p@k, r@k or ndcg@k with a k of at least 1, such as p@1".into()),
    }
}
