//! The stored weights of one layer, and margins from them.
//!
//! The directory finds a feature's record (see [`crate::record`]) in two reads: features are taken in blocks of 16;
//! a block has the position of its first record (56 bits) and a shift (8 bits), and each feature the length of its
//! record, 16 bits in units of `2^shift` bytes. That is 2.5 bytes a feature, where plain offsets take 8.

use crate::XrLinearError;
use crate::record::{Record, SKIP, Widths, accumulate, uint};
use xmc_sparse::kernels::{Simd, WithSimd, dispatch, prefetch};
use xmc_sparse::{Row, Scored};
use xmc_store::{Buffer, Container};
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
        if this.dense.len() != layer.n_slots() * n_dense {
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
        (start + (before << shift), usize::from(lengths[at]) << shift)
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
    fn run<S: Simd>(mut self, _simd: S) {
        self.find_records();
        self.start_with_bias();
        for at in 0..self.row.sparse.nnz() {
            self.add_feature(at);
        }
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
                prefetch(&weights.records, start + line);
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
        starts.push(self.margins.len());
    }

    #[inline(always)]
    fn add_feature(&mut self, at: usize) {
        let (start, len) = self.scratch.found[at];
        let x = self.row.sparse.values[at];
        let Some(bytes) = self.weights.records.get(start..start + len).filter(|_| len > 0) else { return };
        let Some(record) = Record::parse(self.weights.widths, bytes) else { return };
        if record.n <= SKIP || record.n <= 4 * self.beam.len() {
            self.walk(&record, x);
        } else {
            self.probe(&record, x);
        }
    }

    /// Reads the postings one after the other: best when most of them are few, or wanted.
    #[inline(always)]
    fn walk(&mut self, record: &Record<'_>, x: f32) {
        let widths = self.weights.widths;
        let mut at = 0;
        for number in 0..record.n {
            let cluster = if widths.id == 0 { 0 } else { uint(record.ids, widths.id, number) };
            let code = uint(record.codes, widths.col, number);
            let dense = code == widths.dense_code();
            let siblings = if dense { self.siblings(cluster) } else { 0 };
            let len = widths.posting_len(code, siblings);
            if let Some(place) = self.place(cluster) {
                self.add(record, place, code, at..at + len, x);
            }
            at += len;
        }
    }

    /// Looks each beam member up: best when a frequent feature has postings for most clusters.
    #[inline(always)]
    fn probe(&mut self, record: &Record<'_>, x: f32) {
        for (place, parent) in self.beam.iter().enumerate() {
            if let Some(number) = self.find(record, parent.id) {
                self.add_numbered(record, place, number, x);
            }
        }
    }

    /// The posting of `cluster`, by binary search.
    #[inline(always)]
    fn find(&self, record: &Record<'_>, cluster: u32) -> Option<usize> {
        let width = self.weights.widths.id;
        let (mut low, mut high) = (0, record.n);
        while low < high {
            let middle = (low + high) / 2;
            if uint(record.ids, width, middle) < cluster {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        (low < record.n && uint(record.ids, width, low) == cluster).then_some(low)
    }

    /// Adds posting `number`, whose start is counted from the skip before it.
    #[inline(always)]
    fn add_numbered(&mut self, record: &Record<'_>, place: usize, number: usize, x: f32) {
        let widths = self.weights.widths;
        let first = number - number % SKIP;
        let mut at = if first == 0 { 0 } else { uint(record.skips, 4, first / SKIP - 1) as usize };
        let len = |this: &Self, number| {
            let code = uint(record.codes, widths.col, number);
            let dense = code == widths.dense_code();
            let siblings = if dense { this.siblings(uint(record.ids, widths.id, number)) } else { 0 };
            (code, widths.posting_len(code, siblings))
        };
        for before in first..number {
            at += len(self, before).1;
        }
        let (code, len) = len(self, number);
        self.add(record, place, code, at..at + len, x);
    }

    #[inline(always)]
    fn add(&mut self, record: &Record<'_>, place: usize, code: u32, range: std::ops::Range<usize>, x: f32) {
        let starts = &self.scratch.starts;
        let sums = &mut self.margins[starts[place]..starts[place + 1]];
        if let Some(posting) = record.postings.get(range) {
            accumulate(self.weights.widths, code, posting, x, sums);
        }
    }

    #[inline(always)]
    fn siblings(&self, cluster: u32) -> usize {
        let ptr = self.layer.child_ptr();
        match ptr.get(cluster as usize..cluster as usize + 2) {
            Some(&[start, end]) => (end - start) as usize,
            _ => 0,
        }
    }

    /// The place of `cluster` in the beam, if it is there.
    #[inline(always)]
    fn place(&self, cluster: u32) -> Option<usize> {
        let place = *self.scratch.places.get(cluster as usize)?;
        (place > 0).then(|| place as usize - 1)
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
