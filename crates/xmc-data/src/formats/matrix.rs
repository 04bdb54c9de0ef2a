//! Rows of matrix files, and the second file in which some formats keep labels.

use super::{
    npz::{Columns, read_npz},
    xc::XcLabelRows,
};
use crate::{
    DataError, Format,
    record::{Record, RecordSource},
    source::{Lines, Source},
};
use std::path::{Path, PathBuf};
use xmc_sparse::{Csr, LabelId};

/// A sparse matrix, row by row.
pub(crate) struct MatrixRows {
    matrix: Csr,
    next: usize,
    path: PathBuf,
}

impl MatrixRows {
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        Ok(Self { matrix: read_npz(path, Columns::Features)?, next: 0, path: path.to_owned() })
    }
}

impl RecordSource for MatrixRows {
    fn read(&mut self, record: &mut Record) -> Result<bool, DataError> {
        if self.next == self.matrix.n_rows() {
            return Ok(false);
        }
        record.features.extend(self.matrix.row(self.next).iter());
        self.next += 1;
        record.line = self.next as u64;
        Ok(true)
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn n_features(&self) -> Option<usize> {
        Some(self.matrix.n_cols())
    }
}

/// Labels from a second file, row by row beside the first one.
pub(crate) enum LabelRows {
    Matrix { matrix: Csr, next: usize },
    Xc(XcLabelRows),
}

impl LabelRows {
    /// Opens a `.npz` or a label file of the XC repository.
    pub(crate) fn open(path: &Path, max_line_bytes: usize) -> Result<Self, DataError> {
        let mut source = Source::open(path)?;
        if Format::from_path(path) == Some(Format::Npz) || source.peek()?.starts_with(b"PK\x03\x04") {
            return Ok(Self::Matrix { matrix: read_npz(path, Columns::Labels)?, next: 0 });
        }
        Ok(Self::Xc(XcLabelRows::new(Lines::new(source, max_line_bytes))?))
    }

    pub(crate) fn n_labels(&self) -> usize {
        match self {
            Self::Matrix { matrix, .. } => matrix.n_cols(),
            Self::Xc(rows) => rows.n_labels(),
        }
    }

    /// The labels of the next row into `into`; false at the end.
    pub(crate) fn read(&mut self, into: &mut Vec<(LabelId, f32)>) -> Result<bool, DataError> {
        match self {
            Self::Xc(rows) => rows.read(into),
            Self::Matrix { matrix, next } if *next == matrix.n_rows() => Ok(false),
            Self::Matrix { matrix, next } => {
                into.extend(matrix.row(*next).iter());
                *next += 1;
                Ok(true)
            }
        }
    }
}
