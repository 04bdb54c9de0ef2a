//! From texts to rows.
//!
//! A row is built in buffers that are used again: n-grams are looked up where they lie, their numbers
//! sorted, and each run of equal numbers is a term frequency. Weights and norms are computed in `f64`.

use crate::analyze::Grams;
use crate::vocabulary::{Query, VocabularyParts};
use crate::{Documents, Norm, TfIdf, VectorizerParams};
use rayon::prelude::*;
use std::ops::Range;
use xmc_sparse::{Csr, NoProgress, Progress, SparseRow};

/// Documents that a thread takes at a time.
const CHUNK_DOCUMENTS: usize = 512;
/// Chunks for each thread that wait to be appended to the result: bounds the memory beside it.
const CHUNKS_PER_THREAD: usize = 16;

/// N-grams that are looked up in step: enough to overlap their waits, few enough for the nearest cache.
const QUEUE: usize = 128;

/// Buffers of [`TfIdf::transform_into`]. Used again and again, they stop allocating.
#[derive(Debug, Default)]
pub struct Scratch {
    work: Work,
    rows: Rows,
}

#[derive(Debug, Default)]
struct Work {
    normalized: String,
    look_up: LookUp,
}

#[derive(Debug, Default)]
struct LookUp {
    grams: Grams,
    queue: Vec<Query>,
    ids: Vec<u32>,
}

impl LookUp {
    /// Leaves the sorted numbers of the features in `text`, with repetitions, in `ids`.
    fn run(&mut self, text: &str, params: &VectorizerParams, vocabulary: &VocabularyParts<'_>) {
        let Self { grams, queue, ids } = self;
        grams.cut(text, params);
        ids.clear();
        grams.for_each(params, |range| {
            queue.push(Query::new(grams.bytes(), range));
            if queue.len() == QUEUE {
                vocabulary.find_all(grams.bytes(), queue, ids);
            }
        });
        vocabulary.find_all(grams.bytes(), queue, ids);
        ids.sort_unstable();
    }
}

/// Rows end to end.
#[derive(Debug, Default)]
struct Rows {
    ends: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<f32>,
}

impl Rows {
    fn clear(&mut self) {
        self.ends.clear();
        self.indices.clear();
        self.values.clear();
    }

    fn append(&mut self, other: &Self) {
        let base = self.indices.len();
        self.ends.extend(other.ends.iter().map(|end| base + end));
        self.indices.extend_from_slice(&other.indices);
        self.values.extend_from_slice(&other.values);
    }
}

impl TfIdf {
    /// The rows of `texts`: `texts.len() × n_features`. N-grams that are no feature are passed over.
    pub fn transform<D: Documents + ?Sized>(&self, texts: &D) -> Csr {
        self.transform_with_progress(texts, &NoProgress)
    }

    /// [`transform`](Self::transform), telling `progress` how far it is.
    pub fn transform_with_progress<D: Documents + ?Sized>(&self, texts: &D, progress: &dyn Progress) -> Csr {
        let n_samples = texts.len();
        progress.begin("weigh n-grams", Some(n_samples as u64), "texts");
        let mut rows = Rows { ends: vec![0], ..Rows::default() };
        let window = CHUNK_DOCUMENTS * CHUNKS_PER_THREAD * rayon::current_num_threads();
        for start in (0..n_samples).step_by(window) {
            let chunks = self.chunks(texts, start..n_samples.min(start + window), progress);
            chunks.iter().for_each(|chunk| rows.append(chunk));
        }
        progress.end();
        Csr::new(n_samples, self.n_features(), rows.ends, rows.indices, rows.values)
            .expect("invariant: rows have increasing indices below n_features and finite values")
    }

    fn chunks<D: Documents + ?Sized>(
        &self,
        texts: &D,
        range: Range<usize>,
        progress: &dyn Progress,
    ) -> Vec<Rows> {
        (0..range.len().div_ceil(CHUNK_DOCUMENTS))
            .into_par_iter()
            .map_init(Work::default, |work, chunk| {
                let start = range.start + chunk * CHUNK_DOCUMENTS;
                let end = range.end.min(start + CHUNK_DOCUMENTS);
                let mut rows = Rows::default();
                (start..end).for_each(|document| self.push_row(texts.get(document), work, &mut rows));
                progress.advance((end - start) as u64);
                rows
            })
            .collect()
    }

    /// The row of one text, in `scratch`. Without allocation once `scratch` has seen a text as long.
    pub fn transform_into<'s>(&self, text: &str, scratch: &'s mut Scratch) -> SparseRow<'s> {
        scratch.rows.clear();
        self.push_row(text, &mut scratch.work, &mut scratch.rows);
        SparseRow { indices: &scratch.rows.indices, values: &scratch.rows.values }
    }

    fn push_row(&self, text: &str, work: &mut Work, rows: &mut Rows) {
        let row_start = rows.values.len();
        let text = self.params.normalized(text, &mut work.normalized);
        for (vectorizer, params) in self.params.vectorizers.iter().enumerate() {
            let vocabulary = self.vocabularies[vectorizer].parts();
            work.look_up.run(text, params, &vocabulary);
            let first = self.features_of(vectorizer).start;
            let block_start = rows.values.len();
            push_weights(&work.look_up.ids, params, &vocabulary, first, rows);
            scale(&mut rows.values[block_start..], params.norm, f64::from(params.weight));
        }
        if self.vocabularies.len() > 1 {
            scale(&mut rows.values[row_start..], self.params.norm, 1.0);
        }
        rows.ends.push(rows.values.len());
    }
}

/// Appends `tf · idf` for each distinct number in `ids`. What weighs nothing is left out.
fn push_weights(
    ids: &[u32],
    params: &VectorizerParams,
    vocabulary: &VocabularyParts<'_>,
    first: u32,
    rows: &mut Rows,
) {
    for run in ids.chunk_by(|a, b| a == b) {
        let idf = f64::from(vocabulary.idf[run[0] as usize]);
        let value = (term_weight(run.len(), params) * idf) as f32;
        // A damaged model may hold anything: what is not finite is no weight.
        if value != 0.0 && value.is_finite() {
            rows.indices.push(first + run[0]);
            rows.values.push(value);
        }
    }
}

fn term_weight(tf: usize, params: &VectorizerParams) -> f64 {
    match (params.binary, params.sublinear_tf) {
        (true, _) => 1.0,
        (false, true) => (tf as f64).ln() + 1.0,
        (false, false) => tf as f64,
    }
}

/// Divides by the norm and multiplies by `weight`. A row of zeros stays as it is.
fn scale(values: &mut [f32], norm: Norm, weight: f64) {
    let size = match norm {
        Norm::None => 1.0,
        Norm::L1 => values.iter().map(|&v| f64::from(v).abs()).sum::<f64>(),
        Norm::L2 => values.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt(),
    };
    let factor = weight / size;
    if size > 0.0 && factor != 1.0 {
        values.iter_mut().for_each(|v| *v = (f64::from(*v) * factor) as f32);
    }
}
