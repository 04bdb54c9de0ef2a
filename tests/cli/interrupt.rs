//! Ctrl-C.

#![cfg(unix)]

use crate::scene::{Scene, titles};
use std::io::Write;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

fn interrupt(child: &Child) {
    let sent = Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status().unwrap();
    assert!(sent.success());
}

/// Waits until a file under a temporary name is there.
fn wait_for_temporary(scene: &Scene, child: &mut Child) {
    let start = Instant::now();
    while !scene.names().iter().any(|name| name.ends_with(".tmp")) {
        assert!(start.elapsed() < Duration::from_secs(60), "nothing temporary: {:?}", scene.names());
        assert_eq!(child.try_wait().unwrap(), None, "ended before it could be interrupted");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn an_interrupted_training_leaves_the_old_model_and_nothing_else() {
    let scene = Scene::with_model();
    let before = scene.bytes_of("model");
    scene.write("train.tsv", titles(30_000));
    let names = scene.names();
    // No accuracy is enough: there is time to interrupt.
    let args =
        ["train", "--train", "train.tsv", "--model", "model", "--eps", "1e-30", "--max-iter", "100000"];
    let mut child = scene.spawn(&args);
    wait_for_temporary(&scene, &mut child);
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(String::from_utf8(output.stderr).unwrap().contains("xmc: interrupted"));
    assert_eq!(scene.names(), names);
    assert_eq!(scene.bytes_of("model"), before);
}

#[test]
fn an_interrupted_prediction_leaves_the_old_output_and_nothing_else() {
    let scene = Scene::with_model();
    scene.write("out.jsonl", "old");
    let names = scene.names();
    let mut child = scene.spawn(&["predict", "--model", "model", "-", "--output", "out.jsonl"]);
    // Kept open: waiting for a child closes its input, and at the end of its input it would be done.
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"a rose\n").unwrap();
    wait_for_temporary(&scene, &mut child);
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(input);
    assert_eq!(scene.names(), names);
    assert_eq!(scene.read("out.jsonl"), "old");
}
