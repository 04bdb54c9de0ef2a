//! The formats that data come in and predictions go out in.

use crate::scene::{Scene, titles};
use serde_json::{Value, json};
use std::io::Write;
use xmc_data::{Columns, read_npz, write_npy, write_npz};
use xmc_sparse::Csr;

/// The titles as pairs of labels and text.
fn pairs(n: usize) -> Vec<(Vec<String>, String)> {
    let parse = |line: &str| {
        let (labels, text) = line.split_once('\t').unwrap();
        (labels.split(',').map(str::to_owned).collect(), text.to_owned())
    };
    titles(n).lines().map(parse).collect()
}

/// Trains on each form of the same data: the models must be equal but for their provenance.
#[test]
fn tsv_json_lines_csv_and_compressed_files_give_the_same_model() {
    let scene = Scene::new();
    scene.write("d.tsv", titles(200));
    let line =
        |(labels, text): (Vec<String>, String)| format!("{}\n", json!({"text": text, "labels": labels}));
    scene.write("d.jsonl", pairs(200).into_iter().map(line).collect::<String>());
    let row = |(labels, text): (Vec<String>, String)| format!("\"{}\";{text}\n", labels.join("|"));
    scene.write("d.csv", "tags;title\n".to_owned() + &pairs(200).into_iter().map(row).collect::<String>());
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(titles(200).as_bytes()).unwrap();
    scene.write("d.tsv.gz", gzip.finish().unwrap());
    let csv = [
        "--text-column",
        "title",
        "--label-column",
        "tags",
        "--label-separator",
        "|",
        "--csv-delimiter",
        ";",
    ];
    let forms: [(&str, &[&str]); 4] = [("d.tsv", &[]), ("d.jsonl", &[]), ("d.csv", &csv), ("d.tsv.gz", &[])];
    let models = forms.map(|(file, options)| {
        scene.train(file, "model", &[options, &["--no-timestamps"]].concat());
        let mut files = scene.bytes_of("model");
        files.retain(|(name, _)| name != "manifest.json");
        files
    });
    assert!(models.iter().all(|model| *model == models[0]));
}

#[test]
fn the_names_of_labels_come_from_a_file_of_labels() {
    let scene = Scene::new();
    scene.write("train.tsv", "p1\ta red rose\np1\tred rose garden\np2\tsteel alloy\np2\talloy of steel\n");
    scene.write("labels.tsv", "p1\troses\np2\tmetallurgy\np3\tnothing here\n");
    scene.train("train.tsv", "model", &["--labels", "labels.tsv", "--min-df", "1"]);
    let out = scene.run_on(&["predict", "--model", "model", "-k", "1", "-"], "rose\n").ok();
    let line: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&line["labels"][0]["label"], &line["labels"][0]["key"]), (&"roses".into(), &"p1".into()));
    let json = scene.run(&["inspect", "--model", "model", "--json"]).json();
    assert_eq!(json["n_labels"], 3);
    // The test data may call them by name.
    scene.write("test.tsv", "roses\trose\n");
    let scores = scene.run(&["eval", "--model", "model", "--test", "test.tsv", "--at", "1", "--json"]).json();
    assert_eq!(scores["p@1"], 100.0);
}

#[test]
fn matrices_go_in_and_out() {
    let scene = Scene::new();
    scene.write_matrices();
    scene.train("X.npz", "model", &["--train-labels", "Y.npz"]);
    let eval =
        ["eval", "--model", "model", "--test", "X.npz", "--test-labels", "Y.npz", "--at", "1", "--json"];
    assert_eq!(scene.run(&eval).json()["p@1"], 100.0);
    scene.run(&["predict", "--model", "model", "X.npz", "--output", "S.npz", "-k", "3"]).ok();
    let scores = read_npz(scene.path("S.npz"), Columns::Features).unwrap();
    assert_eq!((scores.n_rows(), scores.n_cols(), scores.nnz()), (60, 4, 180));
    let best = scores.row(5).iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert_eq!(best.0, 1);
}

#[test]
fn a_given_tree_is_used() {
    let scene = Scene::new();
    scene.write_matrices();
    // PECOS's form: rows are children, columns parents.
    let top = Csr::from_rows(1, [[(0, 1.0)], [(0, 1.0)]]).unwrap();
    let leaves = Csr::from_rows(2, [[(0, 1.0)], [(1, 1.0)], [(0, 1.0)], [(1, 1.0)]]).unwrap();
    write_npz(scene.path("C0.npz"), &top).unwrap();
    write_npz(scene.path("C1.npz"), &leaves).unwrap();
    scene.train("X.npz", "model", &["--train-labels", "Y.npz", "--tree", "C0.npz,C1.npz"]);
    let tree = scene.run(&["inspect", "--model", "model", "--tree"]).ok();
    let expected =
        "root: 4 labels\n  cluster 0: 2 labels\n    0 0\n    2 2\n  cluster 1: 2 labels\n    1 1\n    3 3\n";
    assert_eq!(tree, expected);
}

#[test]
fn dense_features_stand_beside_text() {
    let scene = Scene::new();
    scene.write("train.tsv", titles(64));
    let dense = ndarray::Array2::from_shape_fn((64, 3), |(row, col)| ((row % 8) * (col + 1)) as f32 / 8.0);
    write_npy(scene.path("D.npy"), dense.view()).unwrap();
    scene.train("train.tsv", "model", &["--dense", "D.npy"]);
    assert_eq!(scene.run(&["inspect", "--model", "model", "--json"]).json()["n_dense"], 3);
    scene.run(&["predict", "--model", "model", "train.tsv", "--dense", "D.npy"]).ok();
    let ran = scene.run(&["predict", "--model", "model", "train.tsv"]);
    assert!(ran.message(1).contains("number of dense features"), "{}", ran.stderr());
}

#[test]
fn the_extreme_classification_format_is_read() {
    let scene = Scene::new();
    let row = |i: usize| format!("{} {}:1 {}:{}\n", i % 4, 2 * (i % 4), 2 * (i % 4) + 1, 1 + i % 3);
    scene.write("d.xc", "60 8 4\n".to_owned() + &(0..60).map(row).collect::<String>());
    scene.train("d.xc", "model", &[]);
    let scores = scene.run(&["eval", "--model", "model", "--test", "d.xc", "--at", "1", "--json"]).json();
    assert_eq!(scores["p@1"], 100.0);
}

#[test]
fn a_table_has_a_line_for_each_label() {
    let scene = Scene::with_model();
    let args = ["predict", "--model", "model", "--output-format", "tsv", "-k", "2", "-"];
    let table = scene.run_on(&args, "yarn needle\ndeaf gesture\n").ok();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows[0], ["record", "rank", "key", "label", "score"]);
    assert_eq!(rows[1][..4], ["0", "1", "knitwork", "knitwork"]);
    assert_eq!((rows[3][0], rows[3][3]), ("1", "sign language"));
    assert_eq!(rows.len(), 5);
}
