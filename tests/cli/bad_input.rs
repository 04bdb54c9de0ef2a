//! Bad input: one clear message each, and no damage.

use crate::scene::{Scene, titles};
use xmc_data::write_npz;
use xmc_sparse::Csr;

/// A training that must fail, with the old model as it was and nothing left beside it.
#[track_caller]
fn refused(data: &[u8], file: &str, expected: &[&str]) {
    let scene = Scene::with_model();
    scene.write(file, data);
    let (names, before) = (scene.names(), scene.bytes_of("model"));
    let ran = scene.run(&["train", "--train", file, "--model", "model"]);
    let message = ran.message(1);
    expected.iter().for_each(|part| assert!(message.contains(part), "{part:?} is not in: {message}"));
    assert_eq!(message.lines().count(), 1, "{message}");
    assert_eq!(scene.names(), names);
    assert_eq!(scene.bytes_of("model"), before);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let scene = Scene::with_model();
    let ran = scene.run(&["train", "--train", "no-such.tsv", "--model", "model"]);
    assert_eq!(ran.message(1), "cannot open \"no-such.tsv\": No such file or directory (os error 2)");
    let ran = scene.run(&["predict", "--model", "model", "."]);
    assert!(ran.message(1).contains("is a directory"), "{}", ran.stderr());
    let ran = scene.run(&["predict", "--model", "nowhere", "test.tsv"]);
    assert!(ran.message(1).contains("nowhere: not a model directory"), "{}", ran.stderr());
}

#[test]
fn a_broken_line_is_located() {
    refused(b"a\tx\nno column of labels\n", "bad.tsv", &["\"bad.tsv\", line 2", "expected"]);
    refused(
        b"{\"text\": \"x\", \"labels\": [\"a\"]}\n{\"text\": \n",
        "bad.jsonl",
        &["\"bad.jsonl\", line 2"],
    );
    refused(b"a\tx\na\t\xff\n", "latin.tsv", &["line 2", "UTF-8"]);
}

#[test]
fn an_empty_file_is_refused() {
    refused(b"", "empty.tsv", &["\"empty.tsv\" is empty", "at least one record"]);
}

#[test]
fn data_without_a_label_are_refused() {
    refused(b"\tone\n\ttwo\n", "bare.tsv", &["none of the 2 records has a label", "before the TAB"]);
}

#[test]
fn a_feature_that_is_no_number_is_refused() {
    refused(b"2 3 2\n0 0:1\n1 1:nan\n", "nan.xc", &["line 3", "finite", "feature 1", "NaN"]);
}

#[test]
fn a_feature_id_out_of_range_is_refused() {
    refused(
        b"2 3 2\n0 0:1\n1 3:1\n",
        "range.xc",
        &["line 3", "feature id 3 is out of range", "0 to 3 exclusive"],
    );
}

#[test]
fn a_cut_compressed_file_is_refused() {
    refused(b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "cut.tsv.gz", &["cut.tsv.gz", "truncated"]);
}

#[test]
fn other_features_than_those_of_the_training_are_refused() {
    let scene = Scene::with_model();
    write_npz(scene.path("X.npz"), &Csr::from_rows(3, [[(0, 1.0)]]).unwrap()).unwrap();
    let ran = scene.run(&["predict", "--model", "model", "X.npz"]);
    assert!(ran.message(1).contains("number of sparse features"), "{}", ran.stderr());
}

#[test]
fn a_truncated_model_is_refused() {
    let scene = Scene::with_model();
    let sections = scene.run(&["inspect", "--model", "model", "--sections", "--json"]).json();
    let largest = sections.as_array().unwrap().iter().max_by_key(|s| s["bytes"].as_u64()).unwrap();
    let file = scene.path("model").join(largest["file"].as_str().unwrap());
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 5]).unwrap();
    let ran = scene.run(&["predict", "--model", "model", "test.tsv"]);
    let message = ran.message(1);
    assert!(message.contains("truncated file") && message.contains("copy the directory again"), "{message}");
    std::fs::remove_file(&file).unwrap();
    let ran = scene.run(&["predict", "--model", "model", "test.tsv"]);
    assert!(ran.message(1).contains("is missing"), "{}", ran.stderr());
}

#[test]
fn a_model_of_a_newer_version_is_refused() {
    let scene = Scene::with_model();
    let manifest = scene.read("model/manifest.json");
    let newer = manifest.replacen("\"version\": 1", "\"version\": 99", 1);
    assert_ne!(newer, manifest);
    scene.write("model/manifest.json", newer);
    let ran = scene.run(&["predict", "--model", "model", "test.tsv"]);
    let message = ran.message(1);
    assert!(
        message.contains("format version 99, written by a newer xmc") && message.contains("upgrade"),
        "{message}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_device_is_told() {
    let scene = Scene::with_model();
    let ran = scene.run(&["predict", "--model", "model", "test.tsv", "--output", "/dev/full"]);
    assert_eq!(ran.message(1), "writing /dev/full: No space left on device (os error 28)");
    let mut child = scene.command(&["predict", "--model", "model", "test.tsv"]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ran = crate::scene::Ran(child.stdout(full).output().unwrap());
    assert!(ran.message(1).contains("standard output: No space left"), "{}", ran.stderr());
}

/// A limit on the size of files stands for the full disk, which would take a file system of its own.
#[cfg(target_os = "linux")]
#[test]
fn a_write_that_fails_half_way_leaves_the_old_model_and_the_old_output() {
    let scene = Scene::with_model();
    scene.write("big.tsv", titles(3000));
    scene.write("out.jsonl", "old");
    let (names, before) = (scene.names(), scene.bytes_of("model"));
    // 25: SIGXFSZ, which would end the process before it could say anything.
    let limited = |args: &[&str]| {
        let mut command = std::process::Command::new("bash");
        command.args(["-c", "trap '' 25; ulimit -f 2; exec \"$@\"", "bash", env!("CARGO_BIN_EXE_xmc")]);
        crate::scene::Ran(command.args(args).current_dir(scene.path("")).output().unwrap())
    };
    let ran = limited(&["train", "--train", "big.tsv", "--model", "model"]);
    assert!(ran.message(1).contains("File too large"), "{}", ran.stderr());
    let ran = limited(&["predict", "--model", "model", "big.tsv", "--output", "out.jsonl"]);
    assert!(ran.message(1).starts_with("writing out.jsonl: File too large"), "{}", ran.stderr());
    assert_eq!(scene.names(), names);
    assert_eq!((scene.bytes_of("model"), scene.read("out.jsonl")), (before, "old".to_owned()));
}

#[test]
fn a_directory_of_something_else_is_not_replaced() {
    let scene = Scene::with_model();
    std::fs::create_dir(scene.path("photos")).unwrap();
    scene.write("photos/cat.jpg", "meow");
    let ran = scene.run(&["train", "--train", "train.tsv", "--model", "photos"]);
    assert!(ran.message(1).contains("cat.jpg"), "{}", ran.stderr());
    assert_eq!(scene.read("photos/cat.jpg"), "meow");
}

#[test]
fn input_that_cannot_be_read_leaves_the_old_output() {
    let scene = Scene::with_model();
    scene.write("out.jsonl", "old");
    scene.write("bad.jsonl", "{\"text\": \"rose\"}\n{\"text\": 7}\n");
    let ran = scene.run(&["predict", "--model", "model", "bad.jsonl", "--output", "out.jsonl"]);
    assert!(ran.message(1).contains("line 2"), "{}", ran.stderr());
    assert_eq!(scene.read("out.jsonl"), "old");
}

/// What was typed is wrong: exit code 2.
#[track_caller]
fn misused(args: &[&str], expected: &str) {
    let ran = Scene::with_model().run(args);
    assert_eq!(ran.0.status.code(), Some(2), "{}", ran.stderr());
    assert!(ran.stderr().contains(expected), "{expected:?} is not in: {}", ran.stderr());
}

#[test]
fn wrong_usage_has_an_exit_code_of_its_own() {
    misused(&["train"], "--train <FILE>");
    misused(&["predict", "--model", "model"], "<FILE>");
    misused(&["predict", "--model", "model", "--beam", "0", "test.tsv"], "expected numbers of at least 1");
    misused(&["predict", "--model", "model", "test.tsv", "--output-format", "npz"], "give --output FILE");
    misused(&["predict", "--model", "model", "--post-processor", "l3", "test.tsv"], "l3-hinge");
    misused(&["train", "--print-params", "--branching", "1"], "branching");
    misused(&["train", "--print-params", "--vectorizer", "letters:1-2"], "expected words, chars or char_wb");
    misused(&["train", "--print-params", "--tokenizer", "spaces"], "expected one of");
}

#[test]
fn an_unknown_parameter_in_the_file_is_located() {
    let scene = Scene::new();
    scene.write("p.toml", "[linear.svm]\nepsilon = 1\n");
    let ran = scene.run(&["train", "--params", "p.toml", "--print-params"]);
    let message = ran.message(2);
    assert!(
        message.contains("p.toml") && message.contains("line 2") && message.contains("epsilon"),
        "{message}"
    );
}
