//! The centroids of sixteen clusters side by side.
//!
//! Scoring a row by many centroids reads all of them at the row's features. With sixteen in a cache line
//! that is one line for each entry, and a row meets sixteen centroids in one pass. Further centroids
//! take another pass, so that the memory does not grow with their number.

use crate::node::Node;
use crate::row::NodeRow;
use ndarray::ArrayView2;
use rayon::prelude::*;
use std::ops::Range;

/// Centroids in a block.
pub(crate) const LANES: usize = 16;

/// One value for each centroid of a block.
pub(crate) type Lanes = [f32; LANES];

/// Features in a chunk of element-wise work.
const CHUNK: usize = 1 << 12;

/// Sums of the rows of up to sixteen clusters, and how they score.
pub(crate) struct Centroids<'a> {
    /// For each feature its sums.
    sparse: Vec<Lanes>,
    dense: Vec<Lanes>,
    dense_rows: Option<ArrayView2<'a, f32>>,
    /// What a sum is multiplied with to be a centroid.
    scales: Lanes,
    /// What is taken from every score.
    offsets: Lanes,
    /// Centroids without rows score nothing.
    n_rows: [u32; LANES],
}

impl<'a> Centroids<'a> {
    /// Room for the centroids of `node`.
    pub(crate) fn zero(node: &Node, dense_rows: Option<ArrayView2<'a, f32>>) -> Self {
        Self {
            sparse: vec![[0.0; LANES]; node.n_features],
            dense: vec![[0.0; LANES]; dense_rows.map_or(0, |rows| rows.ncols())],
            dense_rows,
            scales: [0.0; LANES],
            offsets: [0.0; LANES],
            n_rows: [0; LANES],
        }
    }

    /// Becomes the centroids of `clusters` (at most sixteen), of the rows that `assigned` gives to them:
    /// normalised sums, scored by the product, or means, scored by the distance.
    pub(crate) fn set(&mut self, node: &Node, assigned: &[u32], clusters: Range<u32>, spherical: bool) {
        self.sparse.par_chunks_mut(CHUNK).for_each(|chunk| chunk.fill([0.0; LANES]));
        self.dense.fill([0.0; LANES]);
        self.n_rows = [0; LANES];
        let mut own = [0.0f64; LANES];
        for (row, &cluster) in
            node.rows.iter().zip(assigned).filter(|(_, cluster)| clusters.contains(cluster))
        {
            let lane = (cluster - clusters.start) as usize;
            row.packed().iter().for_each(|(feature, value)| self.sparse[feature as usize][lane] += value);
            let values = row.dense(self.dense_rows);
            self.dense.iter_mut().zip(values).for_each(|(sums, value)| sums[lane] += value);
            self.n_rows[lane] += 1;
            own[lane] += f64::from(row.own);
        }
        let squares = self.squared_norms(own);
        for (lane, squares) in squares.into_iter().enumerate() {
            let n_rows = f64::from(self.n_rows[lane]);
            let length = if spherical { squares.sqrt() } else { n_rows };
            let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
            self.scales[lane] = scale as f32;
            // ‖z − c‖² is least where ⟨c, z⟩ − ‖c‖²/2 is greatest.
            self.offsets[lane] = if spherical { 0.0 } else { (squares * scale * scale / 2.0) as f32 };
        }
    }

    /// ‖S‖² of each sum; `own` is what features of a single row add.
    fn squared_norms(&self, own: [f64; LANES]) -> [f64; LANES] {
        let squares = |chunk: &[Lanes]| {
            let mut sums = [0.0f64; LANES];
            for values in chunk {
                sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += f64::from(value * value));
            }
            sums
        };
        // Collected, not summed in parallel: the order of the additions must not depend on the threads.
        let parts: Vec<[f64; LANES]> = self.sparse.par_chunks(CHUNK).map(squares).collect();
        let mut all = own;
        for part in parts.into_iter().chain([squares(&self.dense)]) {
            all.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
        }
        all
    }

    /// The best centroid of `row` and its score, ties to the smaller lane; `assigned` is the lane whose sum has the row.
    pub(crate) fn best(&self, row: &NodeRow, assigned: Option<usize>) -> Option<(usize, f32)> {
        let mut sums = [0.0; LANES];
        for (feature, value) in row.packed().iter() {
            add_scaled(&mut sums, value, &self.sparse[feature as usize]);
        }
        for (&value, lanes) in row.dense(self.dense_rows).iter().zip(&self.dense) {
            add_scaled(&mut sums, value, lanes);
        }
        if let Some(lane) = assigned {
            sums[lane] += row.own;
        }
        let mut best = None;
        for lane in (0..LANES).filter(|&lane| self.n_rows[lane] > 0) {
            let score = sums[lane] * self.scales[lane] - self.offsets[lane];
            if best.is_none_or(|(_, highest)| score > highest) {
                best = Some((lane, score));
            }
        }
        best
    }
}

fn add_scaled(sums: &mut Lanes, value: f32, lanes: &Lanes) {
    sums.iter_mut().zip(lanes).for_each(|(sum, lane)| *sum += value * lane);
}
