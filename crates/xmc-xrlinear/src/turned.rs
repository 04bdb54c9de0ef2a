//! Records turned round: the weights of some clusters of a part, cluster by cluster.
//!
//! Records have the weights of a feature side by side, which is what one query wants. When many queries come to a cluster, its weights are better
//! read once for all of them. They are copied out of the records for a range of clusters at a time, so that memory stays bounded, and only those
//! that a feature of the queries has. The records are taken in segments, each by a thread: what they give stays apart, so nobody waits.

use crate::part::Part;
use crate::record::{Unpacked, Widths};
use rayon::prelude::*;
use std::ops::Range;

/// Most segments of a part's records: all threads have work, and what one gives stays in a core's cache while it is put in the order of clusters.
const SEGMENTS: usize = 128;
/// Fewest records of a segment.
const SEGMENT: usize = 256;
/// Most sizes that are kept, one for each segment and cluster: 8 MiB.
const SIZES: usize = 1 << 20;

/// Bytes that are copied at once: whole vectors of them, as most postings are shorter. What has been copied too much is written over, or lies in the
/// room that each cluster has behind its postings.
const COPIED: usize = 32;

/// Bytes of the code in front of a posting: its weights, less one.
pub(crate) const CODE: usize = size_of::<u16>();

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
        let of_rows = u64::from(self.rows) * size_of::<RecordRow>() as u64;
        u64::from(self.bytes) + of_rows + COPIED as u64
    }
}

/// How much the clusters of a part have in some of its records.
pub(crate) struct Sizes<'a> {
    part: &'a Part,
    /// The records of each segment, increasing.
    segments: Vec<&'a [u32]>,
    /// By segment and cluster.
    sizes: Vec<Vec<Size>>,
}

impl<'a> Sizes<'a> {
    /// Counts what is in `records`, which increase.
    pub(crate) fn new(part: &'a Part, records: &'a [u32]) -> Self {
        let n_segments = (SIZES / part.clusters.len().max(1)).clamp(1, SEGMENTS);
        let segments: Vec<&[u32]> = records.chunks(records.len().div_ceil(n_segments).max(SEGMENT)).collect();
        let count = |records: &&[u32]| {
            let mut sizes = vec![Size::default(); part.clusters.len()];
            for_each_posting(part, records, |_, cluster, weights, _| {
                // A damaged record may name any cluster.
                if let Some(size) = sizes.get_mut(cluster as usize) {
                    size.add(1, (CODE + part.widths.posting_len(weights)) as u32);
                }
            });
            sizes
        };
        let sizes = segments.par_iter().map(count).collect();
        Self { part, segments, sizes }
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
            Segment::turn(self.part, records, clusters.clone(), sizes, &wanted)
        };
        let segments = self.segments.par_iter().zip(sizes).map(turn).collect();
        Turned { first: clusters.start, segments }
    }
}

/// Gives `take` record, cluster, number of weights and the bytes from the posting on, for all postings of `records`. What is damaged is left
/// out, or wrong.
#[inline(always)]
fn for_each_posting<'a>(part: &'a Part, records: &[u32], mut take: impl FnMut(u32, u32, usize, &'a [u8])) {
    let mut unpacked = Unpacked::default();
    for &number in records {
        let Some((record, mut start)) = part.record_at(number) else { continue };
        record.unpack(&mut unpacked);
        for (&cluster, &count) in unpacked.clusters.iter().zip(&unpacked.counts) {
            let weights = count as usize + 1;
            let len = part.widths.posting_len(weights);
            let rest = part.records.get(start..).unwrap_or_default();
            if rest.len() >= len {
                take(number, cluster, weights, rest);
            }
            start += len;
        }
    }
}

/// The weights of a range of clusters, cluster by cluster.
#[derive(Debug)]
pub(crate) struct Turned {
    first: u32,
    segments: Vec<Segment>,
}

impl Turned {
    /// What `cluster` of the part has, segment by segment.
    pub(crate) fn rows(&self, cluster: u32) -> impl Iterator<Item = Rows<'_>> {
        self.segments.iter().map(move |segment| segment.rows((cluster - self.first) as usize))
    }
}

/// A posting of a cluster.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RecordRow {
    pub(crate) record: u32,
    /// Where its code begins, which the posting itself follows.
    pub(crate) start: u32,
}

/// What one cluster has in a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// Its postings, of increasing records.
    pub(crate) rows: &'a [RecordRow],
    /// They themselves, each behind its code, and some bytes behind them all.
    pub(crate) postings: &'a [u8],
    /// Where these begin, as the rows count.
    pub(crate) first: u32,
}

/// A segment turned round.
#[derive(Debug)]
struct Segment {
    /// Where each cluster's rows and postings begin, and the last ones end.
    starts: Vec<Size>,
    rows: Vec<RecordRow>,
    postings: Vec<u8>,
}

/// Of a cluster that is not wanted: no posting is there.
const NOWHERE: Size = Size { rows: u32::MAX, bytes: u32::MAX };

impl Segment {
    fn turn(
        part: &Part,
        records: &[u32],
        clusters: Range<u32>,
        sizes: &[Size],
        wanted: &impl Fn(u32) -> bool,
    ) -> Self {
        let (mut starts, mut next) = (Vec::with_capacity(sizes.len() + 1), Vec::with_capacity(sizes.len()));
        let mut end = Size::default();
        for (cluster, size) in clusters.clone().zip(sizes) {
            let is_there = wanted(cluster) && size.rows > 0;
            starts.push(end);
            next.push(if is_there { end } else { NOWHERE });
            if is_there {
                end.add(size.rows, size.bytes.saturating_add(COPIED as u32));
            }
        }
        starts.push(end);
        let mut rows = vec![RecordRow::default(); end.rows as usize];
        let mut postings = vec![0; end.bytes as usize];
        for_each_posting(part, records, |record, cluster, weights, posting| {
            let Some(next) = next.get_mut(cluster.wrapping_sub(clusters.start) as usize) else { return };
            let Some(row) = rows.get_mut(next.rows as usize) else { return };
            let Some(out) = postings.get_mut(next.bytes as usize..) else { return };
            let Some((code, out)) = out.split_first_chunk_mut() else { return };
            *row = RecordRow { record, start: next.bytes };
            *code = ((weights - 1) as u16).to_le_bytes();
            let len = part.widths.posting_len(weights);
            copy(posting, len, out);
            next.add(1, (CODE + len) as u32);
        });
        Self { starts, rows, postings }
    }

    fn rows(&self, cluster: usize) -> Rows<'_> {
        let [first, end] = [self.starts[cluster], self.starts[cluster + 1]];
        let rows = first.rows as usize..end.rows as usize;
        let postings = &self.postings[first.bytes as usize..end.bytes as usize];
        Rows { rows: &self.rows[rows], postings, first: first.bytes }
    }
}

/// Copies the first `len` bytes of `from`, and some behind them.
#[inline(always)]
pub(crate) fn copy(from: &[u8], len: usize, to: &mut [u8]) {
    match (from.first_chunk::<COPIED>(), to.first_chunk_mut()) {
        (Some(from), Some(to)) if len <= COPIED => *to = *from,
        _ => to[..len].copy_from_slice(&from[..len]),
    }
}

/// Whether the weights of a posting can be counted in a code.
pub(crate) fn has_codes(widths: Widths) -> bool {
    widths.col <= 2
}
