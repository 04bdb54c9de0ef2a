//! Where predictions go: standard output, a device or pipe, or a file that appears when it is complete.

use crate::interrupt::Registration;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};
use tempfile::{Builder, NamedTempFile};

/// A buffered place to write to.
pub(crate) enum Destination {
    Stdout(BufWriter<io::Stdout>),
    /// Something that cannot be replaced: a device, a named pipe.
    Special(BufWriter<File>),
    /// A file under a temporary name beside its target.
    File {
        out: BufWriter<NamedTempFile>,
        target: PathBuf,
        registration: Registration,
    },
}

impl Destination {
    /// Standard output without a path or for `-`.
    pub(crate) fn open(path: Option<&Path>) -> io::Result<Self> {
        match path {
            None => Ok(Self::Stdout(BufWriter::new(io::stdout()))),
            Some(path) if path == Path::new("-") => Ok(Self::Stdout(BufWriter::new(io::stdout()))),
            Some(path) => Self::open_path(path),
        }
    }

    fn open_path(path: &Path) -> io::Result<Self> {
        // A link stays, and what it points to is replaced.
        let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        match target.metadata() {
            Ok(metadata) if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(metadata) if !metadata.is_file() => {
                OpenOptions::new().write(true).open(&target).map(BufWriter::new).map(Self::Special)
            }
            _ => Self::beside(target),
        }
    }

    fn beside(target: PathBuf) -> io::Result<Self> {
        let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty());
        let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let prefix = format!(".{}.", name.to_string_lossy());
        let mut builder = Builder::new();
        builder.prefix(&prefix).suffix(".tmp");
        // Like any file that is created, not readable by its owner alone.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(parent.unwrap_or(Path::new(".")))?;
        let registration = Registration::new(file.path());
        Ok(Self::File { out: BufWriter::new(file), target, registration })
    }

    /// Writes out what is buffered and gives the file its name.
    pub(crate) fn finish(self) -> io::Result<()> {
        match self {
            Self::Stdout(mut out) => out.flush(),
            Self::Special(mut out) => out.flush(),
            Self::File { out, target, registration } => {
                let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
                file.as_file().sync_all()?;
                file.persist(target)?;
                drop(registration);
                Ok(())
            }
        }
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::Special(out) => out.write(bytes),
            Self::File { out, .. } => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::Special(out) => out.flush(),
            Self::File { out, .. } => out.flush(),
        }
    }
}

/// Devices cannot, which shows when it is tried.
impl Seek for Destination {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        match self {
            Self::Stdout(_) => Err(io::ErrorKind::NotSeekable.into()),
            Self::Special(out) => out.seek(to),
            Self::File { out, .. } => out.seek(to),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(dir).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_appears_when_it_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.jsonl");
        std::fs::write(&path, "old").unwrap();
        let mut out = Destination::open(Some(&path)).unwrap();
        out.write_all(b"new").unwrap();
        out.flush().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        out.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(names(dir.path()), ["out.jsonl"]);
    }

    #[test]
    fn a_file_that_is_given_up_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut out = Destination::open(Some(&dir.path().join("out.tsv"))).unwrap();
        out.write_all(b"half").unwrap();
        drop(out);
        assert!(names(dir.path()).is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("target"), dir.path().join("link"));
        std::fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let mut out = Destination::open(Some(&link)).unwrap();
        out.write_all(b"new").unwrap();
        out.finish().unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "new");
    }

    #[test]
    fn a_directory_cannot_be_written_to() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Destination::open(Some(dir.path())).is_err());
    }
}
