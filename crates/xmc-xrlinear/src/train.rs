//! Training: one job for each cluster of each layer.
//!
//! With teacher-forced negatives a cluster's problem depends on the labels only, not on the layer above, so all
//! clusters of all layers are independent jobs. The root, which sees every instance, starts first.

use crate::assemble::write_layer;
use crate::chunk::Chunk;
use crate::jobs::run_in_order;
use crate::model::ModelInfo;
use crate::record::Widths;
use crate::rows::NodeRows;
use crate::{CheckedXrLinearParams, XrLinearError};
use rayon::prelude::*;
use std::sync::Mutex;
use xmc_linear::{CompactRows, Compactor, GroupWeights, LANES, LaneSolver, SolveReport, Targets};
use xmc_sparse::{Csr, Features, Progress};
use xmc_store::ModelWriter;
use xmc_tree::{LabelTree, TreeLayer};

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
pub struct Instances<'a> {
    /// Features, `n_samples × n_features`.
    pub x: &'a Features,
    /// Labels, `n_samples × n_labels`.
    pub y: &'a Csr,
    /// A weight above 0 for each instance; all 1 when absent.
    pub weights: Option<&'a [f32]>,
}

impl CheckedXrLinearParams {
    /// Trains a model of `tree` and writes it to sections `<prefix>/…` of `writer`. The bytes written depend on
    /// the inputs and parameters only, not on the number of threads.
    ///
    /// # Errors
    /// [`XrLinearError::Shape`], [`XrLinearError::NoLabels`], [`XrLinearError::InstanceWeight`], and what writing
    /// can run into.
    pub fn fit(
        &self,
        instances: Instances<'_>,
        tree: &LabelTree,
        writer: &ModelWriter,
        prefix: &str,
        progress: &dyn Progress,
    ) -> Result<TrainReport, XrLinearError> {
        let Instances { x, y, weights } = instances;
        check_inputs(instances, tree)?;
        let nodes = NodeRows::of_tree(tree, y);
        let info = ModelInfo::new(x, tree, self.weights);
        let widths = tree.layers().iter().map(|layer| info.widths(layer)).collect();
        let idle = Mutex::default();
        let training = Training { params: self, x, weights, tree, nodes: &nodes, widths, idle };
        info.write(tree, writer, prefix)?;
        let mut report = TrainReport::default();
        progress.begin("weights", Some(training.total_work()), "instances");
        let mut chunks = training.solve_all(&mut report, progress);
        progress.end();
        progress.begin("write", Some(tree.depth() as u64), "layers");
        for (number, layer) in tree.layers().iter().enumerate().rev() {
            let of_layer = chunks.split_off(chunks.len() - layer.n_parents());
            let prefix = format!("{prefix}/layer{number}");
            write_layer(writer, &prefix, info.widths(layer), x.n_sparse(), &of_layer)?;
            progress.advance(1);
        }
        progress.end();
        Ok(report)
    }
}

fn check_inputs(instances: Instances<'_>, tree: &LabelTree) -> Result<(), XrLinearError> {
    let Instances { x, y, weights } = instances;
    let same = |what, expected, found| match expected == found {
        true => Ok(()),
        false => Err(XrLinearError::Shape { what, expected, found }),
    };
    same("rows of the labels (one for each instance)", x.n_samples(), y.n_rows())?;
    same("labels of the tree (columns of the label matrix)", y.n_cols(), tree.n_labels())?;
    if y.nnz() == 0 {
        return Err(XrLinearError::NoLabels);
    }
    let Some(weights) = weights else { return Ok(()) };
    same("instance weights (one for each instance)", x.n_samples(), weights.len())?;
    match weights.iter().position(|weight| !(weight.is_finite() && *weight > 0.0)) {
        Some(row) => Err(XrLinearError::InstanceWeight { row, found: weights[row] }),
        None => Ok(()),
    }
}

/// Instances up to which a solver's buffers are worth keeping (64 bytes each).
const KEEP_SOLVER: usize = 1 << 16;

/// Everything that the jobs share.
struct Training<'a> {
    params: &'a CheckedXrLinearParams,
    x: &'a Features,
    weights: Option<&'a [f32]>,
    tree: &'a LabelTree,
    nodes: &'a [NodeRows],
    /// Of each layer: to find the largest cluster takes a look at all of them.
    widths: Vec<Widths>,
    /// Solvers that no thread is using.
    idle: Mutex<Vec<LaneSolver>>,
}

/// What a thread keeps between jobs.
struct Worker {
    compactor: Compactor,
    /// For each instance its number within the cluster; only those of the current cluster are valid.
    local: Vec<u32>,
}

impl Training<'_> {
    /// Instances of every cluster, counted once for each group of labels.
    fn total_work(&self) -> u64 {
        let jobs = self.tree.layers().iter().enumerate();
        jobs.flat_map(|(number, layer)| (0..layer.n_parents()).map(move |parent| (number, layer, parent)))
            .map(|(number, layer, parent)| self.work(number, layer, parent))
            .sum()
    }

    fn work(&self, number: usize, layer: &TreeLayer, parent: usize) -> u64 {
        let rows = if number == 0 { self.x.n_samples() } else { self.nodes[number - 1].of(parent).len() };
        rows as u64 * layer.slots(parent).len().div_ceil(LANES) as u64
    }

    /// The chunks of all clusters, layer after layer.
    fn solve_all(&self, report: &mut TrainReport, progress: &dyn Progress) -> Vec<Chunk> {
        let layers = self.tree.layers();
        let jobs: Vec<(usize, usize)> = (0..layers.len())
            .flat_map(|number| (0..layers[number].n_parents()).map(move |parent| (number, parent)))
            .collect();
        let worker =
            || Worker { compactor: Compactor::new(self.x.n_sparse()), local: vec![0; self.x.n_samples()] };
        let solved = run_in_order(jobs.len(), worker, |worker, job| {
            let (number, parent) = jobs[job];
            let done = self.solve_cluster(worker, number, parent);
            progress.advance(self.work(number, &layers[number], parent));
            done
        });
        let mut chunks = Vec::with_capacity(solved.len());
        for (chunk, reports) in solved {
            report.n_weights += chunk.n_weights;
            for solve in reports {
                report.visits += solve.visits;
                report.unconverged += u64::from(solve.unconverged);
            }
            chunks.push(chunk);
        }
        chunks
    }

    fn solve_cluster(&self, worker: &mut Worker, number: usize, parent: usize) -> (Chunk, Vec<SolveReport>) {
        let layer = &self.tree.layers()[number];
        let every: Vec<u32>;
        let rows = if number == 0 {
            every = (0..self.x.n_samples() as u32).collect();
            &every[..]
        } else {
            self.nodes[number - 1].of(parent)
        };
        for (local, &row) in rows.iter().enumerate() {
            worker.local[row as usize] = local as u32;
        }
        let compact = worker.compactor.compact(self.x, rows, self.weights, self.params.svm.bias);
        let local = &worker.local;
        let groups = layer.children(parent).par_chunks(LANES).enumerate();
        let (solved, reports): (Vec<_>, Vec<_>) = groups
            .map(|(group, children)| {
                let positives: Vec<Vec<u32>> = children
                    .iter()
                    .map(|&child| self.nodes[number].of(child as usize))
                    .map(|rows| rows.iter().map(|&row| local[row as usize]).collect())
                    .collect();
                let seed = seed_of(self.params.seed, number, parent, group);
                self.solve_group(&compact, &Targets::new(rows.len(), &positives), seed)
            })
            .unzip();
        // The rows are the largest thing here, and no longer needed.
        let features = compact.into_original_features();
        (Chunk::new(self.widths[number], &features, solved), reports)
    }

    fn solve_group(&self, rows: &CompactRows, targets: &Targets, seed: u64) -> (GroupWeights, SolveReport) {
        let idle = || self.idle.lock().expect("invariant: no thread panics while it holds the lock");
        let mut solver = idle().pop().unwrap_or_default();
        let report = solver.solve(&self.params.svm, rows, targets, seed);
        let weights = solver.weights(rows, targets, self.params.svm.threshold);
        // The dual variables of the root would outlast their use by the whole training.
        if rows.n_rows() <= KEEP_SOLVER {
            idle().push(solver);
        }
        (weights, report)
    }
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
