//! `xmc tune`.

use crate::scene::{Scene, titles};

const SMALL_TREE: [&str; 4] = ["--branching", "2", "--max-leaf", "2"];

#[test]
fn what_is_found_can_be_trained_with_and_does_not_depend_on_the_threads() {
    let scene = Scene::new();
    scene.write("train.tsv", titles(400));
    // Nothing is left of the weights: any other threshold is better.
    let tune = ["tune", "--train", "train.tsv", "--trials", "14", "--threshold", "9", "--json"];
    let found = |output: &str, threads: &str| {
        let args = [&tune[..], &SMALL_TREE, &["--output", output, "--threads", threads]].concat();
        let report: serde_json::Value = serde_json::from_str(&scene.run(&args).ok()).unwrap();
        report
    };
    let report = found("best.toml", "2");
    assert_eq!(report["trials"].as_array().unwrap().len(), 14);
    assert!(report["score"].as_f64() > report["baseline"].as_f64(), "{report}");
    let options = report["options"].to_string();
    assert!(options.contains("--threshold 0."), "{options}");
    found("again.toml", "1");
    assert_eq!(scene.read("best.toml"), scene.read("again.toml"));
    scene.run(&["train", "--train", "train.tsv", "--model", "tuned", "--params", "best.toml"]).ok();
}

#[test]
fn what_cannot_be_searched_for_is_refused() {
    let scene = Scene::new();
    scene.write("train.tsv", "roses\trose\n");
    let ran = scene.run(&["tune", "--train", "train.tsv"]);
    assert!(ran.message(1).contains("1 record"), "{}", ran.message(1));
    let ran = scene.run(&["tune", "--train", "train.tsv", "--metric", "coverage@5"]);
    assert!(ran.stderr().contains("expected p@k, r@k or ndcg@k"), "{}", ran.stderr());
    let ran = scene.run(&["tune"]);
    assert!(ran.stderr().contains("--train <FILE>"), "{}", ran.stderr());
}
