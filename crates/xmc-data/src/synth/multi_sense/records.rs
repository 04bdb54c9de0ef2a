//! One record after the other.

use super::MultiSense;
use rand::Rng;
use rand::distributions::Distribution;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;
use xmc_sparse::LabelId;

/// A text with its labels and what they mean in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultiSenseRecord {
    /// Words such as `w0123` with single spaces between them.
    pub text: String,
    /// Its labels, distinct, in no order.
    pub labels: Vec<LabelId>,
    /// The sense of each label.
    pub senses: Vec<u32>,
}

/// Makes the records of one part of the data, in memory that does not grow.
#[derive(Debug, Clone)]
pub struct MultiSenseRecords<'a> {
    world: &'a MultiSense,
    rng: Xoshiro256PlusPlus,
    left: u64,
    words: Vec<u32>,
}

impl<'a> MultiSenseRecords<'a> {
    pub(super) fn new(world: &'a MultiSense, rng: Xoshiro256PlusPlus, left: u64) -> Self {
        Self { world, rng, left, words: Vec::new() }
    }

    /// Draws senses of distinct labels.
    fn draw_senses(&mut self) -> (Vec<LabelId>, Vec<u32>) {
        let params = &self.world.params;
        let n = self.rng.gen_range(params.min_labels..=params.max_labels) as usize;
        let (mut labels, mut senses) = (Vec::with_capacity(n), Vec::<u32>::with_capacity(n));
        while senses.len() < n {
            let sense = match senses.first() {
                Some(&first) if !self.rng.gen_bool(params.cross_topic) => self.draw_of_topic(first),
                _ => self.world.frequency.sample(&mut self.rng) as u32,
            };
            // Drawn again when it is there already, in this sense or in the other one.
            let label = self.world.label_of(sense);
            if !labels.contains(&label) {
                labels.push(label);
                senses.push(sense);
            }
        }
        (labels, senses)
    }

    /// Another sense of the topic of `sense`, or the same.
    fn draw_of_topic(&mut self, sense: u32) -> u32 {
        let topic = self.world.topic_of(sense);
        let place = self.world.frequency_in_topic[topic as usize].sample(&mut self.rng);
        topic * self.world.params.labels_per_topic + place as u32
    }

    /// Draws the words of a text in these senses, in random order: no two of them belong together.
    fn draw_words(&mut self, senses: &[u32]) {
        let (world, rng) = (self.world, &mut self.rng);
        let params = &world.params;
        self.words.clear();
        for _ in 0..params.topic_words {
            let topic = world.topic_of(pick(senses, rng));
            self.words.push(pick(world.words_of_topic(topic), rng));
        }
        for &sense in senses {
            self.words.extend((0..params.label_words).map(|_| pick(world.words_of_sense(sense), rng)));
        }
        self.words.extend((0..params.noise_words).map(|_| rng.gen_range(0..params.n_words)));
        self.words.shuffle(rng);
    }

    fn text(&self) -> String {
        let mut text = String::with_capacity(self.words.len() * (self.world.words[0].len() + 1));
        for &word in &self.words {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(&self.world.words[word as usize]);
        }
        text
    }
}

/// One of `choices`, all equally likely.
fn pick(choices: &[u32], rng: &mut impl Rng) -> u32 {
    // A `u32`, as the width of a `usize` would change what is drawn.
    choices[rng.gen_range(0..choices.len() as u32) as usize]
}

impl Iterator for MultiSenseRecords<'_> {
    type Item = MultiSenseRecord;

    fn next(&mut self) -> Option<MultiSenseRecord> {
        self.left = self.left.checked_sub(1)?;
        let (labels, senses) = self.draw_senses();
        self.draw_words(&senses);
        Some(MultiSenseRecord { text: self.text(), labels, senses })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.left);
        (left.unwrap_or(usize::MAX), left.ok())
    }
}

#[cfg(test)]
mod tests {
    use super::super::MultiSenseParams;
    use super::*;
    use crate::Input;
    use std::collections::{BTreeMap, BTreeSet};

    fn world(change: impl FnOnce(&mut MultiSenseParams)) -> MultiSense {
        let mut params = MultiSenseParams::default();
        change(&mut params);
        params.check().unwrap()
    }

    fn words(text: &str) -> Vec<u32> {
        text.split(' ').map(|word| word.strip_prefix('w').unwrap().parse().unwrap()).collect()
    }

    #[test]
    fn the_first_records_are_these_bytes() {
        let world = world(|p| p.seed = 7);
        let mut train = world.train();
        let record = train.next().unwrap();
        assert_eq!(
            record.text,
            "w2869 w4484 w0168 w0262 w5296 w0227 w2577 w1503 w0019 w1249 w5284 w0262 w3460 w0444 w4814 w3440 w1061 w3715 w1337 w2874 w4458 w3744 w2869 w2456 w1566 w0101 w4546 w1249 w1566 w2650"
        );
        assert_eq!((record.labels, record.senses), (vec![510, 941], vec![1485, 1513]));
        assert_eq!(
            (hash(world.train()), hash(world.test())),
            (11_940_071_941_062_579_603, 9_640_267_208_968_079_320)
        );
    }

    /// A fingerprint of texts, labels and senses (FNV-1a).
    fn hash(records: MultiSenseRecords<'_>) -> u64 {
        let bytes = records.flat_map(|record| {
            let numbers = record.labels.into_iter().chain(record.senses).flat_map(u32::to_le_bytes);
            record.text.into_bytes().into_iter().chain(numbers)
        });
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
    }

    #[test]
    fn a_text_has_the_words_of_its_senses_and_their_topics() {
        let world = world(|p| p.noise_words = 0);
        for record in world.train().take(500) {
            let words = words(&record.text);
            assert_eq!(words.len(), 12 + 4 * record.senses.len());
            let of_senses =
                |word: &u32| record.senses.iter().any(|&s| world.words_of_sense(s).contains(word));
            let of_topics = |word: &u32| {
                record.senses.iter().any(|&s| world.words_of_topic(world.topic_of(s)).contains(word))
            };
            assert!(words.iter().filter(|word| of_senses(word)).count() >= 4 * record.senses.len());
            assert!(words.iter().all(|word| of_senses(word) || of_topics(word)));
        }
    }

    #[test]
    fn labels_of_a_record_are_distinct_and_mean_one_of_their_senses() {
        let world = world(|p| p.cross_topic = 1.0);
        let mut sizes = BTreeMap::new();
        for record in world.train() {
            *sizes.entry(record.labels.len()).or_insert(0) += 1;
            assert_eq!(record.labels.iter().collect::<BTreeSet<_>>().len(), record.labels.len());
            for (&label, &sense) in record.labels.iter().zip(&record.senses) {
                assert!(world.label_of(sense) == label && world.senses(label).contains(&sense));
            }
        }
        assert_eq!(sizes.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
        assert!(sizes.values().all(|&n| (3_700..=4_300).contains(&n)), "{sizes:?}");
    }

    #[test]
    fn labels_of_a_record_are_of_one_topic_unless_they_may_cross() {
        let topics = |cross_topic| {
            let world = world(|p| p.cross_topic = cross_topic);
            let several = world.train().take(2_000).filter(|record| {
                record.senses.iter().any(|&s| world.topic_of(s) != world.topic_of(record.senses[0]))
            });
            several.count()
        };
        assert_eq!(topics(0.0), 0);
        // A third has two labels (0.3 × 39/40), a third three (1 - 0.7²): 0.26 of all.
        assert!((430..=620).contains(&topics(0.3)), "{}", topics(0.3));
    }

    #[test]
    fn merged_labels_join_two_topics_and_the_rest_have_one_sense() {
        let world = world(|_| ());
        assert_eq!((world.n_senses(), world.n_labels(), world.n_merged()), (1600, 960, 640));
        let mut seen = BTreeSet::new();
        let mut merged = 0;
        for label in 0..world.n_labels() as u32 {
            let senses = world.senses(label);
            assert!(senses.iter().all(|&sense| seen.insert(sense)));
            if let [first, second] = senses {
                merged += 1;
                assert_ne!(world.topic_of(*first), world.topic_of(*second));
            }
        }
        assert_eq!((seen.len(), merged), (1600, 640));
    }

    #[test]
    fn without_merging_a_label_is_a_sense() {
        let world = world(|p| p.merge = 0.0);
        assert_eq!((world.n_labels(), world.n_merged()), (1600, 0));
        assert!((0..1600).all(|label| world.senses(label).len() == 1));
    }

    #[test]
    fn frequencies_fall_with_the_root_of_the_rank() {
        let world = world(|p| (p.max_labels, p.n_train) = (1, 100_000));
        let mut counts = vec![0u32; world.n_senses()];
        world.train().for_each(|record| counts[record.senses[0] as usize] += 1);
        counts.sort_unstable_by(|a, b| b.cmp(a));
        // Σ r^-½ over 1600 ranks is 78.55: ranks 1 to 16 are 6.67 of it, half of all is reached at 418.
        let head: u32 = counts[..16].iter().sum();
        assert!((8_000..=9_200).contains(&head), "{head}");
        let half: u32 = counts[..418].iter().sum();
        assert!((49_500..=53_000).contains(&half), "{half}");
    }

    #[test]
    fn more_records_leave_the_first_ones_as_they_are() {
        let (few, many) = (world(|p| p.n_train = 10), world(|p| p.n_train = 1_000_000_000));
        assert!(few.train().eq(many.train().take(10)));
        assert!(few.test().eq(many.test()));
        assert_eq!(many.train().size_hint().0, 1_000_000_000);
        assert!(!few.train().eq(few.test().take(10)));
        let other = world(|p| p.seed = 1);
        assert!(!few.train().eq(other.train().take(10)));
    }

    #[test]
    fn a_data_set_has_the_records_and_all_labels() {
        let world = world(|p| p.n_train = 50);
        let dataset = world.dataset(world.train());
        let Input::Text(texts) = &dataset.input else { panic!("expected texts") };
        assert_eq!((dataset.n_samples(), dataset.n_labels()), (50, 960));
        for (row, record) in world.train().enumerate() {
            assert_eq!(&texts[row], record.text);
            let labels: BTreeSet<u32> = record.labels.into_iter().collect();
            assert!(dataset.labels.row(row).indices.iter().eq(&labels));
        }
        assert_eq!((dataset.label_map.key(7), &world.sense_names()[12]), ("l007", "s0012"));
    }
}
