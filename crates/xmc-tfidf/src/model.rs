//! A fitted model: parameters and one vocabulary for each vectoriser.

use crate::vocabulary::{VocabularyBuffers, VocabularyParts};
use crate::{TfIdfError, TfIdfParams};
use std::ops::Range;
use xmc_sparse::FeatureId;

/// Turns texts into rows. Cheap to clone: clones share the vocabularies.
///
/// Features are numbered vectoriser by vectoriser, and inside each in the byte order of its n-grams.
#[derive(Debug, Clone)]
pub struct TfIdf {
    pub(crate) params: TfIdfParams,
    pub(crate) n_samples: u64,
    pub(crate) vocabularies: Vec<VocabularyBuffers>,
    /// Number of the first feature of each vectoriser, then the number of all features.
    first_features: Vec<FeatureId>,
}

/// A fitted model as plain slices: all that has to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct TfIdfParts<'a> {
    /// The parameters that the model was fitted with.
    pub params: &'a TfIdfParams,
    /// Number of documents that it was fitted on.
    pub n_samples: u64,
    /// The arrays of each vectoriser.
    pub vocabularies: Vec<VocabularyParts<'a>>,
}

impl TfIdf {
    /// The default parameters: Unicode words 1–2 of at least 2 documents, smooth idf, Euclidean norm.
    pub fn params() -> TfIdfParams {
        TfIdfParams::default()
    }

    /// A model from stored parts. Reads none of the arrays through: mapped ones stay on disk until used.
    ///
    /// Contents are taken on trust (a container has checksums for them); wrong ones give wrong rows, never
    /// a panic.
    ///
    /// # Errors
    /// [`TfIdfError::Parts`] when sizes do not fit together, and as [`TfIdfParams::check`].
    pub fn from_parts(
        params: TfIdfParams,
        n_samples: u64,
        vocabularies: Vec<VocabularyBuffers>,
    ) -> Result<Self, TfIdfError> {
        let params = params.check()?.0;
        if vocabularies.len() != params.vectorizers.len() {
            return Err(TfIdfError::Parts {
                vectorizer: vocabularies.len().min(params.vectorizers.len()),
                what: "the number of vocabularies",
                expected: params.vectorizers.len() as u64,
                found: vocabularies.len() as u64,
            });
        }
        vocabularies.iter().enumerate().try_for_each(|(at, vocabulary)| vocabulary.check(at))?;
        Self::assemble(params, n_samples, vocabularies)
    }

    /// Numbers the features of checked vocabularies.
    pub(crate) fn assemble(
        params: TfIdfParams,
        n_samples: u64,
        vocabularies: Vec<VocabularyBuffers>,
    ) -> Result<Self, TfIdfError> {
        let mut first_features = vec![0];
        let mut total = 0u64;
        for (vectorizer, vocabulary) in vocabularies.iter().enumerate() {
            total += vocabulary.idf.len() as u64;
            let next = u32::try_from(total).map_err(|_| TfIdfError::TooMany {
                vectorizer,
                what: "features",
                found: total,
            })?;
            first_features.push(next);
        }
        Ok(Self { params, n_samples, vocabularies, first_features })
    }

    /// The model as plain slices, for [`Self::from_parts`] on the other side.
    pub fn parts(&self) -> TfIdfParts<'_> {
        TfIdfParts {
            params: &self.params,
            n_samples: self.n_samples,
            vocabularies: self.vocabularies.iter().map(VocabularyBuffers::parts).collect(),
        }
    }

    /// Number of features of all vectorisers.
    pub fn n_features(&self) -> usize {
        self.first_features[self.vocabularies.len()] as usize
    }

    /// Number of documents that the model was fitted on.
    pub fn n_samples(&self) -> u64 {
        self.n_samples
    }

    /// The features of vectoriser `vectorizer`; panics when there is no such vectoriser.
    pub fn features_of(&self, vectorizer: usize) -> Range<FeatureId> {
        self.first_features[vectorizer]..self.first_features[vectorizer + 1]
    }

    /// The n-gram of feature `id`: words joined by a space, or characters. `None` when there is no such
    /// feature. Two vectorisers may give the same name to a feature of theirs.
    pub fn feature_name(&self, id: FeatureId) -> Option<&str> {
        let vectorizer = self.first_features.partition_point(|&first| first <= id).checked_sub(1)?;
        let gram = self.vocabularies.get(vectorizer)?.parts().gram(id - self.first_features[vectorizer])?;
        std::str::from_utf8(gram).ok()
    }

    /// The feature of vectoriser `vectorizer` for the n-gram `name`, written as
    /// [`feature_name`](Self::feature_name) gives it.
    pub fn feature_id(&self, vectorizer: usize, name: &str) -> Option<FeatureId> {
        let id = self.vocabularies.get(vectorizer)?.parts().find(name.as_bytes())?;
        Some(self.first_features[vectorizer] + id)
    }

    /// The inverse document frequency of feature `id`.
    pub fn idf(&self, id: FeatureId) -> Option<f32> {
        let vectorizer = self.first_features.partition_point(|&first| first <= id).checked_sub(1)?;
        let vocabulary = self.vocabularies.get(vectorizer)?;
        vocabulary.idf.get((id - self.first_features[vectorizer]) as usize).copied()
    }
}
