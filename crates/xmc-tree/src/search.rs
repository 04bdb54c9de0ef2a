//! Beam search down the tree.

use crate::top_k::{Copies, TopK};
use crate::{LabelFilter, LabelTree, MergeCopies, PerLayer, PostProcessor, TreeError, TreeLayer};
use serde::{Deserialize, Serialize};
use xmc_sparse::{Scored, sort_ranked};

/// How to search. The defaults are PECOS's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct SearchParams {
    /// Clusters kept on each level; the last value is for the clusters right above the labels. At least 1,
    /// default 10. [`usize::MAX`] is an exhaustive search.
    pub beam_size: PerLayer<usize>,
    /// Labels returned. At least 1, default 10.
    pub top_k: usize,
    /// From margins to scores. Default `l3-hinge`.
    pub post_processor: PostProcessor,
    /// Another one for the labels themselves: `noop` ranks them by their margins alone, the path only selects
    /// candidates. Default: the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaf_post_processor: Option<PostProcessor>,
    /// Labels with a lower score are left out. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_score: Option<f32>,
    /// What becomes of a label that was found in several clusters. Default `mean`.
    pub merge_copies: MergeCopies,
}

impl Default for SearchParams {
    fn default() -> Self {
        Self {
            beam_size: 10.into(),
            top_k: 10,
            post_processor: PostProcessor::default(),
            leaf_post_processor: None,
            min_score: None,
            merge_copies: MergeCopies::Mean,
        }
    }
}

impl SearchParams {
    /// Sets how many clusters are kept: one number for all levels, or a [`PerLayer`].
    #[must_use]
    pub fn beam_size(mut self, beam_size: impl Into<PerLayer<usize>>) -> Self {
        self.beam_size = beam_size.into();
        self
    }

    /// Sets how many labels are returned.
    #[must_use]
    pub fn top_k(mut self, top_k: usize) -> Self {
        self.top_k = top_k;
        self
    }

    /// Sets the post-processor.
    #[must_use]
    pub fn post_processor(mut self, post_processor: PostProcessor) -> Self {
        self.post_processor = post_processor;
        self
    }

    /// Sets the post-processor of the labels.
    #[must_use]
    pub fn leaf_post_processor(mut self, post_processor: impl Into<Option<PostProcessor>>) -> Self {
        self.leaf_post_processor = post_processor.into();
        self
    }

    /// Sets the lowest score that is returned.
    #[must_use]
    pub fn min_score(mut self, min_score: impl Into<Option<f32>>) -> Self {
        self.min_score = min_score.into();
        self
    }

    /// Sets what becomes of a label that was found in several clusters.
    #[must_use]
    pub fn merge_copies(mut self, merge_copies: MergeCopies) -> Self {
        self.merge_copies = merge_copies;
        self
    }

    /// Checks that each parameter is in its range.
    ///
    /// # Errors
    /// [`TreeError::Search`] when a beam or the number of labels is 0, [`TreeError::MixedPostProcessors`] when
    /// one multiplies along the path and the other adds, [`TreeError::MinScore`].
    pub fn check(&self) -> Result<(), TreeError> {
        let at_least_one = |value, name| match value {
            0 => Err(TreeError::Search { name }),
            _ => Ok(()),
        };
        self.beam_size.iter().try_for_each(|&beam| at_least_one(beam, "beam size"))?;
        at_least_one(self.top_k, "number of labels to return (top k)")?;
        let (inner, leaf) = (self.post_processor, self.leaf());
        if leaf != PostProcessor::Noop && leaf != inner && leaf.multiplies() != inner.multiplies() {
            return Err(TreeError::MixedPostProcessors { inner, leaf });
        }
        match self.min_score {
            Some(found) if found.is_nan() => Err(TreeError::MinScore),
            _ => Ok(()),
        }
    }

    /// How many children of layer `number` are kept: a beam of clusters, or labels.
    pub(crate) fn n_kept(&self, number: usize, tree: &LabelTree) -> usize {
        match tree.depth() - 1 {
            last if number < last => *self.beam_size.of(number, last),
            _ => self.top_k,
        }
    }

    /// The post-processor of the labels.
    fn leaf(&self) -> PostProcessor {
        self.leaf_post_processor.unwrap_or(self.post_processor)
    }
}

/// A search: how, for which labels, and what each label's score is to be worth.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Search<'a> {
    /// How to search; must have passed [`SearchParams::check`].
    pub params: &'a SearchParams,
    /// The labels that may be returned; all without.
    pub filter: Option<&'a LabelFilter>,
    /// For each label the natural logarithm of a factor on its score (added to scores that add along the path):
    /// one over its propensity for propensity-scored prediction.
    pub log_weights: Option<&'a [f32]>,
}

impl<'a> Search<'a> {
    /// A search for all labels.
    pub fn new(params: &'a SearchParams) -> Self {
        Self { params, filter: None, log_weights: None }
    }

    /// Returns labels of `filter` only.
    #[must_use]
    pub fn filter(mut self, filter: impl Into<Option<&'a LabelFilter>>) -> Self {
        self.filter = filter.into();
        self
    }

    /// Multiplies the score of label `l` by `exp(log_weights[l])`.
    #[must_use]
    pub fn log_weights(mut self, log_weights: impl Into<Option<&'a [f32]>>) -> Self {
        self.log_weights = log_weights.into();
        self
    }

    /// Makes of the best labels, as the search has them, what it returns: scores that are ready, best first.
    pub(crate) fn finish(&self, labels: &mut Vec<Scored>) {
        let leaf = self.params.leaf();
        labels.iter_mut().for_each(|label| label.score = leaf.finish(label.score));
        // Exponentials may make neighbours equal: order them by id again.
        sort_ranked(labels);
        if let Some(min_score) = self.params.min_score {
            labels.truncate(labels.partition_point(|label| label.score >= min_score));
        }
    }

    /// Panics when the filter is for another tree.
    pub(crate) fn assert_fits(&self, tree: &LabelTree) {
        assert!(self.filter.is_none_or(|filter| filter.fits(tree)), "the filter is for another tree");
    }
}

impl<'a> From<&'a SearchParams> for Search<'a> {
    fn from(params: &'a SearchParams) -> Self {
        Self::new(params)
    }
}

/// Scores the children of a beam: what a matcher adds to the search.
pub trait LayerScorer {
    /// Appends the margins of all children of `beam`'s clusters on layer `layer`, parent after parent, each
    /// in the order of [`crate::TreeLayer::children`]. `margins` is empty before.
    fn score_children(&mut self, layer: usize, beam: &[Scored], margins: &mut Vec<f32>);
}

/// What a search needs beside the tree; reuse it and no query allocates.
#[derive(Debug, Default)]
pub struct SearchScratch {
    beam: Vec<Scored>,
    margins: Vec<f32>,
    best: TopK,
    copies: Copies,
    n_inner_products: u64,
}

impl SearchScratch {
    /// Inner products (margins computed) by all searches with this scratch.
    pub fn n_inner_products(&self) -> u64 {
        self.n_inner_products
    }
}

/// Walks down `tree`, keeping the best clusters of each level; `out` becomes the best labels, best first.
///
/// # Panics
/// When the filter or the weights of `search` are for another tree.
pub fn beam_search(
    tree: &LabelTree,
    search: Search<'_>,
    scorer: &mut impl LayerScorer,
    scratch: &mut SearchScratch,
    out: &mut Vec<Scored>,
) {
    search.assert_fits(tree);
    descend(tree, tree.depth(), search, scorer, scratch);
    out.clear();
    out.extend_from_slice(scratch.beam());
    search.finish(out);
}

/// Walks down the first `n_layers` layers of `tree` only; `out` becomes the best clusters of the last of them, best
/// first, with scores that may be compared with each other and nothing else.
///
/// This is what matcher-aware negatives are made of. With no layers it is the root.
pub fn beam_search_clusters(
    tree: &LabelTree,
    n_layers: usize,
    search: Search<'_>,
    scorer: &mut impl LayerScorer,
    scratch: &mut SearchScratch,
    out: &mut Vec<Scored>,
) {
    descend(tree, n_layers, search, scorer, scratch);
    out.clear();
    out.extend_from_slice(scratch.beam());
}

/// Leaves the best clusters, or labels, below `n_layers` layers in the beam.
fn descend(
    tree: &LabelTree,
    n_layers: usize,
    search: Search<'_>,
    scorer: &mut impl LayerScorer,
    scratch: &mut SearchScratch,
) {
    scratch.enter(&[ROOT]);
    for number in 0..n_layers {
        scratch.find(tree, number, search, scorer, &[]);
    }
}

/// The beam that every search begins with.
pub(crate) const ROOT: Scored = Scored { id: 0, score: 0.0 };

/// The steps of a search. One instance takes them all, one after the other; a batch takes each for all of its instances.
impl SearchScratch {
    /// Goes on from `beam`.
    pub(crate) fn enter<'a>(&mut self, beam: impl IntoIterator<Item = &'a Scored>) {
        self.beam.clear();
        self.beam.extend(beam);
    }

    /// The beam that the search has come to.
    pub(crate) fn beam(&self) -> &[Scored] {
        &self.beam
    }

    /// From the beam above layer `number` to what is best below it, and among the children that were `found` before, best first: the beam then
    /// is clusters, or labels whose scores are not finished ([`Search::finish`]).
    ///
    /// Where labels stand in several clusters, all of the beam's clusters have to be there at once.
    pub(crate) fn find(
        &mut self,
        tree: &LabelTree,
        number: usize,
        search: Search<'_>,
        scorer: &mut impl LayerScorer,
        found: &[Scored],
    ) {
        self.score(number, scorer);
        self.best.start(search.params.n_kept(number, tree));
        self.best.offer(found.iter().copied());
        let layer = &tree.layers()[number];
        if number + 1 < tree.depth() {
            self.offer_clusters(layer, number, search);
        } else {
            self.offer_labels(layer, number, search);
        }
        self.best.drain_sorted(&mut self.beam);
    }

    /// The margins of the beam's children.
    fn score(&mut self, layer: usize, scorer: &mut impl LayerScorer) {
        self.margins.clear();
        scorer.score_children(layer, &self.beam, &mut self.margins);
        self.n_inner_products += self.margins.len() as u64;
    }

    fn offer_clusters(&mut self, layer: &TreeLayer, number: usize, search: Search<'_>) {
        let post_processor = search.params.post_processor;
        match search.filter {
            None => self.offer(layer, post_processor, |_| true, |_| 0.0),
            Some(filter) => self.offer(layer, post_processor, |id| filter.allows(number, id), |_| 0.0),
        }
    }

    fn offer_labels(&mut self, layer: &TreeLayer, number: usize, search: Search<'_>) {
        let leaf = search.params.leaf();
        let allows = |id| search.filter.is_none_or(|filter| filter.allows(number, id));
        let weight = |id: u32| search.log_weights.map_or(0.0, |weights| weights[id as usize]);
        if layer.n_slots() > layer.n_children() {
            self.offer_merged(layer, search.params, allows, weight);
        } else if search.filter.is_none() && search.log_weights.is_none() {
            self.offer(layer, leaf, |_| true, |_| 0.0);
        } else {
            self.offer(layer, leaf, allows, weight);
        }
    }

    #[inline(always)]
    fn offer(
        &mut self,
        layer: &TreeLayer,
        post_processor: PostProcessor,
        allows: impl Fn(u32) -> bool,
        weight: impl Fn(u32) -> f32,
    ) {
        let Self { beam, margins, best, .. } = self;
        for (parent, children, margins) in families(layer, beam, margins) {
            let allowed = children.iter().zip(margins).filter(|(id, _)| allows(**id));
            match post_processor {
                // The default, with its power known to the compiler: cubes become two multiplications.
                PostProcessor::Hinge(3) => best.offer(allowed.map(|(&id, &margin)| {
                    let score = PostProcessor::Hinge(3).add(margin, parent) + weight(id);
                    Scored { id, score }
                })),
                other => best.offer(allowed.map(|(&id, &margin)| {
                    let score = other.add(margin, parent) + weight(id);
                    Scored { id, score }
                })),
            }
        }
    }

    /// Labels that stand in several clusters: their copies become one candidate first.
    fn offer_merged(
        &mut self,
        layer: &TreeLayer,
        params: &SearchParams,
        allows: impl Fn(u32) -> bool,
        weight: impl Fn(u32) -> f32,
    ) {
        let Self { beam, margins, best, copies, .. } = self;
        let leaf = params.leaf();
        copies.start(layer.n_children());
        for (parent, children, margins) in families(layer, beam, margins) {
            for (&id, &margin) in children.iter().zip(margins).filter(|(id, _)| allows(**id)) {
                copies.add(id, leaf.add(margin, parent), leaf.multiplies());
            }
        }
        let merged = copies.drain(params.merge_copies, leaf.multiplies());
        best.offer(merged.map(|label| Scored { score: label.score + weight(label.id), ..label }));
    }
}

/// For each cluster of the beam its score, its children and their margins.
#[inline(always)]
fn families<'a>(
    layer: &'a TreeLayer,
    beam: &'a [Scored],
    margins: &'a [f32],
) -> impl Iterator<Item = (f32, &'a [u32], &'a [f32])> {
    let mut rest = margins;
    beam.iter().map(move |parent| {
        let children = layer.children(parent.id as usize);
        let (siblings, others) = rest.split_at(children.len());
        rest = others;
        (parent.score, children, siblings)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TreeLayer;
    use std::borrow::Borrow;

    /// Margins by layer and child.
    struct Fixed(Vec<Vec<f32>>, LabelTree);

    impl LayerScorer for Fixed {
        fn score_children(&mut self, layer: usize, beam: &[Scored], margins: &mut Vec<f32>) {
            for parent in beam {
                let children = self.1.layers()[layer].children(parent.id as usize);
                margins.extend(children.iter().map(|&child| self.0[layer][child as usize]));
            }
        }
    }

    fn tree() -> LabelTree {
        let top = TreeLayer::from_lists([[0, 1]], 2).unwrap();
        let leaves = TreeLayer::from_lists([vec![0, 3], vec![1, 2]], 4).unwrap();
        LabelTree::from_layers(vec![top, leaves]).unwrap()
    }

    fn search(params: impl Borrow<SearchParams>, margins: Vec<Vec<f32>>) -> Vec<Scored> {
        let params = params.borrow();
        params.check().unwrap();
        run(&tree(), Search::new(params), margins)
    }

    fn run(tree: &LabelTree, search: Search<'_>, margins: Vec<Vec<f32>>) -> Vec<Scored> {
        let (mut scorer, mut out) = (Fixed(margins, tree.clone()), Vec::new());
        beam_search(tree, search, &mut scorer, &mut SearchScratch::default(), &mut out);
        out
    }

    fn ids(list: &[Scored]) -> Vec<u32> {
        list.iter().map(|s| s.id).collect()
    }

    #[test]
    fn beam_of_one_follows_the_best_child() {
        let margins = vec![vec![0.2, 0.9], vec![5.0, 0.1, 0.3, 5.0]];
        assert_eq!(ids(&search(SearchParams::default().beam_size(1), margins)), [2, 1]);
    }

    #[test]
    fn full_beam_agrees_with_scoring_every_path() {
        let margins = vec![vec![0.2, 0.9], vec![0.5, 0.1, 0.3, -0.5]];
        for name in ["l3-hinge", "l1-hinge", "log-l2-hinge", "sigmoid", "log-sigmoid", "noop"] {
            let post: PostProcessor = name.parse().unwrap();
            let root =
                if matches!(post, PostProcessor::Hinge(_) | PostProcessor::Sigmoid) { 1.0 } else { 0.0 };
            let mut expected: Vec<Scored> = [(0, 0), (1, 1), (2, 1), (3, 0)]
                .map(|(id, parent)| {
                    let parent = post.score(margins[0][parent], root);
                    Scored { id, score: post.score(margins[1][id as usize], parent) }
                })
                .to_vec();
            sort_ranked(&mut expected);
            let found = search(SearchParams::default().post_processor(post), margins.clone());
            assert_eq!(ids(&found), ids(&expected), "{name}");
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found.score - expected.score).abs() < 1e-6, "{name}: {found:?} {expected:?}");
            }
        }
    }

    #[test]
    fn top_k_cuts_and_breaks_ties_by_id() {
        let margins = vec![vec![2.0, 2.0], vec![3.0; 4]];
        let found = search(SearchParams::default().top_k(3), margins);
        assert_eq!(ids(&found), [0, 1, 2]);
        assert!(found.iter().all(|s| s.score == 1.0));
    }

    #[test]
    fn margins_alone_rank_the_labels_with_noop_at_the_leaf() {
        let margins = vec![vec![0.2, 0.9], vec![0.5, 0.1, 0.3, -0.5]];
        let found = search(SearchParams::default().leaf_post_processor(PostProcessor::Noop), margins);
        assert_eq!(found[0], Scored { id: 0, score: 0.5 });
        assert_eq!(ids(&found), [0, 2, 1, 3]);
    }

    #[test]
    fn scores_below_the_threshold_are_left_out() {
        let margins = vec![vec![2.0, 2.0], vec![0.5, 1.5, 0.9, 2.0]];
        let found = search(SearchParams::default().min_score(0.99), margins);
        assert_eq!(ids(&found), [1, 3, 2]);
    }

    #[test]
    fn a_filter_spends_the_beam_on_clusters_that_can_answer() {
        let (tree, margins) = (tree(), vec![vec![0.2, 0.9], vec![0.5, 0.1, 0.3, -0.5]]);
        let params = SearchParams::default().beam_size(1);
        let only = LabelFilter::only(&tree, [3]).unwrap();
        assert_eq!(ids(&run(&tree, Search::new(&params).filter(&only), margins)), [3]);
    }

    #[test]
    fn a_weight_multiplies_the_score_of_its_label() {
        let (tree, margins) = (tree(), vec![vec![0.2, 0.9], vec![0.5, 0.1, 0.3, -0.5]]);
        let params = SearchParams::default();
        let plain = run(&tree, Search::new(&params), margins.clone());
        let weights = [0.0, 0.0, 0.0, 5f32.ln()];
        let weighted = run(&tree, Search::new(&params).log_weights(&weights[..]), margins);
        let of = |list: &[Scored], id| list.iter().find(|s| s.id == id).unwrap().score;
        assert!((of(&weighted, 3) - 5.0 * of(&plain, 3)).abs() < 1e-6);
        assert_eq!(of(&weighted, 1), of(&plain, 1));
    }

    #[test]
    fn a_label_in_two_clusters_is_returned_once() {
        let top = TreeLayer::from_lists([[0, 1]], 2).unwrap();
        let leaves = TreeLayer::from_lists([vec![0, 1], vec![1, 2]], 3).unwrap();
        let tree = LabelTree::from_layers(vec![top, leaves]).unwrap();
        let margins = vec![vec![0.5, 1.0], vec![0.9, 0.8, 0.1]];
        let params = SearchParams::default();
        let found = run(&tree, Search::new(&params), margins);
        // Its margin is the same under both parents; the mean is over the scores along both paths.
        let hinge = |v: f32| -(1.0 - v).max(0.0).powi(3);
        let paths = [0.5, 1.0].map(|parent| (hinge(parent) + hinge(0.8)).exp());
        assert_eq!(ids(&found), [1, 0, 2]);
        assert!((found[0].score - (paths[0] + paths[1]) / 2.0).abs() < 1e-6);
    }

    #[test]
    fn a_search_for_clusters_ends_above_the_labels() {
        let mut scorer = Fixed(vec![vec![0.2, 0.9]], tree());
        let (params, mut out) = (SearchParams::default(), Vec::new());
        let scratch = &mut SearchScratch::default();
        beam_search_clusters(&tree(), 1, Search::new(&params), &mut scorer, scratch, &mut out);
        assert_eq!(ids(&out), [1, 0]);
    }

    #[test]
    fn products_and_sums_do_not_mix_along_a_path() {
        let mixed = SearchParams::default().leaf_post_processor(PostProcessor::LogSigmoid);
        assert!(matches!(mixed.check(), Err(TreeError::MixedPostProcessors { .. })));
        assert!(SearchParams::default().leaf_post_processor(PostProcessor::Sigmoid).check().is_ok());
        assert!(matches!(SearchParams::default().min_score(f32::NAN).check(), Err(TreeError::MinScore)));
    }

    #[test]
    fn a_search_for_nothing_is_refused() {
        for params in [SearchParams::default().beam_size(0), SearchParams::default().top_k(0)] {
            assert!(matches!(params.check(), Err(TreeError::Search { .. })));
        }
    }
}
