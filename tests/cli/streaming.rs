//! Prediction on input that comes slowly, never ends, or is not wanted any more.

use crate::scene::Scene;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::ChildStdin;

const PREDICT: [&str; 5] = ["predict", "--model", "model", "-k1", "-"];

#[test]
fn a_line_is_answered_before_the_next_one_comes() {
    let scene = Scene::with_model();
    let mut child = scene.spawn(&PREDICT);
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for (text, label) in [("wool sweater", "knitwork"), ("mushroom spore", "fungi"), ("mast keel", "sailing")]
    {
        writeln!(stdin, "{text}").unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["labels"][0]["label"], label);
    }
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Writes lines until the reader goes; returns how many.
fn feed_forever(mut stdin: ChildStdin) -> usize {
    (0..).take_while(|i| writeln!(stdin, "galaxy orbit {i}").is_ok()).count()
}

#[test]
fn endless_input_ends_quietly_when_its_reader_goes() {
    let scene = Scene::with_model();
    let mut child = scene.spawn(&PREDICT);
    let stdin = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || feed_forever(stdin));
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert!(line.contains("astronomy"), "{line}");
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert!(feeder.join().unwrap() > 0);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_input() {
    const LINES: usize = 30_000;
    let scene = Scene::with_model();
    let mut child = scene.spawn(&PREDICT);
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let text = format!("rose {}\n", "x".repeat(2000));
    let mut peaks = Vec::new();
    // The first round brings buffers to their size; 120 MB of text follow.
    for _ in 0..3 {
        std::thread::scope(|scope| {
            scope.spawn(|| (0..LINES).for_each(|_| stdin.write_all(text.as_bytes()).unwrap()));
            let mut line = String::new();
            (0..LINES).for_each(|_| {
                line.clear();
                assert!(stdout.read_line(&mut line).unwrap() > 0);
            });
        });
        peaks.push(peak_kilobytes(child.id()));
    }
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(peaks[2] < peaks[0] + 30_000, "{peaks:?} kB");
}

#[cfg(target_os = "linux")]
fn peak_kilobytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn answers_keep_the_order_and_the_ids_of_the_records() {
    let scene = Scene::with_model();
    let record = |i: usize| format!("{{\"id\": \"r{i}\", \"text\": \"star {i}\"}}\n");
    let input: String = (0..20_000).map(record).collect();
    let out = scene.run_on(&["predict", "--model", "model", "--format", "jsonl", "-k1", "-"], &input).ok();
    let ids: Vec<String> = out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids, (0..20_000).map(|i| format!("r{i}")).collect::<Vec<_>>());
}

#[test]
fn a_file_gets_what_standard_output_would_and_times_are_told() {
    let scene = Scene::with_model();
    let printed = scene.run(&["predict", "--model", "model", "test.tsv"]).ok();
    let args = ["predict", "--model", "model", "--input", "test.tsv", "--output", "out.jsonl", "--json"];
    let stats = scene.run(&args).json();
    assert_eq!(scene.read("out.jsonl"), printed);
    assert_eq!(stats["queries"], 80);
    assert!(stats["us_per_query"].as_f64().unwrap() > 0.0);
    let ran = scene.run(&["predict", "--model", "model", "test.tsv", "--json"]);
    assert_eq!(ran.stdout(), printed);
    assert_eq!(serde_json::from_str::<Value>(ran.stderr()).unwrap()["queries"], 80);
}
