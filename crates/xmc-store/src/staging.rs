//! The directory in which a model or a data set is written, and how it takes the place of the target.
//!
//! It is a hidden sibling of the target, hence on the same file system, where a rename is atomic.
//! On Linux the two directories change places in one call, so a crash at any moment leaves either the old
//! one or the new one at the target; elsewhere there is a moment between two renames with none.

use crate::header::{HEADER_BYTES, Header};
use crate::{Kind, Result, SectionEntry, StoreError, manifest, name};
use rayon::prelude::*;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// All staging directories of this process that are not committed.
static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn unfinished() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes what every uncommitted [`crate::ModelWriter`] of this process has written; returns how many
/// directories were removed.
///
/// For the handler of an interrupt, right before the process ends: the writers concerned fail from then
/// on. A commit that is renaming is waited for, so the target holds a whole model in any case.
pub fn remove_unfinished() -> usize {
    let mut unfinished = unfinished();
    std::mem::take(&mut *unfinished).iter().filter(|dir| remove_dir(dir).is_ok()).count()
}

/// Other threads may still be creating files in it: an attempt that finds new ones is repeated.
fn remove_dir(dir: &Path) -> io::Result<()> {
    const ATTEMPTS: usize = 10;
    let mut result = fs::remove_dir_all(dir);
    for _ in 1..ATTEMPTS {
        match &result {
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => result = fs::remove_dir_all(dir),
            _ => break,
        }
    }
    result
}

/// What the directory of a model holds that is made in several goes, beside sections.
const IDENTITY: &str = "identity";

/// A directory beside the target; removed when dropped before [`Staging::commit`], unless it is to be kept.
#[derive(Debug)]
pub(crate) struct Staging {
    kind: Kind,
    target: PathBuf,
    dir: PathBuf,
    /// Says what is being made, and is locked by who does it.
    identity: Option<File>,
}

impl Staging {
    /// Makes the directory; nothing at `target` is touched.
    pub(crate) fn create(target: &Path, kind: Kind) -> Result<Self> {
        let target = resolve(target, kind)?;
        check_target(&target, kind)?;
        let dir = create_sibling(&target, kind)?;
        Ok(Self { kind, target, dir, identity: None })
    }

    /// The directory of a model that is made in several goes, which is made if it is not there and stays when this is dropped. With it come
    /// the sections that are finished.
    pub(crate) fn resume(target: &Path) -> Result<(Self, Vec<SectionEntry>)> {
        let kind = Kind::Model;
        let target = resolve(target, kind)?;
        check_target(&target, kind)?;
        let Some(name) = target.file_name() else {
            return Err(taken(&target, &target.to_string_lossy(), kind));
        };
        let dir = hidden(&target, name, "resume");
        fs::create_dir_all(&dir).map_err(StoreError::io("create the directory", &dir))?;
        let path = dir.join(IDENTITY);
        let open = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = open.map_err(StoreError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse { path: dir }),
            Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", &path)(error)),
        }
        // Without a word of what they are, sections are nothing.
        let is_known = file.metadata().map_err(StoreError::io("open", &path))?.len() > 0;
        let finished = finished_sections(&dir, is_known)?;
        Ok((Self { kind, target, dir, identity: Some(file) }, finished))
    }

    /// Whether what is made here is what `identity` says; from now on, if nothing was.
    pub(crate) fn identify(&mut self, identity: &str) -> Result<bool> {
        let path = self.dir.join(IDENTITY);
        let Some(file) = &mut self.identity else { return Ok(true) };
        let mut found = String::new();
        file.read_to_string(&mut found).map_err(StoreError::io("read", &path))?;
        if found.is_empty() {
            file.write_all(identity.as_bytes()).map_err(StoreError::io("write", &path))?;
            return Ok(true);
        }
        Ok(found == identity)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.dir
    }

    /// Writes the manifest, brings everything to the device and renames; returns the target.
    pub(crate) fn commit(self, json: &[u8]) -> Result<PathBuf> {
        let path = self.dir.join(manifest::FILE);
        let mut file = File::create_new(&path).map_err(StoreError::io("create the manifest", &path))?;
        file.write_all(json).map_err(StoreError::io("write the manifest", &path))?;
        sync_all_in(&self.dir)?;
        check_target(&self.target, self.kind)?;
        let old = self.replace_target()?;
        if self.identity.is_some() {
            let path = self.target.join(IDENTITY);
            fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
        }
        sync(parent_of(&self.target))?;
        if let Some(old) = old {
            let action = "remove the old directory (the new one is in its place)";
            fs::remove_dir_all(&old).map_err(StoreError::io(action, &old))?;
        }
        Ok(self.target.clone())
    }

    /// Puts the directory at the target; returns where the one that was there is now.
    fn replace_target(&self) -> Result<Option<PathBuf>> {
        // An interrupt handler that removes unfinished directories waits until this is over.
        let mut unfinished = unfinished();
        let old = swap(&self.dir, &self.target)
            .map_err(StoreError::io("put the new directory at", &self.target))?;
        unfinished.remove(&self.dir);
        Ok(old)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Committed or already removed directories are no longer listed. There is nobody to tell about a
        // failure; what is left is hidden and named after this process.
        if unfinished().remove(&self.dir) {
            let _ = remove_dir(&self.dir);
        }
    }
}

/// `target` with symbolic links and dots resolved, so that the model behind a link is replaced and not
/// the link. Missing parents are created.
fn resolve(target: &Path, kind: Kind) -> Result<PathBuf> {
    if let Ok(path) = target.canonicalize() {
        return Ok(path);
    }
    let Some(name) = target.file_name() else {
        return Err(taken(target, &target.to_string_lossy(), kind));
    };
    let parent = parent_of(target);
    fs::create_dir_all(parent).map_err(StoreError::io("create the directory", parent))?;
    let parent = parent.canonicalize().map_err(StoreError::io("open the directory", parent))?;
    Ok(parent.join(name))
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The sections in `dir` that are complete, if it `is_known` what they are; anything else is removed.
fn finished_sections(dir: &Path, is_known: bool) -> Result<Vec<SectionEntry>> {
    let mut finished = Vec::new();
    for entry in fs::read_dir(dir).map_err(StoreError::io("list the directory", dir))? {
        let path = entry.map_err(StoreError::io("list the directory", dir))?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        if file == IDENTITY {
            continue;
        }
        let section = name::of_file(&file).and_then(|name| read_entry(&path, &name));
        match section.filter(|_| is_known) {
            Some(section) => finished.push(section),
            None => fs::remove_file(&path).map_err(StoreError::io("remove", &path))?,
        }
    }
    Ok(finished)
}

/// The entry of the section file at `path`, if it is complete.
fn read_entry(path: &Path, name: &str) -> Option<SectionEntry> {
    let (mut file, mut bytes) = (File::open(path).ok()?, [0; HEADER_BYTES]);
    file.read_exact(&mut bytes).ok()?;
    let Header { dtype, len, xxh3 } = Header::parse(&bytes)?;
    let entry = SectionEntry::new(name, dtype, len, xxh3);
    (file.metadata().ok()?.len() == entry.file_bytes()).then_some(entry)
}

fn create_sibling(target: &Path, kind: Kind) -> Result<PathBuf> {
    let Some(name) = target.file_name() else {
        return Err(taken(target, &target.to_string_lossy(), kind));
    };
    let mut unfinished = unfinished();
    for attempt in 0u32.. {
        let dir = sibling(target, name, attempt);
        match fs::create_dir(&dir) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(StoreError::io("create the directory", &dir)(error)),
            Ok(()) => {
                unfinished.insert(dir.clone());
                return Ok(dir);
            }
        }
    }
    unreachable!("invariant: fewer siblings than 2^32")
}

fn sibling(target: &Path, name: &std::ffi::OsStr, attempt: u32) -> PathBuf {
    hidden(target, name, &format!("{}-{attempt}.tmp", std::process::id()))
}

fn hidden(target: &Path, name: &std::ffi::OsStr, ending: &str) -> PathBuf {
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(".");
    hidden.push(ending);
    target.with_file_name(hidden)
}

/// What any version of the manifest tells about files.
#[derive(Deserialize)]
struct Files {
    format: String,
    sections: Vec<FileName>,
}

#[derive(Deserialize)]
struct FileName {
    file: String,
}

/// Refuses a target whose replacement would destroy anything but one of the same kind.
fn check_target(target: &Path, kind: Kind) -> Result<()> {
    let entries = match fs::read_dir(target) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            return Err(taken(target, &target.to_string_lossy(), kind));
        }
        Err(error) => return Err(StoreError::io("list the directory", target)(error)),
    };
    let own = files_of(target, kind);
    for entry in entries {
        let entry = entry.map_err(StoreError::io("list the directory", target))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !own.contains(name.as_ref()) {
            return Err(taken(target, &name, kind));
        }
    }
    Ok(())
}

/// The files that belong to what is in `dir`; none when it is not of this kind.
fn files_of(dir: &Path, kind: Kind) -> BTreeSet<String> {
    let manifest = fs::read(dir.join(manifest::FILE)).ok();
    let files = manifest.and_then(|json| serde_json::from_slice::<Files>(&json).ok());
    match files {
        Some(Files { format, sections }) if format == kind.format_name() => {
            let own = [manifest::FILE, IDENTITY].map(str::to_string);
            own.into_iter().chain(sections.into_iter().map(|section| section.file)).collect()
        }
        _ => BTreeSet::new(),
    }
}

fn taken(path: &Path, entry: &str, kind: Kind) -> StoreError {
    StoreError::TargetTaken { path: path.to_path_buf(), entry: entry.to_string(), kind }
}

/// Renames `new` to `target`. What was there goes to the path returned.
fn swap(new: &Path, target: &Path) -> io::Result<Option<PathBuf>> {
    if !target.exists() {
        return fs::rename(new, target).map(|()| None);
    }
    if exchange(new, target) {
        return Ok(Some(new.to_path_buf()));
    }
    let mut old = new.as_os_str().to_os_string();
    old.push(".old");
    let old = PathBuf::from(old);
    fs::rename(target, &old)?;
    match fs::rename(new, target) {
        Ok(()) => Ok(Some(old)),
        Err(error) => fs::rename(&old, target).and(Err(error)),
    }
}

/// Exchanges two directories in one step, where the system and the file system can.
#[cfg(target_os = "linux")]
fn exchange(new: &Path, target: &Path) -> bool {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, new, CWD, target, RenameFlags::EXCHANGE).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn exchange(_new: &Path, _target: &Path) -> bool {
    false
}

/// Brings the files of `dir` and `dir` itself to the device.
fn sync_all_in(dir: &Path) -> Result<()> {
    let entries = fs::read_dir(dir).map_err(StoreError::io("list the directory", dir))?;
    let files: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let files = files.map_err(StoreError::io("list the directory", dir))?;
    files.par_iter().try_for_each(|file| sync(file))?;
    sync(dir)
}

#[cfg(unix)]
fn sync(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(StoreError::io("write to the device", path))
}

/// Directories cannot be opened as files here, and files must be writable to be flushed.
#[cfg(not(unix))]
fn sync(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let file = fs::OpenOptions::new().write(true).open(path);
    file.and_then(|file| file.sync_all()).map_err(StoreError::io("write to the device", path))
}
