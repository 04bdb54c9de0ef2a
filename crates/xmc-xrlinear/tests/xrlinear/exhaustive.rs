//! A search with a full beam finds what scoring every path with the textbook solver's weights finds.

use crate::problem::{Problem, SMALL, Shape, by_label, everything, exact, fit, predict};
use xmc_linear::reference::{self, Binary};
use xmc_sparse::Row;
use xmc_tree::PostProcessor;

/// One binary model for every node of every layer, solved one by one.
struct Naive<'a> {
    problem: &'a Problem,
    layers: Vec<Vec<Binary>>,
}

impl<'a> Naive<'a> {
    fn fit(problem: &'a Problem) -> Self {
        let members = members(problem);
        let solve_layer = |number: usize| {
            let layer = &problem.tree.layers()[number];
            let mut nodes = vec![None; layer.n_children()];
            for parent in 0..layer.n_parents() {
                let below = |row: &usize| number == 0 || members[number - 1][parent][*row];
                let rows: Vec<usize> = (0..problem.x.n_samples()).filter(below).collect();
                for &child in layer.children(parent) {
                    nodes[child as usize] = Some(solve(problem, &rows, &members[number][child as usize]));
                }
            }
            nodes.into_iter().map(Option::unwrap).collect()
        };
        Self { problem, layers: (0..problem.tree.depth()).map(solve_layer).collect() }
    }

    /// The score of every label, by dense arithmetic down every path.
    fn score(&self, row: Row<'_>, post: PostProcessor) -> Vec<f32> {
        let root = if post == PostProcessor::LogHinge(3) { 0.0 } else { 1.0 };
        let mut parents = vec![root];
        for (layer, nodes) in self.problem.tree.layers().iter().zip(&self.layers) {
            let mut scores = vec![0.0; layer.n_children()];
            for (parent, score) in parents.iter().enumerate() {
                for &child in layer.children(parent) {
                    let margin = self.margin(&nodes[child as usize], row);
                    scores[child as usize] = post.score(margin as f32, *score);
                }
            }
            parents = scores;
        }
        parents
    }

    fn margin(&self, node: &Binary, row: Row<'_>) -> f64 {
        let (sparse, dense) = node.weights.split_at(self.problem.x.n_sparse());
        let sparse: f64 = row.sparse.iter().map(|(col, v)| sparse[col as usize] * f64::from(v)).sum();
        let dense: f64 = row.dense.iter().zip(dense).map(|(&v, w)| w * f64::from(v)).sum();
        node.bias + sparse + dense
    }
}

fn solve(problem: &Problem, rows: &[usize], member: &[bool]) -> Binary {
    let positive: Vec<bool> = rows.iter().map(|&row| member[row]).collect();
    let rows: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
    reference::solve(&exact().svm.of(0, 1).check().unwrap(), &problem.x, &rows, &positive, None)
}

/// For every layer, for every node: whether each instance has a label below it.
fn members(problem: &Problem) -> Vec<Vec<Vec<bool>>> {
    let n_samples = problem.x.n_samples();
    let has = |label: usize| -> Vec<bool> {
        (0..n_samples).map(|row| problem.y.row(row).indices.contains(&(label as u32))).collect()
    };
    let mut layers = vec![(0..problem.y.n_cols()).map(has).collect::<Vec<_>>()];
    for layer in problem.tree.layers()[1..].iter().rev() {
        let below = &layers[layers.len() - 1];
        let any = |parent: usize, row: usize| layer.children(parent).iter().any(|&c| below[c as usize][row]);
        let of_parent = |parent| (0..n_samples).map(|row| any(parent, row)).collect();
        let parents = (0..layer.n_parents()).map(of_parent).collect();
        layers.push(parents);
    }
    layers.reverse();
    layers
}

fn assert_agrees(problem: &Problem) {
    let (model, naive) = (fit(problem, exact()), Naive::fit(problem));
    for post in
        [PostProcessor::Noop, PostProcessor::Hinge(3), PostProcessor::LogHinge(3), PostProcessor::Sigmoid]
    {
        let found = predict(&model, &problem.x, everything().post_processor(post));
        for (row, found) in found.iter().enumerate() {
            let expected = naive.score(problem.x.row(row), post);
            for (label, (found, expected)) in by_label(found).iter().zip(&expected).enumerate() {
                let tolerance = 1e-3 * expected.abs().max(1.0);
                assert!((found - expected).abs() < tolerance, "{post} {row} {label}: {found} {expected}");
            }
        }
    }
}

#[test]
fn a_full_beam_agrees_with_scoring_every_path() {
    for seed in 0..4 {
        assert_agrees(&Problem::random(SMALL, seed));
    }
}

#[test]
fn a_deep_tree_with_dense_columns_agrees_too() {
    assert_agrees(&Problem::random(Shape { n_dense: 19, tree: &[3, 9, 25], ..SMALL }, 5));
}

#[test]
fn one_vs_rest_agrees_too() {
    assert_agrees(&Problem::random(Shape { tree: &[40], ..SMALL }, 6));
}

#[test]
fn labels_without_instances_score_below_those_with_them() {
    // 30 instances have 60 labels at most: of 90, some have none.
    let problem = Problem::random(Shape { n_samples: 30, tree: &[5, 90], ..SMALL }, 7);
    assert_agrees(&problem);
    let counts = problem.y.transpose();
    assert!((0..90).any(|label| counts.row(label).nnz() == 0));
    let found = predict(&fit(&problem, exact()), &problem.x, everything());
    for (row, list) in found.iter().enumerate() {
        let best_own = list.iter().position(|s| problem.y.row(row).indices.contains(&s.id)).unwrap();
        let first_empty = list.iter().position(|s| counts.row(s.id as usize).nnz() == 0).unwrap();
        assert!(best_own < first_empty, "row {row}");
    }
}
