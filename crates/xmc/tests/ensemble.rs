//! Several models as one.

// A test that unwraps fails with a line number; clippy knows only functions marked as tests.
#![allow(clippy::unwrap_used)]

use xmc::{
    Combine, Csr, Dataset, Ensemble, Model, NoProgress, PostProcessor, RankedLists, Scope, SearchParams,
    TrainParams, XmcError,
};
use xmc_sparse::combine;

const WORDS: [&str; 6] = ["apple", "pear", "oak", "pine", "cod", "eel"];

fn dataset(labels: [&'static str; 6]) -> Dataset {
    Dataset::from_examples((0..120).map(|n| {
        let (one, other) = (n % 6, (n / 6) % 6);
        (format!("{} {} {}", WORDS[one], WORDS[other], n % 17), [labels[one], labels[other]])
    }))
}

fn model(seed: u64, char_n_grams: bool) -> Model {
    let mut params = TrainParams { seed, ..TrainParams::default() };
    params.tree = params.tree.branching(2).max_leaf(2);
    if char_n_grams {
        params.features = xmc::TfIdf::params().vectorizers(vec![xmc::VectorizerParams::char_wb(2, 3)]);
    }
    Model::train(&dataset(WORDS), params).unwrap()
}

fn ids(lists: &RankedLists) -> Vec<Vec<(u32, f32)>> {
    lists.iter().map(|list| list.iter().map(|label| (label.id, label.score)).collect()).collect()
}

#[test]
fn an_ensemble_of_one_is_that_model() {
    let (model, data) = (model(0, false), dataset(WORDS));
    let expected = model.rank(&data, &model.search(), &NoProgress).unwrap();
    let alone = Ensemble::new([model.clone()], Combine::SoftmaxAverage).unwrap();
    assert_eq!(ids(&alone.rank(&data, &NoProgress).unwrap().0), ids(&expected));
    assert_eq!(alone.predict("an apple").unwrap(), model.predict("an apple").unwrap());
    let scores = alone.evaluate(&data, &[1, 3], &NoProgress).unwrap();
    assert_eq!(scores.scores, model.evaluate(&data, &[1, 3]).unwrap());
}

#[test]
fn several_models_are_combined_as_their_lists_are() {
    let (models, data) = ([model(0, false), model(1, true)], dataset(WORDS));
    let search = |model: &Model| model.search().top_k(20);
    let lists = models.each_ref().map(|model| model.rank(&data, &search(model), &NoProgress).unwrap());
    let texts: Vec<&str> = match &data.input {
        xmc::Input::Text(texts) => texts.iter().collect(),
        xmc::Input::Features(_) => unreachable!("these are texts"),
    };
    for how in Combine::ALL {
        let both = Ensemble::new(models.clone(), how).unwrap().search(3, |search| search).unwrap();
        let expected = ids(&combine(&lists, how, 3, 20).unwrap());
        assert_eq!(ids(&both.rank(&data, &NoProgress).unwrap().0), expected, "{how}");
        assert_eq!(ids(&both.rank_features(&both.features(&data).unwrap()).unwrap()), expected, "{how}");
        let one: Vec<_> = both.predict(texts[5]).unwrap().iter().map(|best| (best.id, best.score)).collect();
        assert_eq!(one, expected[5], "{how}");
    }
}

#[test]
fn a_least_score_counts_after_the_vote() {
    let (models, data) = ([model(0, false), model(1, true)], dataset(WORDS));
    let all = Ensemble::new(models.clone(), Combine::Average).unwrap().rank(&data, &NoProgress).unwrap().0;
    let bar = all.row(0)[1].score;
    let search = |search: SearchParams| search.min_score(Some(bar));
    let few = Ensemble::new(models, Combine::Average).unwrap().search(10, search).unwrap();
    assert_eq!(few.rank(&data, &NoProgress).unwrap().0.row(0).len(), 2);
    assert_eq!(few.rank(&data, &NoProgress).unwrap().0.row(0), &all.row(0)[..2]);
}

#[test]
fn given_labels_all_get_their_score() {
    let (models, data) = ([model(0, false), model(1, true)], dataset(WORDS));
    let labels = Csr::from_rows(6, (0..120).map(|_| [(1, 1.0), (4, 1.0)])).unwrap();
    let both = Ensemble::new(models.clone(), Combine::Average).unwrap();
    let found = both.rank_given(&both.features(&data).unwrap(), &labels).unwrap();
    let x = models[0].features(&data, &NoProgress).unwrap();
    let first = models[0].score_labels(&x, &labels, &models[0].search()).unwrap();
    let x = models[1].features(&data, &NoProgress).unwrap();
    let second = models[1].score_labels(&x, &labels, &models[1].search()).unwrap();
    for (row, list) in found.iter().enumerate() {
        assert_eq!(list.len(), 2);
        for label in list {
            let at = usize::from(label.id == 4);
            let mean = (first.row(row).values[at] + second.row(row).values[at]) / 2.0;
            assert!((label.score - mean).abs() < 1e-6, "row {row}");
        }
    }
}

#[test]
fn a_part_of_the_labels_is_searched_in_every_model() {
    let both = Ensemble::new([model(0, false), model(1, true)], Combine::RankAverage).unwrap();
    let both = both.scope(|model| Scope::only(model, [2, 3]).map_err(Box::new)).unwrap();
    let mut found: Vec<u32> = both.predict("apple oak").unwrap().iter().map(|best| best.id).collect();
    found.sort_unstable();
    assert_eq!(found, [2, 3]);
}

#[test]
fn models_that_do_not_fit_are_refused() {
    assert!(matches!(Ensemble::new([], Combine::Average), Err(XmcError::NoModels)));
    let others = ["apple", "pear", "oak", "pine", "cod", "herring"];
    let other = Model::train(&dataset(others), TrainParams::default()).unwrap();
    let refused = Ensemble::new([model(0, false), other], Combine::Average).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "model 2 does not have the labels of model 1: label 5 is 'herring', expected 'eel'"
    );
    let both = Ensemble::new([model(0, false), model(1, true)], Combine::Average).unwrap();
    let margins = |search: SearchParams| search.post_processor(PostProcessor::Noop);
    assert!(matches!(both.clone().search(3, margins), Err(XmcError::Combine { .. })));
    assert!(matches!(both.rank_features(&[]), Err(XmcError::Width { expected: 2, found: 0, .. })));
}
