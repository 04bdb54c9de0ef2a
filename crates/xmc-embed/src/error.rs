//! Every way that making, loading or using a token table or a cache can fail.

use std::path::PathBuf;

/// Damaged or unfitting parts, files that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbedError {
    /// A file of the cache cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A part of the cache has vectors of another width.
    #[error(
        "{}: expected {expected} values for its texts, found {found}: remove it, and its texts are encoded again",
        path.display()
    )]
    CachePart {
        /// The part.
        path: PathBuf,
        /// The number of values expected.
        expected: usize,
        /// The number found.
        found: usize,
    },
    /// A section of a token table is not as large as the others say.
    #[error("{section}: expected {expected} entries, found {found}")]
    TableSize {
        /// The section.
        section: String,
        /// The number of entries expected.
        expected: usize,
        /// The number found.
        found: usize,
    },
    /// A directory that holds something else than a token table.
    #[error("{}: this is no table of token vectors; xmc distill makes one", path.display())]
    NotATable {
        /// The directory.
        path: PathBuf,
    },
    /// A parameter out of range.
    #[error("{name} is {found}, expected a number above 0")]
    Param {
        /// The parameter.
        name: &'static str,
        /// The value found.
        found: f64,
    },
    /// Nothing to make a table from.
    #[error(
        "there is no text to make a table of token vectors from, or an encoder of vectors without numbers"
    )]
    NoTexts,
    /// The tokens of a table cannot be made or read.
    #[error(transparent)]
    Tokens(#[from] xmc_tfidf::TfIdfError),
    /// The model container cannot be read or written.
    #[error(transparent)]
    Store(#[from] xmc_store::StoreError),
}
