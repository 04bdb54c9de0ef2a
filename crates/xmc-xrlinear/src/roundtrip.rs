//! What was trained is what is read: chunks laid out as records and scored, against a plain map.
//!
//! The layout has several forms: one cluster or many, narrow and wide numbers, columns and clusters as lists or as
//! bits, clusters in buckets, records that are read along and records that are searched. Random layers go through all of them, written
//! at once and put together from parts.

use crate::assemble::write_part;
use crate::chunk::Chunk;
use crate::groups::FeatureGroups;
use crate::layer::{LayerScratch, LayerWeights};
use crate::merge::write_merged;
use crate::part::{Part, part_prefix};
use crate::record::{GROUP, Unpacked, Widths};
use crate::{WeightType, XrLinearError};
use proptest::prelude::*;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::collections::{BTreeMap, BTreeSet};
use xmc_linear::{CompactRows, Compactor, GroupWeights, LANES};
use xmc_sparse::kernels::Isa;
use xmc_sparse::{Csr, Features, NoProgress, Row, Scored, SparseRow};
use xmc_store::ModelWriter;
use xmc_tree::TreeLayer;

/// Weights by cluster and feature: pairs of a child's place and its weight.
type Plain = BTreeMap<(usize, u32), Vec<(usize, f32)>>;

/// A random layer, plain.
struct Sample {
    layer: TreeLayer,
    weights: Plain,
    bias: Vec<f32>,
    n_features: usize,
    widths: Widths,
}

impl Sample {
    /// `n_clusters` clusters of up to `max_siblings` children.
    fn random(
        n_clusters: usize,
        max_siblings: usize,
        n_features: usize,
        kind: WeightType,
        seed: u64,
    ) -> Self {
        let rng = &mut Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut next = 0u32;
        let lists: Vec<Vec<u32>> = (0..n_clusters)
            .map(|cluster| {
                // The first cluster is the largest, so that the widths are those asked for.
                let size = if cluster == 0 { max_siblings } else { rng.gen_range(1..=max_siblings) };
                next += size as u32;
                (next - size as u32..next).collect()
            })
            .collect();
        let layer = TreeLayer::from_lists(lists, next as usize).unwrap();
        let mut weights = Plain::new();
        for feature in 0..n_features as u32 {
            // Every fifth feature is in all clusters, the others in few or many; with few or all children.
            let everywhere = feature.is_multiple_of(5);
            let (spread, fill) = (rng.gen_range(0.0..1.0f64).powi(2), rng.gen_range(0.0..1.0));
            // Every third one in none of the first clusters, and of the last ones.
            let (first, end) = match feature % 3 {
                1 => (rng.gen_range(0..n_clusters), rng.gen_range(0..=n_clusters)),
                _ => (0, n_clusters),
            };
            for cluster in first..end {
                if !(everywhere || rng.gen_bool(spread)) {
                    continue;
                }
                let places: Vec<usize> =
                    (0..layer.slots(cluster).len()).filter(|_| rng.gen_bool(fill)).collect();
                let weight = |place| (place, rng.gen_range(-2.0..2.0));
                let entries: Vec<(usize, f32)> = places.into_iter().map(weight).collect();
                if !entries.is_empty() {
                    weights.insert((cluster, feature), entries);
                }
            }
        }
        let bias = (0..layer.n_slots()).map(|_| rng.gen_range(-1.0..1.0)).collect();
        let widths = Widths::new(n_clusters, max_siblings, kind);
        Self { layer, weights, bias, n_features, widths }
    }

    /// The chunk that training would have made of one cluster.
    fn chunk(&self, cluster: usize, rng: &mut impl Rng) -> Chunk {
        let of_cluster = self.weights.range((cluster, 0)..(cluster + 1, 0));
        let mut features: Vec<u32> = of_cluster.clone().map(|((_, feature), _)| *feature).collect();
        features.shuffle(rng);
        let rows = compact(self.n_features, &features);
        let slots = self.layer.slots(cluster);
        let mut groups: Vec<GroupWeights> = self.bias[slots]
            .chunks(LANES)
            .map(|bias| GroupWeights { bias: bias.to_vec(), ..GroupWeights::default() })
            .collect();
        for number in 0..features.len() as u32 {
            let entries = &self.weights[&(cluster, rows.original_feature(number))];
            for entries in entries.chunk_by(|a, b| a.0 / LANES == b.0 / LANES) {
                let group = &mut groups[entries[0].0 / LANES];
                group.features.push(number);
                group.lanes.push(entries.iter().fold(0, |mask, (place, _)| mask | 1 << (place % LANES)));
                group.values.extend(entries.iter().map(|(_, value)| value));
            }
        }
        Chunk::new(self.widths, &rows.into_original_features(), groups)
    }

    /// The layer, written in parts that begin at the clusters `firsts` if there are several.
    fn store(&self, firsts: &[u32], rng: &mut impl Rng) -> Result<LayerWeights, XrLinearError> {
        let n_clusters = self.layer.n_parents();
        let chunks: Vec<Chunk> = (0..n_clusters).map(|cluster| self.chunk(cluster, rng)).collect();
        let writer = ModelWriter::in_memory();
        let write = |prefix: &str, chunks: &[Chunk]| {
            write_part(&writer, prefix, self.widths.of_part(chunks.len()), self.n_features, chunks)
        };
        if let [_] = firsts {
            write("layer", &chunks)?;
        } else {
            let (mut parts, layer) = (Vec::new(), (0, &self.layer));
            for (at, &first) in firsts.iter().enumerate() {
                let end = firsts.get(at + 1).map_or(n_clusters, |&end| end as usize);
                let prefix = part_prefix("layer", Some(at));
                Part::write_clusters(&writer, &prefix, first..end as u32)?;
                write(&prefix, &chunks[first as usize..end])?;
                let stored = (self.n_features, 0);
                let (container, at) = (writer.preview(&())?, (at, first));
                parts.push(Part::open_next(&container, "layer", at, layer, self.widths, stored)?);
            }
            write_merged((&writer, "layer"), 0, self.widths, &parts, &NoProgress)?;
        }
        let container = writer.commit(&())?;
        let groups = FeatureGroups::none(self.n_features);
        LayerWeights::open(&container, "layer", (0, &self.layer), self.widths, (&groups, 0))
    }

    /// The margins of the children of `beam`, summed feature by feature.
    fn margins(&self, row: SparseRow<'_>, beam: &[Scored]) -> Vec<f32> {
        let mut margins = Vec::new();
        for parent in beam {
            let cluster = parent.id as usize;
            let mut sums = self.bias[self.layer.slots(cluster)].to_vec();
            for (feature, x) in row.iter() {
                let entries = self.weights.get(&(cluster, feature)).map_or(&[][..], Vec::as_slice);
                for (place, weight) in stored(self.widths.value, entries) {
                    sums[place] += x * weight;
                }
            }
            margins.extend(sums);
        }
        margins
    }
}

/// Values as they are after they have been stored.
fn stored(kind: WeightType, entries: &[(usize, f32)]) -> Vec<(usize, f32)> {
    let values: Vec<f32> = entries.iter().map(|entry| entry.1).collect();
    let (mut bytes, mut back) = (vec![0; kind.len(values.len())], Vec::new());
    kind.put(&values, &mut bytes);
    kind.take(&bytes, &mut back);
    entries.iter().zip(back).map(|(entry, value)| (entry.0, value)).collect()
}

/// Rows that number `features` in a random order: an instance for each feature, twice.
fn compact(n_features: usize, features: &[u32]) -> CompactRows {
    let rows = features.iter().chain(features).map(|&feature| [(feature, 1.0)]);
    let x = Features::from_sparse(Csr::from_rows(n_features, rows).unwrap());
    let all: Vec<u32> = (0..2 * features.len() as u32).collect();
    Compactor::new(n_features).compact(&x, &all, None, 1.0)
}

/// Scores random instances with beams of every width, on every instruction set.
fn assert_read_back(sample: &Sample, seed: u64) {
    let rng = &mut Xoshiro256PlusPlus::seed_from_u64(seed);
    let n_clusters = sample.layer.n_parents();
    let more: BTreeSet<u32> = (0..rng.gen_range(0..4)).map(|_| rng.gen_range(0..n_clusters as u32)).collect();
    let firsts: Vec<u32> = more.into_iter().chain([0]).collect::<BTreeSet<_>>().into_iter().collect();
    let stored = sample.store(&firsts, rng).unwrap();
    assert_eq!(stored.n_weights(), sample.weights.values().map(|entries| entries.len() as u64).sum::<u64>());
    assert_taken_apart(sample, &stored, rng);
    let mut scratches: Vec<LayerScratch> = Isa::available().into_iter().map(LayerScratch::on).collect();
    for width in [1, 2, 10, n_clusters / 3, n_clusters] {
        let mut beam: Vec<Scored> = (0..n_clusters as u32).map(|id| Scored { id, score: 0.0 }).collect();
        beam.shuffle(rng);
        beam.truncate(width.max(1));
        // Two features beyond the last one, too.
        let indices: Vec<u32> = (0..sample.n_features as u32 + 2).filter(|_| rng.gen_bool(0.7)).collect();
        let values: Vec<f32> = indices.iter().map(|_| rng.gen_range(-1.0..1.0)).collect();
        let sparse = SparseRow { indices: &indices, values: &values };
        let row = Row { sparse, dense: &[] };
        let expected = sample.margins(sparse, &beam);
        for scratch in &mut scratches {
            let mut margins = Vec::new();
            scratch.begin(stored.groups(), row);
            stored.score(&sample.layer, row, &beam, scratch, &mut margins);
            assert_same(&margins, &expected);
        }
    }
}

/// Takes the heads of all records apart, a range of clusters at a time: the postings of each range are there, where they say.
fn assert_taken_apart(sample: &Sample, stored: &LayerWeights, rng: &mut impl Rng) {
    let n_clusters = sample.layer.n_parents() as u32;
    let (mut all, mut some) = (Unpacked::default(), Unpacked::default());
    for number in 0..sample.n_features as u32 {
        let Some(record) = stored.part().record(number) else { continue };
        record.unpack(&mut all);
        let first = rng.gen_range(0..n_clusters);
        let clusters = first..rng.gen_range(first..n_clusters) + 1;
        let postings = |from: &Unpacked, mut start: usize| -> Vec<(u32, u32, usize)> {
            let heads = from.clusters.iter().zip(&from.counts).map(|(&cluster, &count)| {
                let this = (cluster, count, start);
                start += sample.widths.posting_len(count as usize + 1);
                this
            });
            heads.filter(|(cluster, ..)| clusters.contains(cluster)).collect()
        };
        let start = record.unpack_some(&clusters, &mut some);
        assert_eq!(postings(&some, start), postings(&all, 0), "{clusters:?}");
        let few = clusters.len() + 2 * GROUP;
        assert!(record.is_sequential() || some.clusters.len() <= few, "{clusters:?}");
    }
}

/// Sums of the same products: only the rounding of fused operations may differ.
fn assert_same(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() < 1e-4, "margin {at}: {found} {expected}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_was_trained_is_what_is_read(
        n_clusters in prop_oneof![Just(1usize), 2usize..20, 60usize..140, 250usize..300, 600usize..1500],
        max_siblings in prop_oneof![1usize..40, 250usize..300],
        n_features in 1usize..50,
        kind in prop_oneof![Just(WeightType::F32), Just(WeightType::Bf16), Just(WeightType::Int8)],
        seed in any::<u64>(),
    ) {
        // Many clusters or many siblings, so that a case stays small.
        let max_siblings = match n_clusters {
            0..=20 => max_siblings,
            21..=300 => max_siblings.min(12),
            _ => max_siblings.min(3),
        };
        assert_read_back(&Sample::random(n_clusters, max_siblings, n_features, kind, seed), seed);
    }
}

#[test]
fn numbers_of_four_bytes_are_read_back() {
    // More than 65,536 clusters, and more than 65,536 siblings.
    assert_read_back(&Sample::random(66_000, 2, 3, WeightType::Bf16, 1), 2);
    assert_read_back(&Sample::random(1, 66_000, 3, WeightType::Bf16, 3), 4);
}

#[test]
fn records_longer_than_a_length_can_say_are_read_back() {
    // 300 clusters of 200 weights on average: the records of frequent features take more than 64 KiB.
    let sample = Sample::random(300, 400, 20, WeightType::F32, 5);
    let longest = (0..20u32).map(|feature| {
        let postings = sample.weights.iter().filter(|((_, of), _)| *of == feature);
        postings.map(|(_, entries)| 4 * entries.len()).sum::<usize>()
    });
    assert!(longest.max().unwrap() > usize::from(u16::MAX));
    assert_read_back(&sample, 6);
}

#[test]
fn the_record_that_the_format_page_shows_is_what_is_written() {
    let lists = (0..300u32).map(|parent| parent * 100..(parent + 1) * 100);
    let layer = TreeLayer::from_lists(lists, 30_000).unwrap();
    let mut weights = Plain::new();
    weights.insert((5, 7), vec![(2, 1.0)]);
    weights.insert((258, 7), vec![(0, -0.5), (9, 0.25)]);
    let widths = Widths::new(300, 100, WeightType::Bf16);
    let sample = Sample { layer, weights, bias: vec![0.0; 30_000], n_features: 8, widths };
    let rng = &mut Xoshiro256PlusPlus::seed_from_u64(0);
    let chunks: Vec<Chunk> = (0..300).map(|cluster| sample.chunk(cluster, rng)).collect();
    let writer = ModelWriter::in_memory();
    write_part(&writer, "layer", sample.widths, 8, &chunks).unwrap();
    let container = writer.commit(&()).unwrap();
    let lengths = [0, 0, 0, 0, 0, 0, 0, 15];
    let page = [1, 5, 0, 2, 1, 1, 2, 0x80, 0x3f, 0, 9, 0x00, 0xbf, 0x80, 0x3e];
    assert_eq!(container.array::<u8>("layer/records").unwrap()[..], [&lengths[..], &page[..]].concat());
    assert_eq!(&container.array::<u64>("layer/blocks").unwrap()[..], [1 << 62]);
}
