//! The same numbers as napkinXC's metrics (`fixtures/make_fixtures.py`).
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

use serde::Deserialize;
use std::collections::BTreeMap;
use xmc_metrics::{Evaluator, Metric, Propensities, PropensityParams};
use xmc_sparse::{Csr, RankedLists, Scored};

const DEPTH: usize = 10;

#[derive(Deserialize)]
struct Case {
    name: String,
    n_labels: usize,
    a: f64,
    b: f64,
    train: Vec<Vec<u32>>,
    truth: Vec<Vec<u32>>,
    lists: Vec<Vec<u32>>,
    inverse_propensities: Vec<f64>,
    expected: BTreeMap<String, Vec<f64>>,
}

impl Case {
    fn matrix(&self, rows: &[Vec<u32>]) -> Csr {
        Csr::from_rows(self.n_labels, rows.iter().map(|row| row.iter().map(|&label| (label, 1.0)))).unwrap()
    }

    fn propensities(&self) -> Propensities {
        let params = PropensityParams { a: self.a, b: self.b };
        Propensities::from_labels(&self.matrix(&self.train), params).unwrap()
    }

    fn lists(&self) -> RankedLists {
        let mut lists = RankedLists::new();
        for list in &self.lists {
            let scored = |(rank, &id): (usize, &u32)| Scored { id, score: -(rank as f32) };
            lists.push(&list.iter().enumerate().map(scored).collect::<Vec<_>>());
        }
        lists
    }
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("fixtures/napkinxc.json")).unwrap()
}

#[test]
fn propensities_agree_with_napkinxc() {
    for case in cases() {
        for (found, expected) in case.propensities().inverse().iter().zip(&case.inverse_propensities) {
            assert!((found - expected).abs() < 1e-12 * expected, "{}: {found} {expected}", case.name);
        }
        assert_eq!(case.propensities().inverse().len(), case.inverse_propensities.len());
    }
}

#[test]
fn every_metric_at_every_cutoff_agrees_with_napkinxc() {
    let mut compared = 0;
    for case in cases() {
        let evaluator = Evaluator::new(1..=DEPTH).unwrap().with_propensities(case.propensities());
        let scores = evaluator.evaluate(&case.matrix(&case.truth), &case.lists()).unwrap();
        for (metric, k, found) in scores.iter() {
            let expected = 100.0 * case.expected[metric.key()][k - 1];
            assert!((found - expected).abs() < 1e-9, "{}: {metric:?}@{k}: {found} {expected}", case.name);
            compared += 1;
        }
    }
    assert_eq!(compared, 3 * DEPTH * Metric::ALL.len());
}

#[test]
fn a_choice_of_cutoffs_gives_the_same_values_as_all_of_them() {
    for case in cases() {
        let (truth, lists) = (case.matrix(&case.truth), case.lists());
        let at = |at: &[usize]| {
            let evaluator =
                Evaluator::new(at.iter().copied()).unwrap().with_propensities(case.propensities());
            evaluator.evaluate(&truth, &lists).unwrap()
        };
        let (all, some) = (at(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), at(&[7, 2, 7]));
        assert_eq!(some.iter().count(), 2 * Metric::ALL.len());
        for (metric, k, value) in some.iter() {
            assert_eq!(Some(value), all.get(metric, k), "{metric:?}@{k}");
        }
    }
}
