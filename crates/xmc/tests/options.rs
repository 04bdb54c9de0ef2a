//! Options of training and prediction through the library.
// A test that unwraps fails with a line number, which is what a test is for.
#![allow(clippy::unwrap_used)]

use xmc::*;

/// Twelve kinds of things in four colours, each text about one thing.
fn things() -> Dataset {
    let kinds =
        ["shoe", "hat", "coat", "sock", "chair", "table", "lamp", "shelf", "apple", "pear", "plum", "fig"];
    let colours = ["red", "green", "blue", "brown"];
    let texts = (0..480).map(|n| {
        let (kind, colour) = (kinds[n % 12], colours[n / 12 % 4]);
        (format!("{colour} {kind} number {n}"), vec![kind.to_owned(), colour.to_owned()])
    });
    Dataset::from_examples(texts.collect::<Vec<_>>())
}

fn small() -> TrainParams {
    let mut params = TrainParams::default();
    params.tree = params.tree.branching(2).max_leaf(4);
    params
}

fn features(model: &Model, dataset: &Dataset) -> Features {
    model.features(dataset, &NoProgress).unwrap().into_owned()
}

fn precision(model: &Model, dataset: &Dataset) -> f64 {
    model.evaluate(dataset, &[1]).unwrap().get(xmc_metrics::Metric::Precision, 1).unwrap()
}

#[test]
fn a_label_without_instances_is_found_by_its_name() {
    let mut dataset = things();
    let mut labels = (*dataset.label_map).clone();
    let unseen = labels.insert("x17", "wooden spoon");
    dataset.labels = Csr::from_rows(labels.len(), dataset.labels.rows().map(|row| row.iter())).unwrap();
    dataset.label_map = labels.into();
    let mut params = small();
    params.features.vectorizers[0].min_df = DocFrequency::Count(1);
    let with_names = Trainer::new(params.clone()).fit(&dataset).unwrap();
    assert_eq!(with_names.predict("a new wooden spoon").unwrap()[0].id, unseen);
    params.label_rows = 0.0;
    let without = Trainer::new(params).fit(&dataset).unwrap();
    assert_ne!(without.predict("a new wooden spoon").unwrap()[0].id, unseen);
    assert_eq!(with_names.meta().n_samples, without.meta().n_samples);
}

#[test]
fn labels_are_clustered_by_features_of_their_own() {
    let dataset = things();
    // Even labels are of one kind and odd ones of another, whatever the texts say.
    let kinds = Csr::from_rows(2, (0..16).map(|label| [(label % 2, 100.0)])).unwrap();
    let kinds = Features::from_sparse(kinds);
    let mut params = small();
    params.tree = params.tree.max_leaf(8);
    params.label_features = LabelFeatures::PifaLfConcat;
    let model = Trainer::new(params.clone()).label_features(&kinds).fit(&dataset).unwrap();
    let leaves = model.tree().leaves();
    assert_eq!(leaves.n_parents(), 2);
    for cluster in 0..2 {
        let first = leaves.children(cluster)[0] % 2;
        assert!(leaves.children(cluster).iter().all(|label| label % 2 == first));
    }
    let missing = Trainer::new(params).fit(&dataset).unwrap_err().to_string();
    assert!(missing.contains("need the labels' own features"), "{missing}");
    let mut convex = small();
    convex.label_features = LabelFeatures::PifaLfConvex;
    let narrow = Trainer::new(convex).label_features(&kinds).fit(&dataset).unwrap_err().to_string();
    assert!(narrow.contains("for pifa-lf-convex"), "{narrow}");
}

#[test]
fn several_trees_are_one_model() {
    let dataset = things();
    for combine in Combine::ALL {
        let mut params = small();
        (params.n_trees, params.combine) = (3, combine);
        let model = Model::train(&dataset, params).unwrap();
        assert_eq!(model.matchers().len(), 3);
        assert!(precision(&model, &dataset) > 99.0, "{combine}");
        let x = features(&model, &dataset);
        let batch = model.rank_features(&x, &model.search(), &NoProgress).unwrap();
        let mut predictor = model.predictor();
        for row in [0, 17, 301] {
            assert_eq!(
                predictor.predict_row(x.row(row), &model.search()).unwrap(),
                batch.row(row),
                "{combine}"
            );
        }
    }
    let mut params = small();
    params.n_trees = 2;
    params.search = params.search.post_processor(PostProcessor::Noop);
    assert!(matches!(Model::train(&dataset, params.clone()), Err(XmcError::Combine { .. })));
    params.combine = Combine::RankAverage;
    let tree = LabelTree::one_vs_rest(dataset.n_labels()).unwrap();
    let given = Trainer::new(params).tree(tree).fit(&dataset);
    assert!(matches!(given, Err(XmcError::GivenTree { n_trees: 2 })));
}

#[test]
fn given_labels_are_scored_as_an_exhaustive_search_scores_them() {
    let dataset = things();
    let model = Model::train(&dataset, small()).unwrap();
    let x = features(&model, &dataset);
    let everything = model.search().beam_size(usize::MAX).top_k(usize::MAX);
    let all = model.rank_features(&x, &everything, &NoProgress).unwrap();
    let asked: Vec<Vec<(u32, f32)>> =
        (0..480).map(|row| vec![(row % 16, 1.0), ((row * 7 + 3) % 16, 1.0)]).collect();
    let scores = model.score_labels(&x, &Csr::from_rows(16, asked).unwrap(), &model.search()).unwrap();
    for (row, list) in scores.rows().zip(all.iter()) {
        assert!(row.nnz() >= 1);
        for (label, score) in row.iter() {
            assert_eq!(list.iter().find(|s| s.id == label).unwrap().score, score);
        }
    }
    let wide = model.score_labels(&x, &Csr::empty(480, 17), &model.search());
    assert!(matches!(wide, Err(XmcError::Width { expected: 16, found: 17, .. })));
}

#[test]
fn a_scope_leaves_labels_out_and_favours_others() {
    let dataset = things();
    let model = Model::train(&dataset, small()).unwrap();
    let (labels, search) = (model.label_map(), model.search().beam_size(1));
    let [shoe, red, fig] = ["shoe", "red", "fig"].map(|key| labels.get(key).unwrap());
    let mut predictor = model.predictor();
    let mut best = |scope: &Scope| predictor.predict_in("red shoe", &search, scope).unwrap()[0].id;
    assert!([shoe, red].contains(&best(&Scope::all())));
    assert_eq!(best(&Scope::only(&model, [fig]).unwrap()), fig);
    assert!(best(&Scope::without(&model, [shoe, red]).unwrap()) != shoe);
    let mut weights = vec![1e-6; 16];
    weights[red as usize] = 1.0;
    assert_eq!(best(&Scope::all().weighted(&model, &weights).unwrap()), red);
    assert!(matches!(Scope::only(&model, [99]), Err(XmcError::Tree(_))));
    assert!(matches!(Scope::below(&model, 9, 0), Err(XmcError::Tree(_))));
    assert!(matches!(Scope::all().weighted(&model, &[1.0]), Err(XmcError::Width { .. })));
    let cluster = Scope::below(&model, 0, 0).unwrap();
    let all = search.clone().beam_size(usize::MAX).top_k(usize::MAX);
    let found = predictor.predict_in("red shoe", &all, &cluster).unwrap().len();
    assert!((1..16).contains(&found), "{found}");
}

#[test]
fn every_negative_and_weight_option_learns() {
    let dataset = things();
    let hard = dataset.labels.clone();
    let options: [fn(&mut TrainParams); 7] = [
        |p| p.linear.negatives = "man".parse::<Negatives>().unwrap().into(),
        |p| p.linear.negatives = PerLayer::several(Negatives::default(), ["tfn+man+usn".parse().unwrap()]),
        |p| p.linear.svm = p.linear.svm.map(|svm| svm.loss(Loss::Logistic).costs(8.0, 8.0)),
        |p| p.linear.svm = p.linear.svm.map(|svm| svm.loss(Loss::Hinge)),
        |p| p.linear.relevance.mode = RelevanceMode::Induce,
        |p| {
            p.linear.relevance =
                RelevanceParams { mode: RelevanceMode::RankerOnly, norm: RelevanceNorm::None };
            p.tail_weights = true;
        },
        |p| p.linear.svm = p.linear.svm.map(|svm| svm.max_nonzeros_per_label(Some(3))),
    ];
    for (number, option) in options.iter().enumerate() {
        let mut params = small();
        option(&mut params);
        let model = Trainer::new(params).hard_negatives(&hard).fit(&dataset).unwrap();
        assert!(precision(&model, &dataset) > 95.0, "option {number}: {}", precision(&model, &dataset));
    }
}
