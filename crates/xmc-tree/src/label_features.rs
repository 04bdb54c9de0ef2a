//! Label features Z: what a label looks like, from the instances that have it.
//!
//! PIFA (positive instance feature aggregation; Yu et al., JMLR 2022): rows of Y normalised, so that an
//! instance with many labels says less about each; Z = YᵀX; rows of Z normalised.

use crate::TreeError;
use ndarray::{Array2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use xmc_sparse::{Csr, Features, SparseError, SparseRow};

/// How labels get their features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LabelFeatures {
    /// Sum of the instances that have the label: `Z = rownorm(rownorm(Y)ᵀ X)`.
    #[default]
    Pifa,
}

impl LabelFeatures {
    /// Label features `Z` (`n_labels × n_features`, each row of Euclidean norm 1 over its sparse and
    /// dense part together) from instances `x` (`n_samples × n_features`) and labels `y` (`n_samples ×
    /// n_labels`). A label without instances has a row of zeros.
    ///
    /// # Errors
    /// [`TreeError::Matrix`] when `x` and `y` differ in rows.
    pub fn compute(self, x: &Features, y: &Csr) -> Result<Features, TreeError> {
        self.compute_weighted(x, y, None)
    }

    /// As [`compute`](Self::compute), instance `i` counting `weights[i]` times.
    ///
    /// # Errors
    /// [`TreeError::Matrix`] when `x`, `y` and `weights` differ in rows or a weight is not finite.
    pub fn compute_weighted(
        self,
        x: &Features,
        y: &Csr,
        weights: Option<&[f32]>,
    ) -> Result<Features, TreeError> {
        check_rows("rows of the labels (one for each instance)", x.n_samples(), y.n_rows())?;
        if let Some(weights) = weights {
            check_weights(weights, x.n_samples())?;
        }
        match self {
            Self::Pifa => pifa(x, y, weights),
        }
    }
}

fn check_rows(what: &'static str, expected: usize, found: usize) -> Result<(), SparseError> {
    if expected == found { Ok(()) } else { Err(SparseError::Shape { what, expected, found }) }
}

fn check_weights(weights: &[f32], n_samples: usize) -> Result<(), SparseError> {
    check_rows("instance weights (one for each instance)", n_samples, weights.len())?;
    match weights.iter().position(|weight| !weight.is_finite()) {
        Some(row) => Err(SparseError::NonFinite { row, col: 0, value: weights[row] }),
        None => Ok(()),
    }
}

fn pifa(x: &Features, y: &Csr, weights: Option<&[f32]>) -> Result<Features, TreeError> {
    let shares = shares(y, weights);
    let sparse = shares.dot(x.sparse())?;
    let dense = x.dense().map(|rows| {
        let mut sums = Array2::<f32>::zeros((shares.n_rows(), rows.ncols()));
        // A label's instances are summed in their order: the same bits at any number of threads.
        sums.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(label, mut sum)| {
            shares.row(label).iter().for_each(|(i, share)| sum.scaled_add(share, &rows.row(i as usize)));
        });
        sums
    });
    normalize_jointly(sparse, dense)
}

/// The share of every instance in every label, `n_labels × n_samples`: Y with rows of norm 1 (and
/// multiplied by the instance's weight), transposed.
fn shares(y: &Csr, weights: Option<&[f32]>) -> Csr {
    let unit = y.l2_normalized_rows();
    let Some(weights) = weights else { return unit.transpose() };
    let weighted = unit.rows().zip(weights).map(|(row, &weight)| {
        row.iter().map(move |(label, value)| (label, value * weight)).collect::<Vec<_>>()
    });
    Csr::from_rows(y.n_cols(), weighted).expect("invariant: finite weights, the labels of y").transpose()
}

/// Every row of `[sparse | dense]` divided by its norm; rows of zeros stay.
fn normalize_jointly(sparse: Csr, dense: Option<Array2<f32>>) -> Result<Features, TreeError> {
    let Some(mut dense) = dense else { return Ok(Features::from_sparse(sparse.into_l2_normalized_rows())) };
    let scales: Vec<f32> = sparse.rows().zip(dense.rows()).map(|(s, d)| scale(s, d.iter())).collect();
    dense.rows_mut().into_iter().zip(&scales).for_each(|(mut row, &scale)| row *= scale);
    let scaled = sparse.rows().zip(&scales).map(|(row, &scale)| {
        row.iter().map(move |(feature, value)| (feature, value * scale)).collect::<Vec<_>>()
    });
    let sparse = Csr::from_rows(sparse.n_cols(), scaled)?;
    Ok(Features::new(sparse, Some(dense))?)
}

fn scale<'a>(sparse: SparseRow<'a>, dense: impl Iterator<Item = &'a f32>) -> f32 {
    let squares = sparse.values.iter().chain(dense).map(|&value| f64::from(value) * f64::from(value));
    let norm = squares.sum::<f64>().sqrt();
    if norm > 0.0 { (1.0 / norm) as f32 } else { 0.0 }
}
