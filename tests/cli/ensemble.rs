//! Several models in one command.

use crate::scene::{Scene, titles};

fn scene() -> Scene {
    let scene = Scene::new();
    scene.write("train.tsv", titles(200));
    scene.write("test.tsv", titles(80));
    scene.run(&["train", "--train", "train.tsv", "--model", "words"]).ok();
    scene.run(&["train", "--train", "train.tsv", "--model", "pieces", "--vectorizer", "char_wb:2-3"]).ok();
    scene
}

const BOTH: [&str; 4] = ["--model", "words", "--model", "pieces"];

#[test]
fn models_answer_together() {
    let scene = scene();
    let scores = |options: &[&str]| {
        let eval = ["eval", "--test", "test.tsv", "--json"];
        let scores = scene.run(&[&eval[..], options].concat()).ok();
        let scores: serde_json::Value = serde_json::from_str(&scores).unwrap();
        ["p@1", "inner_products"].map(|name| scores[name].as_f64().unwrap())
    };
    let [words, pieces, both] = [
        &["--model", "words"][..],
        &["--model", "pieces"],
        &[&BOTH[..], &["--combine", "softmax-average"]].concat(),
    ]
    .map(scores);
    assert!(both[0] > 60.0 && both[0] >= words[0].min(pieces[0]), "{words:?} {pieces:?} {both:?}");
    assert!((both[1] - words[1] - pieces[1]).abs() < 1e-6);
    let predict = [&["predict", "--top-k", "1", "-"], &BOTH[..]].concat();
    let answer = scene.run_on(&predict, "rose and petal\n").ok();
    assert!(answer.contains("roses"), "{answer}");
}

#[test]
fn models_of_other_labels_are_refused() {
    let scene = scene();
    scene.write("few.tsv", "a\tone text\nb\tanother text\n");
    scene.run(&["train", "--train", "few.tsv", "--model", "few"]).ok();
    let ran = scene.run(&["predict", "--model", "words", "--model", "few", "test.tsv"]);
    assert!(ran.message(2).contains("model 2 does not have the labels of model 1"), "{}", ran.message(2));
    let ran = scene.run(&[&["predict", "test.tsv", "--below", "0:0"], &BOTH[..]].concat());
    assert!(ran.message(2).contains("one --model"), "{}", ran.message(2));
    let ran = scene.run(&[&["eval", "--test", "test.tsv", "--post-processor", "noop"], &BOTH[..]].concat());
    assert!(ran.message(2).contains("softmax-average"), "{}", ran.message(2));
}
