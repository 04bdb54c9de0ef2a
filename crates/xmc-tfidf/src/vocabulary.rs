//! The n-grams of one vectoriser as flat arrays: nothing to parse, so a mapped file opens at once.
//!
//! * `bytes`: the n-grams end to end, sorted by bytes, so that the feature number is the rank;
//! * `offsets`: where each begins, and the end of the last;
//! * `slots`: an open-addressing hash table (linear probing, xxh3) whose slots are one `u32`: the number in
//!   as many low bits as numbers need, the low bits of the hash above it. Most misses and nearly all hits
//!   are settled by that fingerprint within one cache line;
//! * `idf`: the weight of each.
//!
//! A look-up never panics, whatever the arrays hold: a damaged file finds nothing.

use crate::TfIdfError;
use rayon::prelude::*;
use std::ops::Range;
use xmc_store::Buffer;
use xxhash_rust::xxh3::xxh3_64;

/// Slots for each 5 n-grams: 71 % full.
const SLOTS_PER_5: u64 = 7;

/// One vectoriser's fitted arrays, borrowed: what a container stores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VocabularyParts<'a> {
    /// The n-grams end to end, in byte order, UTF-8.
    pub bytes: &'a [u8],
    /// Start of each n-gram in `bytes`, and the end of the last: `n_features + 1` values.
    pub offsets: &'a [u32],
    /// The hash table.
    pub slots: &'a [u32],
    /// Inverse document frequency of each n-gram.
    pub idf: &'a [f32],
}

/// One vectoriser's fitted arrays, owned or mapped.
#[derive(Debug, Clone)]
pub struct VocabularyBuffers {
    /// See [`VocabularyParts::bytes`].
    pub bytes: Buffer<u8>,
    /// See [`VocabularyParts::offsets`].
    pub offsets: Buffer<u32>,
    /// See [`VocabularyParts::slots`].
    pub slots: Buffer<u32>,
    /// See [`VocabularyParts::idf`].
    pub idf: Buffer<f32>,
}

/// A kept n-gram: the key of the sort, then what it needs to become a feature.
pub(crate) struct Kept<'a> {
    /// The first bytes as a number: most comparisons touch nothing else.
    prefix: u128,
    pub(crate) bytes: &'a [u8],
    pub(crate) df: u32,
}

impl<'a> Kept<'a> {
    pub(crate) fn new(bytes: &'a [u8], df: u32) -> Self {
        let mut prefix = [0u8; 16];
        let len = bytes.len().min(16);
        prefix[..len].copy_from_slice(&bytes[..len]);
        Self { prefix: u128::from_be_bytes(prefix), bytes, df }
    }

    fn key(&self) -> (u128, &[u8]) {
        (self.prefix, self.bytes)
    }
}

/// Sorts by bytes.
pub(crate) fn sort_kept(kept: &mut [Kept<'_>]) {
    kept.par_sort_unstable_by(|a, b| a.key().cmp(&b.key()));
}

impl VocabularyBuffers {
    /// Lays out sorted, distinct n-grams; `weight` gives the inverse document frequency.
    ///
    /// # Errors
    /// The total when there are more bytes than `u32` can number.
    pub(crate) fn build(kept: &[Kept<'_>], weight: impl Fn(u32) -> f32) -> Result<Self, u64> {
        let n_bytes: usize = kept.iter().map(|gram| gram.bytes.len()).sum();
        if u32::try_from(n_bytes).is_err() {
            return Err(n_bytes as u64);
        }
        let mut bytes = Vec::with_capacity(n_bytes);
        let mut offsets = Vec::with_capacity(kept.len() + 1);
        offsets.push(0);
        for gram in kept {
            bytes.extend_from_slice(gram.bytes);
            offsets.push(bytes.len() as u32);
        }
        let idf: Vec<f32> = kept.iter().map(|gram| weight(gram.df)).collect();
        let slots = build_slots(kept);
        Ok(Self { bytes: bytes.into(), offsets: offsets.into(), slots: slots.into(), idf: idf.into() })
    }

    /// The arrays as plain slices.
    pub fn parts(&self) -> VocabularyParts<'_> {
        VocabularyParts { bytes: &self.bytes, offsets: &self.offsets, slots: &self.slots, idf: &self.idf }
    }

    /// Checks that the arrays belong together, without reading through them.
    pub(crate) fn check(&self, vectorizer: usize) -> Result<(), TfIdfError> {
        let parts = self.parts();
        let wrong = |what, expected, found| TfIdfError::Parts { vectorizer, what, expected, found };
        let n_features = parts.idf.len() as u64;
        if n_features > u64::from(u32::MAX) {
            return Err(wrong("the number of features", u64::from(u32::MAX), n_features));
        }
        if parts.offsets.len() as u64 != n_features + 1 {
            return Err(wrong("the number of offsets", n_features + 1, parts.offsets.len() as u64));
        }
        let end = parts.offsets.last().map_or(0, |&end| u64::from(end));
        if end != parts.bytes.len() as u64 {
            return Err(wrong("the number of n-gram bytes", end, parts.bytes.len() as u64));
        }
        let n_slots = n_slots(n_features);
        if parts.slots.len() as u64 != n_slots {
            return Err(wrong("the number of hash slots", n_slots, parts.slots.len() as u64));
        }
        Ok(())
    }
}

fn n_slots(n_features: u64) -> u64 {
    // One more than the features at least: a probe always meets an empty slot.
    (n_features * SLOTS_PER_5).div_ceil(5) + 1
}

/// The low bits of a slot that hold a number; all of them set means empty, so no number is that.
fn id_mask(n_features: usize) -> u32 {
    u32::MAX.checked_shr((n_features as u32).leading_zeros()).unwrap_or(0)
}

/// Where the probing of `hash` begins, of `n_slots`: the top bits scaled, no power of two needed.
fn first_slot(hash: u64, n_slots: usize) -> usize {
    ((u128::from(hash) * n_slots as u128) >> 64) as usize
}

fn build_slots(kept: &[Kept<'_>]) -> Vec<u32> {
    let mask = id_mask(kept.len());
    let mut slots = vec![u32::MAX; n_slots(kept.len() as u64) as usize];
    let hashes: Vec<u64> = kept.par_iter().map(|gram| xxh3_64(gram.bytes)).collect();
    for (id, &hash) in hashes.iter().enumerate() {
        let mut at = first_slot(hash, slots.len());
        while slots[at] & mask != mask {
            at = if at + 1 == slots.len() { 0 } else { at + 1 };
        }
        slots[at] = (hash as u32 & !mask) | id as u32;
    }
    slots
}

impl<'a> VocabularyParts<'a> {
    /// Number of features.
    pub fn n_features(&self) -> usize {
        self.idf.len()
    }

    /// The bytes of n-gram `id`; `None` when it is out of range.
    pub fn gram(&self, id: u32) -> Option<&'a [u8]> {
        let start = *self.offsets.get(id as usize)?;
        let end = *self.offsets.get(id as usize + 1)?;
        self.bytes.get(Range { start: start as usize, end: end as usize })
    }

    /// The number of `gram`.
    pub fn find(&self, gram: &[u8]) -> Option<u32> {
        self.find_hashed(xxh3_64(gram), gram)
    }

    fn find_hashed(&self, hash: u64, gram: &[u8]) -> Option<u32> {
        self.candidates(hash).find(|&id| self.gram(id) == Some(gram))
    }

    /// The numbers of all n-grams that share the fingerprint of `hash` on its way through the slots.
    fn candidates(&self, hash: u64) -> impl Iterator<Item = u32> + use<'a> {
        let mask = id_mask(self.n_features());
        let first = first_slot(hash, self.slots.len());
        let (before, after) = self.slots.split_at_checked(first).unwrap_or_default();
        let slots = after.iter().chain(before).take_while(move |&&slot| slot & mask != mask);
        slots.filter(move |&&slot| (slot ^ hash as u32) & !mask == 0).map(move |&slot| slot & mask)
    }

    /// Appends to `ids` the number of every n-gram in `queue` that has one; empties `queue`.
    ///
    /// A look-up waits for memory three times: slot, offset, bytes. Done in step for many n-grams, these
    /// waits overlap; one n-gram after the other takes about twice as long on a large vocabulary.
    pub(crate) fn find_all(&self, text: &[u8], queue: &mut Vec<Query>, ids: &mut Vec<u32>) {
        for query in queue.iter_mut() {
            let slot = self.slots.get(first_slot(query.hash, self.slots.len()));
            query.id = slot.copied().unwrap_or(u32::MAX);
        }
        queue.retain_mut(|query| {
            // The first slot has arrived by now, and with it the line that the probing goes on in.
            let candidate = self.candidates(query.hash).next();
            query.id = candidate.unwrap_or_default();
            candidate.is_some()
        });
        for query in queue.iter_mut() {
            query.at = self.offsets.get(query.id as usize).copied().unwrap_or_default();
        }
        for query in queue.iter_mut() {
            let first = self.bytes.get(query.at as usize);
            query.same_start = first == text.get(query.start);
        }
        for query in queue.drain(..) {
            let gram = &text[query.start..query.end];
            if query.same_start && self.gram(query.id) == Some(gram) {
                ids.push(query.id);
            } else {
                // Another n-gram with the same fingerprint: rare, so look again from the start.
                ids.extend(self.find_hashed(query.hash, gram));
            }
        }
    }
}

/// An n-gram being looked up by [`VocabularyParts::find_all`].
#[derive(Debug)]
pub(crate) struct Query {
    hash: u64,
    start: usize,
    end: usize,
    id: u32,
    at: u32,
    same_start: bool,
}

impl Query {
    /// Looks for the n-gram at `range` of `text`.
    pub(crate) fn new(text: &[u8], range: Range<usize>) -> Self {
        let hash = xxh3_64(&text[range.clone()]);
        Self { hash, start: range.start, end: range.end, id: 0, at: 0, same_start: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn build(grams: &BTreeSet<Vec<u8>>) -> VocabularyBuffers {
        let mut kept: Vec<Kept<'_>> = grams.iter().rev().map(|gram| Kept::new(gram, 1)).collect();
        sort_kept(&mut kept);
        VocabularyBuffers::build(&kept, |df| df as f32).unwrap()
    }

    proptest! {
        #[test]
        fn every_gram_is_found_at_its_rank_and_no_other(
            grams in proptest::collection::btree_set(proptest::collection::vec(0u8..4, 0..20), 0..200),
            other in proptest::collection::vec(0u8..4, 0..20),
        ) {
            let vocabulary = build(&grams);
            prop_assert!(vocabulary.check(0).is_ok());
            let parts = vocabulary.parts();
            for (rank, gram) in grams.iter().enumerate() {
                prop_assert_eq!(parts.find(gram), Some(rank as u32));
                prop_assert_eq!(parts.gram(rank as u32), Some(gram.as_slice()));
            }
            prop_assert_eq!(parts.find(&other).is_some(), grams.contains(&other));
            // Every piece of a text at once, as one by one.
            let ranges = || (0..other.len()).flat_map(|start| (start..=other.len()).map(move |end| start..end));
            let mut queue: Vec<Query> = ranges().map(|range| Query::new(&other, range)).collect();
            let mut found = Vec::new();
            parts.find_all(&other, &mut queue, &mut found);
            let one_by_one: Vec<u32> = ranges().filter_map(|range| parts.find(&other[range])).collect();
            prop_assert_eq!(found, one_by_one);
        }

        #[test]
        fn damaged_arrays_never_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..30),
            offsets in proptest::collection::vec(any::<u32>(), 0..6),
            slots in proptest::collection::vec(any::<u32>(), 0..12),
            gram in proptest::collection::vec(any::<u8>(), 0..5),
        ) {
            let idf = [1.0f32; 5];
            let parts = VocabularyParts { bytes: &bytes, offsets: &offsets, slots: &slots, idf: &idf };
            if let Some(id) = parts.find(&gram) {
                prop_assert_eq!(parts.gram(id), Some(gram.as_slice()));
            }
            let mut found = Vec::new();
            parts.find_all(&gram, &mut vec![Query::new(&gram, 0..gram.len())], &mut found);
            prop_assert_eq!(found.first().copied(), parts.find(&gram));
        }
    }

    #[test]
    fn a_large_vocabulary_finds_all_of_its_grams() {
        let grams: BTreeSet<Vec<u8>> = (0..50_000u32).map(|i| format!("gram {i}").into_bytes()).collect();
        let vocabulary = build(&grams);
        for (rank, gram) in grams.iter().enumerate() {
            assert_eq!(vocabulary.parts().find(gram), Some(rank as u32));
        }
        assert_eq!(vocabulary.parts().find(b"gram 50000"), None);
    }

    #[test]
    fn each_wrong_length_is_named() {
        let whole = build(&(0..9u8).map(|i| vec![i]).collect());
        let damage = |change: fn(&mut VocabularyBuffers)| {
            let mut vocabulary = whole.clone();
            change(&mut vocabulary);
            match vocabulary.check(3) {
                Err(TfIdfError::Parts { vectorizer: 3, what, .. }) => what,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(damage(|v| v.bytes = vec![0].into()), "the number of n-gram bytes");
        assert_eq!(damage(|v| v.idf = vec![0.0].into()), "the number of offsets");
        assert_eq!(damage(|v| v.slots = vec![0].into()), "the number of hash slots");
    }

    #[test]
    fn numbers_of_every_width_differ_from_the_empty_mark() {
        for n_features in [0usize, 1, 2, 3, 4, 255, 256, u32::MAX as usize] {
            let mask = id_mask(n_features);
            assert!(n_features as u64 <= u64::from(mask), "{n_features}");
        }
    }
}
