//! Reading in batches.

use crate::{Files, fixture, texts};
use std::process::{Command, Stdio};
use xmc_data::{Input, LabelMap, LabelSource, ReadOptions, RecordReader, read_dataset};

#[test]
fn batches_are_the_file_in_pieces() {
    let files = Files::new();
    let content: String = (0..2500).map(|n| format!("l{}\ttext {n}\n", n % 7)).collect();
    let path = files.put("t.tsv", content);
    let whole = read_dataset(&path, &ReadOptions::default()).unwrap();
    // With a given map the first records are read twice: once to settle how labels are named.
    for labels in [LabelSource::Data, LabelSource::Given(whole.label_map.clone())] {
        let mut reader = RecordReader::open(&path, &ReadOptions { labels, ..Default::default() }).unwrap();
        let mut seen = 0;
        while let Some(batch) = reader.next_batch(300).unwrap() {
            assert!(batch.n_samples() <= 300);
            let rows: Vec<usize> = (seen..seen + batch.n_samples()).collect();
            let part = whole.select(&rows);
            assert_eq!(texts(&batch), texts(&part));
            assert!(batch.labels.rows().eq(part.labels.rows()));
            seen += batch.n_samples();
        }
        assert_eq!(seen, 2500);
    }
}

#[test]
fn a_batch_ends_when_it_has_its_bytes() {
    let files = Files::new();
    let path = files.put("t.txt", "four\nfive5\nsix666\nseven77\n");
    let sizes = |limit, bytes| -> Vec<usize> {
        let mut reader = RecordReader::open(&path, &ReadOptions::unlabelled()).unwrap();
        std::iter::from_fn(|| reader.next_batch_within(limit, bytes).unwrap())
            .map(|b| b.n_samples())
            .collect()
    };
    assert_eq!(sizes(9, 9), [2, 2]);
    assert_eq!(sizes(9, 10), [3, 1]);
    // However few bytes: a record.
    assert_eq!(sizes(9, 0), [1; 4]);
    assert_eq!(sizes(3, 1000), [3, 1]);
    assert!(sizes(0, 1000).is_empty());
    // The first row has two features of eight bytes, each row four dense ones of four.
    let options = ReadOptions { dense: Some(fixture("dense_f64_columns.npy")), ..ReadOptions::unlabelled() };
    let mut reader = RecordReader::open(fixture("x_csr_f64.npz"), &options).unwrap();
    assert_eq!(reader.next_batch_within(9, 33).unwrap().unwrap().n_samples(), 2);
}

#[test]
fn records_come_one_by_one() {
    let files = Files::new();
    let path = files.put("t.jsonl", "{\"text\": \"a\", \"id\": \"x\"}\n{\"text\": \"b\"}\n");
    let reader = RecordReader::open(path, &ReadOptions::unlabelled()).unwrap();
    let records: Vec<_> = reader.map(Result::unwrap).collect();
    assert_eq!((records[0].id.as_deref(), records[1].text.as_str(), records[1].line), (Some("x"), "b", 2));
}

#[test]
fn reading_goes_on_behind_a_bad_record() {
    let files = Files::new();
    let path = files.put("t.txt", b"a\n\xff\nc\n");
    let mut reader = RecordReader::open(path, &ReadOptions::unlabelled()).unwrap();
    assert_eq!(reader.next().unwrap().unwrap().text, "a");
    assert!(reader.next().unwrap().unwrap_err().is_bad_record());
    assert_eq!(reader.next().unwrap().unwrap().text, "c");
    assert!(reader.next().is_none());
}

#[test]
fn matrices_come_in_batches_too() {
    let options = ReadOptions { dense: Some(fixture("dense_f64_columns.npy")), ..ReadOptions::unlabelled() };
    let mut reader = RecordReader::open(fixture("x_csr_f64.npz"), &options).unwrap();
    assert_eq!((reader.n_features(), reader.n_dense()), (Some(4), 4));
    let whole = read_dataset(fixture("x_csr_f64.npz"), &options).unwrap();
    let mut seen = 0;
    while let Some(batch) = reader.next_batch(2).unwrap() {
        let rows: Vec<usize> = (seen..seen + batch.n_samples()).collect();
        assert_eq!(batch.input, whole.select(&rows).input);
        assert!(matches!(batch.input, Input::Features(_)));
        seen += batch.n_samples();
    }
    assert_eq!(seen, 3);
}

/// Not a test of its own: the child process of the next one, with its standard input.
#[test]
#[ignore = "run by a_slow_writer_gets_each_answer_at_once"]
fn echo_batches() {
    let mut reader = RecordReader::open("-", &ReadOptions::unlabelled()).unwrap();
    while let Some(batch) = reader.next_batch(1000).unwrap() {
        println!("batch of {}", batch.n_samples());
    }
}

#[test]
fn a_slow_writer_gets_each_answer_at_once() {
    use std::io::{BufRead, BufReader, Write};
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "streams::echo_batches", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut next = || output.find_map(|line| line.split_once("batch of ").map(|(_, count)| count.to_owned()));
    for (lines, count) in [("one\n", "1"), ("two\nthree\nfour\n", "3"), ("five\n", "1")] {
        input.write_all(lines.as_bytes()).unwrap();
        input.flush().unwrap();
        // The writer waits for the answer before it goes on: a reader that waited for more would hang here.
        assert_eq!(next().as_deref(), Some(count));
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_numbered_map_is_what_numbered_data_get() {
    let files = Files::new();
    let data = read_dataset(files.put("t.xc", "1 2 3\n1 0:1\n"), &ReadOptions::default()).unwrap();
    assert_eq!(*data.label_map, LabelMap::numbered(3));
}
