//! Smaller models from trained ones.

use crate::scene::Scene;
use serde_json::Value;

fn report(scene: &Scene, args: &[&str]) -> Value {
    let args = [&["compress", "--model", "model", "--out", "small", "--json"][..], args].concat();
    scene.run(&args).json()
}

#[test]
fn a_compressed_model_predicts_and_is_smaller() {
    let scene = Scene::with_model();
    let done = report(&scene, &["--quantize", "int8", "--test", "test.tsv"]);
    let bytes = |side: &str| done[side]["bytes"].as_u64().unwrap();
    assert!(bytes("after") < bytes("before"), "{done}");
    let scores = done["scores"].as_array().unwrap();
    assert!((scores[0]["p@1"].as_f64().unwrap() - scores[1]["p@1"].as_f64().unwrap()).abs() < 5.0, "{done}");
    let shown = scene.run(&["inspect", "--model", "small"]).ok();
    assert!(shown.contains("int8"), "{shown}");
    let summary = scene.run(&["compress", "--model", "model", "--out", "small", "--threshold", "0.3"]).ok();
    assert!(summary.contains("none below 0.3000") && summary.contains(" % of "), "{summary}");
}

#[test]
fn a_budget_is_kept_or_refused() {
    let scene = Scene::with_model();
    let full = report(&scene, &[])["after"].clone();
    let all = full["bytes"].as_u64().unwrap();
    let least = report(&scene, &["--threshold", "1000"])["after"]["bytes"].as_u64().unwrap();
    let budget = (all + least) / 2;
    let done = report(&scene, &["--model-size", &format!("{budget}B")]);
    let found = done["after"]["bytes"].as_u64().unwrap();
    assert!(found <= budget && found > least, "{done}");
    assert!(done["after"]["n_weights"].as_u64() < full["n_weights"].as_u64());
    assert!(done["threshold"].as_f64().unwrap() > 0.0);
    let refused = scene.run(&["compress", "--model", "model", "--out", "never", "--model-size", "1KiB"]);
    let said = refused.message(1);
    assert!(said.contains("cannot take 1024 bytes") && !scene.path("never").exists(), "{said}");
}
