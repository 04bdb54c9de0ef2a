//! The textbook solver for one label, in double precision: what the batched one is held to.
//!
//! Dual coordinate descent without shrinking, on the original rows: algorithm 3 of Hsieh et al. 2008 for the hinges, and for
//! the logistic loss coordinates that are solved by halving an interval. Slow on purpose: nothing in it is clever,
//! so nothing in it hides a mistake.

use crate::{CheckedSvmParams, Loss};
use xmc_sparse::Features;

/// A binary model.
#[derive(Debug, Clone, PartialEq)]
pub struct Binary {
    /// Weights of the sparse columns, then of the dense ones.
    pub weights: Vec<f64>,
    /// Intercept, already multiplied by the constant feature.
    pub bias: f64,
    /// Primal objective.
    pub objective: f64,
}

/// Solves one label on `rows` of `x`; `positive[i]` belongs to `rows[i]`, as does `weights[i]` (1 if `None`), which
/// multiplies `Cp` or `Cn`: the instance's weight, for a positive times the cost of the pair.
pub fn solve(
    params: &CheckedSvmParams,
    x: &Features,
    rows: &[u32],
    positive: &[bool],
    weights: Option<&[f32]>,
) -> Binary {
    let columns = columns(x, rows);
    let problem = Problem { params, rows: &columns, positive, weights };
    problem.solve(x.n_sparse() + x.n_dense())
}

/// The primal objective of any model of the problem that [`solve`] solves.
pub fn objective(
    params: &CheckedSvmParams,
    x: &Features,
    rows: &[u32],
    positive: &[bool],
    weights: Option<&[f32]>,
    model: (&[f64], f64),
) -> f64 {
    let columns = columns(x, rows);
    let (w, bias) = model;
    let b = if params.bias > 0.0 { bias / f64::from(params.bias) } else { 0.0 };
    Problem { params, rows: &columns, positive, weights }.objective(w, b)
}

/// Rows as columns and values, the dense ones after the sparse ones.
fn columns(x: &Features, rows: &[u32]) -> Vec<Vec<(usize, f64)>> {
    let n_sparse = x.n_sparse();
    let all = rows.iter().map(|&row| {
        let row = x.row(row as usize);
        let sparse = row.sparse.iter().map(|(col, v)| (col as usize, f64::from(v)));
        let dense = row.dense.iter().enumerate().map(|(col, &v)| (n_sparse + col, f64::from(v)));
        sparse.chain(dense).collect()
    });
    all.collect()
}

struct Problem<'a> {
    params: &'a CheckedSvmParams,
    rows: &'a [Vec<(usize, f64)>],
    positive: &'a [bool],
    weights: Option<&'a [f32]>,
}

impl Problem<'_> {
    fn sign(&self, i: usize) -> f64 {
        if self.positive[i] { 1.0 } else { -1.0 }
    }

    fn cost(&self, i: usize) -> f64 {
        let class = if self.positive[i] { self.params.cost_positive } else { self.params.cost_negative };
        f64::from(class) * self.weights.map_or(1.0, |weights| f64::from(weights[i]))
    }

    fn score(&self, i: usize, w: &[f64], b: f64) -> f64 {
        b * f64::from(self.params.bias) + self.rows[i].iter().map(|&(col, v)| v * w[col]).sum::<f64>()
    }

    fn solve(&self, n_columns: usize) -> Binary {
        let bias = f64::from(self.params.bias);
        let (mut w, mut b) = (vec![0.0; n_columns], 0.0);
        let mut alpha = vec![0.0f64; self.rows.len()];
        for _ in 0..self.params.max_iter {
            let (mut max, mut min) = (f64::NEG_INFINITY, f64::INFINITY);
            for (i, alpha) in alpha.iter_mut().enumerate() {
                let y = self.sign(i);
                let visit = self.visit(i, y * self.score(i, &w, b), *alpha);
                (max, min) = (max.max(visit.largest), min.min(visit.smallest));
                let step = y * (visit.alpha - *alpha);
                *alpha = visit.alpha;
                self.rows[i].iter().for_each(|&(col, v)| w[col] += step * v);
                b += step * bias;
            }
            if max - min <= f64::from(self.params.eps) {
                break;
            }
        }
        let objective = self.objective(&w, b);
        Binary { weights: w, bias: b * bias, objective }
    }

    /// A coordinate step at margin `z`.
    fn visit(&self, i: usize, z: f64, alpha: f64) -> Visit {
        let (cost, bias) = (self.cost(i), f64::from(self.params.bias));
        let norm: f64 = self.rows[i].iter().map(|&(_, v)| v * v).sum::<f64>() + bias * bias;
        match self.params.loss {
            Loss::SquaredHinge => {
                let diagonal = 0.5 / cost;
                let gradient = z - 1.0 + alpha * diagonal;
                Visit::bounded(alpha, gradient, norm + diagonal, f64::INFINITY)
            }
            Loss::Hinge => Visit::bounded(alpha, z - 1.0, norm, cost),
            Loss::Logistic => Visit::logistic(alpha, z, norm, cost),
        }
    }

    /// The primal objective at `(w, b)`.
    fn objective(&self, w: &[f64], b: f64) -> f64 {
        let regulariser = 0.5 * (w.iter().map(|v| v * v).sum::<f64>() + b * b);
        let loss = |i| {
            let z = self.sign(i) * self.score(i, w, b);
            let loss = match self.params.loss {
                Loss::SquaredHinge => (1.0 - z).max(0.0).powi(2),
                Loss::Hinge => (1.0 - z).max(0.0),
                Loss::Logistic => (-z).max(0.0) + (-z.abs()).exp().ln_1p(),
            };
            self.cost(i) * loss
        };
        regulariser + (0..self.rows.len()).map(loss).sum::<f64>()
    }
}

/// What comes of a visit: the new dual variable, and the violation before it.
struct Visit {
    alpha: f64,
    largest: f64,
    smallest: f64,
}

impl Visit {
    /// A step of a hinge, whose dual variable is between 0 and `bound`.
    fn bounded(alpha: f64, gradient: f64, curvature: f64, bound: f64) -> Self {
        let projected = match alpha {
            0.0 => gradient.min(0.0),
            alpha if alpha == bound => gradient.max(0.0),
            _ => gradient,
        };
        let stepped = (alpha - gradient / curvature).clamp(0.0, bound);
        Self { alpha: stepped, largest: projected.max(0.0), smallest: projected.min(0.0) }
    }

    /// The root of `t + z + norm (C σ(t) − α)`, which increases with the log-odds `t`.
    fn logistic(alpha: f64, z: f64, norm: f64, cost: f64) -> Self {
        let sigma = |t: f64| cost / (1.0 + (-t).exp());
        let height = |t: f64| t + z + norm * (sigma(t) - alpha);
        let (mut low, mut high) = (-z - norm * (cost - alpha), -z + norm * alpha);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            *(if height(middle) < 0.0 { &mut low } else { &mut high }) = middle;
        }
        // The first visit finds α = 0: log-odds of −∞, a violation without bound.
        let violation = ((alpha / (cost - alpha)).ln() + z).abs();
        Self { alpha: sigma(0.5 * (low + high)), largest: violation, smallest: 0.0 }
    }
}
