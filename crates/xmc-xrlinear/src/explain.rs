//! Why a label was found: the clusters on its way, and what each feature added to their margins.
//!
//! A margin is a sum, so it is its own explanation: feature `f` of value `x_f` adds `x_f · w_f`, and the intercept the
//! rest. The search that is explained is the search itself, with its beams and margins written down.

use crate::XrLinear;
use crate::layer::LayerScratch;
use crate::model::Query;

use xmc_sparse::kernels::LANES;
use xmc_sparse::{FeatureId, LabelId, Row, Score, Scored};
use xmc_tree::{LabelTree, LayerScorer, Matcher, PostProcessor, Search, SearchScratch, beam_search};

/// A search that was written down: what it found, and on which ways.
#[derive(Debug, Clone)]
pub struct SearchTrace<'m> {
    tree: &'m LabelTree,
    /// From margins to scores, in the tree and at the labels.
    post_processors: (PostProcessor, PostProcessor),
    /// The beam of each layer, and the margins of its clusters' children end to end.
    layers: Vec<(Vec<Scored>, Vec<f32>)>,
    labels: Vec<Scored>,
}

/// A node on the way from the root to a label: a place under a parent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TraceStep {
    /// The layer of which the node is a child; the number of steps above it.
    pub layer: usize,
    /// The parent, a cluster: parent number `parent` of the layer.
    pub parent: u32,
    /// The node: child number `child` of the layer. On the last layer a label.
    pub child: u32,
    /// `w·x + b`.
    pub margin: f32,
    /// The score of the path so far.
    pub score: Score,
}

/// A margin taken apart: the parts add up to it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MarginParts {
    /// The intercept `b`.
    pub intercept: f32,
    /// `x_f · w_f` of the row's sparse features that have a weight here, by feature.
    pub sparse: Vec<(FeatureId, f32)>,
    /// `x_j · w_j` of each dense feature.
    pub dense: Vec<f32>,
}

impl MarginParts {
    /// The margin.
    pub fn sum(&self) -> f32 {
        let sparse = self.sparse.iter().map(|&(_, part)| f64::from(part));
        let dense = self.dense.iter().map(|&part| f64::from(part));
        (f64::from(self.intercept) + sparse.sum::<f64>() + dense.sum::<f64>()) as f32
    }

    /// Adds the parts of another margin of the same row, feature by feature.
    pub fn add(&mut self, other: &Self) {
        self.intercept += other.intercept;
        self.dense.resize(self.dense.len().max(other.dense.len()), 0.0);
        self.dense.iter_mut().zip(&other.dense).for_each(|(sum, part)| *sum += part);
        self.sparse.extend_from_slice(&other.sparse);
        // Stable: equal features stay in the order in which they were added.
        self.sparse.sort_by_key(|&(feature, _)| feature);
        self.sparse.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            kept.1 += if same { next.1 } else { 0.0 };
            same
        });
    }
}

impl SearchTrace<'_> {
    /// The beam of each layer.
    pub(crate) fn beams(&self) -> impl Iterator<Item = &[Scored]> {
        self.layers.iter().map(|(beam, _)| &beam[..])
    }

    /// The labels found, best first: what [`Matcher::predict_row`] returns.
    pub fn labels(&self) -> &[Scored] {
        &self.labels
    }

    /// The ways from the root to `label`, best first: one for each cluster of the last beam in which it stands, found
    /// or not. Merged, their scores are the label's (without its weight, if the search had weights).
    pub fn paths(&self, label: LabelId) -> Vec<Vec<TraceStep>> {
        let mut paths = self.ways(self.layers.len() - 1, label);
        paths.iter_mut().for_each(|path| self.score(path));
        let last = |path: &Vec<TraceStep>| path.last().map_or(f32::NEG_INFINITY, |step| step.score);
        paths.sort_by(|a, b| last(b).total_cmp(&last(a)));
        paths
    }

    /// All ways from the root to child `child` of layer `layer` through the beams, without their scores.
    fn ways(&self, layer: usize, child: u32) -> Vec<Vec<TraceStep>> {
        let mut ways = Vec::new();
        for (parent, margin) in self.places(layer, child) {
            let above = if layer == 0 { vec![Vec::new()] } else { self.ways(layer - 1, parent) };
            let step = TraceStep { layer, parent, child, margin, score: 0.0 };
            ways.extend(above.into_iter().map(|mut way| {
                way.push(step);
                way
            }));
        }
        ways
    }

    /// The clusters of the beam in which `child` stands, with its margin there.
    fn places(&self, layer: usize, child: u32) -> Vec<(u32, f32)> {
        let (beam, margins) = &self.layers[layer];
        let mut start = 0;
        let place = |parent: &Scored| {
            let children = self.tree.layers()[layer].children(parent.id as usize);
            let margins = &margins[start..start + children.len()];
            start += children.len();
            children.binary_search(&child).ok().map(|place| (parent.id, margins[place]))
        };
        beam.iter().filter_map(place).collect()
    }

    /// Fills in the scores of a path.
    fn score(&self, path: &mut [TraceStep]) {
        let (inner, leaf) = self.post_processors;
        let mut score = if inner.multiplies() { 1.0 } else { 0.0 };
        for step in path {
            let post_processor = if step.layer + 1 == self.layers.len() { leaf } else { inner };
            score = post_processor.score(step.margin, score);
            step.score = score;
        }
    }
}

impl XrLinear {
    /// Searches for one instance as [`Matcher::predict_row`] does, and keeps a record of it.
    ///
    /// # Panics
    /// As [`beam_search`].
    pub fn trace(&self, row: Row<'_>, search: Search<'_>) -> SearchTrace<'_> {
        let (tree, mut labels) = (self.tree(), Vec::new());
        let mut scratch = LayerScratch::default();
        let query = Query::new(tree, self.layers(), row, &mut scratch);
        let mut recorder = Recorder { query, layers: Vec::new() };
        beam_search(tree, search, &mut recorder, &mut SearchScratch::default(), &mut labels);
        let inner = search.params.post_processor;
        let post_processors = (inner, search.params.leaf_post_processor.unwrap_or(inner));
        SearchTrace { tree, post_processors, layers: recorder.layers, labels }
    }

    /// What the features of `row` add to the margin of one node: child `child` under parent `parent` of layer `layer`.
    /// `None` when the tree has no such node.
    pub fn margin_parts(&self, row: Row<'_>, layer: usize, parent: u32, child: u32) -> Option<MarginParts> {
        let tree_layer =
            self.tree().layers().get(layer).filter(|layer| (parent as usize) < layer.n_parents())?;
        let siblings = tree_layer.children(parent as usize);
        let place = siblings.binary_search(&child).ok()?;
        let slot = tree_layer.slots(parent as usize).start + place;
        let weights = &self.layers()[layer];
        let mut sums = vec![0.0; siblings.len() + LANES];
        let sparse = row.sparse.iter().filter_map(|(feature, x)| {
            sums.fill(0.0);
            weights.add_feature(parent, feature, x, &mut sums);
            (sums[place] != 0.0).then_some((feature, sums[place]))
        });
        let dense = row.dense.iter().zip(weights.part().dense(slot..slot + 1));
        Some(MarginParts {
            intercept: weights.part().bias(slot..slot + 1)[0],
            sparse: sparse.collect(),
            dense: dense.map(|(x, w)| x * w).collect(),
        })
    }
}

/// Scores as [`XrLinear`] does, and remembers all of it.
struct Recorder<'a> {
    query: Query<'a>,
    /// As in [`SearchTrace`].
    layers: Vec<(Vec<Scored>, Vec<f32>)>,
}

impl LayerScorer for Recorder<'_> {
    fn score_children(&mut self, layer: usize, beam: &[Scored], margins: &mut Vec<f32>) {
        self.query.score_children(layer, beam, margins);
        self.layers.push((beam.to_vec(), margins.clone()));
    }
}
