//! One tree: where its labels go, and the last layer trained for it.

use crate::stages::Stages;
use crate::training_set::{TrainingSet, select_rows};
use crate::{TrainParams, XmcError};
use serde::{Deserialize, Serialize};
use xmc_sparse::{Csr, NoProgress};
use xmc_store::ModelWriter;
use xmc_tree::{DisentangleReport, Disentangled, LabelTree, SearchParams};
use xmc_xrlinear::{LeavesReport, UpperLayers, XrLinear};

/// Instances on which inner products are counted: their mean over all differs by little.
const SAMPLE: usize = 2048;

/// What label disentanglement did to one tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TreeDisentanglement {
    /// Places of labels beyond the first of each.
    pub copies: usize,
    /// Labels that have none of their former places (with several rounds: those of the round before).
    pub moved: usize,
    /// Labels that stay because no instance asks for them anywhere.
    pub unmatched: usize,
    /// Labels that stay because all clusters that they wanted were full.
    pub crowded_out: usize,
    /// Pairs of a training instance and one of its labels.
    pub positives: usize,
    /// Those that the matched clusters could find before.
    pub covered_before: usize,
    /// Those that they can find now.
    pub covered: usize,
    /// Clusters above the labels.
    pub clusters: usize,
    /// Clusters whose labels were trained; the others have the weights that they had.
    pub trained: usize,
    /// Inner products of a search with the model's own parameters, were the labels in their former places: the mean
    /// over a sample of the training instances.
    pub inner_products_before: f64,
    /// Inner products of a search now.
    pub inner_products: f64,
}

/// The training of one tree whose labels find other places.
pub(crate) struct Retraining<'a> {
    /// The parameters of this tree.
    pub(crate) params: &'a TrainParams,
    pub(crate) set: &'a TrainingSet<'a>,
    /// Number of instances that are not names of labels.
    pub(crate) n_samples: usize,
    pub(crate) writer: &'a ModelWriter,
    pub(crate) prefix: &'a str,
    pub(crate) stages: &'a Stages<'a>,
}

impl Retraining<'_> {
    /// Trains the layers of `tree` above the labels, then the labels where they belong. Returns the number of
    /// stored weights, too.
    pub(crate) fn train(&self, tree: &LabelTree) -> Result<(u64, TreeDisentanglement), XmcError> {
        let upper = self.fit_upper(tree, 1)?;
        self.settle(upper)
    }

    /// As [`Self::train`], with the layers above the labels of a trained model.
    pub(crate) fn retrain(&self, model: &XrLinear) -> Result<(u64, TreeDisentanglement), XmcError> {
        let upper = UpperLayers::of(model)?;
        if self.params.disentangle.rounds == 1 {
            upper.write(self.writer, self.prefix)?;
        }
        self.settle(upper)
    }

    /// The layers above the labels of `tree`, for round `round`: those of the last one are the model's.
    fn fit_upper(&self, tree: &LabelTree, round: usize) -> Result<UpperLayers, XmcError> {
        let passing = ModelWriter::in_memory();
        let writer = if round == self.params.disentangle.rounds { self.writer } else { &passing };
        let linear = self.params.linear.check()?;
        Ok(linear.fit_upper(self.set.instances(), tree, writer, self.prefix, self.stages)?.0)
    }

    fn settle(&self, mut upper: UpperLayers) -> Result<(u64, TreeDisentanglement), XmcError> {
        let mut assigned = self.assign(&upper)?;
        for round in 2..=self.params.disentangle.rounds {
            upper = self.fit_upper(&upper.tree().clone().with_leaves(assigned.leaves)?, round)?;
            assigned = self.assign(&upper)?;
        }
        let inner_products = self.inner_products(&upper, &assigned)?;
        let Disentangled { leaves, report, .. } = assigned;
        let linear = self.params.linear.check()?;
        let instances = self.set.instances();
        let trained = linear.fit_leaves(instances, &upper, leaves, self.writer, self.prefix, self.stages)?;
        let n_weights = upper.n_weights() + trained.training.n_weights;
        Ok((n_weights, TreeDisentanglement::new(&report, trained, inner_products)))
    }

    /// Where the labels below `upper` go.
    fn assign(&self, upper: &UpperLayers) -> Result<Disentangled, XmcError> {
        let TrainParams { disentangle, search, .. } = self.params;
        let search = disentangle.matching(search);
        let matched = match disentangle.folds {
            1 => upper.matched(&self.set.x, &search, self.stages)?,
            _ => self.cross_fitted(upper.tree(), &search)?,
        };
        let assignment = disentangle.assignment()?;
        let assigned = self.stages.time("assign", |progress| {
            progress.begin("assign", None, "labels");
            let assigned = assignment.assign(upper.tree().leaves(), &self.set.y.transpose(), &matched);
            progress.end();
            assigned
        });
        Ok(assigned?)
    }

    /// The clusters above the labels of `tree` that every instance is led to by layers that have not seen it: every
    /// part of the instances by layers trained on the other parts.
    fn cross_fitted(&self, tree: &LabelTree, search: &SearchParams) -> Result<Csr, XmcError> {
        let (linear, folds) = (self.params.linear.check()?, self.params.disentangle.folds);
        let n_rows = self.set.x.n_samples();
        let mut led: Vec<Vec<(u32, f32)>> = vec![Vec::new(); n_rows];
        for fold in 0..folds {
            // One of every few, as data may be in the order of their labels.
            let (asked, taught): (Vec<usize>, Vec<usize>) = (0..n_rows).partition(|row| row % folds == fold);
            let (set, passing) = (self.set.select_rows(&taught)?, ModelWriter::in_memory());
            let upper = linear.fit_upper(set.instances(), tree, &passing, self.prefix, self.stages)?.0;
            let lists = upper.lead(&select_rows(&self.set.x, &asked)?, search, self.stages)?;
            for (&row, list) in asked.iter().zip(lists.iter()) {
                led[row] = list.iter().map(|cluster| (cluster.id, 1.0)).collect();
            }
        }
        Ok(Csr::from_rows(tree.leaves().n_parents(), led)?)
    }

    /// Inner products of a query before and after.
    fn inner_products(&self, upper: &UpperLayers, assigned: &Disentangled) -> Result<[f64; 2], XmcError> {
        let step = self.n_samples.div_ceil(SAMPLE).max(1);
        let sample: Vec<usize> = (0..self.n_samples).step_by(step).collect();
        let leaves = [upper.tree().leaves(), &assigned.leaves];
        let rows = (&*self.set.x, &sample[..]);
        let counted = upper.inner_products(rows, &self.params.search, &leaves, &NoProgress)?;
        Ok([counted[0], counted[1]])
    }
}

impl TreeDisentanglement {
    fn new(report: &DisentangleReport, trained: LeavesReport, [before, after]: [f64; 2]) -> Self {
        Self {
            copies: report.copies,
            moved: report.moved,
            unmatched: report.unmatched,
            crowded_out: report.crowded_out,
            positives: report.positives,
            covered_before: report.covered_before,
            covered: report.covered,
            clusters: trained.clusters,
            trained: trained.trained,
            inner_products_before: before,
            inner_products: after,
        }
    }
}
