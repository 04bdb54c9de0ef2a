//! An encoder that is a table: a text's vector is the sum of its tokens' vectors.
//!
//! No network runs when a text comes: its words are looked up, weighed and added, which takes microseconds on one thread. What the
//! vectors know comes from a large encoder that the table was distilled from. Tables of a transformer's own vectors for single
//! tokens are known as model2vec; here they are besides fitted to what the encoder says about whole texts.

mod store;
mod vectors;

pub use vectors::Precision;

use crate::{EmbedError, TextEncoder};
use ndarray::ArrayView2;
use rayon::prelude::*;
use std::convert::Infallible;
use vectors::TokenVectors;
use xmc_sparse::Progress;
use xmc_tfidf::{Scratch, TfIdf};
use xxhash_rust::xxh3::Xxh3;

/// Texts that a thread takes at a time.
const CHUNK: usize = 256;

/// Tokens, their weights and their vectors. Cheap to clone: clones share the arrays.
///
/// ```
/// use xmc_embed::{Precision, StaticTable, TableScratch};
/// use xmc_tfidf::{DocFrequency, TfIdf, VectorizerParams};
///
/// let words = VectorizerParams::words(1, 1).min_df(DocFrequency::Count(1));
/// let tokens = TfIdf::params().vectorizers(vec![words]).check()?.fit(&["sea", "shore"])?;
/// let table = StaticTable::new(tokens, ndarray::arr2(&[[1.0, 0.0], [0.0, 1.0]]).view(), Precision::F16)?;
///
/// let (mut scratch, mut vector) = (TableScratch::default(), [0.0; 2]);
/// table.encode_into("Sea and shore", &mut scratch, &mut vector);
/// assert_eq!(vector, [0.5f32.sqrt(); 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct StaticTable {
    tokens: TfIdf,
    vectors: TokenVectors,
    fingerprint: u64,
}

/// Buffers of [`StaticTable::encode_into`]. Used again and again, they stop allocating.
#[derive(Debug, Default)]
pub struct TableScratch(Scratch);

impl StaticTable {
    /// A table of the features of `tokens`, one vector each (`n_features × n_dims`, finite), rounded to `precision`.
    ///
    /// # Errors
    /// [`EmbedError::TableSize`] when there is not one vector for each token, or the vectors have no numbers.
    pub fn new(
        tokens: TfIdf,
        vectors: ArrayView2<'_, f32>,
        precision: Precision,
    ) -> Result<Self, EmbedError> {
        if vectors.nrows() != tokens.n_features() {
            let (expected, found) = (tokens.n_features(), vectors.nrows());
            return Err(EmbedError::TableSize { section: "vectors".to_owned(), expected, found });
        }
        if vectors.ncols() == 0 {
            return Err(EmbedError::TableSize { section: "width".to_owned(), expected: 1, found: 0 });
        }
        let vectors = TokenVectors::new(vectors, precision);
        let fingerprint = fingerprint(&tokens, &vectors);
        Ok(Self { tokens, vectors, fingerprint })
    }

    /// Number of tokens.
    pub fn n_tokens(&self) -> usize {
        self.tokens.n_features()
    }

    /// How texts are cut into tokens and what each weighs.
    pub fn tokens(&self) -> &TfIdf {
        &self.tokens
    }

    /// How the vectors are kept.
    pub fn precision(&self) -> Precision {
        self.vectors.precision()
    }

    /// The vector of one token, without its weight; zeros when there is no such token.
    pub fn vector(&self, token: u32) -> Vec<f32> {
        self.vectors.vector(token)
    }

    /// The vector of `text`, of length 1, or zero when it has no known token. Without allocation once `scratch` has seen
    /// a text as long. Panics when `out` is not [`n_dims`](TextEncoder::n_dims) long.
    pub fn encode_into(&self, text: &str, scratch: &mut TableScratch, out: &mut [f32]) {
        assert_eq!(out.len(), self.vectors.n_dims(), "a vector is as long as the table is wide");
        self.vectors.weighted_sum(self.tokens.transform_into(text, &mut scratch.0), out);
        normalize(out);
    }
}

impl TextEncoder for StaticTable {
    type Error = Infallible;

    fn n_dims(&self) -> usize {
        self.vectors.n_dims()
    }

    fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    fn encode(&self, texts: &[&str], progress: &dyn Progress, out: &mut [f32]) -> Result<(), Infallible> {
        let n_dims = self.n_dims();
        assert_eq!(out.len(), texts.len() * n_dims, "a row for each text");
        texts.par_chunks(CHUNK).zip(out.par_chunks_mut(CHUNK * n_dims)).for_each_init(
            TableScratch::default,
            |scratch, (texts, rows)| {
                for (text, row) in texts.iter().zip(rows.chunks_exact_mut(n_dims)) {
                    self.encode_into(text, scratch, row);
                }
                progress.advance(texts.len() as u64);
            },
        );
        Ok(())
    }
}

/// To length 1. What has no length (a text without tokens, numbers of a damaged file) becomes zeros.
pub(crate) fn normalize(vector: &mut [f32]) {
    let length = vector.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt();
    let factor = if length > 0.0 && length.is_finite() { 1.0 / length } else { 0.0 };
    vector.iter_mut().for_each(|v| *v = if factor > 0.0 { (f64::from(*v) * factor) as f32 } else { 0.0 });
}

fn fingerprint(tokens: &TfIdf, vectors: &TokenVectors) -> u64 {
    let mut hash = Xxh3::new();
    let parts = tokens.parts();
    // Every field of the parameters is in there, and floats as the shortest text that reads back.
    hash.update(format!("{:?} {}", parts.params, vectors.n_dims()).as_bytes());
    for vocabulary in &parts.vocabularies {
        hash.update(vocabulary.bytes);
        hash.update(bytemuck::cast_slice(vocabulary.offsets));
        hash.update(bytemuck::cast_slice(vocabulary.idf));
    }
    vectors.parts().iter().for_each(|part| hash.update(part));
    hash.digest()
}
