//! The numbers behind multi-sense data.

use super::MultiSense;
use crate::synth::SynthError;
use serde::{Deserialize, Serialize};

/// Parameters of [`MultiSense`], not yet checked.
///
/// The defaults make 1,600 senses, of which 1,280 are merged into 640 labels, and texts of about 30 words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct MultiSenseParams {
    /// Topics. Default 40.
    pub n_topics: u32,
    /// Senses (labels before merging) of each topic. Default 40.
    pub labels_per_topic: u32,
    /// Words in all. Default 6000.
    pub n_words: u32,
    /// Words that are typical of a topic. Default 60.
    pub topic_vocabulary: u32,
    /// Words that are typical of a sense. They may be typical of others too. Default 8.
    pub label_vocabulary: u32,
    /// Words of a text that are typical of its topics. Default 12.
    pub topic_words: u32,
    /// Words of a text that are typical of a label, for each of its labels. Default 4.
    pub label_words: u32,
    /// Words of a text that mean nothing. Default 10.
    pub noise_words: u32,
    /// Fewest labels of a text. Default 1.
    pub min_labels: u32,
    /// Most labels of a text; all numbers in between are equally likely. Default 3.
    pub max_labels: u32,
    /// How likely it is that a label after the first is drawn from all topics, not from the first one's. Default 0.3.
    pub cross_topic: f64,
    /// The sense at rank `r` (from 1) is drawn with a probability proportional to `r^-label_exponent`; ranks are dealt out at
    /// random over all topics. 0 to 2, default 0.5.
    pub label_exponent: f64,
    /// Share of the senses that are merged, two and two across topics, into labels of two senses. 0 is the control: one
    /// sense for each label. Default 0.8.
    pub merge: f64,
    /// Training records. Default 12,000.
    pub n_train: u64,
    /// Test records. Default 3,000.
    pub n_test: u64,
    /// Seed of every draw. Default 0.
    pub seed: u64,
}

impl Default for MultiSenseParams {
    fn default() -> Self {
        Self {
            n_topics: 40,
            labels_per_topic: 40,
            n_words: 6000,
            topic_vocabulary: 60,
            label_vocabulary: 8,
            topic_words: 12,
            label_words: 4,
            noise_words: 10,
            min_labels: 1,
            max_labels: 3,
            cross_topic: 0.3,
            label_exponent: 0.5,
            merge: 0.8,
            n_train: 12_000,
            n_test: 3_000,
            seed: 0,
        }
    }
}

impl MultiSenseParams {
    /// Sets [`Self::merge`].
    #[must_use]
    pub fn merge(mut self, merge: f64) -> Self {
        self.merge = merge;
        self
    }

    /// Sets [`Self::n_train`].
    #[must_use]
    pub fn n_train(mut self, n_train: u64) -> Self {
        self.n_train = n_train;
        self
    }

    /// Sets [`Self::n_test`].
    #[must_use]
    pub fn n_test(mut self, n_test: u64) -> Self {
        self.n_test = n_test;
        self
    }

    /// Sets [`Self::seed`].
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Draws vocabularies, frequencies and merged labels: all but the records.
    ///
    /// # Errors
    /// [`SynthError::Param`], [`SynthError::TooMany`].
    pub fn check(self) -> Result<MultiSense, SynthError> {
        self.check_ranges()?;
        self.check_counts()?;
        Ok(MultiSense::draw(self))
    }

    fn check_ranges(&self) -> Result<(), SynthError> {
        let counts = [
            ("n_topics", self.n_topics),
            ("labels_per_topic", self.labels_per_topic),
            ("n_words", self.n_words),
            ("topic_vocabulary", self.topic_vocabulary),
            ("label_vocabulary", self.label_vocabulary),
            ("label_words", self.label_words),
            ("min_labels", self.min_labels),
        ];
        if let Some((name, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(SynthError::Param { name, found: 0.0, expected: "at least 1" });
        }
        let shares = [("cross_topic", self.cross_topic), ("merge", self.merge)];
        if let Some((name, found)) = shares.into_iter().find(|(_, share)| !(0.0..=1.0).contains(share)) {
            return Err(SynthError::Param { name, found, expected: "a share from 0 to 1" });
        }
        if !(0.0..=2.0).contains(&self.label_exponent) {
            let (name, found) = ("label_exponent", self.label_exponent);
            return Err(SynthError::Param { name, found, expected: "a number from 0 to 2" });
        }
        match self.merge > 0.0 && self.n_topics < 2 {
            true => {
                let (name, found) = ("n_topics", self.n_topics.into());
                Err(SynthError::Param { name, found, expected: "at least 2 to merge labels across topics" })
            }
            false => Ok(()),
        }
    }

    fn check_counts(&self) -> Result<(), SynthError> {
        let at_most = |name, found: u64, limit: u64, of| match found <= limit {
            true => Ok(()),
            false => Err(SynthError::TooMany { name, found, limit, of }),
        };
        let (words, senses) = (self.n_words.into(), self.n_topics as u64 * self.labels_per_topic as u64);
        at_most("topic_vocabulary", self.topic_vocabulary.into(), words, "n_words")?;
        at_most("label_vocabulary", self.label_vocabulary.into(), words, "n_words")?;
        at_most("min_labels", self.min_labels.into(), self.max_labels.into(), "max_labels")?;
        // Labels of one topic are never merged with each other, so there always are enough distinct ones.
        at_most("max_labels", self.max_labels.into(), self.labels_per_topic.into(), "labels_per_topic")?;
        at_most("n_topics × labels_per_topic", senses, u32::MAX.into(), "how many labels can be numbered")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(change: impl FnOnce(&mut MultiSenseParams)) -> SynthError {
        let mut params = MultiSenseParams::default();
        change(&mut params);
        params.check().err().unwrap()
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        let name = |error| match error {
            SynthError::Param { name, .. } | SynthError::TooMany { name, .. } => name,
        };
        assert_eq!(name(fault(|p| p.n_topics = 0)), "n_topics");
        assert_eq!(name(fault(|p| p.label_words = 0)), "label_words");
        assert_eq!(name(fault(|p| p.merge = 1.01)), "merge");
        assert_eq!(name(fault(|p| p.cross_topic = f64::NAN)), "cross_topic");
        assert_eq!(name(fault(|p| p.label_exponent = -0.1)), "label_exponent");
        assert_eq!(name(fault(|p| p.topic_vocabulary = 6001)), "topic_vocabulary");
        assert_eq!(name(fault(|p| p.min_labels = 4)), "min_labels");
        assert_eq!(name(fault(|p| p.max_labels = 41)), "max_labels");
        assert_eq!(
            name(fault(|p| (p.n_topics, p.labels_per_topic) = (1 << 16, 1 << 16))),
            "n_topics × labels_per_topic"
        );
    }

    #[test]
    fn one_topic_has_nothing_to_merge_with() {
        let expected = "at least 2 to merge labels across topics";
        assert_eq!(fault(|p| p.n_topics = 1), SynthError::Param { name: "n_topics", found: 1.0, expected });
        let mut params = MultiSenseParams::default().merge(0.0);
        params.n_topics = 1;
        assert_eq!(params.check().unwrap().n_labels(), 40);
    }
}
