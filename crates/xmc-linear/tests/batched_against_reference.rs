//! The batched solver reaches the optimum of the textbook solver, on every instruction set.
// A test that unwraps fails with a line number, which is what a test is for.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use xmc_linear::{
    CheckedSvmParams, CompactRows, Compactor, GroupWeights, LaneSolver, SvmParams, Targets, reference,
};
use xmc_sparse::kernels::Isa;
use xmc_sparse::{Csr, Features};

/// A cluster: features, the rows that it trains on and the positives of each label.
#[derive(Debug, Clone)]
struct Cluster {
    x: Features,
    rows: Vec<u32>,
    positives: Vec<Vec<u32>>,
    weights: Option<Vec<f32>>,
}

const N_COLS: usize = 30;

fn cluster() -> impl Strategy<Value = Cluster> {
    let row = prop::collection::vec((0..N_COLS as u32, -1.0f32..1.0), 0..8);
    (2usize..40, 1usize..=16, 0usize..6).prop_flat_map(move |(n, n_labels, n_dense)| {
        (
            prop::collection::vec(row.clone(), n),
            prop::collection::vec(prop::collection::btree_set(0..n as u32, 0..n), n_labels),
            prop::collection::vec(-1.0f32..1.0, n * n_dense),
            prop::option::of(prop::collection::vec(0.25f32..3.0, n)),
        )
            .prop_map(move |(rows, positives, dense, weights)| Cluster {
                x: features(rows, n_dense, dense),
                rows: (0..n as u32).collect(),
                positives: positives.into_iter().map(|set| set.into_iter().collect()).collect(),
                weights,
            })
    })
}

fn features(rows: Vec<Vec<(u32, f32)>>, n_dense: usize, dense: Vec<f32>) -> Features {
    let n = rows.len();
    let sparse = Csr::from_rows(N_COLS, rows).unwrap();
    let dense = (n_dense > 0).then(|| ndarray::Array2::from_shape_vec((n, n_dense), dense).unwrap());
    Features::new(sparse, dense).unwrap()
}

fn tight(costs: (f32, f32), bias: f32) -> CheckedSvmParams {
    SvmParams::default().costs(costs.0, costs.1).bias(bias).eps(1e-4).max_iter(3000).check().unwrap()
}

fn batched(isa: Isa, params: &CheckedSvmParams, cluster: &Cluster) -> (CompactRows, GroupWeights) {
    let mut compactor = Compactor::new(N_COLS);
    let rows = compactor.compact(&cluster.x, &cluster.rows, cluster.weights.as_deref(), params.bias);
    let targets = Targets::new(rows.n_rows(), &cluster.positives);
    let mut solver = LaneSolver::on(isa);
    solver.solve(params, &rows, &targets, 7);
    let weights = solver.weights(&rows, &targets, 0.0);
    (rows, weights)
}

/// Weights of one label by original column, sparse then dense.
fn label_weights(cluster: &Cluster, rows: &CompactRows, group: &GroupWeights, lane: usize) -> Vec<f64> {
    let n_dense = cluster.x.n_dense();
    let mut out = vec![0.0; N_COLS + n_dense];
    let mut values = group.values.iter();
    for (&feature, &lanes) in group.features.iter().zip(&group.lanes) {
        for bit in (0..16).filter(|bit| lanes >> bit & 1 == 1) {
            let value = *values.next().unwrap();
            if bit == lane {
                out[rows.original_feature(feature) as usize] = f64::from(value);
            }
        }
    }
    for (col, &value) in group.dense[lane * n_dense..(lane + 1) * n_dense].iter().enumerate() {
        out[N_COLS + col] = f64::from(value);
    }
    out
}

fn assert_same_optimum(isa: Isa, params: &CheckedSvmParams, cluster: &Cluster) {
    let (rows, group) = batched(isa, params, cluster);
    for (lane, positives) in cluster.positives.iter().enumerate() {
        let positive: Vec<bool> = (0..rows.n_rows() as u32).map(|row| positives.contains(&row)).collect();
        let expected =
            reference::solve(params, &cluster.x, &cluster.rows, &positive, cluster.weights.as_deref());
        let found = label_weights(cluster, &rows, &group, lane);
        for (col, (found, expected)) in found.iter().zip(&expected.weights).enumerate() {
            assert!((found - expected).abs() < 2e-3, "{isa:?} lane {lane} column {col}: {found} {expected}");
        }
        let bias = f64::from(group.bias[lane]);
        assert!((bias - expected.bias).abs() < 2e-3, "{isa:?} lane {lane}: bias {bias} {}", expected.bias);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn sixteen_lanes_reach_the_optimum_of_the_reference(
        cluster in cluster(), cost_positive in 0.5f32..4.0, cost_negative in 0.5f32..2.0, with_bias in any::<bool>(),
    ) {
        let params = tight((cost_positive, cost_negative), if with_bias { 1.0 } else { 0.0 });
        for isa in Isa::available() {
            assert_same_optimum(isa, &params, &cluster);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    let rows = (0..50u32).map(|i| vec![(i % 7, 1.0), (i % 5 + 10, 0.5), (i % 30, 0.25)]).collect();
    let cluster = Cluster {
        x: features(rows, 0, Vec::new()),
        rows: (0..50).collect(),
        positives: (0..16).map(|l| (0..50).filter(|i| i % 16 == l).collect()).collect(),
        weights: None,
    };
    let params = SvmParams::default().check().unwrap();
    for isa in Isa::available() {
        assert_eq!(batched(isa, &params, &cluster).1, batched(isa, &params, &cluster).1);
    }
}

#[test]
fn pruning_keeps_exactly_the_large_weights() {
    let rows = (0..40u32).map(|i| vec![(i % 3, 1.0), (i % 11 + 3, 0.3)]).collect();
    let cluster = Cluster {
        x: features(rows, 0, Vec::new()),
        rows: (0..40).collect(),
        positives: vec![(0..40).filter(|i| i % 3 == 0).collect(), vec![1, 5]],
        weights: None,
    };
    let params = SvmParams::default().check().unwrap();
    let mut compactor = Compactor::new(N_COLS);
    let rows = compactor.compact(&cluster.x, &cluster.rows, None, 1.0);
    let targets = Targets::new(40, &cluster.positives);
    let mut solver = LaneSolver::default();
    solver.solve(&params, &rows, &targets, 0);
    let (all, pruned) = (solver.weights(&rows, &targets, 0.0), solver.weights(&rows, &targets, 0.1));
    let large = all.values.iter().copied().filter(|w| w.abs() >= 0.1).collect::<Vec<_>>();
    assert_eq!(pruned.values, large);
    assert!(pruned.n_entries() < all.n_entries());
}

#[test]
fn a_cluster_without_rows_or_positives_solves_to_nothing() {
    let params = SvmParams::default().check().unwrap();
    let x = features(vec![vec![(0, 1.0)]], 0, Vec::new());
    let rows = Compactor::new(N_COLS).compact(&x, &[], None, 1.0);
    let targets = Targets::new(0, &[&[][..]]);
    let mut solver = LaneSolver::default();
    let report = solver.solve(&params, &rows, &targets, 0);
    assert_eq!(report.unconverged, 0);
    assert_eq!(solver.weights(&rows, &targets, 0.0).n_entries(), 0);
}
