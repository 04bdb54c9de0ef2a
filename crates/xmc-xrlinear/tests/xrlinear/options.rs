//! Options of training against the textbook solver on the instances that they name.

use crate::problem::{Problem, SMALL, Shape, everything, exact, predict, train};
use xmc_linear::{Loss, SvmParams, reference};
use xmc_sparse::{Csr, Features, NoProgress, Scored};
use xmc_store::ModelWriter;
use xmc_tree::{Matcher, PerLayer, PostProcessor, Search, SearchParams};
use xmc_xrlinear::{
    Instances, Negatives, RelevanceMode, RelevanceNorm, XrLinear, XrLinearError, XrLinearParams,
};

fn fit(
    params: &XrLinearParams,
    instances: Instances<'_>,
    problem: &Problem,
) -> Result<XrLinear, XrLinearError> {
    let writer = ModelWriter::in_memory();
    params.check()?.fit(instances, &problem.tree, &writer, "matcher", &NoProgress)?;
    XrLinear::open(&writer.commit(&()).unwrap(), "matcher")
}

fn tight() -> SvmParams {
    SvmParams::default().eps(1e-5).max_iter(5000).threshold(0.0)
}

fn margins() -> SearchParams {
    everything().post_processor(PostProcessor::Noop)
}

/// The margin of `label` for every instance.
fn margins_of(model: &XrLinear, x: &Features, label: u32) -> Vec<f32> {
    let lists = predict(model, x, margins());
    let of_label = |list: &Vec<Scored>| list.iter().find(|s| s.id == label).unwrap().score;
    lists.iter().map(of_label).collect()
}

/// The margins of the textbook solver's weights, trained on `rows` with `weights`.
fn textbook(
    svm: SvmParams,
    problem: &Problem,
    label: u32,
    rows: &[u32],
    weights: Option<&[f32]>,
) -> Vec<f32> {
    let has = |row: u32| problem.y.row(row as usize).indices.contains(&label);
    let positive: Vec<bool> = rows.iter().map(|&row| has(row)).collect();
    let solved = reference::solve(&svm.check().unwrap(), &problem.x, rows, &positive, weights);
    let margin = |row: usize| {
        let row = problem.x.row(row);
        let sparse: f64 = row.sparse.iter().map(|(f, v)| solved.weights[f as usize] * f64::from(v)).sum();
        (sparse + solved.bias) as f32
    };
    (0..problem.x.n_samples()).map(margin).collect()
}

fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    for (row, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() < 2e-3, "{what}, row {row}: {found} {expected}");
    }
}

fn parent_of(problem: &Problem, label: u32) -> u32 {
    let layer = &problem.tree.layers()[1];
    (0..layer.n_parents() as u32).find(|&p| layer.children(p as usize).contains(&label)).unwrap()
}

/// Instances with a label in the cluster of `label`.
fn taught(problem: &Problem, label: u32) -> Vec<u32> {
    let siblings = problem.tree.layers()[1].children(parent_of(problem, label) as usize);
    let in_cluster = |row: &u32| problem.y.row(*row as usize).indices.iter().any(|l| siblings.contains(l));
    (0..problem.x.n_samples() as u32).filter(in_cluster).collect()
}

#[test]
fn matcher_aware_negatives_are_what_the_layer_above_sends() {
    let problem = Problem::random(SMALL, 31);
    for (names, with_teacher) in [("tfn+man", true), ("man", false)] {
        let negatives: Negatives = names.parse().unwrap();
        let params = exact().negatives(PerLayer::several(Negatives::default(), [negatives])).matcher_beam(2);
        let model = fit(&params, Instances::new(&problem.x, &problem.y), &problem).unwrap();
        // A model of the first layer alone says where each instance is sent.
        let clusters = problem.tree.layers()[1].n_parents();
        let top = Problem {
            x: problem.x.clone(),
            y: problem.y.dot(&problem.tree.layers()[1].to_cluster_matrix()).unwrap().binarized(),
            tree: xmc_tree::LabelTree::one_vs_rest(clusters).unwrap(),
        };
        let above = XrLinear::open(&train(&top, exact()), "matcher").unwrap();
        let sent = above.predict_batch(&problem.x, Search::new(&SearchParams::default().top_k(2)));
        for label in 0..30 {
            let parent = parent_of(&problem, label);
            let is_sent = |row: &u32| sent.row(*row as usize).iter().any(|s| s.id == parent);
            let is_positive = |row: &u32| problem.y.row(*row as usize).indices.contains(&label);
            let taught = taught(&problem, label);
            let rows: Vec<u32> = (0..60)
                .filter(|row| is_sent(row) || is_positive(row) || (with_teacher && taught.contains(row)))
                .collect();
            let expected = textbook(tight(), &problem, label, &rows, None);
            assert_close(
                &margins_of(&model, &problem.x, label),
                &expected,
                &format!("{names} label {label}"),
            );
        }
    }
}

#[test]
fn hard_negatives_join_the_clusters_of_their_labels() {
    let problem = Problem::random(SMALL, 32);
    let params = exact().negatives("tfn+usn".parse::<Negatives>().unwrap());
    let instances = Instances::new(&problem.x, &problem.y);
    let missing = fit(&params, instances, &problem).unwrap_err();
    assert!(matches!(missing, XrLinearError::NoUserNegatives));
    // Every instance is kept apart from label 5.
    let hard = Csr::from_rows(30, (0..60).map(|_| [(5, 1.0)])).unwrap();
    let model = fit(&params, instances.hard_negatives(&hard), &problem).unwrap();
    let all: Vec<u32> = (0..60).collect();
    assert_close(&margins_of(&model, &problem.x, 5), &textbook(tight(), &problem, 5, &all, None), "label 5");
    let other = (0..30).find(|&label| parent_of(&problem, label) != parent_of(&problem, 5)).unwrap();
    let rows = taught(&problem, other);
    let expected = textbook(tight(), &problem, other, &rows, None);
    assert_close(&margins_of(&model, &problem.x, other), &expected, "another cluster");
}

#[test]
fn relevance_multiplies_the_cost_of_a_positive() {
    let problem = Problem::random(SMALL, 33);
    let relevance = problem.y.with_values((0..problem.y.nnz()).map(|at| 0.5 + (at % 4) as f32).collect());
    let relevance = relevance.unwrap();
    let params = exact().relevance(RelevanceMode::RankerOnly, RelevanceNorm::None);
    let instances = Instances::new(&problem.x, &problem.y).relevance(&relevance);
    let model = fit(&params, instances, &problem).unwrap();
    for label in [0, 7, 29] {
        let rows = taught(&problem, label);
        let worth = |&row: &u32| {
            let row = relevance.row(row as usize);
            row.iter().find(|(l, _)| *l == label).map_or(1.0, |(_, value)| value)
        };
        let weights: Vec<f32> = rows.iter().map(worth).collect();
        let expected = textbook(tight(), &problem, label, &rows, Some(&weights));
        assert_close(&margins_of(&model, &problem.x, label), &expected, &format!("label {label}"));
    }
    let short = problem.y.select_rows(&(0..59).collect::<Vec<_>>());
    let wrong = fit(&params, instances.relevance(&short), &problem).unwrap_err();
    assert!(matches!(wrong, XrLinearError::Shape { expected: 60, found: 59, .. }));
    let empty = Csr::empty(60, 30);
    let wrong = fit(&params, instances.relevance(&empty), &problem).unwrap_err();
    assert!(matches!(wrong, XrLinearError::Relevance { row: 0, found: 0.0, .. }), "{wrong}");
}

#[test]
fn each_layer_may_have_its_own_solver() {
    let problem = Problem::random(SMALL, 34);
    let svm = PerLayer::several(tight(), [tight().loss(Loss::Logistic).costs(2.0, 0.5)]);
    let model = fit(&exact().svm(svm), Instances::new(&problem.x, &problem.y), &problem).unwrap();
    for label in [3, 11] {
        let rows = taught(&problem, label);
        let leaf = tight().loss(Loss::Logistic).costs(2.0, 0.5);
        let expected = textbook(leaf, &problem, label, &rows, None);
        assert_close(&margins_of(&model, &problem.x, label), &expected, &format!("label {label}"));
    }
}

#[test]
fn options_do_not_depend_on_the_number_of_threads() {
    let problem = Problem::random(Shape { n_samples: 200, tree: &[4, 12, 60], ..SMALL }, 35);
    let params = XrLinearParams::default()
        .negatives(PerLayer::several(Negatives::default(), ["man".parse().unwrap()]))
        .relevance(RelevanceMode::Induce, RelevanceNorm::L1);
    let bytes = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let model = fit(&params, Instances::new(&problem.x, &problem.y), &problem).unwrap();
            predict(&model, &problem.x, everything())
        })
    };
    assert_eq!(bytes(1), bytes(3));
}
