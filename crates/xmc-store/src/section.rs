//! Writing one section: header, array, running checksum.

use crate::header::{HEADER_BYTES, Header};
use crate::writer::Shared;
use crate::{Buffer, Dtype, Element, Result, SectionEntry, StoreError};
use std::any::Any;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// What is written at once. A file that is written in blocks of a huge page, each at a multiple of its length, lies in huge pages on file systems that have
/// them (Linux: XFS, ext4 since 6.16, tmpfs), and is mapped by them: a query that goes all over a large model then does not
/// wait for the translation of addresses as well.
const BLOCK_BYTES: usize = 2 << 20;

/// One array being written, element by element or slice by slice.
///
/// It may move to another thread, and several may be open at once; each keeps one file open and a buffer of 2 MiB, or of its
/// length if it is shorter. A section that is dropped without [`finish`](Self::finish) makes the commit fail.
pub struct SectionWriter<T: Element> {
    shared: Arc<Shared>,
    name: String,
    place: Place<T>,
}

enum Place<T> {
    File(Box<SectionFile<File>>),
    Memory(Vec<T>),
}

impl<T: Element> SectionWriter<T> {
    pub(crate) fn new(shared: Arc<Shared>, name: &str) -> Result<Self> {
        let place = match shared.begin(name)? {
            None => Place::Memory(Vec::new()),
            Some(path) => Place::File(Box::new(SectionFile::create(path)?)),
        };
        Ok(Self { shared, name: name.to_string(), place })
    }

    /// Appends `values`.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`], [`StoreError::Io`].
    pub fn push(&mut self, values: &[T]) -> Result<()> {
        match &mut self.place {
            Place::Memory(all) => all.extend_from_slice(values),
            Place::File(file) => file.push(bytemuck::cast_slice(values))?,
        }
        Ok(())
    }

    /// Completes the section.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`], [`StoreError::Io`].
    pub fn finish(self) -> Result<()> {
        let (entry, memory) = match self.place {
            Place::File(file) => (file.finish(&self.name, T::DTYPE)?, None),
            Place::Memory(values) => {
                let (entry, section) = in_memory(&self.name, T::DTYPE, Buffer::from(values));
                (entry, Some(section))
            }
        };
        self.shared.finish(entry, memory);
        Ok(())
    }
}

/// A section of a container without a directory: a [`Buffer`] of the section's type.
pub(crate) trait MemorySection: Any + Send + Sync {
    fn bytes(&self) -> &[u8];
    fn as_any(&self) -> &dyn Any;
}

impl<T: Element> MemorySection for Buffer<T> {
    fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The entry of `values`, and `values` as a section.
pub(crate) fn in_memory<T: Element>(
    name: &str,
    dtype: Dtype,
    values: Buffer<T>,
) -> (SectionEntry, Arc<dyn MemorySection>) {
    let entry = SectionEntry::new(name, dtype, values.len() as u64, xxh3_64(values.bytes()));
    (entry, Arc::new(values))
}

/// A section file that is not complete: its header is still zeros.
pub(crate) struct SectionFile<W: Write + Seek> {
    to: Blocks<W>,
    path: PathBuf,
    hash: Xxh3,
    bytes: u64,
}

impl SectionFile<File> {
    pub(crate) fn create(path: PathBuf) -> Result<Self> {
        let file = File::create_new(&path).map_err(StoreError::io("create the section", &path))?;
        Self::new(file, path)
    }
}

impl<W: Write + Seek> SectionFile<W> {
    fn new(to: W, path: PathBuf) -> Result<Self> {
        let mut to = Blocks { to, block: Vec::new() };
        to.push(&[0; HEADER_BYTES]).map_err(write_error(&path))?;
        Ok(Self { to, path, hash: Xxh3::new(), bytes: 0 })
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.to.push(bytes).map_err(write_error(&self.path))
    }

    /// Writes the header last, so that an unfinished file never passes for a section.
    pub(crate) fn finish(mut self, name: &str, dtype: Dtype) -> Result<SectionEntry> {
        let len = self.bytes / dtype.width() as u64;
        let entry = SectionEntry::new(name, dtype, len, self.hash.digest());
        let header = Header::of(&entry).to_bytes();
        self.to.finish(&header).map_err(write_error(&self.path))?;
        Ok(entry)
    }
}

/// A file that is written in blocks of [`BLOCK_BYTES`], but for the last one.
struct Blocks<W> {
    to: W,
    /// What there is of the next block.
    block: Vec<u8>,
}

impl<W: Write + Seek> Blocks<W> {
    fn push(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while self.block.len() + bytes.len() >= BLOCK_BYTES {
            let (rest_of_block, rest) = bytes.split_at(BLOCK_BYTES - self.block.len());
            if self.block.is_empty() {
                self.to.write_all(rest_of_block)?;
            } else {
                self.block.extend_from_slice(rest_of_block);
                self.to.write_all(&self.block)?;
                self.block.clear();
            }
            bytes = rest;
        }
        self.block.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes what is left, and `header` over the file's first bytes.
    fn finish(&mut self, header: &[u8]) -> io::Result<()> {
        self.to.write_all(&self.block)?;
        self.to.seek(SeekFrom::Start(0))?;
        self.to.write_all(header)?;
        self.to.flush()
    }
}

fn write_error(path: &Path) -> impl Fn(std::io::Error) -> StoreError + '_ {
    StoreError::io("write the section", path)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "linux")]
    use std::fs::OpenOptions;
    use std::io::Cursor;

    /// Accepts nothing more: what a quota or a full device may look like.
    struct Stuck;

    impl Write for Stuck {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Ok(0)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Seek for Stuck {
        fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
            Ok(0)
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_device_is_an_error_of_its_own() {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut section = SectionFile::new(full, "/dev/full".into()).unwrap();
        let pushed = section.push(&vec![1; BLOCK_BYTES]);
        assert!(matches!(pushed, Err(StoreError::DiskFull { .. })), "{pushed:?}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_device_is_noticed_by_finish_at_the_latest() {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut section = SectionFile::new(full, "/dev/full".into()).unwrap();
        section.push(&[1, 2, 3]).unwrap();
        let finished = section.finish("a", Dtype::U8);
        assert!(matches!(finished, Err(StoreError::DiskFull { .. })), "{finished:?}");
    }

    #[test]
    fn a_device_that_takes_no_more_bytes_is_full() {
        let mut section = SectionFile::new(Stuck, "x".into()).unwrap();
        let pushed = section.push(&vec![1; BLOCK_BYTES]);
        assert!(matches!(pushed, Err(StoreError::DiskFull { .. })), "{pushed:?}");
    }

    /// Where writes of a file began and ended.
    #[derive(Default)]
    struct Writes {
        at: u64,
        ranges: Vec<(u64, u64)>,
    }

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let end = self.at + bytes.len() as u64;
            self.ranges.push((self.at, end));
            self.at = end;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Seek for Writes {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            assert_eq!(to, SeekFrom::Start(0));
            self.at = 0;
            Ok(0)
        }
    }

    #[test]
    fn blocks_of_a_huge_page_are_written_at_multiples_of_it() {
        let (mut writes, block, header) = (Writes::default(), BLOCK_BYTES as u64, HEADER_BYTES as u64);
        let mut section = SectionFile::new(&mut writes, "x".into()).unwrap();
        for n_bytes in [10, 3 * BLOCK_BYTES, BLOCK_BYTES - HEADER_BYTES - 10, 7] {
            section.push(&vec![0; n_bytes]).unwrap();
        }
        section.finish("a", Dtype::U8).unwrap();
        let whole = (0..4).map(|at| (at * block, (at + 1) * block));
        assert_eq!(writes.ranges, whole.chain([(4 * block, 4 * block + 7), (0, header)]).collect::<Vec<_>>());
    }

    #[test]
    fn the_file_is_the_header_and_the_array() {
        let mut bytes = Cursor::new(Vec::new());
        let mut section = SectionFile::new(&mut bytes, "x".into()).unwrap();
        section.push(&[1, 0, 2]).unwrap();
        section.push(&[0]).unwrap();
        let entry = section.finish("a", Dtype::U16).unwrap();
        assert_eq!((entry.len, entry.bytes, entry.xxh3), (2, 4, xxh3_64(&[1, 0, 2, 0])));
        let bytes = bytes.into_inner();
        assert_eq!(bytes.len() as u64, entry.file_bytes());
        Header::of(&entry).check(&bytes[..HEADER_BYTES], Path::new("x")).unwrap();
        assert_eq!(&bytes[HEADER_BYTES..], &[1, 0, 2, 0]);
    }
}
