//! From a corpus to vocabularies: count, select, number in byte order, weigh.

use crate::analyze::Grams;
use crate::count::Counts;
use crate::vocabulary::{Kept, VocabularyBuffers, sort_kept};
use crate::{Documents, TfIdf, TfIdfError, TfIdfParams, TfIdfValidParams};
use rayon::prelude::*;
use std::cmp::Reverse;
use std::sync::atomic::{AtomicU64, Ordering};
use xmc_sparse::{Csr, NoProgress, Progress};

/// Documents that a thread takes at a time when it counts occurrences.
const CHUNK_DOCUMENTS: usize = 256;

impl TfIdfValidParams {
    /// Learns the vocabularies and document frequencies of `texts`.
    ///
    /// The result depends on the texts and not on their order or the number of threads.
    ///
    /// # Errors
    /// [`TfIdfError::DocFrequencyBounds`], [`TfIdfError::EmptyVocabulary`], [`TfIdfError::TooMany`].
    pub fn fit<D: Documents + ?Sized>(&self, texts: &D) -> Result<TfIdf, TfIdfError> {
        self.fit_with_progress(texts, &NoProgress)
    }

    /// [`fit`](Self::fit), telling `progress` how far it is: one stage for each vectoriser.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub fn fit_with_progress<D: Documents + ?Sized>(
        &self,
        texts: &D,
        progress: &dyn Progress,
    ) -> Result<TfIdf, TfIdfError> {
        let vocabularies = (0..self.0.vectorizers.len())
            .map(|vectorizer| {
                progress.begin("count n-grams", Some(texts.len() as u64), "texts");
                let vocabulary = Fit { texts, params: &self.0, vectorizer }.vocabulary(progress);
                progress.end();
                vocabulary
            })
            .collect::<Result<_, _>>()?;
        TfIdf::assemble(self.0.clone(), texts.len() as u64, vocabularies)
    }

    /// Fits on `texts` and gives their rows too.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub fn fit_transform<D: Documents + ?Sized>(&self, texts: &D) -> Result<(TfIdf, Csr), TfIdfError> {
        let tfidf = self.fit(texts)?;
        let rows = tfidf.transform(texts);
        Ok((tfidf, rows))
    }
}

/// The fit of one vectoriser.
struct Fit<'a, D: ?Sized> {
    texts: &'a D,
    params: &'a TfIdfParams,
    vectorizer: usize,
}

impl<D: Documents + ?Sized> Fit<'_, D> {
    fn vocabulary(&self, progress: &dyn Progress) -> Result<VocabularyBuffers, TfIdfError> {
        let (vectorizer, n_samples) = (self.vectorizer, self.texts.len());
        let (min, max) = self.df_bounds()?;
        let counts = Counts::of(self.texts, self.params, vectorizer, progress)?;
        let mut kept: Vec<Kept<'_>> = counts
            .par_iter()
            .filter(|&(_, df)| min <= f64::from(df) && f64::from(df) <= max)
            .map(|(gram, df)| Kept::new(gram, df))
            .collect();
        if kept.is_empty() {
            return Err(TfIdfError::EmptyVocabulary { vectorizer, n_samples });
        }
        sort_kept(&mut kept);
        match self.params.vectorizers[vectorizer].max_features {
            Some(limit) if limit < kept.len() => self.build(&self.most_frequent(kept, limit)?),
            _ => self.build(&kept),
        }
    }

    fn df_bounds(&self) -> Result<(f64, f64), TfIdfError> {
        let (vectorizer, n_samples) = (self.vectorizer, self.texts.len());
        let params = &self.params.vectorizers[vectorizer];
        let (min, max) = (params.min_df.in_documents(n_samples), params.max_df.in_documents(n_samples));
        if max < min && n_samples > 0 && params.max_df != crate::DocFrequency::Ratio(1.0) {
            return Err(TfIdfError::DocFrequencyBounds { vectorizer, n_samples, min, max });
        }
        Ok((min, max))
    }

    fn build(&self, kept: &[Kept<'_>]) -> Result<VocabularyBuffers, TfIdfError> {
        let (vectorizer, n_samples) = (self.vectorizer, self.texts.len());
        let too_many = |what, found| TfIdfError::TooMany { vectorizer, what, found };
        if u32::try_from(kept.len()).is_err() {
            return Err(too_many("features", kept.len() as u64));
        }
        let idf = self.params.vectorizers[vectorizer].idf;
        VocabularyBuffers::build(kept, |df| idf.weight(n_samples, df))
            .map_err(|found| too_many("bytes of n-grams", found))
    }

    /// The `limit` n-grams with the most occurrences, still in byte order.
    fn most_frequent<'a>(&self, kept: Vec<Kept<'a>>, limit: usize) -> Result<Vec<Kept<'a>>, TfIdfError> {
        let frequencies = if self.params.vectorizers[self.vectorizer].binary {
            kept.iter().map(|gram| u64::from(gram.df)).collect()
        } else {
            self.occurrences(&self.build(&kept)?)
        };
        let mut by_frequency: Vec<usize> = (0..kept.len()).collect();
        by_frequency.select_nth_unstable_by_key(limit - 1, |&id| (Reverse(frequencies[id]), id));
        let mut chosen = vec![false; kept.len()];
        by_frequency[..limit].iter().for_each(|&id| chosen[id] = true);
        Ok(kept.into_iter().zip(chosen).filter_map(|(gram, chosen)| chosen.then_some(gram)).collect())
    }

    /// How often each n-gram of `vocabulary` occurs in the corpus. A second pass over the texts, for which
    /// the first one need not keep a counter for every n-gram that it meets.
    fn occurrences(&self, vocabulary: &VocabularyBuffers) -> Vec<u64> {
        let parts = vocabulary.parts();
        let totals: Vec<AtomicU64> = (0..parts.n_features()).map(|_| AtomicU64::new(0)).collect();
        let params = &self.params.vectorizers[self.vectorizer];
        (0..self.texts.len()).into_par_iter().with_min_len(CHUNK_DOCUMENTS).for_each_init(
            || (String::new(), Grams::default()),
            |(normalized, grams), document| {
                grams.cut(self.params.normalized(self.texts.get(document), normalized), params);
                grams.for_each(params, |range| {
                    if let Some(id) = parts.find(&grams.bytes()[range]) {
                        // Sums do not depend on the order of their terms.
                        totals[id as usize].fetch_add(1, Ordering::Relaxed);
                    }
                });
            },
        );
        totals.into_iter().map(AtomicU64::into_inner).collect()
    }
}
