//! Balanced spherical k-means for label clustering.

mod error;

pub use error::ClusterError;
