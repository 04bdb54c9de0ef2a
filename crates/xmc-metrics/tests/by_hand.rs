//! Cases small enough to compute by hand, conventions, errors and determinism.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

use proptest::prelude::*;
use xmc_metrics::{Evaluator, Metric, MetricsError, Propensities, PropensityParams, Scores};
use xmc_sparse::{Csr, RankedLists, Scored};

fn truth(n_labels: usize, rows: &[&[u32]]) -> Csr {
    Csr::from_rows(n_labels, rows.iter().map(|row| row.iter().map(|&label| (label, 1.0)))).unwrap()
}

fn lists(rows: &[&[u32]]) -> RankedLists {
    let mut lists = RankedLists::new();
    for row in rows {
        let scored = |(rank, &id): (usize, &u32)| Scored { id, score: -(rank as f32) };
        lists.push(&row.iter().enumerate().map(scored).collect::<Vec<_>>());
    }
    lists
}

fn evaluate(at: &[usize], truth: &Csr, lists: &RankedLists) -> Result<Scores, MetricsError> {
    Evaluator::new(at.iter().copied())?.evaluate(truth, lists)
}

#[track_caller]
fn assert_percent(scores: &Scores, metric: Metric, k: usize, fraction: f64) {
    let found = scores.get(metric, k).unwrap();
    assert!((found - 100.0 * fraction).abs() < 1e-10, "{metric:?}@{k}: {found}, expected {fraction}");
}

#[test]
fn two_instances_give_what_they_give_on_paper() {
    // Instance 0: truth {0, 2}, list 2 1 0. Instance 1: truth {3}, list 0 3 1.
    let scores = evaluate(&[1, 3], &truth(5, &[&[0, 2], &[3]]), &lists(&[&[2, 1, 0], &[0, 3, 1]])).unwrap();
    assert_percent(&scores, Metric::Precision, 1, 1.0 / 2.0);
    assert_percent(&scores, Metric::Precision, 3, 3.0 / 6.0);
    assert_percent(&scores, Metric::Recall, 1, (0.5 + 0.0) / 2.0);
    assert_percent(&scores, Metric::Recall, 3, 1.0);
    let discount = |rank: f64| 1.0 / (rank + 1.0).log2();
    assert_percent(&scores, Metric::Ndcg, 1, 1.0 / 2.0);
    let first = (1.0 + discount(3.0)) / (1.0 + discount(2.0));
    assert_percent(&scores, Metric::Ndcg, 3, (first + discount(2.0)) / 2.0);
    // TP 1, predicted 2, true 3; then TP 3, predicted 6, true 3.
    assert_percent(&scores, Metric::MicroF1, 1, 2.0 / 5.0);
    assert_percent(&scores, Metric::MicroF1, 3, 6.0 / 9.0);
    // At 3: label 0 has TP 1, predicted 2, true 1; 1 only predictions; 2 and 3 are right; 4 never occurs.
    assert_percent(&scores, Metric::MacroF1, 3, (2.0 / 3.0 + 0.0 + 1.0 + 1.0 + 0.0) / 5.0);
    assert_percent(&scores, Metric::Coverage, 1, 1.0 / 3.0);
    assert_percent(&scores, Metric::Coverage, 3, 1.0);
    assert_eq!(scores.get(Metric::PsPrecision, 1), None);
    assert_eq!(scores.n(), 2);
}

#[test]
fn propensity_scores_are_relative_to_the_best_list() {
    let truth = truth(3, &[&[0, 1], &[2]]);
    let weights = Propensities::from_counts(&[90, 9, 1], 100, PropensityParams::default()).unwrap();
    let [w0, w1, w2] = *weights.inverse() else { panic!("three labels") };
    let scores = Evaluator::new([1, 2])
        .unwrap()
        .with_propensities(weights)
        .evaluate(&truth, &lists(&[&[0, 1], &[0, 2]]))
        .unwrap();
    assert_percent(&scores, Metric::PsPrecision, 1, w0 / (w1 + w2));
    assert_percent(&scores, Metric::PsPrecision, 2, 1.0);
    let half = 1.0 / 3f64.log2();
    let (reached, best) = ((w0 + half * w1) / (1.0 + half) + half * w2, (w1 + half * w0) / (1.0 + half) + w2);
    assert_percent(&scores, Metric::PsNdcg, 2, reached / best);
}

#[test]
fn perfect_lists_score_100_everywhere_but_precision_beyond_the_truth() {
    let truth = truth(4, &[&[0, 1], &[2, 3]]);
    let weights = Propensities::from_counts(&[5, 1, 7, 2], 10, PropensityParams::default()).unwrap();
    let evaluator = Evaluator::new([2, 5]).unwrap().with_propensities(weights);
    let scores = evaluator.evaluate(&truth, &lists(&[&[1, 0], &[3, 2]])).unwrap();
    for metric in Metric::ALL {
        assert_percent(&scores, metric, 2, 1.0);
        assert_percent(&scores, metric, 5, if metric == Metric::Precision { 2.0 / 5.0 } else { 1.0 });
    }
}

#[test]
fn instances_without_truth_count_and_gain_nothing() {
    let scores = evaluate(&[1], &truth(2, &[&[0], &[], &[], &[]]), &lists(&[&[0], &[0], &[], &[1]])).unwrap();
    assert_percent(&scores, Metric::Precision, 1, 0.25);
    assert_percent(&scores, Metric::Recall, 1, 0.25);
    assert_percent(&scores, Metric::Ndcg, 1, 0.25);
    assert_percent(&scores, Metric::MicroF1, 1, 2.0 / 4.0);
}

#[test]
fn no_truth_at_all_scores_zero_and_not_nan() {
    let weights = Propensities::from_counts(&[1, 2], 9, PropensityParams::default()).unwrap();
    let evaluator = Evaluator::new([1, 100]).unwrap().with_propensities(weights);
    let scores = evaluator.evaluate(&truth(2, &[&[], &[]]), &lists(&[&[0], &[]])).unwrap();
    assert!(scores.iter().all(|(_, _, value)| value == 0.0), "{scores}");
}

#[test]
fn entries_of_value_zero_are_no_truth() {
    let truth = Csr::from_rows(2, [vec![(0, 0.0), (1, 0.5)]]).unwrap();
    let scores = evaluate(&[2], &truth, &lists(&[&[0, 1]])).unwrap();
    assert_percent(&scores, Metric::Precision, 2, 0.5);
    assert_percent(&scores, Metric::Recall, 2, 1.0);
}

#[test]
fn a_cutoff_beyond_all_labels_costs_no_memory() {
    let scores = evaluate(&[usize::MAX / 2], &truth(2, &[&[0, 1]]), &lists(&[&[1, 0]])).unwrap();
    assert_percent(&scores, Metric::Ndcg, usize::MAX / 2, 1.0);
}

#[test]
fn each_kind_of_wrong_input_is_named() {
    let (y, p) = (truth(2, &[&[0]]), lists(&[&[0]]));
    assert_eq!(evaluate(&[1, 0], &y, &p).unwrap_err(), MetricsError::ZeroCutoff);
    assert_eq!(evaluate(&[], &y, &p).unwrap_err(), MetricsError::NoCutoff);
    assert_eq!(evaluate(&[1], &Csr::empty(0, 2), &RankedLists::new()).unwrap_err(), MetricsError::NoRows);
    let two = lists(&[&[0], &[0]]);
    assert_eq!(evaluate(&[1], &y, &two).unwrap_err(), MetricsError::Rows { expected: 1, found: 2 });
    let out = evaluate(&[1], &y, &lists(&[&[2]])).unwrap_err();
    assert_eq!(out, MetricsError::LabelOutOfRange { row: 0, label: 2, n_labels: 2 });
    let twice = evaluate(&[2], &y, &lists(&[&[0, 0]])).unwrap_err();
    assert_eq!(twice, MetricsError::DuplicateLabel { row: 0, label: 0 });
    let other = Propensities::from_counts(&[1, 2, 3], 9, PropensityParams::default()).unwrap();
    let error = Evaluator::new([1]).unwrap().with_propensities(other).evaluate(&y, &p).unwrap_err();
    assert_eq!(error, MetricsError::PropensityLabels { expected: 2, found: 3 });
}

/// Rows of distinct labels below `n_labels`, in the order drawn.
fn rows(n_labels: u32, n_rows: usize) -> impl Strategy<Value = Vec<Vec<u32>>> {
    let all: Vec<u32> = (0..n_labels).collect();
    let row = prop::sample::subsequence(all, 0..8).prop_shuffle();
    prop::collection::vec(row, n_rows)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn scores_stay_between_0_and_100_and_recall_grows_with_k(truths in rows(12, 9), ranked in rows(12, 9)) {
        let y = truth(12, &truths.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let lists = lists(&ranked.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let weights = Propensities::from_labels(&y, PropensityParams::default()).unwrap();
        let scores = Evaluator::new(1..=8).unwrap().with_propensities(weights).evaluate(&y, &lists).unwrap();
        for (metric, k, value) in scores.iter() {
            prop_assert!((0.0..=100.0 + 1e-9).contains(&value), "{:?}@{}: {}", metric, k, value);
        }
        for k in 1..8 {
            for metric in [Metric::Recall, Metric::Coverage] {
                prop_assert!(scores.get(metric, k) <= scores.get(metric, k + 1));
            }
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let row = |at: u32, step: u32| (0..6).map(|i| (at * 7 + i * step) % 97).collect::<Vec<u32>>();
    let many = 20_000;
    let truths: Vec<Vec<u32>> = (0..many).map(|at| row(at, 5)).collect();
    let ranked: Vec<Vec<u32>> = (0..many).map(|at| row(at, 3 + at % 4)).collect();
    let y = truth(97, &truths.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let lists = lists(&ranked.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let weights = Propensities::from_labels(&y, PropensityParams::default()).unwrap();
    let evaluator = Evaluator::new([1, 3, 5]).unwrap().with_propensities(weights);
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| evaluator.evaluate(&y, &lists).unwrap())
    };
    let one = with(1);
    assert!(one.get(Metric::Precision, 1).unwrap() > 0.0);
    for threads in [2, 3, 8] {
        assert_eq!(with(threads), one);
    }
}
