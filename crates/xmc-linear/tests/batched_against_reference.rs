//! The batched solver reaches the optimum of the textbook solver, on every instruction set.
// A test that unwraps fails with a line number, which is what a test is for.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use std::collections::BTreeSet;
use xmc_linear::{
    CheckedSvmParams, CompactRows, Compactor, GroupWeights, LaneSolver, Loss, SolveReport, SvmParams,
    Targets, reference,
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
    /// Of each positive.
    costs: Option<Vec<Vec<f32>>>,
    /// Rows that each label sees, beside its positives.
    seen: Option<Vec<Vec<u32>>>,
    /// Solved in the inner products of the rows.
    products: bool,
}

impl Cluster {
    fn plain(x: Features, positives: Vec<Vec<u32>>) -> Self {
        let rows = (0..x.n_samples() as u32).collect();
        Self { x, rows, positives, weights: None, costs: None, seen: None, products: false }
    }

    fn compact(&self, bias: f32) -> CompactRows {
        let rows = Compactor::new(N_COLS).compact(&self.x, &self.rows, self.weights.as_deref(), bias);
        if self.products { rows.with_products() } else { rows }
    }

    fn targets(&self) -> Targets {
        let n_rows = self.rows.len();
        let targets = match &self.costs {
            None => Targets::new(n_rows, &self.positives),
            Some(costs) => Targets::with_costs(n_rows, &self.positives, costs),
        };
        match &self.seen {
            None => targets,
            Some(seen) => targets.restricted(seen),
        }
    }

    /// The problem of one label as the textbook solver takes it: rows, signs and what multiplies each cost.
    fn of_label(&self, label: usize) -> (Vec<u32>, Vec<bool>, Vec<f32>) {
        let positives = &self.positives[label];
        let sees = |row: &u32| self.seen.as_ref().is_none_or(|seen| seen[label].contains(row));
        let rows: Vec<u32> =
            self.rows.iter().copied().filter(|row| sees(row) || positives.contains(row)).collect();
        let cost = |row: &u32| match (&self.costs, positives.iter().position(|positive| positive == row)) {
            (Some(costs), Some(at)) => costs[label][at],
            _ => 1.0,
        };
        let weight = |row: &u32| self.weights.as_ref().map_or(1.0, |weights| weights[*row as usize]);
        let positive = rows.iter().map(|row| positives.contains(row)).collect();
        let weights = rows.iter().map(|row| weight(row) * cost(row)).collect();
        (rows, positive, weights)
    }
}

const N_COLS: usize = 30;

fn cluster() -> impl Strategy<Value = Cluster> {
    let row = prop::collection::vec((0..N_COLS as u32, -1.0f32..1.0), 0..8);
    (2usize..40, 1usize..=16, 0usize..6).prop_flat_map(move |(n, n_labels, n_dense)| {
        let sets = || prop::collection::vec(prop::collection::btree_set(0..n as u32, 0..n), n_labels);
        (
            prop::collection::vec(row.clone(), n),
            sets(),
            prop::collection::vec(-1.0f32..1.0, n * n_dense),
            prop::option::of(prop::collection::vec(0.25f32..3.0, n)),
            prop::option::of(prop::collection::vec(prop::collection::vec(0.25f32..4.0, n), n_labels)),
            prop::option::of(sets()),
            any::<bool>(),
        )
            .prop_map(move |(rows, positives, dense, weights, costs, seen, products)| {
                let lists = |sets: Vec<BTreeSet<u32>>| -> Vec<Vec<u32>> {
                    sets.into_iter().map(|set| set.into_iter().collect()).collect()
                };
                let positives = lists(positives);
                let costs = costs.map(|costs| {
                    costs.into_iter().zip(&positives).map(|(c, list)| c[..list.len()].to_vec()).collect()
                });
                let plain = Cluster::plain(features(rows, n_dense, dense), positives);
                Cluster { weights, costs, seen: seen.map(lists), products, ..plain }
            })
    })
}

fn features(rows: Vec<Vec<(u32, f32)>>, n_dense: usize, dense: Vec<f32>) -> Features {
    let n = rows.len();
    let sparse = Csr::from_rows(N_COLS, rows).unwrap();
    let dense = (n_dense > 0).then(|| ndarray::Array2::from_shape_vec((n, n_dense), dense).unwrap());
    Features::new(sparse, dense).unwrap()
}

fn tight(loss: Loss, costs: (f32, f32), bias: f32) -> CheckedSvmParams {
    let params = SvmParams::default().loss(loss).costs(costs.0, costs.1).bias(bias);
    // Violations of eps are worth up to eps · C to a hinge, to a smooth loss only their squares.
    let eps = if loss == Loss::Hinge { 1e-5 } else { 1e-4 };
    params.eps(eps).max_iter(3000).check().unwrap()
}

fn batched(isa: Isa, params: &CheckedSvmParams, cluster: &Cluster) -> (CompactRows, GroupWeights) {
    let (rows, weights, _) = reported(isa, params, cluster);
    (rows, weights)
}

fn reported(
    isa: Isa,
    params: &CheckedSvmParams,
    cluster: &Cluster,
) -> (CompactRows, GroupWeights, SolveReport) {
    let mut rows = cluster.compact(params.bias);
    let targets = cluster.targets();
    let mut solver = LaneSolver::on(isa);
    let report = solver.solve(params, &rows, &targets, 7);
    let weights = solver.weights(&rows, &targets, 0.0);
    rows.forget_entries();
    assert_eq!(solver.weights(&rows, &targets, 0.0), weights);
    (rows, weights, report)
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
    let (compact, group, report) = reported(isa, params, cluster);
    // Instances that are nearly the same make a hinge's steps as small as their difference.
    let slack = if report.unconverged > 0 { 1e-2 } else { 1e-4 };
    assert!(report.unconverged == 0 || params.loss == Loss::Hinge, "{} {isa:?} {report:?}", params.loss);
    for lane in 0..cluster.positives.len() {
        let (rows, positive, weights) = cluster.of_label(lane);
        let expected = reference::solve(params, &cluster.x, &rows, &positive, Some(&weights));
        let (found, bias) = (label_weights(cluster, &compact, &group, lane), f64::from(group.bias[lane]));
        let model = (&found[..], bias);
        let objective = reference::objective(params, &cluster.x, &rows, &positive, Some(&weights), model);
        let excess = objective - expected.objective;
        let class = |positive| if positive { params.cost_positive } else { params.cost_negative };
        let sum: f32 =
            positive.iter().zip(&weights).map(|(&positive, weight)| class(positive) * weight).sum();
        let allowed = slack * (1.0 + expected.objective) + f64::from(params.eps * sum);
        assert!(excess < allowed, "{} {isa:?} lane {lane}: {excess} above the optimum", params.loss);
        if params.loss == Loss::Hinge {
            // The distance of the weights follows from the objective, which is strongly convex.
            continue;
        }
        for (col, (found, expected)) in found.iter().zip(&expected.weights).enumerate() {
            assert!((found - expected).abs() < 2e-3, "{isa:?} lane {lane} column {col}: {found} {expected}");
        }
        assert!((bias - expected.bias).abs() < 2e-3, "{isa:?} lane {lane}: bias {bias} {}", expected.bias);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn sixteen_lanes_reach_the_optimum_of_the_reference(
        cluster in cluster(), loss in prop::sample::select(&Loss::ALL[..]),
        cost_positive in 0.5f32..4.0, cost_negative in 0.5f32..2.0, with_bias in any::<bool>(),
    ) {
        let params = tight(loss, (cost_positive, cost_negative), if with_bias { 1.0 } else { 0.0 });
        for isa in Isa::available() {
            assert_same_optimum(isa, &params, &cluster);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn fused_instruction_sets_give_the_same_bits(
        cluster in cluster(), loss in prop::sample::select(&Loss::ALL[..]),
    ) {
        let params = SvmParams::default().loss(loss).check().unwrap();
        // On Arm portable lanes are fused as well.
        let fused = |isa: &Isa| *isa != Isa::Portable || cfg!(target_arch = "aarch64");
        let mut found = Isa::available().into_iter().filter(fused).map(|isa| batched(isa, &params, &cluster).1);
        let first = found.next();
        found.for_each(|next| assert_eq!(Some(next), first));
    }
}

/// The same bits on every kind of machine: what AVX2, AVX-512 and NEON have in common.
#[test]
fn the_bits_are_those_of_any_other_machine() {
    let rows = (0..300u32).map(|i| vec![(i % 7, 0.3), (i * i % 11 + 7, 0.7), (i % 29, 0.1)]).collect();
    let dense = (0..300 * 5).map(|i: i32| (i * i % 101) as f32 / 70.0 - 0.7).collect();
    let positives = (0..16).map(|l| (0..300).filter(|i| i * i % 23 == l).collect()).collect();
    let cluster = Cluster::plain(features(rows, 5, dense), positives);
    let fused = |isa: &Isa| *isa != Isa::Portable || cfg!(target_arch = "aarch64");
    for isa in Isa::available().into_iter().filter(fused) {
        // The logarithms of the logistic loss are the C library's.
        let hashes = [Loss::SquaredHinge, Loss::Hinge].map(|loss| {
            let params = SvmParams::default().loss(loss).check().unwrap();
            let GroupWeights { values, dense, bias, .. } = batched(isa, &params, &cluster).1;
            let all = values.iter().chain(&dense).chain(&bias);
            all.fold(0u32, |hash, value| hash.rotate_left(5).wrapping_mul(0x9e37_79b1) ^ value.to_bits())
        });
        assert_eq!(hashes, [4_265_195_514, 3_514_700_903], "{isa:?}");
    }
}

fn titles() -> Cluster {
    let rows = (0..50u32).map(|i| vec![(i % 7, 1.0), (i % 5 + 10, 0.5), (i % 30, 0.25)]).collect();
    let positives = (0..16).map(|l| (0..50).filter(|i| i % 16 == l).collect()).collect();
    Cluster::plain(features(rows, 0, Vec::new()), positives)
}

/// A cluster without dense features, whose negatives are mostly shrunk before the end.
fn documents() -> Cluster {
    let noise = |i: u32, k: u32| (i.wrapping_mul(k * k + 3) % 13, 0.05 + (i * k % 7) as f32 / 50.0);
    let row = |i: u32| (0..5).map(|k| noise(i, k)).collect::<std::collections::BTreeMap<_, _>>();
    // What tells the labels apart, and those that have none.
    let tells = |i: u32| if i < 45 { (14 + i % 16, 1.0) } else { (13, 0.5 + (i % 9) as f32 / 3.0) };
    let rows = (0..90).map(|i| row(i).into_iter().chain([tells(i)]).collect()).collect();
    let positives = (0..16).map(|l| (0..45).filter(|i| i % 16 == l || i % 37 == l).collect()).collect();
    Cluster::plain(features(rows, 0, Vec::new()), positives)
}

#[test]
fn products_give_the_bits_of_any_other_machine() {
    let cluster = Cluster { products: true, ..documents() };
    let fused = |isa: &Isa| *isa != Isa::Portable || cfg!(target_arch = "aarch64");
    for isa in Isa::available().into_iter().filter(fused) {
        let hashes = [Loss::SquaredHinge, Loss::Hinge].map(|loss| {
            let params = SvmParams::default().loss(loss).check().unwrap();
            let GroupWeights { values, bias, .. } = batched(isa, &params, &cluster).1;
            let all = values.iter().chain(&bias);
            all.fold(0u32, |hash, value| hash.rotate_left(5).wrapping_mul(0x9e37_79b1) ^ value.to_bits())
        });
        assert_eq!(hashes, [3_455_416_038, 3_433_524_341], "{isa:?}");
    }
}

#[test]
fn products_make_the_visits_that_weights_do() {
    let weights = documents();
    let products = Cluster { products: true, ..documents() };
    for loss in Loss::ALL {
        let params = SvmParams::default().loss(loss).check().unwrap();
        for isa in Isa::available() {
            let (rows, by_weights, report) = reported(isa, &params, &weights);
            let (_, by_products, same) = reported(isa, &params, &products);
            let visits = |report: SolveReport| (report.passes, report.visits, report.unconverged);
            assert_eq!(visits(report), visits(same), "{loss} {isa:?}");
            for lane in 0..16 {
                let of = |group: &GroupWeights| label_weights(&weights, &rows, group, lane);
                let pairs = of(&by_weights).into_iter().zip(of(&by_products));
                let distance = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(distance < 1e-4, "{loss} {isa:?}: {distance}");
            }
        }
    }
}

#[test]
fn a_solver_goes_from_a_large_cluster_to_a_small_one() {
    let params = SvmParams::default().check().unwrap();
    let large = Cluster { products: true, ..documents() };
    let few = large.positives.iter().map(|list| list.iter().copied().filter(|&i| i < 5).collect());
    let small = Cluster { rows: (0..5).collect(), positives: few.collect(), ..large.clone() };
    for isa in Isa::available() {
        let mut solver = LaneSolver::on(isa);
        solver.solve(&params, &large.compact(1.0), &large.targets(), 7);
        let rows = small.compact(1.0);
        solver.solve(&params, &rows, &small.targets(), 7);
        assert_eq!(solver.weights(&rows, &small.targets(), 0.0), batched(isa, &params, &small).1, "{isa:?}");
    }
}

#[test]
fn instances_that_come_back_have_the_scores_of_those_that_stayed() {
    let cluster = Cluster { products: true, ..documents() };
    for (loss, eps) in [(Loss::SquaredHinge, 1e-4), (Loss::Hinge, 1e-3)] {
        let params = SvmParams::default().loss(loss).eps(eps).max_iter(3000).check().unwrap();
        for isa in Isa::available() {
            let report = reported(isa, &params, &cluster).2;
            // A pass over fewer than all, and one over all at the end, which alone proves the optimum.
            assert!(report.visits < u64::from(report.passes) * 90, "{loss} {isa:?} {report:?}");
            assert_eq!(report.unconverged, 0, "{loss} {isa:?}");
            assert_same_optimum(isa, &params, &cluster);
        }
    }
}

#[test]
fn entries_of_visits_are_counted() {
    // Each row has three entries, none of them alone in its column.
    let rows = (0..50u32).map(|i| vec![(i % 7, 1.0), (i % 5 + 10, 0.5), (i % 6 + 20, 0.25)]).collect();
    let cluster = Cluster { x: features(rows, 0, Vec::new()), ..titles() };
    for isa in Isa::available() {
        let report = reported(isa, &SvmParams::default().check().unwrap(), &cluster).2;
        assert_eq!(report.entries, 3 * report.visits, "{isa:?}");
        assert!(
            report.moved > 0 && report.moved <= report.entries && report.moved.is_multiple_of(3),
            "{isa:?}"
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    let cluster = titles();
    for loss in Loss::ALL {
        let params = SvmParams::default().loss(loss).check().unwrap();
        for isa in Isa::available() {
            assert_eq!(batched(isa, &params, &cluster).1, batched(isa, &params, &cluster).1);
        }
    }
}

#[test]
fn what_a_label_does_not_see_changes_nothing_for_it() {
    let restricted = Cluster { seen: Some(vec![(0..50).collect(); 16]), ..titles() };
    // Label 3 no longer sees the second half; all others do.
    let mut seen = restricted.seen.clone().unwrap();
    seen[3].retain(|&row| row < 25);
    let restricted = Cluster { seen: Some(seen), ..restricted };
    // The same with other rows in the second half, which only label 3 could tell from before.
    let mut other = restricted.clone();
    let row = |i: u32| if i < 25 || i % 16 == 3 { (0, 0.0) } else { (29, 7.0) };
    let rows = (0..50u32).map(|i| vec![(i % 7, 1.0), (i % 5 + 10, 0.5), (i % 30, 0.25), row(i)]).collect();
    other.x = features(rows, 0, Vec::new());
    for loss in Loss::ALL {
        let params = tight(loss, (1.0, 1.0), 1.0);
        for isa in Isa::available() {
            let weights = |cluster: &Cluster, lane| {
                let (rows, group) = batched(isa, &params, cluster);
                label_weights(cluster, &rows, &group, lane)
            };
            let distance = |lane| -> f64 {
                let (a, b) = (weights(&restricted, lane), weights(&other, lane));
                a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
            };
            assert!(distance(3) < 1e-3, "{loss} {isa:?}: {}", distance(3));
            assert!(distance(4) > 1e-2, "{loss} {isa:?}: {}", distance(4));
        }
    }
}

#[test]
fn rows_that_no_label_sees_do_not_keep_a_solve_from_ending() {
    let cluster = Cluster { seen: Some(vec![(0..10).collect(); 16]), ..titles() };
    let first = Cluster {
        positives: cluster
            .positives
            .iter()
            .map(|list| list.iter().copied().filter(|&i| i < 10).collect())
            .collect(),
        ..cluster
    };
    for loss in Loss::ALL {
        let params = SvmParams::default().loss(loss).check().unwrap();
        let rows = Compactor::new(N_COLS).compact(&first.x, &first.rows, None, 1.0);
        let report = LaneSolver::default().solve(&params, &rows, &first.targets(), 0);
        assert_eq!(report.unconverged, 0, "{loss}");
        assert!(report.passes < 100, "{loss}");
    }
}

#[test]
fn pruning_keeps_exactly_the_large_weights() {
    let rows = (0..40u32).map(|i| vec![(i % 3, 1.0), (i % 11 + 3, 0.3)]).collect();
    let positives = vec![(0..40).filter(|i| i % 3 == 0).collect(), vec![1, 5]];
    let cluster = Cluster::plain(features(rows, 0, Vec::new()), positives);
    let params = SvmParams::default().check().unwrap();
    let rows = Compactor::new(N_COLS).compact(&cluster.x, &cluster.rows, None, 1.0);
    let targets = cluster.targets();
    let mut solver = LaneSolver::default();
    solver.solve(&params, &rows, &targets, 0);
    let (all, pruned) = (solver.weights(&rows, &targets, 0.0), solver.weights(&rows, &targets, 0.1));
    let large = all.values.iter().copied().filter(|w| w.abs() >= 0.1).collect::<Vec<_>>();
    assert_eq!(pruned.values, large);
    assert!(pruned.n_entries() < all.n_entries());
    assert_eq!(solver.pruned_weights(&params, &rows, &targets), pruned);
}

#[test]
fn a_limit_keeps_the_largest_weights_of_each_label() {
    let cluster = titles();
    let rows = Compactor::new(N_COLS).compact(&cluster.x, &cluster.rows, None, 1.0);
    let targets = cluster.targets();
    let params = SvmParams::default().threshold(0.01);
    let mut solver = LaneSolver::default();
    solver.solve(&params.check().unwrap(), &rows, &targets, 0);
    let all = solver.weights(&rows, &targets, 0.01);
    for limit in [1, 4, 1000] {
        let params = params.max_nonzeros_per_label(Some(limit)).check().unwrap();
        let kept = solver.pruned_weights(&params, &rows, &targets);
        for lane in 0..16 {
            let with_intercept = |weights: &GroupWeights| {
                let mut columns = label_weights(&cluster, &rows, weights, lane);
                columns.push(f64::from(weights.bias[lane]));
                columns
            };
            let mut expected = with_intercept(&all);
            let mut order: Vec<usize> = (0..expected.len()).collect();
            order.sort_by(|&a, &b| expected[b].abs().total_cmp(&expected[a].abs()).then(a.cmp(&b)));
            order.iter().skip(limit).for_each(|&col| expected[col] = 0.0);
            assert_eq!(with_intercept(&kept), expected, "label {lane} limit {limit}");
        }
    }
}

#[test]
fn of_equal_weights_those_of_the_smaller_features_stay() {
    // The features are in two rows, or in one only; the last row's are too small to matter.
    let (equal, small) = (vec![(9, 1.0), (5, 1.0), (7, 1.0)], vec![(2, 0.01)]);
    for second in [&equal, &small] {
        let rows = vec![equal.clone(), second.clone(), small.clone()];
        let cluster = Cluster::plain(features(rows, 0, Vec::new()), vec![vec![0, 1]]);
        let params = SvmParams::default().threshold(0.0).max_nonzeros_per_label(Some(2)).check().unwrap();
        let rows = Compactor::new(N_COLS).compact(&cluster.x, &cluster.rows, None, 0.0);
        let mut solver = LaneSolver::default();
        solver.solve(&tight(Loss::SquaredHinge, (1.0, 1.0), 0.0), &rows, &cluster.targets(), 7);
        let kept = solver.pruned_weights(&params, &rows, &cluster.targets());
        let weights = label_weights(&cluster, &rows, &kept, 0);
        let columns: Vec<usize> = (0..N_COLS).filter(|&col| weights[col] != 0.0).collect();
        assert_eq!(columns, [5, 7]);
    }
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
