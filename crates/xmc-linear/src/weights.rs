//! The weights of a solved group, pruned, ready to be stored.

use crate::epoch::Primal;
use crate::{CompactRows, LANES, Targets};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
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

/// What a weight needs to be kept.
struct Bar {
    threshold: f32,
    /// The [`rank`] that a weight of each lane must reach, where their number is limited.
    least_rank: Option<[u64; LANES]>,
}

impl Bar {
    /// Lanes whose weight is kept; those without a label are zero and so never are.
    #[inline]
    fn kept(&self, rows: &CompactRows, feature: u32, weights: &Lanes) -> u16 {
        let large = (0..LANES).fold(0u16, |mask, lane| {
            let weight = weights.0[lane];
            mask | (u16::from(weight != 0.0 && weight.abs() >= self.threshold) << lane)
        });
        let Some(least) = self.least_rank.as_ref().filter(|_| large != 0) else { return large };
        let column = rows.original_feature(feature);
        (0..LANES).fold(large, |mask, lane| {
            mask & !(u16::from(rank(weights.0[lane], column) < least[lane]) << lane)
        })
    }
}

/// The constant feature's number: after all others.
const BIAS: u32 = u32::MAX;

/// Orders weights: by absolute value, and equal ones by feature, the smaller number higher.
#[inline]
fn rank(weight: f32, column: u32) -> u64 {
    // The bits of floats without a sign are in the order of the floats.
    u64::from(weight.abs().to_bits()) << 32 | u64::from(!column)
}

/// The largest of a lane's ranks, at most `limit` of them, the least on top.
#[derive(Default)]
struct Largest(BinaryHeap<Reverse<u64>>);

impl Largest {
    fn push(&mut self, limit: usize, rank: u64) {
        if self.0.len() < limit {
            self.0.push(Reverse(rank));
        } else if let Some(mut least) = self.0.peek_mut().filter(|least| least.0 < rank) {
            *least = Reverse(rank);
        }
    }

    /// The least rank that is among them; any, when there was room for more.
    fn least(&self, limit: usize) -> u64 {
        self.0.peek().filter(|_| self.0.len() == limit).map_or(0, |least| least.0)
    }
}

/// A solved group.
pub(crate) struct Solved<'a> {
    pub(crate) rows: &'a CompactRows,
    pub(crate) targets: &'a Targets,
    pub(crate) primal: &'a Primal,
    pub(crate) alpha: &'a [Lanes],
}

impl Solved<'_> {
    /// The weights of at least `threshold`, of each label the `limit` largest.
    pub(crate) fn weights(&self, threshold: f32, limit: Option<usize>) -> GroupWeights {
        let bar = self.bar(threshold, limit);
        // Counted first: the root has millions of weights, and a vector that grows holds them twice.
        let (mut n_features, mut n_values) = (0, 0);
        self.each_feature(|feature, weights| {
            let kept = bar.kept(self.rows, feature, weights);
            n_features += usize::from(kept != 0);
            n_values += kept.count_ones() as usize;
        });
        let mut out = GroupWeights {
            features: Vec::with_capacity(n_features),
            lanes: Vec::with_capacity(n_features),
            values: Vec::with_capacity(n_values),
            bias: self.bias(&bar),
            dense: self.dense(),
        };
        self.each_feature(|feature, weights| {
            out.push(feature, weights, bar.kept(self.rows, feature, weights));
        });
        out
    }

    fn bar(&self, threshold: f32, limit: Option<usize>) -> Bar {
        let bar = Bar { threshold, least_rank: None };
        let Some(limit) = limit else { return bar };
        let mut largest: [Largest; LANES] = Default::default();
        self.each_feature(|feature, weights| {
            let (mut rest, column) =
                (bar.kept(self.rows, feature, weights), self.rows.original_feature(feature));
            while rest != 0 {
                let lane = rest.trailing_zeros() as usize;
                largest[lane].push(limit, rank(weights.0[lane], column));
                rest &= rest - 1;
            }
        });
        for (largest, &bias) in largest.iter_mut().zip(&self.primal.bias.0) {
            largest.push(limit, rank(bias, BIAS));
        }
        Bar { least_rank: Some(largest.map(|largest| largest.least(limit))), ..bar }
    }

    /// Intercepts, label by label; 0 where larger weights have left no room.
    fn bias(&self, bar: &Bar) -> Vec<f32> {
        let lanes = self.primal.bias.0[..self.targets.n_lanes()].iter().enumerate();
        let fits = |lane: usize, bias| bar.least_rank.is_none_or(|least| rank(bias, BIAS) >= least[lane]);
        lanes.map(|(lane, &bias)| if fits(lane, bias) { bias * self.rows.bias } else { 0.0 }).collect()
    }

    /// Dense weights, label by label.
    fn dense(&self) -> Vec<f32> {
        let columns = &self.primal.dense[..self.rows.n_dense()];
        (0..self.targets.n_lanes()).flat_map(|lane| columns.iter().map(move |w| w.0[lane])).collect()
    }

    /// Hands on the weights of every feature, in order of its number.
    fn each_feature(&self, mut visit: impl FnMut(u32, &Lanes)) {
        let mut visit = |feature: u32, weights: &Lanes| match self.rows.roots.get(feature as usize) {
            // That of each of the columns that it stands for.
            Some(&root) if root > 1.0 => visit(feature, &Lanes(weights.0.map(|weight| weight / root))),
            _ => visit(feature, weights),
        };
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
