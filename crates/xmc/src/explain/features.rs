//! Names of features, and the few of them that matter most to a margin.

use super::{Contribution, Contributions, ExplainOptions};
use crate::Model;
use xmc_sparse::FeatureId;
use xmc_tfidf::{Analyzer, TfIdf, VectorizerParams};
use xmc_xrlinear::MarginParts;

/// What the features of a model are called.
#[derive(Debug)]
pub(super) struct FeatureNames<'m> {
    tfidf: Option<&'m TfIdf>,
    /// A mark for each vectoriser, if there are several.
    vectorizers: Vec<String>,
}

/// A feature, or all dense ones together.
#[derive(Debug, Clone, Copy)]
enum Feature {
    Sparse(FeatureId),
    Dense(usize),
    AllDense,
}

impl<'m> FeatureNames<'m> {
    pub(super) fn new(model: &'m Model) -> Self {
        let vectorizers = &model.meta().params.features.vectorizers[..];
        let marks = if model.takes_text() && vectorizers.len() > 1 { marks(vectorizers) } else { Vec::new() };
        Self { tfidf: model.tfidf(), vectorizers: marks }
    }

    fn contribution(&self, feature: Feature, contribution: f32) -> Contribution {
        let (feature, vectorizer) = match feature {
            Feature::Sparse(id) => (self.name(id), self.vectorizer(id)),
            Feature::Dense(column) => (format!("dense[{column}]"), None),
            Feature::AllDense => ("dense".to_owned(), None),
        };
        Contribution { feature, vectorizer, contribution }
    }

    fn name(&self, id: FeatureId) -> String {
        let name = self.tfidf.and_then(|tfidf| tfidf.feature_name(id));
        name.map_or_else(|| format!("feature[{id}]"), str::to_owned)
    }

    fn vectorizer(&self, id: FeatureId) -> Option<String> {
        let tfidf = self.tfidf?;
        let of = |(number, _): &(usize, &String)| tfidf.features_of(*number).contains(&id);
        self.vectorizers.iter().enumerate().find(of).map(|(_, mark)| mark.clone())
    }

    /// The features that matter most to `margin`, whose parts are `parts`.
    pub(super) fn summary(&self, margin: f32, parts: &MarginParts, options: ExplainOptions) -> Contributions {
        let mut all = entries(parts, options);
        // Stable: equal contributions stay in the order of their features.
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        let n_up = all.partition_point(|&(_, part)| part > 0.0).min(options.n_features);
        let n_negative = all.iter().rev().take_while(|(_, part)| *part < 0.0).count();
        let (others, down) = all[n_up..].split_at(all.len() - n_up - n_negative.min(options.n_features));
        let named = |&(feature, part): &(Feature, f32)| self.contribution(feature, part);
        Contributions {
            margin,
            intercept: parts.intercept,
            up: all[..n_up].iter().map(named).collect(),
            down: down.iter().rev().map(named).collect(),
            n_others: others.len(),
            // Not `sum`, which makes -0 of nothing.
            others: others.iter().fold(0.0, |sum, &(_, part)| sum + part),
        }
    }
}

/// All features that contribute.
fn entries(parts: &MarginParts, options: ExplainOptions) -> Vec<(Feature, f32)> {
    let mut all: Vec<_> = parts.sparse.iter().map(|&(id, part)| (Feature::Sparse(id), part)).collect();
    if options.each_dense {
        all.extend(parts.dense.iter().enumerate().map(|(column, &part)| (Feature::Dense(column), part)));
    } else {
        all.push((Feature::AllDense, parts.dense.iter().sum()));
    }
    all.retain(|&(_, part)| part != 0.0);
    all
}

/// `words`, `char_wb`; with lengths where that is not enough to tell two vectorisers apart.
fn marks(vectorizers: &[VectorizerParams]) -> Vec<String> {
    let mark = |params: &VectorizerParams| {
        let kind = match params.analyzer {
            Analyzer::Word => "words",
            Analyzer::Char => "chars",
            Analyzer::CharWb => "char_wb",
        };
        let (min, max) = params.ngram_range;
        match vectorizers.iter().filter(|other| other.analyzer == params.analyzer).count() {
            1 => kind.to_owned(),
            _ => format!("{kind}:{min}-{max}"),
        }
    };
    vectorizers.iter().map(mark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(parts: &MarginParts, options: ExplainOptions) -> Contributions {
        FeatureNames { tfidf: None, vectorizers: Vec::new() }.summary(parts.sum(), parts, options)
    }

    fn names(list: &[Contribution]) -> Vec<&str> {
        list.iter().map(|c| c.feature.as_str()).collect()
    }

    fn parts() -> MarginParts {
        let sparse = vec![(2, 0.5), (3, -0.25), (5, 1.0), (7, -1.0), (9, 0.125), (11, -0.125)];
        MarginParts { intercept: -2.0, sparse, dense: vec![0.5, -1.0, 0.0] }
    }

    #[test]
    fn the_strongest_features_are_named_and_the_rest_is_summed_up() {
        let found = summary(&parts(), ExplainOptions { n_features: 2, ..ExplainOptions::default() });
        assert_eq!(names(&found.up), ["feature[5]", "feature[2]"]);
        assert_eq!(names(&found.down), ["feature[7]", "dense"]);
        assert_eq!((found.n_others, found.others, found.intercept), (3, -0.25, -2.0));
        let listed: f32 = found.up.iter().chain(&found.down).map(|c| c.contribution).sum();
        assert_eq!(found.intercept + listed + found.others, found.margin);
    }

    #[test]
    fn every_feature_stands_on_one_side_only() {
        for n_features in [0, 1, 3, 100] {
            let options = ExplainOptions { n_features, each_dense: true, ..ExplainOptions::default() };
            let found = summary(&parts(), options);
            assert!(found.up.iter().all(|c| c.contribution > 0.0));
            assert!(found.down.iter().all(|c| c.contribution < 0.0));
            // Of nine features one contributes nothing.
            assert_eq!(found.up.len() + found.down.len() + found.n_others, 8);
        }
    }

    #[test]
    fn dense_features_are_one_or_each_for_itself() {
        let options = ExplainOptions { n_features: 9, ..ExplainOptions::default() };
        assert!(names(&summary(&parts(), options).down).contains(&"dense"));
        let found = summary(&parts(), ExplainOptions { each_dense: true, ..options });
        assert!(names(&found.up).contains(&"dense[0]") && names(&found.down).contains(&"dense[1]"));
    }

    #[test]
    fn vectorisers_of_one_kind_are_told_apart_by_their_lengths() {
        let two = [VectorizerParams::words(1, 2), VectorizerParams::char_wb(3, 5)];
        assert_eq!(marks(&two), ["words", "char_wb"]);
        let three = [VectorizerParams::words(1, 1), VectorizerParams::words(2, 3), two[1].clone()];
        assert_eq!(marks(&three), ["words:1-1", "words:2-3", "char_wb"]);
    }
}
