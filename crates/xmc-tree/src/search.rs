//! Beam search down the tree, and what turns margins into scores.
//!
//! A score is combined along the path from the root. Inside the search it is always a *sum*: the products
//! of PECOS's post-processors are sums of logarithms, which rank alike, cost no exponential for a candidate
//! that is thrown away, and do not underflow. Only the labels that are returned are exponentiated.

use crate::{LabelTree, TreeError};
use serde::{Deserialize, Serialize};
use std::collections::BinaryHeap;
use std::{cmp::Ordering, fmt, str::FromStr};
use xmc_sparse::{Score, Scored, sort_ranked};

/// How a margin `v = w·x + b` becomes a score, and how it meets its parent's score.
///
/// Names are PECOS's: `l3-hinge` is `exp(−max(0, 1 − v)³) × parent`, `log-l3-hinge` its logarithm, `sigmoid`
/// and `log-sigmoid` likewise with `1 / (1 + e^−v)`, and `noop` is `v` whatever the parent's score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PostProcessor {
    /// `exp(−max(0, 1 − v)^p)`, multiplied along the path.
    Hinge(u8),
    /// `−max(0, 1 − v)^p`, added along the path.
    LogHinge(u8),
    /// `1 / (1 + exp(−v))`, multiplied along the path.
    Sigmoid,
    /// Its logarithm, added along the path.
    LogSigmoid,
    /// The margin itself; the path only selects candidates.
    Noop,
}

impl Default for PostProcessor {
    /// PECOS's default, `l3-hinge`.
    fn default() -> Self {
        Self::Hinge(3)
    }
}

impl PostProcessor {
    /// The additive form of a child's score.
    #[inline(always)]
    fn add(self, margin: f32, parent: f32) -> f32 {
        match self {
            Self::Hinge(p) | Self::LogHinge(p) => parent - (1.0 - margin).max(0.0).powi(p.into()),
            // log σ(v) = −log(1 + e^−v), in the form that does not overflow.
            Self::Sigmoid | Self::LogSigmoid => parent + margin.min(0.0) - (-margin.abs()).exp().ln_1p(),
            Self::Noop => margin,
        }
    }

    /// From the additive form to the score that is returned.
    #[inline(always)]
    fn finish(self, sum: f32) -> Score {
        match self {
            Self::Hinge(_) | Self::Sigmoid => sum.exp(),
            Self::LogHinge(_) | Self::LogSigmoid | Self::Noop => sum,
        }
    }

    /// The score of a child with this margin under a parent of this score (1 at the root for products, 0
    /// for sums).
    pub fn score(self, margin: f32, parent: Score) -> Score {
        match self {
            Self::Hinge(_) | Self::Sigmoid => self.finish(self.add(margin, 0.0)) * parent,
            Self::LogHinge(_) | Self::LogSigmoid | Self::Noop => self.add(margin, parent),
        }
    }
}

impl fmt::Display for PostProcessor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hinge(p) => write!(f, "l{p}-hinge"),
            Self::LogHinge(p) => write!(f, "log-l{p}-hinge"),
            Self::Sigmoid => f.write_str("sigmoid"),
            Self::LogSigmoid => f.write_str("log-sigmoid"),
            Self::Noop => f.write_str("noop"),
        }
    }
}

impl FromStr for PostProcessor {
    type Err = TreeError;

    fn from_str(name: &str) -> Result<Self, TreeError> {
        let power = |name: &str| -> Option<u8> {
            name.strip_prefix('l')?.strip_suffix("-hinge")?.parse().ok().filter(|p| (1..=9).contains(p))
        };
        let parsed = match name {
            "sigmoid" => Some(Self::Sigmoid),
            "log-sigmoid" => Some(Self::LogSigmoid),
            "noop" => Some(Self::Noop),
            _ => match name.strip_prefix("log-") {
                Some(rest) => power(rest).map(Self::LogHinge),
                None => power(name).map(Self::Hinge),
            },
        };
        parsed.ok_or_else(|| TreeError::PostProcessor { found: name.to_owned() })
    }
}

impl TryFrom<String> for PostProcessor {
    type Error = TreeError;
    fn try_from(name: String) -> Result<Self, TreeError> {
        name.parse()
    }
}

impl From<PostProcessor> for String {
    fn from(post_processor: PostProcessor) -> Self {
        post_processor.to_string()
    }
}

/// How to search. The defaults are PECOS's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct SearchParams {
    /// Clusters kept on each level. At least 1, default 10.
    pub beam_size: usize,
    /// Labels returned. At least 1, default 10.
    pub top_k: usize,
    /// From margins to scores. Default `l3-hinge`.
    pub post_processor: PostProcessor,
}

impl Default for SearchParams {
    fn default() -> Self {
        Self { beam_size: 10, top_k: 10, post_processor: PostProcessor::default() }
    }
}

impl SearchParams {
    /// Sets how many clusters are kept on each level.
    #[must_use]
    pub fn beam_size(mut self, beam_size: usize) -> Self {
        self.beam_size = beam_size;
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

    /// The same parameters, if each is in its range.
    ///
    /// # Errors
    /// [`TreeError::Search`] when the beam or the number of labels is 0.
    pub fn check(self) -> Result<Self, TreeError> {
        let at_least_one = |value, name| match value {
            0 => Err(TreeError::Search { name }),
            _ => Ok(()),
        };
        at_least_one(self.beam_size, "beam size")?;
        at_least_one(self.top_k, "number of labels to return (top k)")?;
        Ok(self)
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
    n_inner_products: u64,
}

impl SearchScratch {
    /// Inner products (margins computed) by all searches with this scratch.
    pub fn n_inner_products(&self) -> u64 {
        self.n_inner_products
    }
}

/// Walks down `tree`, keeping the best clusters of each level; `out` becomes the best labels, best first.
pub fn beam_search(
    tree: &LabelTree,
    params: &SearchParams,
    scorer: &mut impl LayerScorer,
    scratch: &mut SearchScratch,
    out: &mut Vec<Scored>,
) {
    let SearchScratch { beam, margins, best, n_inner_products } = scratch;
    beam.clear();
    beam.push(Scored { id: 0, score: 0.0 });
    for (depth, layer) in tree.layers().iter().enumerate() {
        let last = depth + 1 == tree.depth();
        margins.clear();
        scorer.score_children(depth, beam, margins);
        *n_inner_products += margins.len() as u64;
        best.start(if last { params.top_k } else { params.beam_size });
        let mut rest = &margins[..];
        for parent in beam.iter() {
            let children = layer.children(parent.id as usize);
            let (siblings, others) = rest.split_at(children.len());
            rest = others;
            best.offer(children, siblings, parent.score, params.post_processor);
        }
        best.drain_sorted(beam);
    }
    out.clear();
    out.extend(beam.iter().map(|s| Scored { id: s.id, score: params.post_processor.finish(s.score) }));
    // Exponentials may make neighbours equal: order them by id again.
    sort_ranked(out);
}

/// The `k` best of a stream; a candidate that is no better than the worst kept one costs a comparison.
#[derive(Debug, Default)]
struct TopK {
    k: usize,
    heap: BinaryHeap<Worst>,
}

/// Orders a heap so that the worst candidate is on top.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Worst(Scored);

impl Eq for Worst {}

impl PartialOrd for Worst {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Worst {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.rank_cmp(&other.0)
    }
}

impl TopK {
    fn start(&mut self, k: usize) {
        self.k = k;
        self.heap.clear();
    }

    #[inline]
    fn offer(&mut self, ids: &[u32], margins: &[f32], parent: f32, post_processor: PostProcessor) {
        match post_processor {
            // The default, with its power known to the compiler: cubes become two multiplications.
            PostProcessor::Hinge(3) => {
                self.offer_each(ids, margins, |v| PostProcessor::Hinge(3).add(v, parent));
            }
            other => self.offer_each(ids, margins, |v| other.add(v, parent)),
        }
    }

    #[inline(always)]
    fn offer_each(&mut self, ids: &[u32], margins: &[f32], score: impl Fn(f32) -> f32) {
        let mut bound = self.bound();
        for (&id, &margin) in ids.iter().zip(margins) {
            let candidate = Scored { id, score: score(margin) };
            if candidate.score >= bound {
                self.insert(candidate);
                bound = self.bound();
            }
        }
    }

    /// Scores below this cannot enter.
    fn bound(&self) -> f32 {
        match self.heap.peek() {
            Some(worst) if self.heap.len() == self.k => worst.0.score,
            _ => f32::NEG_INFINITY,
        }
    }

    fn insert(&mut self, candidate: Scored) {
        if self.heap.len() < self.k {
            self.heap.push(Worst(candidate));
        } else if let Some(mut worst) = self.heap.peek_mut()
            && candidate.rank_cmp(&worst.0).is_lt()
        {
            *worst = Worst(candidate);
        }
    }

    fn drain_sorted(&mut self, out: &mut Vec<Scored>) {
        out.clear();
        out.extend(self.heap.drain().map(|worst| worst.0));
        sort_ranked(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TreeLayer;

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

    fn search(params: SearchParams, margins: Vec<Vec<f32>>) -> Vec<Scored> {
        let (mut scorer, mut out) = (Fixed(margins, tree()), Vec::new());
        beam_search(&tree(), &params, &mut scorer, &mut SearchScratch::default(), &mut out);
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
    fn names_are_parsed_and_wrong_ones_refused() {
        for name in ["l3-hinge", "log-l3-hinge", "l1-hinge", "sigmoid", "log-sigmoid", "noop"] {
            assert_eq!(name.parse::<PostProcessor>().unwrap().to_string(), name);
        }
        for name in ["", "l0-hinge", "l-hinge", "hinge", "l3-hing", "log-noop"] {
            assert!(matches!(name.parse::<PostProcessor>(), Err(TreeError::PostProcessor { .. })), "{name}");
        }
    }

    #[test]
    fn a_search_for_nothing_is_refused() {
        for params in [SearchParams::default().beam_size(0), SearchParams::default().top_k(0)] {
            assert!(matches!(params.check(), Err(TreeError::Search { .. })));
        }
    }
}
