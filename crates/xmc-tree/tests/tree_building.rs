//! From label features to a tree: shape, balance, determinism.
#![allow(clippy::unwrap_used)] // a test that cannot set up its data should panic

use ndarray::Array2;
use proptest::prelude::*;
use rand::distributions::{Distribution, Uniform};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use xmc_sparse::{Csr, Features};
use xmc_tree::{Clustering, LabelFeatures, LabelTree, Sampling, TreeError, TreeParams};

fn random(n: usize, d: usize, nnz: usize, rng: &mut StdRng) -> Csr {
    let (cols, values) = (Uniform::new(0, d as u32), Uniform::new(0.1f32, 1.0));
    let mut row = || (0..nnz).map(|_| (cols.sample(rng), values.sample(rng))).collect::<Vec<_>>();
    let rows: Vec<_> = (0..n).map(|_| row()).collect();
    Csr::from_rows(d, rows).unwrap()
}

fn build(params: TreeParams, features: &Features) -> LabelTree {
    params.check().unwrap().fit(features).unwrap()
}

#[test]
fn layers_are_those_of_the_documented_rule() {
    // Only the shape matters here; half of the labels have no features, as without positives.
    let rows = (0..25_265u32).map(|label| (label % 2 == 0).then_some((label % 50, 1.0)));
    let features = Features::from_sparse(Csr::from_rows(50, rows).unwrap());
    let widths = |params: TreeParams| {
        let tree = build(params, &features);
        tree.layers().iter().map(|layer| layer.n_children()).collect::<Vec<_>>()
    };
    assert_eq!(widths(LabelTree::params()), [16, 256, 25_265]);
    assert_eq!(widths(LabelTree::params().branching(8)), [4, 32, 256, 25_265]);
    assert_eq!(widths(LabelTree::params().min_codes(256)), [256, 25_265]);
    assert_eq!(widths(LabelTree::params().min_codes(1)), [16, 256, 25_265]);
    assert_eq!(widths(LabelTree::params().branching(3).max_leaf(5_000)), [3, 8, 25_265]);
    assert_eq!(widths(LabelTree::params().max_leaf(25_265)), [25_265]);
    // A root with clusters, then labels.
    assert_eq!(widths(LabelTree::params().max_depth(2)), [256, 25_265]);
    assert_eq!(widths(LabelTree::params().branching(4).max_depth(3)), [64, 256, 25_265]);
    assert_eq!(widths(LabelTree::params().max_depth(1)), [25_265]);
    assert_eq!(widths(LabelTree::params().max_depth(9)), [16, 256, 25_265]);
    assert_eq!(widths(LabelTree::params().clustering(Clustering::None)), [25_265]);
    let tree = build(LabelTree::params(), &features);
    let leaves = &tree.layers()[2];
    assert!((0..256).all(|leaf| (98..=99).contains(&leaves.children(leaf).len())));
}

#[test]
fn unbalanced_trees_are_as_wide_and_shallow_as_asked() {
    let mut rng = StdRng::seed_from_u64(9);
    let features = Features::from_sparse(random(3_000, 200, 4, &mut rng));
    let params = || LabelTree::params().clustering(Clustering::Kmeans).branching(30).max_leaf(20);
    let shallow = build(params().max_depth(2), &features);
    assert_eq!(shallow.depth(), 2);
    assert!((20..=30).contains(&shallow.n_clusters(0)), "{}", shallow.n_clusters(0));
    let deep = build(params(), &features);
    assert!(deep.depth() > 2 && deep.leaves().max_siblings() <= 20);
    assert!(deep.is_partition() && deep.layers().iter().all(|layer| layer.max_siblings() <= 30));
    // Wide enough for one leaf.
    assert_eq!(build(params().max_leaf(3_000), &features), LabelTree::one_vs_rest(3_000).unwrap());
    let none = params().check().unwrap().fit(&Features::from_sparse(Csr::empty(0, 3)));
    assert_eq!(none, Err(TreeError::NoLabels));
}

#[test]
fn sampled_splits_make_the_same_shape() {
    let mut rng = StdRng::seed_from_u64(10);
    let features = Features::from_sparse(random(9_000, 300, 6, &mut rng));
    let widths = |tree: &LabelTree| tree.layers().iter().map(|layer| layer.n_children()).collect::<Vec<_>>();
    let (all, sampled) = (
        build(LabelTree::params(), &features),
        build(LabelTree::params().sampling(Sampling::default()), &features),
    );
    assert_eq!(widths(&all), widths(&sampled));
    assert_ne!(all, sampled);
}

#[test]
fn params_files_name_what_they_mean() {
    let params: TreeParams = serde_json::from_str(
        r#"{"clustering": "kmeans", "max_depth": 2, "branching": 100, "sampling": {"min_rate": 0.2}}"#,
    )
    .unwrap();
    let sampling = Sampling { min_rate: 0.2, ..Sampling::default() };
    let expected = LabelTree::params().clustering(Clustering::Kmeans).max_depth(2).branching(100);
    assert_eq!(params, expected.sampling(sampling));
}

#[test]
fn what_no_tree_can_be_built_from_is_refused() {
    let fit = |params: TreeParams, rows| params.check().unwrap().fit(&Features::from_sparse(rows));
    assert_eq!(fit(LabelTree::params(), Csr::empty(0, 3)), Err(TreeError::NoLabels));
    let dense_seeding = LabelTree::params().max_leaf(2).seeding(xmc_cluster::Seeding::Linfa);
    assert!(matches!(fit(dense_seeding, Csr::empty(5, 3)), Err(TreeError::Cluster(_))));
}

#[test]
fn the_number_of_threads_changes_neither_features_nor_tree() {
    let mut rng = StdRng::seed_from_u64(4);
    let (x, y) = (random(4_000, 900, 20, &mut rng), random(4_000, 700, 3, &mut rng).binarized());
    let block = Array2::from_shape_fn((4_000, 6), |_| rng.gen_range(-0.1f32..0.1));
    let x = Features::new(x, Some(block)).unwrap();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let features = LabelFeatures::Pifa.compute(&x, &y).unwrap();
            let tree = build(LabelTree::params().branching(4).max_leaf(10).seed(7), &features);
            (features, tree)
        })
    };
    assert_eq!(run(1), run(2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_label_has_one_leaf_of_bounded_size(
        n in 1usize..300, branching in 2usize..20, max_leaf in 2usize..40, seed: u64,
    ) {
        let mut rng = StdRng::seed_from_u64(seed);
        let features = Features::from_sparse(random(n, 25, 4, &mut rng));
        let tree = build(TreeParams::default().branching(branching).max_leaf(max_leaf).seed(seed), &features);
        let leaves = &tree.layers()[tree.depth() - 1];
        prop_assert_eq!((tree.n_labels(), leaves.n_slots()), (n, n));
        prop_assert!(leaves.max_siblings() <= max_leaf);
        prop_assert!(tree.layers().iter().rev().skip(1).all(|layer| layer.max_siblings() <= branching));
        let text = serde_json::to_string(&tree).unwrap();
        prop_assert_eq!(serde_json::from_str::<LabelTree>(&text).unwrap(), tree);
    }
}
