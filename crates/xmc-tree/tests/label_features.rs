//! Label features: every kind by its formula, on dense matrices.
#![allow(clippy::unwrap_used)] // a test that cannot set up its data should panic

use ndarray::{Array2, Axis, concatenate};
use proptest::prelude::*;
use rand::distributions::{Distribution, Uniform};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use xmc_sparse::{Csr, Features, SparseError};
use xmc_tree::{LabelFeatureInputs, LabelFeatures, LabelRows, LabelTree, TreeError};

fn random(n: usize, d: usize, nnz: usize, rng: &mut StdRng) -> Csr {
    let (cols, values) = (Uniform::new(0, d as u32), Uniform::new(0.1f32, 1.0));
    let mut row = || (0..nnz).map(|_| (cols.sample(rng), values.sample(rng))).collect::<Vec<_>>();
    let rows: Vec<_> = (0..n).map(|_| row()).collect();
    Csr::from_rows(d, rows).unwrap()
}

fn to_dense(matrix: &Csr) -> Array2<f32> {
    let mut dense = Array2::zeros((matrix.n_rows(), matrix.n_cols()));
    for (row, entries) in matrix.rows().enumerate() {
        entries.iter().for_each(|(col, value)| dense[[row, col as usize]] = value);
    }
    dense
}

fn scale_to_norm(row: &mut ndarray::ArrayViewMut1<'_, f32>, norm: f32) {
    let found = row.dot(row).sqrt();
    row.mapv_inplace(|value| if found > 0.0 { norm * value / found } else { 0.0 });
}

/// PIFA by the formula, on dense matrices.
fn naive_pifa(x: &Array2<f32>, y: &Array2<f32>, weights: &[f32]) -> Array2<f32> {
    let mut y = y.clone();
    y.rows_mut().into_iter().zip(weights).for_each(|(mut row, &weight)| scale_to_norm(&mut row, weight));
    let mut z = y.t().dot(x);
    z.rows_mut().into_iter().for_each(|mut row| scale_to_norm(&mut row, 1.0));
    z
}

fn assert_close(left: &Array2<f32>, right: &Array2<f32>) {
    assert_eq!(left.dim(), right.dim());
    let worst = left.iter().zip(right).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-5, "differs by {worst}");
}

#[test]
fn pifa_follows_its_formula_over_sparse_and_dense_parts() {
    let mut rng = StdRng::seed_from_u64(1);
    let x = random(40, 30, 6, &mut rng);
    // Eleven labels with instances and a twelfth without.
    let y = random(40, 11, 2, &mut rng).binarized();
    let y = Csr::from_rows(12, y.rows().map(|row| row.iter().collect::<Vec<_>>())).unwrap();
    let weights: Vec<f32> = (0..40).map(|_| rng.gen_range(0.5..2.0)).collect();
    let (x_dense, y_dense) = (to_dense(&x), to_dense(&y));

    let plain = LabelFeatures::Pifa.compute(&Features::from_sparse(x.clone()), &y).unwrap();
    assert_close(&to_dense(plain.sparse()), &naive_pifa(&x_dense, &y_dense, &[1.0; 40]));
    assert_eq!(plain.sparse().row(11).nnz(), 0);

    let block = Array2::from_shape_fn((40, 5), |_| rng.gen_range(-1.0f32..1.0));
    let both = Features::new(x, Some(block.clone())).unwrap();
    let features = LabelFeatures::Pifa.compute_weighted(&both, &y, Some(&weights)).unwrap();
    let joined = concatenate![Axis(1), x_dense, block];
    let found = concatenate![Axis(1), to_dense(features.sparse()), features.dense().unwrap()];
    assert_close(&found, &naive_pifa(&joined, &y_dense, &weights));
}

#[test]
fn label_features_refuse_what_does_not_fit() {
    let x = Features::from_sparse(Csr::empty(3, 2));
    let short = LabelFeatures::Pifa.compute(&x, &Csr::empty(2, 4));
    assert!(matches!(short, Err(TreeError::Matrix(SparseError::Shape { expected: 3, found: 2, .. }))));
    let y = Csr::empty(3, 4);
    let few = LabelFeatures::Pifa.compute_weighted(&x, &y, Some(&[1.0]));
    assert!(matches!(few, Err(TreeError::Matrix(SparseError::Shape { expected: 3, found: 1, .. }))));
    let nan = LabelFeatures::Pifa.compute_weighted(&x, &y, Some(&[1.0, f32::NAN, 1.0]));
    assert!(matches!(nan, Err(TreeError::Matrix(SparseError::NonFinite { row: 1, .. }))));
}

/// Both parts side by side, as one dense matrix.
fn joined(features: &Features) -> Array2<f32> {
    let sparse = to_dense(features.sparse());
    features.dense().map_or(sparse.clone(), |dense| concatenate![Axis(1), sparse, dense])
}

fn unit_rows(mut rows: Array2<f32>) -> Array2<f32> {
    rows.rows_mut().into_iter().for_each(|mut row| scale_to_norm(&mut row, 1.0));
    rows
}

/// Instances, labels (the last label has none) and own features of the same columns as the instances.
fn problem(seed: u64, n_dense: usize) -> (Features, Csr, Features) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut features = |n: usize| {
        let sparse = random(n, 300, 5, &mut rng);
        let dense =
            (n_dense > 0).then(|| Array2::from_shape_fn((n, n_dense), |_| rng.gen_range(-1.0f32..1.0)));
        Features::new(sparse, dense).unwrap()
    };
    let (x, own) = (features(150), features(90));
    let y = random(150, 89, 2, &mut rng).binarized();
    let y = Csr::from_rows(90, y.rows().map(|row| row.iter().collect::<Vec<_>>())).unwrap();
    (x, y, own)
}

fn own(own: &Features) -> LabelFeatureInputs<'_> {
    LabelFeatureInputs::default().own(Some(own))
}

#[test]
fn instance_indices_are_the_unit_columns_of_the_labels() {
    let (x, y, _) = problem(3, 0);
    let found = LabelFeatures::Pii.compute(&x, &y).unwrap();
    assert_close(&joined(&found), &unit_rows(to_dense(&y).reversed_axes()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn blends_follow_their_formulas(seed: u64, n_dense in 0usize..4, alpha in 0.0f32..=1.0) {
        let (x, y, given) = problem(seed, n_dense);
        let (x_dense, given_dense) = (joined(&x), joined(&given));
        let mut pifa = naive_pifa(&x_dense, &to_dense(&y), &[1.0; 150]);
        // What nothing is known of takes its own features.
        for label in (0..90).filter(|&label| y.transpose().row(label).nnz() == 0) {
            let mut row = given_dense.row(label).to_owned();
            scale_to_norm(&mut row.view_mut(), 1.0);
            pifa.row_mut(label).assign(&row);
        }
        let found = LabelFeatures::Pifa.compute_with(&x, &y, &own(&given)).unwrap();
        assert_close(&joined(&found), &pifa);

        let found = LabelFeatures::PifaLfConvex.compute_with(&x, &y, &own(&given).alpha(alpha)).unwrap();
        let mut mixed = alpha * &pifa + (1.0 - alpha) * &given_dense;
        mixed.row_mut(89).assign(&given_dense.row(89));
        let mixed = unit_rows(mixed);
        for label in (0..90).filter(|&label| y.transpose().row(label).nnz() > 0) {
            prop_assert!((&joined(&found).row(label) - &mixed.row(label)).iter().all(|v| v.abs() < 1e-5));
        }
        prop_assert!((&joined(&found).row(89) - &mixed.row(89)).iter().all(|v| v.abs() < 1e-5));

        let narrow = Features::from_sparse(random(90, 7, 2, &mut StdRng::seed_from_u64(seed)));
        let found = LabelFeatures::PifaLfConcat.compute_with(&x, &y, &own(&narrow)).unwrap();
        prop_assert_eq!((found.n_sparse(), found.n_dense()), (307, n_dense));
        let plain = joined(&LabelFeatures::Pifa.compute(&x, &y).unwrap());
        let (left, right) = plain.view().split_at(Axis(1), 300);
        let expected = unit_rows(concatenate![Axis(1), left, to_dense(narrow.sparse()), right]);
        assert_close(&joined(&found), &expected);
    }
}

#[test]
fn own_features_that_do_not_fit_are_refused_or_left_alone() {
    let (x, y, _) = problem(5, 2);
    let narrow = Features::from_sparse(Csr::empty(90, 7));
    // Plain PIFA has no place for other columns.
    let plain = LabelFeatures::Pifa.compute(&x, &y).unwrap();
    assert_close(&joined(&LabelFeatures::Pifa.compute_with(&x, &y, &own(&narrow)).unwrap()), &joined(&plain));
    let convex = LabelFeatures::PifaLfConvex.compute_with(&x, &y, &own(&narrow));
    assert!(matches!(convex, Err(TreeError::Matrix(SparseError::Shape { expected: 300, found: 7, .. }))));
    let short = LabelFeatures::Pifa.compute_with(&x, &y, &own(&Features::from_sparse(Csr::empty(3, 300))));
    assert!(matches!(short, Err(TreeError::Matrix(SparseError::Shape { expected: 90, found: 3, .. }))));
    for kind in [LabelFeatures::PifaLfConcat, LabelFeatures::PifaLfConvex] {
        assert!(matches!(kind.compute(&x, &y), Err(TreeError::NoOwnFeatures { .. })));
    }
    for found in [-0.1, 1.5, f32::NAN] {
        let mixed = LabelFeatures::Pifa.compute_with(&x, &y, &LabelFeatureInputs::default().alpha(found));
        assert!(matches!(mixed, Err(TreeError::RealParam { name: "alpha", .. })));
    }
}

#[test]
fn own_features_without_the_dense_columns_are_enough() {
    let (x, y, given) = problem(6, 3);
    let sparse_only = Features::from_sparse(given.sparse().clone());
    let found = LabelFeatures::PifaLfConvex.compute_with(&x, &y, &own(&sparse_only)).unwrap();
    assert_eq!(found.n_dense(), 3);
    let last = unit_rows(to_dense(given.sparse())).row(89).to_owned();
    assert!(last.iter().zip(joined(&found).row(89)).all(|(a, b)| (a - b).abs() < 1e-6));
}

#[test]
fn names_of_kinds_are_those_of_params_files() {
    for (kind, name) in [
        (LabelFeatures::Pifa, "pifa"),
        (LabelFeatures::Pii, "pii"),
        (LabelFeatures::PifaLfConcat, "pifa-lf-concat"),
        (LabelFeatures::PifaLfConvex, "pifa-lf-convex"),
    ] {
        assert_eq!(serde_json::to_value(kind).unwrap(), name);
    }
}

#[test]
fn labels_may_stay_the_sums_that_they_are_and_are_placed_by_their_own_text_all_the_same() {
    // 300 instances of two kinds with 30 of 80 labels each; nothing has label 80 or 81, whose texts are of one kind each.
    let mut rng = StdRng::seed_from_u64(4);
    let kind = |row: usize| row as u32 % 2;
    let features = |row| (0..20).map(|_| (50 * kind(row) + rng.gen_range(0..50), 1.0)).collect::<Vec<_>>();
    let x = Features::from_sparse(Csr::from_rows(100, (0..300).map(features)).unwrap());
    let mut rng = StdRng::seed_from_u64(5);
    let labels = |row| (0..30).map(|_| (2 * rng.gen_range(0..40) + kind(row), 1.0)).collect::<Vec<_>>();
    let y = Csr::from_rows(82, (0..300).map(labels)).unwrap().binarized();
    let own = (0..82).map(|label| if label < 80 { vec![] } else { vec![(50 * (label % 2) + 7, 1.0)] });
    let own = Features::from_sparse(Csr::from_rows(100, own).unwrap());
    let inputs = LabelFeatureInputs::default().own(Some(&own));
    let rows = LabelFeatures::Pifa.rows_with(&x, &y, &inputs).unwrap();
    assert!(matches!(rows, LabelRows::Sums(_)) && rows.n_labels() == 82);
    let builder = LabelTree::params().branching(2).max_leaf(41).check().unwrap();
    let grow = |rows: &LabelRows<'_>| builder.fit_rows(rows, &xmc_sparse::NoProgress).unwrap();
    let tree = grow(&rows);
    for cluster in 0..2 {
        let labels = tree.leaves().children(cluster);
        assert!(labels.len() == 41 && labels.iter().all(|label| label % 2 == labels[0] % 2), "{labels:?}");
    }
    let made =
        LabelRows::Made(std::borrow::Cow::Owned(LabelFeatures::Pifa.compute_with(&x, &y, &inputs).unwrap()));
    assert_eq!(grow(&made), tree);
    // The other kinds are always made.
    let concat = LabelFeatures::PifaLfConcat.rows_with(&x, &y, &inputs).unwrap();
    assert!(matches!(concat, LabelRows::Made(_)));
}
