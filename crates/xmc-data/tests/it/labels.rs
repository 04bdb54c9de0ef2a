//! Given label maps, and the ways in which data refer to them.

use crate::{Files, names, read_text};
use std::sync::Arc;
use xmc_data::{
    DataError, Dataset, LabelBy, LabelMap, LabelSource, OnError, ReadOptions, UnknownLabels, read_dataset,
};

fn map(entries: &[(&str, &str)]) -> LabelSource {
    let mut map = LabelMap::new();
    entries.iter().for_each(|(key, name)| _ = map.insert(key, name));
    LabelSource::Given(Arc::new(map))
}

fn subjects() -> LabelSource {
    map(&[("p3", "reading"), ("p4", "fiction"), ("7", "twins"), ("8", "twins")])
}

fn options(labels: LabelSource, label_by: LabelBy, unknown_labels: UnknownLabels) -> ReadOptions {
    ReadOptions { labels, label_by, unknown_labels, ..Default::default() }
}

fn try_read(content: &str, options: &ReadOptions) -> Result<Dataset, DataError> {
    read_dataset(Files::new().put("t.tsv", content), options)
}

#[test]
fn auto_takes_the_scheme_that_knows_most_labels() {
    let auto = options(subjects(), LabelBy::Auto, UnknownLabels::Error);
    assert_eq!(names(&read_text("t.tsv", "p4\tx\n7\ty\n", &auto)), [["fiction"], ["twins"]]);
    assert_eq!(names(&read_text("t.tsv", "fiction,reading\tx\n", &auto)), [["reading", "fiction"]]);
    assert_eq!(
        names(&read_text("t.tsv", "0,1\tx\n2\ty\n", &auto)),
        [vec!["reading", "fiction"], vec!["twins"]]
    );
    // 7 is a key and no row: all of one file is read by one scheme.
    assert!(matches!(try_read("0,1,7\tx\n", &auto), Err(DataError::UnknownLabel { by: "row", .. })));
    // Keys go before rows where both know all.
    let numbers = options(map(&[("1", "one"), ("0", "zero")]), LabelBy::Auto, UnknownLabels::Error);
    assert_eq!(names(&read_text("t.tsv", "0\tx\n", &numbers)), [["zero"]]);
    let rows = ReadOptions { label_by: LabelBy::Row, ..numbers };
    assert_eq!(names(&read_text("t.tsv", "0\tx\n", &rows)), [["one"]]);
}

#[test]
fn a_name_that_two_labels_share_is_refused() {
    let by_name = options(subjects(), LabelBy::Name, UnknownLabels::Ignore);
    let error = try_read("fiction\tx\ntwins\ty\n", &by_name).unwrap_err();
    assert!(matches!(error, DataError::AmbiguousLabel { line: 2, .. }), "{error}");
}

#[test]
fn unknown_labels_are_refused_left_out_or_added() {
    let content = "p4,new\tx\nnew\ty\nnewer,p3\tz\n";
    let error = try_read(content, &options(subjects(), LabelBy::Auto, UnknownLabels::Error)).unwrap_err();
    assert!(matches!(error, DataError::UnknownLabel { line: 1, by: "key", n_labels: 4, .. }), "{error}");
    let ignored = try_read(content, &options(subjects(), LabelBy::Auto, UnknownLabels::Ignore)).unwrap();
    assert_eq!(
        (names(&ignored), ignored.skipped.labels),
        (vec![vec!["fiction"], vec![], vec!["reading"]], 3)
    );
    assert_eq!(ignored.labels.n_cols(), 4);
    let grown = try_read(content, &options(subjects(), LabelBy::Auto, UnknownLabels::Grow)).unwrap();
    assert_eq!(names(&grown), [vec!["fiction", "new"], vec!["new"], vec!["reading", "newer"]]);
    assert_eq!((grown.labels.n_cols(), grown.label_map.get("newer")), (6, Some(5)));
    let skip =
        ReadOptions { on_error: OnError::Skip, ..options(subjects(), LabelBy::Key, UnknownLabels::Error) };
    let skipped = try_read("p4\tx\nnew\ty\n", &skip).unwrap();
    assert_eq!((skipped.n_samples(), skipped.skipped.records), (1, 1));
}

#[test]
fn a_test_set_reads_with_the_map_of_its_training_set() {
    let train = read_text("t.tsv", "b\tx\na\ty\n", &ReadOptions::default());
    let given = options(LabelSource::Given(train.label_map.clone()), LabelBy::Auto, UnknownLabels::Ignore);
    let test = read_text("t.tsv", "a,c\tz\n", &given);
    assert_eq!((test.labels.row(0).indices, test.labels.n_cols(), test.skipped.labels), (&[1][..], 2, 1));
    assert!(Arc::ptr_eq(&test.label_map, &train.label_map), "nothing is copied");
}

#[test]
fn a_label_file_names_the_columns_of_numbered_data() {
    let files = Files::new();
    let labels = LabelSource::File(files.put("labels.tsv", "k0\tzero\nk1\tone\nk2\ttwo\n"));
    let given = options(labels, LabelBy::Auto, UnknownLabels::Error);
    let data = read_dataset(files.put("t.xc", "2 2 2\n0,1 0:1\n1 1:1\n"), &given).unwrap();
    assert_eq!(names(&data), [vec!["zero", "one"], vec!["one"]]);
    assert_eq!(data.labels.n_cols(), 3);
    let error = read_dataset(files.put("wide.xc", "1 2 9\n8 0:1\n"), &given).unwrap_err();
    assert!(matches!(error, DataError::LabelOutOfRange { found: 8, n_labels: 3, .. }), "{error}");
}

#[test]
fn a_label_matrix_is_fitted_to_the_map() {
    let y = crate::fixture("y_bool.npz");
    let read = |labels, unknown| {
        let options = ReadOptions { label_path: Some(y.clone()), ..options(labels, LabelBy::Auto, unknown) };
        read_dataset(crate::fixture("x_csr_f64.npz"), &options)
    };
    let wide = read(subjects(), UnknownLabels::Error).unwrap();
    assert_eq!((wide.labels.n_cols(), wide.labels.nnz()), (4, 5));
    let narrow = map(&[("a", "a"), ("b", "b")]);
    let error = read(narrow.clone(), UnknownLabels::Error).unwrap_err();
    assert!(matches!(error, DataError::LabelOutOfRange { line: 1, found: 2, n_labels: 2, .. }), "{error}");
    let fitted = read(narrow, UnknownLabels::Ignore).unwrap();
    assert_eq!((fitted.labels.nnz(), fitted.skipped.labels), (4, 1));
}
