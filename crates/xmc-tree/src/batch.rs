//! Beam search for many instances at once: all of them go down the tree together, layer by layer.
//!
//! A scorer that sees all beams of a layer can take its clusters in their order, and read the weights of each once for all instances that come
//! to it. The steps are those of [`beam_search`](crate::beam_search), and so is what they find.

use crate::search::ROOT;
use crate::{LabelTree, LayerScorer, Search, SearchScratch, rank_rows};
use std::sync::atomic::{AtomicU64, Ordering};
use xmc_sparse::{NoProgress, RankedLists, Scored};

/// Scores the children of the beams of many instances: what a matcher adds to their search.
pub trait BatchScorer: Sync {
    /// What it knows of a layer before the instances are asked for, one by one: the margins of all, or nothing.
    type Layer: Sync;
    /// Buffers of one thread.
    type Scratch: Default + Send;

    /// Looks at the beams of all instances above layer `layer`.
    fn prepare(&self, layer: usize, beams: &RankedLists) -> Self::Layer;

    /// As [`LayerScorer::score_children`], for an instance by its number and its beam, which was in `prepared`.
    fn score_children(
        &self,
        prepared: &Self::Layer,
        layer: usize,
        instance: (usize, &[Scored]),
        scratch: &mut Self::Scratch,
        margins: &mut Vec<f32>,
    );
}

/// The best labels of instances `0..n_rows`, best first, and the inner products that they took. Does not depend on the number of threads.
///
/// # Panics
/// As [`beam_search`](crate::beam_search).
pub fn beam_search_batch<B: BatchScorer>(
    tree: &LabelTree,
    search: Search<'_>,
    scorer: &B,
    n_rows: usize,
) -> (RankedLists, u64) {
    search.assert_fits(tree);
    let mut walk = Walk { scorer, beams: RankedLists::new(), n_inner_products: AtomicU64::new(0) };
    (0..n_rows).for_each(|_| walk.beams.push(&[ROOT]));
    for number in 0..tree.depth() - 1 {
        let k = *search.params.beam_size.of(number, tree.depth() - 1);
        walk.beams = walk.step(number, k, |state, scorer, out| {
            state.find_clusters(tree, number, search, scorer);
            out.extend_from_slice(state.beam());
        });
    }
    let labels = walk.step(tree.depth() - 1, search.params.top_k, |state, scorer, out| {
        state.find_labels(tree, search, scorer, out);
    });
    (labels, walk.n_inner_products.into_inner())
}

/// Where all instances are.
struct Walk<'a, B> {
    scorer: &'a B,
    beams: RankedLists,
    n_inner_products: AtomicU64,
}

impl<B: BatchScorer> Walk<'_, B> {
    /// The lists, about `k` long, that `find` makes of the beams above layer `layer`.
    fn step(
        &self,
        layer: usize,
        k: usize,
        find: impl Fn(&mut SearchScratch, &mut OneRow<'_, B>, &mut Vec<Scored>) + Sync,
    ) -> RankedLists {
        let prepared = &self.scorer.prepare(layer, &self.beams);
        type Buffers<S> = (SearchScratch, S);
        let find_row = |row: usize, (state, scratch): &mut Buffers<B::Scratch>, out: &mut Vec<Scored>| {
            let before = state.n_inner_products();
            state.enter(self.beams.row(row));
            out.clear();
            find(state, &mut OneRow { scorer: self.scorer, prepared, row, scratch }, out);
            self.n_inner_products.fetch_add(state.n_inner_products() - before, Ordering::Relaxed);
        };
        rank_rows(self.beams.n_rows(), k, &NoProgress, find_row)
    }
}

/// One instance of the batch.
struct OneRow<'a, B: BatchScorer> {
    scorer: &'a B,
    prepared: &'a B::Layer,
    row: usize,
    scratch: &'a mut B::Scratch,
}

impl<B: BatchScorer> LayerScorer for OneRow<'_, B> {
    fn score_children(&mut self, layer: usize, beam: &[Scored], margins: &mut Vec<f32>) {
        let Self { scorer, prepared, row, scratch } = self;
        scorer.score_children(prepared, layer, (*row, beam), scratch, margins);
    }
}
