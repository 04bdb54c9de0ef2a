//! From data to a model to predictions and scores.

use crate::scene::{Scene, titles};
use serde_json::Value;

#[test]
fn a_model_finds_the_labels_of_texts() {
    let scene = Scene::with_model();
    let out =
        scene.run_on(&["predict", "--model", "model", "-k", "2", "-"], "a rose petal\nsteel alloy\n").ok();
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["labels"][0]["label"], "roses");
    assert_eq!(lines[1]["labels"][0]["label"], "metallurgy");
    assert_eq!(lines[0]["labels"].as_array().unwrap().len(), 2);
    let score = lines[0]["labels"][0]["score"].as_f64().unwrap();
    assert!(score > 0.5 && score <= 1.0, "{score}");
}

#[test]
fn a_training_reports_sizes_stages_and_scores() {
    let scene = Scene::new();
    scene.write("train.tsv", titles(200));
    let report = scene.train("train.tsv", "model", &["--valid", "train.tsv", "--json"]);
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["n_samples"], &report["n_labels"]), (&200.into(), &8.into()));
    assert_eq!(report["model"], "model");
    for stage in ["read", "tfidf", "label_features", "tree", "weights", "valid"] {
        assert!(report["stages"][stage].is_number(), "{stage}: {report}");
    }
    assert!(report["model_bytes"].as_u64().unwrap() > 1000);
    assert!(report["n_weights"].as_u64().unwrap() > 8);
    assert!(report["valid"]["p@1"].as_f64().unwrap() > 90.0, "{report}");
}

#[test]
fn scores_come_as_one_json_object_or_as_a_table() {
    let scene = Scene::with_model();
    let eval = ["eval", "--model", "model", "--test", "test.tsv", "--at", "1,5"];
    let scores = scene.run(&[&eval[..], &["--json"]].concat()).json();
    assert!(scores["p@1"].as_f64().unwrap() > 90.0, "{scores}");
    assert_eq!((&scores["n"], &scores["unknown_labels"]), (&80.into(), &0.into()));
    assert!(scores["psp@5"].is_number() && scores.get("p@3").is_none());
    let table = scene.run(&eval).ok();
    assert!(table.starts_with("percent") && table.contains("nDCG"), "{table}");
}

#[test]
fn the_scores_of_a_training_are_those_of_eval() {
    let scene = Scene::with_model();
    let inside = scene.run(&["inspect", "--model", "model", "--json"]).json();
    let scores = scene.run(&["eval", "--model", "model", "--test", "test.tsv", "--json"]).json();
    for metric in ["p@1", "r@10", "ndcg@5", "psp@3"] {
        assert_eq!(inside["valid"][metric], scores[metric], "{metric}");
    }
}

#[test]
fn a_true_label_that_the_model_has_never_seen_counts_as_missed() {
    let scene = Scene::with_model();
    scene.write("known.tsv", "roses\tgarden rose petal\n");
    scene.write("more.tsv", "roses,beekeeping\tgarden rose petal\n");
    let eval = |test| scene.run(&["eval", "--model", "model", "--test", test, "--at", "1", "--json"]);
    assert_eq!(eval("known.tsv").json()["r@1"], 100.0);
    let ran = eval("more.tsv");
    assert!(ran.stderr().contains("1 label of which the training data have none"), "{}", ran.stderr());
    let scores = ran.json();
    assert_eq!((&scores["p@1"], &scores["r@1"]), (&100.0.into(), &50.0.into()));
    assert_eq!(scores["unknown_labels"], 1);
}

#[test]
fn the_command_line_goes_before_the_file_and_the_file_before_the_defaults() {
    let scene = Scene::new();
    scene.write("p.toml", "seed = 7\n[tree]\nbranching = 4\nmax_leaf = 9\n[linear.svm]\neps = 0.5\n");
    let args = ["train", "--params", "p.toml", "--branching", "8", "--min-df", "3", "--print-params"];
    let printed = scene.run(&args).ok();
    let params: toml::Table = printed.parse().unwrap();
    assert_eq!(params["seed"].as_integer(), Some(7));
    assert_eq!(params["tree"]["branching"].as_integer(), Some(8));
    assert_eq!(params["tree"]["max_leaf"].as_integer(), Some(9));
    assert_eq!(params["linear"]["svm"]["max_iter"].as_integer(), Some(100));
    assert_eq!(params["features"]["vectorizers"][0]["min_df"]["count"].as_integer(), Some(3));
    // What is printed is a file of parameters.
    scene.write("printed.toml", &printed);
    assert_eq!(scene.run(&["train", "--params", "printed.toml", "--print-params"]).ok(), printed);
}

#[test]
fn every_hyper_parameter_can_be_typed() {
    let scene = Scene::new();
    let typed = [
        "train",
        "--print-params",
        "--vectorizer",
        "words:1-2,binary",
        "--vectorizer",
        "char_wb:3-5,weight=0.5",
        "--tokenizer",
        "whitespace",
        "--min-df",
        "1",
        "--max-df",
        "0.5",
        "--max-features",
        "1000",
        "--sublinear-tf",
        "--idf",
        "pecos",
        "--norm",
        "l1",
        "--row-norm",
        "none",
        "--truncate",
        "50",
        "--no-lowercase",
        "--nfkc=false",
        "--label-rows",
        "0.5",
        "--label-features",
        "pii",
        "--label-sketch",
        "64",
        "--label-features-alpha",
        "0.25",
        "--clustering",
        "kmeans",
        "--max-depth",
        "7",
        "--sampling",
        "--trees",
        "2",
        "--combine",
        "rank-average",
        "--branching",
        "3",
        "--max-leaf",
        "4",
        "--min-codes",
        "5",
        "--kmeans-iter",
        "6",
        "--spherical=false",
        "--seeding",
        "linfa",
        "--kmeans-tolerance",
        "0.01",
        "--loss",
        "hinge,logistic",
        "--max-nonzeros",
        "100",
        "--negatives",
        "tfn,tfn+man",
        "--encoder-scale",
        "0.25",
        "--encoder-pooling",
        "cls",
        "--encoder-max-length",
        "64",
        "--matcher-beam",
        "20",
        "--relevance-mode",
        "induce",
        "--relevance-norm",
        "l2",
        "--tail-weights",
        "--cp",
        "2,3",
        "--cn",
        "0.5",
        "--eps",
        "0.25",
        "--max-iter",
        "7",
        "--bias",
        "0",
        "--threshold",
        "0.125",
        "--weights",
        "f32",
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
        "--beam",
        "20,10",
        "--top-k",
        "5",
        "--post-processor",
        "sigmoid",
        "--leaf-post-processor",
        "noop",
        "--min-score",
        "0.01",
        "--merge-copies",
        "max",
        "--seed",
        "9",
    ];
    let params: toml::Table = scene.run(&typed).ok().parse().unwrap();
    let default: toml::Table = scene.run(&["train", "--print-params"]).ok().parse().unwrap();
    let mut same = Vec::new();
    unchanged("", &default.into(), &params.into(), &mut same);
    // The seeds of the parts follow the one above them when training starts.
    same.retain(|name| !matches!(name.as_str(), ".tree.seed" | ".linear.seed"));
    // One vectorizer is by words as before.
    same.retain(|name| {
        !name.contains(".analyzer") && !name.contains(".ngram_range") && !name.contains(".weight")
    });
    assert!(same.is_empty(), "not changed: {same:?}");
}

/// The names of the values in which `a` and `b` are equal.
fn unchanged(name: &str, a: &toml::Value, b: &toml::Value, same: &mut Vec<String>) {
    match (a, b) {
        (toml::Value::Table(a), toml::Value::Table(b)) => {
            let both = a.iter().filter_map(|(key, value)| Some((key, value, b.get(key)?)));
            both.for_each(|(key, a, b)| unchanged(&format!("{name}.{key}"), a, b, same));
        }
        (toml::Value::Array(a), toml::Value::Array(b)) => {
            a.iter()
                .zip(b)
                .enumerate()
                .for_each(|(at, (a, b))| unchanged(&format!("{name}.{at}"), a, b, same));
        }
        _ if a == b => same.push(name.to_owned()),
        _ => {}
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_byte() {
    let scene = Scene::new();
    scene.write("train.tsv", titles(400));
    for threads in ["1", "2"] {
        scene.train("train.tsv", &format!("model-{threads}"), &["--threads", threads, "--no-timestamps"]);
    }
    assert_eq!(scene.bytes_of("model-1"), scene.bytes_of("model-2"));
}

#[test]
fn a_narrower_search_can_be_asked_for() {
    let scene = Scene::with_model();
    let predict = |more: &[&str]| {
        let args = [&["predict", "--model", "model", "-"], more].concat();
        let line: Value = serde_json::from_str(&scene.run_on(&args, "steel star\n").ok()).unwrap();
        line["labels"].as_array().unwrap().len()
    };
    assert_eq!(predict(&[]), 8);
    assert_eq!(predict(&["--top-k", "3"]), 3);
    // One cluster of two labels is left on the last level.
    assert_eq!(predict(&["--beam", "1"]), 2);
}

#[test]
fn a_training_says_what_it_did_and_quiet_leaves_notes_out() {
    let scene = Scene::new();
    scene.write("train.tsv", titles(64) + "no label column\n");
    let train = ["train", "--train", "train.tsv", "--model", "m", "--on-error", "skip"];
    let ran = scene.run(&train);
    assert!(
        ran.stderr().contains("left out 1 bad record; the first: \"train.tsv\", line 65"),
        "{}",
        ran.stderr()
    );
    let out = ran.ok();
    assert!(out.contains("64 records") && out.contains("8 labels") && out.contains("weights"), "{out}");
    let quiet = scene.run(&[&train[..], &["--quiet"]].concat());
    assert_eq!(quiet.stderr(), "");
    let verbose = scene.run(&[&train[..], &["-v"]].concat());
    assert!(verbose.stderr().contains("weights: "), "{}", verbose.stderr());
}

#[test]
fn help_gives_examples_and_exit_codes() {
    let scene = Scene::new();
    let help = scene.run(&["--help"]).ok();
    assert!(help.contains("Examples:") && help.contains("Exit codes:") && help.contains("130"), "{help}");
    for verb in ["train", "predict", "eval", "inspect"] {
        let help = scene.run(&[verb, "--help"]).ok();
        assert!(help.contains("Examples:") && help.contains(&format!("xmc {verb} --")), "{help}");
    }
    let train = scene.run(&["train", "--help"]).ok();
    assert!(train.contains("[default: 16]") && train.contains("[default: l3-hinge]"), "{train}");
}
