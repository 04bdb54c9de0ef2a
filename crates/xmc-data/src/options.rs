//! What to read and how: formats, label sources, what to do with bad lines.

use crate::{DataError, LabelBy, LabelMap, UnknownLabels};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// A file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// `label,label,…<TAB>text` a line. Labels cannot hold commas or TABs; the text is all behind the first TAB.
    Tsv,
    /// `{"text": …, "labels": […]}` a line, optional `id` and `weight`; other members are ignored.
    JsonLines,
    /// A header and chosen columns, see [`CsvColumns`].
    Csv,
    /// The Extreme Classification Repository's sparse text: a header `n d L`, then `l1,l2 f:v f:v` a line; or
    /// a header `n d`, then `f:v f:v` a line, with the labels in a second file of the same form.
    XcRepo,
    /// A sparse matrix saved by `scipy.sparse.save_npz`, CSR or CSC; the labels in a second one.
    Npz,
    /// A dense matrix saved by `numpy.save`; the labels in a `.npz`.
    Npy,
}

impl Format {
    /// The format that a file name tells, compression endings aside; `None` for other names and for `-`.
    pub fn from_path(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let name = [".gz", ".zst", ".zstd"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
        match name.rsplit_once('.')?.1 {
            "tsv" => Some(Self::Tsv),
            "jsonl" | "ndjson" | "json" => Some(Self::JsonLines),
            "csv" => Some(Self::Csv),
            "xc" => Some(Self::XcRepo),
            "npz" => Some(Self::Npz),
            "npy" => Some(Self::Npy),
            _ => None,
        }
    }

    /// The format that the first bytes of a file of another name suggest: `{` begins JSON Lines; in a named
    /// file, two or three integers are an XC header; all else is TSV. Standard input is never taken for XC,
    /// since a line of text may be two numbers.
    pub(crate) fn from_first_line(head: &[u8], stdin: bool) -> Self {
        let line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii();
        let integers = |line: &str| line.split_ascii_whitespace().all(|word| word.parse::<u64>().is_ok());
        let words = |line: &str| line.split_ascii_whitespace().count();
        match std::str::from_utf8(line) {
            _ if head.starts_with(b"PK\x03\x04") => Self::Npz,
            _ if head.starts_with(b"\x93NUMPY") => Self::Npy,
            Ok(line) if line.starts_with('{') => Self::JsonLines,
            Ok(line)
                if !stdin && !line.contains('\t') && (2..=3).contains(&words(line)) && integers(line) =>
            {
                Self::XcRepo
            }
            _ => Self::Tsv,
        }
    }
}

/// Which columns of a CSV file to read, by header name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvColumns {
    /// Text columns; several are joined by a space. Default `text`.
    pub text: Vec<String>,
    /// The column of labels. Default `labels`.
    pub labels: String,
    /// Stands between the labels of a record. Default `,`.
    pub label_separator: char,
    /// A column of record ids. Default none.
    pub id: Option<String>,
    /// A column of record weights. Default none.
    pub weight: Option<String>,
    /// Stands between fields. Default `,`.
    pub delimiter: u8,
}

impl Default for CsvColumns {
    fn default() -> Self {
        Self {
            text: vec!["text".into()],
            labels: "labels".into(),
            label_separator: ',',
            id: None,
            weight: None,
            delimiter: b',',
        }
    }
}

/// Where the label map comes from.
#[derive(Debug, Clone, Default)]
pub enum LabelSource {
    /// From the data: ids in order of first appearance; numbered labels keep their numbers.
    #[default]
    Data,
    /// A label file, see [`LabelMap::from_file`].
    File(PathBuf),
    /// A map at hand, such as a model's.
    Given(Arc<LabelMap>),
}

impl LabelSource {
    /// The map, `None` when it is to grow from the data.
    pub(crate) fn load(&self) -> Result<Option<Arc<LabelMap>>, DataError> {
        match self {
            Self::Data => Ok(None),
            Self::File(path) => Ok(Some(Arc::new(LabelMap::from_file(path)?))),
            Self::Given(labels) => Ok(Some(Arc::clone(labels))),
        }
    }
}

/// What to do with a bad record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// Stop with its error.
    #[default]
    Fail,
    /// Leave it out, count it and keep the first few errors (see [`crate::Skipped`]).
    Skip,
}

/// What the data are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Purpose {
    /// To train or evaluate: every line must have its label column, and at least one record a label.
    #[default]
    Labelled,
    /// To predict: labels are not looked at, and a TSV line without a TAB is all text.
    Unlabelled,
}

/// How to read a data set.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// The format; by default told by the name, then by the first bytes.
    pub format: Option<Format>,
    /// What the data are for. Default: labelled.
    pub purpose: Purpose,
    /// Where the label map comes from. Default: the data.
    pub labels: LabelSource,
    /// How labels refer to a given map. Default: [`LabelBy::Auto`].
    pub label_by: LabelBy,
    /// What to do with labels that a given map lacks. Default: error.
    pub unknown_labels: UnknownLabels,
    /// The second file of formats that keep labels apart (XC, `.npz`, `.npy`).
    pub label_path: Option<PathBuf>,
    /// A `.npy` of dense features, one row for each record of the data.
    pub dense: Option<PathBuf>,
    /// Columns of CSV files.
    pub csv: CsvColumns,
    /// What to do with bad lines. Matrix files (`.npz`, `.npy`) have no lines: their faults always end reading.
    pub on_error: OnError,
    /// Longest line, in bytes. Default 64 MiB.
    pub max_line_bytes: usize,
}

impl ReadOptions {
    /// Default of `max_line_bytes`.
    pub const DEFAULT_MAX_LINE_BYTES: usize = 64 << 20;
    /// Records from which [`LabelBy::Auto`] is settled.
    pub const AUTO_RECORDS: usize = 1000;

    /// Options to read input for prediction.
    pub fn unlabelled() -> Self {
        Self { purpose: Purpose::Unlabelled, ..Self::default() }
    }
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            format: None,
            purpose: Purpose::default(),
            labels: LabelSource::default(),
            label_by: LabelBy::default(),
            unknown_labels: UnknownLabels::default(),
            label_path: None,
            dense: None,
            csv: CsvColumns::default(),
            on_error: OnError::default(),
            max_line_bytes: Self::DEFAULT_MAX_LINE_BYTES,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_formats_under_compression() {
        let format = |name: &str| Format::from_path(Path::new(name));
        assert_eq!(format("a/train.tsv.gz"), Some(Format::Tsv));
        assert_eq!(format("X.NPZ"), Some(Format::Npz));
        assert_eq!(format("x.jsonl.zst"), Some(Format::JsonLines));
        assert_eq!((format("train.txt"), format("-"), format("dir.d/x")), (None, None, None));
    }

    #[test]
    fn first_lines_tell_formats() {
        let format = |head: &[u8]| Format::from_first_line(head, false);
        assert_eq!(format(b"15539 5000 3993\n"), Format::XcRepo);
        assert_eq!(Format::from_first_line(b"1984 2001\n", true), Format::Tsv);
        assert_eq!(format(b"1\t2\n"), Format::Tsv);
        assert_eq!(format(b"{\"text\": \"x\"}\n"), Format::JsonLines);
        assert_eq!(format(b"PK\x03\x04rest"), Format::Npz);
        assert_eq!(format(b"\x93NUMPY\x01"), Format::Npy);
    }
}
