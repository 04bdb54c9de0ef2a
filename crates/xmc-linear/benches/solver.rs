//! Sixteen sibling problems, together and one by one: `cargo bench -p xmc-linear`.
//!
//! The instances look like titles: Zipf-distributed features, about 15 in each, most distinct features in
//! one instance only. The textbook solver does the same sixteen problems after each other.
// A bench that unwraps fails with a line number, as a test does.
#![allow(clippy::unwrap_used)]

use divan::Bencher;
use divan::counter::ItemsCount;
use ndarray::Array2;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use xmc_linear::{CheckedSvmParams, Compactor, LANES, LaneSolver, Loss, SvmParams, Targets, reference};
use xmc_sparse::kernels::Isa;
use xmc_sparse::{Csr, Features};

const N_ROWS: usize = 4_000;
const N_SPARSE: usize = 200_000;
const N_DENSE: usize = 64;

fn main() {
    divan::main();
}

/// A cluster's instances and the positives of its labels.
struct Cluster {
    x: Features,
    rows: Vec<u32>,
    positives: Vec<Vec<u32>>,
}

fn cluster(n_dense: usize) -> Cluster {
    let rng = &mut Xoshiro256PlusPlus::seed_from_u64(1);
    let mut positives = vec![Vec::new(); LANES];
    let mut rows = Vec::with_capacity(N_ROWS);
    for row in 0..N_ROWS as u32 {
        let label = rng.gen_range(0..LANES);
        positives[label].push(row);
        let noise: Vec<u32> = (0..rng.gen_range(6..22)).map(|_| zipf(rng)).collect();
        // The label shows in one of eight features.
        let own = (label * 8 + rng.gen_range(0..8)) as u32;
        rows.push(noise.into_iter().chain([own]).map(|feature| (feature, 0.25)).collect::<Vec<_>>());
    }
    let sparse = Csr::from_rows(N_SPARSE, rows).unwrap();
    let dense = (n_dense > 0).then(|| Array2::from_shape_fn((N_ROWS, n_dense), |_| rng.gen_range(-0.1..0.1)));
    Cluster { x: Features::new(sparse, dense).unwrap(), rows: (0..N_ROWS as u32).collect(), positives }
}

/// A feature whose rank is Zipf-distributed.
fn zipf(rng: &mut impl Rng) -> u32 {
    (((N_SPARSE as f64).powf(rng.gen_range(0.0..1.0)) - 1.0) as u32).min(N_SPARSE as u32 - 1)
}

fn params() -> CheckedSvmParams {
    SvmParams::default().check().unwrap()
}

/// The instruction sets of this machine and the textbook solver.
fn solvers() -> Vec<String> {
    Isa::available().iter().map(|isa| format!("{isa:?}")).collect()
}

fn isa(name: &str) -> Isa {
    Isa::available().into_iter().find(|isa| format!("{isa:?}") == name).unwrap()
}

fn solve_together(bencher: Bencher, name: &str, n_dense: usize) {
    let cluster = cluster(n_dense);
    let targets = Targets::new(N_ROWS, &cluster.positives);
    solve(bencher, LaneSolver::on(isa(name)), params(), &cluster, &targets);
}

fn solve(
    bencher: Bencher,
    mut solver: LaneSolver,
    params: CheckedSvmParams,
    cluster: &Cluster,
    targets: &Targets,
) {
    let compact = Compactor::new(N_SPARSE).compact(&cluster.x, &cluster.rows, None, params.bias);
    bencher
        .counter(ItemsCount::new(LANES))
        .bench_local(|| solver.solve(&params, &compact, targets, 1).passes);
}

#[divan::bench(args = solvers(), sample_count = 20)]
fn sixteen_labels_together(bencher: Bencher, isa: &str) {
    solve_together(bencher, isa, 0);
}

#[divan::bench(args = solvers(), sample_count = 10)]
fn sixteen_labels_together_with_dense(bencher: Bencher, isa: &str) {
    solve_together(bencher, isa, N_DENSE);
}

#[divan::bench(args = Loss::ALL, sample_count = 10)]
fn losses(bencher: Bencher, loss: Loss) {
    let cluster = cluster(0);
    let params = SvmParams::default().loss(loss).check().unwrap();
    let targets = Targets::new(N_ROWS, &cluster.positives);
    solve(bencher, LaneSolver::default(), params, &cluster, &targets);
}

#[divan::bench(args = Loss::ALL, sample_count = 10)]
fn losses_with_dense(bencher: Bencher, loss: Loss) {
    let cluster = cluster(N_DENSE);
    let params = SvmParams::default().loss(loss).check().unwrap();
    let targets = Targets::new(N_ROWS, &cluster.positives);
    solve(bencher, LaneSolver::default(), params, &cluster, &targets);
}

/// Each positive has a cost of its own.
#[divan::bench(sample_count = 10)]
fn costs_of_pairs(bencher: Bencher) {
    let cluster = cluster(0);
    let costs: Vec<Vec<f32>> = cluster
        .positives
        .iter()
        .map(|list| list.iter().map(|row| 0.5 + (row % 4) as f32 / 3.0).collect())
        .collect();
    let targets = Targets::with_costs(N_ROWS, &cluster.positives, &costs);
    solve(bencher, LaneSolver::default(), params(), &cluster, &targets);
}

/// Each label sees half of the instances, another half each.
#[divan::bench(sample_count = 10)]
fn instances_of_each_label(bencher: Bencher) {
    let cluster = cluster(0);
    let sees = |label: u32, row: u32| row.wrapping_mul(2_654_435_761).wrapping_add(label << 28) >> 31 == 0;
    let seen: Vec<Vec<u32>> =
        (0..LANES as u32).map(|label| (0..N_ROWS as u32).filter(|&row| sees(label, row)).collect()).collect();
    let targets = Targets::new(N_ROWS, &cluster.positives).restricted(&seen);
    solve(bencher, LaneSolver::default(), params(), &cluster, &targets);
}

#[divan::bench(sample_count = 3)]
fn sixteen_labels_one_by_one(bencher: Bencher) {
    let Cluster { x, rows, positives } = cluster(0);
    let params = params();
    bencher.counter(ItemsCount::new(LANES)).bench_local(|| {
        for positives in &positives {
            let mut positive = vec![false; rows.len()];
            positives.iter().for_each(|&row| positive[row as usize] = true);
            divan::black_box(reference::solve(&params, &x, &rows, &positive, None));
        }
    });
}

/// Copying the rows side by side, which every cluster pays once.
#[divan::bench(sample_count = 20)]
fn compact_rows(bencher: Bencher) {
    let Cluster { x, rows, .. } = cluster(0);
    let mut compactor = Compactor::new(N_SPARSE);
    bencher
        .counter(ItemsCount::new(N_ROWS))
        .bench_local(|| compactor.compact(&x, &rows, None, 1.0).n_features());
}
