//! Hyper-parameters of the balanced clustering.

use crate::ClusterError;
use serde::{Deserialize, Serialize};

/// What the two centroids of a split start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Seeding {
    /// Two distinct non-zero rows drawn at random, as PECOS does.
    #[default]
    RandomRows,
    /// The two centroids that [`linfa_clustering::KMeans`] finds (k-means++, one run). For rows
    /// without sparse entries (sketches, embeddings); rows with sparse entries are refused. On 20,000 ×
    /// 64 unit rows around 50 or 300 directions, 256 leaves came out 0.3 to 0.9 % more cohesive than
    /// from random rows (mean of five seeds) in four times the time; a single split ten times.
    Linfa,
}

/// Parameters of [`BalancedKMeans`](crate::BalancedKMeans), not yet checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BalancedKMeansParams {
    /// Number of splits from the root to a leaf: `2^depth` leaves. Default 1.
    pub depth: usize,
    /// Most refinements of one split. Default 20 (PECOS `kmeans_max_iter`).
    pub max_iter: usize,
    /// A split is done when at most this share of its rows changed sides in a refinement. 0 goes on until
    /// none does, as PECOS; the last changes take most of the refinements and gain next to nothing.
    /// Default 0.01.
    pub tolerance: f32,
    /// Centroids are normalised sums (spherical k-means) rather than means. Default true.
    pub spherical: bool,
    /// What a split starts from. Default [`Seeding::RandomRows`].
    pub seeding: Seeding,
    /// Seed of every random draw. Default 0.
    pub seed: u64,
}

impl Default for BalancedKMeansParams {
    fn default() -> Self {
        Self {
            depth: 1,
            max_iter: 20,
            tolerance: 0.01,
            spherical: true,
            seeding: Seeding::RandomRows,
            seed: 0,
        }
    }
}

/// Deepest clustering that can be asked for: leaves are numbered with 32 bits.
const MAX_DEPTH: usize = 31;

impl BalancedKMeansParams {
    /// Sets [`Self::depth`].
    pub fn depth(mut self, depth: usize) -> Self {
        self.depth = depth;
        self
    }

    /// Sets [`Self::max_iter`].
    pub fn max_iter(mut self, max_iter: usize) -> Self {
        self.max_iter = max_iter;
        self
    }

    /// Sets [`Self::tolerance`].
    pub fn tolerance(mut self, tolerance: f32) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Sets [`Self::spherical`].
    pub fn spherical(mut self, spherical: bool) -> Self {
        self.spherical = spherical;
        self
    }

    /// Sets [`Self::seeding`].
    pub fn seeding(mut self, seeding: Seeding) -> Self {
        self.seeding = seeding;
        self
    }

    /// Sets [`Self::seed`].
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The same parameters, known to be in range.
    ///
    /// # Errors
    /// [`ClusterError::Param`] when `max_iter` is 0 or `depth` is above 31, [`ClusterError::Tolerance`]
    /// when `tolerance` is not in 0..1.
    pub fn check(self) -> Result<crate::BalancedKMeans, ClusterError> {
        if self.max_iter == 0 {
            return Err(ClusterError::Param { name: "max_iter", found: 0, expected: "at least 1" });
        }
        if self.depth > MAX_DEPTH {
            return Err(ClusterError::Param { name: "depth", found: self.depth, expected: "at most 31" });
        }
        if !(0.0..1.0).contains(&self.tolerance) {
            return Err(ClusterError::Tolerance { found: self.tolerance });
        }
        Ok(crate::BalancedKMeans::new(self))
    }
}
