//! A last layer that is trained again for other leaves is the one that training from nothing gives.

use crate::problem::{Problem, SMALL, Shape, everything, predict, train};
use xmc_linear::SvmParams;
use xmc_sparse::{Csr, NoProgress};
use xmc_store::{Container, ModelWriter};
use xmc_tree::{LabelTree, Matcher, PerLayer, SearchParams, TreeLayer};
use xmc_xrlinear::{Instances, LeavesReport, Negatives, RelevanceMode, RelevanceNorm};
use xmc_xrlinear::{UpperLayers, WeightType, XrLinear, XrLinearError, XrLinearParams};

/// The leaves of `tree` with every label of cluster 1 in cluster 0 too, and label 0 nowhere but in cluster 2.
fn other_places(tree: &LabelTree) -> TreeLayer {
    let leaves = tree.leaves();
    let mut lists: Vec<Vec<u32>> = (0..leaves.n_parents()).map(|at| leaves.children(at).to_vec()).collect();
    let copies = lists[1].clone();
    lists[0].extend(copies);
    lists.iter_mut().for_each(|list| list.retain(|&label| label != 0));
    lists[2].push(0);
    TreeLayer::from_lists(lists, leaves.n_children()).unwrap()
}

/// The model of `problem`, with its last layer trained again for `leaves`.
fn refit(
    problem: &Problem,
    params: &XrLinearParams,
    leaves: TreeLayer,
) -> Result<(Container, LeavesReport), XrLinearError> {
    let model = XrLinear::open(&train(problem, params), "matcher")?;
    let (upper, writer) = (UpperLayers::of(&model)?, ModelWriter::in_memory());
    upper.write(&writer, "matcher")?;
    let instances = Instances::new(&problem.x, &problem.y);
    let report = params.check()?.fit_leaves(instances, &upper, leaves, &writer, "matcher", &NoProgress)?;
    Ok((writer.commit(&()).unwrap(), report))
}

/// Sections of one layer, or of all, with their checksums.
fn sections(container: &Container, prefix: &str) -> Vec<(String, u64, u64)> {
    let all = container.manifest().sections.iter().filter(|section| section.name.starts_with(prefix));
    all.map(|section| (section.name.clone(), section.len, section.xxh3)).collect()
}

fn all_params() -> [XrLinearParams; 4] {
    let full = XrLinearParams::default().weights(WeightType::F32);
    let relevance = full.clone().relevance(RelevanceMode::RankerOnly, RelevanceNorm::L1);
    let svm = SvmParams::default().threshold(0.0);
    [XrLinearParams::default(), XrLinearParams::default().svm(svm).seed(5), full, relevance]
}

#[test]
fn a_last_layer_trained_again_has_the_bytes_of_one_trained_from_nothing() {
    // Few siblings and many: numbers and bits, and copies that make the largest cluster larger.
    let small = Shape { tree: &[3, 9, 60], n_samples: 200, ..SMALL };
    let large = Shape { tree: &[5, 700], n_samples: 700, n_sparse: 120, n_dense: 2 };
    let many = Shape { tree: &[6, 40, 280], n_samples: 400, ..SMALL };
    for (shape, seed) in [(small, 41), (large, 42), (many, 43)] {
        let problem = Problem::random(shape, seed);
        let leaves = other_places(&problem.tree);
        for params in all_params() {
            let (again, report) = refit(&problem, &params, leaves.clone()).unwrap();
            let tree = problem.tree.clone().with_leaves(leaves.clone()).unwrap();
            let scratch = train(&Problem { tree, ..problem.clone() }, &params);
            let last = format!("matcher/layer{}", shape.tree.len() - 1);
            assert_eq!(sections(&again, &last).len(), 6);
            assert_eq!(sections(&again, &last), sections(&scratch, &last), "{params:?}");
            // Clusters 0 and 2 have other labels, and the one in which label 0 stood.
            assert!((2..=3).contains(&report.trained), "{report:?}");
            assert_eq!(report.clusters, leaves.n_parents());
        }
    }
}

#[test]
fn the_layers_above_are_the_bytes_that_they_were() {
    let problem = Problem::random(Shape { tree: &[3, 9, 60], ..SMALL }, 44);
    let params = XrLinearParams::default();
    let before = train(&problem, &params);
    let (after, _) = refit(&problem, &params, other_places(&problem.tree)).unwrap();
    for layer in ["matcher/layer0", "matcher/layer1"] {
        assert_eq!(sections(&after, layer), sections(&before, layer));
    }
    let (same, report) = refit(&problem, &params, problem.tree.leaves().clone()).unwrap();
    assert_eq!(sections(&same, "matcher"), sections(&before, "matcher"));
    assert_eq!((report.trained, report.training.visits), (0, 0));
    // A model with labels in two places is read, and finds every label once.
    let model = XrLinear::open(&after, "matcher").unwrap();
    let found = predict(&model, &problem.x, everything());
    assert!(found.iter().all(|list| list.len() == 60));
    let upper = UpperLayers::of(&model).unwrap();
    assert_eq!(upper.tree(), model.tree());
}

#[test]
fn layers_trained_without_labels_are_completed_to_the_same_model() {
    let problem = Problem::random(Shape { tree: &[3, 9, 60], n_samples: 200, ..SMALL }, 45);
    let matcher_aware: Negatives = "tfn+man".parse().unwrap();
    let all = XrLinearParams::default().negatives(matcher_aware);
    let last = XrLinearParams::default()
        .negatives(PerLayer::several(Negatives::default(), [Negatives::default(), matcher_aware]));
    for params in [XrLinearParams::default(), all, last] {
        let (whole, checked) = (train(&problem, &params), params.check().unwrap());
        let (instances, writer) = (Instances::new(&problem.x, &problem.y), ModelWriter::in_memory());
        let upper = checked.fit_upper(instances, &problem.tree, &writer, "matcher", &NoProgress);
        let (upper, report) = upper.unwrap();
        assert_eq!(upper.n_weights(), report.n_weights);
        let leaves = problem.tree.leaves().clone();
        let done = checked.fit_leaves(instances, &upper, leaves, &writer, "matcher", &NoProgress).unwrap();
        assert_eq!((done.trained, done.clusters), (9, 9));
        let parts = writer.commit(&()).unwrap();
        assert_eq!(sections(&parts, "matcher"), sections(&whole, "matcher"));
        // Of what is stored nothing is lost when only some clusters are trained again.
        let (again, report) = refit(&problem, &params, other_places(&problem.tree)).unwrap();
        let model = XrLinear::open(&again, "matcher").unwrap();
        let counted: u64 = model.layers()[2..].iter().map(xmc_xrlinear::LayerWeights::n_weights).sum();
        assert_eq!(report.training.n_weights, counted);
    }
}

#[test]
fn what_is_matched_and_what_it_costs_is_counted_as_a_search_does() {
    let problem = Problem::random(Shape { tree: &[3, 9, 60], n_samples: 80, ..SMALL }, 46);
    let model = XrLinear::open(&train(&problem, XrLinearParams::default()), "matcher").unwrap();
    let upper = UpperLayers::of(&model).unwrap();
    let search = SearchParams::default().beam_size(2);
    let matched = upper.matched(&problem.x, &search, &NoProgress).unwrap();
    assert_eq!((matched.n_rows(), matched.n_cols(), matched.nnz()), (80, 9, 160));
    let rows: Vec<usize> = (0..80).step_by(3).collect();
    let leaves = [model.tree().leaves(), &other_places(model.tree())];
    let costs = upper.inner_products((&problem.x, &rows), &search, &leaves, &NoProgress).unwrap();
    let (mut scratch, mut out) = (xmc_xrlinear::Scratch::default(), Vec::new());
    for &row in &rows {
        model.predict_row(problem.x.row(row), (&search).into(), &mut scratch, &mut out);
    }
    assert_eq!(costs[0], scratch.n_inner_products() as f64 / rows.len() as f64);
    assert!(costs[1] > costs[0]);
}

#[test]
fn leaves_and_data_of_another_model_are_refused() {
    let problem = Problem::random(Shape { tree: &[3, 30], ..SMALL }, 47);
    let params = XrLinearParams::default();
    let wrong = |leaves| refit(&problem, &params, leaves).unwrap_err();
    let clusters = TreeLayer::from_lists([0..15, 15..30], 30).unwrap();
    assert!(matches!(wrong(clusters), XrLinearError::Shape { expected: 3, found: 2, .. }));
    let labels = TreeLayer::from_lists([0..10, 10..20, 20..29], 29).unwrap();
    assert!(matches!(wrong(labels), XrLinearError::Shape { expected: 30, found: 29, .. }));
    let flat = Problem { tree: LabelTree::one_vs_rest(30).unwrap(), ..problem.clone() };
    let leaves = flat.tree.leaves().clone();
    assert!(matches!(refit(&flat, &params, leaves), Err(XrLinearError::NoClusters)));
    let model = XrLinear::open(&train(&problem, params), "matcher").unwrap();
    let narrow = xmc_sparse::Features::from_sparse(Csr::empty(60, 39));
    let matched =
        UpperLayers::of(&model).unwrap().matched(&narrow, &SearchParams::default(), &NoProgress).unwrap_err();
    assert!(matches!(matched, XrLinearError::Shape { expected: 40, found: 39, .. }), "{matched}");
}
