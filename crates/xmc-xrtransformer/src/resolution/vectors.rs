//! The vectors of many texts, brought to length 1, for linear models on them alone and beside text features, in one matrix that is
//! never there twice.

use super::Result;
use crate::{Encoder, TokenRows};
use ndarray::Array2;
use xmc_sparse::{Csr, Features, Progress};

/// Vectors of length 1, and how long they were.
pub(super) struct Vectors {
    unit: Array2<f32>,
    mean_norm: f32,
}

impl Vectors {
    /// Those of `tokens`.
    pub(super) fn of(encoder: &Encoder, tokens: &TokenRows, progress: &dyn Progress) -> Result<Self> {
        let mut values = Array2::zeros((tokens.n_rows(), encoder.n_dims()));
        progress.begin("embed", Some(tokens.n_rows() as u64), "texts");
        let out = values.as_slice_mut().expect("invariant: a new matrix is in row order");
        encoder.pool_tokens(tokens, progress, out)?;
        progress.end();
        Ok(Self::new(values))
    }

    fn new(mut values: Array2<f32>) -> Self {
        let (mut sum, n_rows) = (0.0, values.nrows().max(1));
        for mut row in values.rows_mut() {
            let norm = row.dot(&row).sqrt().max(1e-12);
            sum += f64::from(norm);
            row /= norm;
        }
        Self { unit: values, mean_norm: (sum / n_rows as f64) as f32 }
    }

    /// The vectors, and their mean length before.
    pub(super) fn into_parts(self) -> (Array2<f32>, f32) {
        (self.unit, self.mean_norm)
    }

    /// What `run` makes of them beside the text features `x`.
    pub(super) fn beside<T>(&mut self, x: &Csr, run: impl FnOnce(&Features) -> Result<T>) -> Result<T> {
        let unit = std::mem::take(&mut self.unit);
        let features = Features::new(x.clone(), Some(unit))?;
        let result = run(&features);
        self.unit = features.into_parts().1.expect("invariant: the vectors are the dense part");
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn vectors_have_length_one_alone_and_beside_text_features() {
        let x = Csr::from_rows(1, [vec![(0, 1.0)], vec![]]).unwrap();
        let mut vectors = Vectors::new(array![[3.0, 4.0], [0.0, 2.0]]);
        let seen = vectors.beside(&x, |features| Ok((features.n_sparse(), features.row(0).dense.to_vec())));
        let (n_sparse, dense) = seen.unwrap();
        assert!(n_sparse == 1 && (dense[0] - 0.6).abs() < 1e-6 && (dense[1] - 0.8).abs() < 1e-6, "{dense:?}");
        let (unit, mean_norm) = vectors.into_parts();
        let mut others = Vectors::new(array![[1.0]]);
        assert!(others.beside(&Csr::empty(3, 1), |_| Ok(())).is_err());
        let off = (unit - array![[0.6, 0.8], [0.0, 1.0]]).mapv(f32::abs).sum();
        assert!(off < 1e-6 && (mean_norm - 3.5).abs() < 1e-6);
    }
}
