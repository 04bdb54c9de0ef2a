//! What a model tells about itself.

use crate::scene::Scene;
use serde_json::Value;

#[test]
fn the_overview_has_sizes_provenance_and_scores() {
    let scene = Scene::with_model();
    let text = scene.run(&["inspect", "--model", "model"]).ok();
    for part in
        ["labels", "8", "train.tsv", "xxh3", "beam 10, top 10, l3-hinge", "On the validation data", "bf16"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json = scene.run(&["inspect", "--model", "model", "--json"]).json();
    assert_eq!((&json["n_labels"], &json["n_samples"]), (&8.into(), &400.into()));
    assert_eq!(json["sources"][0]["role"], "train");
    assert_eq!(json["sources"][0]["bytes"], scene.read("train.tsv").len());
    assert_eq!(json["tree"].as_array().unwrap().last(), Some(&8.into()));
}

#[test]
fn a_whole_model_is_verified_and_a_flipped_bit_found() {
    let scene = Scene::with_model();
    let verify = ["inspect", "--model", "model", "--verify"];
    assert!(scene.run(&verify).ok().contains("whole"));
    let sections = scene.run(&["inspect", "--model", "model", "--sections", "--json"]).json();
    let largest = sections.as_array().unwrap().iter().max_by_key(|s| s["bytes"].as_u64()).unwrap();
    let file = scene.path("model").join(largest["file"].as_str().unwrap());
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let ran = scene.run(&verify);
    let message = ran.message(1);
    assert!(message.contains("damaged") && message.contains("checksum"), "{message}");
}

#[test]
fn the_tree_is_printed_with_the_names_of_its_labels() {
    let scene = Scene::with_model();
    let tree = scene.run(&["inspect", "--model", "model", "--tree"]).ok();
    assert!(tree.starts_with("root: 8 labels\n"), "{tree}");
    for label in ["roses", "sign language", "astronomy"] {
        assert_eq!(tree.matches(label).count(), 1, "{tree}");
    }
    let top = scene.run(&["inspect", "--model", "model", "--tree", "--depth", "1"]).ok();
    assert!(!top.contains("roses") && top.contains("cluster 1: 4 labels"), "{top}");
    let json = scene.run(&["inspect", "--model", "model", "--tree", "--json"]).json();
    assert_eq!(names(&json).len(), 8);
}

fn names(node: &Value) -> Vec<String> {
    match node["children"].as_array() {
        Some(children) => children.iter().flat_map(names).collect(),
        None => vec![node["name"].as_str().unwrap().to_owned()],
    }
}

#[test]
fn the_parameters_of_a_model_train_the_same_model() {
    let scene = Scene::with_model();
    scene.train("train.tsv", "first", &["--no-timestamps", "--seed", "3", "--threshold", "0.05"]);
    let params = scene.run(&["inspect", "--model", "first", "--params"]).ok();
    scene.write("p.toml", params);
    let args =
        ["train", "--train", "train.tsv", "--model", "second", "--params", "p.toml", "--no-timestamps"];
    scene.run(&args).ok();
    assert_eq!(scene.bytes_of("first"), scene.bytes_of("second"));
}

#[test]
fn sections_are_listed_with_their_sizes() {
    let scene = Scene::with_model();
    let list = scene.run(&["inspect", "--model", "model", "--sections"]).ok();
    assert!(list.starts_with("section") && list.contains("labels/keys"), "{list}");
}
