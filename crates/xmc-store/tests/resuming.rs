//! Models that are made in several goes.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

use std::fs;
use std::path::Path;
use xmc_store::{Container, ModelWriter, StoreError};

fn begin(dir: &Path) -> ModelWriter {
    let mut writer = ModelWriter::resume(dir).unwrap();
    writer.identify("titles, cost 1").unwrap();
    writer
}

fn adopts(writer: &ModelWriter, name: &str) -> bool {
    writer.adopt(&[name.to_string()])
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_is_finished_is_there_in_the_next_go() {
    let parent = tempfile::tempdir().unwrap();
    let (dir, hidden) = (parent.path().join("m"), parent.path().join(".m.resume"));
    let first = begin(&dir);
    assert!(!adopts(&first, "a/b"));
    first.put_array("a/b", &[1u32, 2]).unwrap();
    first.put_array("old", &[1u8]).unwrap();
    first.put_array("changed", &[1u8]).unwrap();
    let mut unfinished = first.array::<u8>("c").unwrap();
    unfinished.push(&[7; 1 << 20]).unwrap();
    // As if the process had been killed: nothing is finished any more.
    std::mem::forget(unfinished);
    drop(first);
    assert!(hidden.exists() && !dir.exists());

    let second = begin(&dir);
    assert!(!second.adopt(&["a/b".to_string(), "c".to_string()]), "c was not finished");
    assert!(adopts(&second, "a/b") && !adopts(&second, "a/b") && !adopts(&second, "c"));
    assert_eq!(second.preview(&()).unwrap().array::<u32>("a/b").unwrap()[..], [1, 2]);
    second.put_array("c", &[8u8]).unwrap();
    second.put_array("changed", &[2u8]).unwrap();
    let model = second.commit(&()).unwrap();
    assert_eq!(model.array::<u8>("changed").unwrap()[..], [2]);
    assert_eq!(
        names(&dir),
        ["a.b.bin", "c.bin", "changed.bin", "manifest.json"],
        "what nobody asked for is gone"
    );
    assert_eq!(names(parent.path()), ["m"]);
    Container::open(&dir).unwrap().verify(&xmc_sparse::NoProgress).unwrap();
}

#[test]
fn what_is_removed_is_not_part_of_the_model() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("m");
    for writer in [begin(&dir), ModelWriter::in_memory()] {
        for name in ["part0", "part1", "kept"] {
            writer.put_array(name, &[1u8, 2]).unwrap();
        }
        writer.remove(&["part0".to_string(), "part1".to_string(), "never there".to_string()]).unwrap();
        assert!(!writer.has("part0") && writer.has("kept"));
        // The name is free again.
        writer.put_array("part1", &[3u8]).unwrap();
        let model = writer.commit(&()).unwrap();
        assert!(!model.has("part0"));
        assert_eq!(model.array::<u8>("part1").unwrap()[..], [3]);
    }
    assert_eq!(names(&dir), ["kept.bin", "manifest.json", "part1.bin"]);
}

#[test]
fn other_data_two_processes_and_unknown_sections_are_told_apart() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("m");
    let writer = begin(&dir);
    assert!(matches!(ModelWriter::resume(&dir), Err(StoreError::InUse { .. })));
    writer.put_array("a", &[1u8]).unwrap();
    drop(writer);
    let mut other = ModelWriter::resume(&dir).unwrap();
    assert!(matches!(other.identify("titles, cost 2"), Err(StoreError::OtherGo { .. })));
    drop(other);
    // Nothing says what the sections are.
    fs::remove_file(parent.path().join(".m.resume/identity")).unwrap();
    assert!(!adopts(&begin(&dir), "a"));
}

#[test]
fn a_damaged_header_or_a_cut_file_is_not_finished() {
    let parent = tempfile::tempdir().unwrap();
    let (dir, hidden) = (parent.path().join("m"), parent.path().join(".m.resume"));
    let writer = begin(&dir);
    for name in ["cut", "damaged", "whole"] {
        writer.put_array(name, &[1u8, 2, 3]).unwrap();
    }
    drop(writer);
    let bytes = fs::read(hidden.join("cut.bin")).unwrap();
    fs::write(hidden.join("cut.bin"), &bytes[..bytes.len() - 1]).unwrap();
    let mut bytes = fs::read(hidden.join("damaged.bin")).unwrap();
    bytes[20] ^= 1;
    fs::write(hidden.join("damaged.bin"), bytes).unwrap();
    let writer = begin(&dir);
    let found = ["cut", "damaged", "whole"].map(|name| adopts(&writer, name));
    assert_eq!(found, [false, false, true]);
}
