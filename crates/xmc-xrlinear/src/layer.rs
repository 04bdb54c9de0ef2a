//! The stored weights of one layer, and margins from them.
//!
//! The directory finds a feature's record (see [`crate::record`]) in two reads: features are taken in blocks of 16;
//! a block has the position of its first record (56 bits) and a shift (8 bits), and each feature the length of its
//! record, 16 bits in units of `2^shift` bytes. That is 2.5 bytes a feature, where plain offsets take 8.

use crate::XrLinearError;
use crate::record::{Record, SHORT, Widths, accumulate};
use std::ops::Range;
use xmc_sparse::kernels::{LANES, Simd, WithSimd, dispatch, prefetch};
use xmc_sparse::{Row, Scored};
use xmc_store::{Buffer, Container, ModelWriter};
use xmc_tree::TreeLayer;

/// Features of a block of the directory.
pub(crate) const BLOCK: usize = 16;
/// Shifts are below this.
pub(crate) const MAX_SHIFT: u8 = 32;
const START: u64 = (1 << 56) - 1;
/// Bytes of a record that are asked for in advance.
const FETCH: usize = 192;

/// The weights of one layer, as they lie in the container.
#[derive(Debug, Clone)]
pub struct LayerWeights {
    widths: Widths,
    n_dense: usize,
    blocks: Buffer<u64>,
    lengths: Buffer<u16>,
    records: Buffer<u8>,
    bias: Buffer<f32>,
    dense: Buffer<f32>,
}

/// Buffers of one thread for [`LayerWeights`].
#[derive(Debug, Default)]
pub(crate) struct LayerScratch {
    /// For each cluster of the layer, its place in the beam plus one.
    places: Vec<u32>,
    /// Where each beam member's margins start.
    starts: Vec<usize>,
    /// Record of each feature of the query: start and length.
    found: Vec<(usize, usize)>,
    /// Postings of the query's features in the beam's clusters.
    hits: Vec<Hit>,
}

/// A posting that belongs to a beam member.
#[derive(Debug, Clone, Copy)]
struct Hit {
    /// Where it lies in the records.
    start: usize,
    weights: u32,
    place: u32,
    x: f32,
}

impl LayerWeights {
    pub(crate) fn open(
        container: &Container,
        prefix: &str,
        number: usize,
        layer: &TreeLayer,
        widths: Widths,
        (n_sparse, n_dense): (usize, usize),
    ) -> Result<Self, XrLinearError> {
        let this = Self {
            widths,
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
        if this.bias.len() != layer.n_slots() {
            return wrong("the intercepts are not one for each slot of the tree");
        }
        if Some(this.dense.len()) != layer.n_slots().checked_mul(n_dense) {
            return wrong("the dense weights are not one row for each slot of the tree");
        }
        Ok(this)
    }

    /// Bytes of all sections.
    pub fn n_bytes(&self) -> usize {
        8 * self.blocks.len()
            + 2 * self.lengths.len()
            + self.records.len()
            + 4 * (self.bias.len() + self.dense.len())
    }

    /// Writes the layer as it is, as sections `<prefix>/…`.
    pub(crate) fn write(&self, writer: &ModelWriter, prefix: &str) -> Result<(), XrLinearError> {
        writer.put_array(&format!("{prefix}/blocks"), &self.blocks)?;
        writer.put_array(&format!("{prefix}/lengths"), &self.lengths)?;
        writer.put_array(&format!("{prefix}/records"), &self.records)?;
        writer.put_array(&format!("{prefix}/bias"), &self.bias)?;
        Ok(writer.put_array(&format!("{prefix}/dense"), &self.dense)?)
    }

    /// Form of the records.
    pub(crate) fn widths(&self) -> Widths {
        self.widths
    }

    /// Number of sparse features.
    pub(crate) fn n_sparse(&self) -> usize {
        self.lengths.len()
    }

    /// Intercepts of `slots`.
    pub(crate) fn bias(&self, slots: Range<usize>) -> &[f32] {
        &self.bias[slots]
    }

    /// Dense weights of `slots`.
    pub(crate) fn dense(&self, slots: Range<usize>) -> &[f32] {
        &self.dense[slots.start * self.n_dense..slots.end * self.n_dense]
    }

    /// The record of `feature`; `None` when it is damaged.
    pub(crate) fn record(&self, feature: u32) -> Option<Record<'_>> {
        let (start, len) = self.locate(feature);
        match len {
            0 => Some(Record::empty(self.widths)),
            _ => Record::parse(self.widths, self.records.get(start..start.checked_add(len)?)?),
        }
    }

    /// Stored weights, without intercepts and dense ones; counts them.
    pub fn n_weights(&self) -> u64 {
        let of_record = |record: Record<'_>| (0..record.n).map(|at| record.n_weights(at) as u64).sum::<u64>();
        let records = (0..self.n_sparse() as u32).filter_map(|feature| self.record(feature));
        records.map(of_record).sum()
    }

    /// Appends the margins of all children of `beam`'s clusters for one instance.
    pub(crate) fn score(
        &self,
        layer: &TreeLayer,
        row: Row<'_>,
        beam: &[Scored],
        scratch: &mut LayerScratch,
        margins: &mut Vec<f32>,
    ) {
        dispatch(ScoreLayer { weights: self, layer, row, beam, scratch, margins });
    }

    /// The intercept of slot `slot`.
    pub(crate) fn intercept(&self, slot: usize) -> f32 {
        self.bias[slot]
    }

    /// The dense features' weights of slot `slot`.
    pub(crate) fn dense_weights(&self, slot: usize) -> &[f32] {
        &self.dense[slot * self.n_dense..(slot + 1) * self.n_dense]
    }

    /// Adds the part of `feature`, of value `x`, in the margins of `cluster`'s children to `sums`, which has room for
    /// whole vectors of them. One feature of one cluster: a query as a whole goes through [`Self::score`].
    pub(crate) fn add_feature(&self, cluster: u32, feature: u32, x: f32, sums: &mut [f32]) {
        let Some((weights, posting)) = self.posting(cluster, feature) else { return };
        dispatch(AddPosting { widths: self.widths, weights, posting, x, sums });
    }

    /// The weights of `feature` in `cluster`: their number and their bytes.
    fn posting(&self, cluster: u32, feature: u32) -> Option<(usize, &[u8])> {
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

/// One feature in one cluster.
struct AddPosting<'a> {
    widths: Widths,
    weights: usize,
    posting: &'a [u8],
    x: f32,
    sums: &'a mut [f32],
}

impl WithSimd for AddPosting<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        accumulate(simd, self.widths, self.weights, self.posting, self.x, self.sums);
    }
}

/// One query on one layer.
struct ScoreLayer<'a> {
    weights: &'a LayerWeights,
    layer: &'a TreeLayer,
    row: Row<'a>,
    beam: &'a [Scored],
    scratch: &'a mut LayerScratch,
    margins: &'a mut Vec<f32>,
}

impl WithSimd for ScoreLayer<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        self.find_records();
        self.start_with_bias();
        self.scratch.hits.clear();
        for at in 0..self.row.sparse.nnz() {
            self.find_postings(at);
        }
        self.add_postings(simd);
        self.add_dense();
        for parent in self.beam {
            self.scratch.places[parent.id as usize] = 0;
        }
    }
}

impl ScoreLayer<'_> {
    /// Looks up all records before any is read: their cache misses overlap.
    #[inline(always)]
    fn find_records(&mut self) {
        let (weights, found) = (self.weights, &mut self.scratch.found);
        for &feature in self.row.sparse.indices {
            prefetch(&weights.blocks, feature as usize / BLOCK);
            prefetch(&weights.lengths, feature as usize & !(BLOCK - 1));
        }
        found.clear();
        for &feature in self.row.sparse.indices {
            let (start, len) = weights.locate(feature);
            for line in (0..len.min(FETCH)).step_by(64) {
                prefetch(&weights.records, start.wrapping_add(line));
            }
            found.push((start, len));
        }
    }

    /// Margins begin as intercepts; notes where each beam member's lie.
    #[inline(always)]
    fn start_with_bias(&mut self) {
        let LayerScratch { places, starts, .. } = &mut *self.scratch;
        if places.len() < self.layer.n_parents() {
            places.resize(self.layer.n_parents(), 0);
        }
        starts.clear();
        for (place, parent) in self.beam.iter().enumerate() {
            places[parent.id as usize] = place as u32 + 1;
            starts.push(self.margins.len());
            self.margins.extend_from_slice(&self.weights.bias[self.layer.slots(parent.id as usize)]);
        }
    }

    /// Notes the postings of feature number `at` of the query that lie in the beam, and asks for their bytes.
    #[inline(always)]
    fn find_postings(&mut self, at: usize) {
        let (start, len) = self.scratch.found[at];
        let x = self.row.sparse.values[at];
        let Some(bytes) = self.weights.records.get(start..start.wrapping_add(len)).filter(|_| len > 0) else {
            return;
        };
        let Some(record) = Record::parse(self.weights.widths, bytes) else { return };
        let first = start + len - record.postings.len();
        if record.n > SHORT {
            for (place, parent) in self.beam.iter().enumerate() {
                if let Some(number) = record.find(parent.id) {
                    let start = first + record.start(number);
                    self.hit(Hit { start, weights: record.n_weights(number) as u32, place: place as u32, x });
                }
            }
            return;
        }
        let mut start = first;
        for number in 0..record.n {
            let weights = record.n_weights(number);
            if let Some(place) = self.place(record.cluster(number)) {
                self.hit(Hit { start, weights: weights as u32, place, x });
            }
            start += self.weights.widths.posting_len(weights);
        }
    }

    #[inline(always)]
    fn hit(&mut self, hit: Hit) {
        prefetch(&self.weights.records, hit.start);
        prefetch(&self.weights.records, hit.start + 64);
        self.scratch.hits.push(hit);
    }

    #[inline(always)]
    fn add_postings<S: Simd>(&mut self, simd: S) {
        let (widths, records) = (self.weights.widths, &self.weights.records[..]);
        // Whole vectors of siblings are added, zeros where a cluster has no more children.
        let n_margins = self.margins.len();
        self.margins.resize(n_margins + LANES, 0.0);
        for hit in &self.scratch.hits {
            let end = hit.start + widths.posting_len(hit.weights as usize);
            let sums = &mut self.margins[self.scratch.starts[hit.place as usize]..];
            if let Some(posting) = records.get(hit.start..end) {
                accumulate(simd, widths, hit.weights as usize, posting, hit.x, sums);
            }
        }
        self.margins.truncate(n_margins);
    }

    /// The place of `cluster` in the beam, if it is there.
    #[inline(always)]
    fn place(&self, cluster: u32) -> Option<u32> {
        self.scratch.places.get(cluster as usize)?.checked_sub(1)
    }

    #[inline(always)]
    fn add_dense(&mut self) {
        let (weights, n_dense) = (self.weights, self.weights.n_dense);
        if n_dense == 0 {
            return;
        }
        for (place, parent) in self.beam.iter().enumerate() {
            let slots = self.layer.slots(parent.id as usize);
            let matrix = &weights.dense[slots.start * n_dense..slots.end * n_dense];
            let start = self.scratch.starts[place];
            for (sum, column) in self.margins[start..].iter_mut().zip(matrix.chunks_exact(n_dense)) {
                *sum += dot(self.row.dense, column);
            }
        }
    }
}

/// `Σ aᵢ bᵢ` in sixteen partial sums, which the compiler keeps in vector registers.
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 16];
    let (a_blocks, a_rest) = a.as_chunks::<16>();
    let (b_blocks, b_rest) = b.as_chunks::<16>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..16 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}
