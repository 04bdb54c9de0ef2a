//! `xmc predict`.

use super::{ModelsArgs, ReadArgs, SearchArgs, at_least_one};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  xmc predict --model subjects titles.txt                     a text a line in, JSON Lines out
  echo 'Growing roses' | xmc predict --model subjects --top-k 3 -
  xmc predict --model subjects new.jsonl --output labels.tsv
  xmc predict --model m X.npz --output scores.npz             matrices in and out, for SciPy
  xmc predict --model m titles.txt --only shop.txt            only labels that the shop has
  xmc predict --model m titles.txt --score candidates.tsv     the scores of given labels

Output:
  jsonl  {\"id\": \"7\", \"labels\": [{\"label\": \"roses\", \"key\": \"p123\", \"score\": 0.93}, …]}
         for each record; 'id' where it has one, 'key' where it differs from the label's name
  tsv    a line for each label: record (id, or its number from 0), rank, key, label, score
  npz    the records x labels matrix of scores (CSR), held in memory until the end;
         needs --output

Standard input is read as it comes: a line that is typed is answered at once, and memory stays
bounded. An output file appears under its name when it is complete.";

/// Predict the labels of new data
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PredictArgs {
    #[command(flatten)]
    pub(crate) models: ModelsArgs,
    /// The data, '-' for standard input
    #[arg(value_name = "FILE", required_unless_present = "input")]
    pub(crate) file: Option<PathBuf>,
    /// The data, as an option
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    pub(crate) input: Option<PathBuf>,
    /// Dense features beside the data (numpy.save), one row for each record
    #[arg(long, value_name = "FILE")]
    pub(crate) dense: Option<PathBuf>,
    /// Write here instead of to standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Form of the output [default: told by the name of the output file, else jsonl]
    #[arg(long, value_name = "NAME", value_enum)]
    pub(crate) output_format: Option<OutputFormat>,
    /// At the end, print counts and times as one JSON object: on standard output with --output, else on
    /// standard error
    #[arg(long)]
    pub(crate) json: bool,
    /// Labels for each record [default: the model's]
    #[arg(long, short = 'k', value_name = "N", value_parser = at_least_one, help_heading = "Search")]
    pub(crate) top_k: Option<usize>,
    /// Return only the labels in this file, a key a line
    #[arg(long, value_name = "FILE", help_heading = "Search", conflicts_with = "not")]
    pub(crate) only: Option<PathBuf>,
    /// Do not return the labels in this file, a key a line
    #[arg(long, value_name = "FILE", help_heading = "Search")]
    pub(crate) not: Option<PathBuf>,
    /// Score given labels: line i of this file has the keys for record i, separated by tabs; each gets its score,
    /// however unlikely it is
    #[arg(long, value_name = "FILE", help_heading = "Search", conflicts_with_all = ["only", "not", "top_k", "beam"])]
    pub(crate) score: Option<PathBuf>,
    /// Return only labels below a cluster of the tree, as `xmc inspect --tree` numbers them: LAYER:CLUSTER, layer 0 is
    /// the root's children
    #[arg(long, value_name = "LAYER:CLUSTER", help_heading = "Search", value_parser = cluster, conflicts_with_all = ["only", "not", "score"])]
    pub(crate) below: Option<(usize, u32)>,
    /// Favour rare labels: multiply scores by one over the label's propensity
    #[arg(long, help_heading = "Search", conflicts_with = "score")]
    pub(crate) tail_weights: bool,
    #[command(flatten)]
    pub(crate) search: SearchArgs,
    #[command(flatten)]
    pub(crate) reading: ReadArgs,
}

fn cluster(text: &str) -> Result<(usize, u32), String> {
    let parts =
        text.split_once(':').and_then(|(layer, cluster)| Some((layer.parse().ok()?, cluster.parse().ok()?)));
    parts.ok_or_else(|| "expected LAYER:CLUSTER, two numbers".to_owned())
}

/// Form of predictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// JSON Lines with names and scores
    Jsonl,
    /// A table with a line for each label
    Tsv,
    /// A matrix of scores for SciPy
    Npz,
}
