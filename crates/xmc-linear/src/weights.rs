//! The weights of a solved group, pruned, ready to be stored.

use crate::epoch::Primal;
use crate::{CompactRows, LANES, Targets};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use xmc_sparse::kernels::{Isa, Lanes, Simd, WithSimd, dispatch, dispatch_on};

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

/// `yα` of each lane.
#[inline(always)]
pub(crate) fn signed(alpha: &Lanes, positive: u16) -> Lanes {
    Lanes(std::array::from_fn(|lane| if positive >> lane & 1 == 1 { alpha.0[lane] } else { -alpha.0[lane] }))
}

/// A solved group.
pub(crate) struct Solved<'a> {
    pub(crate) rows: &'a CompactRows,
    pub(crate) targets: &'a Targets,
    pub(crate) primal: &'a Primal,
    pub(crate) alpha: &'a [Lanes],
}

impl Solved<'_> {
    /// The weights of at least `threshold`, of each label the `limit` largest. `isa` finds them; the best one of the machine unless given.
    pub(crate) fn weights(&self, threshold: f32, limit: Option<usize>, isa: Option<Isa>) -> GroupWeights {
        // Found and counted first: the root has millions of weights, and a vector that grows holds them twice.
        let find = FindLarge { solved: self, threshold };
        let mut kept = isa.map_or_else(|| dispatch(find), |isa| dispatch_on(isa, find));
        let least = limit.map(|limit| self.least_ranks(&kept, limit));
        if let Some(least) = &least {
            self.drop_below(&mut kept, least);
        }
        let n_features = kept.iter().filter(|&&lanes| lanes != 0).count();
        let mut out = GroupWeights {
            features: Vec::with_capacity(n_features),
            lanes: Vec::with_capacity(n_features),
            values: Vec::with_capacity(kept.iter().map(|lanes| lanes.count_ones() as usize).sum()),
            bias: self.bias(least.as_ref()),
            dense: self.dense(),
        };
        self.each_kept(&kept, |feature, weights| out.push(feature, weights, kept[feature as usize]));
        out
    }

    /// The [`rank`] that a weight of each lane must reach to be one of its `limit` largest among those in `kept` and the intercept.
    fn least_ranks(&self, kept: &[u16], limit: usize) -> [u64; LANES] {
        let mut largest: [Largest; LANES] = Default::default();
        self.each_kept(kept, |feature, weights| {
            let (mut rest, column) = (kept[feature as usize], self.rows.original_feature(feature));
            while rest != 0 {
                let lane = rest.trailing_zeros() as usize;
                largest[lane].push(limit, rank(weights.0[lane], column));
                rest &= rest - 1;
            }
        });
        for (largest, &bias) in largest.iter_mut().zip(&self.primal.bias.0) {
            largest.push(limit, rank(bias, BIAS));
        }
        largest.map(|largest| largest.least(limit))
    }

    /// Takes weights of lower ranks than `least` out of `kept`.
    fn drop_below(&self, kept: &mut [u16], least: &[u64; LANES]) {
        let mut lower = Vec::new();
        self.each_kept(kept, |feature, weights| {
            let column = self.rows.original_feature(feature);
            let is_low = |lane: usize| rank(weights.0[lane], column) < least[lane];
            lower.push((feature, (0..LANES).fold(0, |mask, lane| mask | u16::from(is_low(lane)) << lane)));
        });
        lower.into_iter().for_each(|(feature, lanes)| kept[feature as usize] &= !lanes);
    }

    /// Intercepts, label by label; 0 where larger weights have left no room.
    fn bias(&self, least: Option<&[u64; LANES]>) -> Vec<f32> {
        let lanes = self.primal.bias.0[..self.targets.n_lanes()].iter().enumerate();
        let fits = |lane: usize, bias| least.is_none_or(|least| rank(bias, BIAS) >= least[lane]);
        lanes.map(|(lane, &bias)| if fits(lane, bias) { bias * self.rows.bias } else { 0.0 }).collect()
    }

    /// Dense weights, label by label.
    fn dense(&self) -> Vec<f32> {
        let columns = &self.primal.dense[..self.rows.n_dense()];
        (0..self.targets.n_lanes()).flat_map(|lane| columns.iter().map(move |w| w.0[lane])).collect()
    }

    /// Hands on the weights of every feature that has any in `kept`, in order of its number.
    fn each_kept(&self, kept: &[u16], mut visit: impl FnMut(u32, &Lanes)) {
        let mut visit = |feature: usize, weights: &Lanes| match self.rows.roots.get(feature) {
            // That of each of the columns that it stands for.
            Some(&root) if root > 1.0 => visit(feature as u32, &Lanes(weights.0.map(|weight| weight / root))),
            _ => visit(feature as u32, weights),
        };
        let n_shared = self.primal.sparse.len();
        for (feature, weights) in self.primal.sparse.iter().enumerate().filter(|(at, _)| kept[*at] != 0) {
            visit(feature, weights);
        }
        for (row, own) in self.rows_of_own() {
            let signed = self.signed_duals(row);
            for own in own.filter(|own| kept[n_shared + own] != 0) {
                visit(n_shared + own, &Lanes(signed.0.map(|dual| dual * self.rows.own_values[own])));
            }
        }
    }

    /// Rows that have features of their own, and numbers of these: those whose weights are not all 0.
    fn rows_of_own(&self) -> impl Iterator<Item = (usize, Range<usize>)> + '_ {
        let own_of = |row: usize| self.rows.own_ptr[row] as usize..self.rows.own_ptr[row + 1] as usize;
        let all = (0..self.rows.n_rows()).map(move |row| (row, own_of(row)));
        all.filter(|(row, own)| !own.is_empty() && self.alpha[*row] != Lanes::ZERO)
    }

    /// `yα` of each lane: a feature of value `v` that only `row` has weighs `v · yα` (see [`crate::CompactRows`]).
    #[inline(always)]
    fn signed_duals(&self, row: usize) -> Lanes {
        signed(&self.alpha[row], self.targets.positive[row])
    }
}

/// For every feature the lanes whose weight is not 0, and at least `threshold` in absolute value; lanes without a label are zero.
#[derive(Clone, Copy)]
struct FindLarge<'a> {
    solved: &'a Solved<'a>,
    threshold: f32,
}

impl WithSimd for FindLarge<'_> {
    type Output = Vec<u16>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<u16> {
        let Solved { rows, primal, .. } = self.solved;
        let n_shared = primal.sparse.len();
        let mut found = vec![0; n_shared + rows.own_values.len()];
        for (feature, weights) in primal.sparse.iter().enumerate() {
            found[feature] = self.large(simd, feature, simd.load(weights));
        }
        for (row, own) in self.solved.rows_of_own() {
            let signed = simd.load(&self.solved.signed_duals(row));
            for own in own {
                let weights = simd.mul(signed, simd.splat(rows.own_values[own]));
                found[n_shared + own] = self.large(simd, n_shared + own, weights);
            }
        }
        found
    }
}

impl FindLarge<'_> {
    #[inline(always)]
    fn large<S: Simd>(&self, simd: S, feature: usize, weights: S::V) -> u16 {
        let weights = match self.solved.rows.roots.get(feature) {
            Some(&root) if root > 1.0 => simd.div(weights, simd.splat(root)),
            _ => weights,
        };
        let zero = simd.splat(0.0);
        let magnitude = simd.max(weights, simd.sub(zero, weights));
        simd.ne(weights, zero) & !simd.lt(magnitude, simd.splat(self.threshold))
    }
}
