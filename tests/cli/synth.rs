//! Data that are made.

use crate::scene::Scene;
use std::collections::{BTreeMap, BTreeSet};

/// Small enough for a test, with the usual 960 labels.
const SMALL: [&str; 8] = ["synth", "multi-sense", "--out", "data", "--train", "2000", "--test", "500"];

#[test]
fn multi_sense_data_are_four_files_and_a_summary() {
    let scene = Scene::new();
    let summary = scene.run(&SMALL).ok();
    assert!(
        summary.contains("2,000 records to train on") && summary.contains("960 labels (640 of"),
        "{summary}"
    );
    let names = std::fs::read_dir(scene.path("data")).unwrap().map(|entry| entry.unwrap().file_name());
    let names: BTreeSet<String> = names.map(|name| name.into_string().unwrap()).collect();
    assert!(names.iter().eq(["labels.tsv", "senses.tsv", "test.tsv", "train.tsv"]), "{names:?}");
    let lines = |name: &str| scene.read(&format!("data/{name}")).lines().count();
    assert_eq!((lines("train.tsv"), lines("test.tsv"), lines("labels.tsv")), (2000, 500, 960));
    assert!(scene.read("data/labels.tsv").starts_with("l000\nl001\n"));
}

#[test]
fn senses_follow_the_records_label_by_label() {
    let scene = Scene::new();
    scene.run(&SMALL).ok();
    let senses = scene.read("data/senses.tsv");
    let mut rows = senses.lines();
    assert_eq!(rows.next(), Some("split\trecord\tlabel\tsense"));
    let mut of_label = BTreeMap::<&str, BTreeSet<&str>>::new();
    for split in ["train", "test"] {
        for (number, record) in scene.read(&format!("data/{split}.tsv")).lines().enumerate() {
            for label in record.split('\t').next().unwrap().split(',') {
                let row: Vec<&str> = rows.next().unwrap().split('\t').collect();
                assert_eq!(row[..3], [split, &number.to_string(), label]);
                of_label.entry(row[2]).or_default().insert(row[3]);
            }
        }
    }
    assert_eq!(rows.next(), None);
    assert!(of_label.values().all(|senses| senses.len() <= 2));
    assert!(of_label.values().filter(|senses| senses.len() == 2).count() > 400);
    let all: usize = of_label.values().map(BTreeSet::len).sum();
    assert_eq!(of_label.values().flatten().collect::<BTreeSet<_>>().len(), all, "a sense has one label");
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_does_not() {
    let scene = Scene::new();
    let made = |out: &str, more: &[&str]| {
        scene.run(&[&["synth", "multi-sense", "--out", out, "--test", "50"], more].concat()).ok();
        scene.bytes_of(out)
    };
    let first = made("a", &["--train", "300"]);
    assert_eq!(first, made("b", &["--train", "300", "--seed", "0", "--threads", "1", "--merge", "0.8"]));
    assert_ne!(first, made("c", &["--train", "300", "--seed", "1"]));
    made("long", &["--train", "900"]);
    let (short, long) = (scene.read("a/train.tsv"), scene.read("long/train.tsv"));
    assert!(long.starts_with(&short) && scene.read("a/test.tsv") == scene.read("long/test.tsv"));
}

#[test]
fn every_number_of_multi_sense_data_can_be_typed() {
    let scene = Scene::new();
    let json = scene.run(&[
        "synth",
        "multi-sense",
        "--out",
        "deep/down",
        "--train",
        "40",
        "--test",
        "10",
        "--merge",
        "0.5",
        "--seed",
        "3",
        "--topics",
        "4",
        "--labels-per-topic",
        "10",
        "--words",
        "500",
        "--topic-vocabulary",
        "20",
        "--label-vocabulary",
        "5",
        "--topic-words",
        "3",
        "--label-words",
        "2",
        "--noise-words",
        "1",
        "--min-labels",
        "2",
        "--max-labels",
        "2",
        "--cross-topic",
        "0",
        "--label-exponent",
        "0",
        "--json",
    ]);
    let json = json.json();
    assert_eq!(
        (&json["n_labels"], &json["n_merged"], &json["n_senses"]),
        (&30.into(), &10.into(), &40.into())
    );
    for line in scene.read("deep/down/train.tsv").lines() {
        let (labels, text) = line.split_once('\t').unwrap();
        assert_eq!((labels.split(',').count(), text.split(' ').count()), (2, 3 + 2 * 2 + 1));
    }
}

#[test]
fn numbers_that_make_no_sense_are_refused_before_anything_is_made() {
    let scene = Scene::new();
    let refused = |more: &[&str]| {
        let ran = scene.run(&[&["synth", "multi-sense", "--out", "data"], more].concat());
        assert!(scene.names().is_empty());
        ran.message(2).to_owned()
    };
    assert!(refused(&["--merge", "1.5"]).contains("merge is 1.5, expected a share from 0 to 1"));
    assert!(refused(&["--max-labels", "50"]).contains("max_labels is 50, expected at most 40"));
    let ran = scene.run(&["synth", "multi-sense"]);
    assert_eq!(ran.0.status.code(), Some(2), "{}", ran.stderr());
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let scene = Scene::new();
    scene.write("data", "a file");
    let ran = scene.run(&SMALL);
    assert!(ran.message(1).contains("cannot make the directory data"), "{}", ran.stderr());
    assert_eq!((scene.names(), scene.read("data")), (vec!["data".to_owned()], "a file".to_owned()));
}

#[test]
fn a_model_learns_the_labels_of_made_data() {
    let scene = Scene::new();
    scene.run(&SMALL).ok();
    let train = ["train", "--train", "data/train.tsv", "--model", "model", "--vectorizer", "words:1-1"];
    scene.run(&train).ok();
    let scores = scene.run(&["eval", "--model", "model", "--test", "data/test.tsv", "--json"]).json();
    // 53.6 when this was written, 56.8 and 53.2 with seeds 1 and 2; the most frequent label alone has 3.8.
    assert!(scores["p@1"].as_f64().unwrap() > 48.0, "{scores}");
    assert_eq!(scores["n"], 500);
}

/// A shape small enough for a test.
const SHAPED: [&str; 6] = ["synth", "amazon-670k", "--scale", "0.004", "--out", "data"];

#[test]
fn shaped_data_can_be_trained_on_in_either_form() {
    let scene = Scene::new();
    let told = scene.run(&SHAPED).ok();
    assert!(told.contains("1,962 records to train on") && told.contains("2,680 labels"), "{told}");
    scene.run(&[&SHAPED[..], &["--format", "xc"]].concat()).ok();
    let names = std::fs::read_dir(scene.path("data")).unwrap().map(|entry| entry.unwrap().file_name());
    let names: BTreeSet<String> = names.map(|name| name.into_string().unwrap()).collect();
    let expected = ["X.trn.npz", "X.tst.npz", "Y.trn.npz", "Y.tst.npz", "test.txt", "train.txt"];
    assert!(names.iter().eq(expected), "{names:?}");
    let train = |model, data: &[&str]| {
        scene.run(&[&["train", "--model", model, "--no-timestamps"], data].concat()).ok();
    };
    train("matrices", &["--train", "data/X.trn.npz", "--train-labels", "data/Y.trn.npz"]);
    train("text", &["--train", "data/train.txt"]);
    let scores =
        |model: &str, data: &[&str]| scene.run(&[&["eval", "--json", "--model", model], data].concat()).ok();
    let matrices = scores("matrices", &["--test", "data/X.tst.npz", "--test-labels", "data/Y.tst.npz"]);
    assert_eq!(matrices, scores("text", &["--test", "data/test.txt"]));
    let scores: serde_json::Value = serde_json::from_str(&matrices).unwrap();
    // By chance it is well below 1.
    assert!(scores["p@1"].as_f64() > Some(20.0), "{scores}");
}

#[test]
fn shaped_data_are_the_same_for_the_same_seed_at_any_number_of_threads() {
    let scene = Scene::new();
    let made = |out: &str, more: &[&str]| {
        let synth = ["synth", "eurlex-4k", "--scale", "0.02", "--out", out];
        scene.run(&[&synth[..], more].concat()).ok();
        scene.bytes_of(out)
    };
    let first = made("a", &[]);
    assert!(first == made("b", &["--threads", "1", "--seed", "0"]));
    assert!(first != made("c", &["--seed", "1"]));
    let ran = scene.run(&["synth", "eurlex-4k", "--scale", "0", "--out", "d"]);
    assert!(ran.message(2).contains("--scale"), "{}", ran.message(2));
    let ran = scene.run(&["synth", "wiki10-31k", "--scale", "0.001", "--out", "d"]);
    assert!(ran.message(2).contains("labels_per_record"), "{}", ran.message(2));
    assert!(!scene.path("d").exists());
}
