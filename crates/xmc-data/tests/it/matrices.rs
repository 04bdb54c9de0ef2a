//! NumPy and SciPy files: fixtures made by SciPy, and round trips.

use crate::{Files, fixture, texts};
use ndarray::{Array2, array};
use xmc_data::{
    Columns, DataError, Input, OnError, Purpose, ReadOptions, read_dataset, read_npy, read_npz, write_npy,
    write_npz,
};
use xmc_sparse::Csr;

fn x() -> Csr {
    Csr::from_rows(4, [vec![(1, 1.5), (3, -2.0)], vec![], vec![(0, 0.25), (2, 3.0)]]).unwrap()
}

fn dense() -> Array2<f32> {
    array![[0.0, 1.5, 0.0, -2.0], [0.0; 4], [0.25, 0.0, 3.0, 0.0]]
}

#[test]
fn scipy_csr_and_csc_are_the_same_matrix() {
    assert_eq!(read_npz(fixture("x_csr_f64.npz"), Columns::Features).unwrap(), x());
    assert_eq!(read_npz(fixture("x_csc_f32_plain.npz"), Columns::Features).unwrap(), x());
}

#[test]
fn unsorted_columns_are_sorted_and_duplicates_summed() {
    let expected =
        Csr::from_rows(4, [vec![(1, 1.5), (3, -2.0)], vec![(0, 0.0)], vec![(0, 0.25), (2, 3.0)]]).unwrap();
    assert_eq!(read_npz(fixture("x_messy_i64.npz"), Columns::Features).unwrap(), expected);
}

#[test]
fn an_explicit_zero_is_no_label() {
    let y = read_npz(fixture("y_zero.npz"), Columns::Labels).unwrap();
    assert_eq!(y, Csr::from_rows(3, [vec![(0, 1.0)], vec![], vec![(2, 1.0)]]).unwrap());
}

#[test]
fn dense_files_of_every_kind_are_the_same_matrix() {
    for name in ["dense_f16.npy", "dense_f64_columns.npy", "dense_f32_big_endian.npy"] {
        assert_eq!(read_npy(fixture(name)).unwrap(), dense(), "{name}");
        let data = read_dataset(fixture(name), &ReadOptions::unlabelled()).unwrap();
        let Input::Features(features) = data.input else { panic!("expected features") };
        assert_eq!((features.n_sparse(), features.dense().unwrap().view()), (0, dense().view()), "{name}");
    }
}

#[test]
fn a_pair_of_npz_files_and_a_dense_one_make_a_data_set() {
    let options = ReadOptions {
        label_path: Some(fixture("y_bool.npz")),
        dense: Some(fixture("dense_f16.npy")),
        ..Default::default()
    };
    let data = read_dataset(fixture("x_csr_f64.npz"), &options).unwrap();
    let Input::Features(features) = &data.input else { panic!("expected features") };
    assert_eq!((features.n_sparse(), features.n_dense(), data.n_labels()), (4, 4, 3));
    assert_eq!(data.labels.row(0).indices, [0, 2]);
    let (train, valid) = data.split(0.34, 1).unwrap();
    assert_eq!((train.n_samples(), valid.n_samples()), (2, 1));
}

#[test]
fn dense_features_and_label_matrices_stand_beside_texts() {
    let files = Files::new();
    let path = files.put("t.txt", "one\ntwo\nthree\n");
    for dense_name in ["dense_f16.npy", "dense_f64_columns.npy"] {
        let options = ReadOptions {
            label_path: Some(fixture("y_bool.npz")),
            dense: Some(fixture(dense_name)),
            ..Default::default()
        };
        let data = read_dataset(&path, &options).unwrap();
        assert_eq!(texts(&data), ["one", "two", "three"]);
        assert_eq!((data.dense, data.labels.nnz()), (Some(dense().into()), 5));
    }
}

#[test]
fn a_skipped_line_takes_its_dense_row_and_labels_along() {
    let files = Files::new();
    let path = files.put("t.txt", b"one\n\xff\nthree\n");
    let options = ReadOptions {
        label_path: Some(fixture("y_bool.npz")),
        dense: Some(fixture("dense_f16.npy")),
        on_error: OnError::Skip,
        ..Default::default()
    };
    let data = read_dataset(path, &options).unwrap();
    assert_eq!((texts(&data), data.skipped.records), (vec!["one", "three"], 1));
    assert_eq!(data.dense.unwrap().row(1), dense().row(2).as_slice().unwrap());
    assert_eq!(data.labels.row(1).indices, [0, 1]);
}

#[test]
fn files_of_different_length_do_not_go_together() {
    let files = Files::new();
    let dense = Some(fixture("dense_f16.npy"));
    let options = ReadOptions { dense, purpose: Purpose::Unlabelled, ..Default::default() };
    let short = read_dataset(files.put("short.txt", "one\ntwo\n"), &options);
    assert!(matches!(short, Err(DataError::Count { expected: 2, found: 3, .. })), "{short:?}");
    let long = read_dataset(files.put("long.txt", "1\n2\n3\n4\n"), &options);
    assert!(matches!(long, Err(DataError::Count { expected: 4, found: 3, .. })), "{long:?}");
    write_npz(files.path("y.npz"), &Csr::empty(2, 3)).unwrap();
    let options = ReadOptions { label_path: Some(files.path("y.npz")), ..Default::default() };
    let pair = read_dataset(fixture("x_csr_f64.npz"), &options);
    assert!(matches!(pair, Err(DataError::Count { expected: 2, found: 3, .. })), "{pair:?}");
}

#[test]
fn the_same_matrix_is_the_same_file() {
    let files = Files::new();
    write_npz(files.path("a.npz"), &x()).unwrap();
    write_npz(files.path("b.npz"), &x()).unwrap();
    assert_eq!(std::fs::read(files.path("a.npz")).unwrap(), std::fs::read(files.path("b.npz")).unwrap());
}

#[test]
fn npy_files_read_back_as_written() {
    let files = Files::new();
    // A transposed view: rows are not contiguous.
    write_npy(files.path("t.npy"), dense().t()).unwrap();
    assert_eq!(read_npy(files.path("t.npy")).unwrap(), dense().t());
    write_npy(files.path("e.npy"), Array2::zeros((0, 3)).view()).unwrap();
    assert_eq!(read_npy(files.path("e.npy")).unwrap().dim(), (0, 3));
}

proptest::proptest! {
    #[test]
    fn npz_files_read_back_as_written(
        rows in proptest::collection::vec(proptest::collection::btree_map(0u32..30, proptest::num::f32::NORMAL, 0..8), 0..20)
    ) {
        let matrix = Csr::from_rows(30, rows).unwrap();
        let files = Files::new();
        write_npz(files.path("t.npz"), &matrix).unwrap();
        proptest::prop_assert_eq!(read_npz(files.path("t.npz"), Columns::Features).unwrap(), matrix);
    }

    /// Whatever a byte is changed to: a matrix or an error, never a panic.
    #[test]
    fn damaged_matrix_files_end_in_an_error_or_a_matrix(at in 0usize..1400, byte: u8, name in 0usize..4) {
        let name = ["x_csr_f64.npz", "x_csc_f32_plain.npz", "x_messy_i64.npz", "dense_f64_columns.npy"][name];
        let mut bytes = std::fs::read(fixture(name)).unwrap();
        let at = at % bytes.len();
        bytes[at] = byte;
        let files = Files::new();
        let path = files.put(name, bytes);
        let read = read_dataset(path, &ReadOptions::unlabelled());
        proptest::prop_assert!(read.is_ok() || read.is_err());
    }
}

#[test]
fn broken_matrices_say_what_is_wrong() {
    let read = |name| read_npz(fixture(name), Columns::Features).unwrap_err();
    let error = read("x_nan.npz");
    assert!(matches!(error, DataError::NonFinite { line: 1, id: 3, what: "feature", .. }), "{error}");
    let error = read("x_far.npz");
    assert!(
        matches!(error, DataError::FeatureOutOfRange { line: 3, found: 4, n_features: 4, .. }),
        "{error}"
    );
    let error = read("x_coo.npz");
    assert!(matches!(error, DataError::BadArray { array: "format", .. }), "{error}");
    let error = read_npz(fixture("x_far.npz"), Columns::Labels).unwrap_err();
    assert!(matches!(error, DataError::LabelOutOfRange { line: 3, found: 4, .. }), "{error}");
    let error = read_npy(fixture("dense_1d.npy")).unwrap_err();
    assert!(matches!(error, DataError::BadArray { expected: "two dimensions", .. }), "{error}");
}

#[test]
fn a_cut_matrix_file_is_refused() {
    let files = Files::new();
    for name in ["x_csr_f64.npz", "x_csc_f32_plain.npz"] {
        let bytes = std::fs::read(fixture(name)).unwrap();
        let error = read_npz(files.put("cut.npz", &bytes[..bytes.len() / 2]), Columns::Features).unwrap_err();
        assert!(matches!(error, DataError::Corrupt { format: ".npz (zip)", .. }), "{error}");
    }
    let bytes = std::fs::read(fixture("dense_f16.npy")).unwrap();
    let error = read_npy(files.put("cut.npy", &bytes[..bytes.len() - 1])).unwrap_err();
    assert!(matches!(error, DataError::Truncated { format: "NumPy array", .. }), "{error}");
    let mut bytes = std::fs::read(fixture("x_csc_f32_plain.npz")).unwrap();
    let at = bytes.windows(4).position(|word| word == 1.5f32.to_le_bytes()).unwrap();
    bytes[at] ^= 1;
    let error = read_npz(files.put("flipped.npz", &bytes), Columns::Features).unwrap_err();
    assert!(matches!(error, DataError::Corrupt { .. }), "the checksum is checked: {error}");
}

#[test]
fn other_archives_and_standard_input_are_no_matrices() {
    let files = Files::new();
    let mut zip = zip::ZipWriter::new(std::fs::File::create(files.path("other.npz")).unwrap());
    zip.start_file("readme", zip::write::SimpleFileOptions::default()).unwrap();
    zip.finish().unwrap();
    let error = read_npz(files.path("other.npz"), Columns::Features).unwrap_err();
    assert!(matches!(error, DataError::MissingMember { member: "format", .. }), "{error}");
    assert!(matches!(read_npz("-", Columns::Features), Err(DataError::Unsupported { .. })));
}
