//! Options beyond the plain way: scopes, given labels, taxonomies, presets, several trees.

use crate::scene::Scene;
use xmc::Csr;
use xmc_data::write_npz;

/// The lines of `predict` for two texts, as `(record, label)`.
fn predicted(scene: &Scene, options: &[&str]) -> Vec<(String, String)> {
    scene.write("new.txt", "rose petal\nsteel furnace\n");
    let mut args = vec!["predict", "--model", "model", "new.txt", "--output-format", "tsv", "--beam", "all"];
    args.extend(options);
    let out = scene.run(&args).ok();
    // The first line names the columns: record, rank, key, label, score.
    let fields = |line: &str| line.split('\t').map(str::to_owned).collect::<Vec<_>>();
    let rows = out.lines().skip(1).map(fields);
    rows.map(|row| (row[0].clone(), row[3].clone())).collect()
}

#[test]
fn predictions_can_be_kept_to_some_labels() {
    let scene = Scene::with_model();
    scene.write("shop.txt", "sailing\nfungi\n");
    let only = predicted(&scene, &["--only", "shop.txt"]);
    assert_eq!(only.len(), 4);
    assert!(only.iter().all(|(_, label)| label == "sailing" || label == "fungi"), "{only:?}");
    let not = predicted(&scene, &["--not", "shop.txt"]);
    assert_eq!(not.len(), 12);
    assert!(not.iter().all(|(_, label)| label != "sailing" && label != "fungi"), "{not:?}");
    let below = predicted(&scene, &["--below", "0:0"]);
    assert!(!below.is_empty() && below.len() < 16, "{below:?}");
    scene.write("wrong.txt", "sailing\nhorses\n");
    let ran = scene.run(&["predict", "--model", "model", "new.txt", "--only", "wrong.txt"]);
    assert!(
        ran.message(2).contains("wrong.txt, line 2: the model has no label 'horses'"),
        "{}",
        ran.message(2)
    );
}

#[test]
fn labels_are_clustered_by_a_matrix_of_theirs() {
    let scene = Scene::with_model();
    let n_labels = scene.run(&["inspect", "--model", "model", "--json"]).json()["n_labels"].as_u64().unwrap();
    let kinds = |n: u64| Csr::from_rows(2, (0..n).map(|label| [(label as u32 % 2, 1.0)])).unwrap();
    write_npz(scene.path("kinds.npz"), &kinds(n_labels)).unwrap();
    write_npz(scene.path("short.npz"), &kinds(n_labels - 1)).unwrap();
    let given = ["--label-features", "pifa-lf-concat", "--label-matrix"];
    scene.train("train.tsv", "kinds", &[&given[..], &["kinds.npz"]].concat());
    let sources = scene.run(&["inspect", "--model", "kinds", "--json"]).json()["sources"].to_string();
    assert!(sources.contains("kinds.npz"), "{sources}");
    let train = ["train", "--train", "train.tsv", "--model", "other"];
    let short = scene.run(&[&train[..], &given, &["short.npz"]].concat());
    assert!(short.message(1).contains("own features"), "{}", short.message(1));
    let unused =
        scene.run(&[&train[..], &["--label-features", "pii", "--label-matrix", "kinds.npz"]].concat());
    assert!(unused.message(2).contains("no part in"), "{}", unused.message(2));
}

#[test]
fn given_labels_get_their_scores() {
    let scene = Scene::with_model();
    scene.write("new.txt", "rose petal\nsteel furnace\n");
    scene.write("given.tsv", "sailing\troses\nfungi\n");
    let args = ["predict", "--model", "model", "new.txt", "--score", "given.tsv", "--output-format", "tsv"];
    let out = scene.run(&args).ok();
    let labels: Vec<&str> = out.lines().skip(1).map(|line| line.split('\t').nth(3).unwrap()).collect();
    assert_eq!(labels, ["roses", "sailing", "fungi"]);
    scene.write("given.tsv", "sailing\n");
    let ran = scene.run(&args);
    assert!(ran.message(2).contains("expected a line for each record"), "{}", ran.message(2));
}

#[test]
fn a_taxonomy_becomes_the_tree_and_a_broken_one_is_refused() {
    let scene = Scene::with_model();
    let places = [
        ("roses", "nature/plants"),
        ("fungi", "nature/plants"),
        ("chromosomes", "nature/cells"),
        ("metallurgy", "craft"),
        ("knitwork", "craft"),
        ("sailing", "craft/sea"),
        ("astronomy", "sky"),
        ("sign language", "people"),
    ];
    let lines: Vec<String> = places.iter().map(|(label, path)| format!("{label}\t{path}\n")).collect();
    scene.write("tree.tsv", lines.concat());
    let train = ["train", "--train", "train.tsv", "--model", "by-hand", "--taxonomy", "tree.tsv"];
    scene.run(&train).ok();
    assert!(scene.run(&["eval", "--model", "by-hand", "--test", "test.tsv", "--json"]).ok().contains("p@1"));
    let refused = |text: &str, expected: &str| {
        scene.write("tree.tsv", text);
        let ran = scene.run(&train);
        let message = ran.message(1);
        assert!(message.contains("tree.tsv") && message.contains(expected), "{message}");
    };
    refused(&format!("{}roses\tcraft\n", lines.concat()), "line 9");
    refused(&lines[1..].concat(), "roses");
    refused(&format!("{}horses\tnature\n", lines.concat()), "line 9");
    scene.write("tree.tsv", "roses\tplants\nplants\troses\n");
    let ran = scene.run(&[&train[..], &["--taxonomy-format", "parents"]].concat());
    assert!(ran.message(1).contains("circle"), "{}", ran.message(1));
}

#[test]
fn a_preset_goes_before_the_defaults_and_options_before_it() {
    let scene = Scene::with_model();
    let params = |args: &[&str]| -> toml::Table {
        scene.run(&[&["train", "--print-params"], args].concat()).ok().parse().unwrap()
    };
    assert_eq!(params(&["--preset", "accurate"])["n_trees"].as_integer(), Some(3));
    assert_eq!(params(&["--preset", "accurate", "--trees", "2"])["n_trees"].as_integer(), Some(2));
    assert_eq!(params(&["--preset", "fast"])["n_trees"].as_integer(), Some(1));
}

#[test]
fn several_trees_train_and_predict_from_the_command_line() {
    let scene = Scene::with_model();
    let small = ["--branching", "2", "--max-leaf", "2", "--trees", "3", "--combine", "rank-average"];
    scene.run(&[&["train", "--train", "train.tsv", "--model", "forest"], &small[..]].concat()).ok();
    let scores = scene.run(&["eval", "--model", "forest", "--test", "test.tsv", "--json"]).json();
    assert!(scores["p@1"].as_f64().unwrap() > 90.0, "{scores}");
    assert!(scene.run(&["inspect", "--model", "forest", "--verify"]).ok().contains("forest"));
}
