//! Label disentanglement through the library, on labels that mean two things each.
// A test that unwraps fails with a line number, which is what a test is for.
#![allow(clippy::unwrap_used)]

use xmc::*;
use xmc_data::synth::MultiSense;
use xmc_metrics::{Metric, Routed, SenseSplit, SenseSplitParams};
use xmc_xrlinear::UpperLayers;

/// 16 topics of 12 labels, of which four fifths mean two things.
fn world() -> MultiSense {
    let mut params = MultiSense::params().n_train(3000).n_test(600);
    (params.n_topics, params.labels_per_topic, params.n_words) = (16, 12, 2000);
    params.check().unwrap()
}

fn params() -> TrainParams {
    let mut params = TrainParams::default();
    params.features.vectorizers[0].ngram_range = (1, 1);
    params.tree = params.tree.branching(4).max_leaf(12);
    params
}

fn with_copies(copies: usize) -> TrainParams {
    TrainParams { disentangle: DisentangleTraining::default().copies(copies), ..params() }
}

/// Sections of a model with their checksums.
fn sections(model: &Model) -> Vec<(String, u64)> {
    let sections = model.container().manifest().sections.iter();
    sections.map(|section| (section.name.clone(), section.xxh3)).collect()
}

/// P@1, R@10 and inner products of a query.
fn scores(model: &Model, test: &Dataset, beam: usize) -> (f64, f64, f64) {
    let search = model.search().beam_size(beam);
    let found = model.evaluate_counted(test, &[1, 10], &search, &NoProgress).unwrap();
    let score = |metric, k| found.scores.get(metric, k).unwrap();
    (score(Metric::Precision, 1), score(Metric::Recall, 10), found.inner_products)
}

/// How far apart the search leads the senses of labels (0: each to clusters of its own).
fn senses_apart(model: &Model, world: &MultiSense, test: &Dataset) -> SenseSplit {
    let upper = UpperLayers::of(&model.matchers()[0]).unwrap();
    let x = model.features(test, &NoProgress).unwrap();
    let everywhere = SearchParams::default().beam_size(usize::MAX);
    let lists = upper.lead(&x, &everywhere, &NoProgress).unwrap();
    let mut routed = Vec::new();
    for (record, list) in world.test().zip(lists.iter()) {
        for (&label, &sense) in record.labels.iter().zip(&record.senses) {
            let holds =
                |cluster: u32| upper.tree().leaves().children(cluster as usize).binary_search(&label).is_ok();
            let cluster = list.iter().map(|cluster| cluster.id).find(|&cluster| holds(cluster)).unwrap();
            routed.push(Routed { label, sense, cluster });
        }
    }
    SenseSplit::new(&routed, SenseSplitParams { min_instances: 5, ..Default::default() }).unwrap()
}

#[test]
fn labels_of_two_senses_are_told_apart_and_found() {
    let world = world();
    let (train, test) = (world.dataset(world.train()), world.dataset(world.test()));
    let plain = Model::train(&train, params()).unwrap();
    let copied = Model::train(&train, with_copies(2)).unwrap();
    let report = &copied.meta().disentangled[0];
    assert!(report.copies > 20 && report.copies < world.n_labels(), "{report:?}");
    assert!(report.covered > report.covered_before, "{report:?}");
    assert_eq!(copied.tree().leaves().n_slots(), world.n_labels() + report.copies);
    assert!(plain.meta().disentangled.is_empty() && plain.tree().is_partition());
    let (before, after) = (scores(&plain, &test, 3), scores(&copied, &test, 3));
    // P@1 97.0 and 98.8, R@10 92.9 and 95.6 when this was written.
    assert!(after.0 > before.0 + 0.5 && after.1 > before.1 + 1.0, "{before:?} {after:?}");
    // Layers that stay lead to fewer clusters with copies: at the inner products of a wider beam of the plain tree the first
    // label is still better (97.3); R@10 is 96.9 there.
    let kept = DisentangleTraining::default().copies(2).keep_upper(true);
    let after = scores(&Disentangler::new(&plain, kept.clone()).fit(&train).unwrap(), &test, 3);
    assert!(after.0 > before.0 + 0.5 && after.1 > before.1 + 1.0, "{before:?} {after:?}");
    let wider = scores(&plain, &test, 5);
    assert!(after.2 < 1.05 * wider.2 && after.0 > wider.0 + 0.5, "{wider:?} {after:?}");
    // Without a cross-fit copies are few.
    let few = kept.folds(1).keep_places(false);
    let after = scores(&Disentangler::new(&plain, few).fit(&train).unwrap(), &test, 3);
    assert!(after.0 > before.0 + 0.5 && after.1 > before.1 + 1.0, "{before:?} {after:?}");
    assert!(after.2 < 1.35 * before.2, "inner products: {before:?} {after:?}");
    let (before, after) = (senses_apart(&plain, &world, &test), senses_apart(&copied, &world, &test));
    // All of a label in one cluster is as good as chance, by definition.
    assert!((before.vi - before.random).abs() < 1e-9);
    assert!(after.vi < 0.9 * after.random, "{} {}", after.vi, after.random);
}

#[test]
fn disentangling_a_model_gives_the_model_that_is_trained_in_one_go() {
    let world = world();
    let mut train = world.dataset(world.train());
    // Names that are learnt from: they are training rows, and must be again.
    let mut named = LabelMap::new();
    for label in 0..world.n_labels() as LabelId {
        let first = world.sense_names()[world.senses(label)[0] as usize].to_owned();
        named.insert(train.label_map.key(label), &first);
    }
    train.label_map = named.into();
    for (copies, folds, keep_upper) in [(1, 1, true), (1, 2, false), (3, 3, true), (3, 1, false)] {
        let mut wanted = with_copies(copies);
        wanted.n_trees = 2;
        (wanted.disentangle.folds, wanted.disentangle.keep_upper) = (folds, keep_upper);
        let one_go = Model::train(&train, wanted.clone()).unwrap();
        assert!(one_go.meta().label_names && one_go.meta().disentangled.len() == 2);
        let off = TrainParams { disentangle: DisentangleTraining::default(), ..wanted.clone() };
        let plain = Model::train(&train, off).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model");
        plain.save(&path).unwrap();
        let plain = Model::open(&path).unwrap();
        // In the place of the model that it is made from.
        let later = Disentangler::new(&plain, wanted.disentangle).fit_to(&train, &path).unwrap();
        assert_eq!(sections(&later), sections(&one_go));
        assert_eq!(later.meta().n_weights, one_go.meta().n_weights);
        assert_eq!(later.meta().params, one_go.meta().params);
        for (tree, before) in later.matchers().iter().zip(plain.matchers()) {
            assert_eq!(tree.tree().is_partition(), copies == 1);
            assert_eq!(tree.tree().layers()[0], before.tree().layers()[0]);
        }
        for report in &later.meta().disentangled {
            assert!(report.trained <= report.clusters && (report.copies > 0) == (copies > 1), "{report:?}");
        }
    }
}

#[test]
fn layers_above_that_learn_the_places_are_those_of_a_training_from_nothing() {
    let world = world();
    let train = world.dataset(world.train());
    let model = Model::train(&train, params()).unwrap();
    // Few copies: some clusters stay as they are.
    let wanted = DisentangleTraining::default().copies(2).min_gain(0.35);
    let made = Disentangler::new(&model, wanted.clone()).fit(&train).unwrap();
    let report = &made.meta().disentangled[0];
    assert!(report.copies > 0 && report.trained < report.clusters, "{report:?}");
    let scratch = Trainer::new(params()).tree(made.tree().clone()).fit(&train).unwrap();
    assert_eq!(sections(&made), sections(&scratch));
    // Layers that stay are those of the plain model.
    let kept = Disentangler::new(&model, wanted.keep_upper(true)).fit(&train).unwrap();
    let of_layer = |model: &Model, prefix: &str| {
        sections(model).into_iter().filter(|(name, _)| name.contains(prefix)).collect::<Vec<_>>()
    };
    assert_eq!(of_layer(&kept, "layer0"), of_layer(&model, "layer0"));
    assert_ne!(of_layer(&made, "layer0"), of_layer(&model, "layer0"));
    assert_eq!(of_layer(&kept, "layer2"), of_layer(&made, "layer2"));
}

#[test]
fn what_does_not_change_is_not_trained() {
    let world = world();
    let train = world.dataset(world.train());
    let mut wanted = with_copies(2);
    (wanted.disentangle.folds, wanted.disentangle.keep_upper) = (1, true);
    let model = Model::train(&train, wanted).unwrap();
    let again = Disentangler::new(&model, model.meta().params.disentangle.clone()).fit(&train).unwrap();
    // The same layers above lead the same instances to the same clusters.
    assert_eq!(again.meta().disentangled[0].trained, 0);
    assert_eq!(sections(&again), sections(&model));
}

#[test]
fn every_option_reaches_the_assignment() {
    let world = world();
    let train = world.dataset(world.train());
    let model = Model::train(&train, params()).unwrap();
    let copies = |wanted: DisentangleTraining| {
        let made = Disentangler::new(&model, wanted).fit(&train).unwrap();
        made.meta().disentangled[0].clone()
    };
    let default = copies(DisentangleTraining::default().copies(2));
    let published = copies(DisentangleTraining::default().copies(2).rule(AssignmentRule::TopK));
    assert!(published.copies > default.copies);
    let picky = copies(DisentangleTraining::default().copies(2).min_gain(0.3));
    assert!(picky.copies < default.copies);
    let wide = copies(DisentangleTraining::default().copies(2).match_beam(8));
    assert!(wide.covered_before > default.covered_before);
    let tight = copies(DisentangleTraining::default().copies(2).max_leaf_factor(1.0));
    let unlimited = copies(DisentangleTraining::default().copies(2).max_leaf_factor(0.0));
    assert!(tight.covered < unlimited.covered && unlimited.crowded_out == 0);
    let seen = copies(DisentangleTraining::default().copies(2).folds(1));
    assert!(seen.covered_before > default.covered_before, "what was learnt is easy to find again");
    assert!(seen.copies < default.copies);
    let free = copies(DisentangleTraining::default().copies(2).keep_places(false));
    assert!(free.moved > 0 && default.moved == 0);
    let rounds = copies(DisentangleTraining::default().copies(2).rounds(2));
    assert_ne!((rounds.copies, rounds.covered), (default.copies, default.covered));
    let kept = copies(DisentangleTraining::default().copies(2).rounds(2).keep_upper(true));
    assert_eq!(kept.trained, kept.clusters);
    assert_ne!(kept, default);
}

#[test]
fn data_that_the_model_was_not_trained_on_are_refused() {
    let world = world();
    let train = world.dataset(world.train());
    let model = Model::train(&train, params()).unwrap();
    let refused = |dataset: &Dataset| {
        Disentangler::new(&model, DisentangleTraining::default().copies(2)).fit(dataset).unwrap_err()
    };
    let short = refused(&world.dataset(world.test()));
    assert!(matches!(short, XmcError::OtherData { what: "records", expected: 3000, found: 600 }), "{short}");
    let mut other = train.clone();
    let first = other.labels.row(0).indices.to_vec();
    let rows = train.labels.rows().enumerate().map(|(row, labels)| {
        let left_out = if row == 0 { first[0] } else { LabelId::MAX };
        labels.iter().filter(move |(label, _)| *label != left_out).collect::<Vec<_>>()
    });
    other.labels = Csr::from_rows(train.n_labels(), rows).unwrap();
    let key = train.label_map.key(first[0]);
    let message = refused(&other).to_string();
    assert!(message.contains(&format!("label '{key}' had")), "{message}");
    let mut renamed = LabelMap::new();
    for label in 0..train.n_labels() {
        renamed.insert_key(&format!("other{label}"));
    }
    let message = refused(&Dataset { label_map: renamed.into(), ..train.clone() }).to_string();
    assert!(message.contains("label 0 was 'l000', found 'other0'"), "{message}");
    let off = Disentangler::new(&model, DisentangleTraining::default()).fit(&train).unwrap_err();
    assert!(matches!(off, XmcError::Param { name: "copies", .. }), "{off}");
}

#[test]
fn a_tree_without_clusters_has_nothing_to_disentangle_and_parameters_out_of_range_are_refused() {
    let world = world();
    let train = world.dataset(world.train());
    let mut flat = with_copies(2);
    flat.tree = flat.tree.max_leaf(1000);
    let model = Model::train(&train, flat).unwrap();
    assert!(model.tree().is_partition() && model.meta().disentangled.is_empty());
    let later = Disentangler::new(&model, DisentangleTraining::default().copies(2)).fit(&train);
    let message = later.unwrap_err().to_string();
    assert!(message.contains("no clusters above its labels"), "{message}");
    let wanted = DisentangleTraining::default;
    for wrong in [
        wanted().match_beam(0),
        wanted().rounds(0),
        wanted().folds(0),
        wanted().min_gain(-0.1),
        wanted().max_leaf_factor(0.5),
        wanted().max_leaf_factor(f32::NAN),
    ] {
        assert!(wrong.check().is_err(), "{wrong:?}");
    }
}
