//! Propensities: how likely it is that a true label was recorded at all.
//!
//! Jain, Prabhu and Varma, "Extreme Multi-label Loss Functions for Recommendation, Tagging, Ranking &
//! Other Missing Label Applications", KDD 2016, section 4: annotators miss rare labels more often, with
//! probability `p_l = 1 / (1 + C (N_l + B)^-A)`, `C = (ln N - 1) (B + 1)^A`, for a label with `N_l` of
//! the `N` training instances. A hit is then worth `1 / p_l`.

use crate::{MetricsError, Result};
use serde::{Deserialize, Serialize};
use xmc_sparse::Csr;

/// Parameters of the propensity model. The paper fitted them on data of the two kinds that are named here
/// and uses the default for everything else.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PropensityParams {
    /// How fast propensity grows with a label's frequency (`A`), at least 0. Default 0.55; 0.5 for
    /// Wikipedia's data sets, 0.6 for Amazon's.
    pub a: f64,
    /// Offset of the frequency (`B`), above 0. Default 1.5; 0.4 for Wikipedia's data sets, 2.6 for Amazon's.
    pub b: f64,
}

impl Default for PropensityParams {
    fn default() -> Self {
        Self { a: 0.55, b: 1.5 }
    }
}

impl PropensityParams {
    fn check(self) -> Result<()> {
        let wrong = |name, value, expected| Err(MetricsError::PropensityParam { name, value, expected });
        if !(self.a >= 0.0 && self.a.is_finite()) {
            return wrong("A", self.a, "a finite number, at least 0");
        }
        if !(self.b > 0.0 && self.b.is_finite()) {
            return wrong("B", self.b, "a finite number above 0");
        }
        Ok(())
    }
}

/// The inverse propensity of each label, at least 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Propensities {
    inverse: Vec<f64>,
}

impl Propensities {
    /// From the training labels `Y` (`n_samples × n_labels`); entries above 0 count.
    ///
    /// # Errors
    /// As [`from_counts`](Self::from_counts).
    pub fn from_labels(train: &Csr, params: PropensityParams) -> Result<Self> {
        let mut counts = vec![0u64; train.n_cols()];
        for (&label, &value) in train.indices().iter().zip(train.values()) {
            counts[label as usize] += u64::from(value > 0.0);
        }
        Self::from_counts(&counts, train.n_rows(), params)
    }

    /// From the number of training instances of each label, of `n_samples` in all.
    ///
    /// The formula is about large data: below `e` instances `C` would be negative and a hit worth less
    /// than 1. It is 0 there, so that all labels weigh the same.
    ///
    /// # Errors
    /// [`MetricsError::NoRows`] without instances, [`MetricsError::PropensityParam`].
    pub fn from_counts(counts: &[u64], n_samples: usize, params: PropensityParams) -> Result<Self> {
        params.check()?;
        if n_samples == 0 {
            return Err(MetricsError::NoRows);
        }
        let PropensityParams { a, b } = params;
        let c = ((n_samples as f64).ln() - 1.0).max(0.0) * (b + 1.0).powf(a);
        let inverse = counts.iter().map(|&count| 1.0 + c * (count as f64 + b).powf(-a)).collect();
        Ok(Self { inverse })
    }

    /// Inverse propensities by label.
    pub fn inverse(&self) -> &[f64] {
        &self.inverse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_labels_weigh_more() {
        let train = Csr::from_rows(
            3,
            (0..20).map(|row| (row % 4 == 0).then_some((1, 1.0)).into_iter().chain([(0, 1.0)])),
        );
        let weights = Propensities::from_labels(&train.unwrap(), PropensityParams::default()).unwrap();
        let [often, seldom, never] = weights.inverse() else { panic!("three labels") };
        assert!(1.0 < *often && often < seldom && seldom < never);
        // 1 + (ln 20 - 1) * 2.5^0.55 * 6.5^-0.55, by hand.
        assert!((seldom - 2.1799).abs() < 1e-3, "{seldom}");
    }

    #[test]
    fn tiny_data_weighs_all_labels_the_same() {
        let weights = Propensities::from_counts(&[0, 1, 2], 2, PropensityParams::default()).unwrap();
        assert_eq!(weights.inverse(), [1.0, 1.0, 1.0]);
    }

    #[test]
    fn parameters_out_of_range_and_empty_data_are_refused() {
        let from = |a, b, n| Propensities::from_counts(&[1], n, PropensityParams { a, b });
        for (a, b) in [(-0.1, 1.0), (f64::NAN, 1.0), (0.5, 0.0), (0.5, f64::INFINITY)] {
            assert!(matches!(from(a, b, 9), Err(MetricsError::PropensityParam { .. })), "{a} {b}");
        }
        assert_eq!(from(0.5, 1.0, 0), Err(MetricsError::NoRows));
    }
}
