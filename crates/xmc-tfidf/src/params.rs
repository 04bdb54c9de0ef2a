//! What a vectoriser does: analyser, n-grams, document frequencies, weighting, norm.
//!
//! Names and meanings follow scikit-learn's `TfidfVectorizer`; where PECOS's `Tfidf` differs it has a
//! variant of its own and [`TfIdfParams::pecos`] puts them together.

use crate::TfIdfError;
use serde::{Deserialize, Serialize};

/// What an n-gram is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Analyzer {
    /// Consecutive words, joined by one space.
    #[default]
    Word,
    /// Consecutive characters of the whole text; runs of white space count as one space.
    Char,
    /// Consecutive characters inside each word, which is padded with a space on both sides. A padded
    /// word shorter than an n-gram counts once, whole.
    CharWb,
}

/// How a text is cut into words (by [`Analyzer::Word`] and [`Analyzer::CharWb`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tokenizer {
    /// Words after Unicode Standard Annex 29, without punctuation: `can't` is one word, `e-mail` two.
    #[default]
    Unicode,
    /// Maximal runs without white space, as Python's `str.split`.
    Whitespace,
    /// Maximal runs without U+0020, which is the only separator of PECOS.
    Space,
}

/// A bound on the number of documents that an n-gram occurs in.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocFrequency {
    /// A number of documents.
    Count(u32),
    /// A share of all documents, 0 to 1.
    Ratio(f64),
}

impl DocFrequency {
    /// The bound in documents out of `n_samples`; fractions stay, as in scikit-learn.
    pub(crate) fn in_documents(self, n_samples: usize) -> f64 {
        match self {
            Self::Count(count) => f64::from(count),
            Self::Ratio(ratio) => ratio * n_samples as f64,
        }
    }
}

/// The inverse document frequency of a feature in `df` of `N` documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Idf {
    /// 1: term frequencies only.
    None,
    /// `ln((N + 1) / (df + 1)) + 1` (scikit-learn, `smooth_idf=True`).
    #[default]
    Smooth,
    /// `ln(N / df) + 1` (scikit-learn, `smooth_idf=False`).
    Plain,
    /// `max(ln(N / (df + 1)), 0)` (PECOS). A feature of every document weighs nothing.
    Pecos {
        /// Adds 1 to `df` (PECOS's `smooth_idf`, which it has on).
        smooth: bool,
        /// Adds 1 to the result.
        add_one: bool,
    },
}

impl Idf {
    /// The weight of a feature that occurs in `df` of `n_samples` documents, `df >= 1`.
    pub(crate) fn weight(self, n_samples: usize, df: u32) -> f32 {
        let (n, df) = (n_samples as f64, f64::from(df));
        let weight = match self {
            Self::None => 1.0,
            Self::Smooth => ((n + 1.0) / (df + 1.0)).ln() + 1.0,
            Self::Plain => (n / df).ln() + 1.0,
            Self::Pecos { smooth, add_one } => {
                let df = df + f64::from(u8::from(smooth));
                (n / df).ln().max(0.0) + f64::from(u8::from(add_one))
            }
        };
        weight as f32
    }
}

/// What a row (or the block of one vectoriser in it) is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Nothing.
    None,
    /// The sum of absolute values.
    L1,
    /// The Euclidean norm.
    #[default]
    L2,
}

/// One vectoriser: a vocabulary of n-grams and how they are weighted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VectorizerParams {
    /// What an n-gram is made of. Default: words.
    pub analyzer: Analyzer,
    /// Shortest and longest n-gram, in words or characters. Default: 1 to 2.
    pub ngram_range: (usize, usize),
    /// How words are cut. Default: Unicode words without punctuation.
    pub tokenizer: Tokenizer,
    /// An n-gram must occur in at least this many documents. Default: 2.
    pub min_df: DocFrequency,
    /// An n-gram must occur in at most this many documents. Default: all.
    pub max_df: DocFrequency,
    /// Keep the n-grams with the most occurrences in the corpus (in documents when `binary`); ties go to
    /// the smaller n-gram in byte order. Default: all.
    pub max_features: Option<usize>,
    /// Replace a term frequency `tf` by `1 + ln(tf)`. Default: no.
    pub sublinear_tf: bool,
    /// Replace every term frequency by 1. Default: no.
    pub binary: bool,
    /// The inverse document frequency. Default: scikit-learn's smooth one.
    pub idf: Idf,
    /// What the block of this vectoriser is divided by. Default: its Euclidean norm.
    pub norm: Norm,
    /// Use only the first words ([`Analyzer::Char`]: characters) of a text. Default: all.
    pub truncate_tokens: Option<usize>,
    /// The block is multiplied by this after its norm is taken. Default: 1.
    pub weight: f32,
}

impl Default for VectorizerParams {
    fn default() -> Self {
        Self {
            analyzer: Analyzer::Word,
            ngram_range: (1, 2),
            tokenizer: Tokenizer::Unicode,
            min_df: DocFrequency::Count(2),
            max_df: DocFrequency::Ratio(1.0),
            max_features: None,
            sublinear_tf: false,
            binary: false,
            idf: Idf::Smooth,
            norm: Norm::L2,
            truncate_tokens: None,
            weight: 1.0,
        }
    }
}

/// Generates consuming setters, one for each field.
macro_rules! setters {
    ($($(#[$doc:meta])* $field:ident: $type:ty),* $(,)?) => {
        $($(#[$doc])*
        #[must_use]
        pub fn $field(mut self, $field: $type) -> Self {
            self.$field = $field;
            self
        })*
    };
}

impl VectorizerParams {
    /// Word n-grams of `min` to `max` words.
    pub fn words(min: usize, max: usize) -> Self {
        Self { ngram_range: (min, max), ..Self::default() }
    }

    /// Character n-grams of `min` to `max` characters that do not cross words.
    pub fn char_wb(min: usize, max: usize) -> Self {
        Self { analyzer: Analyzer::CharWb, ngram_range: (min, max), ..Self::default() }
    }

    setters! {
        /// Sets what an n-gram is made of.
        analyzer: Analyzer,
        /// Sets the shortest and the longest n-gram.
        ngram_range: (usize, usize),
        /// Sets how words are cut.
        tokenizer: Tokenizer,
        /// Sets the smallest document frequency.
        min_df: DocFrequency,
        /// Sets the largest document frequency.
        max_df: DocFrequency,
        /// Sets the largest number of features.
        max_features: Option<usize>,
        /// Sets whether term frequencies are dampened to `1 + ln(tf)`.
        sublinear_tf: bool,
        /// Sets whether term frequencies are replaced by 1.
        binary: bool,
        /// Sets the inverse document frequency.
        idf: Idf,
        /// Sets the norm of this block.
        norm: Norm,
        /// Sets the number of words (or characters) that are looked at.
        truncate_tokens: Option<usize>,
        /// Sets the weight of this block in the concatenation.
        weight: f32,
    }

    fn check(&self, vectorizer: usize) -> Result<(), TfIdfError> {
        let (min, max) = self.ngram_range;
        if min == 0 || min > max {
            return Err(TfIdfError::NgramRange { vectorizer, min, max });
        }
        for (name, bound) in [("min_df", self.min_df), ("max_df", self.max_df)] {
            if let DocFrequency::Ratio(found) = bound
                && !(0.0..=1.0).contains(&found)
            {
                return Err(TfIdfError::DocFrequencyRatio { vectorizer, name, found });
            }
        }
        for (name, limit) in [("max_features", self.max_features), ("truncate_tokens", self.truncate_tokens)]
        {
            if limit == Some(0) {
                return Err(TfIdfError::ZeroLimit { vectorizer, name });
            }
        }
        if !(self.weight.is_finite() && self.weight > 0.0) {
            return Err(TfIdfError::Weight { vectorizer, found: self.weight });
        }
        Ok(())
    }
}

/// How texts become rows: normalisation, one or more vectorisers side by side, and the norm of the whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TfIdfParams {
    /// Bring text into Unicode Normalization Form KC (ligatures, full-width letters …). Default: yes.
    pub nfkc: bool,
    /// Remove distinctions of case by full Unicode case folding (`ß` becomes `ss`). Default: yes.
    pub fold_case: bool,
    /// The vectorisers; their features are numbered one after the other. Default: words 1–2.
    pub vectorizers: Vec<VectorizerParams>,
    /// What a row is divided by when there are several vectorisers; with one, its own norm is the last
    /// word. Default: the Euclidean norm, as in PECOS.
    pub norm: Norm,
}

impl Default for TfIdfParams {
    fn default() -> Self {
        Self { nfkc: true, fold_case: true, vectorizers: vec![VectorizerParams::default()], norm: Norm::L2 }
    }
}

impl TfIdfParams {
    /// What PECOS's `Tfidf` computes for word n-grams: text as it is, cut at spaces, every n-gram kept,
    /// raw term frequencies, `max(ln(N / (df + 1)), 0)`, Euclidean norm. PECOS's own default is 1 to 1.
    pub fn pecos(min: usize, max: usize) -> Self {
        let words = VectorizerParams::words(min, max)
            .tokenizer(Tokenizer::Space)
            .min_df(DocFrequency::Count(1))
            .idf(Idf::Pecos { smooth: true, add_one: false });
        Self { nfkc: false, fold_case: false, vectorizers: vec![words], norm: Norm::L2 }
    }

    setters! {
        /// Sets whether text is brought into Normalization Form KC.
        nfkc: bool,
        /// Sets whether distinctions of case are removed.
        fold_case: bool,
        /// Sets the vectorisers.
        vectorizers: Vec<VectorizerParams>,
        /// Sets the norm of the whole row.
        norm: Norm,
    }

    /// Checks every parameter.
    ///
    /// # Errors
    /// The first parameter that makes no sense, as a [`TfIdfError`].
    pub fn check(self) -> Result<TfIdfValidParams, TfIdfError> {
        if self.vectorizers.is_empty() {
            return Err(TfIdfError::NoVectorizers);
        }
        self.vectorizers.iter().enumerate().try_for_each(|(at, params)| params.check(at))?;
        Ok(TfIdfValidParams(self))
    }
}

/// Parameters that passed [`TfIdfParams::check`]: ready to [`fit`](Self::fit).
#[derive(Debug, Clone, PartialEq)]
pub struct TfIdfValidParams(pub(crate) TfIdfParams);

impl TfIdfValidParams {
    /// The parameters as they were given.
    pub fn as_params(&self) -> &TfIdfParams {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(vectorizer: VectorizerParams) -> Result<TfIdfValidParams, TfIdfError> {
        TfIdfParams::default().vectorizers(vec![vectorizer]).check()
    }

    #[test]
    fn each_senseless_parameter_is_named() {
        let words = VectorizerParams::default;
        assert!(matches!(TfIdfParams::default().vectorizers(vec![]).check(), Err(TfIdfError::NoVectorizers)));
        assert!(matches!(
            checked(words().ngram_range((2, 1))),
            Err(TfIdfError::NgramRange { min: 2, max: 1, .. })
        ));
        assert!(matches!(checked(words().ngram_range((0, 1))), Err(TfIdfError::NgramRange { min: 0, .. })));
        assert!(matches!(
            checked(words().max_df(DocFrequency::Ratio(1.5))),
            Err(TfIdfError::DocFrequencyRatio { name: "max_df", .. })
        ));
        assert!(matches!(
            checked(words().min_df(DocFrequency::Ratio(f64::NAN))),
            Err(TfIdfError::DocFrequencyRatio { name: "min_df", .. })
        ));
        assert!(matches!(
            checked(words().max_features(Some(0))),
            Err(TfIdfError::ZeroLimit { name: "max_features", .. })
        ));
        assert!(matches!(checked(words().weight(0.0)), Err(TfIdfError::Weight { found: 0.0, .. })));
    }

    #[test]
    fn idf_variants_follow_their_formulas() {
        assert_eq!(Idf::None.weight(10, 3), 1.0);
        assert!((Idf::Smooth.weight(9, 4) - (2f32.ln() + 1.0)).abs() < 1e-6);
        assert!((Idf::Plain.weight(8, 4) - (2f32.ln() + 1.0)).abs() < 1e-6);
        assert!((Idf::Pecos { smooth: true, add_one: false }.weight(8, 3) - 2f32.ln()).abs() < 1e-6);
        assert_eq!(Idf::Pecos { smooth: true, add_one: false }.weight(8, 8), 0.0);
        assert_eq!(Idf::Pecos { smooth: false, add_one: true }.weight(8, 8), 1.0);
    }
}
