//! Compressed sparse rows.
//!
//! What the engine relies on everywhere: the storage order is known (rows), indices are strictly increasing, values are
//! finite. The arrays may lie in a mapped file ([`Csr::from_mapped`]), where the last two hold as far as the file is whole. [`sprs`] makes
//! the products, on views that it checks: it assumes sound indices in unsafe code.

use crate::{SharedSlice, SparseError};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sprs::{CsMatI, CsMatViewI};

/// A sparse matrix in row order: `f32` values, `u32` column indices, `usize` row offsets.
///
/// Invariants: indices of a row are strictly increasing and below `n_cols`; values are finite.
/// Explicit zeros are allowed. Clones share the arrays.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Arrays", into = "Arrays")]
pub struct Csr {
    n_cols: usize,
    indptr: SharedSlice<usize>,
    indices: SharedSlice<u32>,
    values: SharedSlice<f32>,
    /// Whether indices and values were looked at, not only counted.
    checked: bool,
}

/// A matrix as serde sees it.
#[derive(Serialize, Deserialize)]
struct Arrays {
    n_cols: usize,
    indptr: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<f32>,
}

impl TryFrom<Arrays> for Csr {
    type Error = SparseError;

    fn try_from(arrays: Arrays) -> Result<Self, SparseError> {
        let Arrays { n_cols, indptr, indices, values } = arrays;
        Self::new(indptr.len().saturating_sub(1), n_cols, indptr, indices, values)
    }
}

impl From<Csr> for Arrays {
    fn from(matrix: Csr) -> Self {
        let Csr { n_cols, indptr, indices, values, .. } = matrix;
        Self { n_cols, indptr: indptr.into_vec(), indices: indices.into_vec(), values: values.into_vec() }
    }
}

impl PartialEq for Csr {
    fn eq(&self, other: &Self) -> bool {
        let arrays = |m: &Self| (m.n_cols, m.indptr.clone(), m.indices.clone(), m.values.clone());
        arrays(self) == arrays(other)
    }
}

/// One row of a [`Csr`]: parallel slices of column indices (strictly increasing) and values.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SparseRow<'a> {
    /// Column indices, strictly increasing.
    pub indices: &'a [u32],
    /// Values, one for each index.
    pub values: &'a [f32],
}

impl<'a> SparseRow<'a> {
    /// Number of stored entries.
    pub fn nnz(&self) -> usize {
        self.indices.len()
    }

    /// `(column, value)` pairs in column order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, f32)> + Clone + use<'a> {
        self.indices.iter().copied().zip(self.values.iter().copied())
    }

    /// Sum of squares of the values.
    pub fn squared_norm(&self) -> f32 {
        // Eight sums: one would wait for itself at every value.
        let (eights, rest) = self.values.as_chunks::<8>();
        let mut sums = [0.0; 8];
        for eight in eights {
            sums.iter_mut().zip(eight).for_each(|(sum, value)| *sum += value * value);
        }
        sums.iter().sum::<f32>() + rest.iter().map(|value| value * value).sum::<f32>()
    }
}

impl Csr {
    /// A matrix from its three arrays, checked.
    ///
    /// # Errors
    /// Every [`SparseError`] but `Shape`: the first violation of the invariants, with its row.
    pub fn new(
        n_rows: usize,
        n_cols: usize,
        indptr: Vec<usize>,
        indices: Vec<u32>,
        values: Vec<f32>,
    ) -> Result<Self, SparseError> {
        check_structure(n_rows, n_cols, &indptr, &indices, &values)?;
        check_entries(n_cols, &indptr, &indices, &values)?;
        Ok(Self::from_checked(n_cols, indptr, indices, values))
    }

    /// A matrix from arrays that hold the invariants by construction.
    fn from_checked(n_cols: usize, indptr: Vec<usize>, indices: Vec<u32>, values: Vec<f32>) -> Self {
        let (indptr, indices, values) = (indptr.into(), indices.into(), values.into());
        Self { n_cols, indptr, indices, values, checked: true }
    }

    /// A matrix from arrays that lie in a file, were checked when it was written, and are not to be read now. Only the row offsets are
    /// looked at, so that there is an answer for every row; of a damaged file it may be wrong, which [`Csr::check`] finds.
    ///
    /// # Errors
    /// [`SparseError::Structure`], [`SparseError::TooWide`].
    pub fn from_mapped(
        n_rows: usize,
        n_cols: usize,
        indptr: SharedSlice<usize>,
        indices: SharedSlice<u32>,
        values: SharedSlice<f32>,
    ) -> Result<Self, SparseError> {
        check_structure(n_rows, n_cols, &indptr, &indices, &values)?;
        Ok(Self { n_cols, indptr, indices, values, checked: false })
    }

    /// Looks at all entries of a mapped matrix: to be called before they index anything. Costs nothing for any other.
    ///
    /// # Errors
    /// [`SparseError::Unsorted`], [`SparseError::IndexOutOfRange`], [`SparseError::NonFinite`].
    pub fn check(&self) -> Result<(), SparseError> {
        match self.checked {
            true => Ok(()),
            false => check_entries(self.n_cols, &self.indptr, &self.indices, &self.values),
        }
    }

    /// Whether the entries are on the heap, not in a mapped file.
    pub fn is_owned(&self) -> bool {
        self.indices.is_owned() && self.values.is_owned()
    }

    /// A matrix from rows of `(column, value)` pairs in any order; duplicates are summed.
    ///
    /// # Errors
    /// [`SparseError::IndexOutOfRange`], [`SparseError::NonFinite`], [`SparseError::TooWide`].
    pub fn from_rows<R>(n_cols: usize, rows: R) -> Result<Self, SparseError>
    where
        R: IntoIterator,
        R::Item: IntoIterator<Item = (u32, f32)>,
    {
        let mut builder = CsrBuilder::new();
        for row in rows {
            builder.push_row(row);
        }
        builder.finish(n_cols)
    }

    /// A matrix of `n_rows` empty rows.
    pub fn empty(n_rows: usize, n_cols: usize) -> Self {
        Self::from_checked(n_cols, vec![0; n_rows + 1], Vec::new(), Vec::new())
    }

    /// Takes over a `sprs` matrix of either storage order.
    ///
    /// # Errors
    /// [`SparseError::NonFinite`] when a value is NaN or infinite.
    pub fn from_sprs(matrix: CsMatI<f32, u32, usize>) -> Result<Self, SparseError> {
        let matrix = if matrix.is_csr() { matrix } else { matrix.to_csr() };
        let (n_rows, n_cols) = matrix.shape();
        let (indptr, indices, values) = matrix.into_raw_storage();
        Self::new(n_rows, n_cols, indptr, indices, values)
    }

    /// The matrix as `sprs` sees it (always CSR).
    ///
    /// # Errors
    /// What [`Csr::check`] finds, in a mapped matrix of a damaged file.
    pub fn as_sprs(&self) -> Result<CsMatViewI<'_, f32, u32, usize>, SparseError> {
        self.check()?;
        let arrays = (self.indptr(), self.indices(), self.values());
        let view = CsMatViewI::try_new((self.n_rows(), self.n_cols), arrays.0, arrays.1, arrays.2);
        Ok(view.map_err(|(.., error)| error).expect("invariant: the arrays were checked"))
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.indptr.len() - 1
    }

    /// Number of columns.
    pub fn n_cols(&self) -> usize {
        self.n_cols
    }

    /// Number of stored entries.
    pub fn nnz(&self) -> usize {
        self.indices.len()
    }

    /// Row offsets, `n_rows + 1` of them, starting at 0.
    #[inline]
    pub fn indptr(&self) -> &[usize] {
        &self.indptr
    }

    /// Column indices of all rows, one row after the other.
    #[inline]
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// Values of all rows, one row after the other.
    #[inline]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Row `row`; panics when it is out of range.
    #[inline]
    pub fn row(&self, row: usize) -> SparseRow<'_> {
        let indptr = self.indptr();
        let range = indptr[row]..indptr[row + 1];
        SparseRow { indices: &self.indices()[range.clone()], values: &self.values()[range] }
    }

    /// All rows in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = SparseRow<'_>> {
        (0..self.n_rows()).map(|row| self.row(row))
    }

    /// The transpose, as rows again: counting sort, linear in rows + columns + entries. Panics when a mapped matrix that was not checked
    /// has a column beyond its width.
    pub fn transpose(&self) -> Self {
        let mut indptr = vec![0usize; self.n_cols() + 1];
        for &col in self.indices() {
            indptr[col as usize + 1] += 1;
        }
        for col in 0..self.n_cols() {
            indptr[col + 1] += indptr[col];
        }
        let mut next = indptr.clone();
        let mut indices = vec![0u32; self.nnz()];
        let mut values = vec![0f32; self.nnz()];
        for (row_id, row) in self.rows().enumerate() {
            for (col, value) in row.iter() {
                let at = &mut next[col as usize];
                indices[*at] = row_id as u32;
                values[*at] = value;
                *at += 1;
            }
        }
        Self { checked: self.checked, ..Self::from_checked(self.n_rows(), indptr, indices, values) }
    }

    /// The rows named by `rows`, in that order (a row may be named more than once).
    pub fn select_rows(&self, rows: &[usize]) -> Self {
        let nnz = rows.iter().map(|&row| self.row(row).nnz()).sum();
        let (mut indptr, mut indices, mut values) =
            (Vec::with_capacity(rows.len() + 1), Vec::with_capacity(nnz), Vec::with_capacity(nnz));
        indptr.push(0);
        for &row in rows {
            let row = self.row(row);
            indices.extend_from_slice(row.indices);
            values.extend_from_slice(row.values);
            indptr.push(indices.len());
        }
        Self { checked: self.checked, ..Self::from_checked(self.n_cols, indptr, indices, values) }
    }

    /// The same entries under new values.
    ///
    /// # Errors
    /// [`SparseError::Structure`] when `values` has another length, [`SparseError::NonFinite`].
    pub fn with_values(&self, values: Vec<f32>) -> Result<Self, SparseError> {
        check_structure(self.n_rows(), self.n_cols, &self.indptr, &self.indices, &values)?;
        let this = Self { values: values.into(), ..self.clone() };
        check_entries(this.n_cols, &this.indptr, &this.indices, &this.values)?;
        Ok(Self { checked: true, ..this })
    }

    /// Every row divided by its Euclidean norm; rows of zeros stay as they are.
    pub fn l2_normalized_rows(&self) -> Self {
        self.clone().into_l2_normalized_rows()
    }

    /// [`Csr::l2_normalized_rows`] in place, for matrices that should not be in memory twice.
    #[must_use]
    pub fn into_l2_normalized_rows(mut self) -> Self {
        let mut values = std::mem::take(&mut self.values).into_vec();
        for range in self.indptr.windows(2) {
            let row = &mut values[range[0]..range[1]];
            let norm = row.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt();
            if norm > 0.0 {
                row.iter_mut().for_each(|v| *v = (f64::from(*v) / norm) as f32);
            }
        }
        Self { values: values.into(), ..self }
    }

    /// Every stored value replaced by 1 (explicit zeros too).
    pub fn binarized(&self) -> Self {
        Self { values: vec![1.0; self.nnz()].into(), ..self.clone() }
    }

    /// The product `self · other` (parallel over rows, by `sprs`).
    ///
    /// # Errors
    /// [`SparseError::Shape`] when the inner dimensions differ; what [`Csr::check`] finds in mapped factors.
    pub fn dot(&self, other: &Self) -> Result<Self, SparseError> {
        if self.n_cols() != other.n_rows() {
            return Err(SparseError::Shape {
                what: "rows of the right factor of a product",
                expected: self.n_cols(),
                found: other.n_rows(),
            });
        }
        Self::from_sprs(&self.as_sprs()? * &other.as_sprs()?)
    }
}

fn check_structure(
    n_rows: usize,
    n_cols: usize,
    indptr: &[usize],
    indices: &[u32],
    values: &[f32],
) -> Result<(), SparseError> {
    let wrong = |reason| SparseError::Structure {
        n_rows,
        indptr: indptr.len(),
        indices: indices.len(),
        values: values.len(),
        reason,
    };
    if n_cols > u32::MAX as usize {
        return Err(SparseError::TooWide { n_cols });
    }
    if indptr.len() != n_rows + 1 {
        return Err(wrong("the number of row offsets is wrong"));
    }
    if indptr[0] != 0 || indptr.windows(2).any(|pair| pair[0] > pair[1]) {
        return Err(wrong("row offsets must start at 0 and never decrease"));
    }
    if indptr[n_rows] != indices.len() || indices.len() != values.len() {
        return Err(wrong("the last row offset, the indices and the values must agree"));
    }
    Ok(())
}

fn check_entries(
    n_cols: usize,
    indptr: &[usize],
    indices: &[u32],
    values: &[f32],
) -> Result<(), SparseError> {
    indptr.par_windows(2).enumerate().try_for_each(|(row, range)| {
        let range = range[0]..range[1];
        check_row(row, n_cols, &indices[range.clone()], &values[range])
    })
}

fn check_row(row: usize, n_cols: usize, indices: &[u32], values: &[f32]) -> Result<(), SparseError> {
    if let Some(pair) = indices.windows(2).find(|pair| pair[0] >= pair[1]) {
        return Err(SparseError::Unsorted { row, before: pair[0], after: pair[1] });
    }
    // Increasing indices: the last one is the largest.
    if let Some(&index) = indices.last().filter(|&&index| index as usize >= n_cols) {
        return Err(SparseError::IndexOutOfRange { row, index, n_cols });
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(SparseError::NonFinite { row, col: indices[at] as usize, value: values[at] }),
        None => Ok(()),
    }
}

/// Grows a [`Csr`] row by row when the number of rows is not known before.
#[derive(Debug, Clone)]
pub struct CsrBuilder {
    indptr: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<f32>,
    scratch: Vec<(u32, f32)>,
}

impl Default for CsrBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl CsrBuilder {
    /// A builder without rows.
    pub fn new() -> Self {
        Self { indptr: vec![0], indices: Vec::new(), values: Vec::new(), scratch: Vec::new() }
    }

    /// Number of rows so far.
    pub fn n_rows(&self) -> usize {
        self.indptr.len() - 1
    }

    /// Number of entries so far.
    pub fn nnz(&self) -> usize {
        self.indices.len()
    }

    /// One more row from pairs in any order; values of the same column are summed.
    pub fn push_row(&mut self, pairs: impl IntoIterator<Item = (u32, f32)>) {
        self.scratch.clear();
        self.scratch.extend(pairs);
        // A stable sort: duplicates are summed in the order in which they came.
        self.scratch.sort_by_key(|&(col, _)| col);
        let start = self.indices.len();
        for &(col, value) in &self.scratch {
            if self.indices.len() > start && self.indices.last() == Some(&col) {
                let last = self.values.len() - 1;
                self.values[last] += value;
            } else {
                self.indices.push(col);
                self.values.push(value);
            }
        }
        self.indptr.push(self.indices.len());
    }

    /// One more row whose indices are already strictly increasing (checked by `finish`).
    pub fn push_sorted(&mut self, row: SparseRow<'_>) {
        self.indices.extend_from_slice(row.indices);
        self.values.extend_from_slice(row.values);
        self.indptr.push(self.indices.len());
    }

    /// The smallest number of columns that holds every index so far.
    pub fn min_cols(&self) -> usize {
        self.indices.iter().max().map_or(0, |&col| col as usize + 1)
    }

    /// The matrix of all rows, `n_cols` wide.
    ///
    /// # Errors
    /// As [`Csr::new`].
    pub fn finish(self, n_cols: usize) -> Result<Csr, SparseError> {
        Csr::new(self.n_rows(), n_cols, self.indptr, self.indices, self.values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Csr {
        Csr::from_rows(3, [vec![(2, 1.0), (0, 2.0)], vec![], vec![(1, 3.0), (1, 1.0)]]).unwrap()
    }

    #[test]
    fn rows_come_back_sorted_with_duplicates_summed() {
        let x = sample();
        assert_eq!(x.row(0).iter().collect::<Vec<_>>(), [(0, 2.0), (2, 1.0)]);
        assert_eq!(x.row(1).nnz(), 0);
        assert_eq!(x.row(2).iter().collect::<Vec<_>>(), [(1, 4.0)]);
    }

    #[test]
    fn transpose_twice_is_the_same_matrix() {
        let x = sample();
        assert_eq!(x.transpose().transpose(), x);
        assert_eq!(x.transpose().row(1).iter().collect::<Vec<_>>(), [(2, 4.0)]);
    }

    #[test]
    fn products_agree_with_dense_arithmetic() {
        let x = sample();
        let gram = x.dot(&x.transpose()).unwrap();
        assert_eq!(gram.row(0).iter().collect::<Vec<_>>(), [(0, 5.0)]);
        assert_eq!(gram.row(2).iter().collect::<Vec<_>>(), [(2, 16.0)]);
        assert!(matches!(x.dot(&Csr::empty(2, 2)), Err(SparseError::Shape { .. })));
    }

    #[test]
    fn selected_rows_keep_their_order() {
        let x = sample().select_rows(&[2, 0, 2]);
        assert_eq!(x.n_rows(), 3);
        assert_eq!(x.row(0), x.row(2));
        assert_eq!(x.row(1).nnz(), 2);
    }

    #[test]
    fn a_mapped_matrix_is_like_an_owned_one_and_shares_its_arrays() {
        let owned = sample();
        let arrays =
            std::sync::Arc::new((owned.indptr().to_vec(), owned.indices().to_vec(), owned.values().to_vec()));
        let indptr = SharedSlice::of(arrays.clone(), |arrays| &arrays.0[..]);
        let indices = SharedSlice::of(arrays.clone(), |arrays| &arrays.1[..]);
        let values = SharedSlice::of(arrays.clone(), |arrays| &arrays.2[..]);
        let mapped = Csr::from_mapped(3, 3, indptr.clone(), indices.clone(), values.clone()).unwrap();
        mapped.check().unwrap();
        assert_eq!(mapped, owned);
        assert_eq!(mapped.clone().row(2).values.as_ptr(), mapped.row(2).values.as_ptr());
        assert!(owned.is_owned() && !mapped.is_owned() && mapped.select_rows(&[0]).is_owned());
        assert_eq!(mapped.l2_normalized_rows(), owned.l2_normalized_rows());
        assert_eq!(mapped.dot(&owned.transpose()).unwrap(), owned.dot(&mapped.transpose()).unwrap());
        let narrow = Csr::from_mapped(3, 2, indptr.clone(), indices.clone(), values.clone()).unwrap();
        assert_eq!(narrow.row(0).indices, [0, 2]);
        assert!(matches!(narrow.check(), Err(SparseError::IndexOutOfRange { row: 0, index: 2, n_cols: 2 })));
        assert!(narrow.select_rows(&[0]).check().is_err());
        let short = SharedSlice::from(vec![0, 3, 2, 3]);
        assert!(matches!(Csr::from_mapped(3, 3, short, indices, values), Err(SparseError::Structure { .. })));
    }

    #[test]
    fn serde_keeps_a_matrix_and_refuses_a_wrong_one() {
        let text = serde_json::to_string(&sample()).unwrap();
        assert_eq!(serde_json::from_str::<Csr>(&text).unwrap(), sample());
        let wrong = text.replace("\"n_cols\":3", "\"n_cols\":2");
        assert!(serde_json::from_str::<Csr>(&wrong).is_err());
    }

    #[test]
    fn each_broken_invariant_is_named() {
        assert!(matches!(Csr::new(2, 3, vec![0, 0], vec![], vec![]), Err(SparseError::Structure { .. })));
        assert!(matches!(
            Csr::new(1, 3, vec![0, 2], vec![1, 1], vec![1.0, 1.0]),
            Err(SparseError::Unsorted { row: 0, before: 1, after: 1 })
        ));
        assert!(matches!(
            Csr::new(1, 3, vec![0, 1], vec![3], vec![1.0]),
            Err(SparseError::IndexOutOfRange { index: 3, n_cols: 3, .. })
        ));
        assert!(matches!(
            Csr::new(1, 3, vec![0, 1], vec![0], vec![f32::NAN]),
            Err(SparseError::NonFinite { row: 0, col: 0, .. })
        ));
    }
}
