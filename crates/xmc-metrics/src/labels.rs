//! Metrics that need counts by label: macro-F1 and coverage.
//!
//! Counts are integers, so threads may add to them in any order. A prediction is counted once, at the
//! smallest cut-off that includes it; larger cut-offs are running sums. They take 8 bytes for each label and
//! cut-off, and 4 for each label.

use crate::Scores;
use crate::ranking::ratio;
use crate::scores::Metric;
use std::sync::atomic::{AtomicU32, Ordering};

/// Counts of one label and one band of ranks, from one cut-off to the next.
#[derive(Default)]
struct Count {
    hits: AtomicU32,
    predicted: AtomicU32,
}

pub(crate) struct LabelCounts {
    /// By label, then by band.
    bands: Vec<Count>,
    n_bands: usize,
    relevant: Vec<AtomicU32>,
}

impl LabelCounts {
    pub(crate) fn new(n_labels: usize, n_cutoffs: usize) -> Self {
        Self {
            bands: std::iter::repeat_with(Count::default).take(n_labels * n_cutoffs).collect(),
            n_bands: n_cutoffs,
            relevant: std::iter::repeat_with(AtomicU32::default).take(n_labels).collect(),
        }
    }

    pub(crate) fn add_relevant(&self, label: u32) {
        self.relevant[label as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_predicted(&self, label: u32, band: usize, is_hit: bool) {
        let count = &self.bands[label as usize * self.n_bands + band];
        count.predicted.fetch_add(1, Ordering::Relaxed);
        if is_hit {
            count.hits.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes the metrics at `cutoffs`, ascending.
    pub(crate) fn report(self, cutoffs: &[usize], scores: &mut Scores) {
        let mut f1 = vec![0.0; cutoffs.len()];
        let mut covered = vec![0usize; cutoffs.len()];
        let mut n_relevant = 0usize;
        for (relevant, bands) in self.relevant.iter().zip(self.bands.chunks_exact(self.n_bands)) {
            let relevant = relevant.load(Ordering::Relaxed);
            n_relevant += usize::from(relevant > 0);
            let (mut hits, mut predicted) = (0, 0);
            for (at, band) in bands.iter().enumerate() {
                hits += band.hits.load(Ordering::Relaxed);
                predicted += band.predicted.load(Ordering::Relaxed);
                f1[at] += ratio(2.0 * f64::from(hits), f64::from(predicted) + f64::from(relevant));
                covered[at] += usize::from(hits > 0);
            }
        }
        for (at, &k) in cutoffs.iter().enumerate() {
            scores.set(Metric::MacroF1, k, ratio(f1[at], self.relevant.len() as f64));
            scores.set(Metric::Coverage, k, ratio(covered[at] as f64, n_relevant as f64));
        }
    }
}
