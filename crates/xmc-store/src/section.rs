//! Writing one section: header, array, running checksum.

use crate::header::{HEADER_BYTES, Header};
use crate::writer::Shared;
use crate::{Buffer, Dtype, Element, Result, SectionEntry, StoreError};
use std::any::Any;
use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Enough that small pushes cost no system call, little enough for hundreds of open sections.
const BUFFER_BYTES: usize = 64 << 10;

/// One array being written, element by element or slice by slice.
///
/// It may move to another thread, and many may be open at once; each keeps one file open and a buffer
/// of 64 KiB. A section that is dropped without [`finish`](Self::finish) makes the commit fail.
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
    to: BufWriter<W>,
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
        let mut to = BufWriter::with_capacity(BUFFER_BYTES, to);
        to.write_all(&[0; HEADER_BYTES]).map_err(write_error(&path))?;
        Ok(Self { to, path, hash: Xxh3::new(), bytes: 0 })
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.to.write_all(bytes).map_err(write_error(&self.path))
    }

    /// Writes the header last, so that an unfinished file never passes for a section.
    pub(crate) fn finish(mut self, name: &str, dtype: Dtype) -> Result<SectionEntry> {
        let len = self.bytes / dtype.width() as u64;
        let entry = SectionEntry::new(name, dtype, len, self.hash.digest());
        let header = Header::of(&entry).to_bytes();
        self.to
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.to.write_all(&header))
            .and_then(|()| self.to.flush())
            .map_err(write_error(&self.path))?;
        Ok(entry)
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
    use std::io::{self, Cursor};

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
        let pushed = section.push(&vec![1; BUFFER_BYTES]);
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
        let pushed = section.push(&vec![1; BUFFER_BYTES]);
        assert!(matches!(pushed, Err(StoreError::DiskFull { .. })), "{pushed:?}");
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
