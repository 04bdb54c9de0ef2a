//! Converted data sets: the same as what they were made from, mapped, and harmless when damaged.

use crate::{Files, fixture};
use ndarray::Array2;
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xmc_data::{
    Converted, DataError, Dataset, Input, LabelBy, LabelMap, LabelSource, Labelling, OnError, Purpose,
    ReadOptions, RecordReader, UnknownLabels, convert, read_dataset, write_npy, write_npz,
};
use xmc_sparse::{Csr, NoProgress};
use xmc_store::{ModelWriter, StoreError};

fn converted(files: &Files, path: &Path, options: &ReadOptions) -> (PathBuf, Converted) {
    let dir = files.path("converted");
    let converted = convert(path, options, &dir, &NoProgress).unwrap();
    (dir, converted)
}

#[track_caller]
fn assert_same(a: &Dataset, b: &Dataset) {
    assert_eq!(a.input, b.input);
    assert_eq!((&a.dense, &a.labels, &a.ids, &a.weights), (&b.dense, &b.labels, &b.ids, &b.weights));
    assert_eq!((&*a.label_map, a.skipped.labels), (&*b.label_map, b.skipped.labels));
    assert_eq!(a.label_map.is_from_file(), b.label_map.is_from_file());
}

/// Converts what is at `path`, and expects the same when it is read whole and in batches.
#[track_caller]
fn assert_converts(files: &Files, path: &Path, options: &ReadOptions) -> Dataset {
    let (dir, converted) = converted(files, path, options);
    let original = read_dataset(path, options).unwrap();
    let plain = ReadOptions { purpose: options.purpose, ..ReadOptions::default() };
    let mapped = read_dataset(&dir, &plain).unwrap();
    assert_same(&mapped, &original);
    assert_eq!(converted.meta.n_samples, original.n_samples() as u64);
    mapped.check().unwrap();
    let mut reader = RecordReader::open(&dir, &plain).unwrap();
    let mut at = 0;
    while let Some(batch) = reader.next_batch(7).unwrap() {
        let part = original.select(&(at..at + batch.n_samples()).collect::<Vec<_>>());
        assert_eq!((&batch.input, &batch.dense), (&part.input, &part.dense));
        assert!(batch.labels.rows().eq(part.labels.rows()));
        at += batch.n_samples();
    }
    assert_eq!(at, original.n_samples());
    // A converted data set can be converted, too, and is then the same.
    let again = files.path("again");
    convert(&dir, &plain, &again, &NoProgress).unwrap();
    let bytes = |dir: &Path| std::fs::read(dir.join("manifest.json")).unwrap();
    assert_eq!(bytes(&again), bytes(&dir));
    mapped
}

fn titles(n: usize) -> String {
    (0..n).map(|n| format!("l{},m{}\ttext {n} ä\n", n % 7, n % 3)).collect()
}

#[test]
fn texts_of_every_format_are_the_same_converted() {
    let files = Files::new();
    let mapped = assert_converts(&files, &files.put("t.tsv", titles(2500)), &ReadOptions::default());
    let Input::Text(texts) = &mapped.input else { panic!("expected texts") };
    assert!(!texts.is_owned() && !mapped.labels.is_owned());
    // Ids and weights from some record on, in the first batch and behind it.
    for first in [3, 1500] {
        let line = |n: usize| match n < first {
            true => format!("{{\"text\": \"t{n}\", \"labels\": [\"a\"]}}\n"),
            false => format!("{{\"text\": \"t{n}\", \"labels\": [], \"id\": \"i{n}\", \"weight\": 2.5}}\n"),
        };
        let path = files.put("t.jsonl", (0..2100).map(line).collect::<String>());
        let mapped = assert_converts(&files, &path, &ReadOptions::default());
        assert_eq!(&mapped.ids.unwrap()[2099], "i2099");
        assert_eq!(
            (&mapped.weights.as_ref().unwrap()[..first], mapped.weights.as_ref().unwrap()[first]),
            (&vec![1.0; first][..], 2.5)
        );
    }
    let dense = Array2::from_shape_fn((40, 3), |(row, col)| (row * col) as f32);
    write_npy(files.path("d.npy"), dense.view()).unwrap();
    let options = ReadOptions { dense: Some(files.path("d.npy")), ..ReadOptions::default() };
    let mapped = assert_converts(&files, &files.put("t.tsv", titles(40)), &options);
    assert!(!mapped.dense.unwrap().is_owned());
    let path = files.put("t.txt", "one\ntwo words\n");
    let unlabelled = assert_converts(&files, &path, &ReadOptions::unlabelled());
    assert_eq!(unlabelled.n_labels(), 0);
}

#[test]
fn matrices_of_every_format_are_the_same_converted() {
    let files = Files::new();
    let row = |n: u32| (0..n % 5).map(move |at| (at * 13 + n % 11, 0.5 + n as f32));
    write_npz(files.path("x.npz"), &Csr::from_rows(70, (0..6000).map(row)).unwrap()).unwrap();
    write_npz(files.path("y.npz"), &Csr::from_rows(9, (0..6000).map(|n| [(n % 9, 1.0)])).unwrap()).unwrap();
    let label_path = Some(files.path("y.npz"));
    let options = ReadOptions { label_path: label_path.clone(), ..ReadOptions::default() };
    let mapped = assert_converts(&files, &files.path("x.npz"), &options);
    let Input::Features(features) = &mapped.input else { panic!("expected features") };
    assert!(!features.sparse().is_owned());
    let y = Some(fixture("y_zero.npz"));
    for name in
        ["x_csr_f64.npz", "x_csc_f32_plain.npz", "x_messy_i64.npz", "dense_f16.npy", "dense_f64_columns.npy"]
    {
        let dense = name.starts_with('x').then(|| fixture("dense_f16.npy"));
        let options = ReadOptions { label_path: y.clone(), dense, ..ReadOptions::default() };
        assert_converts(&files, &fixture(name), &options);
    }
    let path = files.put("t.xc", "3 5 4\n1,2 0:1.5 4:2\n 1:1\n3 2:7 2:1\n");
    assert_converts(&files, &path, &ReadOptions::default());
    let labels = files.put("l.txt", "3 4\n1:1 2:0.5\n\n3:2\n");
    let options = ReadOptions { label_path: Some(labels), ..ReadOptions::default() };
    assert_converts(&files, &fixture("x_csr_f64.npz"), &options);
}

/// Label maps, schemes and what to do with labels that are unknown: the same choices, made on the data and on what was converted before.
#[test]
fn labels_are_found_as_in_the_original() {
    let files = Files::new();
    let map = |entries: &[(&str, &str)]| {
        let mut map = LabelMap::new();
        entries.iter().for_each(|(key, name)| _ = map.insert(key, name));
        LabelSource::Given(Arc::new(map))
    };
    let maps = [
        map(&[("l1", "m0"), ("l0", "m1"), ("m2", "x"), ("k", "l3")]),
        map(&[("a", "l0"), ("b", "l1"), ("c", "m0"), ("d", "m0")]),
        map(&[
            ("l0", "l0"),
            ("m0", "m0"),
            ("l1", "l1"),
            ("m1", "m1"),
            ("l2", "l2"),
            ("m2", "m2"),
            ("l3", "l3"),
            ("l4", "l4"),
            ("l5", "l5"),
            ("l6", "l6"),
        ]),
        map(&(0..3).map(|n| (["l0", "m0", "l1"][n], ["0", "1", "2"][n])).collect::<Vec<_>>()),
        LabelSource::File(files.put("labels.tsv", "l0\tzero\nl1\tone\nm1\ttwo\n3\tthree\n")),
    ];
    let contents = [titles(60), "0,2\ta\n1\tb\n7\tc\n02\td\n".into(), "\ta\nzero,m1\tb\nl1\tc\n".into()];
    let (mut right, mut wrong) = (0, 0);
    for content in contents {
        let path = files.put("t.tsv", content);
        let (dir, _) = converted(&files, &path, &ReadOptions::default());
        for labels in &maps {
            for label_by in [LabelBy::Auto, LabelBy::Key, LabelBy::Name, LabelBy::Row] {
                for unknown_labels in [UnknownLabels::Error, UnknownLabels::Ignore, UnknownLabels::Grow] {
                    for on_error in [OnError::Fail, OnError::Skip] {
                        let labels = labels.clone();
                        let options = ReadOptions {
                            labels,
                            label_by,
                            unknown_labels,
                            on_error,
                            ..ReadOptions::default()
                        };
                        match (read_dataset(&path, &options), read_dataset(&dir, &options)) {
                            (Ok(original), Ok(mapped)) => {
                                assert_same(&mapped, &original);
                                assert_eq!(mapped.skipped.records, original.skipped.records);
                                right += 1;
                            }
                            (Err(original), Err(mapped)) => {
                                let of = |error: DataError| std::mem::discriminant(&error);
                                assert_eq!(of(mapped), of(original), "{options:?}");
                                wrong += 1;
                            }
                            (original, mapped) => panic!("{original:?}\n{mapped:?}\n{options:?}"),
                        }
                    }
                }
            }
        }
    }
    assert!(right > 100 && wrong > 20, "{right} {wrong}");
}

#[test]
fn a_file_of_labels_is_given_once_or_again() {
    let files = Files::new();
    let labels = LabelSource::File(files.put("labels.tsv", "l0\tzero\nl1\tone\nm\ttwo\nn\tnobody's\n"));
    let path = files.put("t.tsv", "zero\ta\none,two\tb\n");
    let options = ReadOptions { labels, ..ReadOptions::default() };
    let (dir, of) = converted(&files, &path, &options);
    assert_eq!(
        (of.meta.labelling, of.meta.label_file, of.meta.n_labels),
        (Labelling::Written, true, Some(4))
    );
    let original = read_dataset(&path, &options).unwrap();
    // The data no longer call them by name: what is said of that is of the data that were converted.
    let by_name = ReadOptions { label_by: LabelBy::Name, ..options };
    for options in [ReadOptions::default(), by_name] {
        assert_same(&read_dataset(&dir, &options).unwrap(), &original);
    }
    let narrow = LabelSource::Given(Arc::new(LabelMap::numbered(2)));
    let y = Csr::from_rows(3, [[(2, 1.0)], [(1, 1.0)], [(0, 1.0)]]).unwrap();
    write_npz(files.path("y.npz"), &y).unwrap();
    let options = ReadOptions { label_path: Some(files.path("y.npz")), ..ReadOptions::default() };
    let (dir, _) = converted(&files, &fixture("x_csr_f64.npz"), &options);
    for unknown_labels in [UnknownLabels::Error, UnknownLabels::Ignore] {
        let given = ReadOptions { labels: narrow.clone(), unknown_labels, ..ReadOptions::default() };
        let beside = ReadOptions { label_path: options.label_path.clone(), ..given.clone() };
        match (read_dataset(&dir, &given), read_dataset(fixture("x_csr_f64.npz"), &beside)) {
            (Ok(mapped), Ok(original)) => assert_same(&mapped, &original),
            (mapped, original) => {
                let line = |read: Result<_, DataError>| match read.map(|_: Dataset| ()) {
                    Err(DataError::LabelOutOfRange { line, .. }) => line,
                    other => panic!("{other:?}"),
                };
                assert_eq!((line(mapped), line(original)), (1, 1));
            }
        }
    }
}

#[test]
fn bad_records_are_refused_or_left_out_when_converting() {
    let files = Files::new();
    let path = files.put("t.tsv", b"a\tx\nno column\nb\ty\n");
    let refused = convert(&path, &ReadOptions::default(), files.path("d"), &NoProgress);
    assert!(matches!(refused, Err(DataError::BadLine { line: 2, .. })), "{refused:?}");
    assert_eq!(std::fs::read_dir(files.path(".")).unwrap().count(), 1, "nothing is left behind");
    let skip = ReadOptions { on_error: OnError::Skip, ..ReadOptions::default() };
    let (dir, of) = converted(&files, &path, &skip);
    assert_eq!((of.meta.n_samples, of.skipped.records), (2, 1));
    assert_same(&read_dataset(dir, &ReadOptions::default()).unwrap(), &read_dataset(&path, &skip).unwrap());
    for (content, options) in [("", ReadOptions::default()), ("\tx\n", ReadOptions::default())] {
        let path = files.put("e.tsv", content);
        let refused = convert(path, &options, files.path("e"), &NoProgress);
        assert!(matches!(refused, Err(DataError::Empty { .. } | DataError::NoLabels { .. })), "{refused:?}");
    }
}

#[test]
fn each_wrong_directory_has_its_message() {
    let files = Files::new();
    let read = |path: &Path| read_dataset(path, &ReadOptions::default()).unwrap_err();
    let error = read(&files.path("."));
    assert!(matches!(error, DataError::NotData { .. }), "{error}");
    ModelWriter::create(files.path("model")).unwrap().commit(&"a model").unwrap();
    let error = read(&files.path("model"));
    assert!(error.to_string().ends_with("this is a model, where a data set is expected"), "{error}");
    let path = files.put("t.tsv", titles(9));
    let error = convert(&path, &ReadOptions::default(), files.path("model"), &NoProgress).unwrap_err();
    assert!(error.to_string().contains("is not a data set alone"), "{error}");
    let (dir, _) = converted(&files, &path, &ReadOptions::default());
    let error = xmc_store::Container::open(&dir).unwrap_err();
    assert!(error.to_string().ends_with("this is a data set, where a model is expected"), "{error}");
    let second = ReadOptions { label_path: Some(fixture("y_bool.npz")), ..ReadOptions::default() };
    assert!(matches!(read_dataset(&dir, &second), Err(DataError::Unsupported { .. })));
    assert!(RecordReader::open(&dir, &second).is_err());
    let manifest = std::fs::read_to_string(dir.join("manifest.json")).unwrap();
    std::fs::write(dir.join("manifest.json"), manifest.replace("\"version\": 1", "\"version\": 2")).unwrap();
    let error = read(&dir);
    assert!(
        matches!(&error, DataError::Store(e) if matches!(**e, StoreError::VersionTooNew { .. })),
        "{error}"
    );
    std::fs::write(dir.join("manifest.json"), manifest).unwrap();
    let bytes = std::fs::read(dir.join("texts.bytes.bin")).unwrap();
    std::fs::write(dir.join("texts.bytes.bin"), &bytes[..bytes.len() - 1]).unwrap();
    let error = read(&dir);
    assert!(error.to_string().contains("truncated file"), "{error}");
    let unlabelled = ReadOptions { purpose: Purpose::Unlabelled, ..ReadOptions::default() };
    let (dir, _) = converted(&files, &path, &unlabelled);
    assert!(matches!(read(&dir), DataError::NoLabels { .. }));
}

#[test]
fn dense_features_may_stand_beside_a_converted_data_set() {
    let files = Files::new();
    let (dir, _) = converted(&files, &files.put("t.tsv", titles(3)), &ReadOptions::default());
    let options = ReadOptions { dense: Some(fixture("dense_f16.npy")), ..ReadOptions::default() };
    assert_eq!(read_dataset(&dir, &options).unwrap().dense.unwrap().row(0), [0.0, 1.5, 0.0, -2.0]);
    let (dir, _) = converted(&files, &files.put("t.tsv", titles(4)), &ReadOptions::default());
    assert!(matches!(read_dataset(&dir, &options), Err(DataError::Count { expected: 4, found: 3, .. })));
    let (dir, _) = converted(&files, &fixture("dense_f16.npy"), &ReadOptions::unlabelled());
    let options = ReadOptions { purpose: Purpose::Unlabelled, ..options };
    assert!(matches!(read_dataset(dir, &options), Err(DataError::Unsupported { .. })));
}

/// Uses all of a data set.
fn use_up(dataset: &Dataset) -> usize {
    let rows: Vec<usize> = (0..dataset.n_samples()).rev().collect();
    let part = dataset.select(&rows);
    let input = match &part.input {
        Input::Text(texts) => texts.iter().map(str::len).sum::<usize>(),
        Input::Features(features) => features.sparse().nnz() + features.n_dense(),
    };
    input + part.labels.nnz() + part.label_map.iter().map(|(key, name)| key.len() + name.len()).sum::<usize>()
}

proptest! {
    /// Whatever a byte of any file is changed to: an error, or data that can be used; never a panic.
    #[test]
    fn a_damaged_data_set_is_an_error_or_wrong(at: prop::sample::Index, byte: u8, of_text: bool) {
        let files = Files::new();
        let (dir, _) = match of_text {
            true => converted(&files, &files.put("t.jsonl", "{\"text\": \"aä\", \"labels\": [\"x\", \"y\"], \"id\": \"1\", \"weight\": 2}\n{\"text\": \"b\", \"labels\": [\"y\"]}\n"), &ReadOptions::default()),
            false => {
                let options = ReadOptions { label_path: Some(fixture("y_bool.npz")), dense: Some(fixture("dense_f16.npy")), ..ReadOptions::default() };
                converted(&files, &fixture("x_csr_f64.npz"), &options)
            }
        };
        // Headers and manifest are compared with each other; the arrays are what nobody looks at before they are used.
        let mut places: Vec<(PathBuf, usize)> = Vec::new();
        for entry in std::fs::read_dir(&dir).unwrap().map(Result::unwrap) {
            let start = if entry.file_name() == "manifest.json" { 0 } else { 64 };
            places.extend((start..entry.metadata().unwrap().len() as usize).map(|at| (entry.path(), at)));
        }
        places.sort();
        let (path, at) = &places[at.index(places.len())];
        let mut bytes = std::fs::read(path).unwrap();
        bytes[*at] = byte;
        std::fs::write(path, bytes).unwrap();
        for labels in [LabelSource::Data, LabelSource::Given(Arc::new(LabelMap::numbered(3)))] {
            let options = ReadOptions { labels, unknown_labels: UnknownLabels::Ignore, ..ReadOptions::default() };
            if let Ok(dataset) = read_dataset(&dir, &options) {
                use_up(&dataset);
                if dataset.check().is_ok() && let Input::Features(features) = &dataset.input {
                    features.sparse().transpose();
                    dataset.labels.transpose();
                }
            }
            if let Ok(mut reader) = RecordReader::open(&dir, &options) {
                while let Ok(Some(batch)) = reader.next_batch(1) {
                    use_up(&batch);
                }
            }
        }
    }
}
