//! SciPy's sparse matrices, as `scipy.sparse.save_npz` writes them and PECOS reads them.
//!
//! The archive has the members `format`, `shape`, `indptr`, `indices` and `data`; CSR and CSC are read.

use super::npy::{ArrayReader, bad_array, write_array};
use crate::{DataError, record::Place, source::io_error};
use flate2::{CrcReader, read::DeflateDecoder};
use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::Path,
};
use xmc_sparse::Csr;
use zip::{
    CompressionMethod, ZipArchive, ZipWriter, read::ZipFile, result::ZipError, write::SimpleFileOptions,
};

const FORMAT: &str = ".npz (zip)";
/// Bytes read from a member at once.
const BUFFER: usize = 1 << 18;
/// Elements turned into bytes at once.
const BLOCK: usize = 1 << 16;

/// What a matrix holds, for its error messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Columns {
    /// Columns are features.
    Features,
    /// Columns are labels; entries of value 0 say that a label does not hold, and are left out.
    Labels,
}

/// Reads a sparse matrix saved by `scipy.sparse.save_npz`, CSR or CSC, compressed or not; the rows come
/// sorted, duplicates summed. Peak memory is the matrix, twice it for CSC.
///
/// # Errors
/// [`DataError::Open`], [`DataError::Corrupt`] or [`DataError::Truncated`] for a damaged archive,
/// [`DataError::MissingMember`], [`DataError::BadArray`], [`DataError::FeatureOutOfRange`] or
/// [`DataError::LabelOutOfRange`], [`DataError::NonFinite`], [`DataError::Matrix`].
pub fn read_npz(path: impl AsRef<Path>, columns: Columns) -> Result<Csr, DataError> {
    let path = path.as_ref();
    let matrix = Archive::open(path, columns)?.read()?;
    Ok(if columns == Columns::Labels { without_zeros(matrix) } else { matrix })
}

pub(super) struct Archive<'a> {
    archive: ZipArchive<BufReader<File>>,
    path: &'a Path,
    columns: Columns,
}

/// The bytes of a member, which end in an error if they are not those of its checksum.
pub(super) struct Member {
    bytes: CrcReader<Box<dyn Read + Send>>,
    crc: u32,
}

impl Read for Member {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.bytes.read(into)? {
            0 if !into.is_empty() && self.bytes.crc().sum() != self.crc => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "wrong checksum"))
            }
            read => Ok(read),
        }
    }
}

/// The arrays of a compressed matrix; `major` counts rows in CSR and columns in CSC.
struct Parts {
    in_rows: bool,
    n_major: usize,
    n_minor: usize,
    indptr: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<f32>,
}

impl<'a> Archive<'a> {
    pub(super) fn open(path: &'a Path, columns: Columns) -> Result<Self, DataError> {
        if path == Path::new("-") {
            let what =
                "a .npz cannot come from standard input, whose end it would have to read first; give a file";
            return Err(DataError::Unsupported { path: path.to_owned(), what });
        }
        let file = File::open(path).map_err(|source| DataError::Open { path: path.to_owned(), source })?;
        let archive = ZipArchive::new(BufReader::new(file)).map_err(|error| zip_error(path, error))?;
        Ok(Self { archive, path, columns })
    }

    fn read(mut self) -> Result<Csr, DataError> {
        let mut parts = self.read_parts()?;
        parts.sort();
        let Parts { in_rows, n_major, n_minor, indptr, indices, values } = parts;
        let matrix = Csr::new(n_major, n_minor, indptr, indices, values)
            .map_err(|source| DataError::Matrix { path: self.path.to_owned(), source })?;
        Ok(if in_rows { matrix } else { matrix.transpose() })
    }

    fn read_parts(&mut self) -> Result<Parts, DataError> {
        let (in_rows, n_rows, n_cols) = self.read_shape()?;
        let (n_major, n_minor) = if in_rows { (n_rows, n_cols) } else { (n_cols, n_rows) };
        // A negative offset becomes a huge one, and is refused with the rest that is not in order.
        let indptr = self.vector("indptr", |offset| offset as usize)?;
        let mut parts = Parts { in_rows, n_major, n_minor, indptr, indices: Vec::new(), values: Vec::new() };
        self.check_indptr(&parts)?;
        self.read_entries(&mut parts)?;
        Ok(parts)
    }

    /// Whether the matrix is in row order, and its numbers of rows and columns.
    pub(super) fn read_shape(&mut self) -> Result<(bool, usize, usize), DataError> {
        let in_rows = match self.member("format", |array| array.read_word())?.as_str() {
            "csr" => true,
            "csc" => false,
            other => return Err(bad_array(self.path, "format", "csr or csc (convert with .tocsr())", other)),
        };
        let shape: Vec<i64> = self.vector("shape", |size| size)?;
        match shape[..] {
            [rows, cols] if rows >= 0 && cols >= 0 => Ok((in_rows, rows as usize, cols as usize)),
            _ => Err(bad_array(self.path, "shape", "two sizes", &format!("{shape:?}"))),
        }
    }

    fn check_indptr(&self, parts: &Parts) -> Result<(), DataError> {
        let indptr = &parts.indptr;
        let in_order = indptr.first() == Some(&0) && indptr.is_sorted();
        if !in_order || indptr.len() != parts.n_major.saturating_add(1) {
            let (expected, found) = (
                "offsets from 0 in increasing order, one more than rows",
                format!("{} offsets", indptr.len()),
            );
            return Err(bad_array(self.path, "indptr", expected, &found));
        }
        Ok(())
    }

    fn read_entries(&mut self, parts: &mut Parts) -> Result<(), DataError> {
        let nnz = parts.indptr[parts.n_major];
        let limit = parts.n_minor.min(u32::MAX as usize) as i64;
        let mut wrong: Option<(usize, i64)> = None;
        let mut at = 0;
        parts.indices = self.vector("indices", |index| {
            if !(0..limit).contains(&index) && wrong.is_none() {
                wrong = Some((at, index));
            }
            at += 1;
            index as u32
        })?;
        parts.values = self.member("data", |array| {
            let mut values = Vec::new();
            array.read_floats(array.vector_len()?, &mut values)?;
            Ok(values)
        })?;
        for (name, found) in [("indices", parts.indices.len()), ("data", parts.values.len())] {
            if found != nnz {
                let expected = "as many elements as the last offset says";
                return Err(bad_array(self.path, name, expected, &format!("{found} instead of {nnz}")));
            }
        }
        match wrong {
            Some((at, index)) => Err(self.out_of_range(parts, at, index)),
            None => self.check_finite(parts),
        }
    }

    fn out_of_range(&self, parts: &Parts, at: usize, index: i64) -> DataError {
        let place = Place { path: self.path, line: parts.major_of(at) as u64 + 1 };
        match (parts.in_rows, self.columns) {
            (true, Columns::Features) => place.feature_out_of_range(index, parts.n_minor),
            (true, Columns::Labels) => place.label_out_of_range(index, parts.n_minor),
            (false, _) => {
                bad_array(self.path, "indices", "row numbers below the number of rows", &index.to_string())
            }
        }
    }

    fn check_finite(&self, parts: &Parts) -> Result<(), DataError> {
        let Some(at) = parts.values.iter().position(|value| !value.is_finite()) else { return Ok(()) };
        let (major, minor) = (parts.major_of(at), parts.indices[at] as usize);
        let (row, col) = if parts.in_rows { (major, minor) } else { (minor, major) };
        let what = if self.columns == Columns::Labels { "label" } else { "feature" };
        let place = Place { path: self.path, line: row as u64 + 1 };
        Err(place.non_finite(what, col as u64, parts.values[at]))
    }

    fn vector<T>(&mut self, name: &'static str, map: impl FnMut(i64) -> T) -> Result<Vec<T>, DataError> {
        self.member(name, |array| {
            let mut values = Vec::new();
            array.read_integers(array.vector_len()?, &mut values, map)?;
            Ok(values)
        })
    }

    fn find(&mut self, name: &'static str) -> Result<ZipFile<'_, BufReader<File>>, DataError> {
        let path = self.path;
        self.archive.by_name(&format!("{name}.npy")).map_err(|error| match error {
            ZipError::FileNotFound => DataError::MissingMember { path: path.to_owned(), member: name },
            error => zip_error(path, error),
        })
    }

    /// A member apart from the archive, so that several can be read at a time.
    pub(super) fn detach(&mut self, name: &'static str) -> Result<ArrayReader<BufReader<Member>>, DataError> {
        let path = self.path;
        let found = self.find(name)?;
        let (start, bytes, method) = (found.data_start(), found.compressed_size(), found.compression());
        let crc = found.crc32();
        drop(found);
        let open = || -> io::Result<File> {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(start))?;
            Ok(file)
        };
        let file = open().map_err(|source| DataError::Open { path: path.to_owned(), source })?;
        let packed = BufReader::with_capacity(BUFFER, file.take(bytes));
        let bytes: Box<dyn Read + Send> = match method {
            CompressionMethod::Stored => Box::new(packed),
            // The archive has refused every other method by now.
            _ => Box::new(DeflateDecoder::new(packed)),
        };
        let member = Member { bytes: CrcReader::new(bytes), crc };
        ArrayReader::new(BufReader::with_capacity(BUFFER, member), path, name)
    }

    fn member<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut ArrayReader<&mut dyn Read>) -> Result<T, DataError>,
    ) -> Result<T, DataError> {
        let path = self.path;
        let mut member = self.find(name)?;
        let mut array = ArrayReader::new(&mut member as &mut dyn Read, path, name)?;
        let value = read(&mut array)?;
        array.finish()?;
        Ok(value)
    }
}

impl Parts {
    /// The row (column in CSC) in which entry `at` stands.
    fn major_of(&self, at: usize) -> usize {
        self.indptr.partition_point(|&start| start <= at) - 1
    }

    /// Sorts the entries of each row and sums duplicates, in place.
    fn sort(&mut self) {
        let sorted = |range: &[usize]| self.indices[range[0]..range[1]].is_sorted_by(|a, b| a < b);
        if self.indptr.windows(2).all(sorted) {
            return;
        }
        let (mut row, mut end) = (Vec::new(), 0);
        for major in 0..self.n_major {
            // `indptr[major]` may already be the new start: the old one is the end of the row before.
            let range = std::mem::replace(&mut end, self.indptr[major + 1])..self.indptr[major + 1];
            row.clear();
            row.extend(range.map(|at| (self.indices[at], self.values[at])));
            row.sort_by_key(|&(index, _)| index);
            self.indptr[major + 1] = self.write_row(self.indptr[major], &row);
        }
        self.indices.truncate(self.indptr[self.n_major]);
        self.values.truncate(self.indptr[self.n_major]);
    }

    /// Writes a sorted row from `start` on, which is never behind where it was read; returns its end.
    fn write_row(&mut self, start: usize, row: &[(u32, f32)]) -> usize {
        let mut end = start;
        for &(index, value) in row {
            if end > start && self.indices[end - 1] == index {
                self.values[end - 1] += value;
            } else {
                (self.indices[end], self.values[end]) = (index, value);
                end += 1;
            }
        }
        end
    }
}

fn without_zeros(matrix: Csr) -> Csr {
    if !matrix.values().contains(&0.0) {
        return matrix;
    }
    let rows = matrix.rows().map(|row| row.iter().filter(|&(_, value)| value != 0.0));
    Csr::from_rows(matrix.n_cols(), rows).expect("invariant: entries of a sound matrix")
}

fn zip_error(path: &Path, error: ZipError) -> DataError {
    match error {
        ZipError::Io(source) => io_error(path, Some(FORMAT), 0, source),
        // A zip file has its table at the end: cut short, it is no zip file at all.
        other => DataError::Corrupt {
            path: path.to_owned(),
            format: FORMAT,
            line: 0,
            source: io::Error::other(other),
        },
    }
}

/// Writes a matrix as `scipy.sparse.save_npz` does: CSR, `float32` values, `int32` indices (`int64` where
/// they are needed), deflated. `scipy.sparse.load_npz` and PECOS read it. The bytes depend on the matrix alone.
///
/// # Errors
/// [`DataError::Open`], [`DataError::Write`].
pub fn write_npz(path: impl AsRef<Path>, matrix: &Csr) -> Result<(), DataError> {
    let path = path.as_ref();
    let file = File::create(path).map_err(|source| DataError::Open { path: path.to_owned(), source })?;
    write_npz_to(BufWriter::new(file), matrix)
        .and_then(|mut out| out.flush())
        .map_err(|source| DataError::Write { path: path.to_owned(), source })
}

/// [`write_npz`] into any writer, which is given back.
///
/// # Errors
/// What the writer meets.
pub fn write_npz_to<W: Write + Seek>(out: W, matrix: &Csr) -> io::Result<W> {
    let shape = [matrix.n_rows(), matrix.n_cols()];
    let mut members = Members::new(out, shape, matrix.nnz() as u64, MemberForm::Deflated);
    let indices = matrix.indices().chunks(BLOCK);
    members.indices(indices.map(|block| block.iter().flat_map(|index| index.to_le_bytes()).collect()))?;
    let indptr: Vec<u64> = matrix.indptr().iter().map(|&offset| offset as u64).collect();
    members.indptr(&indptr)?;
    let values = matrix.values().chunks(BLOCK);
    members.data(values.map(|block| block.iter().flat_map(|value| value.to_le_bytes()).collect()))?;
    members.finish()
}

/// How the members of an archive are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MemberForm {
    Deflated,
    Stored,
}

/// The arrays of a matrix in the order in which they are written: `indices`, `indptr`, `data`.
pub(super) struct Members<W: Write + Seek> {
    zip: ZipWriter<W>,
    shape: [usize; 2],
    nnz: u64,
    /// Whether 32 bits suffice for indices and offsets.
    narrow: bool,
    form: MemberForm,
}

impl<W: Write + Seek> Members<W> {
    pub(super) fn new(out: W, shape: [usize; 2], nnz: u64, form: MemberForm) -> Self {
        let limit = i32::MAX as u64;
        let narrow = nnz <= limit && shape.iter().all(|&size| size as u64 <= limit);
        Self { zip: ZipWriter::new(out), shape, nnz, narrow, form }
    }

    fn kind(&self) -> &'static str {
        if self.narrow { "<i4" } else { "<i8" }
    }

    /// Blocks of little-endian `u32` indices.
    pub(super) fn indices(&mut self, blocks: impl Iterator<Item = Vec<u8>>) -> io::Result<()> {
        self.start("indices")?;
        let (kind, narrow) = (self.kind(), self.narrow);
        let widened = |block: Vec<u8>| match narrow {
            true => block,
            false => block.chunks_exact(4).flat_map(|index| index.iter().copied().chain([0; 4])).collect(),
        };
        write_array(&mut self.zip, kind, &[self.nnz], blocks.map(widened))
    }

    pub(super) fn indptr(&mut self, indptr: &[u64]) -> io::Result<()> {
        self.start("indptr")?;
        let (kind, narrow) = (self.kind(), self.narrow);
        let blocks =
            indptr.chunks(BLOCK).map(|block| integers(block.iter().map(|&offset| offset as i64), narrow));
        write_array(&mut self.zip, kind, &[indptr.len() as u64], blocks)
    }

    /// Blocks of little-endian `f32` values, and what says what the arrays are.
    pub(super) fn data(&mut self, blocks: impl Iterator<Item = Vec<u8>>) -> io::Result<()> {
        self.start("format")?;
        write_array(&mut self.zip, "|S3", &[], [b"csr".to_vec()].into_iter())?;
        self.start("shape")?;
        let shape = integers(self.shape.iter().map(|&size| size as i64), false);
        write_array(&mut self.zip, "<i8", &[2], [shape].into_iter())?;
        self.start("data")?;
        write_array(&mut self.zip, "<f4", &[self.nnz], blocks)
    }

    pub(super) fn finish(self) -> io::Result<W> {
        self.zip.finish().map_err(io::Error::from)
    }

    fn start(&mut self, name: &str) -> io::Result<()> {
        let method = match self.form {
            MemberForm::Deflated => CompressionMethod::Deflated,
            MemberForm::Stored => CompressionMethod::Stored,
        };
        // `large_file`: a member may pass 4 GiB, which is not known before it is written. The fixed time makes
        // equal matrices equal files.
        let options = SimpleFileOptions::default()
            .compression_method(method)
            .last_modified_time(zip::DateTime::default())
            .large_file(true);
        self.zip.start_file(format!("{name}.npy"), options).map_err(io::Error::from)
    }
}

fn integers(values: impl Iterator<Item = i64>, narrow: bool) -> Vec<u8> {
    match narrow {
        true => values.flat_map(|value| (value as i32).to_le_bytes()).collect(),
        false => values.flat_map(i64::to_le_bytes).collect(),
    }
}
