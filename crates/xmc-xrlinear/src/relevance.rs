//! Cost-sensitive learning: what each positive (instance, label) is worth, on every layer.
//!
//! With relevance `R⁽ᴰ⁾` for the labels, the layer above has `R⁽ᵗ⁻¹⁾ = R⁽ᵗ⁾C⁽ᵗ⁾`: an instance matters more to a
//! cluster that holds more of its labels. Rows of each are then normalised (Yu et al., JMLR 2022, §4.4).

use serde::{Deserialize, Serialize};
use xmc_sparse::Csr;

/// Which layers are trained with relevance weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RelevanceMode {
    /// None: every positive costs `Cp`.
    #[default]
    Disable,
    /// All: relevance of labels is added up to relevance of clusters. Without a relevance matrix every label counts
    /// 1, so that the weight of a cluster is the number of the instance's labels below it.
    Induce,
    /// The layer of the labels only.
    RankerOnly,
}

/// How the relevance weights of an instance are brought to one scale, on each layer by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RelevanceNorm {
    /// They add up to 1: an instance with many labels says less about each.
    #[default]
    L1,
    /// Their squares add up to 1.
    L2,
    /// The largest is 1.
    Max,
    /// As they are.
    None,
}

/// Relevance weighting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RelevanceParams {
    /// Default `disable`.
    pub mode: RelevanceMode,
    /// Default `l1`.
    pub norm: RelevanceNorm,
}

impl RelevanceParams {
    /// Whether layer `layer` of `depth` is trained with relevance weights.
    pub(crate) fn on(self, layer: usize, depth: usize) -> bool {
        match self.mode {
            RelevanceMode::Disable => false,
            RelevanceMode::Induce => true,
            RelevanceMode::RankerOnly => layer + 1 == depth,
        }
    }
}

impl RelevanceNorm {
    /// Divides every weight by the norm of its instance. `weights` belong to the instances of `rows`.
    pub(crate) fn apply(self, n_samples: usize, rows: &[u32], weights: &mut [f32]) {
        let mut norms = vec![0f32; n_samples];
        for (&row, &weight) in rows.iter().zip(&*weights) {
            let norm = &mut norms[row as usize];
            match self {
                Self::L1 => *norm += weight,
                Self::L2 => *norm += weight * weight,
                Self::Max => *norm = norm.max(weight),
                Self::None => return,
            }
        }
        if self == Self::L2 {
            norms.iter_mut().for_each(|norm| *norm = norm.sqrt());
        }
        rows.iter().zip(weights).for_each(|(&row, weight)| *weight /= norms[row as usize]);
    }
}

/// The relevance of every pair of `y`, in the order of its entries: 1 without a matrix.
///
/// # Errors
/// The first pair without a relevance above 0: its row, its label, and what was found.
pub(crate) fn of_pairs(y: &Csr, relevance: Option<&Csr>) -> Result<Vec<f32>, (usize, u32, f32)> {
    let Some(relevance) = relevance else { return Ok(vec![1.0; y.nnz()]) };
    let mut out = Vec::with_capacity(y.nnz());
    for (number, (labels, weights)) in y.rows().zip(relevance.rows()).enumerate() {
        for &label in labels.indices {
            let weight = weights.indices.binary_search(&label).map_or(0.0, |at| weights.values[at]);
            if weight <= 0.0 {
                return Err((number, label, weight));
            }
            out.push(weight);
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_an_instance_have_norm_one() {
        let rows = [0, 1, 0];
        let normalised = |norm: RelevanceNorm| {
            let mut weights = [3.0, 5.0, 4.0];
            norm.apply(2, &rows, &mut weights);
            weights
        };
        assert_eq!(normalised(RelevanceNorm::L1), [3.0 / 7.0, 1.0, 4.0 / 7.0]);
        assert_eq!(normalised(RelevanceNorm::L2), [0.6, 1.0, 0.8]);
        assert_eq!(normalised(RelevanceNorm::Max), [0.75, 1.0, 1.0]);
        assert_eq!(normalised(RelevanceNorm::None), [3.0, 5.0, 4.0]);
    }

    #[test]
    fn a_pair_without_relevance_is_named() {
        let y = Csr::from_rows(3, [vec![(0, 1.0), (2, 1.0)], vec![(1, 1.0)]]).unwrap();
        let r = Csr::from_rows(3, [vec![(0, 2.0), (1, 9.0), (2, 0.5)], vec![(1, 3.0)]]).unwrap();
        assert_eq!(of_pairs(&y, Some(&r)), Ok(vec![2.0, 0.5, 3.0]));
        assert_eq!(of_pairs(&y, None), Ok(vec![1.0; 3]));
        let r = Csr::from_rows(3, [vec![(0, 2.0)], vec![(1, 3.0)]]).unwrap();
        assert_eq!(of_pairs(&y, Some(&r)), Err((0, 2, 0.0)));
    }
}
