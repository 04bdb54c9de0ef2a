//! The options that a search varies, and their values.

use crate::{DisentangleTraining, TrainParams};
use xmc_tfidf::{Analyzer, DocFrequency, VectorizerParams};

/// One option. In the order in which they are usually worth most (`docs/OPTIONS.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    Features,
    Scale,
    Costs,
    Threshold,
    MaxLeaf,
    Copies,
}

/// A value of an option: how it is typed, and the parameters with it.
pub(super) struct Value {
    pub(super) change: String,
    pub(super) params: TrainParams,
}

impl Axis {
    pub(super) const ALL: [Self; 6] =
        [Self::Features, Self::Scale, Self::Costs, Self::Threshold, Self::MaxLeaf, Self::Copies];

    /// The values to try beside that of `best`.
    pub(super) fn values(self, best: &TrainParams, texts: bool, encoder: bool) -> Vec<Value> {
        let values = match self {
            // Data that are features already have no n-grams.
            Self::Features if !texts => Vec::new(),
            Self::Scale if !texts || !encoder => Vec::new(),
            Self::Features => features(best),
            Self::Scale => scales(best),
            Self::Costs => costs(best),
            Self::Threshold => thresholds(best),
            Self::MaxLeaf => leaves(best),
            Self::Copies => copies(best),
        };
        values.into_iter().filter(|value| value.params != *best).collect()
    }
}

fn value(best: &TrainParams, change: impl Into<String>, set: impl FnOnce(&mut TrainParams)) -> Value {
    let mut params = best.clone();
    set(&mut params);
    Value { change: change.into(), params }
}

/// Words, pairs of words and pieces of words, with and without what occurs once.
fn features(best: &TrainParams) -> Vec<Value> {
    let words = |longest, min_df| {
        let words = VectorizerParams::default().ngram_range((1, longest)).min_df(DocFrequency::Count(min_df));
        (format!("--vectorizer words:1-{longest},min-df={min_df}"), words)
    };
    let pieces = |min_df| {
        let pieces = VectorizerParams::default().analyzer(Analyzer::CharWb).ngram_range((3, 5));
        (format!("--vectorizer char_wb:3-5,min-df={min_df}"), pieces.min_df(DocFrequency::Count(min_df)))
    };
    let sets = [
        vec![words(1, 1)],
        vec![words(2, 1)],
        vec![words(2, 2)],
        vec![words(1, 1), pieces(3)],
        vec![words(2, 1), pieces(3)],
        vec![words(2, 2), pieces(5)],
    ];
    let values = sets.into_iter().map(|set| {
        let (names, vectorizers): (Vec<_>, Vec<_>) = set.into_iter().unzip();
        value(best, names.join(" "), |params| params.features.vectorizers = vectorizers)
    });
    values.collect()
}

/// Lengths of an embedding beside a row of TF-IDF of length 1.
fn scales(best: &TrainParams) -> Vec<Value> {
    let values = [0.35, 0.5, 0.7, 1.0, 1.4, 2.0].into_iter().map(|scale: f32| {
        value(best, format!("--encoder-scale {scale}"), |params| params.encoding.scale = Some(scale))
    });
    values.collect()
}

fn costs(best: &TrainParams) -> Vec<Value> {
    let pairs = [(1.0, 0.5), (1.0, 0.7), (1.0, 1.0), (2.0, 1.0), (0.5, 0.5), (2.0, 2.0)];
    let values = pairs.into_iter().map(|(positive, negative)| {
        value(best, format!("--cp {positive} --cn {negative}"), |params| {
            params.linear.svm = params.linear.svm.map(|svm| svm.costs(positive, negative));
        })
    });
    values.collect()
}

fn thresholds(best: &TrainParams) -> Vec<Value> {
    let values = [0.03, 0.05, 0.1, 0.2].into_iter().map(|threshold: f32| {
        value(best, format!("--threshold {threshold}"), |params| {
            params.linear.svm = params.linear.svm.map(|svm| svm.threshold(threshold));
        })
    });
    values.collect()
}

fn leaves(best: &TrainParams) -> Vec<Value> {
    let values = [50, 100, 200].into_iter().map(|max_leaf| {
        value(best, format!("--max-leaf {max_leaf}"), |params| params.tree.max_leaf = max_leaf)
    });
    values.collect()
}

fn copies(best: &TrainParams) -> Vec<Value> {
    let values = [1, 2, 3].into_iter().map(|copies| {
        value(best, format!("--copies {copies}"), |params| {
            params.disentangle = DisentangleTraining { copies, ..params.disentangle.clone() };
        })
    });
    values.collect()
}
