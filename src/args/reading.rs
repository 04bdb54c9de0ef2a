//! How data files are read.

use clap::{Args, ValueEnum};
use std::path::PathBuf;
use xmc::{CsvColumns, Format, LabelBy, LabelSource, OnError, ReadOptions, UnknownLabels};

/// Formats and columns of data files.
#[derive(Debug, Args)]
#[command(next_help_heading = "Reading")]
pub(crate) struct ReadArgs {
    /// Format of the data [default: told by the name, then by the first line]
    #[arg(long, value_name = "NAME", value_enum)]
    format: Option<FormatArg>,
    /// Columns of the text in a CSV file, joined by a space [default: text]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    text_column: Vec<String>,
    /// Column of the labels in a CSV file [default: labels]
    #[arg(long, value_name = "NAME")]
    label_column: Option<String>,
    /// What stands between labels in a CSV file [default: ,]
    #[arg(long, value_name = "CHAR")]
    label_separator: Option<char>,
    /// Column of record ids in a CSV file [default: none]
    #[arg(long, value_name = "NAME")]
    id_column: Option<String>,
    /// Column of record weights in a CSV file [default: none]
    #[arg(long, value_name = "NAME")]
    weight_column: Option<String>,
    /// What stands between the fields of a CSV file [default: ,]
    #[arg(long, value_name = "CHAR", value_parser = one_byte)]
    csv_delimiter: Option<u8>,
    #[arg(
        long,
        value_enum,
        default_value_t,
        help = "What to do with a bad record; skipped ones are counted"
    )]
    on_error: OnErrorArg,
    #[arg(long, value_name = "BYTES", default_value_t = ReadOptions::DEFAULT_MAX_LINE_BYTES, help = "Longest line")]
    max_line_bytes: usize,
}

impl ReadArgs {
    /// The options for reading one file.
    pub(crate) fn options(&self) -> ReadOptions {
        ReadOptions {
            format: self.format.map(Format::from),
            csv: self.columns(),
            on_error: match self.on_error {
                OnErrorArg::Fail => OnError::Fail,
                OnErrorArg::Skip => OnError::Skip,
            },
            max_line_bytes: self.max_line_bytes,
            ..ReadOptions::default()
        }
    }

    fn columns(&self) -> CsvColumns {
        let mut columns = CsvColumns::default();
        if !self.text_column.is_empty() {
            columns.text.clone_from(&self.text_column);
        }
        columns.labels = self.label_column.clone().unwrap_or(columns.labels);
        columns.label_separator = self.label_separator.unwrap_or(columns.label_separator);
        columns.delimiter = self.csv_delimiter.unwrap_or(columns.delimiter);
        columns.id.clone_from(&self.id_column);
        columns.weight.clone_from(&self.weight_column);
        columns
    }
}

/// What labels are called and which there are.
#[derive(Debug, Args)]
#[command(next_help_heading = "Labels")]
pub(crate) struct LabelArgs {
    /// All labels there are, one 'key<TAB>name' or 'key' a line; the line number is the id
    /// [default: the labels that occur, in order of appearance]
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
    /// How the data refer to the labels of that file
    #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
    pub(crate) label_by: LabelByArg,
    /// What to do with a label that the file of labels lacks
    #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
    pub(crate) unknown_labels: UnknownArg,
}

impl LabelArgs {
    /// Puts these choices into the options for training data.
    pub(crate) fn apply(&self, options: &mut ReadOptions) {
        if let Some(path) = &self.labels {
            options.labels = LabelSource::File(path.clone());
        }
        options.label_by = self.label_by.into();
        options.unknown_labels = match self.unknown_labels {
            UnknownArg::Error => UnknownLabels::Error,
            UnknownArg::Ignore => UnknownLabels::Ignore,
            UnknownArg::Grow => UnknownLabels::Grow,
        };
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatArg {
    /// label,label<TAB>text
    Tsv,
    /// {"text": …, "labels": […]} a line
    Jsonl,
    /// With a header; see the columns below
    Csv,
    /// The Extreme Classification Repository's sparse text
    Xc,
    /// scipy.sparse.save_npz, labels in a second file
    Npz,
    /// numpy.save, labels in a second file
    Npy,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Tsv => Self::Tsv,
            FormatArg::Jsonl => Self::JsonLines,
            FormatArg::Csv => Self::Csv,
            FormatArg::Xc => Self::XcRepo,
            FormatArg::Npz => Self::Npz,
            FormatArg::Npy => Self::Npy,
        }
    }
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum OnErrorArg {
    #[default]
    Fail,
    Skip,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum LabelByArg {
    /// Whichever of the three knows the most labels
    #[default]
    Auto,
    Key,
    Name,
    Row,
}

impl From<LabelByArg> for LabelBy {
    fn from(by: LabelByArg) -> Self {
        match by {
            LabelByArg::Auto => Self::Auto,
            LabelByArg::Key => Self::Key,
            LabelByArg::Name => Self::Name,
            LabelByArg::Row => Self::Row,
        }
    }
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum UnknownArg {
    #[default]
    Error,
    Ignore,
    /// Add it to the labels
    Grow,
}

fn one_byte(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"\\t" => Ok(b'\t'),
        [byte] => Ok(*byte),
        _ => Err("expected one ASCII character, or \\t".into()),
    }
}
