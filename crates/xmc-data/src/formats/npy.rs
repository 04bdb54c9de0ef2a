//! NumPy arrays: `.npy` files and the members of `.npz` archives.
//!
//! [`npyz`] reads and writes the headers; the elements are converted here block by block, straight into
//! the vector that is wanted, so that a matrix of gigabytes is never held twice.

use crate::{
    DataError,
    error::Excerpt,
    record::{Place, Record, RecordSource},
    source::{Source, io_error},
};
use ndarray::{Array2, ArrayView2, ShapeBuilder};
use npyz::{DType, Endianness, NpyHeader, Order, TypeChar, TypeStr, WriteOptions, WriterBuilder};
use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

const BLOCK: usize = 1 << 18;
const FORMAT: &str = "NumPy array";

/// The element types that can be numbers here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Bool,
    Int(u64),
    Uint(u64),
    Float(u64),
}

/// The elements of one array, from a stream.
pub(crate) struct ArrayReader<R> {
    bytes: R,
    path: PathBuf,
    name: &'static str,
    header: NpyHeader,
    kind: TypeStr,
    block: Vec<u8>,
}

impl<R: Read> ArrayReader<R> {
    /// Reads the header. `name` is the array's name in messages.
    pub(crate) fn new(mut bytes: R, path: &Path, name: &'static str) -> Result<Self, DataError> {
        let header =
            NpyHeader::from_reader(&mut bytes).map_err(|source| io_error(path, Some(FORMAT), 0, source))?;
        let kind = match header.dtype() {
            DType::Plain(kind) => kind,
            other => return Err(bad_array(path, name, "an array of numbers", &other.descr())),
        };
        Ok(Self { bytes, path: path.to_owned(), name, header, kind, block: Vec::new() })
    }

    pub(crate) fn shape(&self) -> &[u64] {
        self.header.shape()
    }

    /// The length of a vector.
    pub(crate) fn vector_len(&self) -> Result<usize, DataError> {
        match *self.shape() {
            [len] => Ok(len as usize),
            ref other => Err(bad_array(&self.path, self.name, "one dimension", &format!("shape {other:?}"))),
        }
    }

    fn element(&self, expected: &'static str) -> Result<Element, DataError> {
        let size = self.kind.size_field();
        match (self.kind.type_char(), size) {
            (TypeChar::Bool, 1) => Ok(Element::Bool),
            (TypeChar::Int, 1 | 2 | 4 | 8) => Ok(Element::Int(size)),
            (TypeChar::Uint, 1 | 2 | 4 | 8) => Ok(Element::Uint(size)),
            (TypeChar::Float, 2 | 4 | 8) => Ok(Element::Float(size)),
            _ => Err(bad_array(&self.path, self.name, expected, &self.kind.to_string())),
        }
    }

    /// The next `count` elements as `f32`, appended to `into`.
    pub(crate) fn read_floats(&mut self, count: usize, into: &mut Vec<f32>) -> Result<(), DataError> {
        let element = self.element("numbers of 8 to 64 bits")?;
        let big = self.kind.endianness() == Endianness::Big;
        self.reserve(count, into)?;
        self.blocks(count, |block| decode_floats(block, element, big, into))
    }

    /// The next `count` elements, which are integers, mapped and appended to `into`. Unsigned values beyond
    /// `i64` come as `i64::MAX`.
    pub(crate) fn read_integers<T>(
        &mut self,
        count: usize,
        into: &mut Vec<T>,
        mut map: impl FnMut(i64) -> T,
    ) -> Result<(), DataError> {
        const EXPECTED: &str = "integers of 8 to 64 bits";
        let element = self.element(EXPECTED)?;
        if let Element::Float(_) | Element::Bool = element {
            return Err(bad_array(&self.path, self.name, EXPECTED, &self.kind.to_string()));
        }
        let big = self.kind.endianness() == Endianness::Big;
        self.reserve(count, into)?;
        self.blocks(count, |block| decode_integers(block, element, big, &mut |value| into.push(map(value))))
    }

    /// A short string array of no dimensions, such as the `format` of a SciPy matrix.
    pub(crate) fn read_word(&mut self) -> Result<String, DataError> {
        let size = match (self.kind.type_char(), self.kind.size_field()) {
            (TypeChar::ByteStr, size @ ..=64) => size as usize,
            (TypeChar::UnicodeStr, size @ ..=64) => 4 * size as usize,
            _ => return Err(bad_array(&self.path, self.name, "a short string", &self.kind.to_string())),
        };
        let mut bytes = vec![0; size];
        self.bytes.read_exact(&mut bytes).map_err(|source| io_error(&self.path, Some(FORMAT), 0, source))?;
        // UTF-32 of ASCII in either byte order: the other bytes are zero.
        bytes.retain(|&byte| byte != 0);
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Checks that the stream ends here; in an archive this is also what checks the checksum.
    pub(crate) fn finish(&mut self) -> Result<(), DataError> {
        match self.bytes.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => {
                Err(bad_array(&self.path, self.name, "as many elements as its shape says", "more bytes"))
            }
            Err(source) => Err(io_error(&self.path, Some(FORMAT), 0, source)),
        }
    }

    /// Makes room, unless the header promises what no memory can hold.
    fn reserve<T>(&self, count: usize, into: &mut Vec<T>) -> Result<(), DataError> {
        into.try_reserve_exact(count).map_err(|_| {
            bad_array(&self.path, self.name, "an array that fits in memory", &format!("{count} elements"))
        })
    }

    fn blocks(&mut self, count: usize, mut each: impl FnMut(&[u8])) -> Result<(), DataError> {
        let size = self.kind.num_bytes().unwrap_or(1);
        let mut left = count.saturating_mul(size);
        while left > 0 {
            self.block.resize(left.min(BLOCK), 0);
            self.bytes
                .read_exact(&mut self.block)
                .map_err(|source| io_error(&self.path, Some(FORMAT), 0, source))?;
            each(&self.block);
            left -= self.block.len();
        }
        Ok(())
    }
}

/// Runs `$each` for every element of type `$ty` in `$block`.
macro_rules! decode {
    ($block:expr, $big:expr, $ty:ty, $each:expr) => {
        for bytes in $block.chunks_exact(size_of::<$ty>()) {
            let bytes = bytes.try_into().expect("invariant: chunks have the size of the element");
            $each(if $big { <$ty>::from_be_bytes(bytes) } else { <$ty>::from_le_bytes(bytes) });
        }
    };
}

fn decode_floats(block: &[u8], element: Element, big: bool, into: &mut Vec<f32>) {
    match element {
        Element::Float(2) => decode!(block, big, u16, |bits| into.push(half::f16::from_bits(bits).to_f32())),
        Element::Float(4) => decode!(block, big, f32, |value| into.push(value)),
        Element::Float(_) => decode!(block, big, f64, |value| into.push(value as f32)),
        Element::Bool => into.extend(block.iter().map(|&byte| f32::from(u8::from(byte != 0)))),
        _ => decode_integers(block, element, big, &mut |value| into.push(value as f32)),
    }
}

fn decode_integers(block: &[u8], element: Element, big: bool, each: &mut impl FnMut(i64)) {
    match element {
        Element::Int(1) => decode!(block, big, i8, |value| each(i64::from(value))),
        Element::Int(2) => decode!(block, big, i16, |value| each(i64::from(value))),
        Element::Int(4) => decode!(block, big, i32, |value| each(i64::from(value))),
        Element::Int(_) => decode!(block, big, i64, each),
        Element::Uint(1) => decode!(block, big, u8, |value| each(i64::from(value))),
        Element::Uint(2) => decode!(block, big, u16, |value| each(i64::from(value))),
        Element::Uint(4) => decode!(block, big, u32, |value| each(i64::from(value))),
        Element::Uint(_) => decode!(block, big, u64, |value| each(i64::try_from(value).unwrap_or(i64::MAX))),
        Element::Bool | Element::Float(_) => unreachable!("invariant: only integers come here"),
    }
}

pub(crate) fn bad_array(path: &Path, array: &'static str, expected: &'static str, found: &str) -> DataError {
    DataError::BadArray { path: path.to_owned(), array, expected, found: Excerpt::new(found) }
}

/// Reads a dense matrix of `n × d` from a `.npy` file (compressed or not, `-` for standard input); elements
/// of any real type of at most 64 bits become `f32`. Values are not looked at.
///
/// # Errors
/// [`DataError::Open`], [`DataError::Truncated`], [`DataError::Corrupt`], [`DataError::BadArray`].
pub fn read_npy(path: impl AsRef<Path>) -> Result<Array2<f32>, DataError> {
    let path = path.as_ref();
    let source = BufReader::new(Source::open(path)?);
    read_matrix(ArrayReader::new(source, path, "dense features")?)
}

fn read_matrix<R: Read>(mut array: ArrayReader<R>) -> Result<Array2<f32>, DataError> {
    let (n_rows, n_cols) = matrix_shape(&array)?;
    let mut values = Vec::new();
    array.read_floats(n_rows.saturating_mul(n_cols), &mut values)?;
    let in_columns = array.header.order() == Order::Fortran;
    array.finish()?;
    Ok(Array2::from_shape_vec((n_rows, n_cols).set_f(in_columns), values)
        .expect("invariant: as many values as the shape says were read"))
}

fn matrix_shape<R: Read>(array: &ArrayReader<R>) -> Result<(usize, usize), DataError> {
    match *array.shape() {
        [n_rows, n_cols] if u32::try_from(n_cols).is_ok() => Ok((n_rows as usize, n_cols as usize)),
        ref other => Err(bad_array(&array.path, array.name, "two dimensions", &format!("shape {other:?}"))),
    }
}

/// Writes the header and then the bytes of an array of little-endian elements.
pub(crate) fn write_array(
    out: &mut impl Write,
    kind: &str,
    shape: &[u64],
    blocks: impl Iterator<Item = Vec<u8>>,
) -> io::Result<()> {
    let kind: TypeStr = kind.parse().expect("invariant: a type string of NumPy");
    WriteOptions::new_header_only()
        .dtype(DType::Plain(kind))
        .shape(shape)
        .writer(&mut *out)
        .write_header_only()?;
    blocks.into_iter().try_for_each(|block| out.write_all(&block))
}

/// Writes a dense matrix as `float32` in row order, as `numpy.save` does.
///
/// # Errors
/// [`DataError::Open`], [`DataError::Write`].
pub fn write_npy(path: impl AsRef<Path>, matrix: ArrayView2<'_, f32>) -> Result<(), DataError> {
    let path = path.as_ref();
    let file = File::create(path).map_err(|source| DataError::Open { path: path.to_owned(), source })?;
    let mut out = BufWriter::new(file);
    write_npy_to(&mut out, matrix)
        .and_then(|()| out.flush())
        .map_err(|source| DataError::Write { path: path.to_owned(), source })
}

/// As [`write_npy`], to a file that is open.
///
/// # Errors
/// What writing runs into.
pub fn write_npy_to(out: &mut impl Write, matrix: ArrayView2<'_, f32>) -> io::Result<()> {
    let shape = [matrix.nrows() as u64, matrix.ncols() as u64];
    let rows =
        matrix.rows().into_iter().map(|row| row.iter().flat_map(|value| value.to_le_bytes()).collect());
    write_array(out, "<f4", &shape, rows)
}

/// The rows of a `.npy` file one by one, in bounded memory unless the file is in column order.
pub(crate) struct DenseRows {
    rows: Rows,
    path: PathBuf,
    width: usize,
    n_rows: usize,
    next: usize,
}

enum Rows {
    Stream { bytes: BufReader<Source>, element: Element, big: bool, block: Vec<u8> },
    Held(Array2<f32>),
}

impl DenseRows {
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        let source = BufReader::with_capacity(BLOCK, Source::open(path)?);
        let array = ArrayReader::new(source, path, "dense features")?;
        let (n_rows, width) = matrix_shape(&array)?;
        let element = array.element("numbers of 8 to 64 bits")?;
        let rows = if array.header.order() == Order::C {
            let size = array.kind.num_bytes().unwrap_or(1);
            let big = array.kind.endianness() == Endianness::Big;
            Rows::Stream { bytes: array.bytes, element, big, block: vec![0; size * width] }
        } else {
            Rows::Held(read_matrix(array)?)
        };
        Ok(Self { rows, path: path.to_owned(), width, n_rows, next: 0 })
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// The next row into `into`; false at the end. A NaN makes a bad record.
    pub(crate) fn read(&mut self, into: &mut Vec<f32>) -> Result<bool, DataError> {
        if self.next == self.n_rows {
            return Ok(false);
        }
        match &mut self.rows {
            Rows::Held(rows) => into.extend(rows.row(self.next)),
            Rows::Stream { bytes, element, big, block } => {
                bytes.read_exact(block).map_err(|source| io_error(&self.path, Some(FORMAT), 0, source))?;
                decode_floats(block, *element, *big, into);
            }
        }
        self.next += 1;
        match into.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(Place { path: &self.path, line: self.next as u64 }.non_finite(
                "dense column",
                at as u64,
                into[at],
            )),
            None => Ok(true),
        }
    }
}

/// A `.npy` file as a data set of its own: no sparse features, only dense ones.
pub(crate) struct NpyRows(pub(crate) DenseRows);

impl RecordSource for NpyRows {
    fn read(&mut self, record: &mut Record) -> Result<bool, DataError> {
        record.line = self.0.next as u64 + 1;
        self.0.read(&mut record.dense)
    }

    fn path(&self) -> &Path {
        &self.0.path
    }

    fn n_features(&self) -> Option<usize> {
        Some(0)
    }
}
