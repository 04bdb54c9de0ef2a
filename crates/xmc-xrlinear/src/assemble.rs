//! From clusters to features: the chunks of a layer become its records.
//!
//! Training makes the weights of one cluster at a time; a query wants the weights of one feature at a time.
//! Three steps turn one into the other: count what each feature has, lay the records out, copy the postings.
//! The copy goes through slabs of bounded size, so that no second copy of a layer is ever in memory.

use crate::XrLinearError;
use crate::chunk::{Chunk, Cursor};
use crate::part::{BLOCK, MAX_SHIFT};
use crate::record::{SHORT, Widths, first_number, is_wide, put_leb128, put_uint, start_width};
use rayon::prelude::*;
use std::ops::Range;
use xmc_store::ModelWriter;

/// Bytes of records that a thread lays out at a time.
const SLAB: u64 = 8 << 20;

/// Writes the weights of some clusters of a layer as sections `<prefix>/…`.
pub(crate) fn write_part(
    writer: &ModelWriter,
    prefix: &str,
    widths: Widths,
    n_features: usize,
    chunks: &[Chunk],
) -> Result<(), XrLinearError> {
    let layout = Layout::new(widths, n_features, chunks);
    let slabs = layout.slabs();
    let firsts: Vec<u32> = slabs.iter().map(|blocks| (blocks.start * BLOCK) as u32).collect();
    // Where the postings of each slab begin, so that none has to look for them.
    let cursors: Vec<Vec<Cursor>> = chunks.par_iter().map(|chunk| chunk.cursors(widths, &firsts)).collect();
    layout.write(writer, prefix, |number, slab| {
        for (cluster, (chunk, cursors)) in chunks.iter().zip(&cursors).enumerate() {
            slab.copy(cluster, chunk, cursors[number]);
        }
    })?;
    let mut bias = writer.array::<f32>(&format!("{prefix}/bias"))?;
    chunks.iter().try_for_each(|chunk| bias.push(&chunk.bias))?;
    bias.finish()?;
    let mut dense = writer.array::<f32>(&format!("{prefix}/dense"))?;
    chunks.iter().try_for_each(|chunk| dense.push(&chunk.dense))?;
    Ok(dense.finish()?)
}

/// Where every record goes. See [`crate::part`] for the directory's form.
pub(crate) struct Layout {
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

    /// Records of so many postings and bytes of postings each.
    pub(crate) fn of_sizes(widths: Widths, counts: Vec<u32>, bytes: Vec<u64>) -> Self {
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

    /// Bytes of the records and of the directory.
    pub(crate) fn n_bytes(&self) -> u64 {
        let records = self.starts.last().copied().unwrap_or(0);
        records + 8 * self.shifts.len() as u64 + 2 * self.lengths.len() as u64
    }

    /// Writes records and directory as sections `<prefix>/…`. `fill` puts the postings of a slab, by its number, into it.
    pub(crate) fn write(
        &self,
        writer: &ModelWriter,
        prefix: &str,
        fill: impl Fn(usize, &mut Slab) + Sync,
    ) -> Result<(), XrLinearError> {
        let mut records = writer.array::<u8>(&format!("{prefix}/records"))?;
        let slabs: Vec<_> = self.slabs().into_iter().enumerate().collect();
        // A batch of slabs in parallel, then written in order.
        for batch in slabs.chunks(rayon::current_num_threads()) {
            let filled = batch.par_iter().map(|(number, blocks)| {
                let mut slab = self.open(blocks.clone());
                fill(*number, &mut slab);
                slab.out
            });
            for slab in filled.collect::<Vec<_>>() {
                records.push(&slab)?;
            }
        }
        records.finish()?;
        writer.put_array(&format!("{prefix}/blocks"), &self.directory())?;
        Ok(writer.put_array(&format!("{prefix}/lengths"), &self.lengths)?)
    }

    /// Room for the records of the features of `blocks`.
    fn open(&self, blocks: Range<usize>) -> Slab {
        let base = self.starts[blocks.start];
        let mut slab = Slab {
            widths: self.widths,
            out: vec![0; (self.starts[blocks.end] - base) as usize],
            first: blocks.start * BLOCK,
            open: Vec::with_capacity(blocks.len() * BLOCK),
        };
        for block in blocks {
            let mut at = (self.starts[block] - base) as usize;
            for feature in block * BLOCK..((block + 1) * BLOCK).min(self.counts.len()) {
                slab.open_record(at, self.counts[feature] as usize, self.bytes[feature] as usize);
                at += usize::from(self.lengths[feature]) << self.shifts[block];
            }
        }
        slab
    }
}

/// Records of a range of features being filled.
pub(crate) struct Slab {
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
    /// The features whose records these are.
    pub(crate) fn features(&self) -> Range<u32> {
        self.first as u32..(self.first + self.open.len()) as u32
    }

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

    fn copy(&mut self, cluster: usize, chunk: &Chunk, from: Cursor) {
        let last = self.first + self.open.len();
        let mut start = from.byte;
        let postings = chunk.postings_from(self.widths, from.posting);
        for (feature, weights) in postings.take_while(|&(feature, _)| (feature as usize) < last) {
            let len = self.widths.posting_len(weights);
            let posting = &chunk.bytes[start..start + len];
            self.add(feature, cluster, weights as u32, posting);
            start += len;
        }
    }

    /// Adds the next posting of a feature's record.
    pub(crate) fn add(&mut self, feature: u32, cluster: usize, weights: u32, posting: &[u8]) {
        let record = feature as usize - self.first;
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
