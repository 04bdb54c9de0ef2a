//! Dense columns are the same columns: only their storage differs.

use crate::problem::{Problem, SMALL, Shape, assert_close, everything, exact, fit, predict};
use xmc_sparse::{Csr, Features};
use xmc_tree::PostProcessor;

/// The same instances with the dense columns as sparse entries after the sparse ones.
fn as_sparse(x: &Features) -> Features {
    let n_sparse = x.n_sparse();
    let row = |row| {
        let row = x.row(row);
        let dense = row.dense.iter().enumerate().map(|(col, &v)| ((n_sparse + col) as u32, v));
        row.sparse.iter().chain(dense).collect::<Vec<_>>()
    };
    let rows = (0..x.n_samples()).map(row);
    Features::from_sparse(Csr::from_rows(n_sparse + x.n_dense(), rows).unwrap())
}

#[test]
fn dense_columns_predict_as_the_same_columns_do_as_sparse_entries() {
    for n_dense in [1, 16, 37] {
        let problem = Problem::random(Shape { n_dense, ..SMALL }, 11);
        let flat = Problem { x: as_sparse(&problem.x), ..problem.clone() };
        let margins = everything().post_processor(PostProcessor::Noop);
        let found = predict(&fit(&problem, exact()), &problem.x, &margins);
        let expected = predict(&fit(&flat, exact()), &flat.x, &margins);
        assert_close(&found, &expected, 1e-3);
    }
}

#[test]
fn instances_without_sparse_entries_are_told_apart_by_their_dense_part() {
    let problem = Problem::random(Shape { n_dense: 24, tree: &[3, 12], ..SMALL }, 12);
    let dense = problem.x.dense().unwrap().to_owned();
    let x = Features::new(Csr::empty(60, 0), Some(dense)).unwrap();
    let problem = Problem { x, ..problem };
    let found = predict(&fit(&problem, exact()), &problem.x, everything());
    let right = found.iter().enumerate().filter(|(row, list)| {
        // The dense part of an instance is made from its first label.
        list[..3].iter().any(|scored| scored.id as usize == row % 12)
    });
    assert!(right.count() >= 50);
}
