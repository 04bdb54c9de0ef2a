//! The weights of a solved group, pruned, ready to be stored.

use crate::epoch::Primal;
use crate::solver::run;
use crate::{CompactRows, LANES, Targets};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use xmc_sparse::kernels::{Isa, Lanes, Portable, Simd, WithSimd};
use xmc_sparse::set_bits;

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
    /// [`CompactRows::roots`].
    pub(crate) roots: &'a [f32],
    pub(crate) targets: &'a Targets,
    pub(crate) primal: &'a Primal,
    pub(crate) alpha: &'a [Lanes],
}

impl Solved<'_> {
    /// The weights of at least `threshold`, of each label the `limit` largest. `isa` finds them; the best one of the machine unless given.
    pub(crate) fn weights(&self, threshold: f32, limit: Option<usize>, isa: Option<Isa>) -> GroupWeights {
        let found = Large { threshold, found: vec![0; self.rows.n_features()] };
        let mut kept = run(isa, Visit { solved: self, visitor: found }).found;
        let least = limit.map(|limit| self.least_ranks(&kept, limit));
        if let Some(least) = &least {
            self.drop_below(&mut kept, least);
        }
        let values = run(isa, Visit { solved: self, visitor: Collected::new(&kept) }).finish();
        let (features, lanes) = rows_of(&kept);
        GroupWeights { features, lanes, values, bias: self.bias(least.as_ref()), dense: self.dense() }
    }

    /// The [`rank`] that a weight of each lane must reach to be one of its `limit` largest among those in `kept` and the intercept.
    fn least_ranks(&self, kept: &[u16], limit: usize) -> [u64; LANES] {
        let mut largest: [Largest; LANES] = Default::default();
        self.each_kept(kept, |feature, weights| {
            let column = self.rows.original_feature(feature);
            for lane in set_bits(kept[feature as usize].into()).map(|lane| lane as usize) {
                largest[lane].push(limit, rank(weights.0[lane], column));
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
    fn each_kept(&self, kept: &[u16], visit: impl FnMut(u32, &Lanes)) {
        self.visit_all(Portable, &mut EachKept { kept, visit });
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

/// The features that have lanes, and these.
fn rows_of(kept: &[u16]) -> (Vec<u32>, Vec<u16>) {
    let n_rows = kept.iter().filter(|&&lanes| lanes != 0).count();
    let (mut features, mut lanes, mut row) = (vec![0; n_rows], vec![0; n_rows], 0);
    for (feature, &of_feature) in (0..).zip(kept) {
        // Which features have any is not foreseeable: what has none is written over by the next.
        if let (Some(to), Some(lanes)) = (features.get_mut(row), lanes.get_mut(row)) {
            (*to, *lanes) = (feature, of_feature);
        }
        row += usize::from(of_feature != 0);
    }
    (features, lanes)
}

/// Goes through the features and their weights, in order of their numbers; those whose weights are all 0 may be left out.
trait VisitWeights {
    fn visit<S: Simd>(&mut self, simd: S, feature: usize, weights: S::V);
}

impl Solved<'_> {
    #[inline(always)]
    fn visit_all<S: Simd>(&self, simd: S, visitor: &mut impl VisitWeights) {
        let n_shared = self.primal.sparse.len();
        for (feature, weights) in self.primal.sparse.iter().enumerate() {
            visitor.visit(simd, feature, self.of_each(simd, feature, simd.load(weights)));
        }
        for (row, own) in self.rows_of_own() {
            let signed = simd.load(&self.signed_duals(row));
            for own in own {
                let weights = simd.mul(signed, simd.splat(self.rows.own_values[own]));
                visitor.visit(simd, n_shared + own, self.of_each(simd, n_shared + own, weights));
            }
        }
    }

    /// The weights of `feature` that each of the columns has that it stands for.
    #[inline(always)]
    fn of_each<S: Simd>(&self, simd: S, feature: usize, weights: S::V) -> S::V {
        match self.roots.get(feature) {
            Some(&root) if root > 1.0 => simd.div(weights, simd.splat(root)),
            _ => weights,
        }
    }
}

struct EachKept<'a, F> {
    kept: &'a [u16],
    visit: F,
}

impl<F: FnMut(u32, &Lanes)> VisitWeights for EachKept<'_, F> {
    #[inline(always)]
    fn visit<S: Simd>(&mut self, simd: S, feature: usize, weights: S::V) {
        if self.kept[feature] != 0 {
            let mut lanes = Lanes::ZERO;
            simd.store(&mut lanes, weights);
            (self.visit)(feature as u32, &lanes);
        }
    }
}

/// Has `visitor` visit all weights.
struct Visit<'a, V> {
    solved: &'a Solved<'a>,
    visitor: V,
}

impl<V: VisitWeights> WithSimd for Visit<'_, V> {
    type Output = V;

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) -> V {
        self.solved.visit_all(simd, &mut self.visitor);
        self.visitor
    }
}

/// For every feature the lanes whose weight is not 0, and at least `threshold` in absolute value; lanes without a label are zero.
struct Large {
    threshold: f32,
    found: Vec<u16>,
}

impl VisitWeights for Large {
    #[inline(always)]
    fn visit<S: Simd>(&mut self, simd: S, feature: usize, weights: S::V) {
        let zero = simd.splat(0.0);
        let magnitude = simd.max(weights, simd.sub(zero, weights));
        self.found[feature] = simd.ne(weights, zero) & !simd.lt(magnitude, simd.splat(self.threshold));
    }
}

/// The weights of the lanes in `kept`, side by side.
struct Collected<'a> {
    kept: &'a [u16],
    /// All of them, and room for whole lanes up to the last.
    values: Vec<f32>,
    /// Values so far.
    n: usize,
}

impl<'a> Collected<'a> {
    fn new(kept: &'a [u16]) -> Self {
        // Counted first: the root has millions of weights, and a vector that grows holds them twice.
        let n_values: usize = kept.iter().map(|lanes| lanes.count_ones() as usize).sum();
        Self { kept, values: vec![0.0; n_values + LANES], n: 0 }
    }

    fn finish(mut self) -> Vec<f32> {
        self.values.truncate(self.n);
        self.values
    }
}

impl VisitWeights for Collected<'_> {
    #[inline(always)]
    fn visit<S: Simd>(&mut self, simd: S, feature: usize, weights: S::V) {
        let lanes = self.kept[feature];
        if let (true, Some(room)) = (lanes != 0, self.values[self.n..].first_chunk_mut()) {
            simd.compress(lanes, weights, room);
            self.n += lanes.count_ones() as usize;
        }
    }
}
