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

/// Bytes of some clusters: their weights turned round, and the margins of their children for all queries that come to them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Room {
    pub(crate) turned: u64,
    pub(crate) margins: u64,
}

impl Room {
    fn fits(self, room: Self) -> bool {
        self.turned <= room.turned && self.margins <= room.margins
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
            for_each_posting(part, records, &(0..part.clusters.len() as u32), |_, cluster, weights, _| {
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

    /// All of the part's clusters, numbered within it, in ranges that have at most `room`; `None` if one cluster has more. `margins_of` a cluster
    /// are the bytes of its children's margins; without any it takes nothing.
    pub(crate) fn ranges(&self, room: Room, margins_of: impl Fn(u32) -> u64) -> Option<Vec<Range<u32>>> {
        let (mut ranges, mut first, mut taken) = (Vec::new(), 0, Room::default());
        let n_clusters = self.part.clusters.len() as u32;
        let wanted = (0..n_clusters).map(|cluster| (cluster, margins_of(cluster)));
        for (cluster, margins) in wanted.filter(|&(_, margins)| margins > 0) {
            let turned = self.sizes.iter().map(|sizes| sizes[cluster as usize].total()).sum();
            let more = Room { turned, margins };
            if !more.fits(room) {
                return None;
            }
            let both = Room { turned: taken.turned + turned, margins: taken.margins + margins };
            taken = if both.fits(room) {
                both
            } else {
                ranges.push(first..cluster);
                first = cluster;
                more
            };
        }
        ranges.push(first..n_clusters);
        Some(ranges)
    }

    /// Turns round what the `wanted` clusters of `clusters` have, in place of what is in `turned`, whose memory it takes.
    pub(crate) fn turn(
        &self,
        clusters: Range<u32>,
        wanted: impl Fn(u32) -> bool + Sync,
        turned: &mut Turned,
    ) {
        let sizes = self.sizes.par_iter().map(|sizes| &sizes[clusters.start as usize..clusters.end as usize]);
        turned.first = clusters.start;
        turned.segments.resize_with(self.segments.len(), Segment::default);
        let segments = turned.segments.par_iter_mut().zip(&self.segments).zip(sizes);
        segments.for_each(|((segment, records), sizes)| {
            segment.turn(self.part, records, clusters.clone(), sizes, &wanted);
        });
    }
}

/// Gives `take` record, cluster, number of weights and the bytes from the posting on, for all postings of `records` and `clusters`, and some
/// others. What is damaged is left out, or wrong.
#[inline(always)]
fn for_each_posting<'a>(
    part: &'a Part,
    records: &[u32],
    clusters: &Range<u32>,
    mut take: impl FnMut(u32, u32, usize, &'a [u8]),
) {
    let mut unpacked = Unpacked::default();
    for &number in records {
        let Some((record, mut start)) = part.record_at(number) else { continue };
        start += record.unpack_some(clusters, &mut unpacked);
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
#[derive(Debug, Default)]
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

/// Of a posting that was counted and not found, in a damaged part.
const UNUSED: RecordRow = RecordRow { record: 0, start: u32::MAX };

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
#[derive(Debug, Default)]
struct Segment {
    /// Where each cluster's rows and postings begin, and the last ones end.
    starts: Vec<Size>,
    /// While it is turned round: where each cluster's next ones go.
    next: Vec<Size>,
    rows: Vec<RecordRow>,
    postings: Vec<u8>,
}

/// Of a cluster that is not wanted: no posting is there.
const NOWHERE: Size = Size { rows: u32::MAX, bytes: u32::MAX };

impl Segment {
    fn turn(
        &mut self,
        part: &Part,
        records: &[u32],
        clusters: Range<u32>,
        sizes: &[Size],
        wanted: &impl Fn(u32) -> bool,
    ) {
        let Self { starts, next, rows, postings } = self;
        starts.clear();
        next.clear();
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
        rows.clear();
        rows.resize(end.rows as usize, UNUSED);
        postings.clear();
        postings.resize(end.bytes as usize, 0);
        for_each_posting(part, records, &clusters, |record, cluster, weights, posting| {
            let at = cluster.wrapping_sub(clusters.start) as usize;
            let (Some(next), Some(end)) = (next.get_mut(at), starts.get(at + 1)) else { return };
            let len = part.widths.posting_len(weights);
            // A damaged record may have more for a cluster here than it had when it was counted.
            if next.rows >= end.rows || next.bytes as usize + CODE + len + COPIED > end.bytes as usize {
                return;
            }
            let Some(row) = rows.get_mut(next.rows as usize) else { return };
            let Some(out) = postings.get_mut(next.bytes as usize..) else { return };
            let Some((code, out)) = out.split_first_chunk_mut() else { return };
            *row = RecordRow { record, start: next.bytes };
            *code = ((weights - 1) as u16).to_le_bytes();
            copy(posting, len, out);
            next.add(1, (CODE + len) as u32);
        });
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
