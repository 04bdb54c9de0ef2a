//! Golden models: what format versions look like on disk, for ever.
//!
//! Each must stay readable; the newest must also be what is written today, byte for byte. A change of
//! format bumps the version and adds a directory: run
//! `cargo test -p xmc-store --test golden -- --ignored` after raising the number in [`newest`].

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use xmc_sparse::NoProgress;
use xmc_store::{Container, Kind, ModelWriter};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Options {
    kind: String,
    branching: u32,
    cost: f32,
    bias: Option<f64>,
}

fn options() -> Options {
    Options { kind: "golden".into(), branching: 16, cost: 0.1, bias: Some(-1.5) }
}

fn golden(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/v{version}"))
}

fn newest() -> PathBuf {
    golden(1)
}

fn write(dir: &Path) {
    let writer = ModelWriter::create(dir).unwrap();
    writer.put_array("u8", &[0u8, 255]).unwrap();
    writer.put_array("u16", &[0u16, 0x0102, u16::MAX]).unwrap();
    writer.put_array("u32", &[0x0102_0304u32]).unwrap();
    writer.put_array("tree/0/u64", &[0u64, 1, u64::MAX]).unwrap();
    writer.put_array("i8", &[-1i8, 1]).unwrap();
    writer.put_array("i16", &[-2i16]).unwrap();
    writer.put_array("i32", &[-3i32]).unwrap();
    writer.put_array("i64", &[-4i64]).unwrap();
    writer.put_array("f32", &[0.5f32, -0.0, f32::MIN_POSITIVE]).unwrap();
    writer.put_array("f64", &[std::f64::consts::PI]).unwrap();
    writer.put_array::<f32>("empty", &[]).unwrap();
    writer.put_record("options", &options()).unwrap();
    writer.commit(&options()).unwrap();
}

#[test]
fn version_1_stays_readable() {
    let model = Container::open(golden(1)).unwrap();
    model.verify(&NoProgress).unwrap();
    assert_eq!(model.meta::<Options>().unwrap(), options());
    assert_eq!(model.record::<Options>("options").unwrap(), options());
    assert_eq!(model.array::<u8>("u8").unwrap()[..], [0, 255]);
    assert_eq!(model.array::<u16>("u16").unwrap()[..], [0, 0x0102, u16::MAX]);
    assert_eq!(model.array::<u32>("u32").unwrap()[..], [0x0102_0304]);
    assert_eq!(model.array::<u64>("tree/0/u64").unwrap()[..], [0, 1, u64::MAX]);
    assert_eq!(model.array::<i8>("i8").unwrap()[..], [-1, 1]);
    assert_eq!(model.array::<i16>("i16").unwrap()[..], [-2]);
    assert_eq!(model.array::<i32>("i32").unwrap()[..], [-3]);
    assert_eq!(model.array::<i64>("i64").unwrap()[..], [-4]);
    assert_eq!(model.array::<f32>("f32").unwrap()[..], [0.5, -0.0, f32::MIN_POSITIVE]);
    assert_eq!(model.array::<f64>("f64").unwrap()[..], [std::f64::consts::PI]);
    assert!(model.array::<f32>("empty").unwrap().is_empty());
}

#[test]
fn the_newest_version_is_what_is_written_today() {
    assert_eq!(newest(), golden(Kind::Model.newest_version()));
    let parent = tempfile::tempdir().unwrap();
    let today = parent.path().join("m");
    write(&today);
    let mut compared = 0;
    for entry in fs::read_dir(newest()).unwrap() {
        let name = entry.unwrap().file_name();
        let (expected, found) =
            (fs::read(newest().join(&name)).unwrap(), fs::read(today.join(&name)).unwrap());
        assert!(expected == found, "{} has changed", name.display());
        compared += 1;
    }
    assert_eq!(compared, fs::read_dir(&today).unwrap().count());
}

#[test]
#[ignore = "writes the golden model of the newest version; for a change of format"]
fn write_the_golden_model() {
    assert!(!newest().exists(), "golden models are never rewritten");
    write(&newest());
}
