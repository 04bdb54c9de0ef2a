//! Records one by one or in batches, in bounded memory: what prediction on endless input stands on.

use crate::{
    DataError, Dataset, Format, LabelMap, OnError, Purpose, ReadOptions, Record, Skipped,
    builder::Builder,
    converted::{DirRows, Labelling},
    formats::{CsvRows, JsonLines, LabelRows, MatrixRows, NpyRows, TsvLines, XcRows, npy::DenseRows},
    record::{Place, RecordSource},
    resolve::Resolver,
    source::{Lines, Source},
};
use std::{collections::VecDeque, path::Path, sync::Arc};

/// Reads records from a file or standard input.
///
/// Memory is bounded by the longest line and the batch, except for `.npz` and `.npy` files in column order (CSC, Fortran), which are held
/// whole.
///
/// ```
/// # fn main() -> Result<(), xmc_data::DataError> {
/// # let dir = std::env::temp_dir().join(format!("xmc-data-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir).unwrap();
/// # let path = dir.join("titles.txt");
/// # std::fs::write(&path, "a red shoe\na blue hat\n").unwrap();
/// use xmc_data::{Input, ReadOptions, RecordReader};
/// let mut reader = RecordReader::open(&path, &ReadOptions::unlabelled())?;
/// while let Some(batch) = reader.next_batch(1024)? {
///     let Input::Text(texts) = &batch.input else { unreachable!() };
///     assert_eq!(&texts[1], "a blue hat");
/// }
/// # std::fs::remove_dir_all(&dir).unwrap();
/// # Ok(())
/// # }
/// ```
pub struct RecordReader {
    source: Box<dyn RecordSource>,
    label_rows: Option<LabelRows>,
    dense: Option<DenseRows>,
    resolver: Resolver,
    labelling: Labelling,
    /// Records that were read to settle how labels are referred to.
    head: VecDeque<Record>,
    on_error: OnError,
    purpose: Purpose,
    skipped: Skipped,
    dense_width: usize,
    /// Records met in the main file, bad ones too.
    n_met: u64,
}

impl RecordReader {
    /// Opens `path`, or standard input for `-`, and reads as far as the header and label files go.
    ///
    /// # Errors
    /// Files that cannot be opened, wrong headers, a wrong label file.
    pub fn open(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Self, DataError> {
        let path = path.as_ref();
        let labelled = options.purpose == Purpose::Labelled;
        let label_path = options.label_path.as_deref().filter(|_| labelled);
        let label_rows = label_path.map(|path| LabelRows::open(path, options.max_line_bytes)).transpose()?;
        let mut options = options.clone();
        let (source, own_dense, converted) = if path.is_dir() {
            let rows = DirRows::open(path, &mut options, labelled)?;
            let (own_dense, labelling) = (rows.n_dense(), rows.labelling());
            (Box::new(rows) as Box<dyn RecordSource>, own_dense, Some(labelling))
        } else {
            let (source, own_dense) = open_source(path, &options, labelled && label_rows.is_none())?;
            (source, own_dense, None)
        };
        if own_dense.is_some() && options.dense.is_some() {
            let what = "a .npy is all dense already: it cannot have a second file of dense features";
            return Err(DataError::Unsupported { path: path.to_owned(), what });
        }
        let dense = options.dense.as_deref().map(DenseRows::open).transpose()?;
        let dense_width = dense.as_ref().map(DenseRows::width).or(own_dense).unwrap_or(0);
        let n_labels = label_rows.as_ref().map(LabelRows::n_labels).or(source.n_labels());
        let labelling = match converted {
            _ if !labelled => Labelling::None,
            Some(labelling) => labelling,
            None if n_labels.is_some() => Labelling::Numbered,
            None => Labelling::Written,
        };
        Ok(Self {
            labelling,
            resolver: Resolver::new(&options, n_labels)?,
            source,
            label_rows,
            dense,
            head: VecDeque::new(),
            on_error: options.on_error,
            purpose: options.purpose,
            skipped: Skipped::default(),
            dense_width,
            n_met: 0,
        })
    }

    /// Reads the next record into `record`, whose memory is used again; false at the end. Labels are as they
    /// stand in the data.
    ///
    /// # Errors
    /// A bad record, unless they are skipped; reading can go on behind it. A failed read; it cannot.
    pub fn read(&mut self, record: &mut Record) -> Result<bool, DataError> {
        if let Some(first) = self.head.pop_front() {
            *record = first;
            return Ok(true);
        }
        loop {
            record.clear();
            let more = self.read_parts(record);
            match more {
                Err(error) if self.may_skip(&error) => self.skipped.add(error),
                more => return more,
            }
        }
    }

    /// One row of each file, in step even when one of them is bad.
    fn read_parts(&mut self, record: &mut Record) -> Result<bool, DataError> {
        let mut outcome = self.source.read(record);
        if outcome.as_ref().is_err_and(|error| !error.is_bad_record()) {
            return outcome;
        }
        let main = !matches!(outcome, Ok(false));
        self.n_met += u64::from(main);
        if let Some(rows) = &mut self.label_rows {
            let row = rows.read(&mut record.label_rows);
            outcome = self.in_step(outcome, main, row, "rows of labels (one for each record)")?;
        }
        if let Some(rows) = &mut self.dense {
            let row = rows.read(&mut record.dense);
            outcome = self.in_step(outcome, main, row, "rows of dense features (one for each record)")?;
        }
        outcome
    }

    /// The outcome for a record of which a second file has a part: the first error counts, and both files
    /// must end together.
    fn in_step(
        &self,
        outcome: Result<bool, DataError>,
        main: bool,
        row: Result<bool, DataError>,
        what: &'static str,
    ) -> Result<Result<bool, DataError>, DataError> {
        // Reading stops at the first row too few or too many, so the counts say no more than that.
        let count = |found| DataError::Count {
            path: self.source.path().to_owned(),
            what,
            expected: self.n_met,
            found,
        };
        match row {
            Err(error) if !error.is_bad_record() => Err(error),
            Err(error) if main => Ok(outcome.and(Err(error))),
            Ok(more) if more == main => Ok(outcome),
            Ok(false) => Err(count(self.n_met - 1)),
            _ => Err(count(self.n_met + 1)),
        }
    }

    fn may_skip(&self, error: &DataError) -> bool {
        self.on_error == OnError::Skip && error.is_bad_record()
    }

    /// The next `limit` records at most, `None` at the end. Fewer come when standard input has no more for
    /// now: a slow writer gets its answers as it writes.
    ///
    /// Labels are looked up; the label map of the batch is the one at its end.
    ///
    /// # Errors
    /// As [`RecordReader::read`], and labels that a given map lacks.
    pub fn next_batch(&mut self, limit: usize) -> Result<Option<Dataset>, DataError> {
        self.next_batch_within(limit, usize::MAX)
    }

    /// As [`RecordReader::next_batch`], without a record more when texts and features together have `bytes` bytes.
    ///
    /// # Errors
    /// As [`RecordReader::next_batch`].
    pub fn next_batch_within(&mut self, limit: usize, bytes: usize) -> Result<Option<Dataset>, DataError> {
        self.settle_labels()?;
        let mut builder = self.builder();
        let (mut record, mut n_bytes) = (Record::default(), 0);
        while builder.len() < limit
            && (builder.len() == 0 || n_bytes < bytes && !self.would_wait())
            && self.read(&mut record)?
        {
            self.add(&mut builder, &record)?;
            n_bytes += record.n_bytes();
        }
        match builder.len() {
            0 => Ok(None),
            _ => self.finish(builder).map(Some),
        }
    }

    /// All records that are left.
    pub(crate) fn read_all(&mut self) -> Result<Dataset, DataError> {
        self.settle_labels()?;
        let mut builder = self.builder();
        let mut record = Record::default();
        while self.read(&mut record)? {
            self.add(&mut builder, &record)?;
        }
        self.finish(builder)
    }

    fn builder(&self) -> Builder {
        Builder::new(self.source.n_features(), self.dense_width)
    }

    fn finish(&self, builder: Builder) -> Result<Dataset, DataError> {
        builder.finish(self.source.path(), Arc::clone(self.resolver.map()), self.skipped())
    }

    fn add(&mut self, builder: &mut Builder, record: &Record) -> Result<(), DataError> {
        if self.purpose == Purpose::Labelled {
            let at = Place { path: self.source.path(), line: record.line };
            match self.resolver.resolve(record, at, &mut builder.pairs) {
                Err(error) if self.may_skip(&error) => {
                    self.skipped.add(error);
                    return Ok(());
                }
                outcome => outcome?,
            }
        }
        builder.push(record);
        Ok(())
    }

    /// Settles [`crate::LabelBy::Auto`] from the first labelled records, which are kept for later.
    fn settle_labels(&mut self) -> Result<(), DataError> {
        if self.purpose == Purpose::Unlabelled || !self.resolver.is_open() {
            return Ok(());
        }
        let mut head = VecDeque::new();
        let mut labelled = 0;
        let mut record = Record::default();
        while labelled < ReadOptions::AUTO_RECORDS && self.read(&mut record)? {
            labelled += usize::from(!record.labels.is_empty());
            head.push_back(std::mem::take(&mut record));
        }
        self.resolver.settle(head.make_contiguous());
        self.head = head;
        Ok(())
    }

    fn would_wait(&self) -> bool {
        self.head.is_empty() && self.source.would_wait()
    }

    /// Width of the sparse features; `None` when records are text.
    pub fn n_features(&self) -> Option<usize> {
        self.source.n_features()
    }

    /// Width of the dense features, 0 without any.
    pub fn n_dense(&self) -> usize {
        self.dense_width
    }

    /// How the data call their labels.
    pub(crate) fn labelling(&self) -> Labelling {
        self.labelling
    }

    /// The label map so far.
    pub fn label_map(&self) -> &Arc<LabelMap> {
        self.resolver.map()
    }

    /// What was left out so far.
    pub fn skipped(&self) -> Skipped {
        Skipped { labels: self.resolver.ignored, ..self.skipped.clone() }
    }
}

/// Records, each in memory of its own.
impl Iterator for RecordReader {
    type Item = Result<Record, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut record = Record::default();
        self.read(&mut record).map(|more| more.then_some(record)).transpose()
    }
}

/// The reader of the main file, and the width of the dense features it has itself.
fn open_source(
    path: &Path,
    options: &ReadOptions,
    labelled: bool,
) -> Result<(Box<dyn RecordSource>, Option<usize>), DataError> {
    let mut source = Source::open(path)?;
    let format = format_of(&mut source, options)?;
    let lines = |source| Lines::new(source, options.max_line_bytes);
    Ok(match format {
        Format::Tsv => (Box::new(TsvLines::new(lines(source), labelled)), None),
        Format::JsonLines => (Box::new(JsonLines::new(lines(source), labelled)), None),
        Format::Csv => {
            (Box::new(CsvRows::new(source, &options.csv, labelled, options.max_line_bytes)?), None)
        }
        Format::XcRepo => (Box::new(XcRows::new(lines(source), labelled)?), None),
        Format::Npz => (Box::new(MatrixRows::open(path)?), None),
        Format::Npy => {
            let rows = DenseRows::open(path)?;
            let width = rows.width();
            (Box::new(NpyRows(rows)), Some(width))
        }
    })
}

/// The format asked for, or the one that the name or the content tells.
pub(crate) fn format_of(source: &mut Source, options: &ReadOptions) -> Result<Format, DataError> {
    match options.format.or_else(|| Format::from_path(&source.path)) {
        Some(format) => Ok(format),
        None => Ok(Format::from_first_line(&source.peek()?, source.path == Path::new("-"))),
    }
}
