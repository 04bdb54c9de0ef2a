//! Label features, the label tree and the matcher interface.
//!
//! A [`LabelTree`] is a chain of [`TreeLayer`]s from the root to the labels.

mod error;
mod layer;
mod tree;

pub use error::TreeError;
pub use layer::TreeLayer;
pub use tree::LabelTree;
