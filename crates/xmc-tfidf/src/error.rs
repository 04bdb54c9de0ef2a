//! Every way that fitting, loading or using a vectoriser can fail.

/// A parameter that makes no sense, a corpus that gives no features, or stored parts that do not fit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TfIdfError {
    /// No vectoriser is configured.
    #[error("no vectoriser is configured; give at least one, for example word n-grams")]
    NoVectorizers,
    /// An n-gram range that is empty or starts at 0.
    #[error("vectoriser {vectorizer}: the n-gram range is {min} to {max}, expected 1 <= min <= max")]
    NgramRange {
        /// Position of the vectoriser, 0-based.
        vectorizer: usize,
        /// Shortest n-gram asked for.
        min: usize,
        /// Longest n-gram asked for.
        max: usize,
    },
    /// A document-frequency ratio outside 0 to 1.
    #[error("vectoriser {vectorizer}: {name} is the ratio {found}, expected a number from 0 to 1")]
    DocFrequencyRatio {
        /// Position of the vectoriser, 0-based.
        vectorizer: usize,
        /// `min_df` or `max_df`.
        name: &'static str,
        /// The ratio found.
        found: f64,
    },
    /// On this many documents the upper bound of the document frequency is below the lower one.
    #[error(
        "vectoriser {vectorizer}: on {n_samples} documents min_df means {min} and max_df means {max}; \
         nothing can satisfy both, so lower min_df or raise max_df"
    )]
    DocFrequencyBounds {
        /// Position of the vectoriser, 0-based.
        vectorizer: usize,
        /// Number of documents.
        n_samples: usize,
        /// Smallest document frequency kept.
        min: f64,
        /// Largest document frequency kept.
        max: f64,
    },
    /// A limit of 0 where at least 1 is needed.
    #[error("vectoriser {vectorizer}: {name} is 0, expected at least 1 (or no limit)")]
    ZeroLimit {
        /// Position of the vectoriser, 0-based.
        vectorizer: usize,
        /// Which limit.
        name: &'static str,
    },
    /// A block weight that is not a positive finite number.
    #[error("vectoriser {vectorizer}: the weight is {found}, expected a positive finite number")]
    Weight {
        /// Position of the vectoriser, 0-based.
        vectorizer: usize,
        /// The weight found.
        found: f32,
    },
    /// No n-gram of the corpus is within the document-frequency bounds.
    #[error(
        "vectoriser {vectorizer}: none of the n-grams of the {n_samples} documents is frequent enough \
         and rare enough to be a feature; lower min_df, raise max_df or give more text"
    )]
    EmptyVocabulary {
        /// Position of the vectoriser, 0-based.
        vectorizer: usize,
        /// Number of documents.
        n_samples: usize,
    },
    /// More documents, features or n-gram bytes than 32 bits can number.
    #[error("vectoriser {vectorizer}: {found} {what} are too many, at most {} can be numbered", u32::MAX)]
    TooMany {
        /// Position of the vectoriser, 0-based.
        vectorizer: usize,
        /// What there is too much of.
        what: &'static str,
        /// How many there are.
        found: u64,
    },
    /// Stored arrays that do not belong together.
    #[error("stored vocabulary {vectorizer}: {what} is {found}, expected {expected}; the model is damaged")]
    Parts {
        /// Position of the vectoriser, 0-based.
        vectorizer: usize,
        /// Which size.
        what: &'static str,
        /// The size that the other parts call for.
        expected: u64,
        /// The size found.
        found: u64,
    },
    /// The container cannot give or take the model.
    #[error(transparent)]
    Store(#[from] xmc_store::StoreError),
}
