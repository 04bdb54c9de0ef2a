//! `xmc convert`, and its directories in the place of files.

use crate::scene::{Scene, titles};
use serde_json::Value;

const SMALL: [&str; 7] = ["--branching", "2", "--max-leaf", "2", "--no-timestamps", "--quiet", "--min-df=1"];

/// The files of a model; the manifest without the files that it was made from.
fn model_files(scene: &Scene, model: &str) -> Vec<(String, Vec<u8>)> {
    let mut files = scene.bytes_of(model);
    for (name, bytes) in &mut files {
        if name == "manifest.json" {
            let mut manifest: Value = serde_json::from_slice(bytes).unwrap();
            assert!(manifest["meta"]["sources"].take().is_array());
            *bytes = manifest.to_string().into_bytes();
        }
    }
    files
}

fn train(scene: &Scene, model: &str, args: &[&str]) -> Vec<(String, Vec<u8>)> {
    scene.run(&[&["train", "--model", model], &SMALL[..], args].concat()).ok();
    model_files(scene, model)
}

#[test]
fn converted_data_train_the_same_model() {
    let scene = Scene::new();
    scene.write_matrices();
    scene.write("train.tsv", titles(200));
    scene.write("valid.tsv", titles(60));
    let names: String =
        ["roses", "metallurgy", "chromosomes", "sign language", "fungi", "knitwork", "sailing", "astronomy"]
            .iter()
            .enumerate()
            .map(|(at, name)| format!("p{at}\t{name}\n"))
            .collect();
    scene.write("labels.tsv", names);
    let convert = |args: &[&str]| scene.run(&[&["convert"], args].concat()).ok();
    let said = convert(&["--input", "X.npz", "--input-labels", "Y.npz", "--out", "xy"]);
    assert!(said.starts_with("xy: 60 records, 8 features, 4 labels, "), "{said}");
    convert(&["--input", "train.tsv", "--out", "train"]);
    convert(&["--input", "train.tsv", "--labels", "labels.tsv", "--output", "named"]);
    convert(&["--input", "valid.tsv", "--out", "valid"]);
    let matrices = train(&scene, "a", &["--train", "X.npz", "--train-labels", "Y.npz"]);
    assert_eq!(train(&scene, "b", &["--train", "xy"]), matrices);
    let texts = train(&scene, "a", &["--train", "train.tsv", "--valid", "valid.tsv"]);
    assert_eq!(train(&scene, "b", &["--train", "train", "--valid", "valid"]), texts);
    let args = ["--train", "train.tsv", "--labels", "labels.tsv", "--valid", "valid.tsv"];
    let with_names = train(&scene, "a", &args);
    assert_ne!(with_names, texts);
    assert_eq!(train(&scene, "b", &["--train", "named", "--valid", "valid"]), with_names);
    assert_eq!(
        train(&scene, "b", &["--train", "train", "--labels", "labels.tsv", "--valid", "valid"]),
        with_names
    );
    // What the model was made from is the directory, by its manifest.
    let sources = scene.run(&["inspect", "--model", "b", "--json"]).json()["sources"].clone();
    let manifest = xxhash_rust::xxh3::xxh3_64(scene.read("train/manifest.json").as_bytes());
    assert_eq!(
        (&sources[0]["path"], &sources[0]["xxh3"]),
        (&"train".into(), &format!("{manifest:016x}").into())
    );
}

#[test]
fn every_verb_takes_converted_data() {
    let scene = Scene::with_model();
    scene.run(&["convert", "--input", "test.tsv", "--out", "test"]).ok();
    scene.run(&["convert", "--input", "train.tsv", "--out", "train"]).ok();
    let eval = |test| scene.run(&["eval", "--model", "model", "--test", test]).ok();
    assert_eq!(eval("test"), eval("test.tsv"));
    let predict = |input| scene.run(&["predict", "--model", "model", input, "-k", "3"]).ok();
    assert_eq!(predict("test"), predict("test.tsv"));
    let bench = ["bench", "--model", "model", "--test", "test", "--repeats", "1", "--json"];
    assert!(scene.run(&bench).json()["batch"].is_array());
    let tune = |train| {
        let args =
            ["tune", "--train", train, "--trials", "2", "--branching", "2", "--max-leaf", "2", "--json"];
        scene.run(&args).json()["params"].clone()
    };
    assert_eq!(tune("train"), tune("train.tsv"));
    let disentangle = |train, out| {
        let args = ["disentangle", "--model", "model", "--train", train, "--out", out, "--no-timestamps"];
        scene.run(&args).ok();
        scene.bytes_of(out)
    };
    assert_eq!(disentangle("train", "a"), disentangle("train.tsv", "b"));
    let dry = ["train", "--train", "train", "--dry-run", "--branching", "2", "--max-leaf", "2"];
    assert!(scene.run(&dry).ok().contains("label_features"));
    let resume = [&["train", "--train", "train", "--model", "r", "--resume"], &SMALL[..]].concat();
    scene.run(&resume).ok();
}

#[test]
fn new_data_without_labels_are_converted_for_prediction() {
    let scene = Scene::with_model();
    scene.write("new.txt", "a red rose\nsteel alloy\n");
    let said = scene.run(&["convert", "--input", "new.txt", "--unlabelled", "--out", "new"]).ok();
    assert!(said.starts_with("new: 2 records, texts, no labels, "), "{said}");
    let predict = |input| scene.run(&["predict", "--model", "model", input]).ok();
    assert_eq!(predict("new"), predict("new.txt"));
    let refused = scene.run(&["train", "--train", "new", "--model", "m"]);
    assert!(refused.message(1).contains("converted without labels"), "{}", refused.stderr());
    let from_stdin = scene.run_on(&["convert", "--input", "-", "--out", "piped", "--json"], &titles(20));
    assert_eq!(from_stdin.json()["n_samples"], 20);
}

#[test]
fn converted_data_are_inspected_and_verified() {
    let scene = Scene::new();
    scene.write("d.tsv", titles(50));
    scene.run(&["convert", "--input", "d.tsv", "--out", "d"]).ok();
    let text = scene.run(&["inspect", "--data", "d"]).ok();
    for part in ["records    50", "features   text", "labels     8", "format version 1"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json = scene.run(&["inspect", "--data", "d", "--json"]).json();
    assert_eq!((&json["n_samples"], &json["labelling"]), (&50.into(), &"written".into()));
    assert!(scene.run(&["inspect", "--data", "d", "--sections"]).ok().contains("texts/ends"));
    let verify = ["inspect", "--data", "d", "--verify"];
    assert!(scene.run(&verify).ok().starts_with("d: whole ("));
    let mut bytes = std::fs::read(scene.path("d/texts.bytes.bin")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(scene.path("d/texts.bytes.bin"), bytes).unwrap();
    let ran = scene.run(&verify);
    let message = ran.message(1);
    assert!(message.starts_with("the data set is damaged: d/texts.bytes.bin: "), "{message}");
}

#[test]
fn what_is_wrong_with_a_directory_is_one_message() {
    let scene = Scene::with_model();
    scene.write_matrices();
    scene.run(&["convert", "--input", "test.tsv", "--out", "test"]).ok();
    scene.run(&["convert", "--input", "X.npz", "--input-labels", "Y.npz", "--out", "xy"]).ok();
    let before = scene.bytes_of("model");
    let refused = |args: &[&str], expected: &str| {
        let ran = scene.run(args);
        let message = ran.message(1);
        assert!(message.contains(expected) && message.lines().count() == 1, "{expected:?}: {message}");
    };
    refused(&["convert", "--input", "none.tsv", "--out", "d"], "cannot open \"none.tsv\"");
    refused(&["convert", "--input", "test.tsv", "--out", "model"], "exists and is not a data set alone");
    refused(&["train", "--train", "test", "--model", "xy"], "exists and is not a model alone");
    refused(
        &["eval", "--model", "model", "--test", "model"],
        "this is a model, where a data set is expected",
    );
    refused(&["eval", "--model", "test", "--test", "test"], "this is a data set, where a model is expected");
    refused(&["inspect", "--data", "model"], "this is a model, where a data set is expected");
    refused(
        &["train", "--train", ".", "--model", "m"],
        "is a directory, and none that 'xmc convert' has written",
    );
    refused(
        &["train", "--train", "xy", "--train-labels", "Y.npz", "--model", "m"],
        "cannot have a second file of labels",
    );
    let manifest = scene.read("test/manifest.json");
    scene.write("test/manifest.json", manifest.replace("\"version\": 1", "\"version\": 7"));
    refused(&["eval", "--model", "model", "--test", "test"], "format version 7, written by a newer xmc");
    let columns = std::fs::read(scene.path("xy/features.columns.bin")).unwrap();
    scene.write("xy/features.columns.bin", &columns[..columns.len() - 4]);
    refused(&["train", "--train", "xy", "--model", "m"], "truncated file");
    // A column that is none, which only a look at all of them finds.
    let wrong = [&columns[..64], &[0xff; 4], &columns[68..]].concat();
    scene.write("xy/features.columns.bin", wrong);
    refused(&["train", "--train", "xy", "--model", "m"], "the features of the mapped data set are damaged");
    assert_eq!(scene.bytes_of("model"), before);
    assert!(!scene.path("m").exists() && !scene.path("d").exists());
}
