//! What goes in comes out, from disk, from memory and from a saved copy.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use xmc_sparse::{NoProgress, Progress};
use xmc_store::{Container, Dtype, Element, ModelWriter};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Meta {
    learning_rate: f32,
    threshold: f64,
    names: Vec<String>,
}

#[derive(Debug, Clone)]
struct Content {
    bytes: Vec<u8>,
    ids: Vec<u32>,
    offsets: Vec<u64>,
    quantised: Vec<i8>,
    weights: Vec<f32>,
    record: BTreeMap<String, (i64, Option<f32>)>,
    meta: Meta,
}

fn finite() -> impl Strategy<Value = f32> {
    any::<f32>().prop_filter("equal to itself", |value| value.is_finite())
}

prop_compose! {
    fn content()(
        bytes in any::<Vec<u8>>(),
        ids in any::<Vec<u32>>(),
        offsets in any::<Vec<u64>>(),
        quantised in any::<Vec<i8>>(),
        weights in prop::collection::vec(finite(), 0..200),
        record in prop::collection::btree_map(any::<String>(), (any::<i64>(), prop::option::of(finite())), 0..9),
        learning_rate in finite(),
        threshold in any::<f64>().prop_filter("JSON has no others", |value| value.is_finite()),
        names in prop::collection::vec(any::<String>(), 0..4),
    ) -> Content {
        let meta = Meta { learning_rate, threshold, names };
        Content { bytes, ids, offsets, quantised, weights, record, meta }
    }
}

/// Writes in pieces, several sections open at once.
fn write(writer: ModelWriter, content: &Content) -> Container {
    let mut ids = writer.array::<u32>("tree/0/ids").unwrap();
    let mut weights = writer.array::<f32>("weights").unwrap();
    for piece in content.ids.chunks(7) {
        ids.push(piece).unwrap();
    }
    for piece in content.weights.chunks(3) {
        weights.push(piece).unwrap();
    }
    weights.finish().unwrap();
    writer.put_array("bytes", &content.bytes).unwrap();
    writer.put_array("tree/0/offsets", &content.offsets).unwrap();
    ids.finish().unwrap();
    writer.put_array("quantised", &content.quantised).unwrap();
    writer.put_record("record", &content.record).unwrap();
    writer.commit(&content.meta).unwrap()
}

fn same<T: Element + PartialEq + std::fmt::Debug>(model: &Container, name: &str, expected: &[T]) {
    let found = model.array::<T>(name).unwrap();
    assert_eq!(&found[..], expected, "{name}");
    if model.path().is_some() {
        assert_eq!(found.as_ptr() as usize % 64, 0, "{name} is not on a cache line");
    }
}

fn check(model: &Container, content: &Content) {
    same(model, "tree/0/ids", &content.ids);
    same(model, "weights", &content.weights);
    same(model, "bytes", &content.bytes);
    same(model, "tree/0/offsets", &content.offsets);
    same(model, "quantised", &content.quantised);
    assert_eq!(model.record::<BTreeMap<String, (i64, Option<f32>)>>("record").unwrap(), content.record);
    assert_eq!(model.meta::<Meta>().unwrap(), content.meta);
    let report = model.verify(&NoProgress).unwrap();
    assert_eq!((report.sections, report.bytes), (6, model.manifest().total_bytes()));
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn content_survives_disk_memory_and_copies(content in content()) {
        let parent = tempfile::tempdir().unwrap();
        let at = |name: &str| parent.path().join(name);
        let disk = write(ModelWriter::create(at("disk")).unwrap(), &content);
        let memory = write(ModelWriter::in_memory(), &content);
        let models =
            [Container::open(at("disk")).unwrap(), memory.save(at("saved")).unwrap(), disk.save(at("copy")).unwrap()];
        for model in models.iter().chain([&disk, &memory]) {
            check(model, &content);
        }
        prop_assert_eq!(files(&at("disk")), files(&at("saved")));
        prop_assert_eq!(files(&at("disk")), files(&at("copy")));
    }
}

#[test]
fn empty_arrays_and_an_empty_model_are_kept() {
    let parent = tempfile::tempdir().unwrap();
    let writer = ModelWriter::create(parent.path().join("m")).unwrap();
    writer.put_array::<f32>("nothing", &[]).unwrap();
    writer.array::<u64>("none/pushed").unwrap().finish().unwrap();
    let model = writer.commit(&()).unwrap();
    assert!(model.array::<f32>("nothing").unwrap().is_empty());
    assert!(model.array::<u64>("none/pushed").unwrap().is_empty());
    assert_eq!(model.verify(&NoProgress).unwrap().bytes, 0);

    let bare = ModelWriter::create(parent.path().join("bare")).unwrap().commit(&()).unwrap();
    assert!(bare.manifest().sections.is_empty());
    bare.meta::<()>().unwrap();
}

#[test]
fn many_threads_write_the_same_model_as_one() {
    let parent = tempfile::tempdir().unwrap();
    let part = |part: u32| (0..50_000).map(|at| at * 31 + part).collect::<Vec<u32>>();
    let one = ModelWriter::create(parent.path().join("one")).unwrap();
    (0..8).for_each(|id| one.put_array(&format!("part/{id}"), &part(id)).unwrap());
    let many = ModelWriter::create(parent.path().join("many")).unwrap();
    std::thread::scope(|threads| {
        for id in (0..8).rev() {
            let many = &many;
            threads.spawn(move || {
                let mut section = many.array(&format!("part/{id}")).unwrap();
                part(id).chunks(777).for_each(|piece| section.push(piece).unwrap());
                section.finish().unwrap();
            });
        }
    });
    let (one, many) = (one.commit(&1).unwrap(), many.commit(&1).unwrap());
    assert_eq!(files(one.path().unwrap()), files(many.path().unwrap()));
}

#[test]
fn the_table_says_what_each_section_is() {
    let writer = ModelWriter::in_memory();
    writer.put_array("b", &[1u16, 2]).unwrap();
    writer.put_record("a", &7u8).unwrap();
    let model = writer.commit(&()).unwrap();
    let [a, b] = &model.manifest().sections[..] else { panic!("two sections") };
    assert_eq!((a.name.as_str(), a.file.as_str(), a.dtype, a.len), ("a", "a.bin", Dtype::Record, 1));
    assert_eq!((b.name.as_str(), b.dtype, b.len, b.bytes), ("b", Dtype::U16, 2, 4));
    assert!(model.has("b") && !model.has("c"));
}

#[test]
fn verify_reports_every_byte_as_progress() {
    struct Count(AtomicU64);
    impl Progress for Count {
        fn advance(&self, steps: u64) {
            self.0.fetch_add(steps, Ordering::Relaxed);
        }
    }
    let parent = tempfile::tempdir().unwrap();
    let writer = ModelWriter::create(parent.path().join("m")).unwrap();
    writer.put_array("a", &vec![7u64; 300_000]).unwrap();
    writer.put_array("b", &[1u8]).unwrap();
    let model = writer.commit(&()).unwrap();
    let count = Count(AtomicU64::new(0));
    assert_eq!(model.verify(&count).unwrap().bytes, 2_400_001);
    assert_eq!(count.0.into_inner(), 2_400_001);
}
