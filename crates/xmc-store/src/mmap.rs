//! Buffers: arrays that are either owned or part of a memory map.
//!
//! This is the one module of the crate with `unsafe` code. A [`Buffer`] keeps a bare pointer beside
//! its owner, so that reading it in an inner loop costs what reading a slice costs, whatever owns it.
//!
//! As with every memory map, nothing can be promised when another process truncates or overwrites a
//! mapped file: the reader gets a bus error or changed numbers. Replace models by writing a new one
//! ([`crate::ModelWriter`] renames, so open maps keep the old files), never in place.
#![allow(unsafe_code)]

use crate::header::{HEADER_BYTES, Header};
use crate::{Element, Result, SectionEntry, StoreError};
use std::any::Any;
use std::fs::File;
use std::io::ErrorKind;
use std::ops::{Bound, Deref, RangeBounds};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

/// An immutable array of `T`, cheap to clone: it shares its memory, an owned vector or a mapped file.
pub struct Buffer<T> {
    start: NonNull<T>,
    len: usize,
    /// Keeps the memory behind `start` alive, unmoved and unchanged.
    owner: Arc<dyn Any + Send + Sync>,
}

// SAFETY: a buffer gives out nothing but `&T`, and its owner is `Send + Sync`, so it may go wherever
// `&[T]` may.
unsafe impl<T: Sync> Send for Buffer<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Buffer<T> {}

impl<T> Deref for Buffer<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: `start` and `len` come from a slice of `owner` (see `From<Vec<T>>`, `map_section` and
        // `slice`), which lives as long as `self`, does not move and is never written again.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T: Send + Sync + 'static> From<Vec<T>> for Buffer<T> {
    fn from(values: Vec<T>) -> Self {
        let owner = Arc::new(values);
        let (start, len) = (NonNull::from(owner.as_slice()).cast(), owner.len());
        Self { start, len, owner }
    }
}

impl<T> Buffer<T> {
    /// Part of the buffer, sharing its memory; panics when `range` is out of bounds.
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Self {
        let range = (range.start_bound().cloned(), range.end_bound().cloned());
        let part = &self[range as (Bound<usize>, Bound<usize>)];
        Self { start: NonNull::from(part).cast(), len: part.len(), owner: Arc::clone(&self.owner) }
    }
}

impl<T> Buffer<T> {
    /// Gives the memory behind a mapped file back to the system: what is read again is read from the file. For those
    /// who go through a large array once. Nothing happens to an array that is owned, or where the system has no such call.
    pub fn evict(&self) {
        #[cfg(unix)]
        if let Some(map) = self.owner.downcast_ref::<memmap2::Mmap>() {
            // SAFETY: the map is shared, read-only and backed by a file, so dropped pages are read again with the same
            // content. That it fails only means that memory is given back later.
            let _ = unsafe { map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
        }
    }
}

impl<T> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        Self { start: self.start, len: self.len, owner: Arc::clone(&self.owner) }
    }
}

impl<T: Send + Sync + 'static> Default for Buffer<T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<T> AsRef<[T]> for Buffer<T> {
    fn as_ref(&self) -> &[T] {
        self
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T: PartialEq> PartialEq for Buffer<T> {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

impl<'a, T> IntoIterator for &'a Buffer<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// In which pages a file is mapped, where the system has a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pages {
    Any,
    /// Of 2 MiB, read as a whole. A query that goes all over a large model waits for fewer reads while the model is not in memory, and for
    /// the translation of fewer addresses when it is.
    Huge,
}

impl Pages {
    /// For files of `n_bytes` in all that are read at random. Huge pages of a model that hardly fits into memory would take it from each other.
    pub(crate) fn at_random(n_bytes: u64) -> Self {
        if n_bytes <= total_memory() / 4 * 3 { Self::Huge } else { Self::Any }
    }
}

/// Bytes of memory that the machine has, 0 where that is not asked.
#[cfg(target_os = "linux")]
fn total_memory() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram as u64 * u64::from(info.mem_unit)
}

#[cfg(not(target_os = "linux"))]
fn total_memory() -> u64 {
    0
}

/// A system that has none says no, and maps the file as it does others.
#[cfg(target_os = "linux")]
fn ask_for_huge_pages(map: &memmap2::Mmap) {
    let _ = map.advise(memmap2::Advice::HugePage);
}

#[cfg(not(target_os = "linux"))]
fn ask_for_huge_pages(_: &memmap2::Mmap) {}

/// Maps the section file at `path`, whose type has been checked against `entry`.
///
/// # Errors
/// [`StoreError::SectionFileMissing`], [`StoreError::WrongSize`], [`StoreError::HeaderMismatch`],
/// [`StoreError::Io`].
pub(crate) fn map_section<T: Element>(path: &Path, entry: &SectionEntry, pages: Pages) -> Result<Buffer<T>> {
    let file = File::open(path).map_err(|source| open_error(source, path, entry))?;
    // SAFETY: the map is read-only and private to this process's view of the file. That nobody
    // truncates or overwrites the file while it is mapped is the user's part (module documentation);
    // this crate itself never writes to a file once it is in a model.
    let map = unsafe { memmap2::Mmap::map(&file) }.map_err(StoreError::io("map the section", path))?;
    if map.len() as u64 != entry.file_bytes() {
        let (expected, found) = (entry.file_bytes(), map.len() as u64);
        return Err(StoreError::WrongSize { path: path.to_path_buf(), expected, found });
    }
    if pages == Pages::Huge {
        ask_for_huge_pages(&map);
    }
    Header::of(entry).check(&map[..HEADER_BYTES], path)?;
    let owner = Arc::new(map);
    // Maps begin on a page and the header has 64 bytes, so the cast finds every `T` aligned.
    let values: &[T] = bytemuck::cast_slice(&owner[HEADER_BYTES..]);
    let (start, len) = (NonNull::from(values).cast(), values.len());
    Ok(Buffer { start, len, owner })
}

pub(crate) fn open_error(source: std::io::Error, path: &Path, entry: &SectionEntry) -> StoreError {
    match source.kind() {
        ErrorKind::NotFound => {
            StoreError::SectionFileMissing { path: path.to_path_buf(), name: entry.name.clone() }
        }
        _ => StoreError::io("open the section", path)(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_outlives_the_buffer_it_came_from() {
        let whole = Buffer::from(vec![1u32, 2, 3, 4]);
        let part = whole.slice(1..=2);
        drop(whole);
        assert_eq!(&part[..], &[2, 3]);
        assert_eq!(part.slice(2..), Buffer::default());
    }

    #[test]
    #[should_panic(expected = "out of range")]
    fn a_slice_beyond_the_end_panics() {
        let _ = Buffer::from(vec![1u8]).slice(..2);
    }

    #[test]
    fn an_owned_array_outlives_its_eviction() {
        let owned = Buffer::from(vec![1u32, 2, 3]);
        owned.evict();
        assert_eq!(&owned[..], &[1, 2, 3]);
    }

    #[test]
    fn a_model_that_hardly_fits_into_memory_has_small_pages() {
        let fits = if cfg!(target_os = "linux") { Pages::Huge } else { Pages::Any };
        assert_eq!(Pages::at_random(1 << 20), fits);
        assert_eq!(Pages::at_random(1 << 60), Pages::Any);
    }

    #[test]
    fn a_buffer_crosses_threads() {
        let buffer = Buffer::from(vec![1.0f32; 1000]);
        let other = buffer.clone();
        let sum = std::thread::spawn(move || other.iter().sum::<f32>()).join().unwrap();
        assert_eq!(sum, buffer.iter().sum::<f32>());
    }
}
