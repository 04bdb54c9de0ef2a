//! In how many documents does each n-gram occur?
//!
//! One hash table for all threads, cut into shards by hash. A thread gathers the n-grams of some documents,
//! grouped by shard, then brings each shard its share under that shard's lock: the table is held once
//! however many threads there are, and a shard is worked on while it is warm in the cache. Which thread
//! comes first changes nothing but the order inside a shard, and the vocabulary is sorted later.

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
/// N-grams that a thread gathers before it visits the shards.
const BATCH_GRAMS: usize = 1 << 16;
/// Documents that a thread takes at a time.
const CHUNK_DOCUMENTS: usize = 256;

/// The document frequencies of all n-grams of a corpus under one vectoriser.
pub(crate) struct Counts {
    shards: Vec<Shard>,
}

#[derive(Default)]
struct Shard {
    table: HashTable<Entry>,
    bytes: Vec<u8>,
}

/// One n-gram: where its bytes are, its document frequency, and the last document counted.
struct Entry {
    start: u32,
    len: u32,
    df: u32,
    last_document: u32,
}

/// One n-gram of one document, its bytes in the text of a batch.
struct Occurrence {
    hash: u64,
    start: usize,
    len: u32,
    document: u32,
}

impl Entry {
    fn bytes<'a>(&self, all: &'a [u8]) -> &'a [u8] {
        &all[self.start as usize..][..self.len as usize]
    }
}

impl Shard {
    fn add(&mut self, found: &Occurrence, gram: &[u8]) -> Result<(), TooManyBytes> {
        let Self { table, bytes } = self;
        if let Some(entry) = table.find_mut(found.hash, |entry| entry.bytes(bytes) == gram) {
            // The documents of a shard come whole: an n-gram's repetitions in one follow each other.
            entry.df += u32::from(entry.last_document != found.document);
            entry.last_document = found.document;
            return Ok(());
        }
        let start = u32::try_from(bytes.len()).map_err(|_| TooManyBytes(bytes.len() as u64))?;
        let entry = Entry { start, len: found.len, df: 1, last_document: found.document };
        bytes.extend_from_slice(gram);
        table.insert_unique(found.hash, entry, |entry| xxh3_64(entry.bytes(bytes)));
        Ok(())
    }
}

/// The distinct n-grams of a shard fill 4 GiB.
struct TooManyBytes(u64);

/// What one thread gathers between two visits to the shards.
struct Batch {
    text: Vec<u8>,
    by_shard: Vec<Vec<Occurrence>>,
    n_grams: usize,
}

impl Batch {
    fn new() -> Self {
        Self { text: Vec::new(), by_shard: (0..N_SHARDS).map(|_| Vec::new()).collect(), n_grams: 0 }
    }

    fn add(&mut self, document: u32, gram: &[u8], start: usize) -> Result<(), TooManyBytes> {
        let len = u32::try_from(gram.len()).map_err(|_| TooManyBytes(gram.len() as u64))?;
        let hash = xxh3_64(gram);
        self.by_shard[shard_of(hash)].push(Occurrence { hash, start, len, document });
        self.n_grams += 1;
        Ok(())
    }

    /// Brings every shard its share, from shard `first` on so that threads do not queue up.
    fn deliver(&mut self, shards: &[Mutex<Shard>], first: usize) -> Result<(), TooManyBytes> {
        for shard in (0..N_SHARDS).map(|at| (first + at) % N_SHARDS) {
            // A poisoned lock means that another thread panicked; its panic is what the caller sees.
            let mut counts = shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
            for found in &self.by_shard[shard] {
                counts.add(found, &self.text[found.start..][..found.len as usize])?;
            }
            self.by_shard[shard].clear();
        }
        self.text.clear();
        self.n_grams = 0;
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
        (0..n_documents.div_ceil(CHUNK_DOCUMENTS))
            .into_par_iter()
            .try_for_each_init(Workspace::new, |workspace, chunk| {
                let start = chunk * CHUNK_DOCUMENTS;
                let range = start..n_documents.min(start + CHUNK_DOCUMENTS);
                progress.advance(range.len() as u64);
                counter.count(range, workspace)
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
    fn count(&self, range: Range<usize>, workspace: &mut Workspace) -> Result<(), TooManyBytes> {
        let first_shard = range.start / CHUNK_DOCUMENTS * 37;
        for document in range {
            self.gather(document, workspace)?;
            if workspace.batch.n_grams >= BATCH_GRAMS {
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
