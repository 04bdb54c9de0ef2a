//! Balanced spherical k-means for label clustering.
//!
//! [`BalancedKMeans`] halves rows recursively, each half exactly as large as the other: the shape
//! that a label tree needs, where every leaf costs the same to search. Rows are sparse, dense or
//! both ([`xmc_sparse::Features`]); sparse rows are the project's own ground, because no library
//! clusters them balanced. For rows that are dense alone, [`Seeding::Linfa`] lets
//! [`linfa_clustering`]'s k-means choose where each split starts.

mod bisect;
mod error;
mod kmeans;
mod node;
mod params;
mod partition;
mod ranking;
mod seeds;
mod sums;

pub use error::ClusterError;
pub use kmeans::BalancedKMeans;
pub use params::{BalancedKMeansParams, Seeding};
pub use partition::Partition;
