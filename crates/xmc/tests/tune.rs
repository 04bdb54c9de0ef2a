//! The search for hyper-parameters, on labels that are easy to find.
// A test that unwraps fails with a line number, which is what a test is for.
#![allow(clippy::unwrap_used)]

use xmc::*;
use xmc_data::synth::MultiSense;

/// 12,000 records with 150 labels of one meaning each.
fn data() -> Dataset {
    let mut params = MultiSense::params().n_train(12_000).n_test(10);
    (params.n_topics, params.labels_per_topic, params.n_words, params.merge) = (10, 15, 1500, 0.0);
    let world = params.check().unwrap();
    world.dataset(world.train())
}

fn start() -> TrainParams {
    let mut params = TrainParams::default();
    params.features.vectorizers[0].ngram_range = (1, 1);
    // Little is left of the weights.
    params.linear.svm = params.linear.svm.map(|svm| svm.threshold(4.0));
    params
}

#[test]
fn a_bad_start_is_mended_on_growing_parts_of_the_data() {
    let data = data();
    let tuning = Tuner::new(start()).max_trials(24).run(&data).unwrap();
    assert!(tuning.score > tuning.baseline + 5.0, "{tuning:?}");
    assert!(tuning.options.iter().any(|option| option.starts_with("--threshold 0.")), "{:?}", tuning.options);
    assert_eq!((tuning.n_valid, tuning.n_samples), (1_200, 10_800));
    // The gain is on the most data; most trials ended before.
    let on_all = tuning.trials.iter().filter(|trial| trial.n_samples == 10_800).count();
    assert!(on_all >= 2 && 2 * on_all < tuning.trials.len(), "{on_all} of {}", tuning.trials.len());
    // Another metric of the same parameters: what is reported is what a model has.
    let (train, valid) = data.split(0.1, 0).unwrap();
    let model = Model::train(&train, tuning.params).unwrap();
    let score = model.evaluate(&valid, &[5]).unwrap().get(Metric::Ndcg, 5).unwrap();
    assert!((score - tuning.score).abs() < 1e-9, "{score} {}", tuning.score);
}

#[test]
fn a_search_ends_with_its_budget() {
    let data = data();
    let tuning = Tuner::new(start()).budget(std::time::Duration::ZERO).run(&data).unwrap();
    // One training shows what the parameters are worth; for no other there was time.
    assert_eq!((tuning.trials.len(), tuning.cut_short), (1, true));
    assert_eq!((tuning.params, tuning.options.len()), (start(), 0));
}
