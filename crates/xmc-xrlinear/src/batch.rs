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
use crate::turned::{Room, Sizes, Turned, has_codes};
use crate::{LayerWeights, XrLinear};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use xmc_sparse::kernels::dispatch;
use xmc_sparse::{Features, Progress, RankedLists, Scored};
use xmc_tree::{BatchScorer, LabelTree, LayerScorer, Matcher, Search, SearchParams, TakePortion, TreeLayer};
use xmc_tree::{beam_search_batch, rank_rows};

/// When and how the queries of a batch go together. What is found depends on none of it; the defaults are what was fastest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batching {
    /// Fewest queries for which it is considered at all.
    pub fewest: usize,
    /// A layer is turned round when it has less than this many bytes of records for each sparse feature of the queries, or twice as many if it is so
    /// large that a query by itself has to fetch each record from memory.
    ///
    /// A query by itself finds, for each of its features, a record and in it the clusters of its beam. Turned round, it looks each feature up in
    /// each cluster, which takes a fraction of that; but first there is a pass over the records. Both are counts, so that the same batch always
    /// goes the same way.
    pub bytes_for_feature: usize,
    /// Bytes of the margins that are kept: those of some clusters' children, for all queries that come to them. As much again is in beams.
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
        let bytes = layer.n_record_bytes();
        let for_feature = self.bytes_for_feature.saturating_mul(if bytes < LARGE { 1 } else { 2 });
        // The weights of a posting are counted in 16 bits.
        bytes < for_feature.saturating_mul(n_features) && has_codes(layer.part().widths)
    }

    /// Queries that go down the tree together: their beams can be kept, and the margins of any one cluster (where copies of labels meet, of all
    /// clusters of their beams).
    fn rows_at_once(&self, tree: &LabelTree, search: &SearchParams) -> usize {
        let (mut beam, mut most) = (1, 1);
        for (number, layer) in tree.layers().iter().enumerate() {
            let at_once = if layer.is_partition() { 1 } else { beam };
            let margins = layer.max_siblings().saturating_mul(at_once).min(layer.n_slots());
            most = most.max(size_of::<f32>() * margins).max(BEAM_BYTES * beam);
            beam = (*search.beam_size.of(number, tree.depth() - 1)).min(layer.n_children());
        }
        (self.margin_bytes / most).max(1)
    }
}

/// Bytes of a layer's records that no cache holds a good part of.
const LARGE: usize = 128 << 20;
/// Bytes of a cluster of a beam: in the beam above a layer and in the one below, and of its pair with the query.
const BEAM_BYTES: usize = 24;
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

    /// Makes `margins` those of the children of `ranges` of clusters, one after the other, cluster by cluster.
    fn score_clusters(
        &self,
        weights: &LayerWeights,
        layer: &TreeLayer,
        (ranges, sizes): (&[Range<u32>], &Sizes<'_>),
        turned: &mut Turned,
        margins: &mut Margins,
    ) {
        margins.begin(layer, ranges[0].start..ranges[ranges.len() - 1].end);
        let (pairs, mut rest) = margins.parts_mut();
        for clusters in ranges {
            sizes.turn(clusters.clone(), |cluster| !pairs.of(cluster).is_empty(), turned);
            let tasks;
            (tasks, rest) = tasks_of(layer, pairs, clusters.clone(), rest);
            tasks.into_par_iter().for_each_init(ScatterScratch::default, |scratch, task| {
                self.score_cluster(weights, layer, turned, task, scratch);
            });
        }
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
        for rows in pairs.rows(pairs.of(cluster)).chunks(n_queries) {
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
    type Margins = Margins;
    type Scratch = LayerScratch;

    fn for_each_portion(
        &self,
        layer: usize,
        beams: &RankedLists,
        at_once: bool,
        take: &mut TakePortion<'_, Margins>,
    ) {
        let (weights, layer) = (&self.model.layers()[layer], &self.model.tree().layers()[layer]);
        let clusters = 0..layer.n_parents() as u32;
        if !self.batching.pays(self.queries.n_features(), weights) {
            return take(clusters, None);
        }
        let pairs = Pairs::new(beams, layer.n_parents());
        let sizes = Sizes::new(weights.part(), &self.used);
        let Batching { margin_bytes, turned_bytes, .. } = *self.batching;
        // Where all margins have to be there at once, there is room for them: see `rows_at_once`.
        let margins = if at_once { u64::MAX } else { margin_bytes as u64 };
        let room = Room { turned: turned_bytes as u64, margins };
        let margins_of = |cluster| (size_of::<f32>() * pairs.n_margins(layer, cluster)) as u64;
        let Some(ranges) = sizes.ranges(room, margins_of) else { return take(clusters, None) };
        let (mut turned, mut margins) = (Turned::default(), Margins::new(pairs));
        for ranges in ranges.chunks(if at_once { ranges.len() } else { 1 }) {
            self.score_clusters(weights, layer, (ranges, &sizes), &mut turned, &mut margins);
            take(margins.clusters(), Some(&margins));
        }
    }

    fn score_children(
        &self,
        made: Option<&Margins>,
        layer: usize,
        (row, beam): (usize, &[Scored]),
        scratch: &mut LayerScratch,
        margins: &mut Vec<f32>,
    ) {
        match made {
            Some(made) => made.append(&self.model.tree().layers()[layer], row, beam, margins),
            None => {
                let (tree, layers) = (self.model.tree(), self.model.layers());
                let mut query = Query::new(tree, layers, self.queries.row(row), scratch);
                query.score_children(layer, beam, margins);
            }
        }
    }
}
