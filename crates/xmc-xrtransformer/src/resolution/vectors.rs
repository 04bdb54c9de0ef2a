//! The vectors of many texts, for a head (as long as they are) and for linear models beside text features (of length 1), in one
//! matrix that is never there twice.

use super::Result;
use crate::{Encoder, TokenRows};
use ndarray::{Array2, Zip};
use xmc_sparse::{Csr, Features, Progress};

/// Vectors of length 1, and how long they were.
pub(super) struct Vectors {
    unit: Array2<f32>,
    norms: Vec<f32>,
}

impl Vectors {
    /// Those of `tokens`.
    pub(super) fn of(encoder: &Encoder, tokens: &TokenRows, progress: &dyn Progress) -> Result<Self> {
        let mut values = Array2::zeros((tokens.n_rows(), encoder.n_dims()));
        progress.begin("embed", Some(tokens.n_rows() as u64), "texts");
        let out = values.as_slice_mut().expect("invariant: a new matrix is in row order");
        encoder.pool_tokens(tokens, progress, out)?;
        progress.end();
        let norms = values.rows().into_iter().map(|row| row.dot(&row).sqrt().max(1e-12)).collect();
        let mut this = Self { unit: values, norms };
        this.scale(|norm| 1.0 / norm);
        Ok(this)
    }

    /// What heads see.
    pub(super) fn into_pooled(mut self) -> Array2<f32> {
        self.scale(|norm| norm);
        self.unit
    }

    /// What `run` makes of them beside the text features `x`.
    pub(super) fn beside<T>(&mut self, x: &Csr, run: impl FnOnce(&Features) -> Result<T>) -> Result<T> {
        let unit = std::mem::take(&mut self.unit);
        let features = Features::new(x.clone(), Some(unit))?;
        let result = run(&features);
        self.unit = features.into_parts().1.expect("invariant: the vectors are the dense part");
        result
    }

    fn scale(&mut self, factor: impl Fn(f32) -> f32) {
        let rows = self.unit.rows_mut();
        Zip::from(rows).and(&self.norms[..]).for_each(|mut row, &norm| row *= factor(norm));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn vectors_have_length_one_beside_text_features_and_their_own_before_a_head() {
        let x = Csr::from_rows(1, [vec![(0, 1.0)], vec![]]).unwrap();
        let mut vectors = Vectors { unit: array![[0.6, 0.8], [0.0, 1.0]], norms: vec![5.0, 2.0] };
        let seen = vectors.beside(&x, |features| Ok((features.n_sparse(), features.row(0).dense.to_vec())));
        assert_eq!(seen.unwrap(), (1, vec![0.6, 0.8]));
        assert!(vectors.beside(&Csr::empty(3, 1), |_| Ok(())).is_err());
        let vectors = Vectors { unit: array![[0.6, 0.8], [0.0, 1.0]], norms: vec![5.0, 2.0] };
        assert_eq!(vectors.into_pooled(), array![[3.0, 4.0], [0.0, 2.0]]);
    }
}
