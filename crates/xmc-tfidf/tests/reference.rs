//! The matrices of scikit-learn and of PECOS on the same texts, to 1e-6
//! (`fixtures/make_fixtures.py` made them).
// Clippy excuses `#[test]` functions but not what they call.
#![allow(clippy::unwrap_used)]

use flate2::read::GzDecoder;
use serde_json::Value;
use std::fs::File;
use std::path::Path;
use xmc_sparse::SparseRow;
use xmc_tfidf::{TfIdf, TfIdfParams};

fn fixture(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    serde_json::from_reader(GzDecoder::new(File::open(path).unwrap())).unwrap()
}

fn strings(value: &Value) -> Vec<String> {
    serde_json::from_value(value.clone()).unwrap()
}

fn assert_same_row(case: &str, text: &str, found: SparseRow<'_>, expected: &Value) {
    let (columns, values): (Vec<u32>, Vec<f64>) = serde_json::from_value(expected.clone()).unwrap();
    // A feature of weight 0 is left out here and kept there.
    let expected: Vec<(u32, f64)> = columns.into_iter().zip(values).filter(|&(_, v)| v != 0.0).collect();
    let names = |columns: &mut dyn Iterator<Item = u32>| columns.collect::<Vec<_>>();
    assert_eq!(
        names(&mut found.indices.iter().copied()),
        names(&mut expected.iter().map(|&(column, _)| column)),
        "{case}: columns of {text:?}"
    );
    for (&value, &(column, wanted)) in found.values.iter().zip(&expected) {
        let error = (f64::from(value) - wanted).abs();
        assert!(
            error <= 1e-6 * wanted.abs().max(1.0),
            "{case}: {text:?}, column {column}: {value}, {wanted}"
        );
    }
}

fn assert_same(case: &str, params: TfIdfParams, texts: &[String], expected: &Value) {
    let (tfidf, x) = params.check().unwrap().fit_transform(texts).unwrap();
    let names: Vec<&str> = (0..tfidf.n_features() as u32).map(|id| tfidf.feature_name(id).unwrap()).collect();
    assert_eq!(names, strings(&expected["features"]), "{case}: features");
    let rows = expected["rows"].as_array().unwrap();
    assert_eq!(rows.len(), texts.len());
    for ((text, found), expected) in texts.iter().zip(x.rows()).zip(rows) {
        assert_same_row(case, text, found, expected);
    }
}

#[test]
fn every_configuration_gives_the_matrix_of_scikit_learn() {
    let fixture = fixture("sklearn.json.gz");
    let texts = strings(&fixture["texts"]);
    let cases = fixture["cases"].as_array().unwrap();
    assert!(cases.len() >= 20);
    for case in cases {
        let params = serde_json::from_value(case["params"].clone()).unwrap();
        assert_same(case["name"].as_str().unwrap(), params, &texts, case);
    }
}

#[test]
fn the_pecos_preset_gives_the_matrix_of_pecos() {
    let fixture = fixture("pecos.json.gz");
    assert_same("PECOS", TfIdfParams::pecos(1, 2), &strings(&fixture["texts"]), &fixture);
}

#[test]
fn names_and_numbers_of_features_agree() {
    let texts = strings(&fixture("sklearn.json.gz")["texts"]);
    let tfidf: TfIdf = TfIdf::params().check().unwrap().fit(&texts).unwrap();
    for id in 0..tfidf.n_features() as u32 {
        assert_eq!(tfidf.feature_id(0, tfidf.feature_name(id).unwrap()), Some(id));
    }
    assert_eq!(tfidf.feature_name(tfidf.n_features() as u32), None);
    assert_eq!(tfidf.feature_id(0, "no such feature"), None);
    assert_eq!(tfidf.feature_id(1, "the"), None);
}
