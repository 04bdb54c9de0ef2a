//! Texts whose labels have more than one meaning.
//!
//! Every sense belongs to a topic; texts are bags of words that are typical of their topics, words that are typical of their
//! senses, and noise. Most senses are then merged two and two, across topics, into labels that mean two unrelated
//! things, as in the experiments of Liu, Chang, Yu, Dhillon and Hsieh, "Label Disentanglement in Partition-based Extreme
//! Multilabel Classification", NeurIPS 2021. A tree that puts each label into one cluster must send the texts of one of its
//! senses to a place where nothing else looks like them; which sense a text means is known, so it can be told how well a
//! model takes them apart.
//!
//! The same parameters give the same bytes on every machine: all draws are of integers, and frequencies are
//! rounded before anything is drawn by them.

mod merge;
mod params;
mod records;

pub use params::MultiSenseParams;
pub use records::{MultiSenseRecord, MultiSenseRecords};

use crate::{Dataset, Input, LabelMap, Skipped, Texts};
use merge::pair_across_topics;
use rand::distributions::WeightedIndex;
use rand::seq::{SliceRandom, index};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::sync::Arc;
use xmc_sparse::{Csr, LabelId};

/// A world of topics, senses, labels and their words, from which records are drawn.
///
/// ```
/// use xmc_data::synth::MultiSenseParams;
/// let world = MultiSenseParams::default().n_train(100).check()?;
/// assert_eq!((world.n_senses(), world.n_labels()), (1600, 960));
/// let record = world.train().next().unwrap();
/// for (&label, &sense) in record.labels.iter().zip(&record.senses) {
///     assert!(world.senses(label).contains(&sense));
/// }
/// # Ok::<(), xmc_data::synth::SynthError>(())
/// ```
#[derive(Debug, Clone)]
pub struct MultiSense {
    params: MultiSenseParams,
    words: Texts,
    /// Word numbers, `topic_vocabulary` of each topic.
    topic_words: Vec<u32>,
    /// Word numbers, `label_vocabulary` of each sense.
    sense_words: Vec<u32>,
    /// Which sense is drawn, of all.
    frequency: WeightedIndex<u64>,
    /// Which sense of a topic is drawn, from its first one.
    frequency_in_topic: Vec<WeightedIndex<u64>>,
    label_of: Vec<LabelId>,
    /// The senses of all labels, one label after the other.
    senses: Vec<u32>,
    /// Where the senses of a label begin, and one more.
    begin: Vec<u32>,
    /// Where the random numbers of the records begin.
    rng: Xoshiro256PlusPlus,
}

/// The weight of the most frequent sense. Whole numbers: see the head of this file.
const TOP_WEIGHT: f64 = (1u64 << 32) as f64;

impl MultiSense {
    /// Parameters to start from.
    pub fn params() -> MultiSenseParams {
        MultiSenseParams::default()
    }

    fn draw(params: MultiSenseParams) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(params.seed);
        let (n_topics, per_topic) = (params.n_topics, params.labels_per_topic);
        let n_senses = n_topics * per_topic;
        let topic_words = vocabularies(n_topics, params.topic_vocabulary, params.n_words, &mut rng);
        let sense_words = vocabularies(n_senses, params.label_vocabulary, params.n_words, &mut rng);
        let weights = weights(n_senses, params.label_exponent, &mut rng);
        let sampler = |weights: &[u64]| {
            WeightedIndex::new(weights).expect("invariant: weights are above 0 and their sum below 2^64")
        };
        let n_pairs = (f64::from(n_senses) * params.merge).round() as usize / 2;
        let pairs = pair_across_topics(n_senses, n_pairs, |sense| sense / per_topic, &mut rng);
        let (label_of, senses, begin) = number_labels(n_senses, &pairs, &mut rng);
        Self {
            words: names('w', params.n_words).collect(),
            topic_words,
            sense_words,
            frequency: sampler(&weights),
            frequency_in_topic: weights.chunks_exact(per_topic as usize).map(sampler).collect(),
            label_of,
            senses,
            begin,
            rng: Xoshiro256PlusPlus::seed_from_u64(params.seed),
            params,
        }
    }

    /// The training records, [`n_train`](MultiSenseParams::n_train) of them. With more of them the first ones stay the same.
    pub fn train(&self) -> MultiSenseRecords<'_> {
        let mut rng = self.rng.clone();
        rng.jump();
        MultiSenseRecords::new(self, rng, self.params.n_train)
    }

    /// The test records, [`n_test`](MultiSenseParams::n_test) of them, which do not depend on the number of training records.
    pub fn test(&self) -> MultiSenseRecords<'_> {
        let mut rng = self.rng.clone();
        rng.jump();
        rng.jump();
        MultiSenseRecords::new(self, rng, self.params.n_test)
    }

    /// Records in memory, with the labels of [`label_map`](Self::label_map); the senses are not in it.
    pub fn dataset(&self, records: MultiSenseRecords<'_>) -> Dataset {
        let (mut texts, mut rows) = (Texts::new(), Vec::new());
        for record in records {
            texts.push(&record.text);
            rows.push(record.labels.into_iter().map(|label| (label, 1.0)));
        }
        let labels = Csr::from_rows(self.n_labels(), rows).expect("invariant: labels are numbered from 0");
        let (input, label_map) = (Input::Text(texts), Arc::new(self.label_map()));
        Dataset {
            input,
            dense: None,
            labels,
            label_map,
            ids: None,
            weights: None,
            skipped: Skipped::default(),
        }
    }

    /// The parameters behind it.
    pub fn checked_params(&self) -> &MultiSenseParams {
        &self.params
    }

    /// Number of labels.
    pub fn n_labels(&self) -> usize {
        self.begin.len() - 1
    }

    /// Number of labels that have two senses.
    pub fn n_merged(&self) -> usize {
        self.n_senses() - self.n_labels()
    }

    /// Number of senses.
    pub fn n_senses(&self) -> usize {
        self.label_of.len()
    }

    /// The senses of a label, one or two; panics when it is out of range.
    pub fn senses(&self, label: LabelId) -> &[u32] {
        let range = self.begin[label as usize]..self.begin[label as usize + 1];
        &self.senses[range.start as usize..range.end as usize]
    }

    /// The label of a sense; panics when it is out of range.
    pub fn label_of(&self, sense: u32) -> LabelId {
        self.label_of[sense as usize]
    }

    /// The topic of a sense: senses are numbered topic by topic.
    pub fn topic_of(&self, sense: u32) -> u32 {
        sense / self.params.labels_per_topic
    }

    /// The labels by number, with keys such as `l017`. A name would tell more than a label's instances do, so there is none.
    pub fn label_map(&self) -> LabelMap {
        let mut map = LabelMap::new();
        names('l', self.n_labels() as u32).for_each(|key| _ = map.insert_key(&key));
        map
    }

    /// The names of senses by number, such as `s0123`, for files.
    pub fn sense_names(&self) -> Texts {
        names('s', self.n_senses() as u32).collect()
    }

    fn words_of_topic(&self, topic: u32) -> &[u32] {
        row(&self.topic_words, self.params.topic_vocabulary, topic)
    }

    fn words_of_sense(&self, sense: u32) -> &[u32] {
        row(&self.sense_words, self.params.label_vocabulary, sense)
    }
}

fn row(table: &[u32], width: u32, at: u32) -> &[u32] {
    let width = width as usize;
    &table[at as usize * width..(at as usize + 1) * width]
}

/// `n` names, all of the same length.
fn names(kind: char, n: u32) -> impl Iterator<Item = String> {
    let width = n.saturating_sub(1).checked_ilog10().unwrap_or(0) as usize + 1;
    (0..n).map(move |number| format!("{kind}{number:0width$}"))
}

/// `n` sets of `size` distinct words of `n_words`.
fn vocabularies(n: u32, size: u32, n_words: u32, rng: &mut impl Rng) -> Vec<u32> {
    let mut words = Vec::with_capacity(n as usize * size as usize);
    for _ in 0..n {
        words.extend(index::sample(rng, n_words as usize, size as usize).into_iter().map(|word| word as u32));
    }
    words
}

/// The weight of each sense by its rank, which is dealt out at random.
fn weights(n_senses: u32, exponent: f64, rng: &mut impl Rng) -> Vec<u64> {
    let weight = |rank: u32| (TOP_WEIGHT * f64::from(rank).powf(-exponent)).round().max(1.0) as u64;
    let mut weights: Vec<u64> = (1..=n_senses).map(weight).collect();
    weights.shuffle(rng);
    weights
}

/// Numbers pairs and single senses in random order: `(label of each sense, senses of each label, where they begin)`.
fn number_labels(
    n_senses: u32,
    pairs: &[[u32; 2]],
    rng: &mut impl Rng,
) -> (Vec<LabelId>, Vec<u32>, Vec<u32>) {
    let mut partner = vec![None; n_senses as usize];
    for &[first, second] in pairs {
        partner[first as usize] = Some(second);
        partner[second as usize] = Some(first);
    }
    // The number of a label must not tell its topic.
    let is_first = |sense: &u32| partner[*sense as usize].is_none_or(|other| *sense < other);
    let mut first_senses: Vec<u32> = (0..n_senses).filter(is_first).collect();
    first_senses.shuffle(rng);
    let (mut label_of, mut senses, mut begin) =
        (vec![0; n_senses as usize], Vec::with_capacity(n_senses as usize), vec![0]);
    for (label, sense) in first_senses.into_iter().enumerate() {
        for sense in std::iter::once(sense).chain(partner[sense as usize]) {
            label_of[sense as usize] = label as LabelId;
            senses.push(sense);
        }
        begin.push(senses.len() as u32);
    }
    (label_of, senses, begin)
}
