//! How fast a model answers.

use crate::scene::Scene;

#[test]
fn a_model_of_texts_is_asked_in_every_way() {
    let scene = Scene::with_model();
    let bench = ["bench", "--model", "model", "--test", "test.tsv", "--repeats", "2", "--threads", "2"];
    let measured = scene.run(&[&bench[..], &["--queries", "50", "--json"]].concat()).json();
    assert_eq!((measured["queries"].as_u64(), measured["n_labels"].as_u64()), (Some(50), Some(8)));
    for pass in ["first_us", "single_text_us", "single_us"] {
        let at = |percentile: &str| measured[pass][percentile].as_f64().unwrap();
        assert!(at("p50") > 0.0 && at("p50") <= at("p99"), "{measured}");
    }
    let threads: Vec<_> =
        measured["batch"].as_array().unwrap().iter().map(|of| of["threads"].as_u64()).collect();
    assert_eq!(threads, [Some(1), Some(2)]);
    let said = scene.run(&bench).ok();
    assert!(said.contains("from text") && said.contains("80 records one by one"), "{said}");
    assert!(said.contains("on 1 thread\n") && said.contains("on 2 threads"), "{said}");
    let said = scene.run(&[&bench[..], &["--no-batch"]].concat()).ok();
    assert!(said.contains("from text") && !said.contains("batch"), "{said}");
}

#[test]
fn features_are_asked_without_text() {
    let scene = Scene::new();
    scene.write("x.svm", "4 3 2\n0 0:1\n1 1:1\n0 0:1 2:1\n1 1:1 2:1\n");
    scene.run(&["train", "--train", "x.svm", "--model", "m"]).ok();
    let measured = scene.run(&["bench", "--model", "m", "--test", "x.svm", "--json"]).json();
    assert_eq!(measured["queries"].as_u64(), Some(4));
    assert!(
        measured.get("single_text_us").is_none() && measured["single_us"]["p50"].is_number(),
        "{measured}"
    );
}

#[test]
fn data_without_records_are_refused() {
    let scene = Scene::with_model();
    scene.write("none.tsv", "");
    let said = scene.run(&["bench", "--model", "model", "--test", "none.tsv"]);
    assert!(said.message(1).contains("at least one record"), "{}", said.message(1));
}
