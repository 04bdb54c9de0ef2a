//! From clusters to features: the chunks of a layer become its records.
//!
//! Training makes the weights of one cluster at a time; a query wants the weights of one feature at a time.
//! Three steps turn one into the other: count what each record has, lay the records out, copy the postings.
//! The copy goes through slabs of bounded size, so that no second copy of a layer is ever in memory.

use crate::XrLinearError;
use crate::chunk::{Chunk, Cursor};
use crate::part::{BLOCK, MAX_SHIFT};
use crate::record::{
    GROUP, LONG, MORE, Naming, RecordSize, SHORT, Widths, code_of, codes_len, first_number, group_at,
    is_wide, put_leb128, put_uint, start_width,
};
use rayon::prelude::*;
use std::ops::Range;
use xmc_store::ModelWriter;

/// Bytes of records that a thread lays out at a time: they stay in a core's own cache.
const SLAB: u64 = 1 << 20;
/// Bytes of each chunk that are in a slab in the mean, at least: where each chunk's postings for each slab begin is known before.
const SLAB_OF_CHUNK: u64 = 256;

/// Writes the weights of some clusters of a layer as sections `<prefix>/…`.
pub(crate) fn write_part(
    writer: &ModelWriter,
    prefix: &str,
    widths: Widths,
    n_records: usize,
    chunks: &[Chunk],
) -> Result<(), XrLinearError> {
    let layout = Layout::new(widths, n_records, chunks);
    let slabs = layout.slabs();
    let firsts: Vec<u32> = slabs.iter().map(|blocks| (blocks.start * BLOCK) as u32).collect();
    // Where the postings of each slab begin, so that none has to look for them.
    let cursors: Vec<Vec<Cursor>> = chunks.par_iter().map(|chunk| chunk.cursors(widths, &firsts)).collect();
    layout.write(writer, prefix, |number, slab| {
        for (cluster, (chunk, cursors)) in chunks.iter().zip(&cursors).enumerate() {
            slab.copy(cluster, chunk, cursors[number]);
        }
    })?;
    let (bias, dense) =
        (chunks.iter().map(|chunk| &chunk.bias[..]), chunks.iter().map(|chunk| &chunk.dense[..]));
    write_beside_records(writer, prefix, bias, dense)
}

/// Writes what a layer has beside records and their directory: intercepts and dense weights, of some clusters after the other.
pub(crate) fn write_beside_records<'a>(
    writer: &ModelWriter,
    prefix: &str,
    bias: impl IntoIterator<Item = &'a [f32]>,
    dense: impl IntoIterator<Item = &'a [f32]>,
) -> Result<(), XrLinearError> {
    let mut section = writer.array::<f32>(&format!("{prefix}/bias"))?;
    bias.into_iter().try_for_each(|bias| section.push(bias))?;
    section.finish()?;
    let mut section = writer.array::<f32>(&format!("{prefix}/dense"))?;
    dense.into_iter().try_for_each(|dense| section.push(dense))?;
    Ok(section.finish()?)
}

/// Where every record goes. See [`crate::part`] for the directory's form.
pub(crate) struct Layout {
    widths: Widths,
    /// Of each record.
    sizes: Vec<RecordSize>,
    /// Start of each block, and the end of the last.
    starts: Vec<u64>,
    /// How each block's lengths are written.
    units: Vec<Unit>,
    /// Bytes of a slab, about.
    slab: u64,
}

impl Layout {
    fn new(widths: Widths, n_records: usize, chunks: &[Chunk]) -> Self {
        let mut sizes = vec![RecordSize::default(); n_records];
        for chunk in chunks {
            for (record, weights) in chunk.postings(widths) {
                sizes[record as usize].add(widths, weights);
            }
        }
        let slab = SLAB.max(SLAB_OF_CHUNK * chunks.len() as u64);
        Self { slab, ..Self::of_sizes(widths, sizes) }
    }

    /// Records of these sizes.
    pub(crate) fn of_sizes(widths: Widths, sizes: Vec<RecordSize>) -> Self {
        let n_blocks = sizes.len().div_ceil(BLOCK);
        let (mut starts, mut units) = (Vec::with_capacity(n_blocks + 1), Vec::with_capacity(n_blocks));
        starts.push(0u64);
        let mut lens = Vec::with_capacity(BLOCK);
        for block in sizes.chunks(BLOCK) {
            lens.clear();
            lens.extend(block.iter().map(|size| size.len(widths)));
            let unit = Unit::of(&lens);
            starts.push(starts[starts.len() - 1] + unit.block_len(&lens));
            units.push(unit);
        }
        Self { widths, sizes, starts, units, slab: SLAB }
    }

    /// The blocks' starts with their units in the upper byte.
    fn directory(&self) -> Vec<u64> {
        let packed = self.starts.iter().zip(&self.units);
        packed.map(|(&start, unit)| start | u64::from(unit.packed()) << 56).collect()
    }

    /// Ranges of blocks of about [`Self::slab`] bytes each.
    fn slabs(&self) -> Vec<Range<usize>> {
        let (mut slabs, mut first) = (Vec::new(), 0);
        for block in 0..self.units.len() {
            if self.starts[block + 1] - self.starts[first] >= self.slab || block + 1 == self.units.len() {
                slabs.push(first..block + 1);
                first = block + 1;
            }
        }
        slabs
    }

    /// Bytes of the records and of the directory.
    pub(crate) fn n_bytes(&self) -> u64 {
        let records = self.starts.last().copied().unwrap_or(0);
        records + 8 * self.units.len() as u64
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
        Ok(writer.put_array(&format!("{prefix}/blocks"), &self.directory())?)
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
            let (unit, mut at) = (self.units[block], (self.starts[block] - base) as usize);
            let sizes = &self.sizes[block * BLOCK..((block + 1) * BLOCK).min(self.sizes.len())];
            let mut lengths = at;
            at += sizes.len() * unit.width;
            for size in sizes {
                let n_units = unit.units(size.len(self.widths));
                put_uint(n_units as u32, unit.width, &mut slab.out[lengths..]);
                slab.open_record(at, *size);
                (lengths, at) = (lengths + unit.width, at + ((n_units as usize) << unit.shift));
            }
        }
        slab
    }
}

/// How the lengths of a block's records are written.
#[derive(Debug, Clone, Copy)]
struct Unit {
    /// Bytes of each: 1 or 2, 0 where there are no records.
    width: usize,
    /// They count `2^shift` bytes.
    shift: u8,
}

impl Unit {
    /// The one in which a block of records of these lengths is shortest.
    fn of(lens: &[u64]) -> Self {
        let longest = lens.iter().copied().max().unwrap_or(0);
        if longest == 0 {
            return Self { width: 0, shift: 0 };
        }
        let of_width = |width: usize| {
            let fits = |shift: &u8| longest.div_ceil(1 << shift) < 1 << (8 * width);
            let shift = (0..MAX_SHIFT).find(fits).expect("invariant: a record is shorter than 2^47 bytes");
            Self { width, shift }
        };
        let (narrow, wide) = (of_width(1), of_width(2));
        if narrow.block_len(lens) <= wide.block_len(lens) { narrow } else { wide }
    }

    /// Units of a record of `len` bytes.
    fn units(self, len: u64) -> u64 {
        len.div_ceil(1 << self.shift)
    }

    /// Bytes of a block: lengths, then records.
    fn block_len(self, lens: &[u64]) -> u64 {
        (lens.len() * self.width) as u64 + lens.iter().map(|&len| self.units(len) << self.shift).sum::<u64>()
    }

    /// The directory's byte.
    fn packed(self) -> u8 {
        self.shift | (self.width as u8) << 6
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
    /// Where clusters and postings begin, and where the next posting goes. The clusters of a short record stand behind one byte.
    clusters: usize,
    /// The buckets of clusters that have begun, in a record that has any.
    buckets: usize,
    /// Where the next count of a short record goes.
    counts: usize,
    postings: usize,
    next: usize,
    wide: bool,
}

impl Slab {
    /// The features whose records these are.
    pub(crate) fn features(&self) -> Range<u32> {
        self.first as u32..(self.first + self.open.len()) as u32
    }

    /// Bytes of the records.
    pub(crate) fn n_bytes(&self) -> u64 {
        self.out.len() as u64
    }

    fn open_record(&mut self, at: usize, size: RecordSize) {
        let (n, bytes) = (size.n as usize, size.postings);
        let mut open = Open { n, clusters: at, wide: is_wide(bytes), ..Open::default() };
        if n > 0 {
            if self.widths.is_short(n) {
                self.out[at] = (n - 1) as u8;
                open.clusters += 1;
                open.counts = open.clusters + n * self.widths.id + codes_len(n);
            } else if self.widths.id > 0 {
                self.out[at] = LONG;
                open.clusters += 1 + put_leb128(first_number(n, bytes), &mut self.out[at + 1..]);
                if self.widths.naming(n) == Naming::Buckets {
                    self.widths.open_buckets(n, &mut self.out[open.clusters..]);
                }
            }
            open.postings = at + size.header_len(self.widths);
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
            self.add(feature, [(cluster, weights)], posting);
            start += len;
        }
    }

    /// Adds the next postings of a feature's record: the cluster and the number of weights of each, and they themselves, end to end.
    pub(crate) fn add(
        &mut self,
        feature: u32,
        heads: impl IntoIterator<Item = (usize, usize)>,
        postings: &[u8],
    ) {
        let record = feature as usize - self.first;
        let mut open = self.open[record];
        let start = open.next;
        for (cluster, weights) in heads {
            self.add_head(&mut open, cluster, weights);
        }
        self.out[start..open.next].copy_from_slice(postings);
        self.open[record] = open;
    }

    /// Names cluster and weights of the next posting of a record, and leaves room for the posting itself.
    #[inline(always)]
    fn add_head(&mut self, open: &mut Open, cluster: usize, weights: usize) {
        let Widths { id, col, .. } = self.widths;
        let Open { n, done, clusters, postings, next, wide, .. } = *open;
        let codes = clusters + self.widths.clusters_len(n);
        match self.widths.naming(n) {
            Naming::List => put_uint(cluster as u32, id, &mut self.out[clusters + done * id..]),
            Naming::Buckets => {
                let named = &mut self.out[clusters..codes];
                open.buckets = self.widths.put_in_bucket(named, done, cluster, open.buckets);
            }
            Naming::Bits => self.out[clusters + cluster / 8] |= 1 << (cluster % 8),
        }
        let count = weights as u32 - 1;
        if self.widths.is_short(n) {
            let code = code_of(weights);
            match done {
                0 => self.out[clusters - 1] |= code << 4,
                _ => self.out[codes + (done - 1) / 4] |= code << (2 * ((done - 1) % 4)),
            }
            if code == MORE {
                put_uint(count, col, &mut self.out[open.counts..]);
                open.counts += col;
            }
        } else if n > SHORT {
            let (group, at) = (codes + group_at(col, wide, done / GROUP), done % GROUP);
            if at == 0 {
                put_uint((next - postings) as u32, start_width(wide), &mut self.out[group..]);
            }
            put_uint(count, col, &mut self.out[group + start_width(wide) + at * col..]);
        } else {
            put_uint(count, col, &mut self.out[codes..]);
        }
        open.next += self.widths.posting_len(weights);
        open.done += 1;
    }
}
