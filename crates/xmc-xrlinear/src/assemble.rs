//! From clusters to features: the chunks of a layer become its records.
//!
//! Training makes the weights of one cluster at a time; a query wants the weights of one feature at a time.
//! Three steps turn one into the other: count what each feature has, lay the records out, copy the postings.
//! The copy goes through slabs of bounded size, so that no second copy of a layer is ever in memory.

use crate::XrLinearError;
use crate::chunk::Chunk;
use crate::layer::{BLOCK, MAX_SHIFT};
use crate::record::{SHORT, Widths, first_number, is_wide, put_leb128, put_uint, start_width};
use rayon::prelude::*;
use std::ops::Range;
use xmc_store::ModelWriter;

/// Bytes of records that a thread lays out at a time.
const SLAB: u64 = 8 << 20;

/// Writes a layer's records and their directory as sections `<prefix>/…`.
pub(crate) fn write_layer(
    writer: &ModelWriter,
    prefix: &str,
    widths: Widths,
    n_features: usize,
    chunks: &[Chunk],
) -> Result<(), XrLinearError> {
    let layout = Layout::new(widths, n_features, chunks);
    let mut records = writer.array::<u8>(&format!("{prefix}/records"))?;
    let slabs = layout.slabs();
    // A batch of slabs in parallel, then written in order.
    for batch in slabs.chunks(rayon::current_num_threads()) {
        let filled: Vec<Vec<u8>> =
            batch.par_iter().map(|blocks| layout.fill(blocks.clone(), chunks)).collect();
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
    /// Postings of each feature, and their bytes.
    counts: Vec<u32>,
    bytes: Vec<u64>,
    /// Start of each block's records, and the end of the last.
    starts: Vec<u64>,
    /// Unit of each block's lengths, as a power of two.
    shifts: Vec<u8>,
    /// Length of each record in its block's unit.
    lengths: Vec<u16>,
}

impl Layout {
    fn new(widths: Widths, n_features: usize, chunks: &[Chunk]) -> Self {
        let mut counts = vec![0u32; n_features];
        let mut bytes = vec![0u64; n_features];
        for chunk in chunks {
            for (feature, weights) in chunk.postings(widths) {
                counts[feature as usize] += 1;
                bytes[feature as usize] += widths.posting_len(weights) as u64;
            }
        }
        Self::of_sizes(widths, counts, bytes)
    }

    fn of_sizes(widths: Widths, counts: Vec<u32>, bytes: Vec<u64>) -> Self {
        let record_len = |(&count, &bytes): (&u32, &u64)| match count {
            0 => 0,
            _ => bytes + widths.header_len(count as usize, bytes as usize) as u64,
        };
        let n_blocks = bytes.len().div_ceil(BLOCK);
        let (mut starts, mut shifts) = (Vec::with_capacity(n_blocks + 1), Vec::with_capacity(n_blocks));
        let mut lengths = Vec::with_capacity(bytes.len());
        starts.push(0u64);
        for (counts, bytes) in counts.chunks(BLOCK).zip(bytes.chunks(BLOCK)) {
            let block: Vec<u64> = counts.iter().zip(bytes).map(record_len).collect();
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
        Self { widths, counts, bytes, starts, shifts, lengths }
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
    fn fill(&self, blocks: Range<usize>, chunks: &[Chunk]) -> Vec<u8> {
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
                slab.open_record(at, self.counts[feature] as usize, self.bytes[feature] as usize);
                at += usize::from(self.lengths[feature]) << self.shifts[block];
            }
        }
        for (cluster, chunk) in chunks.iter().enumerate() {
            slab.copy(cluster, chunk);
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
    /// Where clusters and postings begin, and where the next posting goes.
    clusters: usize,
    postings: usize,
    next: usize,
    wide: bool,
}

impl Slab {
    fn open_record(&mut self, at: usize, n: usize, bytes: usize) {
        let mut open = Open { n, clusters: at, wide: is_wide(bytes), ..Open::default() };
        if n > 0 {
            if self.widths.id > 0 {
                open.clusters += put_leb128(first_number(n, bytes), &mut self.out[at..]);
            }
            open.postings = at + self.widths.header_len(n, bytes);
            open.next = open.postings;
        }
        self.open.push(open);
    }

    fn copy(&mut self, cluster: usize, chunk: &Chunk) {
        let last = self.first + self.open.len();
        let mut start = 0;
        for (feature, weights) in chunk.postings(self.widths) {
            let len = self.widths.posting_len(weights);
            if feature as usize >= last {
                return;
            }
            if feature as usize >= self.first {
                self.add(
                    feature as usize - self.first,
                    cluster,
                    weights as u32,
                    &chunk.bytes[start..start + len],
                );
            }
            start += len;
        }
    }

    fn add(&mut self, record: usize, cluster: usize, weights: u32, posting: &[u8]) {
        let Widths { id, col, .. } = self.widths;
        let Open { n, done, clusters, postings, next, wide } = self.open[record];
        let codes = clusters + self.widths.clusters_len(n);
        if self.widths.lists_clusters(n) {
            put_uint(cluster as u32, id, &mut self.out[clusters + done * id..]);
        } else {
            self.out[clusters + cluster / 8] |= 1 << (cluster % 8);
        }
        put_uint(weights - 1, col, &mut self.out[codes + done * col..]);
        if n > SHORT && done > 0 {
            let start = codes + n * col + (done - 1) * start_width(wide);
            put_uint((next - postings) as u32, start_width(wide), &mut self.out[start..]);
        }
        self.out[next..next + posting.len()].copy_from_slice(posting);
        self.open[record].next += posting.len();
        self.open[record].done += 1;
    }
}
