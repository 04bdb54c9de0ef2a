//! `xmc explain`.

use super::{DeviceArgs, ReadArgs, SearchArgs, at_least_one, help};
use clap::Args;
use std::path::PathBuf;
use xmc::ExplainOptions;

const EXAMPLES: &str = "\
Examples:
  xmc explain --model subjects 'Growing roses in the wild'
  xmc explain --model subjects --top-k 1 --features 10 'Growing roses' 'Cast steel'
  xmc explain --model subjects --label gardening 'Growing roses'     why (not) this one
  xmc explain --model subjects --json --input titles.txt | jq .labels[0].paths[0].at_label.up
  tail -f log | xmc explain --model subjects -

Output, for each label:
  its way through the tree with the score so far and the margin (w·x + b) of each node,
  the features that pushed its own margin up and down the most (label),
  and those that did so in all nodes of the way together (path).
  The parts of a margin add up to it: named features, others, intercept.

JSON Lines, with --json:
  {\"id\": \"7\", \"text\": …, \"labels\": [{\"label\": \"roses\", \"score\": 0.93, \"paths\": [{\"tree\": 0,
   \"steps\": [{\"cluster\": 12, \"margin\": …, \"score\": …, …}, {\"label\": \"roses\", …}],
   \"at_label\": {\"margin\": …, \"intercept\": …, \"up\": […], \"down\": […], …}, \"along_path\": {…}}]}]}";

/// Show why labels are predicted
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ExplainArgs {
    /// The model directory
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// Texts to explain, or '-' for standard input
    #[arg(value_name = "TEXT", required_unless_present = "input")]
    pub(crate) texts: Vec<String>,
    /// Explain the records of a file, '-' for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "texts")]
    pub(crate) input: Option<PathBuf>,
    /// Dense features beside the data (numpy.save), one row for each record
    #[arg(long, value_name = "FILE", conflicts_with = "texts")]
    pub(crate) dense: Option<PathBuf>,
    /// Explain this label (its key or its name), predicted or not; may be given more than once
    #[arg(long = "label", value_name = "KEY")]
    pub(crate) labels: Vec<String>,
    #[arg(long, value_name = "N",
        help = help("Features named on each side, up and down", ExplainOptions::default().n_features))]
    features: Option<usize>,
    /// Name each dense feature by itself, not all of them as one
    #[arg(long)]
    each_dense: bool,
    /// Print JSON Lines
    #[arg(long)]
    pub(crate) json: bool,
    /// Labels for each record
    #[arg(long, short = 'k', value_name = "N", value_parser = at_least_one, default_value_t = 3, help_heading = "Search",
        conflicts_with = "labels")]
    pub(crate) top_k: usize,
    #[command(flatten)]
    pub(crate) search: SearchArgs,
    #[command(flatten)]
    pub(crate) reading: ReadArgs,
}

impl ExplainArgs {
    /// How much to tell.
    pub(crate) fn options(&self) -> ExplainOptions {
        let mut options = ExplainOptions::default();
        options.n_features = self.features.unwrap_or(options.n_features);
        options.each_dense = self.each_dense;
        options
    }
}
