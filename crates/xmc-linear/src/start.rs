//! Where the descent begins: at the best duals of which all positives of a label have one value, and all its negatives another.
//!
//! From zero, the first instances of the first pass take large steps, as nothing speaks against them yet, and most passes
//! are spent on taking these back: a visit moves a dual by a fifth of what it is off as long as others hold the weights where they are.
//! With one dual `p` for all positives and one dual `q` for all negatives, the dual problem of a label is
//!
//! ```text
//! min  ½ (A p² − 2 B p q + C q²) − n₊ p − n₋ q,    p, q ≥ 0
//! A = ‖Σ₊ x‖² + Σ₊ D,   B = ⟨Σ₊ x, Σ₋ x⟩,   C = ‖Σ₋ x‖² + Σ₋ D
//! ```
//!
//! with `x` that have the constant feature and `D = 1 / (2Cᵢ)`. The sum of all instances is made once for a cluster, those of the
//! positives take a step for each instance that has any, a fraction of a pass.

use crate::dual::DualLoss;
use crate::scores::ScoreSource;
use crate::{CompactRows, LANES, Targets};
use xmc_sparse::kernels::{Lanes, Simd, WithSimd};
use xmc_sparse::set_bits;

/// Moves sixteen problems from zero to where they begin.
pub(crate) struct Start<'a, L, P> {
    pub(crate) loss: L,
    /// All zero, as all that follows.
    pub(crate) source: P,
    pub(crate) rows: &'a CompactRows,
    /// Of instances that all take part.
    pub(crate) targets: &'a Targets,
    pub(crate) dense: &'a mut [Lanes],
    pub(crate) bias: &'a mut Lanes,
    pub(crate) duals: &'a mut [Lanes],
}

impl<L: DualLoss, P: ScoreSource> WithSimd for Start<'_, L, P> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let classes = self.add_positives(simd);
        let totals = self.dense_totals(simd);
        let products = self.products(simd, &totals);
        let [mut of_positives, mut of_negatives] = [Lanes::ZERO; 2];
        for lane in set_bits(self.targets.mask().into()).map(|lane| lane as usize) {
            let (n, best) = classes.best(lane, self.rows, &products);
            [of_positives.0[lane], of_negatives.0[lane]] = best;
            let sum = f64::from(best[0]) * n[0] - f64::from(best[1]) * n[1];
            self.bias.0[lane] = (f64::from(self.rows.bias) * sum) as f32;
        }
        self.begin_at(simd, &of_positives, &of_negatives, &totals);
    }
}

/// Sums over the instances of each class, by lane.
struct Classes {
    n_positives: [u32; LANES],
    /// Of what a dual's square has beside the products of [`Products`]: `D`, and the features that only one row has.
    own_of_positives: Lanes,
    own_of_negatives: Lanes,
}

/// `‖Σ₊ x‖²`, `⟨Σ₊ x, Σ x⟩` and `‖Σ x‖²` of the features that several rows have.
struct Products {
    of_positives: Lanes,
    with_all: Lanes,
    of_all: f32,
}

impl Classes {
    /// Number of instances in each class of a lane, and their best duals.
    fn best(&self, lane: usize, rows: &CompactRows, products: &Products) -> ([f64; 2], [f32; 2]) {
        let n_positives = f64::from(self.n_positives[lane]);
        let n = [n_positives, rows.n_rows() as f64 - n_positives];
        let bias = f64::from(rows.bias).powi(2);
        let of_positives = f64::from(products.of_positives.0[lane]);
        let between = f64::from(products.with_all.0[lane]) - of_positives;
        let of_negatives = f64::from(products.of_all) - of_positives - 2.0 * between;
        let own = [self.own_of_positives.0[lane], self.own_of_negatives.0[lane]].map(f64::from);
        let within = [of_positives + bias * n[0] * n[0] + own[0], of_negatives + bias * n[1] * n[1] + own[1]];
        (n, best_pair(n, within, between + bias * n[0] * n[1]).map(|dual| dual as f32))
    }
}

/// The `p, q ≥ 0` that minimise `½ (A p² − 2 B p q + C q²) − n₊ p − n₋ q`, for `[A, C]` and `B`.
fn best_pair(n: [f64; 2], within: [f64; 2], between: f64) -> [f64; 2] {
    let alone = |class: usize| if n[class] > 0.0 { n[class] / within[class] } else { 0.0 };
    let determinant = within[0] * within[1] - between * between;
    let both = [
        (within[1] * n[0] + between * n[1]) / determinant,
        (within[0] * n[1] + between * n[0]) / determinant,
    ];
    match n[0] > 0.0 && n[1] > 0.0 && determinant > 0.0 {
        true if both[0] < 0.0 => [0.0, alone(1)],
        true if both[1] < 0.0 => [alone(0), 0.0],
        true => both,
        false if n[0] > 0.0 => [alone(0), 0.0],
        false => [0.0, alone(1)],
    }
}

impl<L: DualLoss, P: ScoreSource> Start<'_, L, P> {
    /// Adds the features of the positives of each lane, as steps of one.
    #[inline(always)]
    fn add_positives<S: Simd>(&mut self, simd: S) -> Classes {
        let zero = simd.splat(0.0);
        let (mut own_of_positives, mut own_of_negatives, mut n_positives) = (zero, zero, [0; LANES]);
        for (row, &positive) in self.targets.positive.iter().enumerate() {
            let (head, entries) = self.rows.row(row);
            let pair = self.targets.costs.as_ref().map(|costs| simd.load(costs.line(row)));
            let cost = self.loss.cost(simd, positive, head.inverse_weight, pair);
            let own = simd.add(cost, simd.splat(head.own_norm));
            own_of_positives = simd.add(own_of_positives, simd.select(positive, own, zero));
            own_of_negatives = simd.add(own_of_negatives, simd.select(positive, zero, own));
            if positive != 0 {
                set_bits(positive.into()).for_each(|lane| n_positives[lane as usize] += 1);
                let step = simd.select(positive, simd.splat(1.0), zero);
                self.source.step(simd, row, entries, step);
                self.step_dense(simd, row, step);
            }
        }
        self.source.end(simd);
        let mut classes =
            Classes { n_positives, own_of_positives: Lanes::ZERO, own_of_negatives: Lanes::ZERO };
        simd.store(&mut classes.own_of_positives, own_of_positives);
        simd.store(&mut classes.own_of_negatives, own_of_negatives);
        classes
    }

    #[inline(always)]
    fn step_dense<S: Simd>(&mut self, simd: S, row: usize, step: S::V) {
        let columns = self.rows.dense_row(row).iter().flat_map(|columns| columns.0);
        for (value, weight) in columns.zip(self.dense.iter_mut()) {
            let moved = simd.fma(simd.splat(value), step, simd.load(weight));
            simd.store(weight, moved);
        }
    }

    /// The sum of all instances in each dense column.
    #[inline(always)]
    fn dense_totals<S: Simd>(&self, simd: S) -> Vec<f32> {
        let mut totals = vec![Lanes::ZERO; self.rows.dense_stride()];
        for row in self.rows.dense.chunks_exact(totals.len().max(1)) {
            for (total, columns) in totals.iter_mut().zip(row) {
                let sum = simd.add(simd.load(total), simd.load(columns));
                simd.store(total, sum);
            }
        }
        totals.iter().flat_map(|totals| totals.0).collect()
    }

    #[inline(always)]
    fn products<S: Simd>(&self, simd: S, dense_totals: &[f32]) -> Products {
        let of_sparse = self.source.products_of_sums(simd, &self.targets.positive);
        let all = of_sparse.with_lines(simd, self.dense, dense_totals);
        let mut products = Products { of_positives: Lanes::ZERO, with_all: Lanes::ZERO, of_all: all.of_all };
        simd.store(&mut products.of_positives, all.of_positives);
        simd.store(&mut products.with_all, all.with_all);
        products
    }

    /// Sets the duals, and makes what follows from them of the sums of the positives.
    #[inline(always)]
    fn begin_at<S: Simd>(
        &mut self,
        simd: S,
        of_positives: &Lanes,
        of_negatives: &Lanes,
        dense_totals: &[f32],
    ) {
        let (of_positives, of_negatives) = (simd.load(of_positives), simd.load(of_negatives));
        let scale = simd.add(of_positives, of_negatives);
        let shift = simd.sub(simd.splat(0.0), of_negatives);
        self.source.scale_and_shift(simd, scale, shift);
        scale_and_shift(simd, scale, shift, self.dense, dense_totals);
        for (duals, &positive) in self.duals.iter_mut().zip(&self.targets.positive) {
            simd.store(duals, simd.select(positive, of_positives, of_negatives));
        }
    }
}

/// What [`ScoreSource::products_of_sums`] finds: [`Products`] in registers.
pub(crate) struct SumProducts<S: Simd> {
    pub(crate) of_positives: S::V,
    pub(crate) with_all: S::V,
    pub(crate) of_all: f32,
}

impl<S: Simd> SumProducts<S> {
    /// Of no features.
    #[inline(always)]
    pub(crate) fn zero(simd: S) -> Self {
        Self { of_positives: simd.splat(0.0), with_all: simd.splat(0.0), of_all: 0.0 }
    }

    /// With further features: a line of the positives' sums for each, and the sum of all instances.
    #[inline(always)]
    pub(crate) fn with_lines(mut self, simd: S, lines: &[Lanes], totals: &[f32]) -> Self {
        for (line, &total) in lines.iter().zip(totals) {
            let line = simd.load(line);
            self.of_positives = simd.fma(line, line, self.of_positives);
            self.with_all = simd.fma(simd.splat(total), line, self.with_all);
            self.of_all += total * total;
        }
        self
    }
}

/// `scale · line + shift · total` in place of each line.
#[inline(always)]
pub(crate) fn scale_and_shift<S: Simd>(
    simd: S,
    scale: S::V,
    shift: S::V,
    lines: &mut [Lanes],
    totals: &[f32],
) {
    for (line, &total) in lines.iter_mut().zip(totals) {
        let moved = simd.fma(scale, simd.load(line), simd.mul(shift, simd.splat(total)));
        simd.store(line, moved);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The objective of [`best_pair`].
    fn objective(n: [f64; 2], [a, c]: [f64; 2], b: f64, [p, q]: [f64; 2]) -> f64 {
        0.5 * (a * p * p - 2.0 * b * p * q + c * q * q) - n[0] * p - n[1] * q
    }

    #[test]
    fn no_other_pair_is_better() {
        let cases = [
            ([3.0, 40.0], [12.0, 900.0], 90.0),
            ([3.0, 40.0], [12.0, 900.0], -90.0),
            ([40.0, 1.0], [900.0, 2.0], -30.0),
            ([0.0, 5.0], [0.0, 7.0], 0.0),
            ([5.0, 0.0], [7.0, 0.0], 0.0),
        ];
        for (n, within, between) in cases {
            let best = best_pair(n, within, between);
            assert!(best.iter().all(|&dual| dual >= 0.0), "{best:?}");
            let least = objective(n, within, between, best);
            for (p, q) in [(1e-3, 0.0), (-1e-3, 0.0), (0.0, 1e-3), (0.0, -1e-3), (1e-3, 1e-3)] {
                let other = [best[0] + p, best[1] + q];
                if other.iter().all(|&dual| dual >= 0.0) {
                    assert!(objective(n, within, between, other) >= least, "{n:?} {best:?} {other:?}");
                }
            }
        }
    }
}
