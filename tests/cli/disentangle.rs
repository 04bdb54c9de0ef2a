//! Labels in several clusters.

use crate::scene::Scene;
use serde_json::Value;

/// Labels of which most mean two things, 16 topics of 12 labels each.
fn scene() -> Scene {
    let scene = Scene::new();
    let synth = ["synth", "multi-sense", "--out", "data", "--train", "2500", "--test", "500"];
    let sizes = ["--topics", "16", "--labels-per-topic", "12", "--words", "2000"];
    scene.run(&[&synth[..], &sizes].concat()).ok();
    scene
}

fn train(scene: &Scene, model: &str, more: &[&str]) -> Value {
    let train = ["train", "--train", "data/train.tsv", "--model", model, "--json", "--no-timestamps"];
    let small = ["--vectorizer", "words:1", "--branching", "4", "--max-leaf", "6"];
    scene.run(&[&train[..], &small, more].concat()).json()
}

fn disentangle(scene: &Scene, out: &str, more: &[&str]) -> Value {
    let verb = ["disentangle", "--model", "plain", "--train", "data/train.tsv", "--out", out, "--json"];
    scene.run(&[&verb[..], &["--no-timestamps"], more].concat()).json()
}

fn eval(scene: &Scene, model: &str, beam: &str) -> Value {
    scene.run(&["eval", "--model", model, "--test", "data/test.tsv", "--beam", beam, "--json"]).json()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

/// The files of a model but for its manifest, which says how it was made.
fn weights_of(scene: &Scene, model: &str) -> Vec<(String, Vec<u8>)> {
    let files = scene.bytes_of(model).into_iter();
    files.filter(|(name, _)| name != "manifest.json").collect()
}

#[test]
fn copies_find_labels_where_a_narrow_search_looks() {
    let scene = scene();
    train(&scene, "plain", &[]);
    let report = disentangle(&scene, "copied", &[]);
    let tree = &report["trees"][0];
    assert!(number(&tree["copies"]) > 20.0, "{report}");
    assert!(number(&tree["covered"]) > number(&tree["covered_before"]), "{report}");
    // P@1 95.0 and 96.6, R@10 81.9 and 83.3, inner products 25.4 and 33.9 when this was written.
    let (plain, copied) = (eval(&scene, "plain", "2"), eval(&scene, "copied", "2"));
    let gain = |copied: &Value, metric| number(&copied[metric]) - number(&plain[metric]);
    assert!(gain(&copied, "p@1") > 0.5 && gain(&copied, "r@10") > 0.7, "{plain} {copied}");
    assert!(gain(&copied, "inner_products") < 0.4 * number(&plain["inner_products"]), "{plain} {copied}");
    // With the layers above as they are: P@1 96.4, R@10 87.9, inner products 32.4.
    disentangle(&scene, "kept", &["--keep-upper"]);
    let kept = eval(&scene, "kept", "2");
    assert!(gain(&kept, "p@1") > -0.5 && number(&kept["p@1"]) > 90.0, "{plain} {kept}");
    assert!(gain(&kept, "r@10") > 1.5, "{plain} {kept}");
    assert!(gain(&kept, "inner_products") < 0.35 * number(&plain["inner_products"]), "{plain} {kept}");
    let outline = scene.run(&["inspect", "--model", "copied", "--json"]).json();
    assert_eq!(outline["disentangled"], report["trees"]);
}

#[test]
fn copies_are_better_where_records_are_led_as_new_ones_would_be() {
    let scene = scene();
    train(&scene, "plain", &[]);
    disentangle(&scene, "copied", &["--folds", "1"]);
    let report = disentangle(&scene, "crossed", &[]);
    assert!(number(&report["trees"][0]["covered"]) > 1.1 * number(&report["trees"][0]["covered_before"]));
    // R@10 80.9 and 83.3, inner products 30.9 and 33.9 when this was written.
    let (copied, crossed) = (eval(&scene, "copied", "2"), eval(&scene, "crossed", "2"));
    let of = |value: &Value, name| number(&value[name]);
    assert!(of(&crossed, "r@10") > of(&copied, "r@10") + 1.0, "{copied} {crossed}");
    assert!(of(&crossed, "inner_products") < 1.2 * of(&copied, "inner_products"), "{copied} {crossed}");
    disentangle(&scene, "again", &["--threads", "1"]);
    assert_eq!(scene.bytes_of("again"), scene.bytes_of("crossed"));
}

#[test]
fn the_verb_and_the_option_of_train_give_the_same_bytes_at_any_number_of_threads() {
    let scene = scene();
    train(&scene, "plain", &[]);
    let one = disentangle(&scene, "one", &["--threads", "1"]);
    let two = disentangle(&scene, "two", &["--threads", "2"]);
    assert_eq!(one["trees"], two["trees"]);
    assert_eq!(scene.bytes_of("one"), scene.bytes_of("two"));
    for threads in ["1", "2"] {
        let report = train(&scene, "one-go", &["--copies", "2", "--threads", threads]);
        assert_eq!(report["disentangled"][0]["copies"], one["trees"][0]["copies"]);
        assert_eq!(weights_of(&scene, "one-go"), weights_of(&scene, "one"));
    }
}

#[test]
fn with_one_copy_labels_only_move() {
    let scene = scene();
    let off = train(&scene, "plain", &[]);
    assert!(off.get("disentangled").is_none());
    let options = ["--copies", "1", "--match-beam", "1"];
    let moved = train(&scene, "moved", &options);
    let tree = &moved["disentangled"][0];
    assert_eq!(tree["copies"], 0);
    assert!(number(&tree["moved"]) > 0.0, "{moved}");
    assert_ne!(weights_of(&scene, "moved"), weights_of(&scene, "plain"));
    disentangle(&scene, "moved-later", &options);
    assert_eq!(weights_of(&scene, "moved-later"), weights_of(&scene, "moved"));
}

#[test]
fn every_option_of_copies_can_be_typed() {
    let scene = Scene::new();
    let typed = [
        "train",
        "--print-params",
        "--copies",
        "3",
        "--match-beam",
        "5",
        "--folds",
        "3",
        "--copy-rule",
        "topk",
        "--min-gain",
        "0.25",
        "--max-leaf-factor",
        "0",
        "--rounds",
        "2",
        "--keep-places=false",
        "--keep-upper",
    ];
    let printed = scene.run(&typed).ok();
    let params: toml::Table = printed.parse().unwrap();
    let expected = "copies = 3\nmatch_beam = 5\nfolds = 3\nrule = 'topk'\nmin_gain = 0.25\nmax_leaf_factor = 0.0\nrounds = 2\nkeep_places = false\nkeep_upper = true\n";
    assert_eq!(params["disentangle"].as_table(), Some(&expected.parse().unwrap()));
    scene.write("printed.toml", &printed);
    assert_eq!(scene.run(&["train", "--params", "printed.toml", "--print-params"]).ok(), printed);
    let refused = |option, value| scene.run(&["train", "--print-params", option, value]);
    assert!(refused("--min-gain", "2").message(2).contains("min_gain"));
    assert!(refused("--max-leaf-factor", "0.5").message(2).contains("max_leaf_factor"));
    for option in ["--copies", "--match-beam", "--folds", "--rounds"] {
        assert_eq!(refused(option, "0").0.status.code(), Some(2), "{option}");
    }
}

#[test]
fn a_disentangled_model_keeps_the_search_that_is_typed_and_says_what_was_done() {
    let scene = scene();
    train(&scene, "plain", &[]);
    let verb = ["disentangle", "--model", "plain", "--train", "data/train.tsv", "--out", "copied"];
    let out = scene.run(&[&verb[..], &["--beam", "4", "--merge-copies", "max"]].concat()).ok();
    assert!(out.contains("further places") && out.contains("inner products a query"), "{out}");
    assert!(out.contains("match ") && out.contains("weights "), "{out}");
    let params = scene.run(&["inspect", "--model", "copied", "--params", "--json"]).json();
    assert_eq!(
        (&params["search"]["merge_copies"], &params["disentangle"]["copies"]),
        (&"max".into(), &2.into())
    );
    let as_stored = scene.run(&["eval", "--model", "copied", "--test", "data/test.tsv", "--json"]).json();
    assert_eq!(as_stored, eval(&scene, "copied", "4"));
}

#[test]
fn data_that_the_model_was_not_trained_on_are_refused_and_nothing_is_made() {
    let scene = scene();
    train(&scene, "plain", &[]);
    let refused = |data: &str| {
        let ran = scene.run(&["disentangle", "--model", "plain", "--train", data, "--out", "copied"]);
        assert_eq!(scene.names(), names_of(data));
        ran.message(1).to_owned()
    };
    let message = refused("data/test.tsv");
    assert!(message.contains("expected 2500 records, found 500"), "{message}");
    let text = scene.read("data/train.tsv");
    let (first, rest) = text.split_once('\n').unwrap();
    let (labels, words) = first.split_once('\t').unwrap();
    let other = if labels == "l000" { "l001" } else { "l000" };
    scene.write("other.tsv", format!("{other}\t{words}\n{rest}"));
    let message = refused("other.tsv");
    assert!(message.contains("these are not the data that the model was trained on: label '"), "{message}");
}

fn names_of(data: &str) -> Vec<String> {
    let mut names = vec!["data".to_owned(), "plain".to_owned()];
    if !data.contains('/') {
        names.push(data.to_owned());
    }
    names.sort();
    names
}
