//! Every way that a matrix can be wrong.

/// A matrix, a row or a pair of matrices that does not hold together.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SparseError {
    /// `indptr`, `indices` and `values` do not describe one CSR matrix.
    #[error(
        "not a CSR matrix of {n_rows} rows: {indptr} row offsets (expected {n_rows} + 1), {indices} indices, {values} values; {reason}"
    )]
    Structure {
        /// Number of rows asked for.
        n_rows: usize,
        /// Length of `indptr`.
        indptr: usize,
        /// Length of `indices`.
        indices: usize,
        /// Length of `values`.
        values: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// The column indices of a row are not strictly increasing.
    #[error(
        "row {row}: column indices are not strictly increasing ({before} is followed by {after}); sort and sum duplicates first"
    )]
    Unsorted {
        /// Row number, 0-based.
        row: usize,
        /// Column that comes first.
        before: u32,
        /// Column that follows it.
        after: u32,
    },
    /// A column index lies outside the matrix.
    #[error("row {row}: column index {index} is out of range for a matrix of {n_cols} columns")]
    IndexOutOfRange {
        /// Row number, 0-based.
        row: usize,
        /// The index found.
        index: u32,
        /// Number of columns.
        n_cols: usize,
    },
    /// A value is NaN or infinite.
    #[error("row {row}, column {col}: the value is {value}, expected a finite number")]
    NonFinite {
        /// Row number, 0-based.
        row: usize,
        /// Column number, 0-based.
        col: usize,
        /// The value found.
        value: f32,
    },
    /// Two matrices that must have the same number of rows (or columns) do not.
    #[error("{what}: expected {expected}, found {found}")]
    Shape {
        /// Which dimension of what.
        what: &'static str,
        /// The size expected.
        expected: usize,
        /// The size found.
        found: usize,
    },
    /// More columns than `u32` can number.
    #[error("a matrix of {n_cols} columns is too wide: at most {} columns", u32::MAX)]
    TooWide {
        /// Number of columns asked for.
        n_cols: usize,
    },
}
