//! The Extreme Classification Repository's sparse text format.
//!
//! A header `n d L` (instances, features, labels), then `l1,l2 f:v f:v` a line; a row without labels begins
//! with a space. In the two-file variant the headers are `n d` and `n L`, and the rows of both files are
//! `id:value` pairs. Source: <http://manikvarma.org/downloads/XC/XMLRepository.html>.

use crate::{
    DataError,
    record::{Place, Record, RecordSource},
    source::Lines,
};
use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};
use xmc_sparse::{Csr, LabelId};

/// Sizes in a header line.
struct Header {
    n_rows: u64,
    n_cols: usize,
    n_labels: Option<usize>,
}

fn read_header(lines: &mut Lines, expected: &'static str) -> Result<Header, DataError> {
    if !lines.advance()? {
        return Err(DataError::Empty { path: lines.path().to_owned() });
    }
    let at = Place { path: lines.path(), line: lines.number() };
    let line = lines.text()?;
    let sizes: Option<Vec<u64>> = line.split_ascii_whitespace().map(|word| word.parse().ok()).collect();
    let bad = || at.bad(expected, line);
    let narrow = |size: u64| u32::try_from(size).map(|size| size as usize).map_err(|_| bad());
    match sizes.as_deref() {
        Some(&[n_rows, cols]) => Ok(Header { n_rows, n_cols: narrow(cols)?, n_labels: None }),
        Some(&[n_rows, cols, labels]) => {
            Ok(Header { n_rows, n_cols: narrow(cols)?, n_labels: Some(narrow(labels)?) })
        }
        _ => Err(bad()),
    }
}

/// Counts rows against the header.
struct RowCount {
    expected: u64,
    found: u64,
}

impl RowCount {
    /// Goes to the next row: false at the end, an error when the end comes too early or too late.
    fn advance(&mut self, lines: &mut Lines) -> Result<bool, DataError> {
        // A line that is too long is a row all the same, so that skipping it keeps the count.
        let more = lines.advance();
        self.found += u64::from(!matches!(more, Ok(false)));
        let more = more?;
        // Empty lines behind the last row are no rows.
        if more && self.found > self.expected && lines.bytes().trim_ascii().is_empty() {
            self.found -= 1;
            return self.advance(lines);
        }
        let complete = if more { self.found <= self.expected } else { self.found == self.expected };
        match complete {
            true => Ok(more),
            false => Err(DataError::Count {
                path: lines.path().to_owned(),
                what: "rows (as the header says)",
                expected: self.expected,
                found: self.found,
            }),
        }
    }
}

/// Rows of the one-file variant, or of the feature file of the two-file one.
pub(crate) struct XcRows {
    lines: Lines,
    header: Header,
    rows: RowCount,
    labelled: bool,
}

impl XcRows {
    pub(crate) fn new(mut lines: Lines, labelled: bool) -> Result<Self, DataError> {
        let header = read_header(
            &mut lines,
            "a header: instances, features and (unless apart) labels, as in `100 5000 30`",
        )?;
        if labelled && header.n_labels.is_none() {
            let (path, line) = (lines.path(), 1);
            return Err(Place { path, line }
                .bad("a header of three numbers, or a second file of labels", "a header of two numbers"));
        }
        let rows = RowCount { expected: header.n_rows, found: 0 };
        Ok(Self { lines, header, rows, labelled })
    }
}

impl RecordSource for XcRows {
    fn read(&mut self, record: &mut Record) -> Result<bool, DataError> {
        if !self.rows.advance(&mut self.lines)? {
            return Ok(false);
        }
        let at = Place { path: self.lines.path(), line: self.lines.number() };
        let line = self.lines.text()?;
        record.line = at.line;
        let (labels, features) = split_row(line, self.header.n_labels.is_some());
        if let (true, Some(n_labels)) = (self.labelled, self.header.n_labels) {
            parse_labels(labels, n_labels, at, &mut record.label_rows)?;
        }
        parse_pairs(features, self.header.n_cols, at, "feature", &mut record.features)?;
        Ok(true)
    }

    fn path(&self) -> &Path {
        self.lines.path()
    }

    fn n_features(&self) -> Option<usize> {
        Some(self.header.n_cols)
    }

    fn n_labels(&self) -> Option<usize> {
        self.header.n_labels
    }

    fn would_wait(&self) -> bool {
        self.lines.would_wait()
    }
}

/// Rows of the label file of the two-file variant.
pub(crate) struct XcLabelRows {
    lines: Lines,
    header: Header,
    rows: RowCount,
}

impl XcLabelRows {
    pub(crate) fn new(mut lines: Lines) -> Result<Self, DataError> {
        let header = read_header(&mut lines, "a header: instances and labels, as in `100 30`")?;
        if header.n_labels.is_some() {
            let at = Place { path: lines.path(), line: 1 };
            return Err(at.bad("a header of two numbers, instances and labels", lines.text()?));
        }
        let rows = RowCount { expected: header.n_rows, found: 0 };
        Ok(Self { lines, header, rows })
    }

    pub(crate) fn n_labels(&self) -> usize {
        self.header.n_cols
    }

    /// Labels of the next row into `into`; false at the end.
    pub(crate) fn read(&mut self, into: &mut Vec<(LabelId, f32)>) -> Result<bool, DataError> {
        if !self.rows.advance(&mut self.lines)? {
            return Ok(false);
        }
        let at = Place { path: self.lines.path(), line: self.lines.number() };
        let line = self.lines.text()?;
        match line.contains(':') {
            true => parse_pairs(line, self.header.n_cols, at, "label", into)?,
            false => parse_labels(line.trim(), self.header.n_cols, at, into)?,
        }
        Ok(true)
    }
}

/// The label column and the rest. A row whose first word is a pair has no labels, with or without the space.
fn split_row(line: &str, has_labels: bool) -> (&str, &str) {
    if !has_labels {
        return ("", line);
    }
    let end = line.find([' ', '\t']).unwrap_or(line.len());
    let (labels, rest) = line.split_at(end);
    if labels.contains(':') { ("", line) } else { (labels, rest) }
}

fn parse_labels(
    list: &str,
    n_labels: usize,
    at: Place<'_>,
    into: &mut Vec<(LabelId, f32)>,
) -> Result<(), DataError> {
    if list.is_empty() {
        return Ok(());
    }
    for word in list.split(',') {
        let id: i64 = word.trim().parse().map_err(|_| at.bad("label numbers between commas", list))?;
        if !(0..n_labels as i64).contains(&id) {
            return Err(at.label_out_of_range(id, n_labels));
        }
        into.push((id as LabelId, 1.0));
    }
    Ok(())
}

fn parse_pairs(
    row: &str,
    n_cols: usize,
    at: Place<'_>,
    what: &'static str,
    into: &mut Vec<(u32, f32)>,
) -> Result<(), DataError> {
    for word in row.split_ascii_whitespace() {
        let pair = word.split_once(':').and_then(|(id, value)| Some((id.parse().ok()?, value.parse().ok()?)));
        let (id, value): (i64, f32) = pair.ok_or_else(|| at.bad("a pair id:value", word))?;
        if !(0..n_cols as i64).contains(&id) {
            return Err(if what == "label" {
                at.label_out_of_range(id, n_cols)
            } else {
                at.feature_out_of_range(id, n_cols)
            });
        }
        if !value.is_finite() {
            return Err(at.non_finite(what, id as u64, value));
        }
        into.push((id as u32, value));
    }
    Ok(())
}

/// Writes features and labels in the one-file variant. Values are written so that they read back the
/// same; a label's relevance has no place in this format and is left out.
///
/// # Errors
/// [`DataError::Open`], [`DataError::Write`]; [`DataError::Count`] when the row counts differ.
pub fn write_xc(path: impl AsRef<Path>, features: &Csr, labels: &Csr) -> Result<(), DataError> {
    let path = path.as_ref();
    if features.n_rows() != labels.n_rows() {
        return Err(DataError::Count {
            path: path.to_owned(),
            what: "rows of labels (one for each row of features)",
            expected: features.n_rows() as u64,
            found: labels.n_rows() as u64,
        });
    }
    let file = File::create(path).map_err(|source| DataError::Open { path: path.to_owned(), source })?;
    let mut out = BufWriter::new(file);
    writeln!(out, "{} {} {}", features.n_rows(), features.n_cols(), labels.n_cols())
        .and_then(|()| {
            let mut rows = features.rows().zip(labels.rows());
            rows.try_for_each(|(features, labels)| write_xc_row(&mut out, features.iter(), labels.indices))
        })
        .and_then(|()| out.flush())
        .map_err(|source| DataError::Write { path: path.to_owned(), source })
}

/// Writes one row of the one-file variant: its labels, then its features with their values. The file begins with a line of the numbers of
/// rows, features and labels.
///
/// # Errors
/// What the writer meets.
pub fn write_xc_row(
    out: &mut impl Write,
    features: impl IntoIterator<Item = (u32, f32)>,
    labels: &[u32],
) -> io::Result<()> {
    for (nth, label) in labels.iter().enumerate() {
        write!(out, "{}{label}", if nth == 0 { "" } else { "," })?;
    }
    // The space stands even before no features: it tells an empty row from the end of the file.
    write!(out, " ")?;
    for (nth, (id, value)) in features.into_iter().enumerate() {
        write!(out, "{}{id}:{value}", if nth == 0 { "" } else { " " })?;
    }
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_column_ends_at_the_first_space() {
        assert_eq!(split_row("1,2 3:0.5 4:1", true), ("1,2", " 3:0.5 4:1"));
        assert_eq!(split_row(" 3:0.5", true), ("", " 3:0.5"));
        assert_eq!(split_row("3:0.5 4:1", true), ("", "3:0.5 4:1"));
        assert_eq!(split_row("7", true), ("7", ""));
        assert_eq!(split_row("3:0.5", false), ("", "3:0.5"));
    }
}
