//! Training the last layer again when labels have found other places, and only where something is different.
//!
//! The problem of a cluster depends on its labels and on their instances, and the solver's random numbers on the
//! cluster's place. A cluster with the same labels as before therefore has the same weights, to the bit: they are
//! taken out of the stored layer.

use crate::chunk::Chunk;
use crate::model::ModelInfo;
use crate::output::Output;
use crate::part::Part;
use crate::record::{Widths, put_columns, put_uint, take_columns};
use crate::train::Training;
use crate::upper::TrainedLeaves;
use crate::{CheckedXrLinearParams, Instances, LayerWeights, TrainReport, UpperLayers, XrLinearError};
use xmc_sparse::Progress;
use xmc_store::ModelWriter;
use xmc_tree::TreeLayer;

/// What training a last layer did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeavesReport {
    /// The problems that were solved; all stored weights of the layer.
    pub training: TrainReport,
    /// Clusters of the layer.
    pub clusters: usize,
    /// Those that were trained: the others have the same labels as before, and keep their weights.
    pub trained: usize,
}

impl CheckedXrLinearParams {
    /// Trains the last layer of a model whose labels stand in `leaves`, below the clusters of `upper`, and writes it
    /// with its tree to sections `<prefix>/…` of `writer`. With the weights of `upper` in the same place
    /// ([`UpperLayers::write`], unless [`CheckedXrLinearParams::fit_upper`] wrote them there) that is a model.
    ///
    /// Where `upper` comes from a trained model, `instances` and parameters must be those of its training: a cluster that
    /// has the same labels is not trained again. The layer has the bytes that training the whole tree
    /// would give it, unless its negatives are matcher-aware and `upper` was trained for other places.
    /// Weights are stored in the type of `upper`.
    ///
    /// # Errors
    /// As [`CheckedXrLinearParams::fit`], [`XrLinearError::Shape`] for leaves with other clusters, and
    /// [`XrLinearError::Inconsistent`] when a layer to be reused is damaged.
    pub fn fit_leaves(
        &self,
        instances: Instances<'_>,
        upper: &UpperLayers,
        leaves: TreeLayer,
        writer: &ModelWriter,
        prefix: &str,
        progress: &dyn Progress,
    ) -> Result<LeavesReport, XrLinearError> {
        upper.check(instances.x)?;
        upper.check_leaves(&leaves)?;
        let tree = upper.tree.clone().with_leaves(leaves)?;
        instances.check(&tree)?;
        let last = upper.layers.len();
        upper.info.write(&tree, writer, prefix)?;
        let mut training = Training::new(self, instances, &tree, &upper.info)?;
        if self.negatives.of(last, tree.depth()).matcher {
            training.send(&upper.layers, progress);
        }
        let mut chunks = reused(upper, tree.leaves())?;
        let jobs: Vec<(usize, usize)> =
            (0..chunks.len()).filter(|&at| chunks[at].is_none()).map(|at| (last, at)).collect();
        let reused = chunks.iter().flatten().map(|chunk| chunk.n_weights).sum();
        let mut report = TrainReport { n_weights: reused, ..TrainReport::default() };
        let output = Output::new(upper.info.clone(), &tree, (writer, prefix), self.part_weights);
        let solved = training.solve(&jobs, &mut report, progress);
        jobs.iter().zip(solved).for_each(|(&(_, at), chunk)| chunks[at] = Some(chunk));
        let (clusters, trained) = (chunks.len(), jobs.len());
        let mut chunks = chunks.into_iter().flatten().enumerate();
        chunks.try_for_each(|(at, chunk)| output.accept((last, at), chunk))?;
        output.merge(last..last + 1, progress)?;
        Ok(LeavesReport { training: report, clusters, trained })
    }
}

/// For each cluster of `leaves` the weights that it has already, if it has the same labels as before.
fn reused(upper: &UpperLayers, leaves: &TreeLayer) -> Result<Vec<Option<Chunk>>, XrLinearError> {
    let mut chunks: Vec<Option<Chunk>> = (0..leaves.n_parents()).map(|_| None).collect();
    let Some(TrainedLeaves { places, weights }) = &upper.leaves else { return Ok(chunks) };
    let stays = |at: &usize| places.children(*at) == leaves.children(*at);
    let mut reader = Reader::new(weights, places, &upper.info, leaves);
    for at in (0..leaves.n_parents()).filter(stays) {
        chunks[at] = Some(reader.begin(at));
    }
    match reader.read(&mut chunks) {
        Some(()) => Ok(chunks),
        None => Err(XrLinearError::damaged_record(upper.layers.len())),
    }
}

/// Takes clusters' weights out of the records of a stored layer: the way back from `assemble`.
struct Reader<'a> {
    weights: &'a LayerWeights,
    layer: &'a TreeLayer,
    /// Form of the postings that are made: another largest cluster may ask for another one.
    widths: Widths,
    columns: Vec<u32>,
}

impl<'a> Reader<'a> {
    fn new(weights: &'a LayerWeights, layer: &'a TreeLayer, info: &ModelInfo, target: &TreeLayer) -> Self {
        Self { weights, layer, widths: info.widths(target), columns: Vec::new() }
    }

    /// A chunk with the intercepts and dense weights of `cluster`.
    fn begin(&self, cluster: usize) -> Chunk {
        let slots = self.layer.slots(cluster);
        let part = self.weights.part();
        let (bias, dense) = (part.bias(slots.clone()), part.dense(slots));
        Chunk { bias: bias.to_vec(), dense: dense.to_vec(), ..Chunk::default() }
    }

    /// Completes those `chunks` that have begun. `None` when a record is damaged.
    fn read(&mut self, chunks: &mut [Option<Chunk>]) -> Option<()> {
        let part = self.weights.part();
        (0..part.n_records() as u32).try_for_each(|record| self.read_record(part, record, chunks))
    }

    fn read_record(&mut self, part: &Part, record: u32, chunks: &mut [Option<Chunk>]) -> Option<()> {
        let mut sound = true;
        part.record(record)?.for_each(|cluster, weights, posting| {
            match chunks.get_mut(cluster as usize) {
                None => sound = false,
                Some(None) => {}
                Some(Some(chunk)) => {
                    sound &= self.add(chunk, (record, cluster), part.widths, weights, posting);
                }
            }
        })?;
        sound.then_some(())
    }

    /// Adds a posting; whether it can be one of this cluster.
    fn add(
        &mut self,
        chunk: &mut Chunk,
        (record, cluster): (u32, u32),
        from: Widths,
        weights: usize,
        posting: &[u8],
    ) -> bool {
        let to = self.widths;
        take_columns(from, weights, posting, &mut self.columns);
        let n_siblings = self.layer.children(cluster as usize).len();
        let sound = self.columns.len() == weights
            && self.columns.is_sorted_by(|a, b| a < b)
            && self.columns.last().is_some_and(|&last| (last as usize) < n_siblings);
        if !sound {
            return false;
        }
        chunk.records.push(record);
        let start = chunk.codes.len();
        chunk.codes.resize(start + to.col, 0);
        put_uint(weights as u32 - 1, to.col, &mut chunk.codes[start..]);
        let start = chunk.bytes.len();
        chunk.bytes.resize(start + to.columns_len(weights), 0);
        put_columns(to, &self.columns, &mut chunk.bytes[start..]);
        chunk.bytes.extend_from_slice(&posting[from.columns_len(weights)..]);
        chunk.n_weights += weights as u64;
        true
    }
}
