//! What observers are told of the weights is what is there.

use crate::problem::{Problem, SMALL, Shape, everything, fit};
use std::collections::HashMap;
use xmc_tree::{Matcher, Search};
use xmc_xrlinear::{XrLinear, XrLinearParams};

/// Layer, record and cluster of every posting, with the number of its weights.
fn postings(model: &XrLinear) -> HashMap<(usize, u32, u32), u64> {
    let mut all = HashMap::new();
    for (number, layer) in model.layers().iter().enumerate() {
        layer.for_each_posting(|record, cluster, columns, values| {
            assert!(columns.is_sorted() && columns.len() == values.len());
            assert_eq!(all.insert((number, record, cluster), values.len() as u64), None);
        });
    }
    all
}

#[test]
fn postings_are_the_weights_that_explain_margins() {
    let problem = Problem::random(SMALL, 3);
    let model = fit(&problem, XrLinearParams::default());
    let all = postings(&model);
    let n_weights: u64 = model.layers().iter().map(|layer| layer.n_weights()).sum();
    assert_eq!(all.values().sum::<u64>(), n_weights);
    let row = problem.x.row(5);
    for (number, layer) in model.layers().iter().enumerate() {
        layer.for_each_posting(|record, cluster, columns, values| {
            let children = model.tree().layers()[number].children(cluster as usize);
            for (&column, weight) in columns.iter().zip(values) {
                let parts = model.margin_parts(row, number, cluster, children[column as usize]).unwrap();
                for (feature, x) in
                    row.sparse.iter().filter(|(feature, _)| layer.record_of(*feature) == record)
                {
                    assert!(parts.sparse.contains(&(feature, x * weight)), "{number} {record} {cluster}");
                }
            }
        });
    }
}

#[test]
fn a_search_of_everything_reads_all_postings_of_its_features() {
    for tree in [&[4, 30][..], &[40], &[20, 200]] {
        let problem = Problem::random(Shape { tree, n_samples: 300, ..SMALL }, 4);
        let model = fit(&problem, XrLinearParams::default());
        let (all, search) = (postings(&model), everything());
        for row in (0..300).step_by(50).map(|row| problem.x.row(row)) {
            let mut expected = (0, 0);
            for (&(number, record, _), weights) in &all {
                let layer = &model.layers()[number];
                let times =
                    row.sparse.indices.iter().filter(|&&f| layer.record_of(f) == record).count() as u64;
                expected = (expected.0 + times, expected.1 + times * weights);
            }
            let traffic = model.traffic(row, Search::new(&search));
            assert_eq!((traffic.postings, traffic.weights), expected);
            assert!(traffic.records <= traffic.postings && traffic.bytes >= 2 * traffic.weights);
        }
    }
}
