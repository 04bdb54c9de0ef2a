//! A sparse matrix written row by row: a `.npz` has its arrays one after the other, so rows wait in two nameless files.

use super::npz::{MemberForm, Members};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Bytes copied at once.
const BLOCK: usize = 1 << 18;

/// Writes a matrix of `f32` values as `scipy.sparse.save_npz` does, in memory that grows by 8 bytes a row.
#[derive(Debug)]
pub struct NpzWriter<W> {
    out: W,
    n_cols: usize,
    indptr: Vec<u64>,
    indices: BufWriter<File>,
    values: BufWriter<File>,
    form: MemberForm,
}

impl<W: Write + Seek> NpzWriter<W> {
    /// A matrix of `n_cols` columns into `out`; `beside` is the directory for the two files in which rows wait.
    ///
    /// # Errors
    /// When no files can be made there.
    pub fn new(out: W, n_cols: usize, beside: &Path) -> io::Result<Self> {
        let waiting = || tempfile::tempfile_in(beside).map(BufWriter::new);
        let form = MemberForm::Deflated;
        Ok(Self { out, n_cols, indptr: vec![0], indices: waiting()?, values: waiting()?, form })
    }

    /// Leaves the arrays as they are, which is faster and larger.
    #[must_use]
    pub fn stored(mut self) -> Self {
        self.form = MemberForm::Stored;
        self
    }

    /// Number of rows so far.
    pub fn n_rows(&self) -> usize {
        self.indptr.len() - 1
    }

    /// Number of entries so far.
    pub fn nnz(&self) -> u64 {
        self.indptr[self.indptr.len() - 1]
    }

    /// Adds a row; columns increase and are below `n_cols`.
    ///
    /// # Errors
    /// What writing runs into, and [`io::ErrorKind::InvalidInput`] for columns out of order.
    pub fn push_row(&mut self, row: impl IntoIterator<Item = (u32, f32)>) -> io::Result<()> {
        let (mut nnz, mut least) = (self.nnz(), 0);
        for (column, value) in row {
            if column < least || column as usize >= self.n_cols {
                let (row, n_cols) = (self.n_rows(), self.n_cols);
                let message = format!(
                    "row {row}: column {column} where one from {least} to below {n_cols} is expected"
                );
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
            least = column + 1;
            nnz += 1;
            self.indices.write_all(&column.to_le_bytes())?;
            self.values.write_all(&value.to_le_bytes())?;
        }
        self.indptr.push(nnz);
        Ok(())
    }

    /// Writes the archive, and gives the writer back.
    ///
    /// # Errors
    /// What the writer meets.
    pub fn finish(self) -> io::Result<W> {
        let (nnz, shape) = (self.nnz(), [self.n_rows(), self.n_cols]);
        let mut members = Members::new(self.out, shape, nnz, self.form);
        let mut failed = None;
        members.indices(Blocks::new(self.indices, &mut failed)?)?;
        failed.take().map_or(Ok(()), Err)?;
        members.indptr(&self.indptr)?;
        members.data(Blocks::new(self.values, &mut failed)?)?;
        failed.map_or(Ok(()), Err)?;
        members.finish()
    }
}

/// What waits in a file, block by block; an error ends it and is left in `failed`.
struct Blocks<'a> {
    file: BufReader<File>,
    failed: &'a mut Option<io::Error>,
}

impl<'a> Blocks<'a> {
    fn new(file: BufWriter<File>, failed: &'a mut Option<io::Error>) -> io::Result<Self> {
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Self { file: BufReader::with_capacity(BLOCK, file), failed })
    }
}

impl Iterator for Blocks<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut block = Vec::with_capacity(BLOCK);
        match (&mut self.file).take(BLOCK as u64).read_to_end(&mut block) {
            Ok(0) => None,
            Ok(_) => Some(block),
            Err(error) => {
                *self.failed = Some(error);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Columns, read_npz, write_npz_to};
    use std::io::Cursor;
    use xmc_sparse::Csr;

    fn matrix() -> Csr {
        let rows =
            (0..3000u32).map(|row| (0..row % 90).map(move |at| (at * 11 + row % 7, (row + at) as f32 + 0.5)));
        Csr::from_rows(1000, rows).unwrap()
    }

    #[test]
    fn rows_one_by_one_make_the_file_of_the_whole_matrix() {
        let (matrix, dir) = (matrix(), tempfile::tempdir().unwrap());
        let write = |stored| {
            let writer = NpzWriter::new(Cursor::new(Vec::new()), 1000, dir.path()).unwrap();
            let mut writer = if stored { writer.stored() } else { writer };
            matrix.rows().for_each(|row| writer.push_row(row.iter()).unwrap());
            assert_eq!((writer.n_rows(), writer.nnz()), (3000, matrix.nnz() as u64));
            writer.finish().unwrap().into_inner()
        };
        let whole = write_npz_to(Cursor::new(Vec::new()), &matrix).unwrap().into_inner();
        assert!(write(false) == whole);
        let stored = write(true);
        assert!(stored.len() > matrix.nnz() * 8);
        let path = dir.path().join("x.npz");
        std::fs::write(&path, stored).unwrap();
        assert!(read_npz(&path, Columns::Features).unwrap() == matrix);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "waiting files have no names");
    }

    #[test]
    fn columns_out_of_order_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = NpzWriter::new(Cursor::new(Vec::new()), 10, dir.path()).unwrap();
        writer.push_row([(3, 1.0), (9, 1.0)]).unwrap();
        for row in [[(3, 1.0), (3, 1.0)], [(4, 1.0), (2, 1.0)], [(0, 1.0), (10, 1.0)]] {
            let error = writer.push_row(row).unwrap_err();
            assert!(error.to_string().starts_with("row 1: column"), "{error}");
        }
    }
}
