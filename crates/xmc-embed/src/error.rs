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
    /// The model container cannot be read or written.
    #[error(transparent)]
    Store(#[from] xmc_store::StoreError),
}
