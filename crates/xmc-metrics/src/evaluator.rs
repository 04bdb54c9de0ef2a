//! The pass over all instances.
//!
//! Linear in the number of true labels and of predictions up to the largest cut-off (times the logarithm
//! of a row's length), parallel over blocks of instances.

use crate::labels::LabelCounts;
use crate::ranking::{Discounts, Instance, Sums};
use crate::{Metric, MetricsError, Propensities, Result, Scores};
use rayon::prelude::*;
use xmc_sparse::{Csr, RankedLists, Scored};

/// Instances of one block: fixed, as it decides the order in which numbers are added.
const BLOCK: usize = 4096;

/// Computes all metrics at given cut-offs.
#[derive(Debug, Clone)]
pub struct Evaluator {
    /// Ascending, distinct, not empty, from 1.
    cutoffs: Vec<usize>,
    propensities: Option<Propensities>,
}

impl Evaluator {
    /// Metrics at the cut-offs `at`, in any order.
    ///
    /// # Errors
    /// [`MetricsError::NoCutoff`], [`MetricsError::ZeroCutoff`].
    pub fn new(at: impl IntoIterator<Item = usize>) -> Result<Self> {
        let mut cutoffs: Vec<usize> = at.into_iter().collect();
        cutoffs.sort_unstable();
        cutoffs.dedup();
        match cutoffs.first() {
            None => Err(MetricsError::NoCutoff),
            Some(0) => Err(MetricsError::ZeroCutoff),
            Some(_) => Ok(Self { cutoffs, propensities: None }),
        }
    }

    /// Adds the propensity-scored metrics.
    #[must_use]
    pub fn with_propensities(mut self, propensities: Propensities) -> Self {
        self.propensities = Some(propensities);
        self
    }

    /// The cut-offs, ascending. A list needs no more labels than the last of them.
    pub fn cutoffs(&self) -> &[usize] {
        &self.cutoffs
    }

    /// Compares `predictions` with `truth` (`n_samples × n_labels`), row by row.
    ///
    /// # Errors
    /// [`MetricsError::NoRows`], [`MetricsError::Rows`], [`MetricsError::PropensityLabels`], and
    /// [`MetricsError::LabelOutOfRange`] or [`MetricsError::DuplicateLabel`] for the first list that has
    /// one within the largest cut-off.
    pub fn evaluate(&self, truth: &Csr, predictions: &RankedLists) -> Result<Scores> {
        self.check(truth, predictions)?;
        let pass = self.pass(truth, predictions);
        let blocks = (0..truth.n_rows().div_ceil(BLOCK)).into_par_iter();
        let blocks: Vec<Result<Vec<Sums>>> = blocks.map(|block| pass.block(block)).collect();
        let mut total = vec![Sums::default(); self.cutoffs.len()];
        for block in blocks {
            total.iter_mut().zip(block?).for_each(|(total, sums)| total.add(&sums));
        }
        let mut scores = Scores::new(truth.n_rows());
        for (sums, &k) in total.iter().zip(&self.cutoffs) {
            sums.report(k, truth.n_rows(), self.propensities.is_some(), &mut scores);
        }
        pass.counts.report(&self.cutoffs, &mut scores);
        Ok(scores)
    }

    /// `metric` at cut-off `k` of each instance, from 0 to 1: what paired comparisons of two models need. Precision,
    /// recall and nDCG are means over instances; the others are not.
    ///
    /// ```
    /// use xmc_metrics::{Evaluator, Metric};
    /// # use xmc_sparse::{Csr, RankedLists, Scored};
    /// # let truth = Csr::from_rows(2, [vec![(0, 1.0)], vec![(1, 1.0)]]).unwrap();
    /// # let mut lists = RankedLists::new();
    /// # (0..2).for_each(|_| lists.push(&[Scored { id: 0, score: 1.0 }]));
    /// assert_eq!(Evaluator::per_instance(Metric::Precision, 1, &truth, &lists)?, [1.0, 0.0]);
    /// # Ok::<(), xmc_metrics::MetricsError>(())
    /// ```
    ///
    /// # Errors
    /// [`MetricsError::NotPerInstance`], and those of [`Evaluator::evaluate`].
    pub fn per_instance(
        metric: Metric,
        k: usize,
        truth: &Csr,
        predictions: &RankedLists,
    ) -> Result<Vec<f64>> {
        let evaluator = Self::new([k])?;
        evaluator.check(truth, predictions)?;
        let pass = evaluator.pass(truth, predictions);
        let mut scratch = Scratch::default();
        let values = (0..truth.n_rows()).map(|row| {
            let mut sums = [Sums::default()];
            pass.instance(row, &mut scratch, &mut sums)?;
            sums[0].of_instance(metric, k).ok_or(MetricsError::NotPerInstance { metric })
        });
        values.collect()
    }

    fn pass<'a>(&'a self, truth: &'a Csr, predictions: &'a RankedLists) -> Pass<'a> {
        Pass {
            evaluator: self,
            truth,
            predictions,
            discounts: Discounts::new(self.depth().min(truth.n_cols())),
            counts: LabelCounts::new(truth.n_cols(), self.cutoffs.len()),
        }
    }

    fn check(&self, truth: &Csr, predictions: &RankedLists) -> Result<()> {
        let (expected, found) = (truth.n_rows(), predictions.n_rows());
        if expected != found {
            return Err(MetricsError::Rows { expected, found });
        }
        if expected == 0 {
            return Err(MetricsError::NoRows);
        }
        let expected = truth.n_cols();
        match &self.propensities {
            Some(weights) if weights.inverse().len() != expected => {
                Err(MetricsError::PropensityLabels { expected, found: weights.inverse().len() })
            }
            _ => Ok(()),
        }
    }

    /// The largest cut-off.
    fn depth(&self) -> usize {
        self.cutoffs.last().copied().expect("invariant: there is a cut-off")
    }
}

/// One evaluation in progress.
struct Pass<'a> {
    evaluator: &'a Evaluator,
    truth: &'a Csr,
    predictions: &'a RankedLists,
    discounts: Discounts,
    counts: LabelCounts,
}

/// Memory that the instances of a block take turns in using.
#[derive(Default)]
struct Scratch {
    relevant: Vec<u32>,
    sorted: Vec<u32>,
    weights: Vec<f64>,
}

impl Pass<'_> {
    fn block(&self, block: usize) -> Result<Vec<Sums>> {
        let rows = block * BLOCK..((block + 1) * BLOCK).min(self.truth.n_rows());
        let mut sums = vec![Sums::default(); self.evaluator.cutoffs.len()];
        let mut scratch = Scratch::default();
        for row in rows {
            self.instance(row, &mut scratch, &mut sums)?;
        }
        Ok(sums)
    }

    fn instance(&self, row: usize, scratch: &mut Scratch, sums: &mut [Sums]) -> Result<()> {
        let list = self.predictions.row(row);
        let list = &list[..list.len().min(self.evaluator.depth())];
        check_list(row, list, self.truth.n_cols(), &mut scratch.sorted)?;
        let truth = self.truth.row(row).iter();
        scratch.relevant.clear();
        scratch.relevant.extend(truth.filter(|(_, value)| *value > 0.0).map(|(label, _)| label));
        let relevant = &scratch.relevant;
        relevant.iter().for_each(|&label| self.counts.add_relevant(label));

        let weights = self.evaluator.propensities.as_ref();
        let mut instance = Instance::new(&self.discounts, weights, relevant, &mut scratch.weights);
        let mut read = 0;
        for (band, (&k, sums)) in self.evaluator.cutoffs.iter().zip(sums).enumerate() {
            let end = k.min(list.len());
            for item in &list[std::mem::replace(&mut read, end)..end] {
                let is_hit = relevant.binary_search(&item.id).is_ok();
                self.counts.add_predicted(item.id, band, is_hit);
                instance.push(item.id, is_hit);
            }
            sums.add(&instance.at(k));
        }
        Ok(())
    }
}

/// Labels of a list must exist and be distinct.
fn check_list(row: usize, list: &[Scored], n_labels: usize, sorted: &mut Vec<u32>) -> Result<()> {
    sorted.clear();
    sorted.extend(list.iter().map(|item| item.id));
    sorted.sort_unstable();
    if let Some(&label) = sorted.last().filter(|&&label| label as usize >= n_labels) {
        return Err(MetricsError::LabelOutOfRange { row, label, n_labels });
    }
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(MetricsError::DuplicateLabel { row, label: pair[0] }),
        None => Ok(()),
    }
}
