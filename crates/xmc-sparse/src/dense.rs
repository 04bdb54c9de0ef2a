//! A dense block of features, shared by whoever has it.

use crate::{SharedSlice, SparseError};
use ndarray::{Array2, ArrayView2, Axis, CowArray, Ix2};
use std::sync::Arc;

/// A dense matrix in row order, or a selection of its rows. Clones and selections share the values, which may lie in a mapped file.
#[derive(Debug, Clone)]
pub struct DenseBlock {
    n_rows: usize,
    n_cols: usize,
    values: SharedSlice<f32>,
    /// The rows of `values` that are meant; all, in order, without.
    rows: Option<Arc<[usize]>>,
}

impl DenseBlock {
    /// The matrix of `n_rows × n_cols` values, row by row. They are not looked at: see [`DenseBlock::check`].
    ///
    /// # Errors
    /// [`SparseError::Shape`] when there are more or fewer values.
    pub fn from_mapped(n_rows: usize, n_cols: usize, values: SharedSlice<f32>) -> Result<Self, SparseError> {
        let what = "values of the dense features (rows times columns)";
        match n_rows.checked_mul(n_cols) {
            Some(all) if all == values.len() => Ok(Self { n_rows, n_cols, values, rows: None }),
            all => Err(SparseError::Shape { what, expected: all.unwrap_or(usize::MAX), found: values.len() }),
        }
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.rows.as_ref().map_or(self.n_rows, |rows| rows.len())
    }

    /// Number of columns.
    pub fn n_cols(&self) -> usize {
        self.n_cols
    }

    /// Whether the values are on the heap, not in a mapped file.
    pub fn is_owned(&self) -> bool {
        self.values.is_owned()
    }

    /// Row `row`; panics when it is out of range.
    #[inline]
    pub fn row(&self, row: usize) -> &[f32] {
        let row = self.rows.as_ref().map_or(row, |rows| rows[row]);
        &self.values[row * self.n_cols..(row + 1) * self.n_cols]
    }

    /// The rows `rows`, in that order; panics when one is out of range.
    #[must_use]
    pub fn select_rows(&self, rows: &[usize]) -> Self {
        let of_all = |&row: &usize| {
            assert!(row < self.n_rows(), "row {row} of {}", self.n_rows());
            self.rows.as_ref().map_or(row, |rows| rows[row])
        };
        Self { rows: Some(rows.iter().map(of_all).collect()), ..self.clone() }
    }

    /// The block as a matrix: as it is, or a copy if it is a selection of rows.
    pub fn matrix(&self) -> CowArray<'_, f32, Ix2> {
        match &self.rows {
            None => self.all().into(),
            Some(rows) => self.all().select(Axis(0), rows).into(),
        }
    }

    /// The block as a matrix of its own: copied if it is a selection of rows, shared or mapped.
    pub fn into_matrix(self) -> Array2<f32> {
        if self.rows.is_some() {
            return self.matrix().into_owned();
        }
        Array2::from_shape_vec((self.n_rows, self.n_cols), self.values.into_vec()).expect(SHAPE)
    }

    fn all(&self) -> ArrayView2<'_, f32> {
        ArrayView2::from_shape((self.n_rows, self.n_cols), &self.values).expect(SHAPE)
    }

    /// Looks at the values if they are mapped.
    ///
    /// # Errors
    /// [`SparseError::NonFinite`].
    pub fn check(&self) -> Result<(), SparseError> {
        if self.is_owned() { Ok(()) } else { self.check_values() }
    }

    pub(crate) fn check_values(&self) -> Result<(), SparseError> {
        match self.values.iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(at) => {
                let (row, col) = (at / self.n_cols, at % self.n_cols);
                Err(SparseError::NonFinite { row, col, value: self.values[at] })
            }
        }
    }
}

const SHAPE: &str = "invariant: as many values as rows times columns";

impl From<Array2<f32>> for DenseBlock {
    fn from(matrix: Array2<f32>) -> Self {
        let (n_rows, n_cols) = matrix.dim();
        let matrix =
            if matrix.is_standard_layout() { matrix } else { matrix.as_standard_layout().into_owned() };
        // An array may be a part of its vector.
        let (mut values, start) = matrix.into_raw_vec_and_offset();
        values.drain(..start.unwrap_or(0));
        values.truncate(n_rows * n_cols);
        Self { n_rows, n_cols, values: values.into(), rows: None }
    }
}

impl PartialEq for DenseBlock {
    fn eq(&self, other: &Self) -> bool {
        self.matrix() == other.matrix()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{array, s};

    #[test]
    fn arrays_of_any_layout_become_blocks_in_row_order() {
        let whole = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]];
        let mut part = whole.clone();
        part.slice_collapse(s![1.., ..]);
        for array in
            [whole.clone(), whole.clone().reversed_axes(), part, Array2::zeros((0, 3)), Array2::zeros((2, 0))]
        {
            let block = DenseBlock::from(array.clone());
            assert_eq!((block.n_rows(), block.n_cols()), array.dim());
            assert!(array.outer_iter().enumerate().all(|(row, values)| values.to_vec() == block.row(row)));
            assert_eq!(block.into_matrix(), array);
        }
    }

    #[test]
    fn a_mapped_block_is_counted_at_once_and_looked_at_when_asked() {
        let values = SharedSlice::of(vec![1.0, f32::NAN, 3.0, 4.0].into_boxed_slice(), |values| values);
        assert!(matches!(
            DenseBlock::from_mapped(2, 3, values.clone()),
            Err(SparseError::Shape { expected: 6, found: 4, .. })
        ));
        let block = DenseBlock::from_mapped(2, 2, values.clone()).unwrap();
        assert_eq!((block.row(1).as_ptr(), block.is_owned()), (values[2..].as_ptr(), false));
        assert!(matches!(block.check(), Err(SparseError::NonFinite { row: 0, col: 1, .. })));
    }
}
