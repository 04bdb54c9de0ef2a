//! The weights of a solved group, pruned, ready to be stored.

use crate::epoch::Primal;
use crate::{CompactRows, LANES, Targets};
use xmc_sparse::kernels::Lanes;

/// Weights of up to [`LANES`] labels, one row for each feature that has any.
///
/// Row `r` belongs to feature `features[r]` (a number within the cluster); the labels that have a weight are
/// the bits of `lanes[r]`, and their values follow each other in `values`, lowest lane first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GroupWeights {
    /// Feature of each row, increasing.
    pub features: Vec<u32>,
    /// Labels of each row.
    pub lanes: Vec<u16>,
    /// Values of all rows.
    pub values: Vec<f32>,
    /// Intercepts (already multiplied by the constant feature), one for each label.
    pub bias: Vec<f32>,
    /// Dense weights, label by label: `n_lanes × n_dense`.
    pub dense: Vec<f32>,
}

impl GroupWeights {
    pub(crate) fn collect(
        rows: &CompactRows,
        targets: &Targets,
        primal: &Primal,
        alpha: &[Lanes],
        threshold: f32,
    ) -> Self {
        let n_lanes = targets.n_lanes();
        let mut out = Self::default();
        for (feature, weights) in primal.sparse.iter().enumerate() {
            out.push(feature as u32, weights, threshold);
        }
        out.push_own(rows, targets, alpha, threshold);
        out.bias = primal.bias.0[..n_lanes].iter().map(|b| b * rows.bias).collect();
        out.dense = (0..n_lanes).flat_map(|lane| primal.dense.iter().map(move |w| w.0[lane])).collect();
        out
    }

    /// Number of stored weights, without intercepts and dense ones.
    pub fn n_entries(&self) -> usize {
        self.values.len()
    }

    /// One feature's weights; lanes without a label are zero and so never kept.
    #[inline]
    fn push(&mut self, feature: u32, weights: &Lanes, threshold: f32) {
        let kept = (0..LANES).fold(0u16, |mask, lane| {
            let weight = weights.0[lane];
            mask | (u16::from(weight != 0.0 && weight.abs() >= threshold) << lane)
        });
        if kept == 0 {
            return;
        }
        self.features.push(feature);
        self.lanes.push(kept);
        let mut rest = kept;
        while rest != 0 {
            self.values.push(weights.0[rest.trailing_zeros() as usize]);
            rest &= rest - 1;
        }
    }

    /// Features that one row has: `w = v · yα` (see [`crate::CompactRows`]).
    fn push_own(&mut self, rows: &CompactRows, targets: &Targets, alpha: &[Lanes], threshold: f32) {
        for row in 0..rows.n_rows() {
            let range = rows.own_ptr[row] as usize..rows.own_ptr[row + 1] as usize;
            if range.is_empty() || alpha[row] == Lanes::ZERO {
                continue;
            }
            let positive = targets.positive[row];
            let signed = Lanes(std::array::from_fn(|lane| {
                let alpha = alpha[row].0[lane];
                if positive >> lane & 1 == 1 { alpha } else { -alpha }
            }));
            for own in range {
                let weights = Lanes(signed.0.map(|dual| dual * rows.own_values[own]));
                self.push((rows.n_shared() + own) as u32, &weights, threshold);
            }
        }
    }
}
