//! Every way that data can be wrong, with the place and what was expected there.

use std::{fmt, io, path::PathBuf, sync::Arc};
use xmc_sparse::SparseError;
use xmc_store::StoreError;

/// Data that cannot be read or written.
///
/// `line` counts from 1; "last line read" is 0 before the first one and in a binary file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The file cannot be opened (or created).
    #[error("cannot open {path:?}: {source}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file was opened but a read failed.
    #[error("{path:?}: reading failed{}: {source}", AfterLine(*line))]
    Read {
        /// The file.
        path: PathBuf,
        /// Last line that was read.
        line: u64,
        /// What the system says.
        source: io::Error,
    },
    /// A write failed (a full disk, a closed pipe).
    #[error("{path:?}: writing failed: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A compressed or binary file ends early.
    #[error("{path:?}: the {format} data ends early{}; the file is truncated, fetch it again", AfterLine(*line))]
    Truncated {
        /// The file.
        path: PathBuf,
        /// What kind of data was being read.
        format: &'static str,
        /// Last line that was read, 0 in a binary file.
        line: u64,
    },
    /// A compressed or binary file has damaged content.
    #[error("{path:?}: damaged {format} data{}: {source}", AfterLine(*line))]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What kind of data was being read.
        format: &'static str,
        /// Last line that was read, 0 in a binary file.
        line: u64,
        /// What the decoder says.
        source: io::Error,
    },
    /// There is not one record.
    #[error("{path:?} is empty: expected at least one record")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// There are records, but all of them are bad and were skipped.
    #[error("{path:?}: all {skipped} records are bad; the first: {first}")]
    AllBad {
        /// The file.
        path: PathBuf,
        /// Number of bad records.
        skipped: u64,
        /// The first fault.
        first: Arc<DataError>,
    },
    /// Not one record has a label.
    #[error("{path:?}: none of the {n_samples} records has a label; {hint}")]
    NoLabels {
        /// The file.
        path: PathBuf,
        /// Number of records.
        n_samples: usize,
        /// Where labels come from in this format.
        hint: &'static str,
    },
    /// A line does not have the form of its format.
    #[error("{path:?}, line {line}: expected {expected}, found {found}")]
    BadLine {
        /// The file.
        path: PathBuf,
        /// Line number.
        line: u64,
        /// The form expected.
        expected: &'static str,
        /// The beginning of what is there.
        found: Excerpt,
    },
    /// A line is no UTF-8 text.
    #[error(
        "{path:?}, line {line}: expected UTF-8 text, found an invalid byte at offset {offset} of the line; convert the file to UTF-8"
    )]
    InvalidUtf8 {
        /// The file.
        path: PathBuf,
        /// Line number.
        line: u64,
        /// Offset in the line of the first bad byte.
        offset: usize,
    },
    /// A line (or a CSV record) is longer than the limit that keeps memory bounded.
    #[error(
        "{path:?}, line {line}: expected a line of at most {limit} bytes, found a longer one; raise the limit if that is right"
    )]
    LineTooLong {
        /// The file.
        path: PathBuf,
        /// Line number.
        line: u64,
        /// Largest number of bytes allowed.
        limit: usize,
    },
    /// A feature id is not below the number of features that the header promised.
    #[error(
        "{path:?}, line {line}: feature id {found} is out of range, expected 0 to {n_features} exclusive"
    )]
    FeatureOutOfRange {
        /// The file.
        path: PathBuf,
        /// Line number; in a matrix file, the row counted from 1.
        line: u64,
        /// The id found.
        found: i64,
        /// Number of features.
        n_features: usize,
    },
    /// A label's row number is not below the number of labels.
    #[error(
        "{path:?}, line {line}: label number {found} is out of range, expected 0 to {n_labels} exclusive"
    )]
    LabelOutOfRange {
        /// The file.
        path: PathBuf,
        /// Line number; in a matrix file, the row counted from 1.
        line: u64,
        /// The number found.
        found: i64,
        /// Number of labels.
        n_labels: usize,
    },
    /// A value is NaN or infinite.
    #[error("{path:?}, line {line}: expected a finite value for {what} {id}, found {value}")]
    NonFinite {
        /// The file.
        path: PathBuf,
        /// Line number; in a matrix file, the row counted from 1.
        line: u64,
        /// `feature`, `label` or `dense column`.
        what: &'static str,
        /// Which one.
        id: u64,
        /// The value found.
        value: f32,
    },
    /// A label that the given label map does not have.
    #[error(
        "{path:?}, line {line}: label {label} is not among the {n_labels} known labels (looked up by {by})"
    )]
    UnknownLabel {
        /// The file.
        path: PathBuf,
        /// Line number.
        line: u64,
        /// The label as it stands in the file.
        label: Excerpt,
        /// How labels were looked up.
        by: &'static str,
        /// Number of labels in the map.
        n_labels: usize,
    },
    /// A label's display name that several labels of the map share.
    #[error("{path:?}, line {line}: several labels are named {label}; refer to labels by key")]
    AmbiguousLabel {
        /// The file.
        path: PathBuf,
        /// Line number.
        line: u64,
        /// The name.
        label: Excerpt,
    },
    /// A key stands twice in a label file.
    #[error(
        "{path:?}, line {line}: the label key {key} stood on line {first_line} already; keys must be unique"
    )]
    DuplicateKey {
        /// The label file.
        path: PathBuf,
        /// Line number.
        line: u64,
        /// The key.
        key: Excerpt,
        /// Where it stood first.
        first_line: u64,
    },
    /// Two counts that must be equal are not.
    #[error("{path:?}: expected {expected} {what}, found {found}")]
    Count {
        /// The file.
        path: PathBuf,
        /// What is counted, and what fixes the number.
        what: &'static str,
        /// The count expected.
        expected: u64,
        /// The count found.
        found: u64,
    },
    /// A CSV file has no column of this name.
    #[error("{path:?}: no column {column:?}; the header has {found}")]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column asked for.
        column: String,
        /// The header.
        found: Excerpt,
    },
    /// A member of an `.npz` archive is absent.
    #[error("{path:?}: no member {member:?}; expected a matrix saved by scipy.sparse.save_npz")]
    MissingMember {
        /// The file.
        path: PathBuf,
        /// The member.
        member: &'static str,
    },
    /// An array has an element type, a shape or a layout that cannot be used here.
    #[error("{path:?}: array {array:?}: expected {expected}, found {found}")]
    BadArray {
        /// The file.
        path: PathBuf,
        /// Name of the array.
        array: &'static str,
        /// What can be read.
        expected: &'static str,
        /// What is there.
        found: Excerpt,
    },
    /// A matrix whose arrays do not hold together.
    #[error("{path:?}: {source}")]
    Matrix {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: SparseError,
    },
    /// A directory that is no data set.
    #[error(
        "{path:?} is a directory, and none that 'xmc convert' has written: expected a file, or a directory with a manifest.json"
    )]
    NotData {
        /// The directory.
        path: PathBuf,
    },
    /// A data set of [`crate::convert`] cannot be opened or written.
    #[error(transparent)]
    Store(Box<StoreError>),
    /// The parts of a data set of [`crate::convert`] contradict each other.
    #[error(
        "{path:?}: the {what} do not fit the rest of the data set: it is damaged, copy it again or convert the data again"
    )]
    Inconsistent {
        /// The directory.
        path: PathBuf,
        /// Which part.
        what: &'static str,
    },
    /// A mapped data set has content that was not written.
    #[error(
        "the {what} of the mapped data set are damaged{}; 'xmc inspect --data DIR --verify' names the file",
        Because(source.as_ref())
    )]
    Damaged {
        /// Which part.
        what: &'static str,
        /// What is wrong with it.
        source: Option<SparseError>,
    },
    /// Something this input cannot do.
    #[error("{path:?}: {what}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What, and what to do instead.
        what: &'static str,
    },
    /// A split that would leave one side empty.
    #[error(
        "cannot hold out {fraction} of {n_samples} records: expected a fraction between 0 and 1 that leaves both sides at least one"
    )]
    BadSplit {
        /// The fraction asked for.
        fraction: f64,
        /// Number of records.
        n_samples: usize,
    },
}

impl DataError {
    /// Whether the fault lies in one record, so that reading can go on behind it.
    pub fn is_bad_record(&self) -> bool {
        matches!(
            self,
            Self::BadLine { .. }
                | Self::InvalidUtf8 { .. }
                | Self::LineTooLong { .. }
                | Self::FeatureOutOfRange { .. }
                | Self::LabelOutOfRange { .. }
                | Self::NonFinite { .. }
                | Self::UnknownLabel { .. }
                | Self::AmbiguousLabel { .. }
        )
    }
}

impl From<StoreError> for DataError {
    fn from(error: StoreError) -> Self {
        Self::Store(Box::new(error))
    }
}

/// Says the reason, if there is one.
struct Because<'a>(Option<&'a SparseError>);

impl fmt::Display for Because<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |reason| write!(f, ": {reason}"))
    }
}

/// Says how far reading came, in a file of lines.
struct AfterLine(u64);

impl fmt::Display for AfterLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            line => write!(f, " after line {line}"),
        }
    }
}

/// The beginning of a piece of input, short enough for a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    /// Longest excerpt, in characters.
    const LIMIT: usize = 60;

    /// The beginning of `text`.
    pub fn new(text: &str) -> Self {
        let mut chars = text.chars();
        let mut short: String = chars.by_ref().take(Self::LIMIT).collect();
        if chars.next().is_some() {
            short.push('…');
        }
        Self(short)
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Debug form: quotes show where it ends, control characters and tabs become visible.
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_short_and_show_tabs() {
        assert_eq!(Excerpt::new("a\tb").to_string(), r#""a\tb""#);
        assert_eq!(Excerpt::new(&"ä".repeat(500)).0.chars().count(), 61);
    }
}
