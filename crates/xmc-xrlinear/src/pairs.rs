//! The instances that come to each cluster of a layer, and room for the margins of its children.

use std::ops::Range;
use xmc_sparse::{RankedLists, Scored};
use xmc_tree::TreeLayer;

/// Pairs of an instance and a cluster of its beam, in the order of the clusters; those of a cluster in the order of the instances.
#[derive(Debug)]
pub(crate) struct Pairs {
    /// Where each cluster's pairs begin, and the last ones end.
    starts: Vec<usize>,
    /// The instance of each pair.
    rows: Vec<u32>,
    /// Where the beams of the instances begin in `numbers`, one after the other.
    beams: Vec<usize>,
    /// The pair of each member of each beam.
    numbers: Vec<u32>,
}

impl Pairs {
    /// The pairs of `beams` with the `n_clusters` clusters of a layer.
    pub(crate) fn new(beams: &RankedLists, n_clusters: usize) -> Self {
        let mut starts = vec![0usize; n_clusters + 1];
        beams.iter().flatten().for_each(|parent| starts[parent.id as usize + 1] += 1);
        for cluster in 0..n_clusters {
            starts[cluster + 1] += starts[cluster];
        }
        let n_pairs = starts[n_clusters];
        let (mut next, mut rows) = (starts.clone(), vec![0u32; n_pairs]);
        let (mut firsts, mut numbers) = (Vec::with_capacity(beams.n_rows() + 1), Vec::with_capacity(n_pairs));
        for (row, beam) in beams.iter().enumerate() {
            firsts.push(numbers.len());
            for parent in beam {
                let number = &mut next[parent.id as usize];
                rows[*number] = row as u32;
                numbers.push(*number as u32);
                *number += 1;
            }
        }
        Self { starts, rows, beams: firsts, numbers }
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The pairs of `cluster`.
    pub(crate) fn of(&self, cluster: u32) -> Range<usize> {
        self.starts[cluster as usize]..self.starts[cluster as usize + 1]
    }

    /// Margins of the children of `cluster`, a cluster of `layer`, for all of its instances.
    pub(crate) fn n_margins(&self, layer: &TreeLayer, cluster: u32) -> usize {
        self.of(cluster).len() * layer.slots(cluster as usize).len()
    }

    /// The instances of `pairs`.
    pub(crate) fn rows(&self, pairs: Range<usize>) -> &[u32] {
        &self.rows[pairs]
    }
}

/// The margins of the children of the pairs of some clusters, pair after pair.
#[derive(Debug)]
pub(crate) struct Margins {
    pairs: Pairs,
    clusters: Range<u32>,
    /// Where the margins of each cluster's pairs begin.
    starts: Vec<usize>,
    values: Vec<f32>,
}

impl Margins {
    /// None yet.
    pub(crate) fn new(pairs: Pairs) -> Self {
        Self { pairs, clusters: 0..0, starts: Vec::new(), values: Vec::new() }
    }

    /// Zeros, or what was there before, for `clusters` of `layer`.
    pub(crate) fn begin(&mut self, layer: &TreeLayer, clusters: Range<u32>) {
        let mut end = 0;
        self.starts.clear();
        for cluster in clusters.clone() {
            self.starts.push(end);
            end += self.pairs.n_margins(layer, cluster);
        }
        self.values.resize(end, 0.0);
        self.clusters = clusters;
    }

    /// The clusters.
    pub(crate) fn clusters(&self) -> Range<u32> {
        self.clusters.clone()
    }

    /// The pairs, and the margins of those of the clusters.
    pub(crate) fn parts_mut(&mut self) -> (&Pairs, &mut [f32]) {
        (&self.pairs, &mut self.values)
    }

    /// Appends those of instance `row`, of the clusters of its beam, `beam`, that are among these.
    pub(crate) fn append(&self, layer: &TreeLayer, row: usize, beam: &[Scored], out: &mut Vec<f32>) {
        let Pairs { starts, beams, numbers, .. } = &self.pairs;
        let members = beam.iter().zip(&numbers[beams[row]..]);
        for (parent, &number) in members.filter(|(parent, _)| self.clusters.contains(&parent.id)) {
            let cluster = parent.id as usize;
            let n_children = layer.slots(cluster).len();
            let start = self.starts[(parent.id - self.clusters.start) as usize]
                + (number as usize - starts[cluster]) * n_children;
            out.extend_from_slice(&self.values[start..start + n_children]);
        }
    }
}
