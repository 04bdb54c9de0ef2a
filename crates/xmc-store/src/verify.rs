//! Comparing every section with its checksum.
//!
//! Files are read, not mapped: a file that shrinks meanwhile is an error here and would be a bus error
//! there, and the pages of the model in use stay where they are.

use crate::container::check_sum;
use crate::header::{HEADER_BYTES, Header};
use crate::{Container, Result, SectionEntry, StoreError, mmap};
use rayon::prelude::*;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use xmc_sparse::Progress;
use xxhash_rust::xxh3::Xxh3;

const CHUNK_BYTES: usize = 1 << 20;

/// What [`Container::verify`] has read and found whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Number of sections.
    pub sections: usize,
    /// Bytes of all sections, without headers.
    pub bytes: u64,
}

pub(crate) fn verify(container: &Container, progress: &dyn Progress) -> Result<Report> {
    let manifest = container.manifest();
    let (sections, bytes) = (&manifest.sections, manifest.total_bytes());
    progress.begin("verify", Some(bytes), "bytes");
    let checked: Vec<Result<()>> = sections
        .par_iter()
        .enumerate()
        .map(|(at, entry)| match container.bytes_in_memory(at) {
            Some(bytes) => check(bytes, entry, &container.path_of(entry), progress),
            None => check_file(entry, &container.path_of(entry), progress),
        })
        .collect();
    progress.end();
    checked.into_iter().collect::<Result<()>>()?;
    Ok(Report { sections: sections.len(), bytes })
}

fn check_file(entry: &SectionEntry, path: &Path, progress: &dyn Progress) -> Result<()> {
    let mut file = File::open(path).map_err(|source| mmap::open_error(source, path, entry))?;
    let mut header = [0; HEADER_BYTES];
    file.read_exact(&mut header).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => wrong_size(entry, path, file_size(&file)),
        _ => StoreError::io("read the section", path)(error),
    })?;
    Header::of(entry).check(&header, path)?;
    check(file, entry, path, progress)
}

fn check(mut from: impl Read, entry: &SectionEntry, path: &Path, progress: &dyn Progress) -> Result<()> {
    let (mut hash, mut total, mut chunk) = (Xxh3::new(), 0, vec![0; CHUNK_BYTES]);
    loop {
        let read = match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(StoreError::io("read the section", path)(error)),
        };
        hash.update(&chunk[..read]);
        total += read as u64;
        progress.advance(read as u64);
    }
    if total != entry.bytes {
        return Err(wrong_size(entry, path, HEADER_BYTES as u64 + total));
    }
    check_sum(entry, hash.digest(), path)
}

fn wrong_size(entry: &SectionEntry, path: &Path, found: u64) -> StoreError {
    StoreError::WrongSize { path: path.to_path_buf(), expected: entry.file_bytes(), found }
}

fn file_size(file: &File) -> u64 {
    file.metadata().map_or(0, |metadata| metadata.len())
}
