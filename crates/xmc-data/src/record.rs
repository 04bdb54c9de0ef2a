//! One record of a data set, and what the formats have in common.

use crate::{DataError, Texts, error::Excerpt};
use std::path::Path;
use xmc_sparse::LabelId;

/// One record as it stands in the data. Reading the next one reuses its memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// Line on which it stands, from 1; in a matrix file, the row counted from 1.
    pub line: u64,
    /// Text, empty in formats of features.
    pub text: String,
    /// Sparse features `(id, value)` as they stand, empty in formats of text.
    pub features: Vec<(u32, f32)>,
    /// Dense features, empty when there are none.
    pub dense: Vec<f32>,
    /// Labels as they are written, to be looked up.
    pub labels: Texts,
    /// Labels that are numbered in the data, with their relevance.
    pub label_rows: Vec<(LabelId, f32)>,
    /// Id, if the record has one.
    pub id: Option<String>,
    /// Weight, if the record has one.
    pub weight: Option<f32>,
}

impl Record {
    /// Empties the record and keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.features.clear();
        self.dense.clear();
        self.labels.clear();
        self.label_rows.clear();
        self.id = None;
        self.weight = None;
    }

    /// Bytes of its text and features.
    pub(crate) fn n_bytes(&self) -> usize {
        self.text.len() + size_of_val(&self.features[..]) + size_of_val(&self.dense[..])
    }

    /// Takes the labels of `list`, which stand between separators; none in an empty list.
    pub(crate) fn set_labels(&mut self, list: &str, separator: char, at: Place<'_>) -> Result<(), DataError> {
        if list.trim().is_empty() {
            return Ok(());
        }
        for label in list.split(separator).map(str::trim) {
            if label.is_empty() {
                return Err(at.bad("labels between separators, none of them empty", list));
            }
            self.labels.push(label);
        }
        Ok(())
    }

    /// Takes a weight, which must be finite and not negative.
    pub(crate) fn set_weight(&mut self, weight: Option<f32>, at: Place<'_>) -> Result<(), DataError> {
        match weight {
            Some(weight) if !weight.is_finite() || weight < 0.0 => {
                Err(at.bad("a weight that is finite and at least 0", &weight.to_string()))
            }
            _ => {
                self.weight = weight;
                Ok(())
            }
        }
    }
}

/// A place in a file, to make errors from.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) path: &'a Path,
    pub(crate) line: u64,
}

impl Place<'_> {
    pub(crate) fn bad(self, expected: &'static str, found: &str) -> DataError {
        DataError::BadLine {
            path: self.path.to_owned(),
            line: self.line,
            expected,
            found: Excerpt::new(found),
        }
    }

    pub(crate) fn non_finite(self, what: &'static str, id: u64, value: f32) -> DataError {
        DataError::NonFinite { path: self.path.to_owned(), line: self.line, what, id, value }
    }

    pub(crate) fn feature_out_of_range(self, found: i64, n_features: usize) -> DataError {
        DataError::FeatureOutOfRange { path: self.path.to_owned(), line: self.line, found, n_features }
    }

    pub(crate) fn label_out_of_range(self, found: i64, n_labels: usize) -> DataError {
        DataError::LabelOutOfRange { path: self.path.to_owned(), line: self.line, found, n_labels }
    }
}

/// What every format does.
pub(crate) trait RecordSource: Send {
    /// Fills the (cleared) record with the next one; false at the end.
    ///
    /// After an error that [`DataError::is_bad_record`] the next call goes on behind it.
    fn read(&mut self, record: &mut Record) -> Result<bool, DataError>;

    /// The file, for messages.
    fn path(&self) -> &Path;

    /// Width of the sparse features; `None` in formats of text.
    fn n_features(&self) -> Option<usize> {
        None
    }

    /// Number of labels when the data number them themselves.
    fn n_labels(&self) -> Option<usize> {
        None
    }

    /// Whether the next read would wait for a slow writer.
    fn would_wait(&self) -> bool {
        false
    }
}
