//! Why a label was predicted: its way through the tree, and the features that pushed it up and down.
//!
//! The model is linear in every node, so nothing here is an approximation: a feature's contribution to a node is its
//! value times its weight there, and the contributions add up to the node's margin.

mod explainer;
mod features;
mod show;

pub use explainer::Explainer;

use crate::{Model, XmcError};
use serde::Serialize;
use xmc_sparse::{LabelId, Row, Score};
use xmc_tree::SearchParams;

/// How much an explanation tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExplainOptions {
    /// Features named on each side, up and down; what is left is summed up. Default 5.
    pub n_features: usize,
    /// Labels named for each cluster, the most frequent ones below it. Default 3.
    pub n_cluster_labels: usize,
    /// Whether each dense feature counts as a feature, `dense[0]`, `dense[1]` …, and not all of them as one. Default no:
    /// the columns of an embedding mean little by themselves.
    pub each_dense: bool,
}

impl Default for ExplainOptions {
    fn default() -> Self {
        Self { n_features: 5, n_cluster_labels: 3, each_dense: false }
    }
}

/// The labels of one instance with the reasons for them. `Display` is for people, `Serialize` for programs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// Sparse features of the instance: of a text, its distinct n-grams that the model knows.
    pub n_features: usize,
    /// The labels, best first.
    pub labels: Vec<ExplainedLabel>,
}

/// A predicted label and its ways through the trees.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExplainedLabel {
    /// Row number of the label in the label map.
    pub id: LabelId,
    /// Its key: what the training data call it.
    pub key: String,
    /// Its display name.
    #[serde(rename = "label")]
    pub name: String,
    /// Its score, as predicted.
    pub score: Score,
    /// The ways on which it was found, tree by tree, and the best first in each: one for each cluster in the beam's last
    /// level in which the label stands. A tree that did not come across it has none.
    pub paths: Vec<ExplainedPath>,
}

/// A way through a tree from the root to a label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExplainedPath {
    /// Number of the tree, from 0.
    pub tree: usize,
    /// The nodes from a child of the root to the label.
    pub steps: Vec<PathStep>,
    /// What made the margin of the label itself: which of its cluster's labels it should be.
    pub at_label: Contributions,
    /// The contributions to all nodes of the path added up.
    pub along_path: Contributions,
}

/// A node of a path with its scores.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PathStep {
    /// The node.
    #[serde(flatten)]
    pub node: PathNode,
    /// `w·x + b`.
    pub margin: f32,
    /// The score of the path so far.
    pub score: Score,
}

/// A node of a label tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PathNode {
    /// A cluster of labels.
    Cluster {
        /// Its number among the clusters of its level.
        cluster: u32,
        /// Number of labels below it.
        n_labels: usize,
        /// Names of the most frequent of them.
        labels: Vec<String>,
    },
    /// A label.
    Label {
        /// Its name.
        label: String,
    },
}

/// A margin (or a sum of margins) as what its features add to it: `intercept`, `up`, `down` and `others` sum up to
/// `margin`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contributions {
    /// What is explained.
    pub margin: f32,
    /// The intercept: the same for every instance.
    pub intercept: f32,
    /// The features that add most, the largest contribution first.
    pub up: Vec<Contribution>,
    /// The features that take most away, the largest first.
    pub down: Vec<Contribution>,
    /// Number of further features that contribute.
    pub n_others: usize,
    /// Their contributions added up.
    pub others: f32,
}

/// A feature's part in a margin: its value times its weight.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contribution {
    /// The n-gram; `feature[7]` in a model that takes features; `dense`, or `dense[7]`.
    pub feature: String,
    /// The vectoriser of an n-gram, when the model has several: `words`, `char_wb` or `chars`, with the length of its
    /// n-grams (`words:1-2`) when there is more than one of that kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vectorizer: Option<String>,
    /// What it adds to the margin.
    pub contribution: f32,
}

impl Model {
    /// Why the labels of a text are predicted.
    ///
    /// ```
    /// # use xmc::*;
    /// # let texts = ["red shoes", "blue shoes", "red hat", "blue hat", "green hat", "green shoes"];
    /// # let examples = texts.map(|text| (text, [text.split(' ').next_back().unwrap()]));
    /// # let model = Model::train(&Dataset::from_examples(examples), TrainParams::default())?;
    /// let explained = model.explain("a red hat", &model.search().top_k(1), ExplainOptions::default())?;
    /// let label = &explained.labels[0];
    /// assert_eq!(label.name, "hat");
    /// assert_eq!(label.paths[0].at_label.up[0].feature, "hat");
    /// println!("{explained}");
    /// # Ok::<(), XmcError>(())
    /// ```
    ///
    /// # Errors
    /// As [`Predictor::predict`](crate::Predictor::predict).
    pub fn explain(
        &self,
        text: &str,
        search: &SearchParams,
        options: ExplainOptions,
    ) -> Result<Explanation, XmcError> {
        self.explainer(options).explain(text, search)
    }

    /// Why the labels of an instance given as features are predicted. Features have names if the model takes text, else
    /// numbers.
    ///
    /// # Errors
    /// As [`Predictor::predict_row`](crate::Predictor::predict_row).
    pub fn explain_row(
        &self,
        row: Row<'_>,
        search: &SearchParams,
        options: ExplainOptions,
    ) -> Result<Explanation, XmcError> {
        self.explainer(options).explain_row(row, search)
    }

    /// One thread's way to explain many instances: what clusters are called is worked out once.
    pub fn explainer(&self, options: ExplainOptions) -> Explainer<'_> {
        Explainer::new(self, options)
    }
}
