//! The numbers behind shaped data.

use super::Shaped;
use crate::synth::SynthError;
use serde::{Deserialize, Serialize};

/// A public data set whose shape can be made. Sizes are those of the Extreme Classification Repository
/// (Bhatia et al., 2016) and of PECOS's downloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Shape {
    /// EUR-Lex: laws and their subjects.
    #[serde(rename = "eurlex-4k")]
    Eurlex4k,
    /// Wikipedia articles and their tags.
    #[serde(rename = "wiki10-31k")]
    Wiki10,
    /// Amazon products and their categories.
    #[serde(rename = "amazoncat-13k")]
    AmazonCat,
    /// Amazon products and what was bought with them.
    #[serde(rename = "amazon-670k")]
    Amazon670k,
    /// Wikipedia articles and their categories.
    #[serde(rename = "wiki-500k")]
    Wiki500k,
    /// Amazon products and what was bought with them, the largest of the public sets.
    #[serde(rename = "amazon-3m")]
    Amazon3m,
}

impl Shape {
    /// All of them, the smallest first.
    pub const ALL: [Self; 6] =
        [Self::Eurlex4k, Self::Wiki10, Self::AmazonCat, Self::Amazon670k, Self::Wiki500k, Self::Amazon3m];

    /// Training and test records, features, labels, entries of the training features and labels.
    fn sizes(self) -> (u64, u64, u32, u32, u64, u64) {
        match self {
            Self::Eurlex4k => (15_449, 3_865, 186_104, 3_956, 4_190_000, 82_000),
            Self::Wiki10 => (14_146, 6_616, 101_938, 30_938, 9_530_000, 264_000),
            Self::AmazonCat => (1_186_239, 306_782, 203_882, 13_330, 84_400_000, 5_980_000),
            Self::Amazon670k => (490_449, 153_025, 135_909, 670_091, 37_100_000, 2_670_000),
            Self::Wiki500k => (1_779_881, 769_421, 2_381_304, 501_070, 689_500_000, 8_450_000),
            Self::Amazon3m => (1_717_899, 742_507, 337_067, 2_812_281, 84_600_000, 61_900_000),
        }
    }
}

/// Parameters of [`Shaped`], not yet checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ShapedParams {
    /// Training records.
    pub n_train: u64,
    /// Test records.
    pub n_test: u64,
    /// Features.
    pub n_features: u32,
    /// Labels.
    pub n_labels: u32,
    /// Mean features of a record; at least 1.
    pub features_per_record: f64,
    /// Mean labels of a record; at least 1.
    pub labels_per_record: f64,
    /// The feature at rank `r` is drawn with a probability proportional to `r^-feature_exponent`. 0 to 2, default 0.9.
    pub feature_exponent: f64,
    /// The label at rank `r` is wanted with a weight of `(r + n_labels / 1000)^-label_exponent`. 0 to 2, default 0.8.
    pub label_exponent: f64,
    /// Share of a record's labels that have nothing to do with it. Default 0.1.
    pub label_noise: f64,
    /// Share of a record's features that have nothing to do with its labels. Default 0.4.
    pub feature_noise: f64,
    /// Seed of every draw. Default 0.
    pub seed: u64,
}

impl ShapedParams {
    /// The shape of a public data set.
    pub fn new(shape: Shape) -> Self {
        let (n_train, n_test, n_features, n_labels, entries, assignments) = shape.sizes();
        Self {
            n_train,
            n_test,
            n_features,
            n_labels,
            features_per_record: entries as f64 / n_train as f64,
            labels_per_record: assignments as f64 / n_train as f64,
            feature_exponent: 0.9,
            label_exponent: 0.8,
            label_noise: 0.1,
            feature_noise: 0.4,
            seed: 0,
        }
    }

    /// As large as `scale` says: records and labels times `scale`, features times its square root, as a vocabulary grows with its
    /// corpus (Heaps' law). What a record has stays as it is.
    #[must_use]
    pub fn scaled(mut self, scale: f64) -> Self {
        let times = |n: u64, factor: f64| ((n as f64 * factor).round() as u64).max(1);
        self.n_train = times(self.n_train, scale);
        self.n_test = times(self.n_test, scale);
        self.n_labels = times(self.n_labels.into(), scale) as u32;
        self.n_features = times(self.n_features.into(), scale.sqrt()) as u32;
        self
    }

    /// Sets [`Self::seed`].
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Deals out how much each label is wanted: all but the records.
    ///
    /// # Errors
    /// [`SynthError::Param`], [`SynthError::TooMany`].
    pub fn check(self) -> Result<Shaped, SynthError> {
        let rule = |ok, name, found, expected| match ok {
            true => Ok(()),
            false => Err(SynthError::Param { name, found, expected }),
        };
        let counts = [("n_features", self.n_features), ("n_labels", self.n_labels)];
        counts.into_iter().try_for_each(|(name, n)| rule(n >= 1, name, n.into(), "at least 1"))?;
        for (name, mean) in
            [("features_per_record", self.features_per_record), ("labels_per_record", self.labels_per_record)]
        {
            rule(mean.is_finite() && mean >= 1.0, name, mean, "a number of at least 1")?;
        }
        for (name, power) in
            [("feature_exponent", self.feature_exponent), ("label_exponent", self.label_exponent)]
        {
            rule((0.0..=2.0).contains(&power), name, power, "a number from 0 to 2")?;
        }
        for (name, share) in [("label_noise", self.label_noise), ("feature_noise", self.feature_noise)] {
            rule((0.0..=1.0).contains(&share), name, share, "a share from 0 to 1")?;
        }
        // Distinct ones are drawn: there must be plenty.
        let plenty = |name, mean: f64, n: u32, of| match mean * 4.0 <= f64::from(n) {
            true => Ok(()),
            false => {
                Err(SynthError::TooMany { name, found: mean.ceil() as u64, limit: u64::from(n) / 4, of })
            }
        };
        plenty("features_per_record", self.features_per_record, self.n_features, "a quarter of n_features")?;
        plenty("labels_per_record", self.labels_per_record, self.n_labels, "a quarter of n_labels")?;
        Ok(Shaped::draw(self))
    }
}
