//! `xmc train`.

use super::vectorizer::named;
use super::{DataArgs, EncoderArgs, FineTuneArgs, HyperArgs};
use bytesize::ByteSize;
use clap::Args;
use std::path::PathBuf;
use xmc_tree::TaxonomyFormat;

const EXAMPLES: &str = "\
Examples:
  xmc train --train titles.tsv.gz --model subjects
  xmc train --train titles.tsv.gz --model subjects --preset balanced
  xmc train --train train.tsv --valid valid.tsv --labels labels.tsv --model subjects --json
  xmc train --train items.csv --text-column title,brand --label-column tags --model items
  xmc train --train titles.tsv --model m --vectorizer words:1-2 --vectorizer char_wb:3-5,min-df=5
  xmc train --train titles.tsv --model m --preset balanced --encoder all-MiniLM-L6-v2 --embedding-cache cache
  xmc train --train items.tsv --labels labels.tsv --taxonomy categories.tsv --model items
  xmc train --train X.npz --train-labels Y.npz --tree C0.npz,C1.npz --weights f32 --model m

Hyper-parameters come from the command line, then from --params or --preset, then from the defaults. A file
for --params is what --print-params prints. The defaults of tree, solver and search are PECOS's,
but for --weights (PECOS: f32).

The model directory is written whole or not at all: until the end, a model that was there stays
as it is. The same data, options and seed give the same model at any number of threads (with
--no-timestamps, to the byte).";

/// Train a model on labelled data
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TrainArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// The model directory, to be made or replaced
    #[arg(long, value_name = "DIR", required_unless_present_any = ["print_params", "dry_run"])]
    pub(crate) model: Option<PathBuf>,
    /// A label tree to use, from the root down: PECOS's cluster matrices (.npz)
    #[arg(long, value_name = "FILE,FILE…", value_delimiter = ',')]
    pub(crate) tree: Vec<PathBuf>,
    /// A taxonomy of the labels to use as the label tree
    #[arg(long, value_name = "FILE", conflicts_with = "tree")]
    pub(crate) taxonomy: Option<PathBuf>,
    /// Form of the taxonomy: paths ('label<TAB>path/of/categories'), nested (JSON with "name" and "children"), parents
    /// ('child<TAB>parent'), parents-json [default: nested for .json, else paths]
    #[arg(long, value_name = "NAME", value_parser = named::<TaxonomyFormat>, requires = "taxonomy")]
    pub(crate) taxonomy_format: Option<TaxonomyFormat>,
    /// What each label is worth to each record, records x labels (.npz); see --relevance-mode
    #[arg(long, value_name = "FILE")]
    pub(crate) relevance: Option<PathBuf>,
    /// Features of the labels themselves, labels x any number (.npz, or .npy for dense ones), in place of their names;
    /// see --label-features pifa-lf-concat
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tree", "taxonomy"])]
    pub(crate) label_matrix: Option<PathBuf>,
    /// Labels to keep each record apart from, records x labels (.npz); see --negatives usn
    #[arg(long, value_name = "FILE")]
    pub(crate) hard_negatives: Option<PathBuf>,
    /// Keep what is finished in a hidden directory beside the model when this is interrupted or killed, and go on from there: from
    /// the tree and the parts of the weights that are done, and from the run in --run-dir. Repeat the command as it was
    #[arg(long)]
    pub(crate) resume: bool,
    /// Keep label features, tree and weights within this memory, data and all: 12GiB, 800MB. The model depends on it, within rounding
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<ByteSize>,
    /// Say what memory, disk and time each stage would take, and end: trains on a tenth and a fortieth of the data,
    /// beside --model if it is given, and leaves nothing there
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Leave times out of the model, so that the same input gives the same bytes
    #[arg(long)]
    pub(crate) no_timestamps: bool,
    /// At the end, print sizes, times and scores as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) encoder: EncoderArgs,
    #[command(flatten)]
    pub(crate) fine_tune: FineTuneArgs,
    #[command(flatten)]
    pub(crate) hyper: HyperArgs,
}
