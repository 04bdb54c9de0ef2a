//! Unbalanced k-means as a whole: partition, quality, determinism, a plain counterpart.
#![allow(clippy::unwrap_used)] // a test that cannot set up its data should panic

use ndarray::{Array1, Array2, Axis};
use proptest::prelude::*;
use rand::distributions::{Distribution, Uniform};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;
use xmc_cluster::{Branch, ClusterError, KMeansTree, KMeansTreeParams, Seeding};
use xmc_sparse::{Csr, Features};

fn fit(params: KMeansTreeParams, features: &Features) -> Branch {
    params.check().unwrap().fit(features).unwrap()
}

/// Leaves with their depths.
fn leaves(branch: &Branch, depth: usize) -> Vec<(usize, Vec<u32>)> {
    match branch {
        Branch::Leaf(rows) => vec![(depth, rows.clone())],
        Branch::Inner(branches) => branches.iter().flat_map(|branch| leaves(branch, depth + 1)).collect(),
    }
}

/// `n` rows of up to `nnz` entries among `d` columns, every seventh row empty.
fn random_sparse(n: usize, d: u32, nnz: usize, seed: u64) -> Csr {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let (cols, values) = (Uniform::new(0, d), Uniform::new(0.1f32, 1.0));
    let row = |i: usize| if i % 7 == 3 { 0 } else { nnz };
    let rows: Vec<Vec<(u32, f32)>> = (0..n)
        .map(|i| (0..row(i)).map(|_| (cols.sample(&mut rng), values.sample(&mut rng))).collect())
        .collect();
    Csr::from_rows(d as usize, rows).unwrap()
}

/// Rows around one-hot corners; row `i` belongs to blob `i % n_blobs`.
fn blobs(n: usize, n_blobs: usize, width: usize, seed: u64) -> Array2<f32> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let noise = Uniform::new(-0.15f32, 0.15);
    Array2::from_shape_fn((n, width), |(i, col)| {
        noise.sample(&mut rng) + if col == i % n_blobs { 1.0 } else { 0.0 }
    })
}

fn dense(rows: Array2<f32>) -> Features {
    Features::new(Csr::empty(rows.nrows(), 0), Some(rows)).unwrap()
}

fn to_dense(matrix: &Csr) -> Array2<f32> {
    let mut rows = Array2::zeros((matrix.n_rows(), matrix.n_cols()));
    for (row, entries) in matrix.rows().enumerate() {
        entries.iter().for_each(|(col, value)| rows[[row, col as usize]] = value);
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_row_is_in_one_leaf(
        n in 1usize..200, branching in 2usize..40, max_leaf in 1usize..30, depth in 0usize..4, seed: u64,
        spherical: bool,
    ) {
        let x = Features::from_sparse(random_sparse(n, 40, 5, seed));
        let params = KMeansTree::params().branching(branching).max_leaf(max_leaf).seed(seed).spherical(spherical);
        let leaves = leaves(&fit(params.depth(depth), &x), 0);
        let mut rows: Vec<u32> = leaves.iter().flat_map(|(_, rows)| rows).copied().collect();
        rows.sort_unstable();
        prop_assert_eq!(rows, (0..n as u32).collect::<Vec<_>>());
        for (at, rows) in leaves {
            prop_assert!(!rows.is_empty() && rows.is_sorted());
            prop_assert!(at <= depth && (at == depth || rows.len() <= max_leaf));
        }
    }

    #[test]
    fn a_finished_split_is_one_that_its_own_centroids_make(seed: u64, spherical: bool, k in 2usize..40) {
        // Features of one row only (a wide matrix), shared ones and dense ones; more centroids than a block has.
        let (wide, block) = (random_sparse(120, 300, 6, seed), blobs(120, 5, 4, seed));
        let features = Features::new(wide.clone(), Some(block.clone())).unwrap();
        let params = KMeansTree::params().branching(k).max_leaf(1).depth(1).max_iter(500).tolerance(0.0);
        let clusters = leaves(&fit(params.seed(seed).spherical(spherical), &features), 0);
        let rows = ndarray::concatenate![Axis(1), to_dense(&wide), block].mapv(f64::from);
        let members = |ids: &[u32]| rows.select(Axis(0), &ids.iter().map(|&id| id as usize).collect::<Vec<_>>());
        let centroids: Vec<Array1<f64>> = clusters.iter().map(|(_, ids)| {
            let sum = members(ids).sum_axis(Axis(0));
            if spherical { &sum / sum.dot(&sum).sqrt() } else { sum / ids.len() as f64 }
        }).collect();
        for (cluster, (_, ids)) in clusters.iter().enumerate() {
            for &id in ids {
                let row = rows.row(id as usize);
                let score = |centroid: &Array1<f64>| {
                    row.dot(centroid) - if spherical { 0.0 } else { centroid.dot(centroid) / 2.0 }
                };
                let best = centroids.iter().map(score).fold(f64::MIN, f64::max);
                prop_assert!(score(&centroids[cluster]) >= best - 1e-4);
            }
        }
    }
}

#[test]
fn blobs_of_different_sizes_are_found() {
    // Blob 0 has as many rows as all the others together.
    let rows = blobs(1_200, 6, 10, 1);
    let keep: Vec<usize> = (0..1_200).filter(|i| i % 6 == 0 || i % 30 < 6).collect();
    let rows = rows.select(Axis(0), &keep);
    let params = KMeansTree::params().branching(6).max_leaf(10).depth(1).seeding(Seeding::Linfa);
    let found = leaves(&fit(params, &dense(rows)), 0);
    let blob = |row: u32| keep[row as usize] % 6;
    assert!(found.iter().all(|(_, rows)| rows.iter().all(|&row| blob(row) == blob(rows[0]))));
    let mut sizes: Vec<usize> = found.iter().map(|(_, rows)| rows.len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [40, 40, 40, 40, 40, 200]);
}

#[test]
fn rows_that_no_seed_is_like_come_together_too() {
    // Three kinds without a feature in common; whatever two rows are the seeds, one kind has none.
    let rows = (0..60u32).map(|i| [(10 * (i % 3), 1.0), (10 * (i % 3) + 1 + i % 5, 0.5)]);
    let x = Features::from_sparse(Csr::from_rows(30, rows).unwrap());
    for seed in 0..10 {
        let params = KMeansTree::params().branching(2).max_leaf(20).depth(1).tolerance(0.0).seed(seed);
        let found = leaves(&fit(params, &x), 0);
        assert_eq!(found.len(), 2);
        let kinds = |rows: &[u32]| (0..3).filter(|kind| rows.iter().any(|row| row % 3 == *kind)).count();
        assert_eq!(found.iter().map(|(_, rows)| kinds(rows)).sum::<usize>(), 3, "seed {seed}: {found:?}");
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let x = Features::new(random_sparse(5_000, 900, 30, 5), Some(blobs(5_000, 7, 9, 6))).unwrap();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| fit(KMeansTree::params().branching(20).max_leaf(30).seed(2), &x))
    };
    let one = run(1);
    assert_eq!(one, run(3));
    assert_ne!(one, fit(KMeansTree::params().branching(20).max_leaf(30).seed(3), &x));
}

#[test]
fn rows_that_cannot_be_told_apart_are_dealt_evenly() {
    for x in [Csr::empty(100, 5), Csr::from_rows(5, vec![[(2, 1.0)]; 100]).unwrap()] {
        let params = KMeansTree::params().branching(4).max_leaf(30);
        let found = leaves(&fit(params, &Features::from_sparse(x)), 0);
        assert_eq!(found.iter().map(|(depth, rows)| (*depth, rows.len())).collect::<Vec<_>>(), [(1, 25); 4]);
    }
}

#[test]
fn what_cannot_be_clustered_is_refused() {
    let name = |params: KMeansTreeParams| match params.check() {
        Err(ClusterError::Param { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(name(KMeansTree::params().branching(1)), "branching");
    assert_eq!(name(KMeansTree::params().branching(65_537)), "branching");
    assert_eq!(name(KMeansTree::params().max_leaf(0)), "max_leaf");
    assert_eq!(name(KMeansTree::params().depth(33)), "depth");
    assert_eq!(name(KMeansTree::params().max_iter(0)), "max_iter");
    let tolerance = KMeansTree::params().tolerance(1.0).check();
    assert_eq!(tolerance, Err(ClusterError::Tolerance { found: 1.0 }));
    let x = Features::from_sparse(random_sparse(3, 4, 2, 1));
    let linfa = KMeansTree::params().seeding(Seeding::Linfa).check().unwrap().fit(&x);
    assert!(matches!(linfa, Err(ClusterError::NotDense { n_dense: 0, .. })));
}
