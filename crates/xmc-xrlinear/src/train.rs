//! Training: one job for each cluster of each layer.
//!
//! With teacher-forced negatives a cluster's problem depends on the labels only, not on the layer above, so all
//! clusters of all layers are independent jobs. The root, which sees every instance, starts first. A layer with
//! matcher-aware negatives waits for the layers above it: those are finished, written, and asked where they send
//! the training instances.

use crate::chunk::Chunk;
use crate::model::{ModelInfo, match_clusters};
use crate::output::Output;
use crate::record::Widths;
use crate::rows::{NodeRows, union};
use crate::{CheckedXrLinearParams, LayerWeights, RelevanceMode, XrLinearError, relevance};
use rayon::prelude::*;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard};
use xmc_linear::{CompactRows, Compactor, Fold, LANES, LaneSolver, SolveReport, Targets};
use xmc_sparse::{Csr, Features, Progress, run_in_order};
use xmc_store::ModelWriter;
use xmc_tree::{LabelTree, Search};

/// What training did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrainReport {
    /// Stored weights, without intercepts and dense ones.
    pub n_weights: u64,
    /// Instance visits of the solver (each does up to 16 labels).
    pub visits: u64,
    /// Binary problems that reached the largest number of passes before the tolerance.
    pub unconverged: u64,
}

/// What a model learns from.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Instances<'a> {
    /// Features, `n_samples × n_features`.
    pub x: &'a Features,
    /// Labels, `n_samples × n_labels`.
    pub y: &'a Csr,
    /// A weight above 0 for each instance; all 1 when absent.
    pub weights: Option<&'a [f32]>,
    /// What each label is worth to each instance: `n_samples × n_labels` with a number above 0 for every entry of `y`,
    /// all 1 when absent. Used as [`crate::RelevanceParams`] says.
    pub relevance: Option<&'a Csr>,
    /// Labels that an instance should be kept apart from, `n_samples × n_labels`: it becomes a negative in their
    /// clusters on layers with user-supplied negatives ([`crate::Negatives::user`]).
    pub hard_negatives: Option<&'a Csr>,
}

impl<'a> Instances<'a> {
    /// Instances `x` with labels `y`, and nothing else.
    pub fn new(x: &'a Features, y: &'a Csr) -> Self {
        Self { x, y, weights: None, relevance: None, hard_negatives: None }
    }

    /// Sets the instances' weights.
    #[must_use]
    pub fn weights(mut self, weights: impl Into<Option<&'a [f32]>>) -> Self {
        self.weights = weights.into();
        self
    }

    /// Sets the labels' relevance.
    #[must_use]
    pub fn relevance(mut self, relevance: impl Into<Option<&'a Csr>>) -> Self {
        self.relevance = relevance.into();
        self
    }

    /// Sets the hard negatives.
    #[must_use]
    pub fn hard_negatives(mut self, hard_negatives: impl Into<Option<&'a Csr>>) -> Self {
        self.hard_negatives = hard_negatives.into();
        self
    }

    pub(crate) fn check(&self, tree: &LabelTree) -> Result<(), XrLinearError> {
        let same = |what, expected, found| match expected == found {
            true => Ok(()),
            false => Err(XrLinearError::Shape { what, expected, found }),
        };
        let Self { x, y, weights, relevance, hard_negatives } = *self;
        same("rows of the labels (one for each instance)", x.n_samples(), y.n_rows())?;
        same("labels of the tree (columns of the label matrix)", y.n_cols(), tree.n_labels())?;
        if y.nnz() == 0 {
            return Err(XrLinearError::NoLabels);
        }
        if let Some(relevance) = relevance {
            same("rows of the relevance (one for each instance)", y.n_rows(), relevance.n_rows())?;
            same("columns of the relevance (one for each label)", y.n_cols(), relevance.n_cols())?;
        }
        if let Some(negatives) = hard_negatives {
            same("rows of the hard negatives (one for each instance)", y.n_rows(), negatives.n_rows())?;
            same("columns of the hard negatives (one for each label)", y.n_cols(), negatives.n_cols())?;
        }
        let Some(weights) = weights else { return Ok(()) };
        same("instance weights (one for each instance)", x.n_samples(), weights.len())?;
        match weights.iter().position(|weight| !(weight.is_finite() && *weight > 0.0)) {
            Some(row) => Err(XrLinearError::InstanceWeight { row, found: weights[row] }),
            None => Ok(()),
        }
    }
}

impl CheckedXrLinearParams {
    /// Trains a model of `tree` and writes it to sections `<prefix>/…` of `writer`. The bytes written depend on
    /// the inputs and parameters only, not on the number of threads.
    ///
    /// # Errors
    /// [`XrLinearError::Shape`], [`XrLinearError::NoLabels`], [`XrLinearError::InstanceWeight`],
    /// [`XrLinearError::Relevance`], [`XrLinearError::NoUserNegatives`], and what writing can run into.
    pub fn fit(
        &self,
        instances: Instances<'_>,
        tree: &LabelTree,
        writer: &ModelWriter,
        prefix: &str,
        progress: &dyn Progress,
    ) -> Result<TrainReport, XrLinearError> {
        instances.check(tree)?;
        let info = ModelInfo::new(instances.x, tree, self.weights);
        self.fit_as(&info, instances, tree, (writer, prefix), progress)
    }

    /// Trains the model that `info` tells of.
    pub(crate) fn fit_as(
        &self,
        info: &ModelInfo,
        instances: Instances<'_>,
        tree: &LabelTree,
        (writer, prefix): (&ModelWriter, &str),
        progress: &dyn Progress,
    ) -> Result<TrainReport, XrLinearError> {
        info.write(tree, writer, prefix)?;
        let mut output = Output::new(info.clone(), tree, (writer, prefix), self.part_weights);
        self.fit_layers(tree.depth(), instances, tree, (info, &mut output), progress)?;
        Ok(output.report)
    }

    /// Trains the layers before `end`.
    pub(crate) fn fit_layers(
        &self,
        end: usize,
        instances: Instances<'_>,
        tree: &LabelTree,
        (info, output): (&ModelInfo, &mut Output<'_>),
        progress: &dyn Progress,
    ) -> Result<(), XrLinearError> {
        let mut training = Training::new(self, instances, tree, info)?;
        for layers in self.stages(tree.depth(), end) {
            if layers.start > 0 {
                training.send(output.open(layers.start)?, progress);
            }
            let (mut jobs, mut report) = (output.adopt(layers.clone())?, output.report);
            training.put_small_beside_root(&mut jobs);
            let accept = |job: usize, chunk| output.accept(jobs[job], chunk);
            training
                .solve_each(&jobs, &mut report, progress, accept)
                .into_iter()
                .collect::<Result<(), _>>()?;
            output.report = report;
            output.merge(layers, progress)?;
        }
        Ok(())
    }

    /// The layers before `end` in groups that can be trained together: one with matcher-aware negatives begins a
    /// group.
    fn stages(&self, depth: usize, end: usize) -> Vec<Range<usize>> {
        let waits = |&layer: &usize| self.negatives.of(layer, depth).matcher;
        let mut starts: Vec<usize> = std::iter::once(0).chain((1..end).filter(waits)).collect();
        starts.push(end);
        starts.windows(2).map(|pair| pair[0]..pair[1]).collect()
    }
}

/// Instances up to which a solver's buffers are worth keeping (64 bytes each).
const KEEP_SOLVER: usize = 1 << 16;

/// How many times as long as in a small cluster a visit of an instance takes in the root, at most: its weights are too many for a cache.
const VISIT_OF_ROOT: u64 = 8;

/// Everything that the jobs share.
pub(crate) struct Training<'a> {
    params: &'a CheckedXrLinearParams,
    instances: Instances<'a>,
    tree: &'a LabelTree,
    /// Instances with a label below each node, with their relevance where it counts.
    nodes: Vec<NodeRows>,
    /// For each layer its further negatives: instances sent to its clusters, from one source after the other.
    sent: Vec<Vec<NodeRows>>,
    /// Of each layer: to find the largest cluster takes a look at all of them.
    widths: Vec<Widths>,
    /// Features of a group are solved for as one, of its number.
    fold: Option<Fold>,
    /// Solvers that no thread is using.
    idle: Mutex<Vec<LaneSolver>>,
}

/// What a thread keeps between jobs.
struct Worker<'a> {
    compactor: Compactor<'a>,
    /// For each instance its number within the cluster; only those of the current cluster are valid, and none in the root, where all keep theirs.
    local: Vec<u32>,
}

impl<'a> Training<'a> {
    pub(crate) fn new(
        params: &'a CheckedXrLinearParams,
        instances: Instances<'a>,
        tree: &'a LabelTree,
        info: &ModelInfo,
    ) -> Result<Self, XrLinearError> {
        let relevance = match params.relevance.mode {
            RelevanceMode::Disable => None,
            _ => Some(
                relevance::of_pairs(instances.y, instances.relevance)
                    .map_err(|(row, label, found)| XrLinearError::Relevance { row, label, found })?,
            ),
        };
        let mut nodes = NodeRows::of_tree(tree, instances.y, relevance);
        for (layer, nodes) in nodes.iter_mut().enumerate() {
            match params.relevance.on(layer, tree.depth()) {
                true => nodes.normalise(params.relevance.norm, instances.y.n_rows()),
                false => nodes.forget_weights(),
            }
        }
        let widths = tree.layers().iter().map(|layer| info.widths(layer)).collect();
        let sent = user_negatives(params, instances, tree)?;
        let fold = info.groups.to_solve();
        Ok(Self { params, instances, tree, nodes, sent, widths, fold, idle: Mutex::default() })
    }

    /// Asks the layers `above` a layer with matcher-aware negatives where they send the instances.
    pub(crate) fn send(&mut self, above: &[LayerWeights], progress: &dyn Progress) {
        let x = self.instances.x;
        let (search, rows) = (Search::new(&self.params.matcher), (x.n_samples(), |row| x.row(row)));
        let lists = match_clusters(self.tree, above, rows, search, progress).lists;
        let n_clusters = self.tree.layers()[above.len()].n_parents();
        self.sent[above.len()].push(NodeRows::of_lists(&lists, n_clusters));
    }

    /// About the work of a cluster: instances that are sent to it and have a label there count twice.
    fn work(&self, number: usize, parent: usize) -> u64 {
        let layer = &self.tree.layers()[number];
        let sent: usize = self.sent[number].iter().map(|sent| sent.of(parent).len()).sum();
        let rows =
            if number == 0 { self.instances.x.n_samples() } else { self.nodes[number - 1].of(parent).len() };
        (rows + sent) as u64 * layer.slots(parent).len().div_ceil(LANES) as u64
    }

    /// Moves clusters of the last layer up behind the root, as many as the other threads can solve meanwhile. `jobs` go layer by layer. The
    /// root's copy of the data is the largest thing in memory, and those of the layer below come next: these two are not to meet.
    fn put_small_beside_root(&self, jobs: &mut [(usize, usize)]) {
        let (Some(&(0, 0)), Some(&(last, _))) = (jobs.first(), jobs.last()) else { return };
        let mut room = VISIT_OF_ROOT * self.work(0, 0) * (rayon::current_num_threads() as u64 - 1);
        // Behind the root, also where there is no other layer.
        let first = jobs.partition_point(|job| job.0 < last).max(1);
        let fits = |&&(layer, parent): &&(usize, usize)| {
            let fits = room > 0;
            room = room.saturating_sub(self.work(layer, parent));
            fits
        };
        let n_beside = jobs[first..].iter().take_while(fits).count();
        jobs[1..first + n_beside].rotate_right(n_beside);
    }

    /// The chunks of clusters.
    pub(crate) fn solve(
        &self,
        jobs: &[(usize, usize)],
        report: &mut TrainReport,
        progress: &dyn Progress,
    ) -> Vec<Chunk> {
        self.solve_each(jobs, report, progress, |_, chunk| chunk)
    }

    /// What `done` makes of the chunk of each of `jobs`, as soon as it is there.
    pub(crate) fn solve_each<T: Send>(
        &self,
        jobs: &[(usize, usize)],
        report: &mut TrainReport,
        progress: &dyn Progress,
        done: impl Fn(usize, Chunk) -> T + Sync,
    ) -> Vec<T> {
        // Instances of every cluster, counted once for each group of labels.
        let work = jobs.iter().map(|&(layer, parent)| self.work(layer, parent)).sum();
        progress.begin("weights", Some(work), "instances");
        let x = self.instances.x;
        let compactor = || match &self.fold {
            None => Compactor::new(x.n_sparse()),
            Some(fold) => Compactor::folding(fold),
        };
        let worker = || Worker { compactor: compactor(), local: vec![0; x.n_samples()] };
        let solved = run_in_order(jobs.len(), worker, |worker, job| {
            let (number, parent) = jobs[job];
            let (chunk, reports) = self.solve_cluster(worker, number, parent);
            let n_weights = chunk.n_weights;
            let done = done(job, chunk);
            progress.advance(self.work(number, parent));
            (done, n_weights, reports)
        });
        progress.end();
        let take = |(done, n_weights, reports): (T, u64, Vec<SolveReport>)| {
            report.n_weights += n_weights;
            for solve in reports {
                report.visits += solve.visits;
                report.unconverged += u64::from(solve.unconverged);
            }
            done
        };
        solved.into_iter().map(take).collect()
    }

    /// The instances of a cluster, increasing.
    fn rows_of(&self, number: usize, parent: usize) -> Cow<'_, [u32]> {
        if number == 0 {
            return (0..self.instances.x.n_samples() as u32).collect();
        }
        let taught = Cow::Borrowed(self.nodes[number - 1].of(parent));
        self.sent[number].iter().fold(taught, |rows, sent| union(&rows, sent.of(parent)).into())
    }

    /// Without teacher-forced negatives, the instances that all children see (besides, each sees its positives);
    /// numbered within the cluster.
    fn seen_by_all(&self, number: usize, parent: usize, local: &[u32]) -> Option<Vec<u32>> {
        if number == 0 || self.params.negatives.of(number, self.tree.depth()).teacher {
            return None;
        }
        let sent = self.sent[number].iter().flat_map(|sent| sent.of(parent));
        Some(sent.map(|&row| local[row as usize]).collect())
    }

    fn solve_cluster(
        &self,
        worker: &mut Worker<'_>,
        number: usize,
        parent: usize,
    ) -> (Chunk, Vec<SolveReport>) {
        let layer = &self.tree.layers()[number];
        let rows = self.rows_of(number, parent);
        if number > 0 {
            rows.iter().zip(0..).for_each(|(&row, local)| worker.local[row as usize] = local);
        }
        let svm = self.params.svm.of(number, self.tree.depth());
        let Instances { x, weights, .. } = self.instances;
        let compact = worker.compactor.compact(x, &rows, weights, svm.bias);
        drop(rows);
        let n_groups = layer.slots(parent).len().div_ceil(LANES);
        let mut compact = compact.with_products_if_they_pay(n_groups, svm.max_iter);
        let local = &worker.local;
        let seen = self.seen_by_all(number, parent, local);
        let solve = |rows: &CompactRows, (group, children): (usize, &[u32])| {
            let mut targets = self.targets(number, children, rows.n_rows(), local);
            if let Some(seen) = &seen {
                targets = targets.restricted(&vec![&seen[..]; children.len()]);
            }
            let mut solver = self.idle().pop().unwrap_or_default();
            let seed = seed_of(self.params.seed, number, parent, group);
            let report = solver.solve(svm, rows, &targets, seed);
            (solver, targets, report)
        };
        let weights_of =
            |rows: &CompactRows, (solver, targets, report): (LaneSolver, Targets, SolveReport)| {
                let weights = solver.pruned_weights(svm, rows, &targets);
                // The dual variables of the root would outlast their use by the whole training.
                if rows.n_rows() <= KEEP_SOLVER {
                    self.idle().push(solver);
                }
                (weights, report)
            };
        let children = layer.children(parent);
        let (solved, reports): (Vec<_>, Vec<_>) = if n_groups == 1 {
            let only = solve(&compact, (0, children));
            // The rows are the largest thing here, and no longer needed.
            compact.forget_entries();
            [weights_of(&compact, only)].into_iter().unzip()
        } else {
            let groups = children.par_chunks(LANES).enumerate();
            groups.map(|group| weights_of(&compact, solve(&compact, group))).unzip()
        };
        (Chunk::new(self.widths[number], &compact.into_original_features(), solved), reports)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<LaneSolver>> {
        self.idle.lock().expect("invariant: no thread panics while it holds the lock")
    }

    /// The positives of `children` among the `n_rows` instances of their cluster.
    fn targets(&self, number: usize, children: &[u32], n_rows: usize, local: &[u32]) -> Targets {
        let nodes = &self.nodes[number];
        let place = |&row: &u32| if number == 0 { row } else { local[row as usize] };
        let of_child = |&child: &u32| nodes.of(child as usize).iter().map(place).collect();
        let positives: Vec<Vec<u32>> = children.iter().map(of_child).collect();
        let weights: Option<Vec<&[f32]>> =
            children.iter().map(|&child| nodes.weights_of(child as usize)).collect();
        match weights {
            None => Targets::new(n_rows, &positives),
            Some(weights) => Targets::with_costs(n_rows, &positives, &weights),
        }
    }
}

/// For each layer with user-supplied negatives, the instances named as such in each of its clusters.
fn user_negatives(
    params: &CheckedXrLinearParams,
    instances: Instances<'_>,
    tree: &LabelTree,
) -> Result<Vec<Vec<NodeRows>>, XrLinearError> {
    let depth = tree.depth();
    let wanted = |layer| layer > 0 && params.negatives.of(layer, depth).user;
    let mut sent: Vec<Vec<NodeRows>> = (0..depth).map(|_| Vec::new()).collect();
    if !(0..depth).any(wanted) {
        return Ok(sent);
    }
    let matrix = instances.hard_negatives.ok_or(XrLinearError::NoUserNegatives)?;
    let mut nodes = NodeRows::of_tree(tree, matrix, None);
    nodes.truncate(depth - 1);
    for (layer, clusters) in (1..).zip(nodes).filter(|(layer, _)| wanted(*layer)) {
        sent[layer].push(clusters);
    }
    Ok(sent)
}

/// A seed for each group of each cluster, whatever the order of the jobs (SplitMix64's finaliser).
fn seed_of(seed: u64, layer: usize, parent: usize, group: usize) -> u64 {
    [layer, parent, group].iter().fold(seed, |state, &part| {
        let mut z = (state ^ part as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}
