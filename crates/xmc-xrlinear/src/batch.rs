//! Many queries at once: layer by layer, and cluster by cluster where that is faster.
//!
//! One query reads the records of its features. When several queries come to a cluster they read the same weights, each for itself, and search the
//! same records for them. So the weights of the clusters are turned round ([`crate::turned`]), and all queries of a cluster are scored against them
//! ([`crate::scatter`]). The sums are taken in the same order: the scores are those of single queries, to the bit.

use crate::layer::LayerScratch;
use crate::model::{Query, Scratch};
use crate::pairs::{Margins, Pairs};
use crate::queries::Queries;
use crate::scatter::{ScatterScratch, ScoreCluster};
use crate::turned::{Sizes, Turned, has_codes};
use crate::{LayerWeights, XrLinear};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use xmc_sparse::kernels::dispatch;
use xmc_sparse::{Features, Progress, RankedLists, Scored};
use xmc_tree::{BatchScorer, LabelTree, LayerScorer, Matcher, Search, SearchParams, TreeLayer};
use xmc_tree::{beam_search_batch, rank_rows};

/// When and how the queries of a batch go together. What is found depends on none of it; the defaults are what was fastest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batching {
    /// Fewest queries for which it is considered at all.
    pub fewest: usize,
    /// A layer is turned round when it has less than this many bytes of records for each sparse feature of the queries.
    ///
    /// A query by itself finds, for each of its features, a record and in it the clusters of its beam. Turned round, it looks each feature up in
    /// each cluster, which takes a fraction of that; but first there is a pass over the records. Both are counts, so that the same batch always
    /// goes the same way.
    pub bytes_for_feature: usize,
    /// Bytes of the margins that are kept: a layer's, of all queries that go down the tree together.
    pub margin_bytes: usize,
    /// Bytes of weights that are turned round at a time.
    pub turned_bytes: usize,
}

impl Default for Batching {
    fn default() -> Self {
        Self { fewest: 64, bytes_for_feature: 32, margin_bytes: 64 << 20, turned_bytes: 96 << 20 }
    }
}

impl Batching {
    /// Whether it pays to turn a layer round for queries of `n_features` sparse features in all.
    fn pays(&self, n_features: usize, layer: &LayerWeights) -> bool {
        // The weights of a posting are counted in 16 bits.
        layer.n_record_bytes() < self.bytes_for_feature.saturating_mul(n_features)
            && has_codes(layer.part().widths)
    }

    /// Queries whose margins can be kept.
    fn rows_at_once(&self, tree: &LabelTree, search: &SearchParams) -> usize {
        let (mut beam, mut most) = (1, 1);
        for (number, layer) in tree.layers().iter().enumerate() {
            most = layer.max_siblings().saturating_mul(beam).min(layer.n_slots()).max(most);
            beam = *search.beam_size.of(number, tree.depth() - 1);
        }
        (self.margin_bytes / (size_of::<f32>() * most)).max(1)
    }
}

/// Fewest queries of a cluster that a thread takes at a time, if there are as many: what the cluster has is written down for each time.
const QUERIES: usize = 1024;
/// Most tasks that the pairs of a layer become beyond those that its clusters are.
const TASKS: usize = 32;

impl XrLinear {
    /// As [`Matcher::predict_batch_with`], with the number of inner products that it took.
    pub fn rank_batch(
        &self,
        x: &Features,
        search: Search<'_>,
        progress: &dyn Progress,
    ) -> (RankedLists, u64) {
        self.rank_batch_by(&Batching::default(), x, search, progress)
    }

    /// As [`Self::rank_batch`], with a say in how: for tests and benchmarks.
    pub fn rank_batch_by(
        &self,
        batching: &Batching,
        x: &Features,
        search: Search<'_>,
        progress: &dyn Progress,
    ) -> (RankedLists, u64) {
        let n_rows = x.n_samples();
        let n_blocks = n_rows.div_ceil(batching.rows_at_once(self.tree(), search.params)).max(1);
        let n_at_once = n_rows.div_ceil(n_blocks).max(1);
        let n_features = x.sparse().nnz() / n_blocks;
        let pays = || self.layers().iter().any(|layer| batching.pays(n_features, layer));
        if n_at_once < batching.fewest || !pays() {
            return self.rank_one_by_one(x, search, progress);
        }
        let (mut lists, mut n_inner_products) = (RankedLists::new(), 0);
        for start in (0..n_rows).step_by(n_at_once) {
            let rows = start..(start + n_at_once).min(n_rows);
            let block = Block::new(self, x, rows.clone(), batching);
            let (found, n) = beam_search_batch(self.tree(), search, &block, rows.len());
            lists.append(&found);
            n_inner_products += n;
            progress.advance(rows.len() as u64);
        }
        (lists, n_inner_products)
    }

    /// The same, query by query.
    fn rank_one_by_one(
        &self,
        x: &Features,
        search: Search<'_>,
        progress: &dyn Progress,
    ) -> (RankedLists, u64) {
        let n_inner_products = AtomicU64::new(0);
        let k = search.params.top_k;
        let lists = rank_rows(x.n_samples(), k, progress, |row, scratch: &mut Scratch, out| {
            let before = scratch.n_inner_products();
            self.predict_row(x.row(row), search, scratch, out);
            n_inner_products.fetch_add(scratch.n_inner_products() - before, Ordering::Relaxed);
        });
        (lists, n_inner_products.into_inner())
    }
}

/// Queries that go down the tree together.
struct Block<'a> {
    model: &'a XrLinear,
    batching: &'a Batching,
    queries: Queries<'a>,
    /// The records of all their features.
    used: Vec<u32>,
}

impl<'a> Block<'a> {
    fn new(model: &'a XrLinear, x: &'a Features, rows: Range<usize>, batching: &'a Batching) -> Self {
        let groups = model.layers()[0].groups();
        let queries = Queries::new(x, rows, groups);
        let used = queries.used_records(groups.n_records());
        Self { model, batching, queries, used }
    }

    /// The margins of the children of all beams, cluster by cluster.
    fn score_layer(&self, weights: &LayerWeights, layer: &TreeLayer, pairs: Pairs) -> Option<Margins> {
        let mut margins = Margins::new(pairs, layer);
        let (pairs, mut rest) = margins.parts_mut();
        let wanted = |cluster: u32| !pairs.of(cluster as usize).is_empty();
        let sizes = Sizes::new(weights.part(), &self.used);
        for clusters in sizes.ranges(self.batching.turned_bytes as u64, wanted)? {
            let turned = sizes.turn(clusters.clone(), wanted);
            let tasks;
            (tasks, rest) = tasks_of(layer, pairs, clusters, rest);
            tasks.into_par_iter().for_each_init(ScatterScratch::default, |scratch, task| {
                self.score_cluster(weights, layer, &turned, task, scratch);
            });
        }
        Some(margins)
    }

    fn score_cluster(
        &self,
        weights: &LayerWeights,
        layer: &TreeLayer,
        turned: &Turned,
        task: Task<'_>,
        scratch: &mut ScatterScratch,
    ) {
        let Task { cluster, rows, margins } = task;
        let slots = layer.slots(cluster as usize);
        dispatch(ScoreCluster {
            part: weights.part(),
            turned,
            cluster,
            bias: weights.part().bias(slots.clone()),
            dense: weights.part().dense(slots),
            rows,
            queries: &self.queries,
            scratch,
            margins,
        });
    }
}

/// Queries of a cluster, and where their margins go.
struct Task<'a> {
    cluster: u32,
    rows: &'a [u32],
    margins: &'a mut [f32],
}

/// The tasks of `clusters`, whose margins are the first ones of `margins`; and the others of these.
fn tasks_of<'a>(
    layer: &TreeLayer,
    pairs: &'a Pairs,
    clusters: Range<u32>,
    mut margins: &'a mut [f32],
) -> (Vec<Task<'a>>, &'a mut [f32]) {
    let mut tasks = Vec::new();
    let n_queries = QUERIES.max(pairs.len().div_ceil(TASKS));
    for cluster in clusters {
        let n_children = layer.slots(cluster as usize).len();
        for rows in pairs.rows(pairs.of(cluster as usize)).chunks(n_queries) {
            let (these, rest) = margins.split_at_mut(rows.len() * n_children);
            margins = rest;
            if n_children > 0 {
                tasks.push(Task { cluster, rows, margins: these });
            }
        }
    }
    (tasks, margins)
}

impl BatchScorer for Block<'_> {
    /// The margins of all, if it pays to make them together.
    type Layer = Option<Margins>;
    type Scratch = LayerScratch;

    fn prepare(&self, layer: usize, beams: &RankedLists) -> Option<Margins> {
        let (weights, tree_layer) = (&self.model.layers()[layer], &self.model.tree().layers()[layer]);
        self.batching.pays(self.queries.n_features(), weights).then_some(())?;
        let pairs = Pairs::new(beams, tree_layer.n_parents());
        self.score_layer(weights, tree_layer, pairs)
    }

    fn score_children(
        &self,
        prepared: &Option<Margins>,
        layer: usize,
        (row, beam): (usize, &[Scored]),
        scratch: &mut LayerScratch,
        margins: &mut Vec<f32>,
    ) {
        match prepared {
            Some(made) => made.append(&self.model.tree().layers()[layer], row, beam, margins),
            None => {
                let (tree, layers) = (self.model.tree(), self.model.layers());
                let mut query = Query::new(tree, layers, self.queries.row(row), scratch);
                query.score_children(layer, beam, margins);
            }
        }
    }
}
