//! Balanced 2-means beside linfa's k-means on dense rows, and over a whole sparse tree.
//!
//! `cargo bench -p xmc-cluster`

use divan::{Bencher, black_box};
use linfa::DatasetBase;
use linfa::traits::Fit;
use linfa_clustering::KMeans;
use ndarray::Array2;
use rand::distributions::{Distribution, Uniform};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use xmc_cluster::{BalancedKMeans, BalancedKMeansParams, Seeding};
use xmc_sparse::{Csr, Features};

fn main() {
    divan::main();
}

const ROWS: usize = 20_000;
const WIDTH: usize = 64;

/// Unit rows around 50 random directions.
fn dense_rows() -> Array2<f32> {
    let mut rng = StdRng::seed_from_u64(1);
    let range = Uniform::new(-1.0f32, 1.0);
    let centers = Array2::from_shape_fn((50, WIDTH), |_| range.sample(&mut rng));
    let mut rows =
        Array2::from_shape_fn((ROWS, WIDTH), |(row, col)| centers[[row % 50, col]] + range.sample(&mut rng));
    rows.rows_mut().into_iter().for_each(|mut row| {
        let norm = row.dot(&row).sqrt();
        row /= norm;
    });
    rows
}

fn dense_features() -> Features {
    Features::new(Csr::empty(ROWS, 0), Some(dense_rows())).expect("finite rows of one height")
}

/// 60 entries a row, most of them of few features, as in text.
fn sparse_features() -> Features {
    let mut rng = StdRng::seed_from_u64(2);
    let mut entry = || (1e5f32.powf(rng.r#gen()) as u32, rng.gen_range(0.1f32..1.0));
    let rows: Vec<Vec<_>> = (0..ROWS).map(|_| (0..60).map(|_| entry()).collect()).collect();
    Features::from_sparse(Csr::from_rows(100_001, rows).expect("columns in range").l2_normalized_rows())
}

fn fit(bencher: Bencher<'_, '_>, params: BalancedKMeansParams, features: &Features) {
    let kmeans = params.check().expect("parameters in range");
    bencher.bench_local(|| kmeans.fit(black_box(features)).expect("enough rows"));
}

#[divan::bench(sample_count = 20, args = [Seeding::RandomRows, Seeding::Linfa])]
fn one_dense_split(bencher: Bencher<'_, '_>, seeding: Seeding) {
    fit(bencher, BalancedKMeans::params().seeding(seeding), &dense_features());
}

#[divan::bench(sample_count = 20, args = [Seeding::RandomRows, Seeding::Linfa])]
fn dense_tree_of_256_leaves(bencher: Bencher<'_, '_>, seeding: Seeding) {
    fit(bencher, BalancedKMeans::params().depth(8).seeding(seeding), &dense_features());
}

#[divan::bench(sample_count = 20)]
fn linfa_two_means_on_dense_rows(bencher: Bencher<'_, '_>) {
    let records = DatasetBase::from(dense_rows());
    let params = KMeans::params_with_rng(2, StdRng::seed_from_u64(3)).n_runs(1).max_n_iterations(20);
    bencher.bench_local(|| params.fit(black_box(&records)).expect("finite rows"));
}

#[divan::bench(sample_count = 20)]
fn sparse_tree_of_256_leaves(bencher: Bencher<'_, '_>) {
    fit(bencher, BalancedKMeans::params().depth(8), &sparse_features());
}
