//! How predictions are searched for, when it should differ from what the model was told.

use super::params::beams;
use super::vectorizer::named;
use clap::Args;
use xmc::{MergeCopies, PerLayer, PostProcessor, SearchParams};

/// Search options of a trained model.
#[derive(Debug, Args)]
#[command(next_help_heading = "Search")]
pub(crate) struct SearchArgs {
    /// Clusters kept on each level of the tree, or N,N,… for the levels, or 'all' for an exhaustive search; more is
    /// slower and finds more [default: the model's]
    #[arg(long, value_name = "N", value_parser = beams)]
    beam: Option<PerLayer<usize>>,
    /// From margins to scores: l3-hinge (any power from 1 to 9), log-l3-hinge, sigmoid, log-sigmoid or noop
    /// [default: the model's]
    #[arg(long, value_name = "NAME")]
    post_processor: Option<PostProcessor>,
    /// Another one for the labels: noop ranks them by their margin alone [default: the model's]
    #[arg(long, value_name = "NAME")]
    leaf_post_processor: Option<PostProcessor>,
    /// Leave out labels with a lower score [default: the model's]
    #[arg(long, value_name = "SCORE")]
    min_score: Option<f32>,
    /// Score of a label found in several clusters: mean, max or sum [default: the model's]
    #[arg(long, value_name = "NAME", value_parser = named::<MergeCopies>)]
    merge_copies: Option<MergeCopies>,
}

impl SearchArgs {
    /// The model's own search with what was typed instead.
    pub(crate) fn over(&self, mut search: SearchParams) -> SearchParams {
        if let Some(beam) = &self.beam {
            search = search.beam_size(beam.clone());
        }
        search.post_processor = self.post_processor.unwrap_or(search.post_processor);
        search.leaf_post_processor = self.leaf_post_processor.or(search.leaf_post_processor);
        search.min_score = self.min_score.or(search.min_score);
        search.merge_copies = self.merge_copies.unwrap_or(search.merge_copies);
        search
    }
}
