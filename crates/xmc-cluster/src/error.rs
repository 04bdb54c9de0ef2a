//! Every way that clustering can be refused.

/// Parameters out of range, or rows that cannot be clustered.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// A parameter is out of its range.
    #[error("clustering parameter `{name}` is {found}, expected {expected}")]
    Param {
        /// Name of the field.
        name: &'static str,
        /// The value found.
        found: usize,
        /// The values allowed.
        expected: &'static str,
    },
    /// A share of rows that is none.
    #[error("clustering parameter `tolerance` is {found}, expected a share of rows: at least 0, below 1")]
    Tolerance {
        /// The value found.
        found: f32,
    },
    /// A share that is out of its range.
    #[error("clustering parameter `{name}` is {found}, expected a share {expected}")]
    Share {
        /// Name of the field.
        name: &'static str,
        /// The value found.
        found: f32,
        /// The values allowed.
        expected: &'static str,
    },
    /// More leaves than rows: some leaf would be empty.
    #[error("{n_rows} rows cannot fill the {n_leaves} leaves of depth {depth}; lower the depth")]
    TooDeep {
        /// Number of rows.
        n_rows: usize,
        /// Number of leaves, `2^depth`.
        n_leaves: usize,
        /// Number of splits from the root to a leaf.
        depth: usize,
    },
    /// More rows than row numbers.
    #[error("{n_rows} rows are too many to cluster: row numbers are 32 bits wide")]
    TooManyRows {
        /// Number of rows.
        n_rows: usize,
    },
    /// Seeding by linfa's k-means needs rows that are dense alone.
    #[error(
        "seeding by dense k-means needs dense rows without sparse entries, found {nnz} sparse entries and \
         {n_dense} dense columns; seed with random rows"
    )]
    NotDense {
        /// Number of sparse entries found.
        nnz: usize,
        /// Number of dense columns found.
        n_dense: usize,
    },
}
