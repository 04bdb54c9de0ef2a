//! The 64 bytes at the start of each section file.
//!
//! They repeat the manifest's entry, so that a stray file can be identified, and so that a file of
//! another model is noticed at once (the checksum is part of the header). 64 bytes keep the array
//! behind them on a cache line. An unfinished file has zeros here.

use crate::{Dtype, SectionEntry, StoreError};
use std::ops::Range;
use std::path::Path;

/// Bytes before the array.
pub(crate) const HEADER_BYTES: usize = 64;

/// The first byte is no text and the last is a line feed: a transfer in text mode breaks it visibly.
const MAGIC: &[u8; 8] = b"\x89xmcsec\n";

/// Layout of the header itself; format versions may come and go without changing it.
const LAYOUT: u32 = 1;

/// The header of a section file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) dtype: Dtype,
    pub(crate) len: u64,
    pub(crate) xxh3: u64,
}

/// How a field is shown in an error.
type Show = fn(&[u8]) -> String;

/// Name, place and rendering of each field, in order, without gaps.
const FIELDS: [(&str, Range<usize>, Show); 7] = [
    ("the magic number", 0..8, text),
    ("the layout of the header", 8..12, number),
    ("reserved space", 12..16, number),
    ("the element type", 16..24, text),
    ("the number of elements", 24..32, number),
    ("the checksum", 32..40, checksum),
    ("reserved space", 40..64, text),
];

fn text(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

fn number(bytes: &[u8]) -> String {
    little_endian(bytes).to_string()
}

fn checksum(bytes: &[u8]) -> String {
    format!("{:016x}", little_endian(bytes))
}

impl Header {
    /// The header that the file of `entry` must have.
    pub(crate) fn of(entry: &SectionEntry) -> Self {
        Self { dtype: entry.dtype, len: entry.len, xxh3: entry.xxh3 }
    }

    pub(crate) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let dtype = self.dtype.name().as_bytes();
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&LAYOUT.to_le_bytes());
        bytes[16..16 + dtype.len()].copy_from_slice(dtype);
        bytes[24..32].copy_from_slice(&self.len.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.xxh3.to_le_bytes());
        bytes
    }

    /// What a complete header says; `None` for anything else.
    pub(crate) fn parse(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let name = bytes[16..24].split(|&byte| byte == 0).next()?;
        let dtype = Dtype::from_name(std::str::from_utf8(name).ok()?)?;
        let this = Self { dtype, len: little_endian(&bytes[24..32]), xxh3: little_endian(&bytes[32..40]) };
        (this.to_bytes() == *bytes).then_some(this)
    }

    /// Compares with the first bytes of the file at `path`.
    ///
    /// # Errors
    /// [`StoreError::HeaderMismatch`] names the first field that differs.
    pub(crate) fn check(self, found: &[u8], path: &Path) -> Result<(), StoreError> {
        let expected = self.to_bytes();
        for (field, range, show) in FIELDS {
            let (expected, found) = (&expected[range.clone()], &found[range]);
            if expected != found {
                return Err(StoreError::HeaderMismatch {
                    path: path.to_path_buf(),
                    field,
                    expected: show(expected),
                    found: show(found),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_tile_the_header() {
        let mut end = 0;
        for (_, range, _) in FIELDS {
            assert_eq!(range.start, end);
            end = range.end;
        }
        assert_eq!(end, HEADER_BYTES);
    }

    #[test]
    fn each_changed_byte_is_noticed() {
        let header = Header { dtype: Dtype::Record, len: 3, xxh3: 7 };
        let path = Path::new("x.bin");
        let bytes = header.to_bytes();
        header.check(&bytes, path).unwrap();
        let parsed = Header::parse(&bytes).unwrap();
        assert_eq!((parsed.dtype, parsed.len, parsed.xxh3), (Dtype::Record, 3, 7));
        assert!(Header::parse(&[0; HEADER_BYTES]).is_none());
        for at in 0..HEADER_BYTES {
            let mut bytes = bytes;
            bytes[at] ^= 1;
            assert!(header.check(&bytes, path).is_err(), "byte {at}");
        }
    }
}
