//! One test for each error that data, parameters or parts of a model can trigger.

use crate::damage::Parts;
use crate::problem::{Problem, SMALL, Shape, train};
use xmc_sparse::{Csr, NoProgress};
use xmc_store::{ModelWriter, StoreError};
use xmc_tree::{LabelTree, TreeError};
use xmc_xrlinear::{Instances, TrainReport, XrLinear, XrLinearError, XrLinearParams};

fn fit_weighted(problem: &Problem, weights: Option<&[f32]>) -> Result<TrainReport, XrLinearError> {
    let Problem { x, y, tree } = problem;
    let params = XrLinearParams::default().check().unwrap();
    params.fit(Instances::new(x, y).weights(weights), tree, &ModelWriter::in_memory(), "matcher", &NoProgress)
}

#[test]
fn matrices_of_different_heights_are_refused() {
    let problem = Problem { y: Csr::empty(59, 30), ..Problem::random(SMALL, 1) };
    let error = fit_weighted(&problem, None).unwrap_err();
    assert!(matches!(error, XrLinearError::Shape { expected: 60, found: 59, .. }), "{error}");
}

#[test]
fn a_tree_over_other_labels_is_refused() {
    let problem = Problem { tree: LabelTree::one_vs_rest(29).unwrap(), ..Problem::random(SMALL, 1) };
    let error = fit_weighted(&problem, None).unwrap_err();
    assert!(matches!(error, XrLinearError::Shape { expected: 30, found: 29, .. }), "{error}");
}

#[test]
fn data_without_any_label_are_refused() {
    let problem = Problem { y: Csr::empty(60, 30), ..Problem::random(SMALL, 1) };
    assert!(matches!(fit_weighted(&problem, None), Err(XrLinearError::NoLabels)));
}

#[test]
fn instance_weights_must_be_positive_numbers_one_for_each_instance() {
    let problem = Problem::random(SMALL, 1);
    assert!(fit_weighted(&problem, Some(&[0.5; 60])).is_ok());
    let short = fit_weighted(&problem, Some(&[1.0; 3]));
    assert!(matches!(short, Err(XrLinearError::Shape { expected: 60, found: 3, .. })));
    for bad in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let mut weights = [1.0; 60];
        weights[17] = bad;
        let error = fit_weighted(&problem, Some(&weights)).unwrap_err();
        assert!(matches!(error, XrLinearError::InstanceWeight { row: 17, .. }), "{error}");
    }
}

#[test]
fn solver_parameters_out_of_range_are_refused() {
    let params = XrLinearParams::default().svm(xmc_linear::SvmParams::default().eps(0.0));
    assert!(matches!(params.check(), Err(XrLinearError::Linear(_))));
}

#[test]
fn a_missing_section_is_named() {
    let empty = ModelWriter::in_memory().commit(&()).unwrap();
    let error = XrLinear::open(&empty, "matcher").unwrap_err();
    assert!(matches!(error, XrLinearError::Store(StoreError::SectionMissing { .. })), "{error}");
    assert!(error.to_string().contains("matcher/info"), "{error}");
}

/// What opening says after a change.
fn after(change: impl FnOnce(&mut Parts)) -> XrLinearError {
    let problem = Problem::random(Shape { n_dense: 2, ..SMALL }, 1);
    let mut parts = Parts::read(&train(&problem, XrLinearParams::default()));
    assert!(XrLinear::open(&parts.write(), "matcher").is_ok());
    change(&mut parts);
    XrLinear::open(&parts.write(), "matcher").unwrap_err()
}

#[test]
fn each_part_that_does_not_fit_the_others_is_named() {
    let what = |error| match error {
        XrLinearError::Inconsistent { layer, what } => (layer, what),
        other => panic!("{other}"),
    };
    let directory = "the directory has another number of records";
    assert_eq!(what(after(|parts| (parts.info.n_sparse, parts.info.n_groups) = (56, 56))), (0, directory));
    assert_eq!(what(after(|parts| parts.layers[1].blocks.truncate(2))), (1, directory));
    assert_eq!(what(after(|parts| parts.layers[1].blocks.push(0))), (1, directory));
    let slots = "the tree has fewer slots than labels";
    assert_eq!(what(after(|parts| parts.info.n_labels += 1)), (1, slots));
    let bias = "the intercepts are not one for each slot of the tree";
    assert_eq!(what(after(|parts| parts.layers[1].bias.push(0.0))), (1, bias));
    let dense = "the dense weights are not one row for each slot of the tree";
    assert_eq!(what(after(|parts| parts.info.n_dense -= 1)), (0, dense));
    assert_eq!(what(after(|parts| parts.layers[1].dense.truncate(1))), (1, dense));
}

#[test]
fn a_stored_tree_that_is_no_tree_is_refused() {
    let tree = |error| match error {
        XrLinearError::Tree(error) => error,
        other => panic!("{other}"),
    };
    assert!(matches!(tree(after(|parts| parts.info.n_labels -= 1)), TreeError::ChildOutOfRange { .. }));
    assert!(matches!(tree(after(|parts| parts.info.depth = 0)), TreeError::NoLayers));
    assert!(matches!(
        tree(after(|parts| parts.layers[1].children.reverse())),
        TreeError::ChildrenUnsorted { .. }
    ));
    assert!(matches!(tree(after(|parts| parts.layers[0].child_ptr = vec![0, 9])), TreeError::Offsets { .. }));
}
