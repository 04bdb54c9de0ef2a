//! Where solved clusters go: to the files of their layers.
//!
//! The weights of a layer are ordered by feature, so all that are written together must be there before. Clusters are solved beside each
//! other and come in nearly their order; what has come in order is collected, and as soon as it has as many weights as may be in memory,
//! or is all of the layer, it is written. What a layer has been written in several parts of becomes one when all have come ([`crate::merge`]), so a
//! finished model does not tell how much was in memory.

use crate::assemble::write_part;
use crate::chunk::Chunk;
use crate::merge::write_merged;
use crate::model::ModelInfo;
use crate::part::{Part, part_prefix, sections_at};
use crate::{LayerWeights, TrainReport, XrLinearError};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use xmc_sparse::Progress;
use xmc_store::ModelWriter;
use xmc_tree::LabelTree;

/// The weights of a model, as they are made.
pub(crate) struct Output<'a> {
    info: ModelInfo,
    tree: &'a LabelTree,
    writer: &'a ModelWriter,
    prefix: &'a str,
    /// Weights that may be in memory.
    part_weights: u64,
    layers: Vec<Mutex<OpenLayer>>,
    /// The layers so far, where layers below them want to ask them.
    finished: Vec<LayerWeights>,
    pub(crate) report: TrainReport,
}

/// A layer of which some clusters are solved.
#[derive(Default)]
struct OpenLayer {
    /// Parts that are written, or being written; none of a layer that is written as a whole.
    n_parts: usize,
    /// The clusters after these, in order, and how many weights they have.
    first: usize,
    chunks: Vec<Chunk>,
    weights: u64,
    /// Clusters that came before one that they stand behind.
    early: BTreeMap<usize, Chunk>,
}

/// Chunks that become a part.
struct FullPart {
    /// Its number, if it is not all of its layer.
    number: Option<usize>,
    first: usize,
    chunks: Vec<Chunk>,
}

impl OpenLayer {
    /// The cluster that comes next.
    fn next(&self) -> usize {
        self.first + self.chunks.len()
    }

    /// Takes a cluster, and gives the parts that are then full; with the last cluster of the layer also what is left, the whole layer
    /// if there was no part before.
    fn add(&mut self, cluster: usize, chunk: Chunk, n_clusters: usize, most: u64) -> Vec<FullPart> {
        self.early.insert(cluster, chunk);
        let mut full = Vec::new();
        while let Some(chunk) = self.early.remove(&self.next()) {
            self.weights += chunk.n_weights;
            self.chunks.push(chunk);
            let is_last = self.next() == n_clusters;
            if is_last || self.weights >= most {
                full.push(self.close(!is_last || self.n_parts > 0));
            }
        }
        full
    }

    fn close(&mut self, is_numbered: bool) -> FullPart {
        let (first, chunks) = (self.first, std::mem::take(&mut self.chunks));
        let number = is_numbered.then_some(self.n_parts);
        (self.first, self.weights) = (first + chunks.len(), 0);
        self.n_parts += usize::from(is_numbered);
        FullPart { number, first, chunks }
    }
}

impl<'a> Output<'a> {
    /// Weights of `tree` for sections `<prefix>/…` of `writer`.
    pub(crate) fn new(
        info: ModelInfo,
        tree: &'a LabelTree,
        (writer, prefix): (&'a ModelWriter, &'a str),
        part_weights: u64,
    ) -> Self {
        let layers = tree.layers().iter().map(|_| Mutex::default()).collect();
        let (finished, report) = Default::default();
        Self { info, tree, writer, prefix, part_weights, layers, finished, report }
    }

    /// Takes over what an earlier go of making this model has written of `layers`; the clusters that are left to be solved, layer
    /// after layer.
    pub(crate) fn adopt(&mut self, layers: Range<usize>) -> Result<Vec<(usize, usize)>, XrLinearError> {
        let mut left = Vec::new();
        for layer in layers {
            self.adopt_layer(layer)?;
            let first = self.open_layer(layer).first;
            left.extend((first..self.n_clusters(layer)).map(|cluster| (layer, cluster)));
        }
        Ok(left)
    }

    fn adopt_layer(&mut self, layer: usize) -> Result<(), XrLinearError> {
        let prefix = self.layer_prefix(layer);
        if self.writer.adopt(&sections_at(&prefix, None)) {
            let container = self.writer.preview(&())?;
            let weights = self.info.open_layer(&container, self.prefix, layer, &self.tree.layers()[layer])?;
            self.report.n_weights += weights.n_weights();
            self.open_layer(layer).first = self.n_clusters(layer);
            return Ok(());
        }
        let n_parts = (0..).take_while(|&at| self.writer.adopt(&sections_at(&prefix, Some(at)))).count();
        let parts = self.open_parts(layer, n_parts)?;
        self.report.n_weights += parts.iter().map(Part::n_weights).sum::<u64>();
        let mut open = self.open_layer(layer);
        (open.first, open.n_parts) = (parts.last().map_or(0, |part| part.clusters.end as usize), n_parts);
        Ok(())
    }

    /// The first `n_parts` parts of a layer.
    fn open_parts(&self, layer: usize, n_parts: usize) -> Result<Vec<Part>, XrLinearError> {
        let (prefix, tree_layer) = (self.layer_prefix(layer), &self.tree.layers()[layer]);
        let (widths, n_stored) = (self.info.widths(tree_layer), self.info.n_stored());
        let (container, mut first) = (self.writer.preview(&())?, 0);
        let open = |at| {
            let at = (at, first);
            let part = Part::open_next(&container, &prefix, at, (layer, tree_layer), widths, n_stored)?;
            first = part.clusters.end;
            Ok(part)
        };
        (0..n_parts).map(open).collect()
    }

    /// Makes one of those of `layers` that are written in parts. All of their clusters have come.
    pub(crate) fn merge(&self, layers: Range<usize>, progress: &dyn Progress) -> Result<(), XrLinearError> {
        for layer in layers {
            let n_parts = std::mem::take(&mut self.open_layer(layer).n_parts);
            if n_parts > 0 {
                self.merge_layer(layer, n_parts, progress)?;
            }
        }
        Ok(())
    }

    fn merge_layer(
        &self,
        layer: usize,
        n_parts: usize,
        progress: &dyn Progress,
    ) -> Result<(), XrLinearError> {
        let (prefix, widths) = (self.layer_prefix(layer), self.info.widths(&self.tree.layers()[layer]));
        let parts = self.open_parts(layer, n_parts)?;
        write_merged((self.writer, &prefix), layer, widths, &parts, progress)?;
        drop(parts);
        let numbers = 0..n_parts;
        let sections: Vec<String> = numbers.flat_map(|number| sections_at(&prefix, Some(number))).collect();
        Ok(self.writer.remove(&sections)?)
    }

    /// Takes a solved cluster; writes the parts that are then full. When all clusters of a layer have come, it is written.
    pub(crate) fn accept(&self, (layer, cluster): (usize, usize), chunk: Chunk) -> Result<(), XrLinearError> {
        let n_clusters = self.n_clusters(layer);
        let full = self.open_layer(layer).add(cluster, chunk, n_clusters, self.part_weights);
        full.into_iter().try_for_each(|part| self.write(layer, &part))
    }

    fn write(&self, layer: usize, part: &FullPart) -> Result<(), XrLinearError> {
        let FullPart { number, first, chunks } = part;
        let widths = self.info.widths(&self.tree.layers()[layer]).of_part(chunks.len());
        let prefix = part_prefix(&self.layer_prefix(layer), *number);
        if number.is_some() {
            Part::write_clusters(self.writer, &prefix, *first as u32..(first + chunks.len()) as u32)?;
        }
        write_part(self.writer, &prefix, widths, self.info.groups.n_records(), chunks)
    }

    fn n_clusters(&self, layer: usize) -> usize {
        self.tree.layers()[layer].n_parents()
    }

    fn layer_prefix(&self, layer: usize) -> String {
        format!("{}/layer{layer}", self.prefix)
    }

    fn open_layer(&self, layer: usize) -> MutexGuard<'_, OpenLayer> {
        self.layers[layer].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the layers before `end`, as they have been written.
    pub(crate) fn open(&mut self, end: usize) -> Result<&[LayerWeights], XrLinearError> {
        let container = self.writer.preview(&())?;
        for number in self.finished.len()..end {
            let layer = &self.tree.layers()[number];
            self.finished.push(self.info.open_layer(&container, self.prefix, number, layer)?);
        }
        Ok(&self.finished)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(n_weights: u64) -> Chunk {
        Chunk { n_weights, ..Chunk::default() }
    }

    /// Number, first cluster and clusters of each part, the clusters coming in `order`.
    fn parts(weights: &[u64], order: &[usize]) -> Vec<(Option<usize>, usize, usize)> {
        let mut layer = OpenLayer::default();
        let mut full: Vec<FullPart> = Vec::new();
        for &cluster in order {
            full.extend(layer.add(cluster, chunk(weights[cluster]), weights.len(), 10));
        }
        full.iter().map(|part| (part.number, part.first, part.chunks.len())).collect()
    }

    #[test]
    fn parts_depend_on_weights_and_not_on_who_comes_first() {
        let weights = [3, 3, 5, 12, 0, 9];
        let expected = [(Some(0), 0, 3), (Some(1), 3, 1), (Some(2), 4, 2)];
        assert_eq!(parts(&weights, &[0, 1, 2, 3, 4, 5]), expected);
        assert_eq!(parts(&weights, &[5, 1, 4, 0, 3, 2]), expected);
        assert_eq!(parts(&weights, &[3, 2, 1, 0, 5, 4]), expected);
    }

    #[test]
    fn a_layer_that_is_full_with_its_last_cluster_is_one_part() {
        assert_eq!(parts(&[4, 7], &[1, 0]), [(None, 0, 2)]);
        assert_eq!(parts(&[99], &[0]), [(None, 0, 1)]);
        assert_eq!(parts(&[10, 10], &[0, 1]), [(Some(0), 0, 1), (Some(1), 1, 1)]);
    }
}
