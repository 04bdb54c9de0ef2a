//! `manifest.json`: what the container is and which sections it has.
//!
//! The text depends on the content alone: sections are listed by name, there is no time and no host in
//! it unless the caller's description has them.

use crate::header::HEADER_BYTES;
use crate::{Dtype, Kind, Result, StoreError, name};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::path::Path;

/// The file's name in the directory.
pub(crate) const FILE: &str = "manifest.json";

/// The manifest without the description, which [`crate::Container::meta`] reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manifest {
    /// [`Kind::format_name`].
    pub format: String,
    /// Format version.
    pub version: u32,
    /// One entry for each section, in the order of their names.
    pub sections: Vec<SectionEntry>,
}

/// One section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SectionEntry {
    /// Name, as given to the writer.
    pub name: String,
    /// File, relative to the directory.
    pub file: String,
    /// Element type.
    pub dtype: Dtype,
    /// Number of elements.
    pub len: u64,
    /// Bytes of the array, without the header.
    pub bytes: u64,
    /// XXH3-64 (seed 0) of those bytes; sixteen hexadecimal digits in JSON.
    #[serde(with = "hexadecimal")]
    pub xxh3: u64,
}

/// JSON numbers are doubles to many readers, which cannot hold 64 bits.
mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(value: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{value:016x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let digits = String::deserialize(from)?;
        u64::from_str_radix(&digits, 16)
            .map_err(|_| D::Error::custom(format_args!("{digits:?} is not a hexadecimal checksum")))
    }
}

/// What is written: the manifest with the description last.
#[derive(Serialize)]
struct Document<'a, M: ?Sized> {
    format: &'a str,
    version: u32,
    sections: &'a [SectionEntry],
    meta: &'a M,
}

/// What every version has, read before anything else.
#[derive(Deserialize)]
struct Preamble {
    format: String,
    version: u32,
}

#[derive(Deserialize)]
struct Described<M> {
    meta: M,
}

impl SectionEntry {
    /// Bytes of the section file.
    pub(crate) fn file_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + self.bytes
    }

    pub(crate) fn new(name: &str, dtype: Dtype, len: u64, xxh3: u64) -> Self {
        let bytes = len * dtype.width() as u64;
        Self { name: name.to_string(), file: name::file_of(name), dtype, len, bytes, xxh3 }
    }

    /// Checks the entry on its own.
    fn check(&self, path: &Path) -> Result<()> {
        if !name::is_safe(&self.name) {
            return Err(StoreError::UnsafeSectionName { path: path.to_path_buf(), name: self.name.clone() });
        }
        let file = name::file_of(&self.name);
        if self.file != file {
            return Err(self.wrong(path, "file", file, &self.file));
        }
        // The upper bound keeps header + bytes from wrapping; no file system holds such a file.
        match self.len.checked_mul(self.dtype.width() as u64).filter(|&bytes| bytes < u64::MAX / 2) {
            Some(bytes) if bytes == self.bytes => Ok(()),
            Some(bytes) => Err(self.wrong(path, "bytes", bytes.to_string(), &self.bytes.to_string())),
            None => {
                Err(self.wrong(path, "len", "a length that a file can have".into(), &self.len.to_string()))
            }
        }
    }

    fn wrong(&self, path: &Path, field: &'static str, expected: String, found: &str) -> StoreError {
        StoreError::SectionTable {
            path: path.to_path_buf(),
            name: self.name.clone(),
            field,
            expected,
            found: found.to_string(),
        }
    }
}

impl Manifest {
    pub(crate) fn new(kind: Kind, sections: Vec<SectionEntry>) -> Self {
        Self { format: kind.format_name().to_string(), version: kind.newest_version(), sections }
    }

    /// The entry of section `name`.
    pub fn section(&self, name: &str) -> Option<&SectionEntry> {
        let at = self.sections.binary_search_by(|entry| entry.name.as_str().cmp(name)).ok()?;
        Some(&self.sections[at])
    }

    /// Bytes of all sections, without headers.
    pub fn total_bytes(&self) -> u64 {
        self.sections.iter().map(|entry| entry.bytes).sum()
    }

    /// The text of the manifest file.
    pub(crate) fn to_json<M: Serialize + ?Sized>(&self, meta: &M) -> Result<Vec<u8>> {
        let document =
            Document { format: &self.format, version: self.version, sections: &self.sections, meta };
        let mut json =
            serde_json::to_vec_pretty(&document).map_err(|source| StoreError::MetaUnwritable { source })?;
        json.push(b'\n');
        Ok(json)
    }

    /// Reads and checks the text of the manifest at `path` (which is named in errors only).
    pub(crate) fn from_json(json: &[u8], path: &Path, kind: Kind) -> Result<Self> {
        let invalid = |source| StoreError::ManifestInvalid { path: path.to_path_buf(), source };
        check_preamble(serde_json::from_slice(json).map_err(invalid)?, path, kind)?;
        let manifest: Self = serde_json::from_slice(json).map_err(invalid)?;
        manifest.check_table(path)?;
        Ok(manifest)
    }

    fn check_table(&self, path: &Path) -> Result<()> {
        for entry in &self.sections {
            entry.check(path)?;
        }
        // Look-up is by bisection, and a name that stands twice would be ambiguous.
        match self.sections.windows(2).find(|pair| pair[0].name >= pair[1].name) {
            None => Ok(()),
            Some(pair) => {
                let expected = format!("a name after {:?}", pair[0].name);
                Err(pair[1].wrong(path, "name", expected, &format!("{:?}", pair[1].name)))
            }
        }
    }
}

fn check_preamble(preamble: Preamble, path: &Path, kind: Kind) -> Result<()> {
    let Preamble { format, version: found } = preamble;
    let path = path.to_path_buf();
    let (oldest, newest) = (kind.oldest_version(), kind.newest_version());
    if format != kind.format_name() {
        return Err(StoreError::WrongFormat { path, expected: kind, found: format });
    }
    if found > newest {
        return Err(StoreError::VersionTooNew { path, found, oldest, newest });
    }
    if found < oldest {
        return Err(StoreError::VersionTooOld { path, found, oldest, newest, kind });
    }
    Ok(())
}

/// The description in the text of a manifest.
pub(crate) fn meta_from_json<M: DeserializeOwned>(json: &[u8], path: &Path) -> Result<M> {
    serde_json::from_slice::<Described<M>>(json)
        .map(|document| document.meta)
        .map_err(|source| StoreError::MetaInvalid { path: path.to_path_buf(), source })
}
