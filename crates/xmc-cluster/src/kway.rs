//! One split into many clusters: Lloyd's k-means, spherical or plain.

use crate::centroids::{Centroids, LANES};
use crate::kmeans_tree::KMeansTreeParams;
use crate::node::Node;
use crate::params::Seeding;
use crate::seeds;
use crate::sums::NodeRows;
use ndarray::ArrayView2;
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;

/// The cluster of rows that have none.
const NONE: u32 = u32::MAX;

/// Fewest rows that are worth a task of their own.
const MIN_TASK_ROWS: usize = 64;

/// A part for every row of `node`, and the number of parts: the clusters that have rows. Rows of zeros are dealt out in
/// turn. Where there is but one cluster to be found,
/// rows are cut into runs of equal size, at most `branching` of them.
pub(crate) fn split(
    node: &Node,
    dense: Option<ArrayView2<'_, f32>>,
    params: &KMeansTreeParams,
    rng: &mut Xoshiro256PlusPlus,
) -> (Vec<u32>, usize) {
    let mut clusters = cluster(node, dense, params, rng);
    let n_parts = renumber(&mut clusters);
    if n_parts < 2 {
        return equal_runs(node.rows.len(), params);
    }
    let mut turn = (0..n_parts as u32).cycle();
    for cluster in clusters.iter_mut().filter(|cluster| **cluster == NONE) {
        *cluster = turn.next().unwrap_or(0);
    }
    (clusters, n_parts)
}

/// The cluster of each row after the refinements.
fn cluster(
    node: &Node,
    dense: Option<ArrayView2<'_, f32>>,
    params: &KMeansTreeParams,
    rng: &mut Xoshiro256PlusPlus,
) -> Vec<u32> {
    let n_rows = node.rows.len();
    let k = params.branching.min(n_rows);
    let mut clusters = match (params.seeding, dense) {
        (Seeding::Linfa, Some(dense)) => seeds::linfa_clusters(node, dense, k, params.max_iter, rng),
        _ => seed_rows(node, k, rng),
    };
    let few = (f64::from(params.tolerance) * n_rows as f64) as usize;
    let mut centroids = Centroids::zero(node, dense);
    for _ in 0..params.max_iter {
        let mut next = assign(node, &mut centroids, &clusters, k, params.spherical);
        deal_strangers(node, &mut next, k);
        let n_changed = next.iter().zip(&clusters).filter(|(new, old)| new != old).count();
        clusters = next;
        if n_changed <= few {
            break;
        }
    }
    clusters
}

/// Rows that no centroid has anything in common with (no seed was of their kind) become the first of clusters that are
/// empty, and are then spread over all: from there they draw together, each to the cluster that has most of its kind.
fn deal_strangers(node: &Node, clusters: &mut [u32], k: usize) {
    let mut is_empty = vec![true; k];
    clusters
        .iter()
        .filter(|&&cluster| cluster != NONE)
        .for_each(|&cluster| is_empty[cluster as usize] = false);
    let empty = (0..k as u32).filter(|&cluster| is_empty[cluster as usize]);
    let turn = empty.chain((0..k as u32).cycle());
    let rows = clusters.iter_mut().zip(&node.rows);
    let strangers = rows.filter(|(cluster, row)| **cluster == NONE && !row.is_zero);
    strangers.zip(turn).for_each(|((cluster, _), next)| *cluster = next);
}

/// Rows drawn at random, each a cluster of its own; fewer than `k` if fewer are not zero.
fn seed_rows(node: &Node, k: usize, rng: &mut Xoshiro256PlusPlus) -> Vec<u32> {
    let (rows, every_row) = (NodeRows { node, dense: None }, (0..node.rows.len() as u32).collect::<Vec<_>>());
    let k = k.min(node.rows.iter().filter(|row| !row.is_zero).count());
    let mut clusters = vec![NONE; node.rows.len()];
    let drawn = seeds::random_rows(&rows, &every_row, k, rng).unwrap_or_default();
    drawn.into_iter().zip(0..).for_each(|(row, cluster)| clusters[row as usize] = cluster);
    clusters
}

/// The best cluster of each row by the centroids of `clusters`, sixteen centroids after sixteen.
fn assign(
    node: &Node,
    centroids: &mut Centroids<'_>,
    clusters: &[u32],
    k: usize,
    spherical: bool,
) -> Vec<u32> {
    let mut best = vec![(NONE, f32::NEG_INFINITY); node.rows.len()];
    for start in (0..k as u32).step_by(LANES) {
        let block = start..(start + LANES as u32).min(k as u32);
        centroids.set(node, clusters, block.clone(), spherical);
        let centroids = &*centroids;
        let rows = node.rows.par_iter().zip(clusters).with_min_len(MIN_TASK_ROWS);
        rows.zip(&mut best).for_each(|((row, cluster), best)| {
            let assigned = block.contains(cluster).then(|| (cluster - start) as usize);
            if let Some((lane, score)) = centroids.best(row, assigned).filter(|(_, score)| *score > best.1) {
                *best = (start + lane as u32, score);
            }
        });
    }
    // A product of exactly zero says nothing: such a row would go to the first cluster and blur it.
    best.into_iter().map(|(cluster, score)| if score == 0.0 { NONE } else { cluster }).collect()
}

/// Numbers the clusters that have rows 0, 1, …; how many they are.
fn renumber(clusters: &mut [u32]) -> usize {
    let n_clusters =
        clusters.iter().filter(|&&cluster| cluster != NONE).max().map_or(0, |&max| max as usize + 1);
    let mut numbers = vec![NONE; n_clusters];
    clusters.iter().filter(|&&cluster| cluster != NONE).for_each(|&cluster| numbers[cluster as usize] = 0);
    let mut n_parts = 0;
    for number in numbers.iter_mut().filter(|number| **number != NONE) {
        *number = n_parts;
        n_parts += 1;
    }
    for cluster in clusters.iter_mut().filter(|cluster| **cluster != NONE) {
        *cluster = numbers[*cluster as usize];
    }
    n_parts as usize
}

fn equal_runs(n_rows: usize, params: &KMeansTreeParams) -> (Vec<u32>, usize) {
    let n_parts = n_rows.div_ceil(params.max_leaf).min(params.branching);
    ((0..n_rows).map(|row| (row * n_parts / n_rows) as u32).collect(), n_parts)
}
