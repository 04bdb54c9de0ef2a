//! What is said of a prediction adds up to it.

use crate::problem::{Problem, SMALL, Shape, everything, exact, fit, predict};
use xmc_sparse::{Row, SparseRow};
use xmc_tree::{LabelTree, Matcher, PostProcessor, Search, SearchParams, TreeLayer};
use xmc_xrlinear::{MarginParts, TraceStep, WeightType, XrLinear, XrLinearParams};

fn assert_near(found: f32, expected: f32, what: &str) {
    assert!((found - expected).abs() < 1e-4 * expected.abs().max(1.0), "{what}: {found} {expected}");
}

fn parts(model: &XrLinear, row: Row<'_>, step: &TraceStep) -> MarginParts {
    model.margin_parts(row, step.layer, step.parent, step.child).unwrap()
}

/// Every node on the way to every label of some rows is the sum of its parts.
fn assert_adds_up(problem: &Problem, params: XrLinearParams) {
    let model = fit(problem, params);
    let all = everything();
    for row in (0..problem.x.n_samples()).step_by(7).map(|row| problem.x.row(row)) {
        let trace = model.trace(row, Search::new(&all));
        assert_eq!(trace.labels().len(), problem.tree.n_labels());
        for step in trace.labels().iter().flat_map(|label| trace.paths(label.id)).flatten() {
            let parts = parts(&model, row, &step);
            assert_near(parts.sum(), step.margin, "margin");
            assert!(parts.sparse.iter().all(|(feature, _)| row.sparse.indices.contains(feature)));
            assert_eq!(parts.dense.len(), row.dense.len());
        }
    }
}

#[test]
fn the_parts_of_every_margin_add_up_to_it() {
    assert_adds_up(&Problem::random(SMALL, 1), exact());
    assert_adds_up(&Problem::random(SMALL, 1), XrLinearParams::default().weights(WeightType::Bf16));
    assert_adds_up(&Problem::random(Shape { tree: &[40], ..SMALL }, 2), exact());
}

#[test]
fn sparse_and_dense_parts_add_up_together() {
    let problem = Problem::random(Shape { n_dense: 19, tree: &[3, 9, 25], ..SMALL }, 3);
    assert_adds_up(&problem, exact());
    let model = fit(&problem, exact());
    let parts = model.margin_parts(problem.x.row(1), 0, 0, 1).unwrap();
    assert!(parts.dense.iter().any(|part| part.abs() > 1e-3));
}

/// Features that most of 60 clusters use: records that say where postings begin, and clusters as bits.
#[test]
fn the_parts_add_up_in_records_of_every_form() {
    let wide = Shape { n_samples: 600, n_sparse: 12, tree: &[60, 300], ..SMALL };
    assert_adds_up(&Problem::random(wide, 4), exact());
    let broad = Shape { n_samples: 300, n_sparse: 12, tree: &[2, 150], ..SMALL };
    assert_adds_up(&Problem::random(broad, 5), exact());
}

#[test]
fn a_part_is_what_the_margin_loses_without_its_feature() {
    let problem = Problem::random(Shape { n_dense: 5, ..SMALL }, 6);
    let model = fit(&problem, exact());
    let all = everything().post_processor(PostProcessor::Noop);
    let row = problem.x.row(3);
    let trace = model.trace(row, Search::new(&all));
    let step = *trace.paths(trace.labels()[0].id)[0].last().unwrap();
    for (feature, part) in parts(&model, row, &step).sparse {
        let kept: Vec<(u32, f32)> = row.sparse.iter().filter(|&(other, _)| other != feature).collect();
        let (indices, values): (Vec<u32>, Vec<f32>) = kept.into_iter().unzip();
        let sparse = SparseRow { indices: &indices, values: &values };
        let without = model.trace(Row { sparse, ..row }, Search::new(&all));
        let label = without.labels().iter().find(|label| label.id == step.child).unwrap();
        assert_near(step.margin - label.score, part, "part");
    }
}

#[test]
fn the_labels_and_scores_are_those_of_the_search() {
    let problem = Problem::random(Shape { tree: &[3, 9, 25], ..SMALL }, 7);
    let model = fit(&problem, exact());
    for params in [
        SearchParams::default().beam_size(2).top_k(4),
        SearchParams::default().post_processor(PostProcessor::LogSigmoid),
        SearchParams::default().leaf_post_processor(PostProcessor::Noop).min_score(-0.5),
    ] {
        let expected = predict(&model, &problem.x, &params);
        for (row, expected) in expected.iter().enumerate() {
            let trace = model.trace(problem.x.row(row), Search::new(&params));
            assert_eq!(trace.labels(), expected);
            for label in trace.labels() {
                let paths = trace.paths(label.id);
                assert_eq!(paths.len(), 1);
                assert_eq!(paths[0].iter().map(|step| step.layer).collect::<Vec<_>>(), [0, 1, 2]);
                assert!(paths[0].windows(2).all(|pair| pair[0].child == pair[1].parent));
                assert_eq!((paths[0][0].parent, paths[0][2].child), (0, label.id));
                assert_near(paths[0][2].score, label.score, "score");
            }
        }
    }
}

#[test]
fn a_label_in_two_clusters_has_two_paths_that_merge_to_its_score() {
    let problem = Problem::random(Shape { tree: &[2, 12], ..SMALL }, 8);
    let top = TreeLayer::from_lists([[0, 1]], 2).unwrap();
    let leaves = TreeLayer::from_lists([0..8, 4..12], 12).unwrap();
    let tree = LabelTree::from_layers(vec![top, leaves]).unwrap();
    let problem = Problem { tree, ..problem };
    let (model, all) = (fit(&problem, exact()), everything());
    let trace = model.trace(problem.x.row(5), Search::new(&all));
    for label in trace.labels() {
        let scores: Vec<f32> = trace.paths(label.id).iter().map(|path| path[1].score).collect();
        assert_eq!(scores.len(), if (4..8).contains(&label.id) { 2 } else { 1 });
        assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
        assert_near(scores.iter().sum::<f32>() / scores.len() as f32, label.score, "mean");
    }
    // A beam of one holds one of the two clusters: one path to its labels, none to the others.
    let narrow = SearchParams::default().beam_size(1);
    let trace = model.trace(problem.x.row(5), Search::new(&narrow));
    let n_paths: Vec<usize> = (0..12).map(|label| trace.paths(label).len()).collect();
    assert_eq!((n_paths.iter().max(), n_paths.iter().sum()), (Some(&1), 8));
}

#[test]
fn parts_of_several_margins_are_added_feature_by_feature() {
    let problem = Problem::random(Shape { n_dense: 3, tree: &[3, 9, 25], ..SMALL }, 9);
    let (model, row, all) = (fit(&problem, exact()), problem.x.row(2), everything());
    let path = model.trace(row, Search::new(&all)).paths(4).swap_remove(0);
    let mut sum = MarginParts::default();
    path.iter().for_each(|step| sum.add(&parts(&model, row, step)));
    assert_near(sum.sum(), path.iter().map(|step| step.margin).sum(), "sum");
    assert!(sum.sparse.windows(2).all(|pair| pair[0].0 < pair[1].0));
    assert_eq!(sum.dense.len(), 3);
}

#[test]
fn a_node_that_is_not_in_the_tree_has_no_parts() {
    let problem = Problem::random(SMALL, 10);
    let (model, row) = (fit(&problem, exact()), problem.x.row(0));
    let elsewhere = model.tree().layers()[1].children(1)[0];
    for (layer, parent, child) in [(2, 0, 0), (0, 1, 0), (0, 0, 4), (1, 0, elsewhere)] {
        assert_eq!(model.margin_parts(row, layer, parent, child), None);
    }
    // A feature that no weight knows counts for nothing.
    let unknown = Row { sparse: SparseRow { indices: &[40, 4_000_000], values: &[1.0, 1.0] }, dense: &[] };
    assert_eq!(model.margin_parts(unknown, 0, 0, 0).unwrap().sparse, []);
}
