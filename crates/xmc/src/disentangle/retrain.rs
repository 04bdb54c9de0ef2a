//! One tree: where its labels go, and the layers trained for that.

use crate::stages::Stages;
use crate::training_set::TrainingSet;
use crate::{TrainParams, XmcError};
use serde::{Deserialize, Serialize};
use xmc_sparse::{Csr, NoProgress};
use xmc_store::ModelWriter;
use xmc_tree::{DisentangleReport, Disentangled, LabelTree, SearchParams, TreeLayer};
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
    /// Trains `tree` with its labels where they belong. Returns the number of stored weights, too.
    pub(crate) fn train(&self, tree: &LabelTree) -> Result<(u64, TreeDisentanglement), XmcError> {
        let upper = self.needs_upper().then(|| self.passing_upper(tree)).transpose()?;
        self.settle(tree.clone(), upper)
    }

    /// As [`Self::train`], from a trained model.
    pub(crate) fn retrain(&self, model: &XrLinear) -> Result<(u64, TreeDisentanglement), XmcError> {
        let upper = UpperLayers::of(model)?;
        self.settle(upper.tree().clone(), Some(upper))
    }

    /// Whether there must be layers that know nothing of the places to be found: to lead the instances, unless a cross-fit
    /// does, or to stay.
    fn needs_upper(&self) -> bool {
        self.params.disentangle.folds == 1 || self.params.disentangle.keep_upper
    }

    /// The layers above the labels of `tree`, not written to the model.
    fn passing_upper(&self, tree: &LabelTree) -> Result<UpperLayers, XmcError> {
        let (linear, passing) = (self.params.linear.check()?, ModelWriter::in_memory());
        Ok(linear.fit_upper(self.set.instances(), tree, &passing, self.prefix, self.stages)?.0)
    }

    fn settle(
        &self,
        mut tree: LabelTree,
        mut upper: Option<UpperLayers>,
    ) -> Result<(u64, TreeDisentanglement), XmcError> {
        let mut assigned = self.assign(&tree, upper.as_ref())?;
        for _ in 1..self.params.disentangle.rounds {
            tree = tree.with_leaves(assigned.leaves)?;
            if self.needs_upper() {
                upper = Some(self.passing_upper(&tree)?);
            }
            assigned = self.assign(&tree, upper.as_ref())?;
        }
        let upper = self.final_upper(&tree.clone().with_leaves(assigned.leaves.clone())?, upper)?;
        let inner_products = self.inner_products(&upper, [tree.leaves(), &assigned.leaves])?;
        let Disentangled { leaves, report, .. } = assigned;
        let linear = self.params.linear.check()?;
        let instances = self.set.instances();
        let trained = linear.fit_leaves(instances, &upper, leaves, self.writer, self.prefix, self.stages)?;
        let n_weights = upper.n_weights() + trained.training.n_weights;
        Ok((n_weights, TreeDisentanglement::new(&report, trained, inner_products)))
    }

    /// The model's layers above the labels of `tree`: `former`, if they are to stay, or trained for it.
    fn final_upper(&self, tree: &LabelTree, former: Option<UpperLayers>) -> Result<UpperLayers, XmcError> {
        let (linear, instances) = (self.params.linear.check()?, self.set.instances());
        let (writer, prefix) = (self.writer, self.prefix);
        match former {
            Some(former) if self.params.disentangle.keep_upper => {
                former.write(writer, prefix)?;
                Ok(former)
            }
            Some(former) => Ok(linear.refit_upper(instances, &former, tree, writer, prefix, self.stages)?.0),
            None => Ok(linear.fit_upper(instances, tree, writer, prefix, self.stages)?.0),
        }
    }

    /// Where the labels of `tree` go.
    fn assign(&self, tree: &LabelTree, upper: Option<&UpperLayers>) -> Result<Disentangled, XmcError> {
        let TrainParams { disentangle, search, .. } = self.params;
        let search = disentangle.matching(search);
        let matched = match upper {
            Some(upper) if disentangle.folds == 1 => upper.matched(&self.set.x, &search, self.stages)?,
            _ => self.cross_fitted(tree, &search)?,
        };
        let assignment = disentangle.assignment()?;
        let assigned = self.stages.time("assign", |progress| {
            progress.begin("assign", None, "labels");
            let assigned = assignment.assign(tree.leaves(), &self.set.y.transpose(), &matched);
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
            let (set, passing) = (self.set.select_rows(&taught), ModelWriter::in_memory());
            let upper = linear.fit_upper(set.instances(), tree, &passing, self.prefix, self.stages)?.0;
            let lists = upper.lead(&self.set.x.select_rows(&asked), search, self.stages)?;
            for (&row, list) in asked.iter().zip(lists.iter()) {
                led[row] = list.iter().map(|cluster| (cluster.id, 1.0)).collect();
            }
        }
        Ok(Csr::from_rows(tree.leaves().n_parents(), led)?)
    }

    /// Inner products of a query, were the labels to stand in each of `leaves`.
    fn inner_products(&self, upper: &UpperLayers, leaves: [&TreeLayer; 2]) -> Result<[f64; 2], XmcError> {
        let step = self.n_samples.div_ceil(SAMPLE).max(1);
        let sample: Vec<usize> = (0..self.n_samples).step_by(step).collect();
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
