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
        let solved = Solved { rows, targets, primal, alpha };
        // Counted first: the root has millions of weights, and a vector that grows holds them twice.
        let (mut n_features, mut n_values) = (0, 0);
        solved.each_feature(|_, weights| {
            let kept = kept(weights, threshold);
            n_features += usize::from(kept != 0);
            n_values += kept.count_ones() as usize;
        });
        let mut out = Self {
            features: Vec::with_capacity(n_features),
            lanes: Vec::with_capacity(n_features),
            values: Vec::with_capacity(n_values),
            bias: primal.bias.0[..n_lanes].iter().map(|b| b * rows.bias).collect(),
            dense: (0..n_lanes)
                .flat_map(|lane| primal.dense[..rows.n_dense()].iter().map(move |w| w.0[lane]))
                .collect(),
        };
        solved.each_feature(|feature, weights| out.push(feature, weights, kept(weights, threshold)));
        out
    }

    /// Number of stored weights, without intercepts and dense ones.
    pub fn n_entries(&self) -> usize {
        self.values.len()
    }

    /// One feature's weights: those of the lanes in `kept`.
    #[inline]
    fn push(&mut self, feature: u32, weights: &Lanes, kept: u16) {
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
}

/// Lanes whose weight is large enough; those without a label are zero and so never kept.
#[inline]
fn kept(weights: &Lanes, threshold: f32) -> u16 {
    (0..LANES).fold(0u16, |mask, lane| {
        let weight = weights.0[lane];
        mask | (u16::from(weight != 0.0 && weight.abs() >= threshold) << lane)
    })
}

/// A solved group.
struct Solved<'a> {
    rows: &'a CompactRows,
    targets: &'a Targets,
    primal: &'a Primal,
    alpha: &'a [Lanes],
}

impl Solved<'_> {
    /// Hands on the weights of every feature, in order of its number.
    fn each_feature(&self, mut visit: impl FnMut(u32, &Lanes)) {
        for (feature, weights) in self.primal.sparse.iter().enumerate() {
            visit(feature as u32, weights);
        }
        for row in 0..self.rows.n_rows() {
            self.each_own_feature(row, &mut visit);
        }
    }

    /// Features that only `row` has: `w = v · yα` (see [`crate::CompactRows`]).
    fn each_own_feature(&self, row: usize, visit: &mut impl FnMut(u32, &Lanes)) {
        let Self { rows, targets, alpha, .. } = self;
        let range = rows.own_ptr[row] as usize..rows.own_ptr[row + 1] as usize;
        if range.is_empty() || alpha[row] == Lanes::ZERO {
            return;
        }
        let positive = targets.positive[row];
        let signed: [f32; LANES] = std::array::from_fn(|lane| {
            let alpha = alpha[row].0[lane];
            if positive >> lane & 1 == 1 { alpha } else { -alpha }
        });
        for own in range {
            let weights = Lanes(signed.map(|dual| dual * rows.own_values[own]));
            visit((rows.n_shared() + own) as u32, &weights);
        }
    }
}
