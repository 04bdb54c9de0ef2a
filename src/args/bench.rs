//! `xmc bench`.

use super::{DeviceArgs, ReadArgs, SearchArgs, at_least_one};
use clap::Args;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  xmc bench --model subjects --test titles.txt
  xmc bench --model m --test X.tst.npz --queries 10000 --json
  xmc bench --model subjects --test titles.txt --beam 5     what a smaller beam saves

Output:
  open          from the files to the first query's answer being possible; the median of several
  first pass    single queries, one after the other, when nothing of the model is in memory of
                this process yet
  one query     the same again; p50 is the median, p99 what one query of a hundred exceeds
  batch         all records at once, without making their features, on one thread and on all
  memory        what the process has in memory more than before it opened the model";

/// Measure how fast a model answers
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BenchArgs {
    /// The model directory
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Records to ask for, with or without labels
    #[arg(long, value_name = "FILE")]
    pub(crate) test: PathBuf,
    /// Dense features beside the data (numpy.save), one row for each record
    #[arg(long, value_name = "FILE")]
    pub(crate) dense: Option<PathBuf>,
    /// Records that are asked for one by one; all if there are fewer
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = at_least_one)]
    pub(crate) queries: usize,
    /// Times that everything is measured; the numbers are medians
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = at_least_one)]
    pub(crate) repeats: usize,
    /// Leave out the batches: of millions of records they take most of the time
    #[arg(long)]
    pub(crate) no_batch: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Labels for each record [default: the model's]
    #[arg(long, short = 'k', value_name = "N", value_parser = at_least_one, help_heading = "Search")]
    pub(crate) top_k: Option<usize>,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    #[command(flatten)]
    pub(crate) search: SearchArgs,
    #[command(flatten)]
    pub(crate) reading: ReadArgs,
}
