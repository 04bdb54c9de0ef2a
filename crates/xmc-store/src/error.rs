//! Every way that a model on disk can be wrong, and every way that writing one can fail.

use crate::{Dtype, Kind};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Stands for the path of a container that lives in memory.
pub(crate) const MEMORY: &str = "<memory>";

/// A model or a data set that cannot be read or written. Paths are those of the file concerned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no directory at the path given.
    #[error("{}: not a {kind} directory: expected a directory with a manifest.json, found {found}", path.display())]
    NotADirectory {
        /// The path given.
        path: PathBuf,
        /// `nothing` or `a file`.
        found: &'static str,
        /// What was to be opened.
        kind: Kind,
    },
    /// A directory without a manifest.
    #[error("{}: the manifest is missing, so {} is not a {kind} directory (or an incomplete copy of one)", path.display(), parent(path))]
    ManifestMissing {
        /// Where the manifest should be.
        path: PathBuf,
        /// What was to be opened.
        kind: Kind,
    },
    /// The manifest is no JSON, or no manifest.
    #[error("{}: not a valid manifest: {source}", path.display())]
    ManifestInvalid {
        /// The manifest.
        path: PathBuf,
        /// Line, column and what was expected there.
        source: serde_json::Error,
    },
    /// The manifest belongs to another program, or to another kind of container.
    #[error("{}: {}", path.display(), other_format(*expected, found))]
    WrongFormat {
        /// The manifest.
        path: PathBuf,
        /// What was to be opened.
        expected: Kind,
        /// The format name in the manifest.
        found: String,
    },
    /// Written by a later version of xmc.
    #[error(
        "{}: format version {found}, written by a newer xmc; this one reads {oldest}..={newest}: upgrade xmc",
        path.display()
    )]
    VersionTooNew {
        /// The manifest.
        path: PathBuf,
        /// Version in the manifest.
        found: u32,
        /// Oldest version read.
        oldest: u32,
        /// Newest version read.
        newest: u32,
    },
    /// Written by a version of xmc that is no longer read.
    #[error(
        "{}: format version {found}, written by an older xmc; this one reads {oldest}..={newest}: {}",
        path.display(), kind.remedy()
    )]
    VersionTooOld {
        /// The manifest.
        path: PathBuf,
        /// Version in the manifest.
        found: u32,
        /// Oldest version read.
        oldest: u32,
        /// Newest version read.
        newest: u32,
        /// What it is.
        kind: Kind,
    },
    /// An entry of the section table contradicts itself or another.
    #[error("{}: section {name:?}: {field} is {found}, expected {expected}", path.display())]
    SectionTable {
        /// The manifest.
        path: PathBuf,
        /// The section.
        name: String,
        /// Which part of the entry.
        field: &'static str,
        /// What follows from the rest of the table.
        expected: String,
        /// What the entry says.
        found: String,
    },
    /// A section name that could be used to leave the directory, or that some file system cannot hold.
    #[error(
        "{}: unsafe section name {name:?}: expected lower-case letters, digits, '_' and '-' in segments between '/'",
        path.display()
    )]
    UnsafeSectionName {
        /// The manifest, or the directory being written.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// There is no such section.
    #[error("{}: no section {name:?}: of another kind, or written by an older xmc?", path.display())]
    SectionMissing {
        /// The manifest.
        path: PathBuf,
        /// The section asked for.
        name: String,
    },
    /// The manifest names a section whose file is not there.
    #[error("{}: the file of section {name:?} is missing: the copy is incomplete", path.display())]
    SectionFileMissing {
        /// Where the file should be.
        path: PathBuf,
        /// The section.
        name: String,
    },
    /// A section file is shorter or longer than the manifest says.
    #[error(
        "{}: {} file: {found} bytes, expected {expected}; copy the directory again",
        path.display(), if found < expected { "truncated" } else { "overlong" }
    )]
    WrongSize {
        /// The section file.
        path: PathBuf,
        /// Bytes that the manifest states, header included.
        expected: u64,
        /// Bytes of the file.
        found: u64,
    },
    /// A section holds another type than the one asked for.
    #[error("{}: section {name:?} holds {found}, expected {expected}", path.display())]
    DtypeMismatch {
        /// The manifest.
        path: PathBuf,
        /// The section.
        name: String,
        /// The type asked for.
        expected: Dtype,
        /// The type in the file.
        found: Dtype,
    },
    /// The header of a section file is not the one that the manifest describes.
    #[error(
        "{}: {field} in the header is {found}, the manifest says {expected}: a damaged file, or one of another directory (was it replaced while it was open?)",
        path.display()
    )]
    HeaderMismatch {
        /// The section file.
        path: PathBuf,
        /// Which field of the header.
        field: &'static str,
        /// From the manifest.
        expected: String,
        /// From the file.
        found: String,
    },
    /// The bytes of a section are not those that were written.
    #[error("{}: damaged: checksum {found:016x}, expected {expected:016x}; copy the directory again", path.display())]
    ChecksumMismatch {
        /// The section file.
        path: PathBuf,
        /// XXH3-64 from the manifest.
        expected: u64,
        /// XXH3-64 of the bytes.
        found: u64,
    },
    /// A record does not decode into the type asked for.
    #[error("{}: section {name:?} is not the record expected: {source}", path.display())]
    RecordUndecodable {
        /// The section file.
        path: PathBuf,
        /// The section.
        name: String,
        /// What the decoder met.
        source: bincode::error::DecodeError,
    },
    /// A record has bytes after its end.
    #[error("{}: section {name:?} is not the record expected: {found} bytes, of which the record takes {expected}", path.display())]
    RecordOverlong {
        /// The section file.
        path: PathBuf,
        /// The section.
        name: String,
        /// Bytes that the record takes.
        expected: usize,
        /// Bytes of the section.
        found: usize,
    },
    /// A value that the record encoding cannot express.
    #[error("section {name:?} cannot be encoded as a record: {source}")]
    RecordUnencodable {
        /// The section.
        name: String,
        /// What the encoder met.
        source: bincode::error::EncodeError,
    },
    /// A record over the limit: bulk data belongs in arrays.
    #[error("section {name:?}: a record of {found} bytes, at most {limit}; store bulk data as arrays")]
    RecordTooLarge {
        /// The section.
        name: String,
        /// Bytes of the encoded record.
        found: usize,
        /// Most bytes of a record.
        limit: usize,
    },
    /// The description is not the one asked for.
    #[error("{}: the description (\"meta\") is not the one expected: {source}", path.display())]
    MetaInvalid {
        /// The manifest.
        path: PathBuf,
        /// What was expected where.
        source: serde_json::Error,
    },
    /// The description cannot be written as JSON.
    #[error("the description cannot be written as JSON: {source}")]
    MetaUnwritable {
        /// What the encoder met.
        source: serde_json::Error,
    },
    /// The place for a new directory is taken by something else.
    #[error(
        "{}: exists and is not a {kind} alone (it holds {entry:?}): choose another directory, or empty this one",
        path.display()
    )]
    TargetTaken {
        /// The directory given.
        path: PathBuf,
        /// An entry that does not belong to it; the path's own name when it is no directory.
        entry: String,
        /// What was to be written.
        kind: Kind,
    },
    /// Another process makes the same model.
    #[error("{}: another process is making this model", path.display())]
    InUse {
        /// The directory of what is done.
        path: PathBuf,
    },
    /// What an earlier go has left is of other data or parameters.
    #[error(
        "{}: what was begun here is another model, of other data or other options: remove it, or give what it was begun with",
        path.display()
    )]
    OtherGo {
        /// The directory of what is done.
        path: PathBuf,
    },
    /// A section was begun twice.
    #[error("section {name:?} is written twice")]
    DuplicateSection {
        /// The section.
        name: String,
    },
    /// A commit while a section was neither finished nor complete.
    #[error("section {name:?} was begun and not finished: nothing is written")]
    SectionUnfinished {
        /// The section.
        name: String,
    },
    /// No room left on the device, or the user's quota is used up.
    #[error(
        "{}: no space left on the device (or the quota is used up): free some or choose another place; nothing was changed",
        path.display()
    )]
    DiskFull {
        /// The file being written.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// Another failure of the file system.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
}

/// What is wrong with the format `found`.
fn other_format(expected: Kind, found: &str) -> String {
    match Kind::of_format(found) {
        Some(kind) => format!("this is a {kind}, where a {expected} is expected"),
        None => format!("the format is {found:?}, expected {:?}", expected.format_name()),
    }
}

fn parent(path: &Path) -> String {
    path.parent().unwrap_or(path).display().to_string()
}

impl StoreError {
    /// For `map_err`: sorts a full disk out of the other failures.
    pub(crate) fn io<'a>(action: &'static str, path: &'a Path) -> impl Fn(io::Error) -> Self + 'a {
        move |source| {
            let path = path.to_path_buf();
            match source.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::WriteZero => {
                    Self::DiskFull { path, source }
                }
                _ => Self::Io { action, path, source },
            }
        }
    }
}
