//! The textbook solver for one label, in double precision: what the batched one is held to.
//!
//! Algorithm 3 of Hsieh et al. 2008 without shrinking, on the original rows. Slow on purpose: nothing in it
//! is clever, so nothing in it hides a mistake.

use crate::CheckedSvmParams;
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

/// Solves one label on `rows` of `x`; `positive[i]` belongs to `rows[i]`, as does `weights[i]` (1 if `None`).
pub fn solve(
    params: &CheckedSvmParams,
    x: &Features,
    rows: &[u32],
    positive: &[bool],
    weights: Option<&[f32]>,
) -> Binary {
    let n_sparse = x.n_sparse();
    let columns: Vec<Vec<(usize, f64)>> = rows
        .iter()
        .map(|&row| {
            let row = x.row(row as usize);
            let sparse = row.sparse.iter().map(|(col, v)| (col as usize, f64::from(v)));
            let dense = row.dense.iter().enumerate().map(|(col, &v)| (n_sparse + col, f64::from(v)));
            sparse.chain(dense).collect()
        })
        .collect();
    let problem = Problem { params, rows: &columns, positive, weights };
    problem.solve(n_sparse + x.n_dense())
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
                let (y, diagonal) = (self.sign(i), 0.5 / self.cost(i));
                let gradient = y * self.score(i, &w, b) - 1.0 + *alpha * diagonal;
                let projected = if *alpha == 0.0 { gradient.min(0.0) } else { gradient };
                (max, min) = (max.max(projected), min.min(projected));
                let norm: f64 = self.rows[i].iter().map(|&(_, v)| v * v).sum::<f64>() + bias * bias;
                let stepped = (*alpha - gradient / (norm + diagonal)).max(0.0);
                let step = y * (stepped - *alpha);
                *alpha = stepped;
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

    /// The primal objective at `(w, b)`.
    fn objective(&self, w: &[f64], b: f64) -> f64 {
        let regulariser = 0.5 * (w.iter().map(|v| v * v).sum::<f64>() + b * b);
        let loss = |i| {
            let slack = 1.0 - self.sign(i) * self.score(i, w, b);
            self.cost(i) * slack.max(0.0).powi(2)
        };
        regulariser + (0..self.rows.len()).map(loss).sum::<f64>()
    }
}
