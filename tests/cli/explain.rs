//! What the command says of its predictions.

use crate::scene::Scene;
use serde_json::Value;
use xmc_data::write_npz;
use xmc_sparse::Csr;

const EXPLAIN: [&str; 3] = ["explain", "--model", "model"];

fn explain(scene: &Scene, more: &[&str]) -> String {
    scene.run(&[&EXPLAIN[..], more].concat()).ok()
}

fn explain_json(scene: &Scene, more: &[&str]) -> Vec<Value> {
    let out = explain(scene, &[&["--json"], more].concat());
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

/// Everything that is listed, added up.
fn sum(of: &Value) -> f64 {
    let side =
        |name: &str| of[name].as_array().unwrap().iter().map(|c| number(&c["contribution"])).sum::<f64>();
    number(&of["intercept"]) + number(&of["others"]) + side("up") + side("down")
}

#[test]
fn a_label_is_explained_by_its_way_and_its_words() {
    let scene = Scene::with_model();
    let text = explain(&scene, &["-k", "1", "--features", "2", "rose, petal, thorn and steel"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("roses  0.9"), "{text}");
    assert!(lines[1].starts_with("  root ") && lines[1].ends_with("   score  margin"), "{text}");
    assert!(lines[2].starts_with("  › cluster ") && lines[2].contains("  4 labels: "), "{text}");
    let label = lines.iter().position(|line| line.starts_with("  label  up    ")).unwrap();
    assert!(lines[label - 1].starts_with("  › roses "), "{text}");
    assert!(lines[label].contains("thorn +") && lines[label].contains(" others +"), "{text}");
    assert!(
        lines[label + 1].starts_with("         down  ") && lines[label + 1].contains("intercept -"),
        "{text}"
    );
    assert!(lines[label + 2].starts_with("  path   up    thorn +"), "{text}");
    assert!(lines[label + 3].starts_with("         down  and steel -"), "{text}");
    // Columns stand below one another.
    let column = |line: &str, word: &str| line[..line.find(word).unwrap()].chars().count() + word.len();
    let score = lines[0].split_once("  ").unwrap().1;
    assert_eq!(column(lines[1], "score"), column(lines[label - 1], score), "{text}");
}

#[test]
fn the_parts_in_json_add_up_to_the_margins() {
    let scene = Scene::with_model();
    for more in [&["--features", "1"][..], &["--features", "0"], &["--beam", "2", "--top-k", "5"]] {
        let args = [more, &["handbook of the rose and the galaxy", "star and mast"]].concat();
        let explained = explain_json(&scene, &args);
        assert_eq!(explained.len(), 2);
        let labels = explained.iter().flat_map(|line| line["labels"].as_array().unwrap());
        for path in labels.flat_map(|label| label["paths"].as_array().unwrap()) {
            let steps = path["steps"].as_array().unwrap();
            let margins: Vec<f64> = steps.iter().map(|step| number(&step["margin"])).collect();
            assert!((sum(&path["at_label"]) - margins[margins.len() - 1]).abs() < 1e-4, "{path}");
            assert!((sum(&path["along_path"]) - margins.iter().sum::<f64>()).abs() < 1e-4, "{path}");
            assert!(steps.len() > 1 && steps[0]["cluster"].is_number() && path["tree"] == 0, "{path}");
        }
    }
}

#[test]
fn labels_and_scores_are_those_of_predict() {
    let scene = Scene::with_model();
    let options =
        ["--model", "model", "-k", "4", "--beam", "3", "--post-processor", "sigmoid", "--input", "test.tsv"];
    let predicted = scene.run(&[&["predict"], &options[..]].concat()).ok();
    let explained = scene.run(&[&["explain", "--json"], &options[..]].concat()).ok();
    assert_eq!(predicted.lines().count(), 80);
    for (predicted, explained) in predicted.lines().zip(explained.lines()) {
        let [predicted, explained] =
            [predicted, explained].map(|line| serde_json::from_str::<Value>(line).unwrap());
        let pairs = |line: &Value| -> Vec<(Value, Value)> {
            let labels = line["labels"].as_array().unwrap();
            labels.iter().map(|label| (label["label"].clone(), label["score"].clone())).collect()
        };
        assert_eq!(pairs(&predicted), pairs(&explained));
        for label in explained["labels"].as_array().unwrap() {
            let step = &label["paths"][0]["steps"].as_array().unwrap().last().unwrap().clone();
            assert_eq!(step["label"], label["label"]);
            assert!((number(&step["score"]) - number(&label["score"])).abs() < 1e-5, "{label}");
        }
    }
}

#[test]
fn standard_input_and_files_are_explained_record_by_record() {
    let scene = Scene::with_model();
    let typed = explain_json(&scene, &["rose", "sail"]);
    let args = [&EXPLAIN[..], &["--json", "-"]].concat();
    let piped = scene.run_on(&args, "rose\nsail\n").ok();
    let piped: Vec<Value> = piped.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(piped, typed);
    assert_eq!(typed[1]["text"], "sail");
    scene.write("two.jsonl", "{\"id\": \"b7\", \"text\": \"rose\"}\n{\"text\": \"sail\"}\n");
    let text = explain(&scene, &["--input", "two.jsonl"]);
    assert!(text.starts_with("record b7: rose\n\nroses  "), "{text}");
    assert!(text.contains("\n\nrecord 1: sail\n\nsailing  "), "{text}");
    let text = explain(&scene, &["rose", "sail"]);
    assert!(text.starts_with("\"rose\"\n\nroses  ") && text.contains("\n\n\"sail\"\n\n"), "{text}");
    assert!(explain(&scene, &["rose"]).starts_with("roses  "));
}

#[test]
fn a_text_of_unknown_words_is_said_to_be_one() {
    let scene = Scene::with_model();
    let text = explain(&scene, &["zzz"]);
    assert!(text.starts_with("none of this text's n-grams is known to the model\n\n"), "{text}");
    assert_eq!(explain_json(&scene, &["zzz"])[0]["n_features"], 0);
}

#[test]
fn n_grams_of_several_vectorisers_are_told_apart() {
    let scene = Scene::with_model();
    scene.train("train.tsv", "mixed", &["--vectorizer", "words:1-2", "--vectorizer", "char_wb:3-4"]);
    let args = ["explain", "--model", "mixed", "-k", "1", "--features", "40", "rose"];
    let text = scene.run(&args).ok();
    assert!(text.contains("words:rose +") && text.contains("char_wb:␣ros +"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 110), "{text}");
    let json = scene.run(&[&args[..], &["--json"]].concat()).json();
    let up = json["labels"][0]["paths"][0]["at_label"]["up"].as_array().unwrap();
    assert!(up.iter().any(|c| c["feature"] == " ros" && c["vectorizer"] == "char_wb"), "{json}");
}

#[test]
fn the_ways_through_several_trees_are_told_apart() {
    let scene = Scene::with_model();
    scene.train("train.tsv", "forest", &["--trees", "2"]);
    let args = ["explain", "--model", "forest", "-k", "2", "rose thorn"];
    let text = scene.run(&args).ok();
    assert!(text.contains("\n  root of tree 0 ") && text.contains("\n  root of tree 1 "), "{text}");
    let json = scene.run(&[&args[..], &["--json"]].concat()).json();
    let trees: Vec<&Value> =
        json["labels"][0]["paths"].as_array().unwrap().iter().map(|path| &path["tree"]).collect();
    assert_eq!(trees, [0, 1]);
}

#[test]
fn features_without_names_are_numbered() {
    let scene = Scene::new();
    let x = Csr::from_rows(3, (0..40).map(|row| [(row % 2, 1.0), (2, 0.5)])).unwrap();
    let y = Csr::from_rows(2, (0..40).map(|row| [(row % 2, 1.0)])).unwrap();
    write_npz(scene.path("X.npz"), &x).unwrap();
    write_npz(scene.path("Y.npz"), &y).unwrap();
    scene.train("X.npz", "model", &["--train-labels", "Y.npz"]);
    let text = explain(&scene, &["--input", "X.npz", "-k", "1"]);
    assert!(text.starts_with("record 0\n\n0  ") && text.contains("feature[0] +"), "{text}");
    // A text is not what this model takes.
    let ran = scene.run(&["explain", "--model", "model", "rose"]);
    assert!(ran.message(1).contains("trained on features and cannot read text"), "{}", ran.stderr());
}

#[test]
fn bad_input_is_refused() {
    let scene = Scene::with_model();
    let message = |more: &[&str], code| scene.run(&[&EXPLAIN[..], more].concat()).message(code).to_owned();
    assert!(message(&[" "], 2).starts_with("a text to explain is empty"));
    assert!(message(&["--input", "none.tsv"], 1).contains("cannot open \"none.tsv\""));
    for (more, expected) in [
        (&[][..], "<TEXT>"),
        (&["--input", "test.tsv", "rose"], "cannot be used with"),
        (&["--dense", "d.npy", "rose"], "cannot be used with"),
        (&["-k", "0", "rose"], "expected at least 1"),
    ] {
        let ran = scene.run(&[&EXPLAIN[..], more].concat());
        assert_eq!(ran.0.status.code(), Some(2), "{}", ran.stderr());
        assert!(ran.stderr().contains(expected), "{expected}: {}", ran.stderr());
    }
}

#[test]
fn a_label_that_is_asked_for_is_explained_predicted_or_not() {
    let scene = Scene::with_model();
    let all = explain_json(&scene, &["--top-k", "8", "--beam", "all", "rose petal"]);
    let last = &all[0]["labels"].as_array().unwrap()[7];
    let name = last["label"].as_str().unwrap();
    let asked = explain_json(&scene, &["--label", name, "--beam", "all", "rose petal"]);
    assert_eq!(asked[0]["labels"].as_array().unwrap().len(), 1);
    // Another number of clusters in the last beam, the same way and the same sums.
    assert_eq!(&asked[0]["labels"][0], last);
    let ran = scene.run(&["explain", "--model", "model", "--label", "horses", "rose petal"]);
    assert!(ran.message(2).contains("the model has no label 'horses'"), "{}", ran.message(2));
}
