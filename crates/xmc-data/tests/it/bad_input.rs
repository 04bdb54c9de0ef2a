//! Each way in which a text file can be wrong ends in the error that names it.

use crate::{Files, read_text, texts};
use std::path::PathBuf;
use xmc_data::{CsvColumns, DataError, OnError, ReadOptions, Skipped, read_dataset};

fn error_of(name: &str, content: impl AsRef<[u8]>) -> DataError {
    let files = Files::new();
    read_dataset(files.put(name, content), &ReadOptions::default()).unwrap_err()
}

#[test]
fn a_file_that_cannot_be_opened() {
    let error = read_dataset("no/such/file.tsv", &ReadOptions::default()).unwrap_err();
    assert!(matches!(error, DataError::Open { .. }), "{error}");
    let error = read_dataset(std::env::temp_dir(), &ReadOptions::default()).unwrap_err();
    assert!(matches!(error, DataError::NotData { .. }), "a folder: {error}");
}

#[test]
fn an_empty_file() {
    for name in ["t.tsv", "t.jsonl", "t.csv", "t.xc", "t"] {
        assert!(matches!(error_of(name, ""), DataError::Empty { .. }), "{name}");
    }
    assert!(matches!(error_of("t.csv", "text,labels\n"), DataError::Empty { .. }));
    assert!(matches!(error_of("t.xc", "0 5 3\n"), DataError::Empty { .. }));
}

#[test]
fn no_labels_at_all() {
    for (name, content) in
        [("t.tsv", "\ta\n\tb\n"), ("t.jsonl", r#"{"text": "a", "labels": []}"#), ("t.xc", "1 2 3\n 0:1\n")]
    {
        let error = error_of(name, content);
        assert!(matches!(error, DataError::NoLabels { .. }), "{name}: {error}");
    }
}

#[test]
fn a_broken_line() {
    for (name, line, content) in [
        ("t.tsv", 2, "a\tx\nno tab\n"),
        ("t.tsv", 1, "a,,b\tx\n"),
        ("t.jsonl", 2, "{\"text\": \"a\", \"labels\": [\"x\"]}\n{\"text\": \"a\", \"labels\": [\"x\"\n"),
        ("t.jsonl", 1, r#"{"text": "a"}"#),
        ("t.jsonl", 1, r#"{"text": "a", "labels": [""]}"#),
        ("t.jsonl", 1, r#"{"text": "a", "labels": [1.5]}"#),
        ("t.jsonl", 1, r#"{"text": "a", "labels": ["x"], "weight": -1}"#),
        ("t.csv", 3, "text,labels\na,x\nb\n"),
        ("t.xc", 1, "2 x 3\n"),
        ("t.xc", 1, "1 2\n0:1\n"),
        ("t.xc", 2, "1 2 3\n0 1:x\n"),
        ("t.xc", 2, "1 2 3\n0 1\n"),
        ("t.xc", 2, "1 2 3\n0;1 1:1\n"),
    ] {
        let error = error_of(name, content);
        assert!(
            matches!(error, DataError::BadLine { line: found, .. } if found == line),
            "{content:?}: {error}"
        );
    }
}

#[test]
fn numbers_out_of_range_or_not_finite() {
    let far = error_of("t.xc", "2 5 3\n0 4:1\n1 5:1\n");
    assert!(matches!(far, DataError::FeatureOutOfRange { line: 3, found: 5, n_features: 5, .. }), "{far}");
    let negative = error_of("t.xc", "1 5 3\n0 -1:1\n");
    assert!(matches!(negative, DataError::FeatureOutOfRange { found: -1, .. }), "{negative}");
    let label = error_of("t.xc", "1 5 3\n3 1:1\n");
    assert!(matches!(label, DataError::LabelOutOfRange { line: 2, found: 3, n_labels: 3, .. }), "{label}");
    for value in ["nan", "inf", "1e39"] {
        let error = error_of("t.xc", format!("1 5 3\n0 1:{value}\n"));
        assert!(matches!(error, DataError::NonFinite { line: 2, id: 1, what: "feature", .. }), "{error}");
    }
}

#[test]
fn a_header_that_does_not_count_right() {
    let few = error_of("t.xc", "3 5 3\n0 1:1\n");
    assert!(matches!(few, DataError::Count { expected: 3, found: 1, .. }), "{few}");
    let many = error_of("t.xc", "1 5 3\n0 1:1\n0 1:1\n");
    assert!(matches!(many, DataError::Count { expected: 1, found: 2, .. }), "{many}");
}

#[test]
fn bytes_that_are_no_text() {
    for (name, content) in [("t.tsv", &b"a\tx\nb\t\xff\n"[..]), ("t.csv", b"labels,text\nb,\xff\n")] {
        let error = error_of(name, content);
        assert!(matches!(error, DataError::InvalidUtf8 { line: 2, .. }), "{error}");
    }
}

#[test]
fn a_line_longer_than_memory_may_hold() {
    let files = Files::new();
    let options = ReadOptions { max_line_bytes: 100, ..Default::default() };
    let error = read_dataset(files.put("t.tsv", "a\t".to_owned() + &"x".repeat(1000)), &options).unwrap_err();
    assert!(matches!(error, DataError::LineTooLong { line: 1, limit: 100, .. }), "{error}");
    // A quote that is never closed makes all the rest one record.
    let open_quote = "text,labels\n\"a,x\n".to_owned() + &"b,x\n".repeat(1 << 20);
    let error = read_dataset(files.put("t.csv", open_quote), &options).unwrap_err();
    assert!(matches!(error, DataError::Unsupported { .. }), "{error}");
}

#[test]
fn a_column_that_is_not_there() {
    let error = error_of("t.csv", "title,labels\na,x\n");
    assert!(matches!(&error, DataError::MissingColumn { column, .. } if column == "text"), "{error}");
    let files = Files::new();
    let csv = CsvColumns { id: Some("nr".into()), ..Default::default() };
    let options = ReadOptions { csv, ..Default::default() };
    let error = read_dataset(files.put("t.csv", "text,labels\na,x\n"), &options).unwrap_err();
    assert!(matches!(&error, DataError::MissingColumn { column, .. } if column == "nr"), "{error}");
}

#[test]
fn a_cut_compressed_file() {
    let packed = zstd::encode_all("a\tsome text\n".repeat(1000).as_bytes(), 1).unwrap();
    let error = error_of("t.tsv.zst", &packed[..packed.len() - 5]);
    assert!(matches!(error, DataError::Truncated { format: "Zstandard", .. }), "{error}");
}

#[test]
fn skipped_lines_are_counted_and_the_first_ones_reported() {
    let options = ReadOptions { on_error: OnError::Skip, max_line_bytes: 50, ..Default::default() };
    let content = format!("a\tgood\n{}a\t{}\nb\tgood too\n", "bad\n".repeat(20), "x".repeat(99));
    let data = read_text("t.tsv", content, &options);
    assert_eq!(texts(&data), ["good", "good too"]);
    assert_eq!((data.skipped.records, data.skipped.first.len()), (21, Skipped::KEPT));
    assert!(matches!(*data.skipped.first[0], DataError::BadLine { line: 2, .. }));
    let data = read_text("t.csv", "text,labels\na,x\nb\nc,x\n", &options);
    assert_eq!((texts(&data), data.skipped.records), (vec!["a", "c"], 1));
    // Bad rows count against the header all the same.
    let data = read_text("t.xc", "3 5 3\n0 1:1\n0 9:1\n1 1:1\n", &options);
    assert_eq!((data.n_samples(), data.skipped.records), (2, 1));
}

#[test]
fn a_file_of_bad_lines_alone_gives_the_first_fault() {
    let files = Files::new();
    let options = ReadOptions { on_error: OnError::Skip, ..Default::default() };
    let error = read_dataset(files.put("t.tsv", "bad\nworse\n"), &options).unwrap_err();
    assert!(
        matches!(&error, DataError::AllBad { skipped: 2, first, .. } if matches!(**first, DataError::BadLine { line: 1, .. }))
    );
}

#[test]
fn messages_name_file_line_expectation_and_finding() {
    let error =
        DataError::FeatureOutOfRange { path: PathBuf::from("x.txt"), line: 3, found: 9, n_features: 5 };
    assert_eq!(
        error.to_string(),
        r#""x.txt", line 3: feature id 9 is out of range, expected 0 to 5 exclusive"#
    );
    let error = error_of("t.tsv", "no tab\n").to_string();
    assert!(error.ends_with(r#"t.tsv", line 1: expected label,label,…<TAB>text, found "no tab""#), "{error}");
}
