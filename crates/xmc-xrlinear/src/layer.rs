//! The stored weights of one layer, and margins from them.

use crate::XrLinearError;
use crate::groups::FeatureGroups;
use crate::part::{Part, part_prefix};
use crate::record::{Record, Widths, accumulate};
use std::ops::Range;
use xmc_sparse::kernels::{LANES, Simd, WithSimd, dispatch, prefetch};
use xmc_sparse::{Row, Scored};
use xmc_store::{Container, ModelWriter};
use xmc_tree::TreeLayer;

/// The weights of one layer, as they lie in the container.
#[derive(Debug, Clone)]
pub struct LayerWeights {
    /// The clusters' weights, in their order.
    parts: Vec<Part>,
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
    /// Place in the beam and number within the part of the beam members that a part has.
    members: Vec<(u32, u32)>,
    /// Number of the record of each feature of the query.
    records: Vec<u32>,
    /// Where these lie in a part: start and length.
    found: Vec<(usize, usize)>,
    /// Postings of the query's features in the beam's clusters.
    hits: Vec<Hit>,
}

impl LayerScratch {
    /// Makes ready for another instance, on layers whose features are in `groups`.
    pub(crate) fn begin(&mut self, groups: &FeatureGroups, row: Row<'_>) {
        groups.find_records(row.sparse.indices, &mut self.records);
    }
}

/// A posting that belongs to a beam member.
#[derive(Debug, Clone, Copy)]
struct Hit {
    /// Where it lies in the part's records.
    start: usize,
    weights: u32,
    place: u32,
    x: f32,
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
        let (mut parts, mut first) = (Vec::new(), 0);
        if !Part::is_at(container, prefix, 0) {
            parts.push(Part::open(container, prefix, 0..n_clusters, layer, widths, n_stored)?);
            first = n_clusters;
        }
        while first < n_clusters {
            let at = (parts.len(), first);
            let part = Part::open_next(container, prefix, at, layer, widths, n_stored)?;
            first = part.clusters.end;
            parts.push(part);
        }
        Ok(Self { parts, groups: groups.clone(), n_dense })
    }

    /// Bytes of all sections.
    pub fn n_bytes(&self) -> usize {
        self.parts.iter().map(Part::n_bytes).sum()
    }

    /// Writes the layer as it is, as sections `<prefix>/…`.
    pub(crate) fn write(&self, writer: &ModelWriter, prefix: &str) -> Result<(), XrLinearError> {
        self.write_parts(writer, prefix, |part, prefix| part.write(writer, prefix))
    }

    /// Writes a layer with the same parts as sections `<prefix>/…`; `write` is given each part and where it goes.
    pub(crate) fn write_parts(
        &self,
        writer: &ModelWriter,
        prefix: &str,
        mut write: impl FnMut(&Part, &str) -> Result<(), XrLinearError>,
    ) -> Result<(), XrLinearError> {
        let is_all = self.parts.len() == 1;
        for (number, part) in self.parts.iter().enumerate() {
            let prefix = part_prefix(prefix, (!is_all).then_some(number));
            if !is_all {
                Part::write_clusters(writer, &prefix, part.clusters.clone())?;
            }
            write(part, &prefix)?;
        }
        Ok(())
    }

    /// The groups of features that the records are for.
    pub(crate) fn groups(&self) -> &FeatureGroups {
        &self.groups
    }

    /// The parts, one at least.
    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The part that has `cluster`; the last one for a cluster that none has.
    #[inline(always)]
    fn part_of(&self, cluster: u32) -> &Part {
        let before = self.parts.partition_point(|part| part.clusters.end <= cluster);
        &self.parts[before.min(self.parts.len() - 1)]
    }

    /// Intercepts of `slots`, those of `cluster`.
    #[inline(always)]
    pub(crate) fn bias(&self, cluster: u32, slots: Range<usize>) -> &[f32] {
        self.part_of(cluster).bias(slots)
    }

    /// Dense weights of `slots`, those of `cluster` or some of them.
    #[inline(always)]
    pub(crate) fn dense(&self, cluster: u32, slots: Range<usize>) -> &[f32] {
        self.part_of(cluster).dense(slots)
    }

    /// Stored weights, without intercepts and dense ones; counts them.
    pub fn n_weights(&self) -> u64 {
        self.parts.iter().map(Part::n_weights).sum()
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
        dispatch(ScoreLayer { weights: self, layer, row, beam, scratch, margins });
    }

    /// Adds the part of `feature`, of value `x`, in the margins of `cluster`'s children to `sums`, which has room for
    /// whole vectors of them. One feature of one cluster: a query as a whole goes through [`Self::score`].
    pub(crate) fn add_feature(&self, cluster: u32, feature: u32, x: f32, sums: &mut [f32]) {
        let (part, record) = (self.part_of(cluster), self.groups.record_of(feature));
        let found = part.local(cluster).and_then(|cluster| part.posting(cluster, record));
        let Some((weights, posting)) = found else { return };
        dispatch(AddPosting { widths: part.widths, weights, posting, x, sums });
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
        for part in &self.weights.parts {
            self.add_part(simd, part);
        }
        self.add_dense();
        for parent in self.beam {
            self.scratch.places[parent.id as usize] = 0;
        }
    }
}

impl ScoreLayer<'_> {
    /// Adds what the sparse features say in the beam's clusters of `part`.
    #[inline(always)]
    fn add_part<S: Simd>(&mut self, simd: S, part: &Part) {
        let LayerScratch { members, records, found, hits, .. } = &mut *self.scratch;
        members.clear();
        let places = self.beam.iter().zip(0u32..);
        members.extend(places.filter_map(|(parent, place)| Some((place, part.local(parent.id)?))));
        if members.is_empty() {
            return;
        }
        hits.clear();
        part.find_records(records, found);
        for at in 0..self.row.sparse.nnz() {
            self.find_postings(part, at);
        }
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
            self.margins.extend_from_slice(self.weights.bias(parent.id, slots));
        }
    }

    /// Notes the postings of feature number `at` of the query that lie in the beam, and asks for their bytes.
    #[inline(always)]
    fn find_postings(&mut self, part: &Part, at: usize) {
        let LayerScratch { members, found, hits, places, .. } = &mut *self.scratch;
        let (start, len) = found[at];
        let x = self.row.sparse.values[at];
        let Some(bytes) = part.records.get(start..start.wrapping_add(len)).filter(|_| len > 0) else {
            return;
        };
        let Some(record) = Record::parse(part.widths, bytes) else { return };
        let first = start + len - record.postings.len();
        let mut hit = |hit: Hit| {
            prefetch(&part.records, hit.start);
            prefetch(&part.records, hit.start + 64);
            hits.push(hit);
        };
        if !record.is_sequential() {
            for &(place, cluster) in &*members {
                if let Some(number) = record.find(cluster) {
                    let start = first + record.start(number);
                    hit(Hit { start, weights: record.n_weights(number) as u32, place, x });
                }
            }
            return;
        }
        record.each_posting(|number, weights, start| {
            // A damaged record may name any cluster.
            let cluster = part.clusters.start.wrapping_add(record.cluster(number));
            let place = places.get(cluster as usize).and_then(|place| place.checked_sub(1));
            if let Some(place) = place {
                hit(Hit { start: first + start, weights: weights as u32, place, x });
            }
        });
    }

    #[inline(always)]
    fn add_postings<S: Simd>(&mut self, simd: S, part: &Part) {
        let (widths, records) = (part.widths, &part.records[..]);
        // Whole vectors of siblings are added, zeros where a cluster has no more children.
        let n_margins = self.margins.len();
        self.margins.resize(n_margins + LANES, 0.0);
        for hit in &self.scratch.hits {
            let end = hit.start + widths.posting_len(hit.weights as usize);
            let sums = &mut self.margins[self.scratch.starts[hit.place as usize]..];
            if let Some(posting) = records.get(hit.start..end) {
                accumulate(simd, widths, hit.weights as usize, posting, hit.x, sums);
            }
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
            let matrix = weights.dense(parent.id, slots);
            let start = self.scratch.starts[place];
            for (sum, column) in self.margins[start..].iter_mut().zip(matrix.chunks_exact(n_dense)) {
                *sum += dot(self.row.dense, column);
            }
        }
    }
}

/// `Σ aᵢ bᵢ` in sixteen partial sums, which the compiler keeps in vector registers.
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
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
