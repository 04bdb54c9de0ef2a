//! Many queries on one cluster: its features are written down once, and each query's features look there.

use crate::WeightType;
use crate::layer::{dot, grow};
use crate::part::Part;
use crate::queries::{Queries, Query};
use crate::record::{Widths, accumulate};
use crate::turned::{CODE, RecordRow, Rows, Turned, copy};
use xmc_sparse::RankedWord;
use xmc_sparse::kernels::{LANES, Lanes, Simd, WithSimd, prefetch};

/// A query's feature that the cluster has.
#[derive(Debug, Clone, Copy, Default)]
struct Hit {
    row: u32,
    x: f32,
}

/// Buffers of one thread.
#[derive(Debug, Default)]
pub(crate) struct ScatterScratch {
    /// The records that the cluster has rows of, numbered by these; no bit is set between clusters. They take a sixteenth of a table of row numbers:
    /// the cluster's features stay in the nearest cache.
    words: Vec<RankedWord>,
    /// Rows of the cluster.
    n_rows: usize,
    /// Where the posting of each begins in `postings`: with its code as it is stored, without it when it is packed.
    starts: Vec<u32>,
    /// The postings, and as many bytes behind them as may be read with the last one.
    postings: Vec<u8>,
    hits: Vec<Hit>,
    sums: Vec<f32>,
}

/// Makes the margins of one cluster's children for some queries.
pub(crate) struct ScoreCluster<'a> {
    pub(crate) part: &'a Part,
    pub(crate) turned: &'a Turned,
    /// Number of the cluster within the part.
    pub(crate) cluster: u32,
    /// Intercepts of its children, and their dense weights.
    pub(crate) bias: &'a [f32],
    pub(crate) dense: &'a [f32],
    /// The queries, by their numbers among all.
    pub(crate) rows: &'a [u32],
    pub(crate) queries: &'a Queries<'a>,
    pub(crate) scratch: &'a mut ScatterScratch,
    /// For each query the margins of all children.
    pub(crate) margins: &'a mut [f32],
}

/// Most vectors of siblings whose sums stay in the registers of any machine.
const MOST_VECTORS: usize = 8;

impl WithSimd for ScoreCluster<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match packed_vectors::<S>(self.part.widths) {
            1 => self.score::<S, 1>(simd),
            2 => self.score::<S, 2>(simd),
            3 => self.score::<S, 3>(simd),
            4 => self.score::<S, 4>(simd),
            5 => self.score::<S, 5>(simd),
            6 => self.score::<S, 6>(simd),
            7 => self.score::<S, 7>(simd),
            MOST_VECTORS => self.score::<S, MOST_VECTORS>(simd),
            _ => self.score::<S, 0>(simd),
        }
    }
}

/// Vectors of siblings of a cluster, if its postings are to be packed: always with a bit for each sibling, then the values, so that every one is
/// added in the same way; else 0.
#[inline(always)]
fn packed_vectors<S: Simd>(widths: Widths) -> usize {
    let vectors = widths.n_vectors();
    if widths.value == WeightType::Bf16 && vectors <= S::PACKED_VECTORS { vectors } else { 0 }
}

impl ScoreCluster<'_> {
    /// With `V` vectors of siblings, or 0 for postings as they are stored.
    #[inline(always)]
    fn score<S: Simd, const V: usize>(mut self, simd: S) {
        self.write_down::<V>();
        let n_children = self.bias.len();
        for number in 0..self.rows.len() {
            let query = self.queries.query(self.rows[number]);
            if let Some(&next) = self.rows.get(number + 1) {
                self.queries.fetch(next);
            }
            let n_hits = self.find(query);
            self.start_with_bias();
            match V {
                0 => self.add_stored(simd, n_hits),
                _ => self.add_packed::<S, V>(simd, n_hits),
            }
            let margins = &mut self.margins[number * n_children..(number + 1) * n_children];
            margins.copy_from_slice(&self.scratch.sums[..n_children]);
            add_dense(query.dense, self.dense, margins);
        }
        self.wipe();
    }

    /// Notes which records have a row, and puts the postings together.
    #[inline(always)]
    fn write_down<const V: usize>(&mut self) {
        let ScatterScratch { words, starts, postings, n_rows, .. } = &mut *self.scratch;
        // What postings may take when they are packed, and what may be read from the last one on.
        let most = |rows: &Rows<'_>| rows.postings.len() + 2 * V * rows.rows.len();
        let segments = || self.turned.rows(self.cluster);
        *n_rows = segments().map(|segment| segment.rows.len()).sum();
        grow(words, self.part.n_records().div_ceil(64));
        grow(starts, *n_rows);
        grow(postings, segments().map(|segment| most(&segment)).sum::<usize>() + CODE + 2 * (V + 1) * LANES);
        // Slices: what a vector says of itself would be read again for each row.
        let (words, starts, postings) = (&mut words[..], &mut starts[..], &mut postings[..]);
        let (mut row, mut end) = (0, 0);
        for Rows { rows, postings: stored, first } in segments() {
            let begin = end;
            for &RecordRow { record, start } in rows {
                let word = &mut words[record as usize / 64];
                if word.bits == 0 {
                    word.before = row as u32;
                }
                word.insert(record);
                // What is not there begins behind all that is.
                let start = start.wrapping_sub(first) as usize;
                starts[row] = if V == 0 { begin + start } else { end } as u32;
                row += 1;
                if V > 0 {
                    end += pack::<V>(
                        self.part.widths,
                        stored.get(start..).unwrap_or_default(),
                        &mut postings[end..],
                    );
                }
            }
            if V == 0 {
                postings[begin..][..stored.len()].copy_from_slice(stored);
                end += stored.len();
            }
        }
    }

    /// Forgets it.
    #[inline(always)]
    fn wipe(&mut self) {
        let ScatterScratch { words, n_rows, .. } = &mut *self.scratch;
        if words.len() <= *n_rows {
            return words.fill(RankedWord::default());
        }
        for segment in self.turned.rows(self.cluster) {
            segment.rows.iter().for_each(|row| words[row.record as usize / 64].bits = 0);
        }
    }

    /// Notes which of the query's features have a row; how many. Which ones is not foreseeable, so all are written down, and counted if they have.
    #[inline(always)]
    fn find(&mut self, query: Query<'_>) -> usize {
        let ScatterScratch { words, hits, .. } = &mut *self.scratch;
        grow(hits, query.records.len());
        let (words, hits, mut n_hits) = (&words[..], &mut hits[..], 0);
        for (&record, &x) in query.records.iter().zip(query.values) {
            // A record that there is not has no word.
            let (row, is_hit) = words.get(record as usize / 64).copied().unwrap_or_default().rank(record);
            hits[n_hits] = Hit { row, x };
            n_hits += usize::from(is_hit);
        }
        n_hits
    }

    /// Sums begin as intercepts.
    #[inline(always)]
    fn start_with_bias(&mut self) {
        let sums = &mut self.scratch.sums;
        sums.clear();
        // As at the beginning of a single query: no sum is a negative zero.
        sums.extend(self.bias.iter().map(|bias| bias + 0.0));
        // Whole vectors of siblings are added.
        sums.resize(self.bias.len().next_multiple_of(LANES), 0.0);
    }

    /// Rows as they are stored.
    #[inline(always)]
    fn add_stored<S: Simd>(&mut self, simd: S, n_hits: usize) {
        let ScatterScratch { starts, postings, hits, sums, .. } = &mut *self.scratch;
        let widths: Widths = self.part.widths;
        for (at, hit) in hits[..n_hits].iter().enumerate() {
            fetch_ahead(hits, at, starts, postings);
            let Some((code, rest)) = posting_of(hit, starts, postings).and_then(<[u8]>::split_first_chunk)
            else {
                continue;
            };
            let weights = usize::from(u16::from_le_bytes(*code)) + 1;
            accumulate(simd, widths, weights, rest, hit.x, sums);
        }
    }

    /// Packed rows: the sums of all siblings stay in registers, and no row is treated differently from another.
    #[inline(always)]
    fn add_packed<S: Simd, const V: usize>(&mut self, simd: S, n_hits: usize) {
        let ScatterScratch { starts, postings, hits, sums, .. } = &mut *self.scratch;
        let sums = sums.as_chunks_mut::<LANES>().0;
        // Some clusters have fewer children than others.
        let mut all: [S::V; V] = std::array::from_fn(|vector| match sums.get(vector) {
            Some(sums) => simd.load(&Lanes(*sums)),
            None => simd.load(&Lanes::ZERO),
        });
        for (at, hit) in hits[..n_hits].iter().enumerate() {
            fetch_ahead(hits, at, starts, postings);
            let posting = posting_of(hit, starts, postings);
            let Some((bits, values)) = posting.and_then(|posting| posting.split_at_checked(2 * V)) else {
                continue;
            };
            let mut before = 0;
            for (vector, sum) in all.iter_mut().enumerate() {
                let bits = u16::from_le_bytes([bits[2 * vector], bits[2 * vector + 1]]);
                *sum = simd.add_packed_bf16(hit.x, bits, values_from(values, before), *sum);
                before += 2 * bits.count_ones() as usize;
            }
        }
        for (sums, sum) in sums.iter_mut().zip(all) {
            let mut lanes = Lanes::ZERO;
            simd.store(&mut lanes, sum);
            *sums = lanes.0;
        }
    }
}

/// Sixteen values, from byte `start` on.
#[inline(always)]
fn values_from(bytes: &[u8], start: usize) -> &[[u8; 2]; LANES] {
    let these = bytes.get(start..).and_then(|bytes| bytes.first_chunk::<{ 2 * LANES }>());
    these.and_then(|bytes| bytes.as_chunks().0.first_chunk()).unwrap_or(&[[0; 2]; LANES])
}

/// Writes a posting, which is there behind its code, with a bit for each sibling of `V` vectors; the bytes that it takes. More may be written, of
/// which there is room.
#[inline(always)]
fn pack<const V: usize>(widths: Widths, stored: &[u8], out: &mut [u8]) -> usize {
    let Some((code, posting)) = stored.split_first_chunk::<CODE>() else { return 0 };
    let weights = usize::from(u16::from_le_bytes(*code)) + 1;
    let (columns, values) = posting.split_at(widths.columns_len(weights));
    let bits = &mut out[..2 * V];
    if widths.lists_columns(weights) {
        // Two words of bits, as shifting one of 128 takes longer.
        let mut listed = [0u64; 2];
        for &column in columns {
            let (bit, is_upper) = (1 << (column % 64), column >= 64);
            listed[0] |= if is_upper { 0 } else { bit };
            listed[1] |= if is_upper { bit } else { 0 };
        }
        bits.copy_from_slice(&listed.map(u64::to_le_bytes).as_flattened()[..2 * V]);
    } else {
        bits.copy_from_slice(columns);
    }
    copy(values, 2 * weights, &mut out[2 * V..]);
    2 * (V + weights)
}

/// The bytes from the posting of a hit's row on.
#[inline(always)]
fn posting_of<'a>(hit: &Hit, starts: &[u32], postings: &'a [u8]) -> Option<&'a [u8]> {
    postings.get(*starts.get(hit.row as usize)? as usize..)
}

/// Hits between one that is added and one whose row is asked for.
const AHEAD: usize = 8;

/// Asks for the row of a hit that comes later than number `at`; there may be none, or what a query before has left.
#[inline(always)]
fn fetch_ahead(hits: &[Hit], at: usize, starts: &[u32], postings: &[u8]) {
    if let Some(&start) = hits.get(at + AHEAD).and_then(|hit| starts.get(hit.row as usize)) {
        prefetch(postings, start as usize);
    }
}

/// Adds what dense features say to the margins of a cluster's children.
#[inline(always)]
fn add_dense(x: &[f32], weights: &[f32], margins: &mut [f32]) {
    if !weights.is_empty() {
        let n_dense = weights.len() / margins.len();
        for (sum, column) in margins.iter_mut().zip(weights.chunks_exact(n_dense)) {
            *sum += dot(x, column);
        }
    }
}
