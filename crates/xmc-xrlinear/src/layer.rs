//! The stored weights of one layer, and margins from them.

use crate::XrLinearError;
use crate::groups::FeatureGroups;
use crate::part::{FETCH, Part};
use crate::record::{GROUP, Naming, Record, WORDS, Widths, accumulate, group_at, posting_of_group};
use xmc_sparse::kernels::{Isa, LANES, Simd, WithSimd, dispatch, dispatch_on, prefetch};
use xmc_sparse::{Row, Scored};
use xmc_store::{Container, ModelWriter};
use xmc_tree::TreeLayer;

/// The weights of one layer, as they lie in the container.
#[derive(Debug, Clone)]
pub struct LayerWeights {
    part: Part,
    groups: FeatureGroups,
    n_dense: usize,
}

/// Buffers of one thread for [`LayerWeights`].
#[derive(Debug, Default)]
pub(crate) struct LayerScratch {
    /// For each cluster of the layer, its place in the beam plus one.
    places: Vec<u32>,
    /// Where each beam member's margins start.
    starts: Vec<usize>,
    /// Number of the record of each feature of the query.
    records: Vec<u32>,
    /// Where these lie: start and length.
    found: Vec<(usize, usize)>,
    /// Long records of the query's features.
    long: Vec<Long>,
    /// Postings of these in the beam's clusters.
    candidates: Vec<Candidate>,
    /// Postings of the query's features in the beam's clusters.
    hits: Vec<Hit>,
    isa: Option<Isa>,
}

impl LayerScratch {
    /// Buffers with which scores are made on one instruction set.
    pub(crate) fn on(isa: Isa) -> Self {
        Self { isa: Some(isa), ..Self::default() }
    }

    /// Makes ready for another instance, on layers whose features are in `groups`.
    pub(crate) fn begin(&mut self, groups: &FeatureGroups, row: Row<'_>) {
        groups.find_records(row.sparse.indices, &mut self.records);
    }
}

/// A record of which each posting can be found by its number.
#[derive(Debug, Clone, Copy, Default)]
struct Long {
    /// Where its groups begin in all records, and where its postings do.
    groups: usize,
    postings: usize,
    wide: bool,
    x: f32,
}

/// Posting `number` of a long record, that belongs to the beam member at `place` and becomes hit number `hit`.
#[derive(Debug, Clone, Copy, Default)]
struct Candidate {
    long: u32,
    number: u32,
    place: u32,
    hit: u32,
}

/// A posting that belongs to a beam member.
#[derive(Debug, Clone, Copy, Default)]
struct Hit {
    /// Where it lies in all records.
    start: usize,
    weights: u32,
    place: u32,
    x: f32,
}

impl Hit {
    /// Asks for the posting's bytes, the first of them at least.
    #[inline(always)]
    fn fetch(&self, part: &Part) {
        prefetch(&part.records, self.start);
        prefetch(&part.records, self.start + 64);
    }
}

impl LayerWeights {
    pub(crate) fn open(
        container: &Container,
        prefix: &str,
        layer: (usize, &TreeLayer),
        widths: Widths,
        (groups, n_dense): (&FeatureGroups, usize),
    ) -> Result<Self, XrLinearError> {
        let (n_clusters, n_stored) = (layer.1.n_parents() as u32, (groups.n_records(), n_dense));
        let part = Part::open(container, prefix, 0..n_clusters, layer, widths, n_stored)?;
        Ok(Self { part, groups: groups.clone(), n_dense })
    }

    /// Bytes of all sections.
    pub fn n_bytes(&self) -> usize {
        self.part.n_bytes()
    }

    /// Bytes of the records and their directory.
    pub(crate) fn n_record_bytes(&self) -> usize {
        self.part.n_record_bytes()
    }

    /// Writes the layer as it is, as sections `<prefix>/…`.
    pub(crate) fn write(&self, writer: &ModelWriter, prefix: &str) -> Result<(), XrLinearError> {
        self.part.write(writer, prefix)
    }

    /// The groups of features that the records are for.
    pub(crate) fn groups(&self) -> &FeatureGroups {
        &self.groups
    }

    /// The records, the intercepts and the dense weights.
    #[inline(always)]
    pub(crate) fn part(&self) -> &Part {
        &self.part
    }

    /// Stored weights, without intercepts and dense ones; counts them.
    pub fn n_weights(&self) -> u64 {
        self.part.n_weights()
    }

    /// Appends the margins of all children of `beam`'s clusters for one instance, the one that `scratch` was last made ready for.
    pub(crate) fn score(
        &self,
        layer: &TreeLayer,
        row: Row<'_>,
        beam: &[Scored],
        scratch: &mut LayerScratch,
        margins: &mut Vec<f32>,
    ) {
        let isa = scratch.isa;
        let work = ScoreLayer { weights: self, layer, row, beam, scratch, margins };
        match isa {
            None => dispatch(work),
            Some(isa) => dispatch_on(isa, work),
        }
    }

    /// Adds the part of `feature`, of value `x`, in the margins of `cluster`'s children to `sums`, which has room for
    /// whole vectors of them. One feature of one cluster: a query as a whole goes through [`Self::score`].
    pub(crate) fn add_feature(&self, cluster: u32, feature: u32, x: f32, sums: &mut [f32]) {
        let found = self.part.posting(cluster, self.groups.record_of(feature));
        let Some((weights, posting)) = found else { return };
        dispatch(AddPosting { widths: self.part.widths, weights, posting, x, sums });
    }
}

/// One feature in one cluster.
struct AddPosting<'a> {
    widths: Widths,
    weights: usize,
    posting: &'a [u8],
    x: f32,
    sums: &'a mut [f32],
}

impl WithSimd for AddPosting<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        accumulate(simd, self.widths, self.weights, self.posting, self.x, self.sums);
    }
}

/// One query on one layer.
struct ScoreLayer<'a> {
    weights: &'a LayerWeights,
    layer: &'a TreeLayer,
    row: Row<'a>,
    beam: &'a [Scored],
    scratch: &'a mut LayerScratch,
    margins: &'a mut Vec<f32>,
}

impl WithSimd for ScoreLayer<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        self.start_with_bias();
        self.add_sparse(simd);
        self.add_dense();
        for parent in self.beam {
            self.scratch.places[parent.id as usize] = 0;
        }
    }
}

impl ScoreLayer<'_> {
    /// Adds what the sparse features say in the beam's clusters.
    #[inline(always)]
    fn add_sparse<S: Simd>(&mut self, simd: S) {
        let part = &self.weights.part;
        let LayerScratch { records, found, .. } = &mut *self.scratch;
        part.find_records(records, found);
        self.find_postings(part);
        self.place_postings(part);
        self.add_postings(simd, part);
    }

    /// Margins begin as intercepts; notes where each beam member's lie.
    #[inline(always)]
    fn start_with_bias(&mut self) {
        let LayerScratch { places, starts, .. } = &mut *self.scratch;
        if places.len() < self.layer.n_parents() {
            places.resize(self.layer.n_parents(), 0);
        }
        starts.clear();
        for (place, parent) in self.beam.iter().enumerate() {
            places[parent.id as usize] = place as u32 + 1;
            starts.push(self.margins.len());
            let slots = self.layer.slots(parent.id as usize);
            // A negative zero becomes a positive one: zeros that are added later on would make it one or not, depending on what stands beside it.
            self.margins.extend(self.weights.part.bias(slots).iter().map(|bias| bias + 0.0));
        }
    }

    /// Notes the postings of the query's features that lie in the beam: whole hits of short records, candidates of long ones. What is found is
    /// not foreseeable, so all is written down, and counted if it is there: a processor that has guessed wrong loses more time.
    #[inline(always)]
    fn find_postings(&mut self, part: &Part) {
        let LayerScratch { found, long, candidates, hits, places, .. } = &mut *self.scratch;
        long.clear();
        let (mut n_candidates, mut n_hits) = (0, 0);
        for (&(start, len), &x) in found.iter().zip(self.row.sparse.values) {
            let bytes = part.records.get(start..start.wrapping_add(len)).filter(|_| len > 0);
            let Some(record) = bytes.and_then(|bytes| Record::parse(part.widths, bytes)) else { continue };
            let postings = start + len - record.postings.len();
            if record.is_sequential() {
                grow(hits, n_hits + record.n);
                let hits = &mut hits[n_hits..];
                let n_found = hits_of_short(&record, postings, x, places, hits);
                if len > FETCH {
                    hits[..n_found].iter().for_each(|hit| hit.fetch(part));
                }
                n_hits += n_found;
                continue;
            }
            let groups = postings - record.groups_len();
            grow(candidates, n_candidates + self.beam.len());
            let out = &mut candidates[n_candidates..];
            let first = Candidate { long: long.len() as u32, hit: n_hits as u32, ..Candidate::default() };
            let n_found = candidates_of_long(&record, first, groups, part, self.beam, out);
            long.push(Long { groups, postings, wide: record.wide, x });
            n_candidates += n_found;
            // Their places among the hits are kept: sums are taken in the order of the features.
            n_hits += n_found;
        }
        // There may be places for candidates that are not there yet, and more than are needed.
        hits.resize(n_hits, Hit::default());
        candidates.truncate(n_candidates);
    }

    /// Candidates become hits: where their postings begin, and how long they are.
    #[inline(always)]
    fn place_postings(&mut self, part: &Part) {
        let LayerScratch { long, candidates, hits, .. } = &mut *self.scratch;
        for candidate in &*candidates {
            let Long { groups, postings, wide, x } = long[candidate.long as usize];
            let groups = part.records.get(groups..).unwrap_or_default();
            let (start, weights) = posting_of_group(part.widths, wide, groups, candidate.number as usize);
            let hit = Hit { start: postings + start, weights: weights as u32, place: candidate.place, x };
            hit.fetch(part);
            hits[candidate.hit as usize] = hit;
        }
    }

    #[inline(always)]
    fn add_postings<S: Simd>(&mut self, simd: S, part: &Part) {
        let (widths, records) = (part.widths, &part.records[..]);
        // Whole vectors of siblings are added, zeros where a cluster has no more children.
        let n_margins = self.margins.len();
        self.margins.resize(n_margins + LANES, 0.0);
        for hit in &self.scratch.hits {
            let sums = &mut self.margins[self.scratch.starts[hit.place as usize]..];
            let posting = records.get(hit.start..).unwrap_or_default();
            accumulate(simd, widths, hit.weights as usize, posting, hit.x, sums);
        }
        self.margins.truncate(n_margins);
    }

    #[inline(always)]
    fn add_dense(&mut self) {
        let (weights, n_dense) = (self.weights, self.weights.n_dense);
        if n_dense == 0 {
            return;
        }
        for (place, parent) in self.beam.iter().enumerate() {
            let slots = self.layer.slots(parent.id as usize);
            let matrix = weights.part.dense(slots);
            let start = self.scratch.starts[place];
            for (sum, column) in self.margins[start..].iter_mut().zip(matrix.chunks_exact(n_dense)) {
                *sum += dot(self.row.dense, column);
            }
        }
    }
}

/// Writes the postings of a short record that lie in the beam to the front of `hits`, which has room for all of them; how many there are.
/// The postings begin at `postings` of all records.
#[inline(always)]
fn hits_of_short(record: &Record<'_>, postings: usize, x: f32, places: &[u32], hits: &mut [Hit]) -> usize {
    let mut n_hits = 0;
    record.each_posting(|number, weights, start| {
        // A damaged record may name any cluster.
        let place = places.get(record.cluster(number) as usize).copied().unwrap_or(0);
        hits[n_hits] =
            Hit { start: postings + start, weights: weights as u32, place: place.wrapping_sub(1), x };
        n_hits += usize::from(place > 0);
    });
    n_hits
}

/// Writes the postings of a long record that lie in the beam to the front of `out`, which has room for all of its members; how many there
/// are. `first` says what the first one has, but for the posting. Asks for the groups, which begin at `groups` of all records.
#[inline(always)]
fn candidates_of_long(
    record: &Record<'_>,
    first: Candidate,
    groups: usize,
    part: &Part,
    beam: &[Scored],
    out: &mut [Candidate],
) -> usize {
    let mut n_found = 0;
    let mut note = |(number, is_there): (usize, bool), place| {
        let hit = first.hit + n_found as u32;
        out[n_found] = Candidate { number: number as u32, place, hit, ..first };
        prefetch(&part.records, groups + group_at(part.widths.col, record.wide, number / GROUP));
        n_found += usize::from(is_there);
    };
    let members = beam.iter().zip(0..);
    match record.naming() {
        Naming::List => members.for_each(|(member, place)| note(record.search(member.id), place)),
        Naming::Buckets => members.for_each(|(member, place)| note(record.search_bucket(member.id), place)),
        Naming::Bits => {
            let mut ranks = [0; WORDS];
            record.rank_words(&mut ranks);
            members.for_each(|(member, place)| note(record.rank(&ranks, member.id), place));
        }
    }
    n_found
}

/// Makes room for `len`.
#[inline(always)]
pub(crate) fn grow<T: Copy + Default>(all: &mut Vec<T>, len: usize) {
    if all.len() < len {
        all.resize(len, T::default());
    }
}

/// `Σ aᵢ bᵢ` in sixteen partial sums, which the compiler keeps in vector registers.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 16];
    let (a_blocks, a_rest) = a.as_chunks::<16>();
    let (b_blocks, b_rest) = b.as_chunks::<16>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..16 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}
