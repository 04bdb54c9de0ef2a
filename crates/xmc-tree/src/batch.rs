//! Beam search for many instances at once: all of them go down the tree together, layer by layer.
//!
//! A scorer that sees all beams of a layer can take its clusters in their order, and read the weights of each once for all instances that come
//! to it. It takes as many clusters at a time as it has room for; what each instance has found so far is kept meanwhile. The steps are those of
//! [`beam_search`](crate::beam_search), and so is what they find: the best of a layer do not depend on the order they are looked at.

use crate::search::ROOT;
use crate::{LabelTree, LayerScorer, Search, SearchScratch, rank_rows};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use xmc_sparse::{NoProgress, RankedLists, Scored};

/// Takes a portion of a layer: some of its clusters, and the margins of their children if they are made.
pub type TakePortion<'a, M> = dyn FnMut(Range<u32>, Option<&M>) + 'a;

/// Scores the children of the beams of many instances: what a matcher adds to their search.
pub trait BatchScorer: Sync {
    /// The margins of some clusters' children for all instances.
    type Margins: Sync;
    /// Buffers of one thread.
    type Scratch: Default + Send;

    /// Looks at the beams of all instances above layer `layer`, and gives its clusters to `take`, portion after portion, or all `at_once`: with the
    /// margins of their children, or none where these are better made instance by instance.
    fn for_each_portion(
        &self,
        layer: usize,
        beams: &RankedLists,
        at_once: bool,
        take: &mut TakePortion<'_, Self::Margins>,
    );

    /// As [`LayerScorer::score_children`], for an instance by its number and its beam: of those clusters in the beam whose margins are `made`, of
    /// all if none are.
    fn score_children(
        &self,
        made: Option<&Self::Margins>,
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
    let mut beams = for_each_of(n_rows, &[ROOT]);
    let n_inner_products = AtomicU64::new(0);
    for layer in 0..tree.depth() {
        beams = Step { tree, search, scorer, layer, beams, n_inner_products: &n_inner_products }.take();
    }
    let finish = |row, _: &mut (), out: &mut Vec<Scored>| {
        out.clear();
        out.extend_from_slice(beams.row(row));
        search.finish(out);
    };
    let labels = rank_rows(n_rows, search.params.top_k, &NoProgress, finish);
    (labels, n_inner_products.into_inner())
}

/// `list` for each of `n_rows` instances.
fn for_each_of(n_rows: usize, list: &[Scored]) -> RankedLists {
    let mut lists = RankedLists::with_capacity(n_rows, list.len());
    (0..n_rows).for_each(|_| lists.push(list));
    lists
}

/// From the beams above a layer to what is best below them.
struct Step<'a, B> {
    tree: &'a LabelTree,
    search: Search<'a>,
    scorer: &'a B,
    layer: usize,
    beams: RankedLists,
    n_inner_products: &'a AtomicU64,
}

impl<B: BatchScorer> Step<'_, B> {
    fn take(&self) -> RankedLists {
        let Self { tree, scorer, layer, ref beams, .. } = *self;
        let mut found = for_each_of(beams.n_rows(), &[]);
        // Copies of a label become one when all of them are there.
        let at_once = !tree.layers()[layer].is_partition();
        scorer.for_each_portion(layer, beams, at_once, &mut |clusters, made| {
            found = self.look(clusters, made, &found);
        });
        found
    }

    /// The best below `clusters`, and of those that were `found` before.
    fn look(&self, clusters: Range<u32>, made: Option<&B::Margins>, found: &RankedLists) -> RankedLists {
        let Self { tree, search, scorer, layer, ref beams, .. } = *self;
        type Buffers<S> = (SearchScratch, S);
        let look_for = |row: usize, (state, scratch): &mut Buffers<B::Scratch>, out: &mut Vec<Scored>| {
            let (beam, before) = (beams.row(row), state.n_inner_products());
            state.enter(beam.iter().filter(|parent| clusters.contains(&parent.id)));
            state.find(tree, layer, search, &mut OneRow { scorer, made, row, beam, scratch }, found.row(row));
            out.clear();
            out.extend_from_slice(state.beam());
            self.n_inner_products.fetch_add(state.n_inner_products() - before, Ordering::Relaxed);
        };
        rank_rows(beams.n_rows(), search.params.n_kept(layer, tree), &NoProgress, look_for)
    }
}

/// One instance of the batch.
struct OneRow<'a, B: BatchScorer> {
    scorer: &'a B,
    made: Option<&'a B::Margins>,
    row: usize,
    beam: &'a [Scored],
    scratch: &'a mut B::Scratch,
}

impl<B: BatchScorer> LayerScorer for OneRow<'_, B> {
    /// The search's own beam has only the clusters that are looked at now; the scorer knows which these are.
    fn score_children(&mut self, layer: usize, _: &[Scored], margins: &mut Vec<f32>) {
        let Self { scorer, made, row, beam, scratch } = self;
        scorer.score_children(*made, layer, (*row, beam), scratch, margins);
    }
}
