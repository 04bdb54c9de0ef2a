//! From clusters to features: the chunks of a layer become its records.
//!
//! Training makes the weights of one cluster at a time; a query wants the weights of one feature at a time.
//! Three steps turn one into the other: count what each feature has, lay the records out, copy the postings.
//! The copy goes through slabs of bounded size, so that no second copy of a layer is ever in memory.

use crate::XrLinearError;
use crate::chunk::Chunk;
use crate::layer::{BLOCK, MAX_SHIFT};
use crate::record::{SKIP, Widths, n_skips, put_leb128, put_uint};
use rayon::prelude::*;
use std::ops::Range;
use xmc_store::ModelWriter;
use xmc_tree::TreeLayer;

/// Bytes of records that a thread lays out at a time.
const SLAB: u64 = 32 << 20;

/// Writes a layer's records and their directory as sections `<prefix>/…`.
pub(crate) fn write_layer(
    writer: &ModelWriter,
    prefix: &str,
    layer: &TreeLayer,
    widths: Widths,
    n_features: usize,
    chunks: &[Chunk],
) -> Result<(), XrLinearError> {
    let layout = Layout::new(layer, widths, n_features, chunks);
    let mut records = writer.array::<u8>(&format!("{prefix}/records"))?;
    let slabs = layout.slabs();
    // A batch of slabs in parallel, then written in order.
    for batch in slabs.chunks(rayon::current_num_threads()) {
        let filled: Vec<Vec<u8>> =
            batch.par_iter().map(|blocks| layout.fill(blocks.clone(), layer, chunks)).collect();
        for slab in filled {
            records.push(&slab)?;
        }
    }
    records.finish()?;
    writer.put_array(&format!("{prefix}/blocks"), &layout.directory())?;
    writer.put_array(&format!("{prefix}/lengths"), &layout.lengths)?;
    let mut bias = writer.array::<f32>(&format!("{prefix}/bias"))?;
    chunks.iter().try_for_each(|chunk| bias.push(&chunk.bias))?;
    bias.finish()?;
    let mut dense = writer.array::<f32>(&format!("{prefix}/dense"))?;
    chunks.iter().try_for_each(|chunk| dense.push(&chunk.dense))?;
    Ok(dense.finish()?)
}

/// Where every record goes. See [`crate::layer`] for the directory's form.
struct Layout {
    widths: Widths,
    /// Postings of each feature.
    counts: Vec<u32>,
    /// Start of each block's records, and the end of the last.
    starts: Vec<u64>,
    /// Unit of each block's lengths, as a power of two.
    shifts: Vec<u8>,
    /// Length of each record in its block's unit.
    lengths: Vec<u16>,
}

impl Layout {
    fn new(layer: &TreeLayer, widths: Widths, n_features: usize, chunks: &[Chunk]) -> Self {
        let mut counts = vec![0u32; n_features];
        let mut bytes = vec![0u64; n_features];
        for (cluster, chunk) in chunks.iter().enumerate() {
            let siblings = layer.slots(cluster).len();
            for (&feature, &code) in chunk.features.iter().zip(&chunk.codes) {
                counts[feature as usize] += 1;
                bytes[feature as usize] += widths.posting_len(code, siblings) as u64;
            }
        }
        for (bytes, &count) in bytes.iter_mut().zip(&counts).filter(|(_, count)| **count > 0) {
            *bytes += widths.header_len(count as usize) as u64;
        }
        Self::lay_out(widths, counts, &bytes)
    }

    fn lay_out(widths: Widths, counts: Vec<u32>, bytes: &[u64]) -> Self {
        let n_blocks = bytes.len().div_ceil(BLOCK);
        let (mut starts, mut shifts) = (Vec::with_capacity(n_blocks + 1), Vec::with_capacity(n_blocks));
        let mut lengths = Vec::with_capacity(bytes.len());
        starts.push(0u64);
        for block in bytes.chunks(BLOCK) {
            let longest = block.iter().copied().max().unwrap_or(0);
            let unit = |shift: u8, len: u64| len.div_ceil(1 << shift);
            let shift = (0..MAX_SHIFT).find(|&shift| unit(shift, longest) <= u16::MAX.into());
            let shift = shift.expect("invariant: a record is shorter than 2^47 bytes");
            let first = lengths.len();
            lengths.extend(block.iter().map(|&len| unit(shift, len) as u16));
            let units: u64 = lengths[first..].iter().map(|&len| u64::from(len)).sum();
            starts.push(starts[starts.len() - 1] + (units << shift));
            shifts.push(shift);
        }
        Self { widths, counts, starts, shifts, lengths }
    }

    /// The blocks' starts with their shifts in the upper byte.
    fn directory(&self) -> Vec<u64> {
        let packed = self.starts.iter().zip(&self.shifts);
        packed.map(|(&start, &shift)| start | u64::from(shift) << 56).collect()
    }

    /// Ranges of blocks of about [`SLAB`] bytes each.
    fn slabs(&self) -> Vec<Range<usize>> {
        let (mut slabs, mut first) = (Vec::new(), 0);
        for block in 0..self.shifts.len() {
            if self.starts[block + 1] - self.starts[first] >= SLAB || block + 1 == self.shifts.len() {
                slabs.push(first..block + 1);
                first = block + 1;
            }
        }
        slabs
    }

    /// The records of the features of `blocks`.
    fn fill(&self, blocks: Range<usize>, layer: &TreeLayer, chunks: &[Chunk]) -> Vec<u8> {
        let base = self.starts[blocks.start];
        let mut slab = Slab {
            widths: self.widths,
            out: vec![0; (self.starts[blocks.end] - base) as usize],
            first: blocks.start * BLOCK,
            open: Vec::with_capacity(blocks.len() * BLOCK),
        };
        for block in blocks.clone() {
            let mut at = (self.starts[block] - base) as usize;
            for feature in block * BLOCK..((block + 1) * BLOCK).min(self.counts.len()) {
                slab.open_record(at, self.counts[feature] as usize);
                at += usize::from(self.lengths[feature]) << self.shifts[block];
            }
        }
        for (cluster, chunk) in chunks.iter().enumerate() {
            slab.copy(cluster, layer.slots(cluster).len(), chunk);
        }
        slab.out
    }
}

/// Records of a range of features being filled.
struct Slab {
    widths: Widths,
    out: Vec<u8>,
    first: usize,
    open: Vec<Open>,
}

/// A record that has been given its place.
#[derive(Clone, Copy, Default)]
struct Open {
    /// Postings in all, and so far.
    n: usize,
    done: usize,
    ids: usize,
    postings: usize,
    next: usize,
}

impl Slab {
    fn open_record(&mut self, at: usize, n: usize) {
        let mut open = Open { n, ids: at, ..Open::default() };
        if n > 0 {
            if self.widths.id > 0 {
                open.ids += put_leb128(n, &mut self.out[at..]);
            }
            open.postings = at + self.widths.header_len(n);
            open.next = open.postings;
        }
        self.open.push(open);
    }

    fn copy(&mut self, cluster: usize, siblings: usize, chunk: &Chunk) {
        let last = self.first + self.open.len();
        let mut start = 0;
        for (&feature, &code) in chunk.features.iter().zip(&chunk.codes) {
            let len = self.widths.posting_len(code, siblings);
            if feature as usize >= last {
                return;
            }
            if feature as usize >= self.first {
                self.add(feature as usize - self.first, cluster, code, &chunk.bytes[start..start + len]);
            }
            start += len;
        }
    }

    fn add(&mut self, record: usize, cluster: usize, code: u32, posting: &[u8]) {
        let Widths { id, col, .. } = self.widths;
        let open = &mut self.open[record];
        let codes = open.ids + open.n * id;
        let skips = codes + open.n * col;
        put_uint(cluster as u32, id, &mut self.out[open.ids + open.done * id..]);
        put_uint(code, col, &mut self.out[codes + open.done * col..]);
        if n_skips(open.n) > 0 && open.done > 0 && open.done.is_multiple_of(SKIP) {
            let skip = skips + 4 * (open.done / SKIP - 1);
            put_uint((open.next - open.postings) as u32, 4, &mut self.out[skip..]);
        }
        self.out[open.next..open.next + posting.len()].copy_from_slice(posting);
        open.next += posting.len();
        open.done += 1;
    }
}
