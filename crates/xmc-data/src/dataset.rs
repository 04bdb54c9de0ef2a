//! A data set, in memory or mapped, and splits of it.

use crate::{DataError, LabelMap, Texts};
use rand::{SeedableRng, seq::index::sample};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::sync::Arc;
use xmc_sparse::{Csr, DenseBlock, Features, SharedSlice, SparseError};

/// What is known of each record.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Texts, still to be turned into features.
    Text(Texts),
    /// Features.
    Features(Features),
}

/// Records with their labels. What [`crate::convert`] has written is mapped: it takes memory only while it is used.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Texts or features, one for each record.
    pub input: Input,
    /// Dense features beside texts, `n_samples × d`. Beside sparse features they are part of
    /// [`Input::Features`], and this is `None`.
    pub dense: Option<DenseBlock>,
    /// Labels, `n_samples × n_labels`: 1, or the relevance that the data give (never 0).
    pub labels: Csr,
    /// What the columns of `labels` are.
    pub label_map: Arc<LabelMap>,
    /// Ids of the records, if any record has one; empty where it is missing.
    pub ids: Option<Texts>,
    /// Weights of the records, if any record has one; 1 where it is missing.
    pub weights: Option<SharedSlice<f32>>,
    /// What was left out.
    pub skipped: Skipped,
}

/// Count of what was left out, with the first few errors.
#[derive(Debug, Clone, Default)]
pub struct Skipped {
    /// Bad records.
    pub records: u64,
    /// Labels that the given map does not have.
    pub labels: u64,
    /// The first [`Skipped::KEPT`] errors.
    pub first: Vec<Arc<DataError>>,
}

impl Skipped {
    /// Number of errors that are kept.
    pub const KEPT: usize = 10;

    pub(crate) fn add(&mut self, error: DataError) {
        self.records += 1;
        if self.first.len() < Self::KEPT {
            self.first.push(Arc::new(error));
        }
    }
}

impl Dataset {
    /// A data set of texts with their labels; labels are numbered in order of first appearance.
    ///
    /// ```
    /// let dataset = xmc_data::Dataset::from_examples([("red shoes", ["shoes", "red"]), ("red hat", ["hat", "red"])]);
    /// assert_eq!((dataset.n_samples(), dataset.n_labels()), (2, 3));
    /// ```
    pub fn from_examples<T, L>(examples: impl IntoIterator<Item = (T, L)>) -> Self
    where
        T: AsRef<str>,
        L: IntoIterator<Item: AsRef<str>>,
    {
        let (mut texts, mut label_map, mut rows) = (Texts::new(), LabelMap::new(), Vec::new());
        for (text, labels) in examples {
            texts.push(text.as_ref());
            let mut ids: Vec<_> =
                labels.into_iter().map(|label| label_map.insert_key(label.as_ref())).collect();
            ids.sort_unstable();
            ids.dedup();
            rows.push(ids.into_iter().map(|id| (id, 1.0)));
        }
        let labels = Csr::from_rows(label_map.len(), rows).expect("invariant: ids come from the map");
        let (dense, ids, weights, skipped) = Default::default();
        let label_map = Arc::new(label_map);
        Self { input: Input::Text(texts), dense, labels, label_map, ids, weights, skipped }
    }

    /// Number of records.
    pub fn n_samples(&self) -> usize {
        self.labels.n_rows()
    }

    /// Number of labels.
    pub fn n_labels(&self) -> usize {
        self.label_map.len()
    }

    /// Whether the records are texts (or features).
    pub fn has_texts(&self) -> bool {
        matches!(self.input, Input::Text(_))
    }

    /// Looks at all that is mapped, in one pass: a file may be damaged. To be called before features and labels index anything; costs
    /// nothing for data in memory.
    ///
    /// # Errors
    /// [`DataError::Damaged`].
    pub fn check(&self) -> Result<(), DataError> {
        let matrix = |what| move |source: SparseError| DataError::Damaged { what, source: Some(source) };
        match &self.input {
            Input::Features(features) => features.check().map_err(matrix("features"))?,
            Input::Text(texts) if texts.find_damage().is_some() => {
                return Err(DataError::Damaged { what: "texts", source: None });
            }
            Input::Text(_) => {}
        }
        self.dense.as_ref().map_or(Ok(()), DenseBlock::check).map_err(matrix("dense features"))?;
        self.labels.check().map_err(matrix("labels"))?;
        let weights = self.weights.as_ref().filter(|weights| !weights.is_owned());
        match weights.is_some_and(|weights| weights.iter().any(|weight| !weight.is_finite() || *weight < 0.0))
        {
            true => Err(DataError::Damaged { what: "weights", source: None }),
            false => Ok(()),
        }
    }

    /// The records named by `rows`, in that order. The report of what was skipped stays behind.
    pub fn select(&self, rows: &[usize]) -> Self {
        let input = match &self.input {
            Input::Text(texts) => Input::Text(texts.select(rows)),
            Input::Features(features) => Input::Features(features.select_rows(rows)),
        };
        Self {
            input,
            dense: self.dense.as_ref().map(|dense| dense.select_rows(rows)),
            labels: self.labels.select_rows(rows),
            label_map: Arc::clone(&self.label_map),
            ids: self.ids.as_ref().map(|ids| ids.select(rows)),
            weights: self.weights.as_ref().map(|weights| rows.iter().map(|&row| weights[row]).collect()),
            skipped: Skipped::default(),
        }
    }

    /// Holds out a random `valid_fraction` of the records: `(the rest, the held out)`, both in their old
    /// order. The same seed gives the same split of the same number of records.
    ///
    /// # Errors
    /// [`DataError::BadSplit`] when one side would be empty.
    pub fn split(&self, valid_fraction: f64, seed: u64) -> Result<(Self, Self), DataError> {
        let n_samples = self.n_samples();
        // NaN and negative fractions become 0 held out, which is refused.
        let n_valid = (valid_fraction * n_samples as f64).round() as usize;
        if n_valid == 0 || n_valid >= n_samples {
            return Err(DataError::BadSplit { fraction: valid_fraction, n_samples });
        }
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut held_out = vec![false; n_samples];
        sample(&mut rng, n_samples, n_valid).into_iter().for_each(|row| held_out[row] = true);
        let (valid, train): (Vec<usize>, Vec<usize>) = (0..n_samples).partition(|&row| held_out[row]);
        Ok((self.select(&train), self.select(&valid)))
    }
}
