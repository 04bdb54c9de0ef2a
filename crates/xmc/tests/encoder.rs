//! Embeddings beside text features: training, both ways of prediction, a model on disk, disentanglement.

// A test that unwraps fails with a line number; clippy knows only functions marked as tests.
#![allow(clippy::unwrap_used)]

use ndarray::Array2;
use xmc::{
    Dataset, DisentangleTraining, Disentangler, DocFrequency, Documents, Encoder, EncoderKind,
    EncodingParams, Model, NoProgress, Precision, StaticTable, TfIdfParams, TrainParams, Trainer, XmcError,
};

const WORDS: [&str; 6] = ["apple", "pear", "oak", "pine", "cod", "eel"];
const LABELS: [&str; 3] = ["fruit", "tree", "fish"];

fn dataset() -> Dataset {
    Dataset::from_examples((0..120).map(|n| (format!("{} {}", WORDS[n % 6], n % 17), [LABELS[n % 6 / 2]])))
}

/// A table that knows the words, and numbers not: words of one label have the same vector.
fn table(texts: &impl Documents) -> StaticTable {
    let mut tokens = TfIdfParams::default();
    tokens.vectorizers[0].min_df = DocFrequency::Count(1);
    let tokens = tokens.check().unwrap().fit(texts).unwrap();
    let mut vectors = Array2::zeros((tokens.n_features(), 3));
    for (at, word) in WORDS.iter().enumerate() {
        let row = tokens.transform(&[*word]);
        vectors[[row.row(0).indices[0] as usize, at / 2]] = 1.0;
    }
    StaticTable::new(tokens, vectors.view(), Precision::F16).unwrap()
}

fn encoder() -> Encoder {
    table(&WORDS).into()
}

fn params() -> TrainParams {
    let mut params = TrainParams::default();
    params.tree = params.tree.branching(2).max_leaf(2);
    params.encoding.scale = Some(0.5);
    params
}

#[test]
fn a_model_embeds_its_texts_one_by_one_as_it_does_together() {
    let (dataset, encoder) = (dataset(), encoder());
    let model = Trainer::new(params()).encoder(&encoder).fit(&dataset).unwrap();
    assert_eq!((model.meta().n_dense, model.meta().encoder), (3, Some(EncoderKind::Static)));
    let texts = ["apple 3", "eel pine", "nothing known", ""];
    let together = model.predict_batch(&texts).unwrap();
    for (text, expected) in texts.iter().zip(&together) {
        assert_eq!(&model.predict(text).unwrap(), expected, "{text}");
    }
    assert_eq!(together[0][0].name, "fruit");
}

#[test]
fn a_model_on_disk_has_its_encoder() {
    let (dataset, encoder, dir) = (dataset(), encoder(), tempfile::tempdir().unwrap());
    let path = dir.path().join("model");
    let trained = Trainer::new(params()).encoder(&encoder).fit_to(&dataset, &path).unwrap();
    let opened = Model::open(&path).unwrap();
    assert_eq!(opened.predict("pine").unwrap(), trained.predict("pine").unwrap());
    assert_eq!(opened.encoder().map(Encoder::n_dims), Some(3));
    assert_eq!(
        opened.features(&dataset, &NoProgress).unwrap(),
        trained.features(&dataset, &NoProgress).unwrap()
    );
}

#[test]
fn embeddings_have_the_length_that_is_asked_for() {
    let (dataset, encoder) = (dataset(), encoder());
    let model = Trainer::new(params()).encoder(&encoder).fit(&dataset).unwrap();
    let x = model.features(&dataset, &NoProgress).unwrap();
    let length = |row: usize| x.row(row).dense.iter().map(|v| v * v).sum::<f32>().sqrt();
    assert!((0..dataset.n_samples()).all(|row| (length(row) - 0.5).abs() < 1e-3));
}

#[test]
fn embeddings_stand_to_the_right_of_dense_features_that_are_given() {
    let (mut dataset, encoder) = (dataset(), encoder());
    let given = Array2::from_shape_fn((dataset.n_samples(), 2), |(row, col)| (row + col) as f32);
    dataset.dense = Some(given.clone().into());
    let model = Trainer::new(params()).encoder(&encoder).fit(&dataset).unwrap();
    let x = model.features(&dataset, &NoProgress).unwrap();
    assert_eq!(x.n_dense(), 5);
    assert_eq!(&x.row(7).dense[..2], given.row(7).as_slice().unwrap());
    assert!(matches!(model.predict("apple"), Err(XmcError::Width { .. })));
}

#[test]
fn embeddings_can_stand_alone() {
    let (dataset, encoder, dir) = (dataset(), encoder(), tempfile::tempdir().unwrap());
    let mut params = params();
    params.features.vectorizers.clear();
    let path = dir.path().join("model");
    Trainer::new(params.clone()).encoder(&encoder).fit_to(&dataset, &path).unwrap();
    let model = Model::open(&path).unwrap();
    assert_eq!((model.meta().n_features, model.takes_text()), (0, true));
    for (word, label) in [("pear", "fruit"), ("oak", "tree"), ("cod", "fish")] {
        assert_eq!(model.predict(word).unwrap()[0].name, label);
    }
    let without = Trainer::new(params).fit(&dataset);
    assert!(matches!(without, Err(XmcError::TfIdf(_))), "neither vectoriser nor encoder");
}

#[test]
fn disentanglement_is_that_of_training_from_nothing() {
    let (dataset, encoder) = (dataset(), encoder());
    let wanted = DisentangleTraining::default().copies(2);
    let model = Trainer::new(params()).timestamps(false).encoder(&encoder).fit(&dataset).unwrap();
    let later = Disentangler::new(&model, wanted.clone()).timestamps(false).fit(&dataset).unwrap();
    let at_once = Trainer::new(TrainParams { disentangle: wanted, ..params() }).timestamps(false);
    let at_once = at_once.encoder(&encoder).fit(&dataset).unwrap();
    assert_eq!(later.container().manifest(), at_once.container().manifest());
}

#[test]
fn a_directory_without_an_encoder_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let nothing = Encoder::open(dir.path(), &EncodingParams::default());
    assert!(matches!(nothing, Err(XmcError::NoEncoder { .. })));
    let scale = EncodingParams { scale: Some(0.0), ..EncodingParams::default() };
    assert!(matches!(Encoder::open(dir.path(), &scale), Err(XmcError::Param { name: "encoding.scale", .. })));
}
