//! Many queries on one cluster: its features are written down once, and each query's features look there.

use crate::layer::dot;
use crate::part::Part;
use crate::queries::{Queries, Query};
use crate::record::{Widths, accumulate};
use crate::turned::{Form, PACKED, Turned};
use xmc_sparse::kernels::{LANES, Lanes, Simd, WithSimd, prefetch};

/// Which of 64 records a cluster has postings of.
///
/// A bit for each record, and where the rows of a word begin, take a sixth of a table of row numbers: the cluster's features stay in the nearest
/// cache.
#[derive(Debug, Clone, Copy, Default)]
struct Word {
    bits: u64,
    /// Rows of the words before.
    before: u32,
}

/// Where the posting of a row lies.
#[derive(Debug, Clone, Copy, Default)]
struct Posting {
    start: u32,
    segment: u16,
    /// Its weights less one.
    code: u16,
}

/// A query's feature that the cluster has.
#[derive(Debug, Clone, Copy, Default)]
struct Hit {
    row: u32,
    x: f32,
}

/// Buffers of one thread.
#[derive(Debug, Default)]
pub(crate) struct ScatterScratch {
    /// All zero between clusters.
    words: Vec<Word>,
    postings: Vec<Posting>,
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

impl WithSimd for ScoreCluster<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        self.write_down();
        let n_children = self.bias.len();
        for number in 0..self.rows.len() {
            let query = self.queries.query(self.rows[number]);
            let n_hits = self.find(query);
            self.add_up(simd, n_hits);
            let margins = &mut self.margins[number * n_children..(number + 1) * n_children];
            margins.copy_from_slice(&self.scratch.sums[..n_children]);
            add_dense(query.dense, self.dense, margins);
        }
        self.wipe();
    }
}

impl ScoreCluster<'_> {
    /// Notes which records have a row, and where it is.
    #[inline(always)]
    fn write_down(&mut self) {
        let ScatterScratch { words, postings, .. } = &mut *self.scratch;
        words.resize(self.part.n_records().div_ceil(64), Word::default());
        postings.clear();
        let (widths, form) = (self.part.widths, self.turned.form);
        for (rows, segment) in self.turned.rows(self.cluster).zip(0u16..) {
            let mut start = rows.start;
            for (&record, &code) in rows.records.iter().zip(rows.codes) {
                let word = &mut words[record as usize / 64];
                if word.bits == 0 {
                    word.before = postings.len() as u32;
                }
                word.bits |= 1 << (record % 64);
                postings.push(Posting { start: start as u32, segment, code });
                start += form.len(widths, usize::from(code) + 1);
            }
        }
    }

    /// Forgets it.
    #[inline(always)]
    fn wipe(&mut self) {
        for rows in self.turned.rows(self.cluster) {
            rows.records.iter().for_each(|&record| self.scratch.words[record as usize / 64].bits = 0);
        }
    }

    /// Notes which of the query's features have a row; how many. Which ones is not foreseeable, so all are written down, and counted if they have.
    #[inline(always)]
    fn find(&mut self, query: Query<'_>) -> usize {
        let ScatterScratch { words, hits, .. } = &mut *self.scratch;
        if hits.len() < query.records.len() {
            hits.resize(query.records.len(), Hit::default());
        }
        let mut n_hits = 0;
        for (&record, &x) in query.records.iter().zip(query.values) {
            // A record that there is not has no word.
            let Word { bits, before } = words.get(record as usize / 64).copied().unwrap_or_default();
            let bit = 1u64 << (record % 64);
            hits[n_hits] = Hit { row: before.wrapping_add((bits & (bit - 1)).count_ones()), x };
            n_hits += usize::from(bits & bit != 0);
        }
        n_hits
    }

    /// Adds up intercepts and the rows of the first `n_hits` hits.
    #[inline(always)]
    fn add_up<S: Simd>(&mut self, simd: S, n_hits: usize) {
        let sums = &mut self.scratch.sums;
        sums.clear();
        // As at the beginning of a single query: no sum is a negative zero.
        sums.extend(self.bias.iter().map(|bias| bias + 0.0));
        // Whole vectors of siblings are added.
        sums.resize(self.bias.len().next_multiple_of(LANES), 0.0);
        match self.turned.form {
            Form::Packed => self.add_packed(simd, n_hits),
            Form::Stored => self.add_stored(simd, n_hits),
        }
    }

    /// Rows as they are stored.
    #[inline(always)]
    fn add_stored<S: Simd>(&mut self, simd: S, n_hits: usize) {
        let ScatterScratch { postings, hits, sums, .. } = &mut *self.scratch;
        let widths: Widths = self.part.widths;
        for (at, hit) in hits[..n_hits].iter().enumerate() {
            fetch_ahead(hits, at, postings, self.turned);
            let Some(posting) = postings.get(hit.row as usize) else { continue };
            let (start, weights) = (posting.start as usize, usize::from(posting.code) + 1);
            let bytes = self.turned.postings(posting.segment.into());
            if let Some(posting) = bytes.get(start..start + widths.posting_len(weights)) {
                accumulate(simd, widths, weights, posting, hit.x, sums);
            }
        }
    }

    /// Packed rows: all siblings are one vector, which stays in a register, and no row is treated differently from another.
    #[inline(always)]
    fn add_packed<S: Simd>(&mut self, simd: S, n_hits: usize) {
        let ScatterScratch { postings, hits, sums, .. } = &mut *self.scratch;
        let Some(sums) = sums.first_chunk_mut::<LANES>() else { return };
        let mut sum = simd.load(&Lanes(*sums));
        for (at, hit) in hits[..n_hits].iter().enumerate() {
            fetch_ahead(hits, at, postings, self.turned);
            let Some(posting) = postings.get(hit.row as usize) else { continue };
            let bytes = self.turned.postings(posting.segment.into());
            let packed = bytes.get(posting.start as usize..).and_then(|rest| rest.first_chunk::<PACKED>());
            let Some((bits, values)) = packed.and_then(|packed| packed.split_first_chunk::<2>()) else {
                continue;
            };
            let Some(values) = values.as_chunks::<2>().0.first_chunk::<LANES>() else { continue };
            let is_fused = !self.part.widths.lists_columns(usize::from(posting.code) + 1);
            sum = simd.add_packed_bf16(hit.x, u16::from_le_bytes(*bits), values, is_fused, sum);
        }
        let mut lanes = Lanes::ZERO;
        simd.store(&mut lanes, sum);
        *sums = lanes.0;
    }
}

/// Hits between one that is added and one whose row is asked for.
const AHEAD: usize = 8;

/// Asks for the row of a hit that comes later than number `at`; there may be none, or what a query before has left.
#[inline(always)]
fn fetch_ahead(hits: &[Hit], at: usize, postings: &[Posting], turned: &Turned) {
    if let Some(posting) = hits.get(at + AHEAD).and_then(|hit| postings.get(hit.row as usize)) {
        prefetch(turned.postings(posting.segment.into()), posting.start as usize);
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
