//! Bytes from a file or standard input, decompressed, and lines of text from them.
//!
//! Compression is told by the first bytes, never by the name: a `.gz` that a browser has unpacked
//! and a compressed file without an ending are both common.

use crate::DataError;
use flate2::read::MultiGzDecoder;
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Cursor, ErrorKind, Read},
    path::{Path, PathBuf},
};

/// Bytes read at once. Bounds the memory of a stream together with the longest line.
const BUFFER: usize = 1 << 18;
/// Bytes looked at to tell one text format from another.
const SNIFF: usize = 4096;

type Bytes = Box<dyn Read + Send>;

/// A decompressed stream of bytes that knows its name, for messages.
pub(crate) struct Source {
    bytes: Bytes,
    pub(crate) path: PathBuf,
    /// What the bytes were packed in; `None` for plain ones.
    packed: Option<&'static str>,
    /// Standard input: more may come later.
    live: bool,
}

impl Source {
    /// Opens `path`, or standard input for `-`.
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        if path == Path::new("-") {
            return Self::new(Box::new(io::stdin()), path.to_owned(), true);
        }
        let open_error = |source| DataError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(open_error)?;
        if file.metadata().map_err(open_error)?.is_dir() {
            return Err(open_error(ErrorKind::IsADirectory.into()));
        }
        Self::new(Box::new(file), path.to_owned(), false)
    }

    /// Any bytes under the name `path`. `live` bytes are handed on as they come.
    pub(crate) fn new(mut bytes: Bytes, path: PathBuf, live: bool) -> Result<Self, DataError> {
        const GZIP: &[u8] = &[0x1f, 0x8b];
        const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
        let head =
            read_head(&mut bytes, ZSTD.len(), |head| !GZIP.starts_with(head) && !ZSTD.starts_with(head))
                .map_err(|source| DataError::Read { path: path.clone(), line: 0, source })?;
        let (is_gzip, is_zstd) = (head.starts_with(GZIP), head == ZSTD);
        let whole = Cursor::new(head).chain(bytes);
        let (bytes, packed): (Bytes, _) = if is_gzip {
            (Box::new(MultiGzDecoder::new(BufReader::with_capacity(BUFFER, whole))), Some("gzip"))
        } else if is_zstd {
            let decoder = zstd::Decoder::new(whole).map_err(|source| DataError::Corrupt {
                path: path.clone(),
                format: "Zstandard",
                line: 0,
                source,
            })?;
            (Box::new(decoder), Some("Zstandard"))
        } else {
            (Box::new(whole), None)
        };
        Ok(Self { bytes, path, packed, live })
    }

    /// The first line, or the first few thousand bytes of it, left in the stream.
    pub(crate) fn peek(&mut self) -> Result<Vec<u8>, DataError> {
        let head = read_head(&mut self.bytes, SNIFF, |head| head.ends_with(b"\n"))
            .map_err(|source| io_error(&self.path, self.packed, 0, source))?;
        let rest = std::mem::replace(&mut self.bytes, Box::new(io::empty()));
        self.bytes = Box::new(Cursor::new(head.clone()).chain(rest));
        Ok(head)
    }

    /// Whether more may come later, so that a read may wait.
    pub(crate) fn is_live(&self) -> bool {
        self.live
    }

    /// The error of a read that failed behind line `line`.
    pub(crate) fn error(&self, line: u64, source: io::Error) -> DataError {
        io_error(&self.path, self.packed, line, source)
    }
}

impl Read for Source {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.bytes.read(into)
    }
}

/// Reads until `enough`, `limit` bytes or the end; byte by byte, so as never to wait for more than it needs.
fn read_head(bytes: &mut Bytes, limit: usize, enough: impl Fn(&[u8]) -> bool) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while head.len() < limit && (head.is_empty() || !enough(&head)) {
        match bytes.read(&mut byte) {
            Ok(0) => break,
            Ok(_) => head.push(byte[0]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(head)
}

/// A failed read, told apart: the file is cut short, damaged, or the system failed.
pub(crate) fn io_error(path: &Path, format: Option<&'static str>, line: u64, source: io::Error) -> DataError {
    let path = path.to_owned();
    match (format, source.kind()) {
        (Some(format), ErrorKind::UnexpectedEof) => DataError::Truncated { path, format, line },
        // zstd reports damage as `Other`, flate2 as `InvalidInput` or `InvalidData`.
        (Some(format), ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::Other) => {
            DataError::Corrupt { path, format, line, source }
        }
        _ => DataError::Read { path, line, source },
    }
}

/// Lines of a [`Source`], numbered from 1, without their ends (`\n` or `\r\n`) and without a byte order mark.
pub(crate) struct Lines {
    source: BufReader<Source>,
    line: Vec<u8>,
    number: u64,
    limit: usize,
}

impl Lines {
    pub(crate) fn new(source: Source, limit: usize) -> Self {
        Self { source: BufReader::with_capacity(BUFFER, source), line: Vec::new(), number: 0, limit }
    }

    /// Goes to the next line; false at the end.
    ///
    /// # Errors
    /// Besides failed reads, [`DataError::LineTooLong`]; the next call goes on behind that line.
    pub(crate) fn advance(&mut self) -> Result<bool, DataError> {
        self.line.clear();
        let (any, too_long) = self.fill_line()?;
        if !any {
            return Ok(false);
        }
        self.number += 1;
        if too_long {
            return Err(DataError::LineTooLong {
                path: self.path().to_owned(),
                line: self.number,
                limit: self.limit,
            });
        }
        if self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        if self.number == 1 && self.line.starts_with(b"\xef\xbb\xbf") {
            self.line.drain(..3);
        }
        Ok(true)
    }

    /// Reads up to the next line feed: whether there was anything, and whether it was too much to keep.
    fn fill_line(&mut self) -> Result<(bool, bool), DataError> {
        let (mut any, mut too_long) = (false, false);
        loop {
            let buffer = match self.source.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.source.get_ref().error(self.number, error)),
            };
            let end = memchr::memchr(b'\n', buffer);
            let part = &buffer[..end.unwrap_or(buffer.len())];
            any |= !buffer.is_empty();
            too_long |= self.line.len() + part.len() > self.limit;
            if !too_long {
                self.line.extend_from_slice(part);
            }
            let (last, used) = (end.is_some() || buffer.is_empty(), part.len() + usize::from(end.is_some()));
            self.source.consume(used);
            if last {
                return Ok((any, too_long));
            }
        }
    }

    /// The current line as it is.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.line
    }

    /// The current line as text.
    pub(crate) fn text(&self) -> Result<&str, DataError> {
        utf8(&self.line, self.path(), self.number)
    }

    /// Number of the current line, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn path(&self) -> &Path {
        &self.source.get_ref().path
    }

    /// Whether asking for a line would wait for a writer that may be slow.
    pub(crate) fn would_wait(&self) -> bool {
        self.source.get_ref().live && memchr::memchr(b'\n', self.source.buffer()).is_none()
    }
}

/// `bytes` as text, or the error that names the bad byte.
pub(crate) fn utf8<'a>(bytes: &'a [u8], path: &Path, line: u64) -> Result<&'a str, DataError> {
    std::str::from_utf8(bytes).map_err(|error| DataError::InvalidUtf8 {
        path: path.to_owned(),
        line,
        offset: error.valid_up_to(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn lines_of(bytes: &[u8], limit: usize) -> Lines {
        let source = Source::new(Box::new(Cursor::new(bytes.to_vec())), "memory".into(), false).unwrap();
        Lines::new(source, limit)
    }

    fn all(mut lines: Lines) -> Vec<String> {
        let mut out = Vec::new();
        while lines.advance().unwrap() {
            out.push(lines.text().unwrap().to_owned());
        }
        out
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn line_ends_and_the_byte_order_mark_are_removed() {
        assert_eq!(all(lines_of(b"\xef\xbb\xbfa\r\n\nb", 100)), ["a", "", "b"]);
        assert_eq!(all(lines_of(b"", 100)), [""; 0]);
    }

    #[test]
    fn gzip_members_follow_one_another() {
        let two = [gzip(b"a\nb"), gzip(b"c\n")].concat();
        assert_eq!(all(lines_of(&two, 100)), ["a", "bc"]);
    }

    #[test]
    fn zstandard_frames_are_read() {
        let two =
            [zstd::encode_all(&b"a\n"[..], 1).unwrap(), zstd::encode_all(&b"b\n"[..], 1).unwrap()].concat();
        assert_eq!(all(lines_of(&two, 100)), ["a", "b"]);
    }

    #[test]
    fn text_that_begins_like_a_magic_number_is_text() {
        assert_eq!(all(lines_of(b"(\nx", 100)), ["(", "x"]);
        assert_eq!(all(lines_of(b"(", 100)), ["("]);
    }

    #[test]
    fn a_peek_leaves_the_stream_whole() {
        let mut source =
            Source::new(Box::new(Cursor::new(b"one\ntwo".to_vec())), "memory".into(), false).unwrap();
        assert_eq!(source.peek().unwrap(), b"one\n");
        assert_eq!(all(Lines::new(source, 100)), ["one", "two"]);
    }

    #[test]
    fn a_line_over_the_limit_is_refused_and_the_next_one_read() {
        let mut lines = lines_of(b"short\nmuch too long\nend\n", 5);
        assert!(lines.advance().unwrap());
        assert!(matches!(lines.advance(), Err(DataError::LineTooLong { line: 2, limit: 5, .. })));
        assert!(lines.advance().unwrap());
        assert_eq!((lines.text().unwrap(), lines.number()), ("end", 3));
    }

    #[test]
    fn a_cut_gzip_file_is_truncated_and_a_damaged_one_corrupt() {
        let packed = gzip(&b"some text that is long enough\n".repeat(50));
        let mut cut = lines_of(&packed[..packed.len() - 12], 1 << 20);
        let error = loop {
            match cut.advance() {
                Ok(more) => assert!(more, "the end of a cut file must be an error"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, DataError::Truncated { format: "gzip", .. }), "{error}");
        let mut bad = packed.clone();
        let at = bad.len() - 6;
        bad[at] ^= 0xff;
        let mut damaged = lines_of(&bad, 1 << 20);
        let error = loop {
            match damaged.advance() {
                Ok(more) => assert!(more, "a wrong checksum must be an error"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, DataError::Corrupt { format: "gzip", .. }), "{error}");
    }

    #[test]
    fn a_cut_zstandard_file_is_truncated() {
        let packed = zstd::encode_all(&b"some text\n".repeat(99)[..], 1).unwrap();
        let mut lines = lines_of(&packed[..packed.len() - 3], 1 << 20);
        let error = std::iter::repeat_with(|| lines.advance()).find_map(Result::err).unwrap();
        assert!(matches!(error, DataError::Truncated { format: "Zstandard", .. }), "{error}");
    }

    #[test]
    fn bytes_that_are_no_text_are_located() {
        let mut lines = lines_of(b"ok\nab\xff\n", 100);
        lines.advance().unwrap();
        lines.advance().unwrap();
        assert!(matches!(lines.text(), Err(DataError::InvalidUtf8 { line: 2, offset: 2, .. })));
    }
}
