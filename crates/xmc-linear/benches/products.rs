//! Clusters of long rows, solved in weights and in inner products: `cargo bench -p xmc-linear --bench products`.
//!
//! What `pays` in `gram.rs` reckons with: the time of a group of sixteen labels both ways, and that of the products, which all groups of a
//! cluster share.
// A bench that unwraps fails with a line number, as a test does.
#![allow(clippy::unwrap_used)]

use divan::Bencher;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use xmc_linear::{CompactRows, Compactor, LANES, LaneSolver, SvmParams, Targets};
use xmc_sparse::{Csr, Features};

const N_SPARSE: usize = 60_000;
/// Rows, and features of a row.
const SHAPES: [(usize, usize); 9] =
    [(50, 40), (50, 300), (200, 40), (200, 150), (200, 600), (400, 75), (400, 600), (1000, 150), (1000, 600)];

fn main() {
    divan::main();
}

fn zipf(rng: &mut impl Rng) -> u32 {
    ((N_SPARSE as f64).powf(rng.gen_range(0.0..1.0)) - 1.0) as u32
}

fn cluster((n_rows, width): (usize, usize)) -> (CompactRows, Targets) {
    let rng = &mut Xoshiro256PlusPlus::seed_from_u64(1);
    let mut positives = vec![Vec::new(); LANES];
    let mut rows = Vec::with_capacity(n_rows);
    for row in 0..n_rows as u32 {
        let label = rng.gen_range(0..LANES);
        positives[label].push(row);
        // The label shows in one of eight features.
        let mut features = vec![(label * 8 + rng.gen_range(0..8)) as u32];
        while features.len() < width {
            features.extend((features.len()..width).map(|_| zipf(rng)));
            features.sort_unstable();
            features.dedup();
        }
        let value = 1.0 / (width as f32).sqrt();
        rows.push(features.into_iter().map(|feature| (feature, value)).collect::<Vec<_>>());
    }
    let x = Features::from_sparse(Csr::from_rows(N_SPARSE, rows).unwrap());
    let all: Vec<u32> = (0..n_rows as u32).collect();
    (Compactor::new(N_SPARSE).compact(&x, &all, None, 1.0), Targets::new(n_rows, &positives))
}

fn solve(bencher: Bencher, rows: &CompactRows, targets: &Targets) {
    let (params, mut solver) = (SvmParams::default().check().unwrap(), LaneSolver::default());
    bencher.bench_local(|| solver.solve(&params, rows, targets, 1).passes);
}

#[divan::bench(args = SHAPES, sample_count = 10)]
fn in_weights(bencher: Bencher, shape: (usize, usize)) {
    let (rows, targets) = cluster(shape);
    solve(bencher, &rows, &targets);
}

#[divan::bench(args = SHAPES, sample_count = 10)]
fn in_products(bencher: Bencher, shape: (usize, usize)) {
    let (rows, targets) = cluster(shape);
    solve(bencher, &rows.with_products(), &targets);
}

#[divan::bench(args = SHAPES, sample_count = 10)]
fn products(bencher: Bencher, shape: (usize, usize)) {
    let (rows, _) = cluster(shape);
    bencher.with_inputs(|| rows.clone()).bench_local_values(CompactRows::with_products);
}
