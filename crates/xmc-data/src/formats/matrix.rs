//! Rows of matrix files, and the second file in which some formats keep labels.

use super::{npz::Columns, npz_rows::NpzRows, xc::XcLabelRows};
use crate::{
    DataError, Format,
    record::{Record, RecordSource},
    source::{Lines, Source},
};
use std::path::Path;
use xmc_sparse::LabelId;

/// A sparse matrix, row by row.
pub(crate) struct MatrixRows(NpzRows);

impl MatrixRows {
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        Ok(Self(NpzRows::open(path, Columns::Features)?))
    }
}

impl RecordSource for MatrixRows {
    fn read(&mut self, record: &mut Record) -> Result<bool, DataError> {
        record.line = self.0.n_read() as u64 + 1;
        self.0.read(&mut record.features)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn n_features(&self) -> Option<usize> {
        Some(self.0.n_cols())
    }
}

/// Labels from a second file, row by row beside the first one.
pub(crate) enum LabelRows {
    Matrix(NpzRows),
    Xc(XcLabelRows),
}

impl LabelRows {
    /// Opens a `.npz` or a label file of the XC repository.
    pub(crate) fn open(path: &Path, max_line_bytes: usize) -> Result<Self, DataError> {
        let mut source = Source::open(path)?;
        if Format::from_path(path) == Some(Format::Npz) || source.peek()?.starts_with(b"PK\x03\x04") {
            return Ok(Self::Matrix(NpzRows::open(path, Columns::Labels)?));
        }
        Ok(Self::Xc(XcLabelRows::new(Lines::new(source, max_line_bytes))?))
    }

    pub(crate) fn n_labels(&self) -> usize {
        match self {
            Self::Matrix(rows) => rows.n_cols(),
            Self::Xc(rows) => rows.n_labels(),
        }
    }

    /// The labels of the next row into `into`; false at the end.
    pub(crate) fn read(&mut self, into: &mut Vec<(LabelId, f32)>) -> Result<bool, DataError> {
        match self {
            Self::Xc(rows) => rows.read(into),
            Self::Matrix(rows) => rows.read(into),
        }
    }
}
