//! Writing a model or a data set: sections in any order from any thread, then one commit.

use crate::codec::{self, MAX_RECORD_BYTES};
use crate::error::MEMORY;
use crate::section::{self, MemorySection, SectionFile};
use crate::staging::Staging;
use crate::{
    Buffer, Container, Dtype, Element, Kind, Manifest, Result, SectionEntry, SectionWriter, StoreError, name,
};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Writes one model (or data set), on disk or in memory.
///
/// All methods take `&self`: sections may be written by many threads at once, and the files do not
/// depend on the order. Nothing appears at the target before [`commit`](Self::commit); a writer that is
/// dropped removes what it has written.
pub struct ModelWriter {
    shared: Arc<Shared>,
    kind: Kind,
    staging: Option<Staging>,
    /// Sections that an earlier process has finished and nobody has asked for yet.
    earlier: Mutex<BTreeMap<String, SectionEntry>>,
}

/// The section table, shared with the sections being written.
pub(crate) struct Shared {
    /// Where section files go; none in memory.
    dir: Option<PathBuf>,
    /// `None` for a section that is not finished.
    sections: Mutex<BTreeMap<String, Option<Finished>>>,
}

#[derive(Clone)]
struct Finished {
    entry: SectionEntry,
    memory: Option<Arc<dyn MemorySection>>,
}

impl ModelWriter {
    /// A writer of the model directory `dir`, which is created, or replaced if it is a model.
    ///
    /// Files go to a hidden directory beside `dir` until the commit.
    ///
    /// # Errors
    /// [`StoreError::TargetTaken`] when `dir` holds anything but a model, [`StoreError::DiskFull`],
    /// [`StoreError::Io`].
    pub fn create(dir: impl AsRef<Path>) -> Result<Self> {
        Self::create_as(dir, Kind::Model)
    }

    /// As [`create`](Self::create), of another kind.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_as(dir: impl AsRef<Path>, kind: Kind) -> Result<Self> {
        let staging = Staging::create(dir.as_ref(), kind)?;
        Ok(Self { kind, ..Self::new(Some(staging)) })
    }

    /// As [`create`](Self::create), of a model that is made in several goes: what is finished stays when this is dropped or the process
    /// is killed, and [`adopt`](Self::adopt) finds it in the next go.
    ///
    /// # Errors
    /// As [`create`](Self::create), and [`StoreError::InUse`] when another process is at it.
    pub fn resume(dir: impl AsRef<Path>) -> Result<Self> {
        let (staging, finished) = Staging::resume(dir.as_ref())?;
        let earlier = finished.into_iter().map(|entry| (entry.name.clone(), entry)).collect();
        Ok(Self { earlier: Mutex::new(earlier), ..Self::new(Some(staging)) })
    }

    /// Says what is made here: data and parameters, in any form. Has no effect on a model that is made in one go.
    ///
    /// # Errors
    /// [`StoreError::OtherGo`] when earlier goes made something else, [`StoreError::Io`].
    pub fn identify(&mut self, identity: &str) -> Result<()> {
        let Some(staging) = &mut self.staging else { return Ok(()) };
        match staging.identify(identity)? {
            true => Ok(()),
            false => Err(StoreError::OtherGo { path: staging.path().to_path_buf() }),
        }
    }

    /// Takes over the sections `names` from an earlier go, if it has finished all of them; whether it has. A section that is not taken
    /// over is written anew or forgotten.
    pub fn adopt(&self, names: &[String]) -> bool {
        let mut earlier = self.earlier();
        let all = names.iter().all(|name| earlier.contains_key(name));
        for entry in names.iter().filter(|_| all).filter_map(|name| earlier.remove(name)) {
            self.shared.finish(entry, None);
        }
        all
    }

    /// Whether section `name` is written, or taken over.
    pub fn has(&self, name: &str) -> bool {
        self.shared.sections().get(name).is_some_and(Option::is_some)
    }

    fn earlier(&self) -> MutexGuard<'_, BTreeMap<String, SectionEntry>> {
        self.earlier.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the file of a section that was not taken over.
    fn forget(&self, name: &str) -> Result<()> {
        let earlier = self.earlier().remove(name);
        earlier.map_or(Ok(()), |entry| self.remove_file(&entry))
    }

    /// Takes sections `names` out again, those of them that are finished: for what was written to make other sections of. Whatever of them is still
    /// mapped stays valid where the system lets a mapped file be removed, so buffers are better dropped before.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn remove(&self, names: &[String]) -> Result<()> {
        for name in names {
            let mut sections = self.shared.sections();
            let Some(Finished { entry, .. }) = sections.get(name).cloned().flatten() else { continue };
            sections.remove(name);
            self.remove_file(&entry)?;
        }
        Ok(())
    }

    fn remove_file(&self, entry: &SectionEntry) -> Result<()> {
        let Some(dir) = &self.shared.dir else { return Ok(()) };
        let path = dir.join(&entry.file);
        std::fs::remove_file(&path).map_err(StoreError::io("remove", &path))
    }

    /// A writer whose model stays in memory.
    pub fn in_memory() -> Self {
        Self::new(None)
    }

    fn new(staging: Option<Staging>) -> Self {
        let dir = staging.as_ref().map(|staging| staging.path().to_path_buf());
        let shared = Arc::new(Shared { dir, sections: Mutex::default() });
        Self { shared, kind: Kind::Model, staging, earlier: Mutex::default() }
    }

    /// Begins an array section, to be pushed to and finished.
    ///
    /// # Errors
    /// [`StoreError::UnsafeSectionName`], [`StoreError::DuplicateSection`], [`StoreError::DiskFull`],
    /// [`StoreError::Io`].
    pub fn array<T: Element>(&self, name: &str) -> Result<SectionWriter<T>> {
        self.forget(name)?;
        SectionWriter::new(Arc::clone(&self.shared), name)
    }

    /// Writes a whole array.
    ///
    /// # Errors
    /// As [`array`](Self::array).
    pub fn put_array<T: Element>(&self, name: &str, values: &[T]) -> Result<()> {
        let mut section = self.array(name)?;
        section.push(values)?;
        section.finish()
    }

    /// Writes a small structured value.
    ///
    /// # Errors
    /// [`StoreError::RecordUnencodable`], [`StoreError::RecordTooLarge`], and as [`array`](Self::array).
    pub fn put_record<R: Serialize + ?Sized>(&self, name: &str, record: &R) -> Result<()> {
        let unencodable = |source| StoreError::RecordUnencodable { name: name.to_string(), source };
        let bytes = codec::encode(record).map_err(unencodable)?;
        if bytes.len() > MAX_RECORD_BYTES {
            let (name, found) = (name.to_string(), bytes.len());
            return Err(StoreError::RecordTooLarge { name, found, limit: MAX_RECORD_BYTES });
        }
        self.put_bytes(name, Dtype::Record, bytes)
    }

    fn put_bytes(&self, name: &str, dtype: Dtype, bytes: Vec<u8>) -> Result<()> {
        self.forget(name)?;
        let (entry, memory) = match self.shared.begin(name)? {
            Some(path) => {
                let mut file = SectionFile::create(path)?;
                file.push(&bytes)?;
                (file.finish(name, dtype)?, None)
            }
            None => {
                let (entry, section) = section::in_memory(name, dtype, Buffer::from(bytes));
                (entry, Some(section))
            }
        };
        self.shared.finish(entry, memory);
        Ok(())
    }

    /// The model as it is so far, to try it out before it gets its name. On disk the files are those of this
    /// writer: what is mapped stays valid, but the container cannot be opened further once the writer is
    /// committed or dropped.
    ///
    /// # Errors
    /// [`StoreError::SectionUnfinished`], [`StoreError::MetaUnwritable`].
    pub fn preview<M: Serialize + ?Sized>(&self, meta: &M) -> Result<Container> {
        let sections = self.shared.finished()?;
        let (manifest, json, memory) = assemble(self.kind, sections, meta)?;
        Ok(match &self.staging {
            Some(staging) => Container::on_disk(staging.path().to_path_buf(), manifest, json),
            None => Container::in_memory(memory, manifest, json),
        })
    }

    /// Completes the model: writes the manifest with `meta` (any value that is JSON), brings all files to
    /// the device, and renames. A model at the target is removed once the new one is in its place.
    ///
    /// # Errors
    /// [`StoreError::SectionUnfinished`], [`StoreError::MetaUnwritable`],
    /// [`StoreError::TargetTaken`] when the target has changed meanwhile, [`StoreError::DiskFull`],
    /// [`StoreError::Io`].
    pub fn commit<M: Serialize + ?Sized>(self, meta: &M) -> Result<Container> {
        let earlier: Vec<String> = self.earlier().keys().cloned().collect();
        earlier.iter().try_for_each(|name| self.forget(name))?;
        let (manifest, json, memory) = assemble(self.kind, self.shared.finished()?, meta)?;
        match self.staging {
            Some(staging) => Ok(Container::on_disk(staging.commit(&json)?, manifest, json)),
            None => Ok(Container::in_memory(memory, manifest, json)),
        }
    }
}

/// A manifest, its text, and the sections that are in memory.
type Assembled = (Manifest, Vec<u8>, Vec<Arc<dyn MemorySection>>);

fn assemble<M: Serialize + ?Sized>(kind: Kind, sections: Vec<Finished>, meta: &M) -> Result<Assembled> {
    let (entries, memory): (Vec<_>, Vec<_>) =
        sections.into_iter().map(|section| (section.entry, section.memory)).unzip();
    let manifest = Manifest::new(kind, entries);
    let json = manifest.to_json(meta)?;
    Ok((manifest, json, memory.into_iter().flatten().collect()))
}

impl Shared {
    fn sections(&self) -> MutexGuard<'_, BTreeMap<String, Option<Finished>>> {
        self.sections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves `name`; returns where its file goes, if it has one.
    pub(crate) fn begin(&self, name: &str) -> Result<Option<PathBuf>> {
        if !name::is_safe(name) {
            let path = self.dir.clone().unwrap_or_else(|| MEMORY.into());
            return Err(StoreError::UnsafeSectionName { path, name: name.to_string() });
        }
        let mut sections = self.sections();
        if sections.contains_key(name) {
            return Err(StoreError::DuplicateSection { name: name.to_string() });
        }
        sections.insert(name.to_string(), None);
        Ok(self.dir.as_ref().map(|dir| dir.join(name::file_of(name))))
    }

    pub(crate) fn finish(&self, entry: SectionEntry, memory: Option<Arc<dyn MemorySection>>) {
        self.sections().insert(entry.name.clone(), Some(Finished { entry, memory }));
    }

    /// All sections by name.
    fn finished(&self) -> Result<Vec<Finished>> {
        let sections = self.sections();
        let finished = |(name, section): (&String, &Option<Finished>)| {
            section.clone().ok_or_else(|| StoreError::SectionUnfinished { name: name.clone() })
        };
        sections.iter().map(finished).collect()
    }
}
