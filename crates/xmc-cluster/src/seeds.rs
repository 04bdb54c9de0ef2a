//! Where a split starts: scores from two rows, or from the centroids of linfa's k-means.

use crate::node::Node;
use crate::sums::RowSum;
use linfa::DatasetBase;
use linfa::traits::Fit;
use linfa_clustering::{KMeans, KMeansInit};
use ndarray::{Array2, ArrayView2, Axis};
use rand::Rng;
use rand::seq::index;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

/// ⟨z_p − z_q, z_i⟩ for two distinct rows p and q of `node`, non-zero ones as long as there are two.
pub(crate) fn random_row_scores(
    node: &Node,
    dense: Option<ArrayView2<'_, f32>>,
    rng: &mut Xoshiro256PlusPlus,
) -> Vec<f32> {
    let mut scores = vec![0.0; node.rows.len()];
    let candidates: Vec<u32> =
        (0..node.rows.len() as u32).filter(|&row| !node.rows[row as usize].is_zero).collect();
    if candidates.len() < 2 {
        return scores;
    }
    let drawn = index::sample(rng, candidates.len(), 2);
    let picked = [(candidates[drawn.index(0)], 1.0), (candidates[drawn.index(1)], -1.0)];
    let mut difference = RowSum::zero(node, dense);
    difference.add(node, &picked);
    difference.products(node, &mut scores);
    picked.iter().for_each(|&(row, weight)| scores[row as usize] += weight * node.rows[row as usize].own);
    scores
}

/// ⟨c₁ − c₂, z_i⟩ for the two centroids that linfa finds on the dense rows of `node`.
pub(crate) fn linfa_scores(
    node: &Node,
    dense: ArrayView2<'_, f32>,
    max_iter: usize,
    rng: &mut Xoshiro256PlusPlus,
) -> Vec<f32> {
    let ids: Vec<usize> = node.rows.iter().map(|row| row.id as usize).collect();
    let centroids = two_centroids(dense.select(Axis(0), &ids), max_iter, rng.r#gen());
    let difference = &centroids.row(0) - &centroids.row(1);
    let mut scores = vec![0.0; ids.len()];
    RowSum::from_dense(difference.to_vec(), dense).products(node, &mut scores);
    scores
}

/// k-means++ and one run: the halves are refined afterwards anyway. (k-means‖, linfa's parallel
/// start, would depend on the number of threads.)
fn two_centroids(rows: Array2<f32>, max_iter: usize, seed: u64) -> Array2<f32> {
    let rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    KMeans::params_with_rng(2, rng)
        .init_method(KMeansInit::KMeansPlusPlus)
        .n_runs(1)
        .max_n_iterations(max_iter as u64)
        .fit(&DatasetBase::from(rows))
        .map(|model| model.centroids().clone())
        .expect("invariant: two clusters, finite rows and at least one iteration")
}
