//! Instance features: a sparse part and an optional dense part side by side.
//!
//! A dense block (an embedding) kept as sparse entries would cost an index for every value and a
//! gather for every product; here every stage sees it as what it is.

use crate::{Csr, DenseBlock, SparseError, SparseRow};
use ndarray::{Array2, CowArray, Ix2};

/// An instance matrix `X` of `n_samples × (n_sparse + n_dense)`.
///
/// The dense columns are numbered after the sparse ones. Values are finite.
///
/// The dense block is shared by clones and by selections of rows: it is the largest thing that a training has in memory.
#[derive(Debug, Clone)]
pub struct Features {
    sparse: Csr,
    dense: Option<DenseBlock>,
}

/// One instance: the entries of its sparse part and its dense part (empty when there is none).
#[derive(Debug, Clone, Copy, Default)]
pub struct Row<'a> {
    /// Sparse entries.
    pub sparse: SparseRow<'a>,
    /// Dense values, all of them.
    pub dense: &'a [f32],
}

impl Features {
    /// Features with no dense part.
    pub fn from_sparse(sparse: Csr) -> Self {
        Self { sparse, dense: None }
    }

    /// Sparse and dense features of the same instances.
    ///
    /// # Errors
    /// [`SparseError::Shape`] when the row counts differ, [`SparseError::NonFinite`] when a dense
    /// value is NaN or infinite.
    pub fn new(sparse: Csr, dense: Option<Array2<f32>>) -> Result<Self, SparseError> {
        Self::with_block(sparse, dense.map(DenseBlock::from))
    }

    /// As [`Features::new`], of a block that may be shared or mapped; mapped values are not looked at.
    ///
    /// # Errors
    /// As [`Features::new`].
    pub fn with_block(sparse: Csr, dense: Option<DenseBlock>) -> Result<Self, SparseError> {
        let Some(block) = dense else { return Ok(Self::from_sparse(sparse)) };
        if block.n_rows() != sparse.n_rows() {
            return Err(SparseError::Shape {
                what: "rows of the dense features (one for each row of the sparse ones)",
                expected: sparse.n_rows(),
                found: block.n_rows(),
            });
        }
        if block.is_owned() {
            block.check_values()?;
        }
        Ok(Self { sparse, dense: Some(block) })
    }

    /// Looks at all that is mapped, as [`Csr::check`] does.
    ///
    /// # Errors
    /// As [`Csr::check`].
    pub fn check(&self) -> Result<(), SparseError> {
        self.sparse.check()?;
        self.dense.as_ref().map_or(Ok(()), DenseBlock::check)
    }

    /// Both parts. The dense one is copied if it is a selection of rows, shared or mapped.
    pub fn into_parts(self) -> (Csr, Option<Array2<f32>>) {
        (self.sparse, self.dense.map(DenseBlock::into_matrix))
    }

    /// The instances `rows`, in that order; panics when one is out of range. Sparse entries are copied, dense ones shared.
    pub fn select_rows(&self, rows: &[usize]) -> Self {
        let dense = self.dense.as_ref().map(|dense| dense.select_rows(rows));
        Self { sparse: self.sparse.select_rows(rows), dense }
    }

    /// Number of instances.
    pub fn n_samples(&self) -> usize {
        self.sparse.n_rows()
    }

    /// Number of sparse columns.
    pub fn n_sparse(&self) -> usize {
        self.sparse.n_cols()
    }

    /// Number of dense columns, 0 without a dense part.
    pub fn n_dense(&self) -> usize {
        self.dense.as_ref().map_or(0, DenseBlock::n_cols)
    }

    /// The sparse part.
    pub fn sparse(&self) -> &Csr {
        &self.sparse
    }

    /// The dense part, in row order: as it is, or a copy if it is a selection of rows.
    pub fn dense(&self) -> Option<CowArray<'_, f32, Ix2>> {
        self.dense.as_ref().map(DenseBlock::matrix)
    }

    /// The dense part as it is kept.
    pub fn dense_block(&self) -> Option<&DenseBlock> {
        self.dense.as_ref()
    }

    /// Instance `row`; panics when it is out of range.
    #[inline]
    pub fn row(&self, row: usize) -> Row<'_> {
        let dense = self.dense.as_ref().map_or(&[][..], |dense| dense.row(row));
        Row { sparse: self.sparse.row(row), dense }
    }
}

impl PartialEq for Features {
    fn eq(&self, other: &Self) -> bool {
        self.sparse == other.sparse && self.dense() == other.dense()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_row_has_both_parts() {
        let sparse = Csr::from_rows(3, [vec![(1, 1.0)], vec![]]).unwrap();
        // A transposed array is in column order: it must be brought into row order.
        let dense = array![[1.0, 3.0], [2.0, 4.0]].reversed_axes();
        let x = Features::new(sparse, Some(dense)).unwrap();
        assert_eq!((x.n_samples(), x.n_sparse(), x.n_dense()), (2, 3, 2));
        assert_eq!(x.row(0).dense, &[1.0, 2.0]);
        assert_eq!(x.row(1).dense, &[3.0, 4.0]);
        assert_eq!(x.row(0).sparse.nnz(), 1);
        let (sparse, dense) = x.into_parts();
        assert_eq!((sparse.n_rows(), dense), (2, Some(array![[1.0, 2.0], [3.0, 4.0]])));
    }

    #[test]
    fn a_selection_shares_the_dense_part() {
        let sparse = Csr::from_rows(3, [vec![(1, 1.0)], vec![], vec![(2, 3.0)]]).unwrap();
        let x = Features::new(sparse, Some(array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])).unwrap();
        let picked = x.select_rows(&[2, 0]);
        let again = picked.select_rows(&[1]);
        assert_eq!((picked.n_samples(), picked.n_dense()), (2, 2));
        for (row, of) in [(picked.row(0), 2), (picked.row(1), 0), (again.row(0), 0)] {
            assert_eq!((row.dense, row.sparse.values), (x.row(of).dense, x.row(of).sparse.values));
            assert_eq!(row.dense.as_ptr(), x.row(of).dense.as_ptr());
        }
        assert_eq!(picked.dense().unwrap(), array![[5.0, 6.0], [1.0, 2.0]]);
        assert_ne!(picked, x);
        assert_eq!(again.into_parts().1.unwrap(), array![[1.0, 2.0]]);
    }

    #[test]
    fn parts_of_different_heights_and_nan_are_refused() {
        let sparse = Csr::empty(2, 3);
        let short = Features::new(sparse.clone(), Some(array![[1.0]]));
        assert!(matches!(short, Err(SparseError::Shape { expected: 2, found: 1, .. })));
        let nan = Features::new(sparse, Some(array![[1.0], [f32::NAN]]));
        assert!(matches!(nan, Err(SparseError::NonFinite { row: 1, col: 0, .. })));
    }
}
