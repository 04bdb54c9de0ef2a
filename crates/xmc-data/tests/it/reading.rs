//! Sound files of each text format.

use crate::{Files, names, read_text, texts};
use std::io::Write;
use xmc_data::{CsvColumns, Format, Input, Purpose, ReadOptions, read_dataset, write_xc};
use xmc_sparse::Csr;

#[test]
fn tsv_labels_get_ids_in_order_of_appearance() {
    let data = read_text(
        "t.tsv",
        "shoe,red\tA red shoe\n\tno label\nhat, red,red\tred\that\n",
        &ReadOptions::default(),
    );
    assert_eq!(texts(&data), ["A red shoe", "no label", "red\that"]);
    assert_eq!(names(&data), [vec!["shoe", "red"], vec![], vec!["red", "hat"]]);
    assert!(data.labels.values().iter().all(|&value| value == 1.0), "a label named twice counts once");
    assert_eq!((data.ids, data.weights, data.skipped.records), (None, None, 0));
}

#[test]
fn json_lines_have_ids_and_weights() {
    let lines = concat!(
        r#"{"text": "A \"red\" shoe\nsize 4", "labels": ["red", 7], "id": 12, "extra": {"x": []}}"#,
        "\n\n",
        r#"{"labels": [], "weight": 2.5, "text": "b"}"#,
    );
    let data = read_text("t.jsonl", lines, &ReadOptions::default());
    assert_eq!(texts(&data), ["A \"red\" shoe\nsize 4", "b"]);
    assert_eq!(names(&data), [vec!["red", "7"], vec![]]);
    assert_eq!(data.ids.unwrap().iter().collect::<Vec<_>>(), ["12", ""]);
    assert_eq!(data.weights.unwrap()[..], [1.0, 2.5]);
}

#[test]
fn csv_columns_are_chosen_by_name() {
    let csv = CsvColumns {
        text: vec!["title".into(), "body".into()],
        labels: "tags".into(),
        label_separator: '|',
        id: Some("nr".into()),
        weight: Some("w".into()),
        delimiter: b';',
    };
    let content = "\u{feff}nr;tags;title;body;w\n1;a|b;Red;\"one;\ntwo\";0.5\n2;;Blue;;\n";
    let data = read_text("t.csv", content, &ReadOptions { csv, ..Default::default() });
    assert_eq!(texts(&data), ["Red one;\ntwo", "Blue "]);
    assert_eq!(names(&data), [vec!["a", "b"], vec![]]);
    assert_eq!(data.ids.unwrap().iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(data.weights.unwrap()[..], [0.5, 1.0]);
}

const XC: &str = "3 5 4\n0,3 1:0.5 0:2\n 4:1e-3\n2\n";

fn check_xc(input: &Input, labels: &Csr) {
    let Input::Features(features) = input else { panic!("expected features") };
    let expected = Csr::from_rows(5, [vec![(0, 2.0), (1, 0.5)], vec![(4, 0.001)], vec![]]).unwrap();
    assert_eq!(features.sparse(), &expected);
    let rows: Vec<_> = labels.rows().map(|row| row.indices.to_vec()).collect();
    assert_eq!(rows, [vec![0, 3], vec![], vec![2]]);
    assert_eq!(labels.n_cols(), 4);
}

#[test]
fn xc_files_are_read_in_one_file_or_two() {
    let one = read_text("train.txt", XC, &ReadOptions::default());
    check_xc(&one.input, &one.labels);
    assert_eq!(one.label_map.name(3), "3");
    let files = Files::new();
    let features = files.put("X.txt", "3 5\n1:0.5 0:2\n4:1e-3\n\n");
    let label_path = Some(files.put("Y.txt", "3 4\n0:1 3:0.5\n\n2:1\n\n"));
    let two = read_dataset(features, &ReadOptions { label_path, ..Default::default() }).unwrap();
    check_xc(&two.input, &two.labels);
    assert_eq!(two.labels.row(0).values, [1.0, 0.5], "relevance is kept");
}

#[test]
fn compressed_files_are_read_whatever_their_name() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(b"a\tone\n").unwrap();
    let gzip = gzip.finish().unwrap();
    for (name, packed) in [
        ("t.tsv.gz", [gzip.clone(), gzip.clone()].concat()),
        ("t.tsv", [gzip.clone(), gzip].concat()),
        ("t.tsv.zst", zstd::encode_all(&b"a\tone\na\tone\n"[..], 3).unwrap()),
    ] {
        assert_eq!(texts(&read_text(name, packed, &ReadOptions::default())), ["one", "one"], "{name}");
    }
}

#[test]
fn input_for_prediction_needs_no_labels() {
    let options = ReadOptions { purpose: Purpose::Unlabelled, ..Default::default() };
    assert_eq!(
        texts(&read_text("t.txt", "plain text\n\nx\twith label\n", &options)),
        ["plain text", "", "with label"]
    );
    assert_eq!(texts(&read_text("t.json", "{\"text\": \"a\"}\n", &options)), ["a"]);
    assert_eq!(texts(&read_text("t.csv", "text\na\n", &options)), ["a"]);
    let features = read_text("t.xc", "1 2 9\n7 1:1\n", &options);
    assert!(matches!(features.input, Input::Features(x) if x.n_sparse() == 2));
}

#[test]
fn an_explicit_format_wins_over_the_name() {
    let options = ReadOptions { format: Some(Format::Tsv), ..Default::default() };
    assert_eq!(texts(&read_text("t.csv", "a\tx,y\n", &options)), ["x,y"]);
}

#[test]
fn a_split_has_every_record_once_and_depends_on_the_seed_alone() {
    let lines: String =
        (0..100).map(|n| format!("{{\"text\": \"t{n}\", \"labels\": [\"l{n}\"], \"id\": {n}}}\n")).collect();
    let data = read_text("t.jsonl", lines, &ReadOptions::default());
    let (train, valid) = data.split(0.2, 7).unwrap();
    assert_eq!((train.n_samples(), valid.n_samples()), (80, 20));
    let mut all: Vec<_> = texts(&train).into_iter().chain(texts(&valid)).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 100);
    for (row, text) in texts(&valid).iter().enumerate() {
        assert_eq!(format!("l{}", &text[1..]), names(&valid)[row][0]);
        assert_eq!(&text[1..], &valid.ids.as_ref().unwrap()[row]);
    }
    assert_eq!(texts(&data.split(0.2, 7).unwrap().1), texts(&valid));
    assert_ne!(texts(&data.split(0.2, 8).unwrap().1), texts(&valid));
    for fraction in [0.0, 1.0, -0.5, f64::NAN, 0.001] {
        assert!(data.split(fraction, 7).is_err(), "{fraction}");
    }
}

proptest::proptest! {
    #[test]
    fn xc_files_read_back_as_written(
        rows in proptest::collection::vec(
            (proptest::collection::btree_map(0u32..20, -1e6f32..1e6, 0..6), proptest::collection::btree_set(0u32..9, 0..4)),
            1..12,
        )
    ) {
        let x = Csr::from_rows(20, rows.iter().map(|(features, _)| features.iter().map(|(&id, &value)| (id, value)))).unwrap();
        let y = Csr::from_rows(9, rows.iter().map(|(_, labels)| labels.iter().map(|&id| (id, 1.0)))).unwrap();
        proptest::prop_assume!(y.nnz() > 0);
        let files = Files::new();
        write_xc(files.path("t.xc"), &x, &y).unwrap();
        let data = read_dataset(files.path("t.xc"), &ReadOptions::default()).unwrap();
        proptest::prop_assert_eq!(data.labels, y);
        let Input::Features(features) = data.input else { panic!("expected features") };
        proptest::prop_assert_eq!(features.sparse(), &x);
    }
}
