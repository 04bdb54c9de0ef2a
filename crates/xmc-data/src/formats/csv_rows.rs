//! CSV with a header: chosen columns, quoting as the `csv` crate reads it.

use crate::{
    CsvColumns, DataError,
    error::Excerpt,
    record::{Place, Record, RecordSource},
    source::{Source, io_error, utf8},
};
use csv::{ByteRecord, ErrorKind};
use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// Where the chosen columns are.
struct Columns {
    text: Vec<usize>,
    labels: Option<usize>,
    id: Option<usize>,
    weight: Option<usize>,
}

pub(crate) struct CsvRows {
    reader: csv::Reader<Metered>,
    meter: Arc<Meter>,
    columns: Columns,
    label_separator: char,
    row: ByteRecord,
    path: PathBuf,
    live: bool,
}

/// What passed between the file and the CSV parser, which has a buffer of its own.
#[derive(Default)]
struct Meter {
    /// Bytes handed to the parser.
    fed: AtomicU64,
    /// Bytes up to the last line feed among them.
    line_end: AtomicU64,
    /// Bytes that belong to finished records.
    done: AtomicU64,
}

/// Stops a record that grows without end, as behind a quote that is never closed.
struct Metered {
    source: Source,
    meter: Arc<Meter>,
    limit: u64,
}

impl Read for Metered {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let fed = self.meter.fed.load(Relaxed);
        if fed - self.meter.done.load(Relaxed).min(fed) > self.limit {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        let n = self.source.read(into)?;
        if let Some(at) = memchr::memrchr(b'\n', &into[..n]) {
            self.meter.line_end.store(fed + at as u64 + 1, Relaxed);
        }
        self.meter.fed.store(fed + n as u64, Relaxed);
        Ok(n)
    }
}

impl CsvRows {
    /// Reads the header and finds the columns.
    pub(crate) fn new(
        source: Source,
        columns: &CsvColumns,
        labelled: bool,
        limit: usize,
    ) -> Result<Self, DataError> {
        let (path, live) = (source.path.clone(), source.is_live());
        let meter = Arc::new(Meter::default());
        let metered = Metered { source, meter: Arc::clone(&meter), limit: limit as u64 };
        let mut reader = csv::ReaderBuilder::new().delimiter(columns.delimiter).from_reader(metered);
        let header = reader.byte_headers().cloned().map_err(|error| csv_error(error, &path, 1))?;
        let columns_at = Columns::find(&header, columns, labelled, &path)?;
        let row = ByteRecord::new();
        Ok(Self {
            reader,
            meter,
            columns: columns_at,
            label_separator: columns.label_separator,
            row,
            path,
            live,
        })
    }
}

impl Columns {
    fn find(header: &ByteRecord, names: &CsvColumns, labelled: bool, path: &Path) -> Result<Self, DataError> {
        if header.is_empty() {
            return Err(DataError::Empty { path: path.to_owned() });
        }
        // A byte order mark is part of the first name for the csv crate.
        let bare = |name: &[u8]| name.strip_prefix(b"\xef\xbb\xbf").unwrap_or(name).trim_ascii().to_owned();
        let find = |name: &str| {
            header.iter().position(|field| bare(field) == name.as_bytes()).ok_or_else(|| {
                DataError::MissingColumn {
                    path: path.to_owned(),
                    column: name.to_owned(),
                    found: Excerpt::new(
                        &header.iter().map(String::from_utf8_lossy).collect::<Vec<_>>().join(","),
                    ),
                }
            })
        };
        Ok(Self {
            text: names.text.iter().map(|name| find(name)).collect::<Result<_, _>>()?,
            labels: labelled.then(|| find(&names.labels)).transpose()?,
            id: names.id.as_deref().map(find).transpose()?,
            weight: names.weight.as_deref().map(find).transpose()?,
        })
    }
}

impl RecordSource for CsvRows {
    fn read(&mut self, record: &mut Record) -> Result<bool, DataError> {
        let line = self.reader.position().line();
        let more = self.reader.read_byte_record(&mut self.row);
        self.meter.done.store(self.reader.position().byte(), Relaxed);
        if !more.map_err(|error| csv_error(error, &self.path, line))? {
            return Ok(false);
        }
        let at = Place { path: &self.path, line: self.row.position().map_or(line, csv::Position::line) };
        record.line = at.line;
        let field = |column: usize| utf8(&self.row[column], &self.path, at.line);
        for (nth, &column) in self.columns.text.iter().enumerate() {
            if nth > 0 {
                record.text.push(' ');
            }
            record.text.push_str(field(column)?);
        }
        record.id = self.columns.id.map(field).transpose()?.map(str::to_owned);
        if let Some(text) =
            self.columns.weight.map(field).transpose()?.map(str::trim).filter(|text| !text.is_empty())
        {
            let weight = text.parse().map_err(|_| at.bad("a weight that is a number", text))?;
            record.set_weight(Some(weight), at)?;
        }
        if let Some(labels) = self.columns.labels.map(field).transpose()? {
            record.set_labels(labels, self.label_separator, at)?;
        }
        Ok(true)
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn would_wait(&self) -> bool {
        // The parser may leave the line feed of a `\r\n` to the next record.
        self.live && self.reader.position().byte() + 1 >= self.meter.line_end.load(Relaxed)
    }
}

fn csv_error(error: csv::Error, path: &Path, line: u64) -> DataError {
    let at = Place { path, line: error.position().map_or(line, csv::Position::line) };
    match error.into_kind() {
        ErrorKind::Io(source) if source.kind() == io::ErrorKind::FileTooLarge => DataError::Unsupported {
            path: path.to_owned(),
            what: "a CSV record is longer than the limit for a line: a quote is not closed, or the limit is too low",
        },
        ErrorKind::Io(source) => io_error(path, Some("compressed CSV"), line, source),
        ErrorKind::UnequalLengths { len, .. } => {
            at.bad("as many fields as the header has", &format!("{len} fields"))
        }
        _ => at.bad("a CSV record", "something else"),
    }
}
