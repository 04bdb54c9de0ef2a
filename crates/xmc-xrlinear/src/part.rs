//! The stored weights of a range of a layer's clusters: records, and where each of them lies.
//!
//! A layer is one part. While it is made it may be several, where its weights are too many to be put in order in memory ([`crate::output`]). Each
//! has the records of its own clusters, which are numbered within it.
//!
//! The directory finds a record (see [`crate::record`]) by its number, that of its feature or group of features ([`crate::groups`]): they are taken in blocks of 16, and a block begins with the lengths of its
//! records, in units of `2^shift` bytes. The directory has the position of each block (56 bits), its shift (6 bits), and the bytes of a length
//! (2 bits): 1, 2, or 0 for a block without records. That is 1.5 to 2.5 bytes a record, where plain offsets take 8, and the lengths are next to
//! what they are the lengths of.

use crate::XrLinearError;
use crate::assemble::write_beside_records;
use crate::record::{Record, Widths};
use std::ops::Range;
use xmc_sparse::kernels::prefetch;
use xmc_store::{Buffer, Container, ModelWriter};
use xmc_tree::TreeLayer;

/// Records of a block of the directory.
pub(crate) const BLOCK: usize = 16;
/// Shifts are below this.
pub(crate) const MAX_SHIFT: u8 = 64;
const START: u64 = (1 << 56) - 1;
/// Bytes of a record that are asked for in advance.
pub(crate) const FETCH: usize = 320;

/// Where a part lies in a layer at `layer`: number `number`, or all of the layer.
pub(crate) fn part_prefix(layer: &str, number: Option<usize>) -> String {
    number.map_or_else(|| layer.to_owned(), |number| format!("{layer}/part{number}"))
}

/// The sections of a part.
const SECTIONS: [&str; 4] = ["blocks", "records", "bias", "dense"];

/// The one more of a part that is not all of its layer: the first of its clusters, and the first that is not.
const CLUSTERS: &str = "clusters";

/// The names of the sections of part `number` of a layer at `layer`.
pub(crate) fn sections_at(layer: &str, number: Option<usize>) -> Vec<String> {
    let (prefix, clusters) = (part_prefix(layer, number), number.map(|_| &CLUSTERS));
    SECTIONS.iter().chain(clusters).map(|section| format!("{prefix}/{section}")).collect()
}

/// The weights of some clusters, as they lie in the container.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// Which clusters of the layer.
    pub(crate) clusters: Range<u32>,
    /// The slots of these clusters.
    slots: Range<usize>,
    n_records: usize,
    /// Dense weights of a slot.
    n_dense: usize,
    /// Form of the records.
    pub(crate) widths: Widths,
    blocks: Buffer<u64>,
    pub(crate) records: Buffer<u8>,
    bias: Buffer<f32>,
    dense: Buffer<f32>,
}

impl Part {
    /// The part of `clusters` of layer number `number`.
    pub(crate) fn open(
        container: &Container,
        prefix: &str,
        clusters: Range<u32>,
        (number, layer): (usize, &TreeLayer),
        widths: Widths,
        (n_records, n_dense): (usize, usize),
    ) -> Result<Self, XrLinearError> {
        let slots = layer.slots_of(clusters.start as usize..clusters.end as usize);
        let this = Self {
            widths: widths.of_part(clusters.len()),
            clusters,
            slots,
            n_records,
            n_dense,
            blocks: container.array(&format!("{prefix}/blocks"))?,
            records: container.array(&format!("{prefix}/records"))?,
            bias: container.array(&format!("{prefix}/bias"))?,
            dense: container.array(&format!("{prefix}/dense"))?,
        };
        let wrong = |what| Err(XrLinearError::Inconsistent { layer: number, what });
        if this.blocks.len() != n_records.div_ceil(BLOCK) {
            return wrong("the directory has another number of records");
        }
        if this.bias.len() != this.slots.len() {
            return wrong("the intercepts are not one for each slot of the tree");
        }
        if Some(this.dense.len()) != this.slots.len().checked_mul(n_dense) {
            return wrong("the dense weights are not one row for each slot of the tree");
        }
        Ok(this)
    }

    /// Part `at` of the layer at `prefix`, which is written in several and whose parts before that one end at cluster `first`.
    pub(crate) fn open_next(
        container: &Container,
        prefix: &str,
        (at, first): (usize, u32),
        (number, layer): (usize, &TreeLayer),
        widths: Widths,
        n_stored: (usize, usize),
    ) -> Result<Self, XrLinearError> {
        let prefix = part_prefix(prefix, Some(at));
        let clusters = container.array::<u32>(&format!("{prefix}/{CLUSTERS}"))?;
        match clusters[..] {
            [start, end] if start == first && start < end && end as usize <= layer.n_parents() => {
                Self::open(container, &prefix, start..end, (number, layer), widths, n_stored)
            }
            _ => {
                let what = "the parts are not ranges of the layer's clusters, one after the other";
                Err(XrLinearError::Inconsistent { layer: number, what })
            }
        }
    }

    /// Says which clusters the part at `prefix` has.
    pub(crate) fn write_clusters(
        writer: &ModelWriter,
        prefix: &str,
        clusters: Range<u32>,
    ) -> Result<(), XrLinearError> {
        Ok(writer.put_array(&format!("{prefix}/{CLUSTERS}"), &[clusters.start, clusters.end])?)
    }

    /// Writes the part as it is, as sections `<prefix>/…`.
    pub(crate) fn write(&self, writer: &ModelWriter, prefix: &str) -> Result<(), XrLinearError> {
        writer.put_array(&format!("{prefix}/blocks"), &self.blocks)?;
        writer.put_array(&format!("{prefix}/records"), &self.records)?;
        self.write_beside_records(writer, prefix)
    }

    /// Writes what the part has beside records and their directory.
    pub(crate) fn write_beside_records(
        &self,
        writer: &ModelWriter,
        prefix: &str,
    ) -> Result<(), XrLinearError> {
        write_beside_records(writer, prefix, [self.all_bias()], [self.all_dense()])
    }

    /// Bytes of all sections.
    pub(crate) fn n_bytes(&self) -> usize {
        self.n_record_bytes() + 4 * (self.bias.len() + self.dense.len())
    }

    /// Bytes of records and directory.
    pub(crate) fn n_record_bytes(&self) -> usize {
        8 * self.blocks.len() + self.records.len()
    }

    /// Intercepts of `slots` of the layer, which are slots of this part.
    #[inline(always)]
    pub(crate) fn bias(&self, slots: Range<usize>) -> &[f32] {
        &self.bias[slots.start - self.slots.start..slots.end - self.slots.start]
    }

    /// Dense weights of `slots` of the layer, which are slots of this part.
    #[inline(always)]
    pub(crate) fn dense(&self, slots: Range<usize>) -> &[f32] {
        let [start, end] = [slots.start, slots.end].map(|slot| (slot - self.slots.start) * self.n_dense);
        &self.dense[start..end]
    }

    /// Intercepts of all slots.
    pub(crate) fn all_bias(&self) -> &[f32] {
        &self.bias
    }

    /// Dense weights of all slots.
    pub(crate) fn all_dense(&self) -> &[f32] {
        &self.dense
    }

    /// Number of records.
    pub(crate) fn n_records(&self) -> usize {
        self.n_records
    }

    /// Record `number`; `None` when it is damaged.
    pub(crate) fn record(&self, number: u32) -> Option<Record<'_>> {
        let (start, len) = self.locate(number);
        match len {
            0 => Some(Record::empty(self.widths)),
            _ => Record::parse(self.widths, self.records.get(start..start.checked_add(len)?)?),
        }
    }

    /// Record `number` and where its postings begin in all records; `None` when there is none, or it is damaged.
    #[inline(always)]
    pub(crate) fn record_at(&self, number: u32) -> Option<(Record<'_>, usize)> {
        let (start, len) = self.locate(number);
        let end = start.checked_add(len)?;
        let bytes = self.records.get(start..end).filter(|bytes| !bytes.is_empty())?;
        let record = Record::parse(self.widths, bytes)?;
        Some((record, end - record.postings.len()))
    }

    /// Stored weights; counts them.
    pub(crate) fn n_weights(&self) -> u64 {
        let of_record = |record: Record<'_>| record.total_weights() as u64;
        let records = (0..self.n_records as u32).filter_map(|number| self.record(number));
        records.map(of_record).sum()
    }

    /// The weights that record `number` has for the part's `cluster`: how many, and their bytes.
    pub(crate) fn posting(&self, cluster: u32, number: u32) -> Option<(usize, &[u8])> {
        let (record, _) = self.record_at(number)?;
        let (weights, start) = if record.is_sequential() {
            let mut found = None;
            record.each_posting(|number, weights, start| {
                if record.cluster(number) == cluster {
                    found = Some((weights, start));
                }
            });
            found?
        } else {
            let (start, weights) = record.posting(record.find(cluster)?);
            (weights, start)
        };
        Some((weights, record.postings.get(start..start + self.widths.posting_len(weights))?))
    }

    /// Bytes that are read to find record `number`: an entry of the directory, and the lengths of its block.
    pub(crate) fn directory_bytes(&self, number: u32) -> usize {
        let block = number as usize / BLOCK;
        let Some(&packed) = self.blocks.get(block) else { return 0 };
        8 + BLOCK.min(self.n_records - block * BLOCK) * (packed >> 62) as usize
    }

    /// Start and length of records by their `numbers`. All are looked up before any is read: their cache misses overlap.
    #[inline(always)]
    pub(crate) fn find_records(&self, numbers: &[u32], found: &mut Vec<(usize, usize)>) {
        for &number in numbers {
            prefetch(&self.blocks, number as usize / BLOCK);
        }
        for &number in numbers {
            let packed = self.blocks.get(number as usize / BLOCK).copied().unwrap_or_default();
            prefetch(&self.records, (packed & START) as usize);
        }
        found.clear();
        for &number in numbers {
            let (start, len) = self.locate(number);
            for line in (0..len.min(FETCH)).step_by(64) {
                prefetch(&self.records, start.wrapping_add(line));
            }
            found.push((start, len));
        }
    }

    /// Where record `number` lies: start and length, length 0 when there is none.
    #[inline(always)]
    fn locate(&self, number: u32) -> (usize, usize) {
        let (block, at) = (number as usize / BLOCK, number as usize % BLOCK);
        let Some(&packed) = self.blocks.get(block).filter(|_| (number as usize) < self.n_records) else {
            return (0, 0);
        };
        let (start, unit) = ((packed & START) as usize, (packed >> 56) as usize);
        let (shift, width) = (unit as u32 % 64, unit / 64);
        let n_records = BLOCK.min(self.n_records - block * BLOCK);
        // Wrapping: numbers of a damaged directory may be too large, and then point nowhere.
        let first = start.wrapping_add(n_records * width);
        let Some(lengths) = self.records.get(start..first) else { return (0, 0) };
        let (before, len) = match (width, lengths.as_array(), lengths.as_array()) {
            (0, ..) => return (0, 0),
            (1, Some(narrow), _) => narrow_length(narrow, at),
            (2, _, Some(wide)) => wide_length(wide, at),
            _ => {
                let of = |len: &[u8]| len.iter().rev().fold(0, |len, &byte| len << 8 | usize::from(byte));
                let mut lengths = lengths.chunks_exact(width).map(of);
                (lengths.by_ref().take(at).sum(), lengths.next().unwrap_or(0))
            }
        };
        (first.wrapping_add(before << shift), len << shift)
    }
}

/// The sum of the lengths before number `at` of a whole block, and that one: lengths of a byte.
#[inline(always)]
fn narrow_length(lengths: &[u8; BLOCK], at: usize) -> (usize, usize) {
    // Sums in the lanes of a number: a loop of few and unforeseeable rounds takes longer.
    const EVEN: u64 = 0x00ff_00ff_00ff_00ff;
    const ONES: u64 = 0x0001_0001_0001_0001;
    let all = u128::from_le_bytes(*lengths);
    let before = all & ((1 << (8 * at)) - 1);
    let halves = [before as u64, (before >> 64) as u64];
    let lanes: u64 = halves.iter().map(|half| (half & EVEN) + (half >> 8 & EVEN)).sum();
    // Fifteen bytes sum up to less than a lane.
    ((lanes.wrapping_mul(ONES) >> 48) as usize, usize::from((all >> (8 * at)) as u8))
}

/// The same for lengths of two bytes.
#[inline(always)]
fn wide_length(lengths: &[u8; 2 * BLOCK], at: usize) -> (usize, usize) {
    let (lengths, _) = lengths.as_chunks::<2>();
    let mut before = 0;
    for (place, len) in lengths.iter().enumerate() {
        before += if place < at { u32::from(u16::from_le_bytes(*len)) } else { 0 };
    }
    (before as usize, usize::from(u16::from_le_bytes(lengths[at])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lengths_are_summed_up(lengths in proptest::collection::vec(any::<u16>(), BLOCK), at in 0..BLOCK) {
            let sum = |lengths: &[u16]| lengths.iter().map(|&len| usize::from(len)).sum::<usize>();
            let wide: Vec<u8> = lengths.iter().flat_map(|len| len.to_le_bytes()).collect();
            let found = wide_length(wide.as_array().unwrap(), at);
            prop_assert_eq!(found, (sum(&lengths[..at]), lengths[at].into()));
            let narrow: Vec<u8> = lengths.iter().map(|&len| len as u8).collect();
            let lengths: Vec<u16> = narrow.iter().map(|&len| len.into()).collect();
            let found = narrow_length(narrow.as_array().unwrap(), at);
            prop_assert_eq!(found, (sum(&lengths[..at]), lengths[at].into()));
        }
    }
}
