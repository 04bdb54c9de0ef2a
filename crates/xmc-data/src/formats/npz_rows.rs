//! The rows of a `.npz` one by one: its three arrays are read side by side, so that memory is bounded by the longest row.

use super::npy::{ArrayReader, bad_array};
use super::npz::{Archive, Columns, Member};
use crate::{DataError, record::Place};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use xmc_sparse::{Csr, CsrBuilder};

/// Row offsets read at once.
const OFFSETS: usize = 1 << 12;

/// Rows as [`super::npz::read_npz`] gives them: sorted, duplicates summed. A matrix in column order is held whole: its first row ends
/// where the file does.
pub(crate) struct NpzRows {
    path: PathBuf,
    columns: Columns,
    n_rows: usize,
    n_cols: usize,
    next: usize,
    rows: Rows,
}

enum Rows {
    Stream(Box<Stream>),
    Held(Csr),
}

struct Stream {
    offsets: ArrayReader<BufReader<Member>>,
    indices: ArrayReader<BufReader<Member>>,
    values: ArrayReader<BufReader<Member>>,
    /// Ends of the next rows, the nearest last.
    ends: Vec<usize>,
    /// Entries of all rows, and where the next row begins.
    nnz: usize,
    start: usize,
    row: (Vec<i64>, Vec<f32>),
}

impl NpzRows {
    pub(crate) fn open(path: &Path, columns: Columns) -> Result<Self, DataError> {
        let mut archive = Archive::open(path, columns)?;
        let (in_rows, n_rows, n_cols) = archive.read_shape()?;
        let rows = match in_rows {
            true => Rows::Stream(Box::new(Stream::open(&mut archive, path, n_rows)?)),
            false => Rows::Held(super::npz::read_npz(path, columns)?),
        };
        Ok(Self { path: path.to_owned(), columns, n_rows, n_cols, next: 0, rows })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn n_cols(&self) -> usize {
        self.n_cols
    }

    /// Rows read so far.
    pub(crate) fn n_read(&self) -> usize {
        self.next
    }

    /// The entries of the next row, added to `into`; false at the end. Reading goes on behind a row that has a wrong entry.
    pub(crate) fn read(&mut self, into: &mut Vec<(u32, f32)>) -> Result<bool, DataError> {
        if self.next == self.n_rows {
            if let Rows::Stream(stream) = &mut self.rows {
                stream.finish(&self.path)?;
            }
            return Ok(false);
        }
        self.next += 1;
        match &mut self.rows {
            Rows::Held(matrix) => into.extend(matrix.row(self.next - 1).iter()),
            Rows::Stream(stream) => {
                stream.read_row(&self.path, self.n_rows - self.next)?;
                self.take_row(into)?;
            }
        }
        Ok(true)
    }

    /// The row that was read, looked at.
    fn take_row(&self, into: &mut Vec<(u32, f32)>) -> Result<(), DataError> {
        let Rows::Stream(stream) = &self.rows else { return Ok(()) };
        let at = Place { path: &self.path, line: self.next as u64 };
        let limit = self.n_cols.min(u32::MAX as usize) as i64;
        let (indices, values) = &stream.row;
        if let Some(&wrong) = indices.iter().find(|index| !(0..limit).contains(index)) {
            return Err(match self.columns {
                Columns::Features => at.feature_out_of_range(wrong, self.n_cols),
                Columns::Labels => at.label_out_of_range(wrong, self.n_cols),
            });
        }
        if let Some((&index, &value)) = indices.iter().zip(values).find(|(_, value)| !value.is_finite()) {
            let what = if self.columns == Columns::Labels { "label" } else { "feature" };
            return Err(at.non_finite(what, index as u64, value));
        }
        let pairs = indices.iter().zip(values).map(|(&index, &value)| (index as u32, value));
        if indices.is_sorted_by(|a, b| a < b) {
            into.extend(pairs);
            return Ok(());
        }
        let mut row = CsrBuilder::new();
        row.push_row(pairs);
        let row = row.finish(self.n_cols);
        let row = row.map_err(|source| DataError::Matrix { path: self.path.clone(), source })?;
        into.extend(row.row(0).iter());
        Ok(())
    }
}

impl Stream {
    fn open(archive: &mut Archive<'_>, path: &Path, n_rows: usize) -> Result<Self, DataError> {
        let (offsets, indices) = (archive.detach("indptr")?, archive.detach("indices")?);
        let values = archive.detach("data")?;
        let (expected, nnz, found) = (offsets.vector_len()?, indices.vector_len()?, values.vector_len()?);
        if expected != n_rows.saturating_add(1) {
            return Err(wrong_offsets(path, &format!("{expected} offsets for {n_rows} rows")));
        }
        if nnz != found {
            let expected = "as many elements as indices";
            return Err(bad_array(path, "data", expected, &format!("{found} instead of {nnz}")));
        }
        let mut this =
            Self { offsets, indices, values, ends: Vec::new(), nnz, start: 0, row: (Vec::new(), Vec::new()) };
        let mut first = Vec::new();
        this.offsets.read_integers(1, &mut first, |offset| offset)?;
        match first[..] {
            [0] => Ok(this),
            _ => Err(wrong_offsets(path, &format!("{first:?} first"))),
        }
    }

    /// The next row, behind which there are `n_left`.
    fn read_row(&mut self, path: &Path, n_left: usize) -> Result<(), DataError> {
        if self.ends.is_empty() {
            let count = OFFSETS.min(n_left + 1);
            // A negative offset becomes a huge one, which is refused below.
            self.offsets.read_integers(count, &mut self.ends, |offset| offset as usize)?;
            self.ends.reverse();
        }
        let end = self.ends.pop().unwrap_or(usize::MAX);
        if end < self.start || end > self.nnz {
            return Err(wrong_offsets(path, &format!("{end} behind {}", self.start)));
        }
        let (indices, values) = &mut self.row;
        indices.clear();
        values.clear();
        self.indices.read_integers(end - self.start, indices, |index| index)?;
        self.values.read_floats(end - self.start, values)?;
        self.start = end;
        Ok(())
    }

    /// Checks that all arrays end here, checksums included.
    fn finish(&mut self, path: &Path) -> Result<(), DataError> {
        if self.start != self.nnz {
            let (expected, found) = ("as many elements as the last offset says", self.nnz);
            return Err(bad_array(path, "indices", expected, &format!("{found} instead of {}", self.start)));
        }
        self.offsets.finish()?;
        self.indices.finish()?;
        self.values.finish()
    }
}

fn wrong_offsets(path: &Path, found: &str) -> DataError {
    bad_array(path, "indptr", "offsets from 0 in increasing order, one more than rows", found)
}
