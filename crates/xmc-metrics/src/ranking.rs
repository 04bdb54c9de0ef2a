//! Metrics that are sums over instances: precision, recall, nDCG and their propensity-scored forms.
//!
//! Sums are taken over blocks of instances of a fixed size and added block by block, so that the result
//! does not depend on the number of threads.

use crate::{Propensities, Scores, scores::Metric};

/// Sums at one cut-off.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sums {
    hits: u64,
    predicted: u64,
    relevant: u64,
    recall: f64,
    ndcg: f64,
    weighted: f64,
    best_weighted: f64,
    weighted_ndcg: f64,
    best_weighted_ndcg: f64,
}

impl Sums {
    pub(crate) fn add(&mut self, other: &Self) {
        self.hits += other.hits;
        self.predicted += other.predicted;
        self.relevant += other.relevant;
        self.recall += other.recall;
        self.ndcg += other.ndcg;
        self.weighted += other.weighted;
        self.best_weighted += other.best_weighted;
        self.weighted_ndcg += other.weighted_ndcg;
        self.best_weighted_ndcg += other.best_weighted_ndcg;
    }

    /// `metric` at cut-off `k` of one instance, if it is a mean over instances.
    pub(crate) fn of_instance(&self, metric: Metric, k: usize) -> Option<f64> {
        match metric {
            Metric::Precision => Some(self.hits as f64 / k as f64),
            Metric::Recall => Some(self.recall),
            Metric::Ndcg => Some(self.ndcg),
            _ => None,
        }
    }

    /// Writes the metrics at cut-off `k` over `n` instances.
    pub(crate) fn report(&self, k: usize, n: usize, propensities: bool, scores: &mut Scores) {
        let (hits, rows) = (self.hits as f64, n as f64);
        scores.set(Metric::Precision, k, hits / (rows * k as f64));
        scores.set(Metric::Recall, k, self.recall / rows);
        scores.set(Metric::Ndcg, k, self.ndcg / rows);
        if propensities {
            scores.set(Metric::PsPrecision, k, ratio(self.weighted, self.best_weighted));
            scores.set(Metric::PsNdcg, k, ratio(self.weighted_ndcg, self.best_weighted_ndcg));
        }
        scores.set(Metric::MicroF1, k, ratio(2.0 * hits, (self.predicted + self.relevant) as f64));
    }
}

/// 0 for nothing out of nothing.
pub(crate) fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// `1 / log2(rank + 2)` for ranks from 0, and the sums of the first of them.
pub(crate) struct Discounts {
    gain: Vec<f64>,
    /// `best[m]` is the DCG of `m` hits in front.
    best: Vec<f64>,
}

impl Discounts {
    pub(crate) fn new(depth: usize) -> Self {
        let gain: Vec<f64> = (0..depth).map(|rank| 1.0 / (rank as f64 + 2.0).log2()).collect();
        let sums = gain.iter().scan(0.0, |sum, gain| {
            *sum += gain;
            Some(*sum)
        });
        let best = std::iter::once(0.0).chain(sums).collect();
        Self { gain, best }
    }

    fn depth(&self) -> usize {
        self.gain.len()
    }
}

/// One instance while its list is read from the front.
pub(crate) struct Instance<'a> {
    discounts: &'a Discounts,
    weights: Option<&'a [f64]>,
    n_relevant: usize,
    /// Inverse propensities of the true labels, best first, as far as any cut-off reaches.
    best_weights: &'a [f64],
    rank: usize,
    hits: usize,
    dcg: f64,
    weighted: f64,
    weighted_dcg: f64,
    /// How many of `best_weights` are in the sums that follow.
    best_rank: usize,
    best_weighted: f64,
    best_weighted_dcg: f64,
}

impl<'a> Instance<'a> {
    /// An instance with true labels `relevant`; `scratch` is overwritten.
    pub(crate) fn new(
        discounts: &'a Discounts,
        propensities: Option<&'a Propensities>,
        relevant: &[u32],
        scratch: &'a mut Vec<f64>,
    ) -> Self {
        let weights = propensities.map(Propensities::inverse);
        scratch.clear();
        if let Some(weights) = weights {
            scratch.extend(relevant.iter().map(|&label| weights[label as usize]));
            scratch.sort_unstable_by(|a, b| b.total_cmp(a));
            scratch.truncate(discounts.depth());
        }
        Self {
            discounts,
            weights,
            n_relevant: relevant.len(),
            best_weights: scratch,
            rank: 0,
            hits: 0,
            dcg: 0.0,
            weighted: 0.0,
            weighted_dcg: 0.0,
            best_rank: 0,
            best_weighted: 0.0,
            best_weighted_dcg: 0.0,
        }
    }

    /// The next label of the list.
    pub(crate) fn push(&mut self, label: u32, is_hit: bool) {
        if is_hit {
            let gain = self.discounts.gain[self.rank];
            self.hits += 1;
            self.dcg += gain;
            if let Some(weights) = self.weights {
                let weight = weights[label as usize];
                self.weighted += weight;
                self.weighted_dcg += weight * gain;
            }
        }
        self.rank += 1;
    }

    /// What the labels so far add to the sums at cut-off `k`, not below earlier cut-offs.
    pub(crate) fn at(&mut self, k: usize) -> Sums {
        if self.n_relevant == 0 {
            return Sums { predicted: self.rank as u64, ..Sums::default() };
        }
        self.extend_best(k);
        let best_dcg = self.discounts.best[self.n_relevant.min(k).min(self.discounts.depth())];
        let k = k as f64;
        Sums {
            hits: self.hits as u64,
            predicted: self.rank as u64,
            relevant: self.n_relevant as u64,
            recall: self.hits as f64 / self.n_relevant as f64,
            ndcg: self.dcg / best_dcg,
            weighted: self.weighted / k,
            best_weighted: self.best_weighted / k,
            weighted_ndcg: self.weighted_dcg / best_dcg,
            best_weighted_ndcg: self.best_weighted_dcg / best_dcg,
        }
    }

    fn extend_best(&mut self, k: usize) {
        while self.best_rank < k.min(self.best_weights.len()) {
            let weight = self.best_weights[self.best_rank];
            self.best_weighted += weight;
            self.best_weighted_dcg += weight * self.discounts.gain[self.best_rank];
            self.best_rank += 1;
        }
    }
}
