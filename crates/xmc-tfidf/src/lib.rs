//! Text to sparse TF-IDF features.
//!
//! A text is normalised (Unicode Form KC, case-folded), cut into words or characters, and the n-grams of
//! one or several vectorisers become the columns of a sparse matrix, as with scikit-learn's
//! `TfidfVectorizer` and PECOS's `Tfidf`. Fitting and transforming run in parallel over documents and
//! give the same bytes at any thread count.
//!
//! ```
//! use xmc_tfidf::{TfIdf, VectorizerParams};
//!
//! let titles = ["The sea and the shore", "Sea birds of the northern shore", "Northern birds"];
//! let tfidf = TfIdf::params()
//!     .vectorizers(vec![VectorizerParams::words(1, 2), VectorizerParams::char_wb(3, 5)])
//!     .check()?
//!     .fit(&titles)?;
//!
//! let x = tfidf.transform(&["Birds by the SEA"]);
//! let words = tfidf.features_of(0);
//! let names = x.row(0).iter().filter(|(id, _)| words.contains(id));
//! let names: Vec<_> = names.map(|(id, _)| tfidf.feature_name(id).unwrap()).collect();
//! assert_eq!(names, ["birds", "sea", "the"]);
//! assert!((x.row(0).squared_norm() - 1.0).abs() < 1e-6);
//! # Ok::<(), xmc_tfidf::TfIdfError>(())
//! ```

mod analyze;
mod count;
mod documents;
mod error;
mod fit;
mod model;
mod normalize;
mod params;
mod store;
mod transform;
mod vocabulary;

pub use documents::Documents;
pub use error::TfIdfError;
pub use model::{TfIdf, TfIdfParts};
pub use params::{
    Analyzer, DocFrequency, Idf, Norm, TfIdfParams, TfIdfValidParams, Tokenizer, VectorizerParams,
};
pub use transform::Scratch;
pub use vocabulary::{VocabularyBuffers, VocabularyParts};
