//! Hyper-parameters of the balanced clustering, and what the unbalanced one shares with it.

use crate::{ClusterError, Sampling};
use serde::{Deserialize, Serialize};
use xmc_sparse::Features;

/// What the centroids of a split start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Seeding {
    /// Distinct non-zero rows drawn at random, as PECOS does.
    #[default]
    RandomRows,
    /// The centroids that [`linfa_clustering::KMeans`] finds (k-means++, one run). For rows
    /// without sparse entries (sketches, embeddings); rows with sparse entries are refused. On 20,000 ×
    /// 64 unit rows around 50 or 300 directions, 256 leaves came out 0.3 to 0.9 % more cohesive than
    /// from random rows (mean of five seeds) in four times the time; a single split ten times.
    Linfa,
}

impl Seeding {
    /// Whether these rows can be seeded like this.
    pub(crate) fn check_rows(self, features: &Features) -> Result<(), ClusterError> {
        let (nnz, n_dense) = (features.sparse().nnz(), features.n_dense());
        if self == Self::Linfa && (nnz > 0 || n_dense == 0) {
            return Err(ClusterError::NotDense { nnz, n_dense });
        }
        Ok(())
    }
}

/// Parameters of [`BalancedKMeans`](crate::BalancedKMeans), not yet checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BalancedKMeansParams {
    /// Number of splits from the root to a leaf: `2^depth` leaves. Default 1.
    pub depth: usize,
    /// Most refinements of one split. Default 20 (PECOS `kmeans_max_iter`).
    pub max_iter: usize,
    /// A split is done when at most this share of its rows changed sides in a refinement. In 0..1, default 0: when none
    /// does, as PECOS.
    pub tolerance: f32,
    /// Centroids are normalised sums (spherical k-means) rather than means. Default true.
    pub spherical: bool,
    /// What a split starts from. Default [`Seeding::RandomRows`].
    pub seeding: Seeding,
    /// Splits of upper nodes by a sample of their rows. Default none: by all.
    pub sampling: Option<Sampling>,
    /// Seed of every random draw. Default 0.
    pub seed: u64,
}

impl Default for BalancedKMeansParams {
    fn default() -> Self {
        Self {
            depth: 1,
            max_iter: 20,
            tolerance: 0.0,
            spherical: true,
            seeding: Seeding::RandomRows,
            sampling: None,
            seed: 0,
        }
    }
}

/// Deepest clustering that can be asked for: leaves are numbered with 32 bits.
const MAX_DEPTH: usize = 31;

impl BalancedKMeansParams {
    crate::setters! {
        depth: usize,
        max_iter: usize,
        tolerance: f32,
        spherical: bool,
        seeding: Seeding,
        sampling: Sampling => Some,
        seed: u64,
    }

    /// The same parameters, known to be in range.
    ///
    /// # Errors
    /// [`ClusterError::Param`] when `max_iter` is 0 or `depth` is above 31, [`ClusterError::Tolerance`]
    /// when `tolerance` is not in 0..1, [`ClusterError::Share`] when a share of `sampling` is out of range.
    pub fn check(self) -> Result<crate::BalancedKMeans, ClusterError> {
        if self.depth > MAX_DEPTH {
            return Err(ClusterError::Param { name: "depth", found: self.depth, expected: "at most 31" });
        }
        check_refinement(self.max_iter, self.tolerance)?;
        self.sampling.map_or(Ok(()), Sampling::check)?;
        Ok(crate::BalancedKMeans::new(self))
    }
}

/// What every kind of k-means asks of its refinements.
pub(crate) fn check_refinement(max_iter: usize, tolerance: f32) -> Result<(), ClusterError> {
    if max_iter == 0 {
        return Err(ClusterError::Param { name: "max_iter", found: 0, expected: "at least 1" });
    }
    if !(0.0..1.0).contains(&tolerance) {
        return Err(ClusterError::Tolerance { found: tolerance });
    }
    Ok(())
}
