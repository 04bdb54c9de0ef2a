//! One record, from its number alone.

use super::{BRANCHING, SMALLEST, Shaped};
use rand::Rng;
use rand::SeedableRng;
use rand_distr::{Distribution, LogNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use xmc_sparse::LabelId;

/// Features of a label of its own.
const LABEL_FEATURES: u64 = 8;
/// Features of a topic of its own.
const TOPIC_FEATURES: u64 = 40;
/// Share of a record's meaningful features that are of labels; the others are of topics.
const OF_LABELS: f64 = 0.6;
/// Share of a record's meaningful features that are of the label that it is about, beside what it has as one of the labels.
const OF_CENTER: f64 = 0.1;
/// How likely it is that a stretch is left for the next larger one.
const WIDER: f64 = 0.35;
/// How much the features of a record stray from the mean: the standard deviation of their logarithm.
const SPREAD_OF_FEATURES: f64 = 0.5;
/// The same for labels.
const SPREAD_OF_LABELS: f64 = 0.7;

/// Which part of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// Training records.
    Train,
    /// Test records, of the same kind.
    Test,
}

/// A record, and the memory that the next one is made in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ShapedRecord {
    /// Features with their values, by number; of length 1.
    pub features: Vec<(u32, f32)>,
    /// Labels, by number.
    pub labels: Vec<LabelId>,
    /// Places of the labels in the row, the one that the record is about first.
    places: Vec<u32>,
    ranks: Vec<u32>,
}

impl Shaped {
    /// Makes record `number` of a split, which depends on nothing but the parameters and these two.
    pub fn record(&self, split: Split, number: u64, record: &mut ShapedRecord) {
        let seed = hash([self.params.seed, 3 + split as u64, number, 0]);
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        self.draw_labels(&mut rng, &mut record.places);
        self.draw_features(&mut rng, &record.places, &mut record.ranks);
        record.labels.clear();
        record.labels.extend(record.places.iter().map(|&place| self.label_ids.apply(place)));
        record.labels.sort_unstable();
        self.weigh(&record.ranks, &mut record.features);
    }

    fn draw_labels(&self, rng: &mut Xoshiro256PlusPlus, places: &mut Vec<u32>) {
        let n_labels = self.wanted.len() as u64;
        let n = around(self.params.labels_per_record, SPREAD_OF_LABELS, self.params.n_labels / 4, rng);
        places.clear();
        let center = self.place_in(0..n_labels, rng);
        places.push(center);
        let mut n_drawn = 0;
        while places.len() < n {
            n_drawn += 1;
            let place = if rng.gen_bool(self.params.label_noise) {
                self.place_in(0..n_labels, rng)
            } else {
                // What is near is taken soon: the more was drawn, the further it goes.
                let mut size = SMALLEST;
                while size < n_labels && (rng.gen_bool(WIDER) || size < n_drawn / 2) {
                    size *= BRANCHING;
                }
                let start = u64::from(center) / size * size;
                self.place_in(start..n_labels.min(start + size), rng)
            };
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }

    /// A place among those of a stretch, by how much they are wanted.
    fn place_in(&self, stretch: std::ops::Range<u64>, rng: &mut Xoshiro256PlusPlus) -> u32 {
        let (start, end) = (stretch.start as usize, stretch.end as usize);
        let before = if start == 0 { 0.0 } else { self.wanted[start - 1] };
        let target = before + rng.r#gen::<f64>() * (self.wanted[end - 1] - before);
        let within = self.wanted[start..end].partition_point(|&sum| sum <= target);
        (start + within).min(end - 1) as u32
    }

    fn draw_features(&self, rng: &mut Xoshiro256PlusPlus, places: &[u32], ranks: &mut Vec<u32>) {
        let n = around(self.params.features_per_record, SPREAD_OF_FEATURES, self.params.n_features / 4, rng);
        ranks.clear();
        // A short row of labels has few features of its own; then the language gives the rest.
        let mut n_drawn = 0;
        while ranks.len() < n {
            n_drawn += 1;
            let rank = if n_drawn > 4 * n || rng.gen_bool(self.params.feature_noise) {
                self.features.at(rng.r#gen())
            } else {
                self.meaningful(places, rng)
            };
            if !ranks.contains(&rank) {
                ranks.push(rank);
            }
        }
    }

    /// A feature of one of the labels, or of a topic around it.
    fn meaningful(&self, places: &[u32], rng: &mut Xoshiro256PlusPlus) -> u32 {
        let at = if rng.gen_bool(OF_CENTER) { 0 } else { rng.gen_range(0..places.len() as u32) as usize };
        let place = u64::from(places[at]);
        if rng.gen_bool(OF_LABELS) {
            return self.feature_of(0, place, rng.gen_range(0..LABEL_FEATURES));
        }
        let (mut size, mut depth) = (SMALLEST, 1);
        while size < self.wanted.len() as u64 && rng.gen_bool(WIDER) {
            (size, depth) = (size * BRANCHING, depth + 1);
        }
        self.feature_of(depth, place / size, rng.gen_range(0..TOPIC_FEATURES))
    }

    /// Feature `at` of a topic (or, at depth 0, of a label).
    fn feature_of(&self, depth: u64, topic: u64, at: u64) -> u32 {
        let random = hash([self.params.seed, 16 + depth, topic, at]);
        self.features.at((random >> 11) as f64 / (1u64 << 53) as f64)
    }

    /// Values that rise with rarity, scaled to length 1.
    fn weigh(&self, ranks: &[u32], features: &mut Vec<(u32, f32)>) {
        let value = |rank: u32| 1.0 + (1.0 + f64::from(rank)).ln();
        let norm = ranks.iter().map(|&rank| value(rank).powi(2)).sum::<f64>().sqrt();
        features.clear();
        features
            .extend(ranks.iter().map(|&rank| (self.feature_ids.apply(rank), (value(rank) / norm) as f32)));
        features.sort_unstable_by_key(|&(feature, _)| feature);
    }
}

/// A number around `mean`, log-normal, from 1 to `most` and to eight times the mean.
fn around(mean: f64, spread: f64, most: u32, rng: &mut Xoshiro256PlusPlus) -> usize {
    // The mean of a log-normal is half its variance above its median.
    let law = LogNormal::new(mean.ln() - spread * spread / 2.0, spread);
    let drawn: f64 = law.expect("invariant: spreads are constants").sample(rng);
    // Rounded to either side, so that the mean stays.
    let whole = drawn.floor() + f64::from(u8::from(rng.r#gen::<f64>() < drawn.fract()));
    whole.clamp(1.0, f64::from(most.max(1)).min(8.0 * mean)) as usize
}

/// Four numbers as one that looks random.
pub(super) fn hash(numbers: [u64; 4]) -> u64 {
    let mut bytes = [0; 32];
    for (to, from) in bytes.chunks_exact_mut(8).zip(numbers) {
        to.copy_from_slice(&from.to_le_bytes());
    }
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

#[cfg(test)]
mod tests {
    use super::super::{Shape, ShapedParams};
    use super::*;

    fn records(shaped: &Shaped, n: u64) -> Vec<ShapedRecord> {
        let mut record = ShapedRecord::default();
        let make = |number| {
            shaped.record(Split::Train, number, &mut record);
            record.clone()
        };
        (0..n).map(make).collect()
    }

    #[test]
    fn a_record_depends_on_its_number_alone() {
        let shaped = ShapedParams::new(Shape::Eurlex4k).check().unwrap();
        let all = records(&shaped, 20);
        let mut again = ShapedRecord::default();
        for number in [19, 0, 7] {
            shaped.record(Split::Train, number, &mut again);
            assert_eq!(again, all[number as usize]);
        }
        shaped.record(Split::Test, 0, &mut again);
        assert_ne!(again, all[0]);
        let other = ShapedParams::new(Shape::Eurlex4k).seed(1).check().unwrap();
        assert_ne!(records(&other, 1), all[..1]);
    }

    #[test]
    fn means_are_those_of_the_shape() {
        for shape in Shape::ALL {
            let params = ShapedParams::new(shape).scaled(0.05);
            let shaped = params.check().unwrap();
            let (n, params) = (4000, shaped.params());
            let all = records(&shaped, n);
            let mean =
                |count: fn(&ShapedRecord) -> usize| all.iter().map(count).sum::<usize>() as f64 / n as f64;
            let (features, labels) =
                (mean(|record| record.features.len()), mean(|record| record.labels.len()));
            assert!((features / params.features_per_record - 1.0).abs() < 0.05, "{shape:?}: {features}");
            assert!((labels / params.labels_per_record - 1.0).abs() < 0.06, "{shape:?}: {labels}");
            for record in &all {
                assert!(record.features.is_sorted_by(|a, b| a.0 < b.0));
                assert!(record.labels.is_sorted_by(|a, b| a < b));
                let norm: f32 = record.features.iter().map(|(_, value)| value * value).sum();
                assert!((norm - 1.0).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn few_labels_are_wanted_much_and_most_hardly() {
        let shaped = ShapedParams::new(Shape::Amazon670k).scaled(0.01).check().unwrap();
        let mut counts = vec![0u32; shaped.params().n_labels as usize];
        let all = records(&shaped, 20_000);
        all.iter().flat_map(|record| &record.labels).for_each(|&label| counts[label as usize] += 1);
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let total: u32 = counts.iter().sum();
        let head: u32 = counts[..counts.len() / 10].iter().sum();
        assert!(head > total / 3, "{head} of {total}");
        assert!(counts[counts.len() / 2] < total / counts.len() as u32);
    }

    #[test]
    fn records_of_one_label_have_features_in_common() {
        let shaped = ShapedParams::new(Shape::Amazon670k).scaled(0.01).check().unwrap();
        let all = records(&shaped, 3000);
        let shared = |a: &ShapedRecord, b: &ShapedRecord| {
            a.features.iter().filter(|(id, _)| b.features.iter().any(|(other, _)| other == id)).count()
        };
        let (mut with, mut without) = ((0, 0), (0, 0));
        for pair in all.chunks_exact(2) {
            without = (without.0 + shared(&pair[0], &pair[1]), without.1 + 1);
        }
        for (at, one) in all.iter().enumerate() {
            if let Some(other) = all[at + 1..].iter().find(|other| other.places[0] == one.places[0]) {
                with = (with.0 + shared(one, other), with.1 + 1);
            }
        }
        assert!(with.1 > 50, "{with:?}");
        let mean = |(sum, n): (usize, usize)| sum as f64 / n as f64;
        assert!(mean(with) > 1.5 * mean(without), "{with:?} {without:?}");
    }
}
