//! The bytes of a feature's weights on one layer.
//!
//! A *record* holds all weights of one feature on one layer. It is a list of *postings*, one for each cluster
//! (parent) that has any, and a posting is the weights of that cluster's children:
//!
//! ```text
//! record  := short | long | single
//!
//! short   := front clusters codes counts posting × n       n ≤ 16 postings, of a layer of several clusters
//! front   := n − 1 + 16 c₀                          one byte; c: weights of a posting − 1, at most 3
//! clusters := number × n                            increasing, `id` bytes each
//! codes   := c₁ c₂ …                                2 bits each, from the lowest of a byte up
//! counts  := number × postings with c = 3           `col` bytes each: weights of the posting − 1
//!
//! long    := 64 LEB128(2n + wide) clusters group × ⌈n / 8⌉ posting × n         n > 16
//! clusters := number × n | starts low × n | bits    bits: one for each cluster of the layer, in whole u64s
//! starts   := number × ⌈clusters of the layer / 256⌉ postings before each 256 clusters, `id` bytes each
//! low      := byte                                  of the cluster's number, the rest of which those 256 have in common
//! group   := start counts                           of eight postings, the last one of what is left
//! start   := number                                 where the group's first posting begins: 4 bytes if wide, else 2
//! counts  := number × 8                             `col` bytes each: weights of a posting − 1
//!
//! single  := count posting                          the only one, of a layer of one cluster; `col` bytes: weights − 1
//!
//! posting := columns × weights, values              places among the siblings, `col` bytes each
//!          | bits, values                           one bit for each sibling, in whole u16s
//! values  := value × weights                        1, 2 or 4 bytes each (int8, bf16, f32), see [`crate::value`]
//! ```
//!
//! Each choice is the shortest form (the first of them when they are equal), so none needs a mark; bits of
//! clusters are used in layers of at most 4096 clusters, starts only where numbers have more than a byte. All numbers are little endian and
//! not aligned. Most features have few postings of one to three weights, so that is what has the shortest form.
//!
//! The feature-major order is a change from PECOS's chunks (one for each cluster, feature by feature inside): a query
//! reads one short run of bytes for each of its features instead of probing each of its ten clusters for each
//! feature, and needs no index inside a chunk.

use crate::WeightType;
use crate::value::from_bf16;
use std::hint::select_unpredictable;
use std::ops::Range;
use xmc_sparse::kernels::{LANES, Simd, from_log8};
use xmc_sparse::{RankedWord, set_bits};

/// Records of more postings say where each begins.
pub(crate) const SHORT: usize = 16;
/// Records of layers of more clusters have no bits of them: counting them would take longer than searching.
const MAX_BITMAP: usize = 4096;
/// Words of these.
pub(crate) const WORDS: usize = MAX_BITMAP / 64;
/// Clusters that have all but the low byte of their number in common.
const BUCKET: usize = 256;

/// How a record says which clusters its postings are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    /// By their numbers.
    List,
    /// By the low bytes of their numbers, and where those of each [`BUCKET`] clusters begin: whoever looks for a cluster reads two places.
    Buckets,
    /// By a bit for each cluster.
    Bits,
}

/// Widths of a layer's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Widths {
    /// Bytes of a cluster number; 0 when there is one cluster.
    pub(crate) id: usize,
    /// Bytes of a place among siblings.
    pub(crate) col: usize,
    /// The values.
    pub(crate) value: WeightType,
    /// Bytes of a bit for each cluster; more than there can be where there are none.
    cluster_bits: usize,
    /// Bytes of where the postings of each bucket begin; as above.
    bucket_starts: usize,
    /// Bytes of a bit for each sibling.
    sibling_bits: usize,
}

fn bytes_for(n: usize) -> usize {
    match n {
        0..=0x100 => 1,
        0x101..=0x1_0000 => 2,
        _ => 4,
    }
}

impl Widths {
    pub(crate) fn new(n_clusters: usize, max_siblings: usize, value: WeightType) -> Self {
        let id = if n_clusters == 1 { 0 } else { bytes_for(n_clusters) };
        let cluster_bits = if n_clusters > MAX_BITMAP { usize::MAX } else { 8 * n_clusters.div_ceil(64) };
        let bucket_starts = if id < 2 { usize::MAX } else { id * n_clusters.div_ceil(BUCKET) };
        let sibling_bits = 2 * max_siblings.div_ceil(LANES);
        Self { id, col: bytes_for(max_siblings), value, cluster_bits, bucket_starts, sibling_bits }
    }

    /// The same for `n_clusters` of the layer's clusters.
    pub(crate) fn of_part(self, n_clusters: usize) -> Self {
        let Self { col, sibling_bits, .. } = self;
        Self { col, sibling_bits, ..Self::new(n_clusters, 1, self.value) }
    }

    /// The same with values of another type.
    pub(crate) fn with_value(self, value: WeightType) -> Self {
        Self { value, ..self }
    }

    /// Vectors of all siblings of a cluster.
    #[inline(always)]
    pub(crate) fn n_vectors(self) -> usize {
        self.sibling_bits / 2
    }

    /// Whether a posting of `weights` weights lists its columns.
    #[inline(always)]
    pub(crate) fn lists_columns(self, weights: usize) -> bool {
        weights * self.col <= self.sibling_bits
    }

    /// Bytes of a posting's columns.
    #[inline(always)]
    pub(crate) fn columns_len(self, weights: usize) -> usize {
        (weights * self.col).min(self.sibling_bits)
    }

    /// Bytes of a posting.
    #[inline(always)]
    pub(crate) fn posting_len(self, weights: usize) -> usize {
        self.columns_len(weights) + self.value.len(weights)
    }

    /// How a record of `n` postings names its clusters.
    #[inline(always)]
    pub(crate) fn naming(self, n: usize) -> Naming {
        let (list, buckets) = (n * self.id, self.bucket_starts.saturating_add(n));
        if n <= SHORT || list <= buckets.min(self.cluster_bits) {
            Naming::List
        } else if buckets <= self.cluster_bits {
            Naming::Buckets
        } else {
            Naming::Bits
        }
    }

    /// Bytes of a record's clusters.
    #[inline(always)]
    pub(crate) fn clusters_len(self, n: usize) -> usize {
        match self.naming(n) {
            Naming::List => n * self.id,
            Naming::Buckets => self.bucket_starts + n,
            Naming::Bits => self.cluster_bits,
        }
    }

    /// Begins the bytes that name the clusters of a record of `n` postings with buckets: none of them has any yet.
    pub(crate) fn open_buckets(self, n: usize, clusters: &mut [u8]) {
        let starts = clusters[..self.bucket_starts].chunks_exact_mut(self.id);
        starts.for_each(|start| put_uint(n as u32, self.id, start));
    }

    /// Names the cluster of posting `number` there. Its bucket begins with it, and so do those before it from number `begun` on, if they have not
    /// begun; returns how many have then.
    pub(crate) fn put_in_bucket(
        self,
        clusters: &mut [u8],
        number: usize,
        cluster: usize,
        begun: usize,
    ) -> usize {
        let end = cluster / BUCKET + 1;
        for bucket in begun..end {
            put_uint(number as u32, self.id, &mut clusters[bucket * self.id..]);
        }
        clusters[self.bucket_starts + number] = cluster as u8;
        end
    }

    /// Whether a record of `n` postings is a short one.
    #[inline(always)]
    pub(crate) fn is_short(self, n: usize) -> bool {
        self.id > 0 && n <= SHORT
    }
}

/// What a record is to hold.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RecordSize {
    /// Number of postings.
    pub(crate) n: u32,
    /// Those of them that a code of 2 bits does not tell the weights of.
    more: u32,
    /// Bytes of the postings.
    pub(crate) postings: u64,
}

impl RecordSize {
    /// With a posting of `weights` weights.
    pub(crate) fn add(&mut self, widths: Widths, weights: usize) {
        self.n += 1;
        self.more += u32::from(code_of(weights) == MORE);
        self.postings += widths.posting_len(weights) as u64;
    }

    /// Of a `record`. Codes that do not tell the weights are counted in one of few postings only, as longer ones have none.
    pub(crate) fn of(record: &Record<'_>) -> Self {
        let mut size = Self::default();
        if record.is_sequential() {
            record.each_posting(|_, weights, _| size.add(record.widths, weights));
            return size;
        }
        let (start, weights) = record.posting(record.n - 1);
        let postings = (start + record.widths.posting_len(weights)) as u64;
        Self { n: record.n as u32, postings, ..size }
    }

    /// Bytes of everything before the postings.
    pub(crate) fn header_len(&self, widths: Widths) -> usize {
        let Self { n, more, postings } = *self;
        let (n, more) = (n as usize, more as usize);
        let front = match n {
            _ if widths.is_short(n) => return 1 + n * widths.id + codes_len(n) + more * widths.col,
            _ if widths.id == 0 => 0,
            n => 1 + leb128_len(first_number(n, postings)),
        };
        let groups = if n > SHORT { groups_len(widths.col, n, is_wide(postings)) } else { n * widths.col };
        front + widths.clusters_len(n) + groups
    }

    /// Bytes of the record, none without postings.
    pub(crate) fn len(&self, widths: Widths) -> u64 {
        match self.n {
            0 => 0,
            _ => self.header_len(widths) as u64 + self.postings,
        }
    }
}

impl std::ops::AddAssign for RecordSize {
    fn add_assign(&mut self, other: Self) {
        self.n += other.n;
        self.more += other.more;
        self.postings += other.postings;
    }
}

/// The code of postings with more weights than codes can tell.
pub(crate) const MORE: u8 = 3;
/// The first byte of a long record.
pub(crate) const LONG: u8 = 64;

/// The code of a posting of `weights` weights in a short record.
#[inline(always)]
pub(crate) fn code_of(weights: usize) -> u8 {
    (weights - 1).min(MORE.into()) as u8
}

/// Bytes of the codes of a short record.
#[inline(always)]
pub(crate) fn codes_len(n: usize) -> usize {
    (n - 1).div_ceil(4)
}

/// Postings of a group of a long record: it says where the first one begins, the others follow from their weights.
pub(crate) const GROUP: usize = 8;

/// Whether starts need 4 bytes.
pub(crate) fn is_wide(postings: u64) -> bool {
    postings > u16::MAX.into()
}

/// The number at the front of a record.
pub(crate) fn first_number(n: usize, postings: u64) -> usize {
    2 * n + usize::from(is_wide(postings))
}

/// Bytes of the groups of a long record.
#[inline(always)]
fn groups_len(col: usize, n: usize, wide: bool) -> usize {
    n * col + n.div_ceil(GROUP) * start_width(wide)
}

/// Where group `number` of a long record begins.
#[inline(always)]
pub(crate) fn group_at(col: usize, wide: bool, number: usize) -> usize {
    number * (GROUP * col + start_width(wide))
}

/// Bytes of the start of a group.
#[inline(always)]
pub(crate) fn start_width(wide: bool) -> usize {
    if wide { 4 } else { 2 }
}

fn leb128_len(n: usize) -> usize {
    (usize::BITS - (n | 1).leading_zeros()).div_ceil(7) as usize
}

/// Writes `n` at the front of `out`; returns its length.
pub(crate) fn put_leb128(mut n: usize, out: &mut [u8]) -> usize {
    let mut at = 0;
    while n >= 0x80 {
        out[at] = n as u8 | 0x80;
        n >>= 7;
        at += 1;
    }
    out[at] = n as u8;
    at + 1
}

/// Reads a number and what follows it; 0 at the end of the bytes.
#[inline(always)]
fn take_leb128(bytes: &[u8]) -> (usize, &[u8]) {
    let (mut n, mut shift) = (0usize, 0);
    for (at, &byte) in bytes.iter().enumerate().take(5) {
        n |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return (n, &bytes[at + 1..]);
        }
        shift += 7;
    }
    (0, &[])
}

/// Writes `value` in `width` bytes.
#[inline(always)]
pub(crate) fn put_uint(value: u32, width: usize, out: &mut [u8]) {
    // Copying a number of bytes that the compiler does not know is a call.
    match (width, value.to_le_bytes()) {
        (1, bytes) => out[0] = bytes[0],
        (2, [low, high, ..]) => out[..2].copy_from_slice(&[low, high]),
        (_, bytes) => out[..width].copy_from_slice(&bytes[..width]),
    }
}

/// Number `at` of an array of `width`-byte numbers; 0 past the end.
#[inline(always)]
pub(crate) fn uint(bytes: &[u8], width: usize, at: usize) -> u32 {
    match width {
        1 => bytes.get(at).map_or(0, |&byte| byte.into()),
        2 => bytes.get(2 * at..2 * at + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]).into()),
        _ => bytes.get(4 * at..4 * at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])),
    }
}

/// A record taken apart. Bytes that are not a record yield wrong numbers or none, never a panic.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    widths: Widths,
    pub(crate) n: usize,
    pub(crate) wide: bool,
    clusters: &'a [u8],
    /// Of a short record, two bits for each posting.
    codes: u32,
    /// Weights less one of the postings of a short record whose code does not tell them, or of the single one.
    counts: &'a [u8],
    /// Of a long record.
    groups: &'a [u8],
    /// The postings, end to end.
    pub(crate) postings: &'a [u8],
}

impl<'a> Record<'a> {
    /// No postings.
    pub(crate) fn empty(widths: Widths) -> Self {
        Self { widths, n: 0, wide: false, clusters: &[], codes: 0, counts: &[], groups: &[], postings: &[] }
    }

    /// `None` when the bytes are too few.
    #[inline(always)]
    pub(crate) fn parse(widths: Widths, bytes: &'a [u8]) -> Option<Self> {
        if widths.id == 0 {
            let (counts, postings) = bytes.split_at_checked(widths.col)?;
            return Some(Self { n: 1, counts, postings, ..Self::empty(widths) });
        }
        let (&front, rest) = bytes.split_first()?;
        if front < LONG {
            return Self::parse_short(widths, front, rest);
        }
        let (first, rest) = take_leb128(rest);
        let (n, wide) = (first / 2, first % 2 == 1);
        let (clusters, rest) = rest.split_at_checked(widths.clusters_len(n))?;
        let (groups, postings) = rest.split_at_checked(groups_len(widths.col, n, wide))?;
        Some(Self { widths, n, wide, clusters, codes: 0, counts: &[], groups, postings })
    }

    #[inline(always)]
    fn parse_short(widths: Widths, front: u8, rest: &'a [u8]) -> Option<Self> {
        let n = usize::from(front % 16) + 1;
        let (clusters, rest) = rest.split_at_checked(n * widths.id)?;
        // Four bytes at once, and without those that are no codes: shorter than to read as many as there are.
        let bytes = match rest.first_chunk::<4>() {
            Some(bytes) => *bytes,
            None => std::array::from_fn(|at| rest.get(at).copied().unwrap_or(0)),
        };
        let codes = u32::from_le_bytes(bytes) & ((1 << (2 * (n - 1))) - 1);
        let codes = codes << 2 | u32::from(front / 16);
        let (_, rest) = rest.split_at_checked(codes_len(n))?;
        let n_more = (codes & codes >> 1 & 0x5555_5555).count_ones() as usize;
        let (counts, postings) = rest.split_at_checked(n_more * widths.col)?;
        Some(Self { n, clusters, codes, counts, postings, ..Self::empty(widths) })
    }

    /// Whether its postings are found one after the other: see [`Record::each_posting`].
    #[inline(always)]
    pub(crate) fn is_sequential(&self) -> bool {
        self.n <= SHORT
    }

    /// Bytes of all that stands before the postings, and of the clusters among it.
    pub(crate) fn head_lens(&self) -> (usize, usize) {
        let codes = if self.widths.is_short(self.n) { codes_len(self.n) } else { 0 };
        let front = if self.widths.is_short(self.n) { 1 } else { 3 };
        let clusters = self.clusters.len();
        (front + codes + clusters + self.counts.len() + self.groups.len(), clusters)
    }

    /// How it names its clusters.
    #[inline(always)]
    pub(crate) fn naming(&self) -> Naming {
        self.widths.naming(self.n)
    }

    /// Gives `take` number, weights and start of each posting of a record of up to [`SHORT`].
    #[inline(always)]
    pub(crate) fn each_posting(&self, mut take: impl FnMut(usize, usize, usize)) {
        if self.widths.id == 0 {
            return (0..self.n).for_each(|_| take(0, uint(self.counts, self.widths.col, 0) as usize + 1, 0));
        }
        let (mut codes, mut n_more, mut start) = (self.codes, 0, 0);
        for number in 0..self.n {
            // Both are there before it is known which one counts: the codes of text follow no pattern that a processor could foresee.
            let (code, more) = (codes % 4, uint(self.counts, self.widths.col, n_more));
            let is_more = code == u32::from(MORE);
            let weights = if is_more { more } else { code } as usize + 1;
            take(number, weights, start);
            start += self.widths.posting_len(weights);
            n_more += usize::from(is_more);
            codes >>= 2;
        }
    }

    /// Cluster of posting `number`, in a record that lists them.
    #[inline(always)]
    pub(crate) fn cluster(&self, number: usize) -> u32 {
        if self.widths.id == 0 { 0 } else { uint(self.clusters, self.widths.id, number) }
    }

    /// Bytes that are read to find a cluster, about, in a record that has buckets.
    pub(crate) fn bytes_to_search_bucket(&self) -> usize {
        let of_bucket = self.n * self.widths.id / self.widths.bucket_starts;
        2 * self.widths.id + of_bucket.max(1).ilog2() as usize + 1
    }

    /// Bytes of a group.
    pub(crate) fn group_bytes(&self) -> usize {
        group_at(self.widths.col, self.wide, 1)
    }

    /// Bytes of the groups of a record of more than [`SHORT`].
    #[inline(always)]
    pub(crate) fn groups_len(&self) -> usize {
        self.groups.len()
    }

    /// Start and number of weights of posting `number` of a record of more than [`SHORT`].
    #[inline(always)]
    pub(crate) fn posting(&self, number: usize) -> (usize, usize) {
        posting_of_group(self.widths, self.wide, self.groups, number)
    }

    /// Number of weights of all postings.
    pub(crate) fn total_weights(&self) -> usize {
        if !self.is_sequential() {
            return (0..self.n).map(|number| self.posting(number).1).sum();
        }
        let mut total = 0;
        self.each_posting(|_, weights, _| total += weights);
        total
    }

    /// Number of the posting of `cluster`, in a record of more than [`SHORT`].
    pub(crate) fn find(&self, cluster: u32) -> Option<usize> {
        let (number, is_there) = match self.naming() {
            Naming::List => self.search(cluster),
            Naming::Buckets => self.search_bucket(cluster),
            Naming::Bits => {
                let mut ranks = [0; WORDS];
                self.rank_words(&mut ranks);
                self.rank(&ranks, cluster)
            }
        };
        is_there.then_some(number)
    }

    /// Takes the head apart: cluster and weights of each posting, one beside the other. Where the bytes end early, numbers are wrong.
    #[inline(always)]
    pub(crate) fn unpack(&self, out: &mut Unpacked) {
        out.clear();
        if !self.is_sequential() {
            return self.unpack_groups(0..self.n, out);
        }
        self.each_posting(|number, weights, _| {
            out.clusters.push(self.cluster(number));
            out.counts.push(weights as u32 - 1);
        });
    }

    /// Takes as much of the head apart as has the postings of `clusters`, and some beside them; where the first of those begins.
    #[inline(always)]
    pub(crate) fn unpack_some(&self, clusters: &Range<u32>, out: &mut Unpacked) -> usize {
        if self.is_sequential() || clusters.is_empty() {
            self.unpack(out);
            return 0;
        }
        out.clear();
        let last = self.first_from(clusters.end - 1);
        let first = self.first_from(clusters.start).min(last) / GROUP * GROUP;
        self.unpack_groups(first..(last + 1).min(self.n), out);
        self.posting(first).0
    }

    /// Number of a posting of a record of more than [`SHORT`]: none before it is of `cluster` or one after it.
    #[inline(always)]
    fn first_from(&self, cluster: u32) -> usize {
        let number = match self.naming() {
            Naming::List => self.search(cluster).0,
            Naming::Buckets => self.search_bucket(cluster).0,
            Naming::Bits => self.listed_as_bits().take_while(|&listed| listed < cluster).count(),
        };
        number.min(self.n - 1)
    }

    /// [`Record::unpack`] for some postings of a record of more than [`SHORT`], by their numbers, the first of which begins a group.
    #[inline(always)]
    fn unpack_groups(&self, numbers: Range<usize>, out: &mut Unpacked) {
        let Unpacked { clusters, counts } = out;
        clusters.resize(numbers.len(), 0);
        counts.resize(numbers.len(), 0);
        let listed = || &self.clusters[numbers.start * self.widths.id..];
        match (self.naming(), self.widths.id) {
            (Naming::Bits, _) => {
                for (out, cluster) in clusters.iter_mut().zip(self.listed_as_bits().skip(numbers.start)) {
                    *out = cluster;
                }
            }
            (Naming::Buckets, _) => {
                for (first, bucket) in self.buckets() {
                    let bucket = bucket.start.max(numbers.start)..bucket.end.min(numbers.end);
                    if bucket.is_empty() {
                        continue;
                    }
                    let out = &mut clusters[bucket.start - numbers.start..];
                    for (out, &low) in out.iter_mut().zip(&self.lows()[bucket]) {
                        *out = first + u32::from(low);
                    }
                }
            }
            (Naming::List, 1) => widen::<1>(listed(), clusters),
            (Naming::List, 2) => widen::<2>(listed(), clusters),
            (Naming::List, _) => widen::<4>(listed(), clusters),
        }
        let groups = self.groups.chunks(self.group_bytes()).skip(numbers.start / GROUP);
        let groups = groups.map(|group| &group[start_width(self.wide)..]);
        for (group, out) in groups.zip(counts.chunks_mut(GROUP)) {
            match self.widths.col {
                1 => widen::<1>(group, out),
                2 => widen::<2>(group, out),
                _ => widen::<4>(group, out),
            }
        }
    }

    /// Gives `take` the cluster, the number of weights and the bytes of every posting; `None` when they end early.
    pub(crate) fn for_each(&self, mut take: impl FnMut(u32, usize, &'a [u8])) -> Option<()> {
        if self.is_sequential() {
            let mut all = Some(());
            self.each_posting(|number, weights, start| {
                match self.postings.get(start..start + self.widths.posting_len(weights)) {
                    Some(posting) => take(self.cluster(number), weights, posting),
                    None => all = None,
                }
            });
            return all;
        }
        let (mut as_bits, mut in_buckets) = (self.listed_as_bits(), self.listed_in_buckets());
        let mut rest = self.postings;
        for number in 0..self.n {
            let cluster = match self.naming() {
                Naming::List => self.cluster(number),
                Naming::Buckets => in_buckets.next()?,
                Naming::Bits => as_bits.next()?,
            };
            let weights = self.posting(number).1;
            let (posting, others) = rest.split_at_checked(self.widths.posting_len(weights))?;
            take(cluster, weights, posting);
            rest = others;
        }
        Some(())
    }

    /// The first cluster of each bucket, and the numbers of its postings; in a record that has buckets. Of a damaged record some are left out.
    fn buckets(&self) -> impl Iterator<Item = (u32, Range<usize>)> {
        let ends = (1..).map(|bucket| self.start_of_bucket(bucket));
        let starts = (0..self.widths.bucket_starts / self.widths.id)
            .map(|bucket| (bucket, self.start_of_bucket(bucket)));
        let numbers = starts.zip(ends).filter(|((_, start), end)| start <= end && *end <= self.n);
        numbers.map(|((bucket, start), end)| ((bucket * BUCKET) as u32, start..end))
    }

    /// Number of the first posting of a bucket; after the last bucket, the number of all.
    #[inline(always)]
    fn start_of_bucket(&self, bucket: usize) -> usize {
        match bucket * self.widths.id < self.widths.bucket_starts {
            true => uint(self.clusters, self.widths.id, bucket) as usize,
            false => self.n,
        }
    }

    /// The low bytes of all clusters, in a record that has buckets.
    #[inline(always)]
    fn lows(&self) -> &'a [u8] {
        &self.clusters[self.widths.bucket_starts..]
    }

    /// Number of a posting and whether it is that of `cluster`, in a record that has buckets.
    #[inline(always)]
    pub(crate) fn search_bucket(&self, cluster: u32) -> (usize, bool) {
        let bucket = cluster as usize / BUCKET;
        let (start, end) = (self.start_of_bucket(bucket), self.start_of_bucket(bucket + 1));
        let Some(lows) = self.lows().get(start..end) else { return (0, false) };
        let (number, is_there) = search_in::<1>(lows, cluster % BUCKET as u32);
        (start + number, is_there)
    }

    /// The clusters, in a record that has buckets.
    fn listed_in_buckets(&self) -> impl Iterator<Item = u32> {
        let is_so = self.naming() == Naming::Buckets;
        let buckets = is_so.then(|| self.buckets()).into_iter().flatten();
        buckets.flat_map(|(first, bucket)| self.lows()[bucket].iter().map(move |&low| first + u32::from(low)))
    }

    /// The clusters, in a record that has bits of them.
    fn listed_as_bits(&self) -> impl Iterator<Item = u32> {
        let words = self.clusters.as_chunks::<8>().0.iter().zip(0u32..);
        words.flat_map(|(bytes, word)| set_bits(u64::from_le_bytes(*bytes)).map(move |bit| 64 * word + bit))
    }

    /// Number of the first posting of `cluster` or one after it, the last one at most, and whether it is that of `cluster`; in a record that
    /// lists them. Without branches that depend on the data: what a query finds is not foreseeable.
    #[inline(always)]
    pub(crate) fn search(&self, cluster: u32) -> (usize, bool) {
        match self.widths.id {
            1 => search_in::<1>(self.clusters, cluster),
            2 => search_in::<2>(self.clusters, cluster),
            _ => search_in::<4>(self.clusters, cluster),
        }
    }

    /// For each word of bits, in a record that has them, the number of those before it.
    #[inline(always)]
    pub(crate) fn rank_words(&self, ranks: &mut [u16; WORDS]) {
        let mut before = 0;
        for (rank, word) in ranks.iter_mut().zip(self.clusters.as_chunks::<8>().0) {
            *rank = before;
            before += u64::from_le_bytes(*word).count_ones() as u16;
        }
    }

    /// Number of the posting of `cluster` and whether there is one, in a record of bits with these `ranks`.
    #[inline(always)]
    pub(crate) fn rank(&self, ranks: &[u16; WORDS], cluster: u32) -> (usize, bool) {
        let word = cluster as usize / 64;
        let Some(bits) = self.clusters.as_chunks::<8>().0.get(word) else { return (0, false) };
        let word = RankedWord { bits: u64::from_le_bytes(*bits), before: ranks[word % WORDS].into() };
        let (number, is_there) = word.rank(cluster);
        (number as usize, is_there)
    }
}

/// The head of a record taken apart.
#[derive(Debug, Default)]
pub(crate) struct Unpacked {
    /// The cluster of each posting.
    pub(crate) clusters: Vec<u32>,
    /// Weights of each, less one.
    pub(crate) counts: Vec<u32>,
}

impl Unpacked {
    fn clear(&mut self) {
        self.clusters.clear();
        self.counts.clear();
    }
}

/// The numbers of `W` bytes in `bytes`.
#[inline(always)]
fn widen<const W: usize>(bytes: &[u8], out: &mut [u32]) {
    for (out, number) in out.iter_mut().zip(bytes.as_chunks::<W>().0) {
        *out = number_of(*number);
    }
}

/// [`Record::search`] in numbers of `W` bytes.
#[inline(always)]
fn search_in<const W: usize>(ids: &[u8], cluster: u32) -> (usize, bool) {
    let ids = ids.as_chunks::<W>().0;
    let (mut first, mut len) = (0, ids.len());
    if len == 0 {
        return (0, false);
    }
    while len > 1 {
        let half = len / 2;
        let is_before = number_of(ids[first + half - 1]) < cluster;
        first = select_unpredictable(is_before, first + half, first);
        len -= half;
    }
    (first, number_of(ids[first]) == cluster)
}

#[inline(always)]
fn number_of<const W: usize>(bytes: [u8; W]) -> u32 {
    let mut four = [0; 4];
    four[..W].copy_from_slice(&bytes);
    u32::from_le_bytes(four)
}

/// Start and number of weights of posting `number` by the groups of a long record, or by what follows them, too: nothing else is read.
/// Both are wrong where the bytes end early.
#[inline(always)]
pub(crate) fn posting_of_group(widths: Widths, wide: bool, groups: &[u8], number: usize) -> (usize, usize) {
    let (group, at) = (group_at(widths.col, wide, number / GROUP), number % GROUP);
    let bytes = groups.get(group..).unwrap_or_default();
    // A start has four bytes or two, without those that are counts.
    let start = match bytes.first_chunk::<4>() {
        Some(four) => u32::from_le_bytes(*four) & if wide { u32::MAX } else { u16::MAX.into() },
        None => uint(bytes, 2, 0),
    };
    let counts = bytes.get(start_width(wide)..).unwrap_or_default();
    if widths.col > 1 {
        let weights = |at| uint(counts, widths.col, at) as usize + 1;
        let before: usize = (0..at).map(|before| widths.posting_len(weights(before))).sum();
        return (start as usize + before, weights(at));
    }
    let counts: [u8; GROUP] = match counts.first_chunk() {
        Some(counts) => *counts,
        None => std::array::from_fn(|at| counts.get(at).copied().unwrap_or(0)),
    };
    let before = postings_len(widths, u64::from_le_bytes(counts), at);
    (start as usize + before, usize::from(counts[at]) + 1)
}

/// Bytes of the first `n` of eight postings, at most seven: a byte of `counts` says the weights of each, less one. A loop of unforeseeable rounds
/// takes longer.
#[inline(always)]
fn postings_len(widths: Widths, counts: u64, n: usize) -> usize {
    const LOW: u64 = 0x00ff_00ff_00ff_00ff;
    const ONES: u64 = 0x0001_0001_0001_0001;
    let (value, most) = (widths.value.len(1) as u64, ONES * (widths.sibling_bits as u64 - 1));
    let counts = counts & ((1 << (8 * n)) - 1);
    // Four numbers of 16 bits at once: bytes of values, and of columns, which are not more than the bits.
    let len = |counts: u64| {
        let more = (counts | ONES << 15) - most;
        let is_more = (more >> 15 & ONES) * 0x7fff;
        value * counts + counts - (more & is_more)
    };
    let both = len(counts & LOW) + len(counts >> 8 & LOW);
    let (more_than_one, of_one) = (both.wrapping_mul(ONES) >> 48, value + 1);
    more_than_one as usize + n * of_one as usize
}

/// Appends the posting of `columns`, which increase, and their `values`.
pub(crate) fn put_posting(widths: Widths, columns: &[u32], values: &[f32], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + widths.posting_len(columns.len()), 0);
    write_posting(widths, columns, values, &mut out[start..]);
}

/// Writes the posting of `columns`, which increase, and their `values` to `out`: all 0 before, and as long as the posting.
pub(crate) fn write_posting(widths: Widths, columns: &[u32], values: &[f32], out: &mut [u8]) {
    let (places, stored) = out.split_at_mut(widths.columns_len(columns.len()));
    put_columns(widths, columns, places);
    widths.value.put(values, stored);
}

/// Writes the columns of a posting, which increase, to its first bytes: all 0 before.
pub(crate) fn put_columns(widths: Widths, columns: &[u32], out: &mut [u8]) {
    for (at, &column) in columns.iter().enumerate() {
        if widths.lists_columns(columns.len()) {
            put_uint(column, widths.col, &mut out[at * widths.col..]);
        } else {
            out[column as usize / 8] |= 1 << (column % 8);
        }
    }
}

/// The columns of a posting of `weights` weights.
pub(crate) fn take_columns(widths: Widths, weights: usize, posting: &[u8], columns: &mut Vec<u32>) {
    columns.clear();
    if widths.lists_columns(weights) {
        columns.extend((0..weights).map(|at| uint(posting, widths.col, at)));
    } else {
        let bits = &posting[..widths.columns_len(weights)];
        let has = |column: &u32| bits[*column as usize / 8] >> (column % 8) & 1 == 1;
        columns.extend((0..8 * bits.len() as u32).filter(has));
    }
}

/// `sums[c] += x · w[c]` over the posting of `weights` weights at the beginning of `posting`, behind which there may be more bytes: with some
/// it is faster. `sums` has room for whole vectors of siblings.
#[inline(always)]
pub(crate) fn accumulate<S: Simd>(
    simd: S,
    widths: Widths,
    weights: usize,
    posting: &[u8],
    x: f32,
    sums: &mut [f32],
) {
    let Some((columns, values)) = posting.split_at_checked(widths.columns_len(weights)) else { return };
    let posting = (weights, columns, values);
    match widths.value {
        WeightType::Bf16 => add_values::<S, 2, Bf16>(simd, widths, posting, x, sums),
        WeightType::F32 => add_values::<S, 4, F32>(simd, widths, posting, x, sums),
        WeightType::Int8 => add_values::<S, 1, Log8>(simd, widths, posting, x, sums),
    }
}

/// Values of `W` bytes.
trait Values<const W: usize> {
    fn decode(value: [u8; W]) -> f32;
    /// As [`Simd::add_expanded_f32`].
    fn add_expanded<S: Simd>(simd: S, x: f32, bits: u16, values: &[[u8; W]], sums: &mut [f32; LANES]);
}

/// Their types.
struct Bf16;
struct F32;
struct Log8;

impl Values<2> for Bf16 {
    #[inline(always)]
    fn decode(value: [u8; 2]) -> f32 {
        from_bf16(value)
    }

    #[inline(always)]
    fn add_expanded<S: Simd>(simd: S, x: f32, bits: u16, values: &[[u8; 2]], sums: &mut [f32; LANES]) {
        simd.add_expanded_bf16(x, bits, values, sums);
    }
}

impl Values<4> for F32 {
    #[inline(always)]
    fn decode(value: [u8; 4]) -> f32 {
        f32::from_le_bytes(value)
    }

    #[inline(always)]
    fn add_expanded<S: Simd>(simd: S, x: f32, bits: u16, values: &[[u8; 4]], sums: &mut [f32; LANES]) {
        simd.add_expanded_f32(x, bits, values, sums);
    }
}

impl Values<1> for Log8 {
    #[inline(always)]
    fn decode(value: [u8; 1]) -> f32 {
        from_log8(value)
    }

    #[inline(always)]
    fn add_expanded<S: Simd>(simd: S, x: f32, bits: u16, values: &[[u8; 1]], sums: &mut [f32; LANES]) {
        simd.add_expanded_log8(x, bits, values, sums);
    }
}

/// [`accumulate`] for one type of values: of a posting its number of weights, columns and values.
#[inline(always)]
fn add_values<S: Simd, const W: usize, V: Values<W>>(
    simd: S,
    widths: Widths,
    (weights, columns, values): (usize, &[u8], &[u8]),
    x: f32,
    sums: &mut [f32],
) {
    if !widths.lists_columns(weights) {
        return by_bits::<S, W, V>(simd, columns, values, x, sums);
    }
    match widths.col {
        1 => by_columns::<S, 1, W, V>(simd, columns, values, x, sums),
        2 => by_columns::<S, 2, W, V>(simd, columns, values, x, sums),
        _ => by_columns::<S, 4, W, V>(simd, columns, values, x, sums),
    }
}

/// [`add_values`] with a bit for each sibling, a vector of siblings at a time. (No closures here: a closure that is not inlined is compiled
/// without the instructions of `S`.)
#[inline(always)]
fn by_bits<S: Simd, const W: usize, V: Values<W>>(
    simd: S,
    columns: &[u8],
    values: &[u8],
    x: f32,
    sums: &mut [f32],
) {
    let mut values = values.as_chunks::<W>().0;
    for (bits, sums) in columns.as_chunks::<2>().0.iter().zip(sums.as_chunks_mut::<LANES>().0) {
        let bits = u16::from_le_bytes(*bits);
        let Some(rest) = values.get(bits.count_ones() as usize..) else { return };
        V::add_expanded(simd, x, bits, values, sums);
        values = rest;
    }
}

/// [`add_values`] with places among siblings of `C` bytes each.
#[inline(always)]
fn by_columns<S: Simd, const C: usize, const W: usize, V: Values<W>>(
    simd: S,
    columns: &[u8],
    values: &[u8],
    x: f32,
    sums: &mut [f32],
) {
    for (column, &value) in columns.as_chunks::<C>().0.iter().zip(values.as_chunks::<W>().0) {
        let column = column.iter().rev().fold(0usize, |number, &byte| number << 8 | usize::from(byte));
        if let Some(sum) = sums.get_mut(column) {
            *sum = simd.mul_add(x, V::decode(value), *sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_length_come_back() {
        for n in [0, 1, 127, 128, 300, 16_383, 16_384, 2_812_281] {
            let mut bytes = [0; 8];
            let len = put_leb128(n, &mut bytes);
            assert_eq!(len, leb128_len(n));
            assert_eq!(take_leb128(&bytes[..len]), (n, &[][..]));
        }
        assert_eq!(take_leb128(&[0x80]), (0, &[][..]));
    }

    #[test]
    fn the_shortest_form_is_chosen() {
        let widths = Widths::new(300, 100, WeightType::Bf16);
        assert_eq!((widths.id, widths.col), (2, 1));
        assert!(widths.lists_columns(14) && !widths.lists_columns(15));
        assert_eq!((widths.posting_len(14), widths.posting_len(100)), (42, 214));
        let namings = [16, 17, 36, 37].map(|n| widths.naming(n));
        assert_eq!(namings, [Naming::List, Naming::Buckets, Naming::Buckets, Naming::Bits]);
        assert_eq!([16, 17, 36, 37].map(|n| widths.clusters_len(n)), [32, 21, 40, 40]);
        // The number of all 256 siblings fits a byte, as it is stored less one.
        assert_eq!(Widths::new(1, 256, WeightType::F32).col, 1);
        assert_eq!(Widths::new(256, 4, WeightType::F32).naming(20), Naming::List);
        let large = Widths::new(5000, 4, WeightType::F32);
        assert_eq!([40, 41, 5000].map(|n| large.naming(n)), [Naming::List, Naming::Buckets, Naming::Buckets]);
    }

    #[test]
    fn foreign_bytes_do_no_harm() {
        let widths = Widths::new(300, 100, WeightType::Bf16);
        assert!(Record::parse(widths, &[0xff; 3]).is_none_or(|record| record.n == 0));
        assert!(
            Record::parse(widths, &[LONG, 200, 1, 0]).is_none() && Record::parse(widths, &[15; 3]).is_none()
        );
        // Two postings of many weights that are not there.
        let cut = Record::parse(widths, &[1 + 3 * 16, 0, 0, 1, 0, 3, 99, 99]).unwrap();
        assert!(cut.n == 2 && cut.for_each(|_, _, _| ()).is_none());
        struct Foreign(Widths);
        impl xmc_sparse::kernels::WithSimd for Foreign {
            type Output = [f32; 2];
            fn run<S: Simd>(self, simd: S) -> [f32; 2] {
                let mut sums = [0.0; 2];
                accumulate(simd, self.0, 2, &[9, 9, 9, 9, 0, 0], 1.0, &mut sums);
                accumulate(simd, self.0, 90, &[9; 40], 1.0, &mut sums);
                sums
            }
        }
        assert_eq!(xmc_sparse::kernels::dispatch(Foreign(widths)), [0.0; 2]);
    }
}
