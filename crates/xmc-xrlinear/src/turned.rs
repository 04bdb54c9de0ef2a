//! Records turned round: the weights of some clusters of a part, cluster by cluster.
//!
//! Records have the weights of a feature side by side, which is what one query wants. When many queries come to a cluster, its weights are better
//! read once for all of them. They are copied out of the records for a range of clusters at a time, so that memory stays bounded, and only those
//! that a feature of the queries has. The records are taken in segments, each by a thread: what they give stays apart, so nobody waits.

use crate::WeightType;
use crate::part::Part;
use crate::record::{Widths, uint};
use rayon::prelude::*;
use std::ops::Range;
use xmc_sparse::kernels::LANES;

/// Most segments of a part's records: enough for all threads to have work.
const SEGMENTS: usize = 32;
/// Fewest records of a segment.
const SEGMENT: usize = 2048;
/// Most sizes that are kept, one for each segment and cluster: 8 MiB.
const SIZES: usize = 1 << 20;

/// Bytes that are copied at once: whole words of them, as most postings are shorter. What has been copied too much is written over, or lies in the
/// room that each cluster has behind its postings.
const COPIED: usize = 16;

/// How turned postings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As they are stored.
    Stored,
    /// Of up to sixteen siblings, `bf16`: always a bit for each sibling, then the values. Every row is then added in the same way.
    Packed,
}

/// Bytes that may be read from the beginning of a packed posting on.
pub(crate) const PACKED: usize = 2 + 2 * LANES;

impl Form {
    pub(crate) fn of(widths: Widths) -> Self {
        match widths.value {
            WeightType::Bf16 if widths.is_one_vector() => Self::Packed,
            _ => Self::Stored,
        }
    }

    /// Bytes of a posting of `weights` weights.
    #[inline(always)]
    pub(crate) fn len(self, widths: Widths, weights: usize) -> usize {
        match self {
            Self::Stored => widths.posting_len(weights),
            Self::Packed => 2 + widths.value.len(weights),
        }
    }
}

/// What a cluster has in a segment.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    rows: u32,
    bytes: u32,
}

impl Size {
    fn add(&mut self, rows: u32, bytes: u32) {
        self.rows = self.rows.saturating_add(rows);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Bytes that it takes.
    fn total(self) -> u64 {
        let of_rows = u64::from(self.rows) * (size_of::<u32>() + size_of::<u16>()) as u64;
        u64::from(self.bytes) + of_rows + COPIED as u64
    }
}

/// How much the clusters of a part have in some of its records.
pub(crate) struct Sizes<'a> {
    part: &'a Part,
    /// The records of each segment, increasing.
    segments: Vec<&'a [u32]>,
    form: Form,
    /// By segment and cluster.
    sizes: Vec<Vec<Size>>,
}

impl<'a> Sizes<'a> {
    /// Counts what is in `records`, which increase.
    pub(crate) fn new(part: &'a Part, records: &'a [u32]) -> Self {
        let n_segments = (SIZES / part.clusters.len().max(1)).clamp(1, SEGMENTS);
        let segments: Vec<&[u32]> = records.chunks(records.len().div_ceil(n_segments).max(SEGMENT)).collect();
        let form = Form::of(part.widths);
        let count = |records: &&[u32]| {
            let mut sizes = vec![Size::default(); part.clusters.len()];
            for_each_posting(part, records, |_, cluster, weights, _| {
                // A damaged record may name any cluster.
                if let Some(size) = sizes.get_mut(cluster as usize) {
                    size.add(1, form.len(part.widths, weights) as u32);
                }
            });
            sizes
        };
        let sizes = segments.par_iter().map(count).collect();
        Self { part, segments, form, sizes }
    }

    /// Ranges of the part's clusters, numbered within it, that have about `most` bytes each; `None` if one cluster has more. Clusters that
    /// are not `wanted` take nothing.
    pub(crate) fn ranges(&self, most: u64, wanted: impl Fn(u32) -> bool) -> Option<Vec<Range<u32>>> {
        let (mut ranges, mut first, mut total) = (Vec::new(), 0, 0);
        let n_clusters = self.part.clusters.len() as u32;
        for cluster in (0..n_clusters).filter(|&cluster| wanted(cluster)) {
            let size: u64 = self.sizes.iter().map(|sizes| sizes[cluster as usize].total()).sum();
            if size > most {
                return None;
            }
            if total + size > most {
                ranges.push(first..cluster);
                (first, total) = (cluster, 0);
            }
            total += size;
        }
        ranges.push(first..n_clusters);
        Some(ranges)
    }

    /// Turns round what the `wanted` clusters of `clusters` have.
    pub(crate) fn turn(&self, clusters: Range<u32>, wanted: impl Fn(u32) -> bool + Sync) -> Turned {
        let sizes = self.sizes.par_iter().map(|sizes| &sizes[clusters.start as usize..clusters.end as usize]);
        let turn = |(records, sizes): (&&[u32], &[Size])| {
            Segment::turn((self.part, self.form), records, clusters.clone(), sizes, &wanted)
        };
        let segments = self.segments.par_iter().zip(sizes).map(turn).collect();
        Turned { first: clusters.start, form: self.form, segments }
    }
}

/// Gives `take` record, cluster, number of weights and the bytes from the posting on, for all postings of `records`. What is damaged is left
/// out.
#[inline(always)]
fn for_each_posting<'a>(part: &'a Part, records: &[u32], mut take: impl FnMut(u32, u32, usize, &'a [u8])) {
    for &number in records {
        let Some(record) = part.record(number) else { continue };
        record.scan(|cluster, weights, start| {
            let rest = record.postings.get(start..).unwrap_or_default();
            if rest.len() >= part.widths.posting_len(weights) {
                take(number, cluster, weights, rest);
            }
        });
    }
}

/// The weights of a range of clusters, cluster by cluster.
#[derive(Debug)]
pub(crate) struct Turned {
    first: u32,
    pub(crate) form: Form,
    segments: Vec<Segment>,
}

impl Turned {
    /// What `cluster` of the part has, segment by segment.
    pub(crate) fn rows(&self, cluster: u32) -> impl Iterator<Item = Rows<'_>> {
        self.segments.iter().map(move |segment| segment.rows((cluster - self.first) as usize))
    }

    /// The postings of a segment, those of all clusters.
    pub(crate) fn postings(&self, segment: usize) -> &[u8] {
        &self.segments[segment].postings
    }
}

/// What one cluster has in a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// The records of which it has a posting, increasing.
    pub(crate) records: &'a [u32],
    /// Weights of each, less one.
    pub(crate) codes: &'a [u16],
    /// Where the first posting begins in the segment's.
    pub(crate) start: usize,
}

/// A segment turned round.
#[derive(Debug)]
struct Segment {
    /// Where each cluster's rows and postings begin, and the last ones end.
    starts: Vec<Size>,
    records: Vec<u32>,
    codes: Vec<u16>,
    postings: Vec<u8>,
}

impl Segment {
    fn turn(
        (part, form): (&Part, Form),
        records: &[u32],
        clusters: Range<u32>,
        sizes: &[Size],
        wanted: &impl Fn(u32) -> bool,
    ) -> Self {
        let (mut starts, mut end) = (Vec::with_capacity(sizes.len() + 1), Size::default());
        for (cluster, size) in clusters.clone().zip(sizes) {
            starts.push(end);
            if wanted(cluster) && size.rows > 0 {
                end.add(size.rows, size.bytes.saturating_add(COPIED as u32));
            }
        }
        starts.push(end);
        let mut this = Self {
            starts: Vec::new(),
            records: vec![0; end.rows as usize],
            codes: vec![0; end.rows as usize],
            postings: vec![0; end.bytes as usize + PACKED],
        };
        let mut next = starts.clone();
        for_each_posting(part, records, |record, cluster, weights, posting| {
            let at = cluster.wrapping_sub(clusters.start) as usize;
            if clusters.contains(&cluster) && starts[at].rows < starts[at + 1].rows {
                let next = &mut next[at];
                this.records[next.rows as usize] = record;
                this.codes[next.rows as usize] = (weights - 1) as u16;
                let out = &mut this.postings[next.bytes as usize..];
                match form {
                    Form::Stored => copy(posting, part.widths.posting_len(weights), out),
                    Form::Packed => pack(part.widths, weights, posting, out),
                }
                next.add(1, form.len(part.widths, weights) as u32);
            }
        });
        Self { starts, ..this }
    }

    fn rows(&self, cluster: usize) -> Rows<'_> {
        let [first, end] = [self.starts[cluster], self.starts[cluster + 1]];
        let rows = first.rows as usize..end.rows as usize;
        Rows { records: &self.records[rows.clone()], codes: &self.codes[rows], start: first.bytes as usize }
    }
}

/// Copies the first `len` bytes of `from`, and some behind them.
#[inline(always)]
fn copy(from: &[u8], len: usize, to: &mut [u8]) {
    match (from.first_chunk::<COPIED>(), to.first_chunk_mut()) {
        (Some(from), Some(to)) if len <= COPIED => *to = *from,
        _ => to[..len].copy_from_slice(&from[..len]),
    }
}

/// Writes a posting of up to sixteen siblings with a bit for each.
#[inline(always)]
fn pack(widths: Widths, weights: usize, posting: &[u8], out: &mut [u8]) {
    if !widths.lists_columns(weights) {
        return copy(posting, widths.posting_len(weights), out);
    }
    let bits = (0..weights).fold(0u16, |bits, at| bits | 1 << (uint(posting, widths.col, at) % LANES as u32));
    out[..2].copy_from_slice(&bits.to_le_bytes());
    copy(&posting[widths.columns_len(weights)..], widths.value.len(weights), &mut out[2..]);
}

/// Whether the weights of a posting can be counted in a code.
pub(crate) fn has_codes(widths: Widths) -> bool {
    widths.col <= 2
}
