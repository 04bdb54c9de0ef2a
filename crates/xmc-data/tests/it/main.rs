//! Whole files through the public interface.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with a line number, which is what it is for"
)]

mod bad_input;
mod converted;
mod labels;
mod matrices;
mod reading;
mod streams;

use std::path::PathBuf;
use tempfile::TempDir;
use xmc_data::{Dataset, Input, ReadOptions, read_dataset};

/// Files that live as long as a test.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name)
    }
}

fn fixture(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", name].iter().collect()
}

fn read_text(name: &str, content: impl AsRef<[u8]>, options: &ReadOptions) -> Dataset {
    let files = Files::new();
    read_dataset(files.put(name, content), options).unwrap()
}

fn texts(dataset: &Dataset) -> Vec<&str> {
    match &dataset.input {
        Input::Text(texts) => texts.iter().collect(),
        Input::Features(_) => panic!("expected texts"),
    }
}

/// The labels of each record, by name.
fn names(dataset: &Dataset) -> Vec<Vec<&str>> {
    let row_names =
        |row: usize| dataset.labels.row(row).indices.iter().map(|&id| dataset.label_map.name(id)).collect();
    (0..dataset.n_samples()).map(row_names).collect()
}
