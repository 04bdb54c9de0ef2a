//! In how many documents does each n-gram occur?
//!
//! One hash table for all threads, cut into shards by hash. A thread counts some documents in a table of its
//! own that stays in its cache, then brings each shard its share under that shard's lock: n-grams are held
//! once however many threads there are, and the common ones, which are most of a text, go to memory once a
//! batch and not once a document. Which thread comes first changes nothing but the order inside a shard,
//! and the vocabulary is sorted later.

use crate::analyze::Grams;
use crate::{Documents, TfIdfError, TfIdfParams};
use hashbrown::HashTable;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use xmc_sparse::Progress;
use xxhash_rust::xxh3::xxh3_64;

/// A power of two, several times the threads of a large machine.
const N_SHARDS: usize = 128;
/// Distinct n-grams that a thread counts before it visits the shards. A table of 16,384 buckets, half a
/// megabyte, is 7/8 full with them: it stays in the second-level cache.
const BATCH_GRAMS: usize = 14_000;
/// Documents that a thread takes at a time, at most. Batches end with them, so they should not be few.
const CHUNK_DOCUMENTS: usize = 4096;
/// Chunks for each thread when there are few documents.
const CHUNKS_PER_THREAD: usize = 8;

/// The document frequencies of all n-grams of a corpus under one vectoriser.
pub(crate) struct Counts {
    shards: Vec<Shard>,
}

#[derive(Default)]
struct Shard {
    table: HashTable<Entry>,
    bytes: Vec<u8>,
}

/// One n-gram: where its bytes are and its document frequency.
struct Entry {
    start: u32,
    len: u32,
    df: u32,
}

/// One n-gram of a batch: where its bytes are, in how many of the batch's documents it occurs, and the last
/// of them.
struct Found {
    hash: u64,
    start: usize,
    len: u32,
    df: u32,
    last_document: u32,
}

impl Entry {
    fn bytes<'a>(&self, all: &'a [u8]) -> &'a [u8] {
        &all[self.start as usize..][..self.len as usize]
    }
}

impl Found {
    fn bytes<'a>(&self, all: &'a [u8]) -> &'a [u8] {
        &all[self.start..][..self.len as usize]
    }
}

impl Shard {
    fn add(&mut self, found: &Found, gram: &[u8]) -> Result<(), TooManyBytes> {
        let Self { table, bytes } = self;
        if let Some(entry) = table.find_mut(found.hash, |entry| entry.bytes(bytes) == gram) {
            entry.df += found.df;
            return Ok(());
        }
        let start = u32::try_from(bytes.len()).map_err(|_| TooManyBytes(bytes.len() as u64))?;
        let entry = Entry { start, len: found.len, df: found.df };
        bytes.extend_from_slice(gram);
        table.insert_unique(found.hash, entry, |entry| xxh3_64(entry.bytes(bytes)));
        Ok(())
    }
}

/// An n-gram of 4 GiB, or distinct n-grams of a shard that fill as much.
struct TooManyBytes(u64);

/// What one thread counts between two visits to the shards.
struct Batch {
    text: Vec<u8>,
    table: HashTable<Found>,
    by_shard: Vec<Vec<Found>>,
}

impl Batch {
    fn new() -> Self {
        let by_shard = (0..N_SHARDS).map(|_| Vec::new()).collect();
        Self { text: Vec::new(), table: HashTable::new(), by_shard }
    }

    /// Counts an n-gram of `document`, which begins at `start` of the batch's text.
    fn add(&mut self, document: u32, gram: &[u8], start: usize) -> Result<(), TooManyBytes> {
        let Self { text, table, .. } = self;
        let hash = xxh3_64(gram);
        if let Some(found) = table.find_mut(hash, |found| found.bytes(text) == gram) {
            // Documents come one after the other, so the last one seen is enough to count each once.
            found.df += u32::from(found.last_document != document);
            found.last_document = document;
            return Ok(());
        }
        let len = u32::try_from(gram.len()).map_err(|_| TooManyBytes(gram.len() as u64))?;
        let found = Found { hash, start, len, df: 1, last_document: document };
        table.insert_unique(hash, found, |found| found.hash);
        Ok(())
    }

    /// Brings every shard its share, from shard `first` on so that threads do not queue up.
    fn deliver(&mut self, shards: &[Mutex<Shard>], first: usize) -> Result<(), TooManyBytes> {
        for found in self.table.drain() {
            self.by_shard[shard_of(found.hash)].push(found);
        }
        for shard in (0..N_SHARDS).map(|at| (first + at) % N_SHARDS) {
            // A poisoned lock means that another thread panicked; its panic is what the caller sees.
            let mut counts = shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
            for found in self.by_shard[shard].drain(..) {
                counts.add(&found, found.bytes(&self.text))?;
            }
        }
        self.text.clear();
        Ok(())
    }
}

/// The shard of a hash, from bits that the tables inside the shards hardly look at: they take their
/// buckets from the low bits and their tags from the top ones.
fn shard_of(hash: u64) -> usize {
    (hash >> 40) as usize % N_SHARDS
}

impl Counts {
    /// Counts the n-grams of `documents` under vectoriser number `vectorizer`.
    ///
    /// # Errors
    /// [`TfIdfError::TooMany`] beyond `u32::MAX` documents, or 4 GiB of n-grams in one shard.
    pub(crate) fn of<D: Documents + ?Sized>(
        documents: &D,
        params: &TfIdfParams,
        vectorizer: usize,
        progress: &dyn Progress,
    ) -> Result<Self, TfIdfError> {
        let too_many = |what, found| TfIdfError::TooMany { vectorizer, what, found };
        let n_documents = documents.len();
        if u32::try_from(n_documents).is_err() {
            return Err(too_many("documents", n_documents as u64));
        }
        let shards: Vec<Mutex<Shard>> = (0..N_SHARDS).map(|_| Mutex::default()).collect();
        let counter = Counter { documents, params, vectorizer, shards: &shards };
        let few = n_documents.div_ceil(CHUNKS_PER_THREAD * rayon::current_num_threads());
        let chunk_size = few.clamp(1, CHUNK_DOCUMENTS);
        (0..n_documents.div_ceil(chunk_size))
            .into_par_iter()
            .try_for_each_init(Workspace::new, |workspace, chunk| {
                let start = chunk * chunk_size;
                let range = start..n_documents.min(start + chunk_size);
                let n = range.len() as u64;
                // Neighbours in time start far apart.
                counter.count(range, chunk * 37, workspace)?;
                progress.advance(n);
                Ok(())
            })
            .map_err(|TooManyBytes(found)| too_many("bytes of n-grams", found))?;
        let unlocked = |shard: Mutex<Shard>| shard.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Self { shards: shards.into_iter().map(unlocked).collect() })
    }

    /// Every n-gram with its document frequency, in no particular order, in parallel.
    pub(crate) fn par_iter(&self) -> impl ParallelIterator<Item = (&[u8], u32)> {
        self.shards
            .par_iter()
            .flat_map_iter(|shard| shard.table.iter().map(|entry| (entry.bytes(&shard.bytes), entry.df)))
    }
}

struct Workspace {
    normalized: String,
    grams: Grams,
    batch: Batch,
}

impl Workspace {
    fn new() -> Self {
        Self { normalized: String::new(), grams: Grams::default(), batch: Batch::new() }
    }
}

struct Counter<'a, D: ?Sized> {
    documents: &'a D,
    params: &'a TfIdfParams,
    vectorizer: usize,
    shards: &'a [Mutex<Shard>],
}

impl<D: Documents + ?Sized> Counter<'_, D> {
    fn count(
        &self,
        range: Range<usize>,
        first_shard: usize,
        workspace: &mut Workspace,
    ) -> Result<(), TooManyBytes> {
        for document in range {
            self.gather(document, workspace)?;
            if workspace.batch.table.len() >= BATCH_GRAMS {
                workspace.batch.deliver(self.shards, first_shard)?;
            }
        }
        workspace.batch.deliver(self.shards, first_shard)
    }

    fn gather(&self, document: usize, workspace: &mut Workspace) -> Result<(), TooManyBytes> {
        let Workspace { normalized, grams, batch } = workspace;
        let params = &self.params.vectorizers[self.vectorizer];
        grams.cut(self.params.normalized(self.documents.get(document), normalized), params);
        let base = batch.text.len();
        batch.text.extend_from_slice(grams.bytes());
        let mut result = Ok(());
        grams.for_each(params, |range| {
            let start = base + range.start;
            let added = batch.add(document as u32, &grams.bytes()[range], start);
            if added.is_err() {
                result = added;
            }
        });
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VectorizerParams;
    use std::collections::{BTreeMap, BTreeSet};
    use xmc_sparse::NoProgress;

    /// The definition, with one string for each n-gram.
    fn naive(documents: &[String], params: &TfIdfParams) -> BTreeMap<Vec<u8>, u32> {
        let mut counts = BTreeMap::new();
        let mut grams = Grams::default();
        for document in documents {
            let mut distinct = BTreeSet::new();
            grams.cut(document, &params.vectorizers[0]);
            grams.for_each(&params.vectorizers[0], |range| {
                distinct.insert(grams.bytes()[range].to_vec());
            });
            for gram in distinct {
                *counts.entry(gram).or_insert(0) += 1;
            }
        }
        counts
    }

    #[test]
    fn document_frequencies_agree_with_the_definition() {
        // Enough documents for several chunks, and n-grams that repeat within and across them.
        let documents: Vec<String> =
            (0..1000u32).map(|i| format!("w{} w{} w{} both w{}", i % 7, i % 7, i * i % 97, i)).collect();
        for vectorizer in [VectorizerParams::words(1, 3), VectorizerParams::char_wb(2, 4)] {
            let params = TfIdfParams::default().vectorizers(vec![vectorizer]);
            let counts = Counts::of(&documents, &params, 0, &NoProgress).unwrap();
            let found: BTreeMap<Vec<u8>, u32> =
                counts.par_iter().map(|(gram, df)| (gram.to_vec(), df)).collect();
            assert_eq!(found, naive(&documents, &params));
        }
    }
}
