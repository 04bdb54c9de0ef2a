//! Reading a model or a data set.

use crate::error::MEMORY;
use crate::header::Header;
use crate::mmap::Pages;
use crate::section::MemorySection;
use crate::staging::Staging;
use crate::{Buffer, Dtype, Element, Kind, Manifest, Report, Result, SectionEntry, StoreError};
use crate::{codec, manifest, mmap, verify};
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xmc_sparse::Progress;
use xxhash_rust::xxh3::xxh3_64;

/// A model or a data set: its manifest and its sections, in a directory or in memory.
///
/// Sections are mapped when they are asked for. A [`Buffer`] stays valid when the container is dropped,
/// and when the directory is replaced by another one.
pub struct Container {
    place: Place,
    manifest: Manifest,
    /// The manifest's text, which also holds the description.
    json: Vec<u8>,
}

enum Place {
    Disk(PathBuf, Pages),
    /// In the order of the section table.
    Memory(Vec<Arc<dyn MemorySection>>),
}

impl std::fmt::Debug for Container {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Container").field("path", &self.path()).field("manifest", &self.manifest).finish()
    }
}

impl Container {
    /// Opens the model directory `dir`: reads the manifest and looks at the size of each file.
    ///
    /// # Errors
    /// [`StoreError::NotADirectory`], [`StoreError::ManifestMissing`], [`StoreError::ManifestInvalid`],
    /// [`StoreError::WrongFormat`], [`StoreError::VersionTooNew`], [`StoreError::VersionTooOld`],
    /// [`StoreError::UnsafeSectionName`], [`StoreError::SectionTable`],
    /// [`StoreError::SectionFileMissing`], [`StoreError::WrongSize`], [`StoreError::Io`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        Self::open_as(dir, Kind::Model)
    }

    /// As [`open`](Self::open), of another kind.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_as(dir: impl AsRef<Path>, kind: Kind) -> Result<Self> {
        let dir = dir.as_ref();
        let json = read_manifest(dir, kind)?;
        let manifest = Manifest::from_json(&json, &dir.join(manifest::FILE), kind)?;
        for entry in &manifest.sections {
            check_file(&dir.join(&entry.file), entry)?;
        }
        Ok(Self::on_disk(dir.to_path_buf(), manifest, json))
    }

    pub(crate) fn on_disk(dir: PathBuf, manifest: Manifest, json: Vec<u8>) -> Self {
        let is_model = manifest.format == Kind::Model.format_name();
        // Data are gone through in order, a model is asked all over.
        let pages = if is_model { Pages::at_random(manifest.total_bytes()) } else { Pages::Any };
        Self { place: Place::Disk(dir, pages), manifest, json }
    }

    pub(crate) fn in_memory(
        sections: Vec<Arc<dyn MemorySection>>,
        manifest: Manifest,
        json: Vec<u8>,
    ) -> Self {
        debug_assert_eq!(sections.len(), manifest.sections.len());
        Self { place: Place::Memory(sections), manifest, json }
    }

    /// Whether `dir` is a directory with a manifest, be it of this or another kind.
    pub fn is_at(dir: impl AsRef<Path>) -> bool {
        dir.as_ref().join(manifest::FILE).is_file()
    }

    /// The directory; none for a container in memory.
    pub fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::Disk(dir, _) => Some(dir),
            Place::Memory(_) => None,
        }
    }

    /// The section table and the format version.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The description, as given to [`crate::ModelWriter::commit`].
    ///
    /// # Errors
    /// [`StoreError::MetaInvalid`] when it is not an `M`.
    pub fn meta<M: DeserializeOwned>(&self) -> Result<M> {
        manifest::meta_from_json(&self.json, &self.manifest_path())
    }

    /// Whether there is a section `name`.
    pub fn has(&self, name: &str) -> bool {
        self.manifest.section(name).is_some()
    }

    /// The array in section `name`, mapped. Checksums are left to [`verify`](Self::verify).
    ///
    /// # Errors
    /// [`StoreError::SectionMissing`], [`StoreError::DtypeMismatch`], [`StoreError::HeaderMismatch`],
    /// [`StoreError::SectionFileMissing`], [`StoreError::WrongSize`], [`StoreError::Io`].
    pub fn array<T: Element>(&self, name: &str) -> Result<Buffer<T>> {
        self.section(name, T::DTYPE)
    }

    /// The record in section `name`; records are small, so the checksum is checked.
    ///
    /// # Errors
    /// As [`array`](Self::array), [`StoreError::ChecksumMismatch`], and
    /// [`StoreError::RecordUndecodable`] or [`StoreError::RecordOverlong`] when it is not an `R`.
    pub fn record<R: DeserializeOwned>(&self, name: &str) -> Result<R> {
        let bytes: Buffer<u8> = self.section(name, Dtype::Record)?;
        let entry = self.entry(name)?;
        let path = self.path_of(entry);
        check_sum(entry, xxh3_64(&bytes), &path)?;
        match codec::decode(&bytes) {
            Err(source) => Err(StoreError::RecordUndecodable { path, name: name.to_string(), source }),
            Ok((record, taken)) if taken == bytes.len() => Ok(record),
            Ok((_, expected)) => {
                Err(StoreError::RecordOverlong { path, name: name.to_string(), expected, found: bytes.len() })
            }
        }
    }

    /// Reads all sections, in parallel, and compares them with their checksums. `progress` counts bytes.
    ///
    /// # Errors
    /// [`StoreError::ChecksumMismatch`] and whatever else is wrong, for the first such section by name.
    pub fn verify(&self, progress: &dyn Progress) -> Result<Report> {
        verify::verify(self, progress)
    }

    /// Writes a copy to `dir`, whole or not at all, and returns it. The copy is the same byte for byte.
    ///
    /// # Errors
    /// [`StoreError::TargetTaken`], [`StoreError::DiskFull`], [`StoreError::Io`],
    /// [`StoreError::SectionFileMissing`].
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<Self> {
        let kind = Kind::of_format(&self.manifest.format).unwrap_or(Kind::Model);
        let staging = Staging::create(dir.as_ref(), kind)?;
        for (at, entry) in self.manifest.sections.iter().enumerate() {
            let to = staging.path().join(&entry.file);
            match &self.place {
                Place::Disk(from, _) => copy(&from.join(&entry.file), &to, entry)?,
                Place::Memory(sections) => write_section(&to, entry, sections[at].bytes())?,
            }
        }
        let dir = staging.commit(&self.json)?;
        Ok(Self::on_disk(dir, self.manifest.clone(), self.json.clone()))
    }

    fn manifest_path(&self) -> PathBuf {
        self.path().unwrap_or(Path::new(MEMORY)).join(manifest::FILE)
    }

    /// Where the file of `entry` is (or would be).
    pub(crate) fn path_of(&self, entry: &SectionEntry) -> PathBuf {
        self.path().unwrap_or(Path::new(MEMORY)).join(&entry.file)
    }

    /// The bytes of section number `at`, when they are in memory.
    pub(crate) fn bytes_in_memory(&self, at: usize) -> Option<&[u8]> {
        match &self.place {
            Place::Disk(..) => None,
            Place::Memory(sections) => Some(sections[at].bytes()),
        }
    }

    fn entry(&self, name: &str) -> Result<&SectionEntry> {
        let missing = || StoreError::SectionMissing { path: self.manifest_path(), name: name.to_string() };
        self.manifest.section(name).ok_or_else(missing)
    }

    fn section<T: Element>(&self, name: &str, expected: Dtype) -> Result<Buffer<T>> {
        let entry = self.entry(name)?;
        if entry.dtype != expected {
            let (path, name, found) = (self.manifest_path(), name.to_string(), entry.dtype);
            return Err(StoreError::DtypeMismatch { path, name, expected, found });
        }
        match &self.place {
            Place::Disk(dir, pages) => mmap::map_section(&dir.join(&entry.file), entry, *pages),
            Place::Memory(sections) => Ok(in_memory(&self.manifest, sections, entry)),
        }
    }
}

/// The buffer of `entry`, whose type has been checked.
fn in_memory<T: Element>(
    manifest: &Manifest,
    sections: &[Arc<dyn MemorySection>],
    entry: &SectionEntry,
) -> Buffer<T> {
    let at = manifest.sections.partition_point(|other| other.name < entry.name);
    let buffer = sections[at].as_any().downcast_ref::<Buffer<T>>();
    buffer.expect("invariant: a section in memory is a buffer of the type in its entry").clone()
}

fn read_manifest(dir: &Path, kind: Kind) -> Result<Vec<u8>> {
    let path = dir.join(manifest::FILE);
    match fs::read(&path) {
        Ok(json) => Ok(json),
        Err(_) if !dir.is_dir() => {
            let found = if dir.exists() { "a file" } else { "nothing" };
            Err(StoreError::NotADirectory { path: dir.to_path_buf(), found, kind })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Err(StoreError::ManifestMissing { path, kind }),
        Err(error) => Err(StoreError::io("read the manifest", &path)(error)),
    }
}

fn check_file(path: &Path, entry: &SectionEntry) -> Result<()> {
    let file = fs::metadata(path).map_err(|source| mmap::open_error(source, path, entry))?;
    let (path, expected, found) = (path.to_path_buf(), entry.file_bytes(), file.len());
    if !file.is_file() {
        return Err(StoreError::SectionFileMissing { path, name: entry.name.clone() });
    }
    if expected != found {
        return Err(StoreError::WrongSize { path, expected, found });
    }
    Ok(())
}

pub(crate) fn check_sum(entry: &SectionEntry, found: u64, path: &Path) -> Result<()> {
    if found == entry.xxh3 {
        return Ok(());
    }
    Err(StoreError::ChecksumMismatch { path: path.to_path_buf(), expected: entry.xxh3, found })
}

fn copy(from: &Path, to: &Path, entry: &SectionEntry) -> Result<()> {
    check_file(from, entry)?;
    fs::copy(from, to).map(drop).map_err(StoreError::io("copy the section to", to))
}

fn write_section(path: &Path, entry: &SectionEntry, bytes: &[u8]) -> Result<()> {
    let mut file = File::create_new(path).map_err(StoreError::io("create the section", path))?;
    let header = Header::of(entry).to_bytes();
    file.write_all(&header)
        .and_then(|()| file.write_all(bytes))
        .map_err(StoreError::io("write the section", path))
}
