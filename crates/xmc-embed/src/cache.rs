//! Vectors on disk, found by their text.
//!
//! A folder for each encoder; in it parts that are written once and never changed, each a container of `keys` and
//! `vectors`. A part is called by what is in it and appears by a rename, so processes can share a cache without a lock: the
//! worst is that two encode the same text.

use crate::EmbedError;
use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use xmc_store::{Buffer, Container, ModelWriter};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// A text, by its XXH3-128: among a billion texts, two share one with a probability of 10⁻²¹.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key([u64; 2]);

impl Key {
    pub(crate) fn of(text: &str) -> Self {
        let hash = xxh3_128(text.as_bytes());
        Self([hash as u64, (hash >> 64) as u64])
    }
}

/// All that is known of one encoder's vectors.
pub(crate) struct Cache {
    folder: PathBuf,
    n_dims: usize,
    vectors: Vec<Buffer<f32>>,
    /// Part and row of each text.
    places: HashMap<Key, (u32, u32)>,
}

impl Cache {
    /// The vectors of the encoder `fingerprint` below `dir`, which need not exist.
    pub(crate) fn open(dir: &Path, fingerprint: u64, n_dims: usize) -> Result<Self, EmbedError> {
        let mut cache =
            Self { folder: folder(dir, fingerprint), n_dims, vectors: Vec::new(), places: HashMap::new() };
        for part in parts(&cache.folder)? {
            cache.open_part(&part)?;
        }
        Ok(cache)
    }

    fn open_part(&mut self, dir: &Path) -> Result<(), EmbedError> {
        let container = Container::open(dir)?;
        let (keys, vectors) = (container.array::<u64>("keys")?, container.array::<f32>("vectors")?);
        let n_rows = keys.len() / 2;
        if vectors.len() != n_rows * self.n_dims {
            let (expected, found) = (n_rows * self.n_dims, vectors.len());
            return Err(EmbedError::CachePart { path: dir.to_path_buf(), expected, found });
        }
        let part = self.vectors.len() as u32;
        let places = keys.chunks_exact(2).zip(0..).map(|(key, row)| (Key([key[0], key[1]]), (part, row)));
        self.places.extend(places);
        self.vectors.push(vectors);
        Ok(())
    }

    /// Copies the vectors that are known to their places in `rows`; returns the numbers of the others.
    pub(crate) fn fill(&self, keys: &[Key], rows: &mut [f32]) -> Vec<usize> {
        let mut missing = Vec::new();
        let mut found: Vec<(u32, u32, usize)> = Vec::with_capacity(keys.len());
        for (at, key) in keys.iter().enumerate() {
            match self.places.get(key) {
                Some(&(part, row)) => found.push((part, row, at)),
                None => missing.push(at),
            }
        }
        // Part by part, and each is let go of: the vectors are in memory once.
        found.sort_unstable();
        let width = self.n_dims;
        for of_part in found.chunk_by(|a, b| a.0 == b.0) {
            let vectors = &self.vectors[of_part[0].0 as usize];
            for &(_, row, at) in of_part {
                rows[at * width..][..width].copy_from_slice(&vectors[row as usize * width..][..width]);
            }
            vectors.evict();
        }
        missing
    }

    /// Adds the vectors of `keys`, row by row.
    pub(crate) fn add(&self, keys: &[Key], vectors: &[f32]) -> Result<(), EmbedError> {
        fs::create_dir_all(&self.folder)
            .map_err(|source| EmbedError::Io { path: self.folder.clone(), source })?;
        let words: Vec<u64> = keys.iter().flat_map(|key| key.0).collect();
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let writer = ModelWriter::create(self.folder.join(format!("{:016x}", xxh3_64(&bytes))))?;
        writer.put_array("keys", &words)?;
        writer.put_array("vectors", vectors)?;
        writer.commit(&())?;
        Ok(())
    }
}

/// Where the vectors of an encoder are.
pub(crate) fn folder(dir: &Path, fingerprint: u64) -> PathBuf {
    dir.join(format!("{fingerprint:016x}"))
}

/// The parts in `folder`, in the order of their names: whatever is hidden is being written.
pub(crate) fn parts(folder: &Path) -> Result<Vec<PathBuf>, EmbedError> {
    let io = |source| EmbedError::Io { path: folder.to_path_buf(), source };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(io)?,
    };
    let paths = entries.map(|entry| Ok(entry.map_err(io)?.path()));
    let mut parts = paths.collect::<Result<Vec<_>, EmbedError>>()?;
    parts.retain(|path| {
        path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.')) && path.is_dir()
    });
    parts.sort();
    Ok(parts)
}
