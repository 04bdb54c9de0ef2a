//! The directions in which vectors differ most (principal components, Hotelling 1933).
//!
//! Vectors of an encoder share a large common part, which tells texts apart from nothing, and their last directions hold
//! little. Seen from their mean and along the first directions, fewer numbers say nearly the same.

use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s};
use rayon::prelude::*;
use std::ops::Range;
use xmc_sparse::kernels::Lanes;

/// Rows of a partial sum, which are added up in order: the same result at any thread count.
const CHUNK: usize = 4096;
/// Rows that directions are taken from at most, evenly spread: 384 directions of so many are not told apart from those of all.
const MAX_ROWS: usize = 1 << 17;

/// A mean and directions around it.
#[derive(Debug, Clone)]
pub(crate) struct Pca {
    mean: Array1<f32>,
    /// `width × n_dims`, orthonormal columns.
    axes: Array2<f32>,
}

impl Pca {
    /// The `n_dims` first directions of `rows` (`n × width`, `n_dims <= width`).
    pub(crate) fn fit(rows: ArrayView2<'_, f32>, n_dims: usize) -> Self {
        debug_assert!(n_dims <= rows.ncols());
        let every = rows.nrows().div_ceil(MAX_ROWS).max(1);
        let sample = rows.slice(s![..;every, ..]);
        let mean = mean_of(sample);
        let axes = first_axes(&covariance(sample, &mean), n_dims);
        Self { mean, axes }
    }

    /// Number of directions.
    pub(crate) fn n_dims(&self) -> usize {
        self.axes.ncols()
    }

    /// `rows` from the mean along the directions, each of length 1 (or 0), a few columns at a time.
    pub(crate) fn project<'a>(&'a self, rows: ArrayView2<'a, f32>) -> Projected<'a> {
        let factors: Vec<Vec<f32>> = rows
            .axis_chunks_iter(Axis(0), CHUNK)
            .into_par_iter()
            .map(|rows| {
                (&rows - &self.mean).dot(&self.axes).rows().into_iter().map(one_over_length).collect()
            })
            .collect();
        Projected { rows, pca: self, factors: factors.concat() }
    }
}

/// Rows as they are seen along the directions of a [`Pca`]. They are made when they are asked for: there may be millions.
pub(crate) struct Projected<'a> {
    rows: ArrayView2<'a, f32>,
    pca: &'a Pca,
    /// What brings each row to length 1.
    factors: Vec<f32>,
}

impl Projected<'_> {
    /// Directions `columns` (sixteen at most) of each row.
    pub(crate) fn lanes(&self, columns: Range<usize>) -> Vec<Lanes> {
        let axes = self.pca.axes.slice(s![.., columns]);
        let mut lanes = vec![Lanes::ZERO; self.rows.nrows()];
        let chunks = lanes.par_chunks_mut(CHUNK).zip(self.factors.par_chunks(CHUNK));
        chunks.zip(self.rows.axis_chunks_iter(Axis(0), CHUNK)).for_each(|((lanes, factors), rows)| {
            let projected = (&rows - &self.pca.mean).dot(&axes);
            for ((lanes, factor), row) in lanes.iter_mut().zip(factors).zip(projected.rows()) {
                lanes.0.iter_mut().zip(row).for_each(|(lane, value)| *lane = value * factor);
            }
        });
        lanes
    }
}

fn one_over_length(row: ArrayView1<'_, f32>) -> f32 {
    let length = row.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt();
    if length > 0.0 { (1.0 / length) as f32 } else { 0.0 }
}

fn mean_of(rows: ArrayView2<'_, f32>) -> Array1<f32> {
    let sums: Vec<Array1<f64>> = rows
        .axis_chunks_iter(Axis(0), CHUNK)
        .into_par_iter()
        .map(|rows| rows.map_axis(Axis(0), |column| column.iter().map(|&v| f64::from(v)).sum()))
        .collect();
    let total = sums.iter().fold(Array1::zeros(rows.ncols()), |total: Array1<f64>, sum| total + sum);
    total.mapv(|sum| (sum / rows.nrows().max(1) as f64) as f32)
}

/// The sum of outer products of rows seen from `mean`.
fn covariance(rows: ArrayView2<'_, f32>, mean: &Array1<f32>) -> Array2<f64> {
    let parts: Vec<Array2<f32>> = rows
        .axis_chunks_iter(Axis(0), CHUNK)
        .into_par_iter()
        .map(|rows| {
            let centred = &rows - mean;
            centred.t().dot(&centred)
        })
        .collect();
    let zeros = Array2::zeros((rows.ncols(), rows.ncols()));
    parts.iter().fold(zeros, |total: Array2<f64>, part| total + &part.mapv(f64::from))
}

/// The eigenvectors of the `n_dims` largest eigenvalues, as columns.
fn first_axes(covariance: &Array2<f64>, n_dims: usize) -> Array2<f32> {
    let width = covariance.nrows();
    let symmetric = DMatrix::from_fn(width, width, |i, j| covariance[(i.min(j), i.max(j))]);
    let eigen = SymmetricEigen::new(symmetric);
    let mut order: Vec<usize> = (0..width).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    Array2::from_shape_fn((width, n_dims), |(i, j)| eigen.eigenvectors[(i, order[j])] as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points on an ellipse in the plane of two directions of five, off the origin.
    fn ellipse() -> Array2<f32> {
        let (long, short) = ([0.6, 0.0, 0.8, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0, 0.0]);
        Array2::from_shape_fn((400, 5), |(i, j)| {
            let (sin, cos) = (i as f32 * 0.7).sin_cos();
            3.0 + 2.0 * cos * long[j] + 0.5 * sin * short[j]
        })
    }

    #[test]
    fn directions_come_in_the_order_of_their_spread() {
        let pca = Pca::fit(ellipse().view(), 2);
        assert!((pca.axes[(0, 0)].abs() - 0.6).abs() < 1e-3 && (pca.axes[(2, 0)].abs() - 0.8).abs() < 1e-3);
        assert!((pca.axes[(1, 1)].abs() - 1.0).abs() < 1e-3);
        assert!(pca.mean.iter().all(|&m| (m - 3.0).abs() < 0.02), "{}", pca.mean);
    }

    #[test]
    fn all_directions_keep_angles_between_centred_rows() {
        let rows = ellipse();
        let pca = Pca::fit(rows.view(), 5);
        let projected = pca.project(rows.view()).lanes(0..5);
        let mut centred = &rows - &pca.mean;
        centred.rows_mut().into_iter().for_each(|mut row| row *= one_over_length(row.view()));
        for (a, b) in [(0, 1), (5, 300), (17, 99)] {
            let found: f32 = projected[a].0.iter().zip(projected[b].0).map(|(a, b)| a * b).sum();
            assert!((found - centred.row(a).dot(&centred.row(b))).abs() < 1e-4);
        }
    }

    #[test]
    fn columns_are_the_same_alone_and_together() {
        let rows = ellipse();
        let pca = Pca::fit(rows.view(), 4);
        let (all, last) = (pca.project(rows.view()).lanes(0..4), pca.project(rows.view()).lanes(3..4));
        assert!(
            all.iter().zip(&last).all(|(all, last)| (all.0[3] - last.0[0]).abs() < 1e-6 && last.0[1] == 0.0)
        );
    }

    #[test]
    fn a_row_at_the_mean_has_no_direction() {
        let rows = ndarray::arr2(&[[1.0, 1.0], [1.0, 3.0], [1.0, 2.0]]);
        let found = Pca::fit(rows.view(), 1).project(rows.view()).lanes(0..1);
        assert_eq!(found.iter().map(|lanes| lanes.0[0].abs()).collect::<Vec<_>>(), [1.0, 1.0, 0.0]);
    }
}
