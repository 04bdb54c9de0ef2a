//! What a training takes of memory, disk and time, and how it is kept within a limit.
//!
//! Two things can be made smaller at the cost of time: the label features of the nodes that are being clustered
//! ([`crate::TreeParams::node_entries`]), and the weights that wait to be written ([`crate::XrLinearParams::part_weights`]). All else (the data, the copy of
//! them that the root is solved on) is what it is; data that are mapped count for nothing. The limit chooses these two, by counts of the data (and whether they are mapped) alone: the same data and limit give the same model on any
//! machine.
//!
//! Seconds and sizes come from trainings on two small parts of the data, as powers of the number of records.

use crate::training_set::TrainingSet;
use crate::{Meta, TrainParams, Trainer, XmcError};
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use xmc_data::{Dataset, Input};
use xmc_sparse::{Csr, DenseBlock, Progress};
use xmc_store::{ModelWriter, StoreError};
use xmc_tree::{NODE_ENTRIES, most_entries_made};
use xmc_xrlinear::PART_WEIGHTS;

/// The stages of a training with what each takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TrainingPlan {
    /// The limit that was asked for, in bytes.
    pub memory_limit: Option<u64>,
    /// Entries of label features that a node may have in memory, where the limit bounds them.
    pub node_entries: Option<u64>,
    /// Weights of a layer in memory, where the limit bounds them.
    pub part_weights: Option<u64>,
    /// The stages, in their order.
    pub stages: Vec<PlannedStage>,
    /// Bytes of the model, where trainings on parts of the data told.
    pub model_bytes: Option<u64>,
    /// Records of the parts.
    pub sampled: Vec<usize>,
}

/// A stage of a training.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PlannedStage {
    /// Its name, as in [`crate::Meta::stages`].
    pub name: &'static str,
    /// Bytes of memory at its peak, data included unless they are mapped.
    pub memory_bytes: u64,
    /// Bytes that it writes, about.
    pub disk_bytes: Option<u64>,
    /// How long it takes.
    pub seconds: Option<f64>,
}

/// Nodes that have their label features in memory at a time, under a limit. A constant: the model depends on it.
const NODES_AT_ONCE: u64 = 2;
/// Fewest entries of a node, and fewest weights in memory: with less, a training takes very long and a model has very many parts.
const MIN_NODE_ENTRIES: u64 = 1 << 20;
const MIN_PART_WEIGHTS: u64 = 1 << 18;
/// Threads that are reckoned with where the model depends on it.
const THREADS: u64 = 4;
/// Bytes of the program itself, of its buffers, and of what it has freed a moment ago.
const PROGRAM: u64 = 32 << 20;
/// Bytes of an entry of a sparse matrix, of a pointer to a row of it, of a row of a node.
const ENTRY: u64 = 8;
/// Bytes of an entry while labels are clustered.
const PACKED: u64 = 4;
const POINTER: u64 = 8;
const NODE_ROW: u64 = 64;
/// Bytes of a weight that waits to be written, its place and its share of what is stored for a feature included.
const WAITING: f64 = 4.5;
/// Layers that have weights in memory at a time.
const OPEN_LAYERS: u64 = 2;
/// Labels whose features are counted.
const SAMPLED_LABELS: usize = 256;

/// The counts that memory depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Counts {
    rows: u64,
    features: u64,
    n_dense: u64,
    entries: u64,
    label_entries: u64,
    labels: u64,
    /// Entries of all label features, were each instance's to be counted for each of its labels; and the share that is left when those that
    /// two instances have are counted once.
    summed: u64,
    distinct: f64,
    /// Features of several instances.
    shared: u64,
    /// Bytes of texts.
    texts: u64,
    /// Bytes of names and vocabulary.
    beside: u64,
    mapped: Mapped,
}

/// What lies in mapped files: the system has its memory back whenever it wants, so it counts for nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Mapped {
    x: bool,
    dense: bool,
    y: bool,
    texts: bool,
}

impl Mapped {
    fn of(dataset: &Dataset, set: &TrainingSet<'_>) -> Self {
        Self {
            x: !set.x.sparse().is_owned(),
            dense: set.x.dense_block().is_some_and(|block| !block.is_owned()),
            y: !set.y.is_owned(),
            texts: matches!(&dataset.input, Input::Text(texts) if !texts.is_owned()),
        }
    }

    /// Before there is a training set: where labels' names become records (`names`), all but the texts is made anew.
    fn of_all(dataset: &Dataset, names: bool) -> Self {
        let is_mapped = |block: Option<&DenseBlock>| block.is_some_and(|block| !block.is_owned());
        let y = !dataset.labels.is_owned();
        match &dataset.input {
            Input::Features(x) => {
                Self { x: !x.sparse().is_owned(), dense: is_mapped(x.dense_block()), y, texts: false }
            }
            Input::Text(texts) => {
                let dense = is_mapped(dataset.dense.as_ref()) && !names;
                Self { x: false, dense, y: y && !names, texts: !texts.is_owned() }
            }
        }
    }
}

impl Counts {
    pub(crate) fn of(dataset: &Dataset, set: &TrainingSet<'_>) -> Self {
        let (x, y) = (set.x.sparse(), &*set.y);
        let (texts, vocabulary) = match &dataset.input {
            // 16 bytes for each text and what is held of it while it is counted.
            Input::Text(texts) => {
                (texts.iter().map(|text| text.len() as u64 + 16).sum(), 48 * x.n_cols() as u64)
            }
            Input::Features(_) => (0, 0),
        };
        let names =
            dataset.label_map.iter().map(|(key, name)| (key.len() + name.len()) as u64 + 64).sum::<u64>();
        let mut seen = vec![0u8; x.n_cols()];
        for &feature in x.indices() {
            let seen = &mut seen[feature as usize];
            *seen = (*seen + 1).min(2);
        }
        Self {
            rows: x.n_rows() as u64,
            features: x.n_cols() as u64,
            n_dense: set.x.n_dense() as u64,
            entries: x.nnz() as u64,
            label_entries: y.nnz() as u64,
            labels: y.n_cols() as u64,
            summed: x.rows().zip(y.rows()).map(|(x, y)| (x.nnz() * y.nnz()) as u64).sum(),
            distinct: distinct(x, y),
            shared: seen.iter().filter(|&&seen| seen == 2).count() as u64,
            texts,
            beside: vocabulary + names,
            mapped: Mapped::of(dataset, set),
        }
    }

    /// What they are for `rows` instances, by those of two parts of the data.
    fn scaled(small: &Self, large: &Self, rows: u64, mapped: Mapped) -> Self {
        let power = |of: fn(&Self) -> u64| {
            let growth =
                Growth::between((small.rows, of(small) as f64), (large.rows, of(large) as f64), (0.0, 1.1));
            growth.at(rows) as u64
        };
        Self {
            rows,
            features: power(|c| c.features),
            n_dense: large.n_dense,
            entries: power(|c| c.entries),
            label_entries: power(|c| c.label_entries),
            labels: large.labels,
            summed: power(|c| c.summed),
            distinct: large.distinct,
            shared: power(|c| c.shared),
            texts: power(|c| c.texts),
            beside: power(|c| c.beside),
            mapped,
        }
    }

    /// Bytes of the data.
    fn data(&self) -> u64 {
        let held = |is_mapped, bytes| if is_mapped { 0 } else { bytes };
        let Mapped { x, dense, y, texts } = self.mapped;
        PROGRAM
            + held(x, ENTRY * self.entries + POINTER * self.rows)
            + held(y, ENTRY * self.label_entries + POINTER * self.rows)
            + held(dense, 4 * self.rows * self.n_dense)
            + held(texts, self.texts)
            + self.beside
    }

    /// Bytes while the shares of instances in labels are made.
    fn label_features(&self) -> u64 {
        self.data() + 2 * ENTRY * self.label_entries + POINTER * (self.rows + self.labels)
    }

    /// Bytes of clustering without any label's features.
    fn tree_base(&self) -> u64 {
        let shares = ENTRY * self.label_entries + POINTER * self.labels;
        let sums = 4 * (self.features * 4 + self.rows * 2);
        let instances = PACKED * self.entries + 3 * POINTER * self.rows;
        self.data() + shares + instances + sums + NODE_ROW * self.labels
    }

    /// Entries of the largest node whose features are made, with at most `most`: nodes are halves of halves, and the labels of an instance
    /// are taken to be in as many of them as chance would have it.
    fn node_entries(&self, most: u64) -> u64 {
        let per_row = self.label_entries as f64 / self.rows.max(1) as f64;
        let (mut nodes, mut entries) = (1.0f64, self.summed);
        while entries > 1 {
            let reached = 1.0 - (1.0 - 1.0 / nodes).powf(per_row);
            let visits = self.label_entries as f64 / nodes + self.entries as f64 * reached;
            if entries <= most_entries_made(entries, visits as u64, most) {
                break;
            }
            (nodes, entries) = (2.0 * nodes, entries / 2);
        }
        entries
    }

    /// Bytes of the label features of a node of so many entries.
    fn node(&self, entries: u64) -> u64 {
        (PACKED as f64 * self.distinct * entries as f64) as u64
    }

    /// Bytes of clustering with nodes of at most `most` entries, `at_once` at a time.
    fn tree(&self, most: u64, at_once: u64) -> u64 {
        let node = self.node_entries(most);
        let nodes = at_once.min(self.summed.div_ceil(node.max(1)).max(1));
        self.tree_base() + nodes * self.node(node)
    }

    /// Bytes of solving with `threads`, without weights that wait.
    fn weights_base(&self, params: &TrainParams, threads: u64) -> u64 {
        let lists = 4 * self.instances_of_nodes(params) + POINTER * 2 * self.labels;
        let worker = 4 * (self.features + self.rows);
        let row = 16 + 64 + 12 + 4 * self.n_dense;
        let root = self.root_weights() + row * self.rows + 8 * self.features;
        // Other threads are at small clusters meanwhile; those below the root come after it, one for each thread.
        let (clusters, share) = self.below_root(params);
        let below = (clusters.min(threads as f64) * share * root as f64) as u64;
        self.data() + lists + threads * worker + 8 * self.features + root.max(below)
    }

    /// Bytes of the root's entries, and of a line of weights and a sum for each feature that several instances have.
    fn root_weights(&self) -> u64 {
        ENTRY * self.entries + (64 + 4) * self.shared
    }

    /// The clusters right below the root, and the share of the instances that each has. Half of an instance's labels are taken to be where
    /// chance would have them, and the others beside them.
    fn below_root(&self, params: &TrainParams) -> (f64, f64) {
        let branching = params.tree.branching as f64;
        let mut clusters = (self.labels as f64 / params.tree.max_leaf as f64).ceil();
        while clusters > branching {
            clusters = (clusters / branching).ceil();
        }
        let per_row = self.label_entries as f64 / self.rows.max(1) as f64;
        (clusters, if clusters > 1.0 { 1.0 - (1.0 - 1.0 / clusters).powf(per_row / 2.0) } else { 0.0 })
    }

    /// Instances of the nodes of all layers, each counted in every one that it is in. Labels of an instance are taken to meet as they would by
    /// chance in half of the layers' clusters, as related labels stand together.
    fn instances_of_nodes(&self, params: &TrainParams) -> u64 {
        let per_row = self.label_entries as f64 / self.rows.max(1) as f64;
        let (mut clusters, mut instances) =
            ((self.labels as f64 / params.tree.max_leaf as f64).ceil(), self.label_entries);
        while clusters > 1.0 {
            let half = (clusters / 2.0).max(1.0);
            let met = half * (1.0 - (1.0 - 1.0 / half).powf(per_row));
            instances += (self.rows as f64 * met.min(per_row)) as u64;
            clusters = (clusters / params.tree.branching as f64).floor();
        }
        instances
    }

    /// Bytes of solving when at most `part` weights of a layer wait, of `weights` in all.
    fn weights(&self, params: &TrainParams, threads: u64, part: u64, weights: u64) -> u64 {
        // While the root is solved, about half as much waits; then its memory is free again.
        let root = self.root_weights();
        let waiting = (WAITING * (OPEN_LAYERS * part).min(weights) as f64) as u64;
        self.weights_base(params, threads) + (waiting / 2).max(waiting.saturating_sub(root))
    }

    /// `params` with what keeps a training within `limit` bytes.
    ///
    /// # Errors
    /// [`XmcError::Memory`] when nothing does.
    pub(crate) fn limit(&self, params: &TrainParams, limit: u64) -> Result<TrainParams, XmcError> {
        let room = |stage, base: u64, least: u64| match limit.checked_sub(base) {
            Some(room) if room >= least => Ok(room),
            _ => Err(XmcError::Memory { stage, limit, needed: base + least }),
        };
        room("label features", self.label_features(), 0)?;
        let mut limited = params.clone();
        let per_entry = PACKED as f64 * self.distinct;
        let least = (NODES_AT_ONCE as f64 * per_entry * self.node_entries(MIN_NODE_ENTRIES) as f64) as u64;
        let room_of_nodes = room("tree", self.tree_base(), least)?;
        let node_entries = (room_of_nodes as f64 / (NODES_AT_ONCE as f64 * per_entry)) as u64;
        let most = params.tree.node_entries.unwrap_or(NODE_ENTRIES);
        limited.tree.node_entries = Some(node_entries.clamp(MIN_NODE_ENTRIES, most));
        limited.tree.nodes_at_once = Some(NODES_AT_ONCE as usize);
        let least = (WAITING * (OPEN_LAYERS * MIN_PART_WEIGHTS) as f64) as u64;
        let root = self.root_weights();
        let room = room("weights", self.weights_base(params, THREADS), least)?;
        // The other way round: see `weights`.
        let waiting = (2 * room).min(room + root);
        let part = (waiting as f64 / (WAITING * OPEN_LAYERS as f64)) as u64;
        let most = params.linear.part_weights.unwrap_or(PART_WEIGHTS);
        limited.linear.part_weights = Some(part.clamp(MIN_PART_WEIGHTS.min(most), most));
        Ok(limited)
    }
}

/// The share of entries that is left when the instances of a label are added up, in a sample of labels.
fn distinct(x: &Csr, y: &Csr) -> f64 {
    let step = (y.n_cols() / SAMPLED_LABELS).max(1);
    let mut features: BTreeMap<u32, HashSet<u32>> = BTreeMap::new();
    let mut all = 0usize;
    for (x, y) in x.rows().zip(y.rows()) {
        for &label in y.indices.iter().filter(|&&label| (label as usize).is_multiple_of(step)) {
            all += x.nnz();
            features.entry(label).or_default().extend(x.indices);
        }
    }
    let distinct: usize = features.values().map(HashSet::len).sum();
    if all == 0 { 1.0 } else { distinct as f64 / all as f64 }
}

/// A number as a power of the number of records.
#[derive(Debug, Clone, Copy)]
struct Growth {
    rows: f64,
    value: f64,
    exponent: f64,
}

impl Growth {
    /// Through two measurements, as pairs of records and number; `exponents` are those that can be.
    fn between(small: (u64, f64), large: (u64, f64), exponents: (f64, f64)) -> Self {
        let (n, m) = (small.0 as f64, large.0 as f64);
        let exponent = match small.1 > 0.0 && large.1 > 0.0 && m > n {
            true => (large.1 / small.1).ln() / (m / n).ln(),
            false => 1.0,
        };
        Self { rows: m, value: large.1, exponent: exponent.clamp(exponents.0, exponents.1) }
    }

    /// With what larger data usually have less of: on library titles and on data of Amazon-3M's shape the exponent from a tenth to all was 0.91 and 0.81
    /// of that from a fortieth to a tenth.
    fn slowing(self) -> Self {
        Self { exponent: 0.83 * self.exponent, ..self }
    }

    fn at(self, rows: u64) -> f64 {
        self.value * (rows as f64 / self.rows).powf(self.exponent)
    }
}

/// The larger part of the data that is tried, as a share, and its fewest records. The smaller part has a quarter of them. How weights grow with the
/// records changes from a hundredth to all of the data, so that much smaller parts mislead by a factor of two.
const TRIED: usize = 10;
const FEWEST_TRIED: usize = 4_096;
const QUARTER: usize = 4;

/// Where a training on a part of the data goes.
pub(crate) type NewWriter<'a> = &'a dyn Fn() -> Result<ModelWriter, StoreError>;

/// A training on a part of the data.
struct Tried {
    rows: u64,
    counts: Counts,
    meta: Meta,
    /// Of its model.
    n_bytes: u64,
}

impl Tried {
    /// Every few of the records.
    fn of(
        dataset: &Dataset,
        params: &TrainParams,
        names: bool,
        rows: usize,
        writer: ModelWriter,
    ) -> Result<Self, XmcError> {
        let step = (dataset.n_samples() / rows).max(1);
        let picked: Vec<usize> = (0..dataset.n_samples()).step_by(step).take(rows).collect();
        let part = dataset.select(&picked);
        let (counts, meta, n_bytes) =
            Trainer::new(params.clone()).label_names(names).try_out(&part, writer)?;
        Ok(Self { rows: picked.len() as u64, counts, meta, n_bytes })
    }

    fn seconds(&self, stage: &str) -> f64 {
        self.meta.stages.get(stage).copied().unwrap_or(0.0)
    }
}

/// What `params` bound, in words.
pub(crate) fn limits(params: &TrainParams) -> String {
    let entries = params.tree.node_entries.unwrap_or(NODE_ENTRIES);
    let weights = params.linear.part_weights.unwrap_or(PART_WEIGHTS);
    let millions = |n: u64| format!("{:.1} million", n as f64 / 1e6);
    format!(
        "memory: a node has its label features up to {} entries, a layer {} weights",
        millions(entries),
        millions(weights)
    )
}

/// The plan of a training of `params` on `dataset`, with label names or without.
pub(crate) fn plan(
    dataset: &Dataset,
    params: &TrainParams,
    names: bool,
    limit: Option<u64>,
    writer: NewWriter<'_>,
    progress: &dyn Progress,
) -> Result<TrainingPlan, XmcError> {
    let n_rows = dataset.n_samples();
    let large = (n_rows / TRIED).max(FEWEST_TRIED).min(n_rows);
    let small = (large / QUARTER).max(1);
    progress.begin("try parts of the data", Some(2), "trainings");
    let of = |rows| {
        let tried = Tried::of(dataset, params, names, rows, writer()?);
        progress.advance(1);
        tried
    };
    let (small, large) = (of(small)?, of(large)?);
    progress.end();
    let counts = Counts::scaled(
        &small.counts,
        &large.counts,
        n_rows as u64 * large.counts.rows / large.rows,
        Mapped::of_all(dataset, names),
    );
    let planned = match limit {
        Some(limit) => counts.limit(params, limit)?,
        None => params.clone(),
    };
    let trials = [&small, &large];
    let seconds = |stage: &str| {
        let [small, large] = trials.map(|tried| (tried.rows, tried.seconds(stage)));
        // Beyond, it is the clock that is inexact.
        Growth::between(small, large, (0.9, 1.2)).at(n_rows as u64)
    };
    let [few, many] = trials.map(|tried| (tried.rows, tried.meta.n_weights as f64));
    let weights = Growth::between(few, many, (0.5, 1.3)).slowing().at(n_rows as u64);
    // So many bytes for each weight, and some for all.
    let [few_bytes, many_bytes] = trials.map(|tried| tried.n_bytes as f64);
    let each = if many.1 > few.1 { (many_bytes - few_bytes) / (many.1 - few.1) } else { 0.0 };
    let bytes = (many_bytes + each * (weights - many.1)).max(many_bytes) as u64;
    let weights = weights as u64;
    let threads = rayon::current_num_threads() as u64;
    let at_once = planned.tree.nodes_at_once.map_or(threads, |nodes| nodes as u64);
    let (node, part) = (planned.tree.node_entries, planned.linear.part_weights);
    let mut stages = Vec::new();
    let mut stage = |name, memory_bytes, disk_bytes, seconds| {
        stages.push(PlannedStage { name, memory_bytes, disk_bytes, seconds });
    };
    if dataset.has_texts() {
        stage("tfidf", counts.data() + 64 * counts.features, None, Some(seconds("tfidf")));
    }
    stage("label_features", counts.label_features(), None, Some(seconds("label_features")));
    let tree = counts.tree(node.unwrap_or(NODE_ENTRIES), at_once);
    stage("tree", tree, None, Some(seconds("tree")));
    let part_weights = part.unwrap_or(PART_WEIGHTS);
    let memory = counts.weights(params, threads, part_weights, weights);
    // Most weights are the last layer's. In parts, they are written twice, and there twice until the parts go.
    let written = if weights > part_weights { 2 * bytes } else { bytes };
    stage("weights", memory, Some(written), Some(seconds("weights")));
    Ok(TrainingPlan {
        memory_limit: limit,
        node_entries: node,
        part_weights: part,
        stages,
        model_bytes: Some(bytes),
        sampled: vec![small.rows as usize, large.rows as usize],
    })
}
