//! `xmc disentangle`, and the options that it shares with `xmc train`.

use super::reading::LabelByArg;
use super::vectorizer::{name, named};
use super::{DeviceArgs, ReadArgs, SearchArgs, at_least_one, help};
use clap::Args;
use std::path::PathBuf;
use xmc::{AssignmentRule, DisentangleTraining};

const EXAMPLES: &str = "\
Examples:
  xmc disentangle --model subjects --train titles.tsv.gz --out subjects-2
  xmc disentangle --model subjects --train titles.tsv.gz --out subjects-2 --copies 3 --beam 5
  xmc train --train titles.tsv.gz --model subjects-2 --copies 2     the same in one go

A label whose records differ much (apple: fruit and phones) stands in one cluster of the label tree,
and is missed where the search looks in another. Every training record is led to a few clusters, and
labels are copied into (or moved to) the clusters where their records are looked for.

It pays where labels mean several things. Copies make clusters larger and queries dearer: compare at
equal inner products per query ('xmc eval' says them), with a smaller --beam for the new model. With
--copies 1 labels only move, which is what copies have to beat.

The data must be those that the model was trained on. Clusters whose labels are the same keep their
weights; the others, and what is above the labels, are trained. The new model is written whole or not
at all, and is that of 'xmc train --copies' with the model's own options.";

/// Give labels further places in the tree of a trained model
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DisentangleArgs {
    /// The model directory
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// The data that it was trained on, '-' for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) train: PathBuf,
    /// Their labels, when they are in a second file (XC, .npz, .npy)
    #[arg(long, value_name = "FILE")]
    pub(crate) train_labels: Option<PathBuf>,
    /// Dense features beside the data (numpy.save), one row for each record
    #[arg(long, value_name = "FILE")]
    pub(crate) dense: Option<PathBuf>,
    /// The new model directory, to be made or replaced
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// What each label is worth to each record (.npz), if the model was trained with it
    #[arg(long, value_name = "FILE")]
    pub(crate) relevance: Option<PathBuf>,
    /// Labels to keep each record apart from (.npz), if the model was trained with them
    #[arg(long, value_name = "FILE")]
    pub(crate) hard_negatives: Option<PathBuf>,
    /// Leave times out of the model, so that the same input gives the same bytes
    #[arg(long)]
    pub(crate) no_timestamps: bool,
    /// At the end, print what was done as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Most clusters of a label; with 1, labels only move [default: 2]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) copies: Option<usize>,
    #[command(flatten)]
    pub(crate) assignment: AssignmentArgs,
    /// How the data refer to the model's labels [default: as in training]
    #[arg(long, value_name = "WHAT", value_enum)]
    pub(crate) label_by: Option<LabelByArg>,
    #[command(flatten)]
    pub(crate) search: SearchArgs,
    #[command(flatten)]
    pub(crate) reading: ReadArgs,
}

/// How labels find further places.
#[derive(Debug, Args)]
pub(crate) struct AssignmentArgs {
    #[arg(long, value_name = "N", value_parser = at_least_one,
        help = help("Clusters that a training record is led to; few are better", default().match_beam))]
    match_beam: Option<usize>,
    #[arg(long, value_name = "N", value_parser = at_least_one,
        help = help("Parts of a cross-fit: with 2, a record is led by what was trained on the others, as a new text will be; 1 is faster and finds worse places", default().folds))]
    folds: Option<usize>,
    #[arg(long, value_name = "NAME", value_parser = named::<AssignmentRule>,
        help = help("How the clusters of a label are chosen: greedy (those that cover the most records anew), topk (those with the most records, as published: several times the copies)", name(&default().rule)))]
    copy_rule: Option<AssignmentRule>,
    #[arg(long, value_name = "SHARE",
        help = help("A further copy must cover this share of the label's records anew (greedy)", default().min_gain))]
    min_gain: Option<f32>,
    #[arg(long, value_name = "FACTOR",
        help = help("Most labels of a cluster, as a multiple of the mean; 0 for no limit", default().max_leaf_factor))]
    max_leaf_factor: Option<f32>,
    #[arg(long, value_name = "N", value_parser = at_least_one,
        help = help("Times that labels are assigned; before every further one, what is above them is trained again", default().rounds))]
    rounds: Option<usize>,
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        help = help("Labels keep their places in the tree and only find further ones (not with --copies 1)", default().keep_places))]
    keep_places: Option<bool>,
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        help = help("Keep the levels above the labels as they are, rather than train them for the labels' places: less time, less found", default().keep_upper))]
    keep_upper: Option<bool>,
}

fn default() -> DisentangleTraining {
    DisentangleTraining::default()
}

impl AssignmentArgs {
    /// Puts what was typed into `params`.
    pub(crate) fn apply(&self, params: &mut DisentangleTraining) {
        params.match_beam = self.match_beam.unwrap_or(params.match_beam);
        params.folds = self.folds.unwrap_or(params.folds);
        params.rule = self.copy_rule.unwrap_or(params.rule);
        params.min_gain = self.min_gain.unwrap_or(params.min_gain);
        params.max_leaf_factor = self.max_leaf_factor.unwrap_or(params.max_leaf_factor);
        params.rounds = self.rounds.unwrap_or(params.rounds);
        params.keep_places = self.keep_places.unwrap_or(params.keep_places);
        params.keep_upper = self.keep_upper.unwrap_or(params.keep_upper);
    }
}
