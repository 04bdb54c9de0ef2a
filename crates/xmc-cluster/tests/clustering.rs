//! Balanced 2-means as a whole: partition, balance, determinism, quality, both kinds of rows.
#![allow(clippy::unwrap_used)] // a test that cannot set up its data should panic

use linfa::DatasetBase;
use linfa::traits::{Fit, Predict};
use linfa_clustering::KMeans;
use ndarray::{Array2, Axis};
use proptest::prelude::*;
use rand::distributions::{Distribution, Uniform};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;
use xmc_cluster::{
    BalancedKMeans, BalancedKMeansParams, ClusterError, Partition, Sampling, Seeding, SummedRows,
};
use xmc_sparse::{Csr, Features, NoProgress};

fn fit(params: BalancedKMeansParams, features: &Features) -> Partition {
    params.check().unwrap().fit(features).unwrap()
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

/// Rows around `centers` (one-hot corners), interleaved; row `i` belongs to blob `i % n_blobs`.
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

fn sparse(rows: &Array2<f32>) -> Features {
    let entries = rows
        .rows()
        .into_iter()
        .map(|row| row.iter().enumerate().map(|(col, &value)| (col as u32, value)).collect::<Vec<_>>());
    Features::from_sparse(Csr::from_rows(rows.ncols(), entries).unwrap())
}

fn in_pool<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_row_is_in_one_leaf_and_every_split_is_even(
        n in 1usize..90, depth in 0usize..6, seed: u64, spherical: bool,
    ) {
        prop_assume!(1 << depth <= n);
        let x = Features::from_sparse(random_sparse(n, 40, 5, seed));
        let params = BalancedKMeans::params().depth(depth).seed(seed).spherical(spherical);
        let partition = fit(params, &x);
        let mut rows: Vec<u32> = partition.leaves().flatten().copied().collect();
        rows.sort_unstable();
        prop_assert_eq!(rows, (0..n as u32).collect::<Vec<_>>());
        prop_assert!(partition.leaves().all(|leaf| leaf.is_sorted()));
        let mut sizes: Vec<usize> = partition.leaves().map(<[u32]>::len).collect();
        while sizes.len() > 1 {
            prop_assert!(sizes.chunks(2).all(|pair| pair[1] == pair[0] || pair[1] == pair[0] + 1));
            sizes = sizes.chunks(2).map(|pair| pair[0] + pair[1]).collect();
        }
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    // Large enough for several stripes of features and blocks of dense rows.
    let n = 12_000;
    let x = Features::new(random_sparse(n, 3_000, 110, 5), Some(blobs(n, 7, 9, 6))).unwrap();
    let params = BalancedKMeans::params().depth(5).seed(11);
    let one = in_pool(1, || fit(params.clone(), &x));
    let two = in_pool(2, || fit(params.clone(), &x));
    let five = in_pool(5, || fit(params, &x));
    assert_eq!(one, two);
    assert_eq!(one, five);
}

#[test]
fn separable_clusters_are_found() {
    for spherical in [true, false] {
        let x = sparse(&blobs(400, 4, 12, 1));
        let partition = fit(BalancedKMeans::params().depth(2).seed(3).spherical(spherical), &x);
        for leaf in partition.leaves() {
            assert!(leaf.iter().all(|row| row % 4 == leaf[0] % 4), "mixed leaf {leaf:?}");
        }
    }
}

#[test]
fn sparse_and_dense_rows_agree() {
    let rows = blobs(300, 8, 20, 2);
    let params = BalancedKMeans::params().depth(3).seed(9);
    assert_eq!(fit(params.clone(), &sparse(&rows)), fit(params.clone(), &dense(rows.clone())));
    let (left, right) = rows.view().split_at(Axis(1), 8);
    let both = Features::new(sparse(&left.to_owned()).sparse().clone(), Some(right.to_owned())).unwrap();
    assert_eq!(fit(params.clone(), &both), fit(params, &dense(rows)));
}

#[test]
fn another_seed_may_give_another_clustering() {
    let x = Features::from_sparse(random_sparse(500, 60, 6, 4));
    let with_seed = |seed| fit(BalancedKMeans::params().depth(4).seed(seed), &x);
    assert_eq!(with_seed(1), with_seed(1));
    assert_ne!(with_seed(1), with_seed(2));
}

/// Mean squared distance of the rows to the mean of their group.
fn inertia(rows: &Array2<f32>, group: impl Fn(usize) -> usize) -> f32 {
    let mut total = 0.0;
    for wanted in 0..2 {
        let ids: Vec<usize> = (0..rows.nrows()).filter(|&row| group(row) == wanted).collect();
        let members = rows.select(Axis(0), &ids);
        let mean = members.mean_axis(Axis(0)).unwrap();
        total += (&members - &mean).mapv(|v| v * v).sum();
    }
    total / rows.nrows() as f32
}

#[test]
fn well_separated_blobs_are_split_as_linfa_splits_them() {
    let rows = blobs(500, 2, 6, 8);
    let records = DatasetBase::from(rows.clone());
    let model = KMeans::params_with_rng(2, Xoshiro256PlusPlus::seed_from_u64(1)).fit(&records).unwrap();
    let theirs = model.predict(&rows);
    for seeding in [Seeding::RandomRows, Seeding::Linfa] {
        let params = BalancedKMeans::params().spherical(false).seeding(seeding).seed(2);
        let partition = fit(params, &dense(rows.clone()));
        let ours = |row: usize| usize::from(partition.leaf(1).contains(&(row as u32)));
        let same = (0..500).filter(|&row| ours(row) == theirs[row]).count();
        assert!(same == 0 || same == 500, "{same} of 500 rows agree");
        assert!(inertia(&rows, ours) <= inertia(&rows, |row| theirs[row]) + 1e-6);
    }
}

/// Scores of all rows by the centroids of `right` and the other rows, in plain double arithmetic.
fn plain_scores(rows: &Array2<f32>, right: &[u32], spherical: bool) -> Vec<f64> {
    let rows = rows.mapv(f64::from);
    let is_right = |row: usize| right.contains(&(row as u32));
    let centroid = |wanted: bool| {
        let ids: Vec<usize> = (0..rows.nrows()).filter(|&row| is_right(row) == wanted).collect();
        let sum = rows.select(Axis(0), &ids).sum_axis(Axis(0));
        let length = if spherical { sum.dot(&sum).sqrt() } else { ids.len() as f64 };
        sum / length
    };
    rows.dot(&(centroid(true) - centroid(false))).to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn a_finished_split_is_one_that_its_own_centroids_make(seed: u64, spherical: bool, n in 2usize..200) {
        // Features of one row only (a wide matrix), shared ones and dense ones.
        let (wide, block) = (random_sparse(n, 3 * n as u32, 6, seed), blobs(n, 5, 4, seed));
        let features = Features::new(wide.clone(), Some(block.clone())).unwrap();
        let params = BalancedKMeans::params().max_iter(500).tolerance(0.0).seed(seed).spherical(spherical);
        let partition = fit(params, &features);
        let mut rows = Array2::zeros((n, wide.n_cols() + 4));
        for (row, entries) in wide.rows().enumerate() {
            entries.iter().for_each(|(col, value)| rows[[row, col as usize]] = value);
        }
        rows.slice_mut(ndarray::s![.., wide.n_cols()..]).assign(&block);
        let scores = plain_scores(&rows, partition.leaf(1), spherical);
        let highest_left = partition.leaf(0).iter().map(|&row| scores[row as usize]).fold(f64::MIN, f64::max);
        let lowest_right = partition.leaf(1).iter().map(|&row| scores[row as usize]).fold(f64::MAX, f64::min);
        prop_assert!(highest_left <= lowest_right + 1e-5, "{} above {}", highest_left, lowest_right);
    }
}

#[test]
fn a_sample_of_the_rows_finds_the_same_clusters() {
    // Four thousand rows in four blobs: a tenth of them tells where the blobs are.
    let x = blobs(4_000, 4, 12, 1);
    for (features, spherical) in [(sparse(&x), true), (sparse(&x), false), (dense(x), true)] {
        let params = BalancedKMeans::params().depth(2).seed(3).spherical(spherical);
        let sampled = fit(params.clone().sampling(Sampling::default()), &features);
        assert!(
            sampled.leaves().all(|leaf| leaf.len() == 1_000 && leaf.iter().all(|row| row % 4 == leaf[0] % 4))
        );
        let one = in_pool(1, || fit(params.clone().sampling(Sampling::default()), &features));
        assert_eq!(one, sampled);
    }
    // A rate of 1 is no sample.
    let x = Features::from_sparse(random_sparse(2_000, 400, 6, 4));
    let params = BalancedKMeans::params().depth(3);
    let whole = Sampling { min_rate: 1.0, warmup: 0.0 };
    assert_eq!(fit(params.clone().sampling(whole), &x), fit(params, &x));
}

#[test]
fn rows_of_zeros_are_placed_too() {
    let x = Features::from_sparse(Csr::empty(9, 5));
    let partition = fit(BalancedKMeans::params().depth(3), &x);
    assert_eq!(partition.leaves().map(<[u32]>::len).collect::<Vec<_>>(), [1, 1, 1, 1, 1, 1, 1, 2]);
    let x = dense(Array2::zeros((4, 3)));
    assert_eq!(fit(BalancedKMeans::params().seeding(Seeding::Linfa), &x).leaf(0), &[0, 1]);
}

#[test]
fn what_cannot_be_clustered_is_refused() {
    let check = |params: BalancedKMeansParams| params.check().unwrap_err();
    assert!(matches!(
        check(BalancedKMeans::params().max_iter(0)),
        ClusterError::Param { name: "max_iter", found: 0, .. }
    ));
    assert!(matches!(
        check(BalancedKMeans::params().depth(32)),
        ClusterError::Param { name: "depth", found: 32, .. }
    ));
    for (sampling, name) in [
        (Sampling { min_rate: 0.0, warmup: 0.4 }, "min_rate"),
        (Sampling { min_rate: 1.1, warmup: 0.4 }, "min_rate"),
        (Sampling { min_rate: 0.1, warmup: 1.0 }, "warmup"),
        (Sampling { min_rate: 0.1, warmup: f32::NAN }, "warmup"),
    ] {
        let found = check(BalancedKMeans::params().sampling(sampling));
        assert!(matches!(found, ClusterError::Share { name: found, .. } if found == name));
    }
    for found in [-0.1, 1.0] {
        assert_eq!(check(BalancedKMeans::params().tolerance(found)), ClusterError::Tolerance { found });
    }
    assert!(matches!(check(BalancedKMeans::params().tolerance(f32::NAN)), ClusterError::Tolerance { .. }));
    let x = Features::from_sparse(random_sparse(3, 4, 2, 1));
    let deep = BalancedKMeans::params().depth(2).check().unwrap().fit(&x);
    assert_eq!(deep, Err(ClusterError::TooDeep { n_rows: 3, n_leaves: 4, depth: 2 }));
    let linfa = BalancedKMeans::params().seeding(Seeding::Linfa).check().unwrap().fit(&x);
    assert!(matches!(linfa, Err(ClusterError::NotDense { nnz: 6, n_dense: 0 })), "{linfa:?}");
}

/// 600 instances of `n_topics` topics, each with its topic's own features and one of all; the shares of 480 rows in 30 instances of a topic each.
fn topics(n_topics: u32) -> (Csr, Features) {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(5);
    let (of_topic, of_all) = (Uniform::new(0, 20), Uniform::new(0, 20 * n_topics));
    let instance = |i: u32| {
        let own: Vec<u32> = (0..16).map(|_| i % n_topics * 20 + of_topic.sample(&mut rng)).collect();
        own.into_iter().chain([of_all.sample(&mut rng)]).map(|feature| (feature, 1.0)).collect::<Vec<_>>()
    };
    let x = Csr::from_rows(20 * n_topics as usize, (0..600).map(instance)).unwrap();
    let any = Uniform::new(0, 600 / n_topics);
    let row = |row: u32| {
        (0..30).map(|_| (any.sample(&mut rng) * n_topics + row % n_topics, 0.5)).collect::<Vec<_>>()
    };
    (Csr::from_rows(600, (0..480).map(row)).unwrap(), Features::from_sparse(x))
}

fn made(shares: &Csr, x: &Features) -> Features {
    Features::from_sparse(shares.dot(x.sparse()).unwrap().into_l2_normalized_rows())
}

#[test]
fn rows_that_are_not_there_are_clustered_as_those_that_are() {
    let (shares, x) = topics(8);
    let kmeans = BalancedKMeans::params().depth(5).seed(3).check().unwrap();
    let there = kmeans.fit(&made(&shares, &x)).unwrap();
    // All rows together have 480 × 30 × 16 entries and a few: with 70,000 some are split before they are made.
    for limit in [Some(70_000), Some(1), None] {
        let fit = || {
            let rows = SummedRows::new(&shares, &x).limits(limit, Some(2));
            kmeans.fit_summed(rows, &NoProgress).unwrap()
        };
        let summed = in_pool(3, fit);
        assert_eq!(summed.n_leaves(), 32);
        assert_eq!(summed, in_pool(1, fit));
        check_topics(&summed, &there);
    }
}

fn check_topics(summed: &Partition, there: &Partition) {
    // The topics are found by both; within one, rounding may decide.
    let topics = |partition: &Partition| -> Vec<Vec<u32>> {
        let leaves: Vec<&[u32]> = partition.leaves().collect();
        let of_eighth = |leaves: &[&[u32]]| {
            let mut rows = leaves.concat();
            rows.sort_unstable();
            rows
        };
        leaves.chunks(4).map(of_eighth).collect()
    };
    assert_eq!(topics(summed), topics(there));
    assert!(topics(summed).iter().all(|rows| rows.iter().all(|row| row % 8 == rows[0] % 8)));
}

#[test]
fn what_summed_rows_cannot_be_is_refused() {
    let (shares, x) = topics(2);
    let fit = |params: BalancedKMeansParams| {
        params.check().unwrap().fit_summed(SummedRows::new(&shares, &x), &NoProgress)
    };
    let dense = fit(BalancedKMeans::params().depth(1).seeding(Seeding::Linfa));
    assert!(matches!(dense, Err(ClusterError::NotDense { n_dense: 0, .. })));
    assert!(matches!(fit(BalancedKMeans::params().depth(9)), Err(ClusterError::TooDeep { .. })));
}
