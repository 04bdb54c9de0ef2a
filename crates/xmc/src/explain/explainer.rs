//! From a search that was written down to an explanation of it.

use super::features::FeatureNames;
use super::{ExplainOptions, ExplainedLabel, ExplainedPath, Explanation, PathNode, PathStep};
use crate::predictor::TextScratch;
use crate::{Model, Predictor, Scope, XmcError};
use std::cmp::Reverse;
use std::collections::HashMap;
use xmc_sparse::{LabelId, Row, Scored};
use xmc_tree::{LabelTree, Matcher, SearchParams};
use xmc_xrlinear::{MarginParts, SearchTrace, TraceStep};

/// One thread's way to explain many instances.
#[derive(Debug)]
pub struct Explainer<'m> {
    model: &'m Model,
    options: ExplainOptions,
    names: FeatureNames<'m>,
    predictor: Predictor<'m>,
    text: TextScratch,
    /// The clusters met so far, by tree, layer and number.
    clusters: HashMap<(usize, usize, u32), PathNode>,
}

impl<'m> Explainer<'m> {
    pub(super) fn new(model: &'m Model, options: ExplainOptions) -> Self {
        Self {
            model,
            options,
            names: FeatureNames::new(model),
            predictor: model.predictor(),
            text: TextScratch::default(),
            clusters: HashMap::new(),
        }
    }

    /// Why the labels of a text are predicted.
    ///
    /// # Errors
    /// As [`Predictor::predict`].
    pub fn explain(&mut self, text: &str, search: &SearchParams) -> Result<Explanation, XmcError> {
        let mut scratch = std::mem::take(&mut self.text);
        let explained = scratch.row(self.model, text).and_then(|row| self.explain_row(row, search));
        self.text = scratch;
        explained
    }

    /// Why the labels of an instance given as features are predicted.
    ///
    /// # Errors
    /// As [`Predictor::predict_row`].
    pub fn explain_row(&mut self, row: Row<'_>, search: &SearchParams) -> Result<Explanation, XmcError> {
        self.explain_row_in(row, search, &Scope::all())
    }

    /// As [`Explainer::explain_row`], within a scope: with [`Scope::only`] of one label, why that label gets its score, predicted
    /// or not.
    ///
    /// # Errors
    /// As [`Predictor::predict_row`].
    pub fn explain_row_in(
        &mut self,
        row: Row<'_>,
        search: &SearchParams,
        scope: &Scope,
    ) -> Result<Explanation, XmcError> {
        let labels = self.predictor.predict_row_in(row, search, scope)?.to_vec();
        let each = self.model.each_tree(search);
        let matchers = self.model.matchers().iter().enumerate();
        let traces: Vec<SearchTrace<'_>> =
            matchers.map(|(number, matcher)| matcher.trace(row, scope.search(&each, number))).collect();
        let labels = labels.into_iter().map(|label| self.label(label, row, &traces)).collect();
        Ok(Explanation { n_features: row.sparse.nnz(), labels })
    }

    fn label(&mut self, label: Scored, row: Row<'_>, traces: &[SearchTrace<'_>]) -> ExplainedLabel {
        let mut paths = Vec::new();
        for (tree, trace) in traces.iter().enumerate() {
            paths.extend(trace.paths(label.id).iter().map(|path| self.path(tree, path, row)));
        }
        let Scored { id, score } = label;
        let (key, name) = (self.model.label_key(id).to_owned(), self.model.label_name(id).to_owned());
        ExplainedLabel { id, key, name, score, paths }
    }

    fn path(&mut self, tree: usize, path: &[TraceStep], row: Row<'_>) -> ExplainedPath {
        let matcher = &self.model.matchers()[tree];
        let parts_of = |step: &TraceStep| {
            let parts = matcher.margin_parts(row, step.layer, step.parent, step.child);
            parts.expect("invariant: the step comes from this tree")
        };
        let (mut sum, mut last) = (MarginParts::default(), MarginParts::default());
        for step in path {
            last = parts_of(step);
            sum.add(&last);
        }
        let margin = path.last().map_or(0.0, |step| step.margin);
        let total = path.iter().map(|step| step.margin).sum();
        ExplainedPath {
            tree,
            steps: path.iter().map(|step| self.step(tree, step)).collect(),
            at_label: self.names.summary(margin, &last, self.options),
            along_path: self.names.summary(total, &sum, self.options),
        }
    }

    fn step(&mut self, tree: usize, step: &TraceStep) -> PathStep {
        let &TraceStep { layer, child, margin, score, .. } = step;
        let (model, n_labels) = (self.model, self.options.n_cluster_labels);
        let node = match layer + 1 == model.matchers()[tree].tree().depth() {
            true => PathNode::Label { label: model.label_name(child).to_owned() },
            false => self
                .clusters
                .entry((tree, layer, child))
                .or_insert_with(|| cluster(model, tree, layer, child, n_labels))
                .clone(),
        };
        PathStep { node, margin, score }
    }
}

/// Child `number` of layer `layer`, with the most frequent labels below it.
fn cluster(model: &Model, tree: usize, layer: usize, number: u32, n_named: usize) -> PathNode {
    let mut labels = labels_below(model.matchers()[tree].tree(), layer, number);
    let n_labels = labels.len();
    let counts = model.label_counts();
    let rank = |&label: &LabelId| (Reverse(counts[label as usize]), label);
    if n_named < n_labels {
        // Linear in the labels: near the root these are many.
        labels.select_nth_unstable_by_key(n_named, rank);
        labels.truncate(n_named);
    }
    labels.sort_unstable_by_key(rank);
    let labels = labels.iter().map(|&label| model.label_name(label).to_owned()).collect();
    PathNode::Cluster { cluster: number, n_labels, labels }
}

/// The labels below child `number` of layer `layer`, each once.
fn labels_below(tree: &LabelTree, layer: usize, number: u32) -> Vec<LabelId> {
    let mut nodes = vec![number];
    for layer in &tree.layers()[layer + 1..] {
        nodes = nodes.iter().flat_map(|&parent| layer.children(parent as usize)).copied().collect();
    }
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Contributions, Dataset, Features, NoProgress, TrainParams, Trainer};
    use ndarray::Array2;

    /// Texts with a dense column for each label.
    fn dataset() -> Dataset {
        let words = ["shoes", "hat", "coat", "scarf"];
        let examples = (0..48)
            .map(|at| (format!("{} {}", ["red", "blue", "green"][at % 3], words[at % 4]), [words[at % 4]]));
        let mut dataset = Dataset::from_examples(examples);
        dataset.dense =
            Some(Array2::from_shape_fn((48, 4), |(row, col)| if row % 4 == col { 0.5 } else { -0.1 }).into());
        dataset
    }

    fn model(dataset: &Dataset) -> Model {
        let mut params = TrainParams::default();
        (params.tree.branching, params.tree.max_leaf) = (2, 2);
        Trainer::new(params).fit(dataset).unwrap()
    }

    fn assert_adds_up(of: &Contributions) {
        let named: f32 = of.up.iter().chain(&of.down).map(|c| c.contribution).sum();
        assert!((of.intercept + named + of.others - of.margin).abs() < 1e-4, "{of:?}");
    }

    #[test]
    fn n_grams_and_dense_features_add_up_to_every_margin() {
        let dataset = dataset();
        let model = model(&dataset);
        let x = model.features(&dataset, &NoProgress).unwrap();
        for (n_features, each_dense) in [(2, false), (2, true), (50, true)] {
            let options = ExplainOptions { n_features, each_dense, ..ExplainOptions::default() };
            for row in 0..12 {
                let explained = model.explain_row(x.row(row), &model.search(), options).unwrap();
                for path in explained.labels.iter().flat_map(|label| &label.paths) {
                    assert_adds_up(&path.at_label);
                    assert_adds_up(&path.along_path);
                    assert_eq!(path.at_label.margin, path.steps.last().unwrap().margin);
                }
            }
        }
        let all = ExplainOptions { n_features: 50, ..ExplainOptions::default() };
        let explained = model.explain_row(x.row(0), &model.search(), all).unwrap();
        let up = &explained.labels[0].paths[0].along_path.up;
        assert!(["dense", "shoes"].iter().all(|name| up.iter().any(|c| c.feature == *name)), "{up:?}");
    }

    #[test]
    fn a_cluster_is_called_by_its_most_frequent_labels() {
        let examples = ["a", "a", "b", "b", "b", "b", "c", "d", "d", "d"].map(|label| (label, [label]));
        let model = model(&Dataset::from_examples(examples));
        for number in 0..model.tree().layers()[0].n_children() as u32 {
            let PathNode::Cluster { n_labels, labels, .. } = cluster(&model, 0, 0, number, 1) else {
                panic!()
            };
            let below = labels_below(model.tree(), 0, number);
            let most = below.iter().map(|&id| model.label_counts()[id as usize]).max().unwrap();
            assert_eq!((n_labels, labels.len()), (below.len(), 1));
            let named = model.label_map().get(&labels[0]).unwrap();
            assert!(below.contains(&named) && model.label_counts()[named as usize] == most);
        }
    }

    #[test]
    fn a_model_is_asked_for_what_it_takes() {
        let dataset = dataset();
        let options = ExplainOptions::default();
        let with_dense = model(&dataset);
        let bare = with_dense.explain("red shoes", &with_dense.search(), options);
        assert!(matches!(bare, Err(XmcError::Width { expected: 4, found: 0, .. })));
        let x = with_dense.features(&dataset, &NoProgress).unwrap().into_owned();
        let features = Features::from_sparse(x.sparse().clone());
        let of_features = model(&Dataset { input: crate::Input::Features(features), dense: None, ..dataset });
        let text = of_features.explain("red shoes", &of_features.search(), options);
        assert!(matches!(text, Err(XmcError::NeedsFeatures)));
    }
}
