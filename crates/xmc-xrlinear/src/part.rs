//! The stored weights of a range of a layer's clusters: records, and where each of them lies.
//!
//! A layer is one part, or several where its weights are too many to be put in order in memory. Each has the records of its own
//! clusters, which are numbered within it.
//!
//! The directory finds a feature's record (see [`crate::record`]) in two reads: features are taken in blocks of 16;
//! a block has the position of its first record (56 bits) and a shift (8 bits), and each feature the length of its
//! record, 16 bits in units of `2^shift` bytes. That is 2.5 bytes a feature, where plain offsets take 8.

use crate::XrLinearError;
use crate::record::{Record, SHORT, Widths};
use std::ops::Range;
use xmc_sparse::kernels::prefetch;
use xmc_store::{Buffer, Container, ModelWriter};
use xmc_tree::TreeLayer;

/// Features of a block of the directory.
pub(crate) const BLOCK: usize = 16;
/// Shifts are below this.
pub(crate) const MAX_SHIFT: u8 = 32;
const START: u64 = (1 << 56) - 1;
/// Bytes of a record that are asked for in advance.
const FETCH: usize = 192;

/// Where a part lies in a layer at `layer`: number `number`, or all of the layer.
pub(crate) fn part_prefix(layer: &str, number: Option<usize>) -> String {
    number.map_or_else(|| layer.to_owned(), |number| format!("{layer}/part{number}"))
}

/// The sections of a part.
const SECTIONS: [&str; 5] = ["blocks", "lengths", "records", "bias", "dense"];

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
    n_dense: usize,
    /// Form of the records.
    pub(crate) widths: Widths,
    blocks: Buffer<u64>,
    lengths: Buffer<u16>,
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
        (n_sparse, n_dense): (usize, usize),
    ) -> Result<Self, XrLinearError> {
        let slots = layer.slots_of(clusters.start as usize..clusters.end as usize);
        let this = Self {
            widths: widths.of_part(clusters.len()),
            clusters,
            slots,
            n_dense,
            blocks: container.array(&format!("{prefix}/blocks"))?,
            lengths: container.array(&format!("{prefix}/lengths"))?,
            records: container.array(&format!("{prefix}/records"))?,
            bias: container.array(&format!("{prefix}/bias"))?,
            dense: container.array(&format!("{prefix}/dense"))?,
        };
        let wrong = |what| Err(XrLinearError::Inconsistent { layer: number, what });
        if this.lengths.len() != n_sparse || this.blocks.len() != n_sparse.div_ceil(BLOCK) {
            return wrong("the directory has another number of features");
        }
        if this.bias.len() != this.slots.len() {
            return wrong("the intercepts are not one for each slot of the tree");
        }
        if Some(this.dense.len()) != this.slots.len().checked_mul(n_dense) {
            return wrong("the dense weights are not one row for each slot of the tree");
        }
        Ok(this)
    }

    /// Part `at` of the layer at `prefix`, which has several and whose parts before that one end at cluster `first`.
    pub(crate) fn open_next(
        container: &Container,
        prefix: &str,
        (at, first): (usize, u32),
        (number, layer): (usize, &TreeLayer),
        widths: Widths,
        n_features: (usize, usize),
    ) -> Result<Self, XrLinearError> {
        let prefix = part_prefix(prefix, Some(at));
        let clusters = container.array::<u32>(&format!("{prefix}/{CLUSTERS}"))?;
        match clusters[..] {
            [start, end] if start == first && start < end && end as usize <= layer.n_parents() => {
                Self::open(container, &prefix, start..end, (number, layer), widths, n_features)
            }
            _ => {
                let what = "the parts are not ranges of the layer's clusters, one after the other";
                Err(XrLinearError::Inconsistent { layer: number, what })
            }
        }
    }

    /// Whether part `number` of a layer at `layer` is there.
    pub(crate) fn is_at(container: &Container, layer: &str, number: usize) -> bool {
        container.has(&format!("{}/{CLUSTERS}", part_prefix(layer, Some(number))))
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
        writer.put_array(&format!("{prefix}/lengths"), &self.lengths)?;
        writer.put_array(&format!("{prefix}/records"), &self.records)?;
        self.write_beside_records(writer, prefix)
    }

    /// Writes what the part has beside records and their directory.
    pub(crate) fn write_beside_records(
        &self,
        writer: &ModelWriter,
        prefix: &str,
    ) -> Result<(), XrLinearError> {
        writer.put_array(&format!("{prefix}/bias"), &self.bias)?;
        Ok(writer.put_array(&format!("{prefix}/dense"), &self.dense)?)
    }

    /// Bytes of all sections.
    pub(crate) fn n_bytes(&self) -> usize {
        self.n_record_bytes() + 4 * (self.bias.len() + self.dense.len())
    }

    /// Bytes of records and directory.
    pub(crate) fn n_record_bytes(&self) -> usize {
        8 * self.blocks.len() + 2 * self.lengths.len() + self.records.len()
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

    /// Number of sparse features.
    pub(crate) fn n_sparse(&self) -> usize {
        self.lengths.len()
    }

    /// Number of `cluster` in this part, if it is here.
    #[inline(always)]
    pub(crate) fn local(&self, cluster: u32) -> Option<u32> {
        self.clusters.contains(&cluster).then(|| cluster - self.clusters.start)
    }

    /// The record of `feature`; `None` when it is damaged.
    pub(crate) fn record(&self, feature: u32) -> Option<Record<'_>> {
        let (start, len) = self.locate(feature);
        match len {
            0 => Some(Record::empty(self.widths)),
            _ => Record::parse(self.widths, self.records.get(start..start.checked_add(len)?)?),
        }
    }

    /// Stored weights; counts them.
    pub(crate) fn n_weights(&self) -> u64 {
        let of_record = |record: Record<'_>| (0..record.n).map(|at| record.n_weights(at) as u64).sum::<u64>();
        let records = (0..self.n_sparse() as u32).filter_map(|feature| self.record(feature));
        records.map(of_record).sum()
    }

    /// The weights of `feature` in the part's `cluster`: their number and their bytes.
    pub(crate) fn posting(&self, cluster: u32, feature: u32) -> Option<(usize, &[u8])> {
        let (start, len) = self.locate(feature);
        let bytes = self.records.get(start..start.wrapping_add(len)).filter(|bytes| !bytes.is_empty())?;
        let record = Record::parse(self.widths, bytes)?;
        let (number, start) = if record.n > SHORT {
            let number = record.find(cluster)?;
            (number, record.start(number))
        } else {
            let number = (0..record.n).find(|&number| record.cluster(number) == cluster)?;
            (number, (0..number).map(|before| self.widths.posting_len(record.n_weights(before))).sum())
        };
        let weights = record.n_weights(number);
        Some((weights, record.postings.get(start..start + self.widths.posting_len(weights))?))
    }

    /// Start and length of the record of each of `features`. All are looked up before any is read: their cache misses overlap.
    #[inline(always)]
    pub(crate) fn find_records(&self, features: &[u32], found: &mut Vec<(usize, usize)>) {
        for &feature in features {
            prefetch(&self.blocks, feature as usize / BLOCK);
            prefetch(&self.lengths, feature as usize & !(BLOCK - 1));
        }
        found.clear();
        for &feature in features {
            let (start, len) = self.locate(feature);
            for line in (0..len.min(FETCH)).step_by(64) {
                prefetch(&self.records, start.wrapping_add(line));
            }
            found.push((start, len));
        }
    }

    /// Where the record of `feature` lies: start and length, length 0 when it has none.
    #[inline(always)]
    fn locate(&self, feature: u32) -> (usize, usize) {
        let (block, at) = (feature as usize / BLOCK, feature as usize % BLOCK);
        let (Some(&packed), Some(lengths)) =
            (self.blocks.get(block), self.lengths.get(block * BLOCK..feature as usize + 1))
        else {
            return (0, 0);
        };
        let before: usize = lengths[..at].iter().map(|&len| usize::from(len)).sum();
        let shift = (packed >> 56) as u32 & 63;
        let start = (packed & START) as usize;
        // Wrapping: numbers of a damaged directory may be too large, and then point nowhere.
        (start.wrapping_add(before << shift), usize::from(lengths[at]) << shift)
    }
}
