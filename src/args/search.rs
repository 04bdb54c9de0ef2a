//! How predictions are searched for, when it should differ from what the model was told.

use super::at_least_one;
use clap::Args;
use xmc::{PostProcessor, SearchParams};

/// Search options of a trained model.
#[derive(Debug, Args)]
#[command(next_help_heading = "Search")]
pub(crate) struct SearchArgs {
    /// Clusters kept on each level of the tree; more is slower and finds more [default: the model's]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    beam: Option<usize>,
    /// From margins to scores: l3-hinge (any power from 1 to 9), log-l3-hinge, sigmoid, log-sigmoid or noop
    /// [default: the model's]
    #[arg(long, value_name = "NAME")]
    post_processor: Option<PostProcessor>,
}

impl SearchArgs {
    /// The model's own search with what was typed instead.
    pub(crate) fn over(&self, search: SearchParams) -> SearchParams {
        let beam = self.beam.unwrap_or(search.beam_size);
        let post_processor = self.post_processor.unwrap_or(search.post_processor);
        search.beam_size(beam).post_processor(post_processor)
    }
}
