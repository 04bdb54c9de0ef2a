//! What every encoder offers, whatever it is made of.

use xmc_sparse::Progress;

/// Turns texts into vectors of fixed width.
pub trait TextEncoder: Send + Sync {
    /// What can go wrong.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Width of a vector.
    fn n_dims(&self) -> usize;

    /// A number that is the same for encoders that give the same vectors, and else differs: embeddings are kept under it.
    fn fingerprint(&self) -> u64;

    /// The vectors of `texts`, row by row into `out` (`texts.len() × n_dims`): of length 1, or zero for a text of which the
    /// encoder knows nothing. Reports finished texts. The result of a text does not depend on the others.
    ///
    /// # Errors
    /// What the encoder can run into.
    fn encode(&self, texts: &[&str], progress: &dyn Progress, out: &mut [f32]) -> Result<(), Self::Error>;
}
