//! Spherical k-means for label clustering, balanced and not.
//!
//! [`BalancedKMeans`] halves rows recursively, each half exactly as large as the other: the shape
//! that a label tree needs, where every leaf costs the same to search. Rows are sparse, dense or
//! both ([`xmc_sparse::Features`]); sparse rows are the project's own ground, because no library
//! clusters them balanced. [`KMeansTree`] makes clusters of the size that the data has, many at a time. For rows that are dense alone, [`Seeding::Linfa`] lets
//! [`linfa_clustering`]'s k-means choose where each split starts.

mod bisect;
mod centroids;
mod error;
mod gather;
mod kmeans;
mod kmeans_tree;
mod kway;
mod node;
mod params;
mod partition;
mod ranking;
mod row;
mod sampling;
mod seeds;
mod setters;
mod summed;
mod sums;

pub use error::ClusterError;
pub use kmeans::BalancedKMeans;
pub use kmeans_tree::{Branch, KMeansTree, KMeansTreeParams};
pub use params::{BalancedKMeansParams, Seeding};
pub use partition::Partition;
pub use sampling::Sampling;
pub use summed::{NODE_ENTRIES, SummedRows, most_entries_made};
