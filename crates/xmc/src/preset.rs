//! Bundles of hyper-parameters for text, chosen by measurement (`docs/OPTIONS.md`).

use crate::TrainParams;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use xmc_tfidf::{Analyzer, DocFrequency, VectorizerParams};

/// How much time, memory and space a model may cost.
///
/// ```
/// use xmc::{Preset, TrainParams};
/// let params = TrainParams::preset(Preset::Accurate);
/// assert_eq!((params.n_trees, params.disentangle.copies), (3, 2));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Preset {
    /// Words alone, those that occur once included: seconds for 100,000 titles.
    Fast,
    /// Words, pairs of words and pieces of words: several times the time and the space of `fast`, and
    /// much better on short texts and inflected languages.
    Balanced,
    /// `balanced` with three trees that vote, each with labels in up to two clusters: five times its cost in training,
    /// space and search.
    Accurate,
}

impl Preset {
    /// All of them, the cheapest first.
    pub const ALL: [Self; 3] = [Self::Fast, Self::Balanced, Self::Accurate];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Balanced => "balanced",
            Self::Accurate => "accurate",
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Preset {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|preset| preset.name() == name);
        found.ok_or_else(|| format!("there is no preset '{name}': expected fast, balanced or accurate"))
    }
}

impl TrainParams {
    /// The hyper-parameters of a preset.
    pub fn preset(preset: Preset) -> Self {
        let mut params = Self::default();
        let words = |longest| {
            let words = VectorizerParams::default();
            words.ngram_range((1, longest)).min_df(DocFrequency::Count(1))
        };
        let pieces = VectorizerParams::default();
        let pieces = pieces.analyzer(Analyzer::CharWb).ngram_range((3, 5)).min_df(DocFrequency::Count(3));
        match preset {
            Preset::Fast => params.features.vectorizers = vec![words(1)],
            Preset::Balanced => params.features.vectorizers = vec![words(2), pieces],
            Preset::Accurate => {
                params.features.vectorizers = vec![words(2), pieces];
                params.n_trees = 3;
                params.disentangle = params.disentangle.copies(2);
                // Several trees agree on the first label anyway; cheaper negatives bring more of the others up.
                params.linear.svm = params.linear.svm.map(|svm| svm.costs(1.0, 0.85));
            }
        }
        params
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_in_range_and_has_a_name() {
        for preset in Preset::ALL {
            assert!(TrainParams::preset(preset).check().is_ok());
            assert_eq!(preset.to_string().parse(), Ok(preset));
        }
        assert!("slow".parse::<Preset>().is_err());
    }
}
