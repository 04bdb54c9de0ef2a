//! Where a split starts: rows drawn at random, or the centroids of linfa's k-means.

use crate::node::Node;
use crate::sums::{NodeRows, RowSum, Rows};
use linfa::DatasetBase;
use linfa::traits::{Fit, Predict};
use linfa_clustering::{KMeans, KMeansInit};
use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::Rng;
use rand::seq::index;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

/// ⟨z_p − z_q, z_i⟩ for the rows `sample` and two of them, p and q: non-zero ones as long as there are two.
pub(crate) fn random_row_scores<R: Rows>(rows: &R, sample: &[u32], rng: &mut Xoshiro256PlusPlus) -> Vec<f32> {
    let mut scores = vec![0.0; sample.len()];
    let Some(drawn) = random_rows(rows, sample, 2, rng) else { return scores };
    let picked = [(drawn[0], 1.0), (drawn[1], -1.0)];
    let mut difference = RowSum::zero(rows.widths());
    rows.add(&mut difference, &picked);
    rows.products(&difference, sample, &mut scores);
    for (row, weight) in picked {
        let place = sample.binary_search(&row).expect("invariant: drawn from the sample");
        scores[place] += weight * rows.own(row);
    }
    scores
}

/// `n` distinct non-zero rows among `sample`, or `None` when there are fewer than that.
pub(crate) fn random_rows<R: Rows>(
    rows: &R,
    sample: &[u32],
    n: usize,
    rng: &mut Xoshiro256PlusPlus,
) -> Option<Vec<u32>> {
    let candidates: Vec<u32> = sample.iter().copied().filter(|&row| !rows.is_zero(row)).collect();
    (candidates.len() >= n)
        .then(|| index::sample(rng, candidates.len(), n).iter().map(|drawn| candidates[drawn]).collect())
}

/// ⟨c₁ − c₂, z_i⟩ for the rows `sample` and the two centroids that linfa finds on their dense parts.
pub(crate) fn linfa_scores(
    rows: NodeRows<'_>,
    dense: ArrayView2<'_, f32>,
    sample: &[u32],
    max_iter: usize,
    rng: &mut Xoshiro256PlusPlus,
) -> Vec<f32> {
    let (centroids, _) = linfa_model(dense_rows(rows.node, dense, sample), 2, max_iter, rng.r#gen());
    let difference = &centroids.row(0) - &centroids.row(1);
    let mut scores = vec![0.0; sample.len()];
    let difference = RowSum { dense: difference.to_vec(), ..RowSum::zero(rows.widths()) };
    rows.products(&difference, sample, &mut scores);
    scores
}

/// The cluster of every row of `node` by the `k` centroids that linfa finds; `k` is at most the number of rows.
pub(crate) fn linfa_clusters(
    node: &Node,
    dense: ArrayView2<'_, f32>,
    k: usize,
    max_iter: usize,
    rng: &mut Xoshiro256PlusPlus,
) -> Vec<u32> {
    let every_row: Vec<u32> = (0..node.rows.len() as u32).collect();
    let (_, clusters) = linfa_model(dense_rows(node, dense, &every_row), k, max_iter, rng.r#gen());
    clusters.iter().map(|&cluster| cluster as u32).collect()
}

fn dense_rows(node: &Node, dense: ArrayView2<'_, f32>, rows: &[u32]) -> Array2<f32> {
    let ids: Vec<usize> = rows.iter().map(|&row| node.rows[row as usize].id as usize).collect();
    dense.select(Axis(0), &ids)
}

/// Centroids and the cluster of each row. k-means++ and one run: the clusters are refined afterwards anyway.
/// (k-means‖, linfa's parallel start, would depend on the number of threads.)
fn linfa_model(rows: Array2<f32>, k: usize, max_iter: usize, seed: u64) -> (Array2<f32>, Array1<usize>) {
    let records = DatasetBase::from(rows);
    let model = KMeans::params_with_rng(k, Xoshiro256PlusPlus::seed_from_u64(seed))
        .init_method(KMeansInit::KMeansPlusPlus)
        .n_runs(1)
        .max_n_iterations(max_iter as u64)
        .fit(&records)
        .expect("invariant: no more clusters than rows, finite rows and at least one iteration");
    let clusters = model.predict(records.records());
    (model.centroids().clone(), clusters)
}
