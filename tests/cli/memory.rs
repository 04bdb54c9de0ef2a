//! Trainings within a limit of memory, and dry runs.

use crate::scene::{Scene, titles};

#[test]
fn a_dry_run_tells_each_stage_and_leaves_nothing() {
    let scene = Scene::new();
    scene.write("train.tsv", titles(400));
    let args = ["train", "--train", "train.tsv", "--dry-run", "--branching", "2", "--max-leaf", "2"];
    let shown = scene.run(&args).ok();
    for part in [
        "stage",
        "read",
        "tfidf",
        "label_features",
        "tree",
        "weights",
        "in all",
        "100 records and 400 records",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let plan = scene.run(&[&args[..], &["--json", "--memory", "100MiB"]].concat()).json();
    assert_eq!(plan["memory_limit"], 100 << 20);
    let stages = plan["stages"].as_array().unwrap();
    assert!(stages.iter().all(|stage| stage["memory_bytes"].as_u64().unwrap() <= 100 << 20), "{plan}");
    scene.run(&[&args[..], &["--model", "m"]].concat()).ok();
    assert_eq!(std::fs::read_dir(scene.path(".")).unwrap().count(), 1);
}

#[test]
fn a_limit_is_said_kept_or_refused() {
    let scene = Scene::new();
    scene.write("train.tsv", titles(400));
    let train = |memory| scene.run(&["train", "--train", "train.tsv", "--model", "m", "--memory", memory]);
    let refused = train("2MiB");
    let refused = refused.message(1);
    assert!(refused.contains("within 2097152 bytes") && refused.contains("at least"), "{refused}");
    assert!(!scene.path("m").exists());
    train("100MiB").ok();
    let params = scene.run(&["inspect", "--model", "m", "--json"]).json()["params"].clone();
    assert!(params["linear"]["part_weights"].as_u64().is_some(), "{params}");
    let refused = scene.run(&["train", "--train", "train.tsv", "--dry-run", "--encoder", "nowhere"]);
    let refused = refused.message(2);
    assert!(refused.contains("--dry-run") && refused.contains("an encoder"), "{refused}");
}
