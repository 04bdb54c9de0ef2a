//! Many texts to a matrix, by way of a cache.
//!
//! An encoder may take minutes for what a training reads in seconds, and trainings are repeated. So vectors are kept, text by
//! text: a corpus that has grown costs its new texts, and a run that was interrupted costs what it had not written.

use crate::cache::{Cache, Key};
use crate::{EmbedError, TextEncoder};
use ndarray::Array2;
use rayon::prelude::*;
use std::path::Path;
use xmc_sparse::Progress;
use xmc_tfidf::Documents;

/// Texts encoded, and with a cache written to disk, at a time: half a minute of work for a small transformer on two cores.
const SLAB: usize = 16_384;

/// What [`embed`] can run into.
#[derive(Debug, thiserror::Error)]
pub enum EncodingError<E: std::error::Error + 'static> {
    /// The encoder failed.
    #[error(transparent)]
    Encoder(E),
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] EmbedError),
}

/// The vectors of all `texts`, `texts.len() × n_dims`. With a directory `cache` those that are there are taken from it, and
/// the others are added to it; several processes may share it.
///
/// # Errors
/// What the encoder runs into, and a cache that cannot be read or written.
pub fn embed<E: TextEncoder>(
    encoder: &E,
    texts: &(impl Documents + ?Sized),
    cache: Option<&Path>,
    progress: &dyn Progress,
) -> Result<Array2<f32>, EncodingError<E::Error>> {
    let (n_rows, n_dims) = (texts.len(), encoder.n_dims());
    let mut rows = vec![0.0; n_rows * n_dims];
    progress.begin("embed", Some(n_rows as u64), "texts");
    match cache {
        None => encode_all(encoder, texts, progress, &mut rows)?,
        Some(dir) => encode_new(encoder, texts, dir, progress, &mut rows)?,
    }
    progress.end();
    Ok(Array2::from_shape_vec((n_rows, n_dims), rows).expect("invariant: a row for each text"))
}

fn encode_all<E: TextEncoder>(
    encoder: &E,
    texts: &(impl Documents + ?Sized),
    progress: &dyn Progress,
    rows: &mut [f32],
) -> Result<(), EncodingError<E::Error>> {
    let slabs = rows.chunks_mut((SLAB * encoder.n_dims()).max(1));
    for (slab, out) in slabs.enumerate() {
        let start = slab * SLAB;
        let of_slab: Vec<&str> = (start..texts.len().min(start + SLAB)).map(|text| texts.get(text)).collect();
        encoder.encode(&of_slab, progress, out).map_err(EncodingError::Encoder)?;
    }
    Ok(())
}

fn encode_new<E: TextEncoder>(
    encoder: &E,
    texts: &(impl Documents + ?Sized),
    dir: &Path,
    progress: &dyn Progress,
    rows: &mut [f32],
) -> Result<(), EncodingError<E::Error>> {
    let n_dims = encoder.n_dims();
    let cache = Cache::open(dir, encoder.fingerprint(), n_dims)?;
    let keys: Vec<Key> = (0..texts.len()).into_par_iter().map(|text| Key::of(texts.get(text))).collect();
    let missing = cache.fill(&keys, rows);
    progress.advance((keys.len() - missing.len()) as u64);
    let mut vectors = vec![0.0; SLAB.min(missing.len()) * n_dims];
    for slab in missing.chunks(SLAB) {
        let of_slab: Vec<&str> = slab.iter().map(|&text| texts.get(text)).collect();
        let vectors = &mut vectors[..slab.len() * n_dims];
        encoder.encode(&of_slab, progress, vectors).map_err(EncodingError::Encoder)?;
        for (&text, vector) in slab.iter().zip(vectors.chunks_exact(n_dims)) {
            rows[text * n_dims..][..n_dims].copy_from_slice(vector);
        }
        let of_slab: Vec<Key> = slab.iter().map(|&text| keys[text]).collect();
        cache.add(&of_slab, vectors)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use xmc_sparse::NoProgress;

    /// Length and number of words; counts what it is asked for.
    #[derive(Default)]
    struct Counting {
        asked: AtomicUsize,
        version: u64,
    }

    impl TextEncoder for Counting {
        type Error = Infallible;

        fn n_dims(&self) -> usize {
            2
        }

        fn fingerprint(&self) -> u64 {
            self.version
        }

        fn encode(&self, texts: &[&str], _: &dyn Progress, out: &mut [f32]) -> Result<(), Infallible> {
            self.asked.fetch_add(texts.len(), Ordering::Relaxed);
            for (text, row) in texts.iter().zip(out.chunks_exact_mut(2)) {
                row.copy_from_slice(&[text.len() as f32, text.split_whitespace().count() as f32]);
            }
            Ok(())
        }
    }

    #[test]
    fn rows_are_those_of_the_encoder_with_and_without_a_cache() {
        let (dir, encoder) = (tempfile::tempdir().unwrap(), Counting::default());
        let texts: Vec<String> = (0..SLAB + 10).map(|n| format!("a title of {n}")).collect();
        let plain = embed(&encoder, &texts, None, &NoProgress).unwrap();
        assert_eq!(plain.row(7).to_vec(), [12.0, 4.0]);
        for _ in 0..2 {
            assert_eq!(embed(&encoder, &texts, Some(dir.path()), &NoProgress).unwrap(), plain);
        }
        assert_eq!(encoder.asked.into_inner(), 2 * texts.len(), "without, into and out of the cache");
    }

    #[test]
    fn only_texts_that_are_new_are_encoded() {
        let (dir, encoder) = (tempfile::tempdir().unwrap(), Counting::default());
        let embed = |texts: &[&str]| embed(&encoder, texts, Some(dir.path()), &NoProgress).unwrap();
        embed(&["one", "two words"]);
        let grown = embed(&["and three words", "two words", "one"]);
        assert_eq!(grown.column(1).to_vec(), [3.0, 2.0, 1.0]);
        assert_eq!(encoder.asked.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn another_encoder_finds_nothing() {
        let (dir, other) = (tempfile::tempdir().unwrap(), Counting { version: 1, ..Counting::default() });
        embed(&Counting::default(), &["one"], Some(dir.path()), &NoProgress).unwrap();
        embed(&other, &["one"], Some(dir.path()), &NoProgress).unwrap();
        assert_eq!(other.asked.into_inner(), 1);
    }

    #[test]
    fn no_text_is_no_row() {
        let dir = tempfile::tempdir().unwrap();
        for cache in [None, Some(dir.path())] {
            let rows = embed(&Counting::default(), &[] as &[&str], cache, &NoProgress).unwrap();
            assert_eq!(rows.dim(), (0, 2));
        }
    }

    #[test]
    fn a_damaged_cache_is_named() {
        let dir = tempfile::tempdir().unwrap();
        embed(&Counting::default(), &["one"], Some(dir.path()), &NoProgress).unwrap();
        let part = crate::cache::parts(&crate::cache::folder(dir.path(), 0)).unwrap().remove(0);
        std::fs::write(part.join("keys.bin"), b"short").unwrap();
        let error = embed(&Counting::default(), &["one"], Some(dir.path()), &NoProgress).unwrap_err();
        assert!(error.to_string().contains("keys.bin"), "{error}");
    }
}
