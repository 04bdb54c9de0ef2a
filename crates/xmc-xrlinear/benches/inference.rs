//! Prediction from a synthetic model: `cargo bench -p xmc-xrlinear`.
//!
//! The instances look like titles (Zipf-distributed features, about 20 in each) and the labels follow from some of
//! them. 20,000 labels under 16 → 256 clusters: a small model by the standards of the field, with every form of record.
// A bench that unwraps fails with a line number, as a test does.
#![allow(clippy::unwrap_used)]

use divan::Bencher;
use divan::counter::ItemsCount;
use ndarray::Array2;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::sync::OnceLock;
use xmc_sparse::kernels::Isa;
use xmc_sparse::{Csr, Features, NoProgress};
use xmc_store::ModelWriter;
use xmc_tree::{LabelTree, Matcher, Search, SearchParams, TreeLayer};
use xmc_xrlinear::{Instances, Scratch, WeightType, XrLinear, XrLinearParams};

const N_SAMPLES: usize = 40_000;
const N_SPARSE: usize = 60_000;
const N_DENSE: usize = 128;
const N_LABELS: usize = 20_000;
const N_QUERIES: usize = 2_000;

fn main() {
    divan::main();
}

/// A model and instances that it has not seen.
struct Fixture {
    model: XrLinear,
    queries: Features,
}

fn fixture(with_dense: bool, weights: WeightType) -> Fixture {
    let rng = &mut Xoshiro256PlusPlus::seed_from_u64(1);
    let n_dense = if with_dense { N_DENSE } else { 0 };
    let (x, y) = data(N_SAMPLES, n_dense, rng);
    let (queries, _) = data(N_QUERIES, n_dense, rng);
    let params = XrLinearParams::default().weights(weights).check().unwrap();
    let writer = ModelWriter::in_memory();
    params.fit(Instances::new(&x, &y), &tree(), &writer, "matcher", &NoProgress).unwrap();
    let model = XrLinear::open(&writer.commit(&()).unwrap(), "matcher").unwrap();
    Fixture { model, queries }
}

fn sparse(weights: WeightType) -> &'static Fixture {
    static FIXTURES: [OnceLock<Fixture>; 3] = [const { OnceLock::new() }; 3];
    FIXTURES[weights as usize].get_or_init(|| fixture(false, weights))
}

fn with_dense() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| fixture(true, WeightType::Bf16))
}

/// Labels in runs of about 78 under 256 clusters, these in runs of 16 under 16.
fn tree() -> LabelTree {
    let runs = |n_children: usize, n_parents: usize| {
        let bound = |parent: usize| (parent * n_children / n_parents) as u32;
        TreeLayer::from_lists((0..n_parents).map(|p| bound(p)..bound(p + 1)), n_children).unwrap()
    };
    LabelTree::from_layers(vec![runs(16, 1), runs(256, 16), runs(N_LABELS, 256)]).unwrap()
}

/// A number below `n` whose rank is Zipf-distributed.
fn zipf(n: usize, rng: &mut impl Rng) -> usize {
    (((n as f64).powf(rng.gen_range(0.0..1.0)) - 1.0) as usize).min(n - 1)
}

fn data(n_samples: usize, n_dense: usize, rng: &mut impl Rng) -> (Features, Csr) {
    let (mut rows, mut labels) = (Vec::with_capacity(n_samples), Vec::with_capacity(n_samples));
    for _ in 0..n_samples {
        let label = zipf(N_LABELS, rng);
        // Two features are the label's own and one its cluster's; the rest is anybody's.
        let own = [label * 3 % N_SPARSE, label * 7 % N_SPARSE, label / 78];
        let noise: Vec<usize> = (0..rng.gen_range(8..26)).map(|_| zipf(N_SPARSE, rng)).collect();
        let features = own.into_iter().chain(noise);
        rows.push(features.map(|feature| (feature as u32, 0.25)).collect::<Vec<_>>());
        labels.push([(label as u32, 1.0)]);
    }
    let sparse = Csr::from_rows(N_SPARSE, rows).unwrap();
    let dense =
        (n_dense > 0).then(|| Array2::from_shape_fn((n_samples, n_dense), |_| rng.gen_range(-0.1..0.1)));
    (Features::new(sparse, dense).unwrap(), Csr::from_rows(N_LABELS, labels).unwrap())
}

/// One query after the other on one thread, the buffers kept.
fn one_by_one(bencher: Bencher, fixture: &Fixture, beam_size: usize, mut scratch: Scratch) {
    let search = SearchParams::default().beam_size(beam_size);
    let mut out = Vec::new();
    let mut rows = (0..N_QUERIES).cycle();
    bencher.counter(ItemsCount::new(1usize)).bench_local(|| {
        let row = fixture.queries.row(rows.next().unwrap());
        fixture.model.predict_row(row, Search::new(&search), &mut scratch, &mut out);
        out.len()
    });
}

#[divan::bench(args = [1, 10, 50])]
fn single_sparse(bencher: Bencher, beam_size: usize) {
    one_by_one(bencher, sparse(WeightType::Bf16), beam_size, Scratch::default());
}

/// Each way of adding up, on each instruction set.
fn kernels() -> Vec<(WeightType, Isa)> {
    let all = [WeightType::Bf16, WeightType::F32, WeightType::Int8];
    all.into_iter().flat_map(|weights| Isa::available().into_iter().map(move |isa| (weights, isa))).collect()
}

#[divan::bench(args = kernels())]
fn single_on(bencher: Bencher, &(weights, isa): &(WeightType, Isa)) {
    one_by_one(bencher, sparse(weights), 10, Scratch::on(isa));
}

#[divan::bench(args = [10])]
fn single_with_dense(bencher: Bencher, beam_size: usize) {
    one_by_one(bencher, with_dense(), beam_size, Scratch::default());
}

/// All queries at once, on all cores.
fn together(bencher: Bencher, fixture: &Fixture) {
    let search = SearchParams::default();
    bencher
        .counter(ItemsCount::new(N_QUERIES))
        .bench_local(|| fixture.model.predict_batch(&fixture.queries, Search::new(&search)));
}

#[divan::bench(sample_count = 20)]
fn batch_sparse(bencher: Bencher) {
    together(bencher, sparse(WeightType::Bf16));
}

#[divan::bench(sample_count = 20)]
fn batch_with_dense(bencher: Bencher) {
    together(bencher, with_dense());
}

#[divan::bench(sample_count = 20)]
fn batch_sparse_f32(bencher: Bencher) {
    together(bencher, sparse(WeightType::F32));
}
