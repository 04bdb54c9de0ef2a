//! Label features, the label tree and the matcher interface.
//!
//! A [`LabelTree`] is a chain of [`TreeLayer`]s from the root to the labels. [`LabelFeatures`] says what
//! a label looks like, [`TreeParams`] how labels are clustered by it, [`Outline`] shows the result.

mod aggregate;
mod batch;
mod candidates;
mod disentangle;
mod error;
mod filter;
mod hierarchy;
mod label_features;
mod label_rows;
mod layer;
mod matcher;
mod outline;
mod params;
mod parents;
mod per_layer;
mod post_processor;
mod search;
mod sketch;
mod taxonomy;
mod top_k;
mod tree;

pub use batch::{BatchScorer, TakePortion, beam_search_batch};
pub use disentangle::{AssignmentRule, Disentangle, DisentangleParams, DisentangleReport, Disentangled};
pub use error::TreeError;
pub use filter::{LabelFilter, LabelPaths};
pub use label_features::{LabelFeatureInputs, LabelFeatures};
pub use label_rows::{LabelRows, LabelSums};
pub use layer::TreeLayer;
pub use matcher::{Matcher, rank_rows};
pub use outline::Outline;
pub use params::{Clustering, TreeBuilder, TreeParams};
pub use parents::ChildParents;
pub use per_layer::PerLayer;
pub use post_processor::PostProcessor;
pub use search::{LayerScorer, Search, SearchParams, SearchScratch, beam_search, beam_search_clusters};
pub use taxonomy::{Place, TaxonomyFormat};
pub use top_k::MergeCopies;
pub use tree::LabelTree;
pub use xmc_cluster::{NODE_ENTRIES, Sampling, Seeding, most_entries_made};
