//! One test for each way that a model can be wrong or a write can fail.
//!
//! A full disk is tested beside the section writer, on a device that is always full.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use xmc_sparse::NoProgress;
use xmc_store::{Container, Dtype, ModelWriter, StoreError};

/// A model with an array `a/b` of four numbers and a record `r`.
struct Fixture {
    _parent: TempDir,
    dir: PathBuf,
}

impl Fixture {
    fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("m");
        let writer = ModelWriter::create(&dir).unwrap();
        writer.put_array("a/b", &[1u32, 2, 3, 4]).unwrap();
        writer.put_record("r", &("text", 5u64)).unwrap();
        writer.commit(&json!({ "kind": "test" })).unwrap();
        Self { _parent: parent, dir }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    fn edit_manifest(&self, edit: impl Fn(&mut Value)) {
        let path = self.path("manifest.json");
        let mut manifest = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        edit(&mut manifest);
        fs::write(path, serde_json::to_vec(&manifest).unwrap()).unwrap();
    }

    fn flip(&self, file: &str, at: usize) {
        let mut bytes = fs::read(self.path(file)).unwrap();
        bytes[at] ^= 1;
        fs::write(self.path(file), bytes).unwrap();
    }

    fn open(&self) -> Result<Container, StoreError> {
        Container::open(&self.dir)
    }
}

/// The error has this shape, and its message names the path.
macro_rules! assert_error {
    ($result:expr, $pattern:pat $(if $guard:expr)?, $path:expr) => {{
        let error = $result.map(drop).unwrap_err();
        assert!(matches!(&error, $pattern $(if $guard)?), "{error:?}");
        let (message, path): (_, &Path) = (error.to_string(), $path.as_ref());
        assert!(message.contains(&path.display().to_string()), "{message}");
    }};
}

#[test]
fn a_path_without_a_directory_is_refused() {
    let model = Fixture::new();
    assert_error!(
        Container::open(model.path("nowhere")),
        StoreError::NotADirectory { found: "nothing", .. },
        "nowhere"
    );
    assert_error!(
        Container::open(model.path("r.bin")),
        StoreError::NotADirectory { found: "a file", .. },
        "r.bin"
    );
}

#[test]
fn a_directory_without_a_manifest_is_refused() {
    let model = Fixture::new();
    fs::remove_file(model.path("manifest.json")).unwrap();
    assert_error!(model.open(), StoreError::ManifestMissing { .. }, "manifest.json");
}

#[test]
fn a_manifest_that_cannot_be_read_is_refused() {
    let model = Fixture::new();
    fs::remove_file(model.path("manifest.json")).unwrap();
    fs::create_dir(model.path("manifest.json")).unwrap();
    assert_error!(model.open(), StoreError::Io { action: "read the manifest", .. }, "manifest.json");
}

#[test]
fn a_manifest_that_is_no_json_is_refused() {
    let model = Fixture::new();
    for text in ["", "{", "[]", "{\"format\": \"xmc-model\", \"version\": \"one\"}", "\u{0}"] {
        fs::write(model.path("manifest.json"), text).unwrap();
        assert_error!(model.open(), StoreError::ManifestInvalid { .. }, "manifest.json");
    }
}

#[test]
fn a_manifest_with_an_unknown_type_or_a_broken_checksum_is_invalid() {
    let model = Fixture::new();
    model.edit_manifest(|manifest| manifest["sections"][0]["dtype"] = json!("u128"));
    assert_error!(model.open(), StoreError::ManifestInvalid { .. }, "manifest.json");
    let model = Fixture::new();
    model.edit_manifest(|manifest| manifest["sections"][0]["xxh3"] = json!("xyz"));
    assert_error!(model.open(), StoreError::ManifestInvalid { .. }, "manifest.json");
}

#[test]
fn another_programs_manifest_is_refused() {
    let model = Fixture::new();
    model.edit_manifest(|manifest| manifest["format"] = json!("web-app"));
    assert_error!(model.open(), StoreError::WrongFormat { found, .. } if found == "web-app", "manifest.json");
}

#[test]
fn a_newer_model_asks_for_an_upgrade_even_when_its_table_is_different() {
    let model = Fixture::new();
    model.edit_manifest(|manifest| {
        manifest["version"] = json!(2);
        manifest["sections"] = json!({ "nested": true });
    });
    assert_error!(model.open(), StoreError::VersionTooNew { found: 2, newest: 1, .. }, "manifest.json");
    assert!(model.open().unwrap_err().to_string().contains("upgrade"));
}

#[test]
fn a_model_older_than_the_range_is_refused() {
    let model = Fixture::new();
    model.edit_manifest(|manifest| manifest["version"] = json!(0));
    assert_error!(model.open(), StoreError::VersionTooOld { found: 0, oldest: 1, .. }, "manifest.json");
}

#[test]
fn a_table_that_contradicts_itself_is_refused() {
    let edits: [(&str, &str, Value); 5] = [
        ("file", "file", json!("r.bin")),
        ("file", "file", json!("../../etc/passwd")),
        ("bytes", "bytes", json!(17)),
        ("len", "bytes", json!(5)),
        ("len", "len", json!(u64::MAX)),
    ];
    for (edited, blamed, value) in edits {
        let model = Fixture::new();
        model.edit_manifest(|manifest| manifest["sections"][0][edited] = value.clone());
        assert_error!(model.open(), StoreError::SectionTable { field, .. } if *field == blamed, "manifest.json");
    }
}

#[test]
fn a_name_that_stands_twice_is_refused() {
    let model = Fixture::new();
    model.edit_manifest(|manifest| manifest["sections"][1] = manifest["sections"][0].clone());
    assert_error!(model.open(), StoreError::SectionTable { field: "name", .. }, "manifest.json");
}

#[test]
fn a_hostile_manifest_cannot_name_a_file_outside_the_directory() {
    for name in ["../m/a", "/etc/passwd", "a/../../x", "..", "a\\b", "", "a/"] {
        let model = Fixture::new();
        model.edit_manifest(|manifest| {
            manifest["sections"][0]["name"] = json!(name);
            manifest["sections"][0]["file"] = json!(name);
        });
        assert_error!(model.open(), StoreError::UnsafeSectionName { .. }, "manifest.json");
    }
}

#[test]
fn a_writer_refuses_an_unsafe_name() {
    let memory = ModelWriter::in_memory();
    assert_error!(memory.put_array("../a", &[1u8]), StoreError::UnsafeSectionName { .. }, "<memory>");
}

#[test]
fn a_section_that_the_model_lacks_is_named() {
    let fixture = Fixture::new();
    let model = fixture.open().unwrap();
    assert!(!model.has("a/c"));
    assert_error!(
        model.array::<u32>("a/c"),
        StoreError::SectionMissing { name, .. } if name == "a/c",
        "manifest.json"
    );
}

#[test]
fn a_missing_section_file_is_noticed_when_the_model_is_opened() {
    let model = Fixture::new();
    fs::remove_file(model.path("a.b.bin")).unwrap();
    assert_error!(model.open(), StoreError::SectionFileMissing { .. }, "a.b.bin");
    fs::create_dir(model.path("a.b.bin")).unwrap();
    assert_error!(model.open(), StoreError::SectionFileMissing { .. }, "a.b.bin");
}

#[test]
fn a_section_file_that_goes_away_later_is_noticed_when_it_is_asked_for() {
    let model = Fixture::new();
    let open = model.open().unwrap();
    fs::remove_file(model.path("a.b.bin")).unwrap();
    assert_error!(open.array::<u32>("a/b"), StoreError::SectionFileMissing { .. }, "a.b.bin");
    assert_error!(open.verify(&NoProgress), StoreError::SectionFileMissing { .. }, "a.b.bin");
}

#[test]
fn a_truncated_or_overlong_file_is_refused() {
    for length in [0, 63, 64, 79, 81] {
        let model = Fixture::new();
        let open = model.open().unwrap();
        let file = fs::OpenOptions::new().write(true).open(model.path("a.b.bin")).unwrap();
        file.set_len(length).unwrap();
        for result in [model.open().map(drop), open.array::<u32>("a/b").map(drop)] {
            let expected_size = |found: u64| found == length;
            assert_error!(
                result,
                StoreError::WrongSize { expected: 80, found, .. } if expected_size(*found),
                "a.b.bin"
            );
        }
        assert_error!(open.verify(&NoProgress), StoreError::WrongSize { expected: 80, .. }, "a.b.bin");
    }
}

#[test]
fn an_array_of_another_type_is_refused() {
    let fixture = Fixture::new();
    let model = fixture.open().unwrap();
    assert_error!(
        model.array::<f32>("a/b"),
        StoreError::DtypeMismatch { expected: Dtype::F32, found: Dtype::U32, .. },
        "manifest.json"
    );
    assert!(matches!(model.record::<u8>("a/b"), Err(StoreError::DtypeMismatch { .. })));
    assert!(matches!(model.array::<u8>("r"), Err(StoreError::DtypeMismatch { .. })));
}

#[test]
fn a_damaged_header_is_refused_without_reading_the_array() {
    for at in [0, 8, 12, 16, 24, 32, 40, 63] {
        let model = Fixture::new();
        model.flip("a.b.bin", at);
        let open = model.open().unwrap();
        assert_error!(open.array::<u32>("a/b"), StoreError::HeaderMismatch { .. }, "a.b.bin");
        assert_error!(open.verify(&NoProgress), StoreError::HeaderMismatch { .. }, "a.b.bin");
    }
}

#[test]
fn a_section_of_another_model_is_noticed() {
    let model = Fixture::new();
    let open = model.open().unwrap();
    let writer = ModelWriter::create(&model.dir).unwrap();
    writer.put_array("a/b", &[1u32, 2, 3, 5]).unwrap();
    writer.commit(&()).unwrap();
    assert_error!(
        open.array::<u32>("a/b"),
        StoreError::HeaderMismatch { field: "the checksum", .. },
        "a.b.bin"
    );
}

#[test]
fn a_damaged_array_is_found_by_verify() {
    for at in 64..80 {
        let model = Fixture::new();
        model.flip("a.b.bin", at);
        let open = model.open().unwrap();
        assert_error!(open.verify(&NoProgress), StoreError::ChecksumMismatch { .. }, "a.b.bin");
    }
}

#[test]
fn a_damaged_record_is_not_decoded() {
    let model = Fixture::new();
    model.flip("r.bin", 66);
    assert_error!(
        model.open().unwrap().record::<(String, u64)>("r"),
        StoreError::ChecksumMismatch { .. },
        "r.bin"
    );
}

#[test]
fn a_record_of_another_shape_is_refused() {
    let fixture = Fixture::new();
    let model = fixture.open().unwrap();
    assert_error!(model.record::<(u64, [String; 2])>("r"), StoreError::RecordUndecodable { .. }, "r.bin");
    assert_error!(
        model.record::<String>("r"),
        StoreError::RecordOverlong { expected: 5, found: 6, .. },
        "r.bin"
    );
}

#[test]
fn a_value_that_has_no_encoding_is_refused() {
    struct Unsized;
    impl serde::Serialize for Unsized {
        fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            // A sequence that does not say how long it is.
            serde::ser::SerializeSeq::end(to.serialize_seq(None)?)
        }
    }
    let writer = ModelWriter::in_memory();
    assert_error!(writer.put_record("x/y", &Unsized), StoreError::RecordUnencodable { .. }, "x/y");
}

#[test]
fn a_record_over_the_limit_is_refused() {
    let writer = ModelWriter::in_memory();
    let huge = "x".repeat(64 << 20);
    assert_error!(writer.put_record("x/y", &huge), StoreError::RecordTooLarge { .. }, "x/y");
}

#[test]
fn a_description_of_another_shape_is_refused() {
    let fixture = Fixture::new();
    let model = fixture.open().unwrap();
    assert_error!(model.meta::<Vec<u8>>(), StoreError::MetaInvalid { .. }, "manifest.json");
}

#[test]
fn a_description_that_is_no_json_is_refused() {
    let keys_are_no_strings = std::collections::BTreeMap::from([((1, 2), 3)]);
    let committed = ModelWriter::in_memory().commit(&keys_are_no_strings);
    assert!(matches!(committed, Err(StoreError::MetaUnwritable { .. })));
}

#[test]
fn a_target_with_anything_but_a_model_is_left_alone() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("photos");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("cat.jpg"), "meow").unwrap();
    assert_error!(
        ModelWriter::create(&dir).map(drop),
        StoreError::TargetTaken { entry, .. } if entry == "cat.jpg",
        "photos"
    );
    fs::write(dir.join("manifest.json"), r#"{"format": "web-app", "sections": []}"#).unwrap();
    fs::remove_file(dir.join("cat.jpg")).unwrap();
    assert_error!(ModelWriter::create(&dir).map(drop), StoreError::TargetTaken { .. }, "photos");
    let model = Fixture::new();
    fs::write(model.path("notes.txt"), "dear diary").unwrap();
    assert_error!(
        ModelWriter::create(&model.dir).map(drop),
        StoreError::TargetTaken { entry, .. } if entry == "notes.txt",
        model.dir
    );
    assert_error!(
        ModelWriter::create(model.path("notes.txt")).map(drop),
        StoreError::TargetTaken { .. },
        "notes.txt"
    );
}

#[test]
fn a_section_is_written_once() {
    let writer = ModelWriter::in_memory();
    writer.put_array("a/b", &[1u8]).unwrap();
    assert_error!(writer.put_array("a/b", &[1u8]), StoreError::DuplicateSection { .. }, "a/b");
    assert_error!(writer.array::<f32>("a/b").map(drop), StoreError::DuplicateSection { .. }, "a/b");
}

#[test]
fn a_model_with_an_unfinished_section_is_not_written() {
    let parent = tempfile::tempdir().unwrap();
    let writer = ModelWriter::create(parent.path().join("m")).unwrap();
    drop(writer.array::<u8>("a/b").unwrap());
    assert_error!(writer.commit(&()), StoreError::SectionUnfinished { .. }, "a/b");
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn other_failures_name_what_was_tried() {
    assert_error!(
        ModelWriter::create("/proc/xmc/model").map(drop),
        StoreError::Io { action: "create the directory", .. },
        "/proc/xmc"
    );
}
