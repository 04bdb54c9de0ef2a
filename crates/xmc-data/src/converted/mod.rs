//! Data sets in the form that is memory-mapped: a container of `xmc-store`, written once by [`convert`] from any other form.
//!
//! Opening one reads its manifest and row offsets; features, texts and labels stay in the files until they are used, and what has been
//! used is the system's to drop. So data may be larger than memory, and are read in milliseconds. `docs/FORMAT.md` has the layout.

mod open;
mod rows;
mod write;

pub(crate) use open::{DataDir, read};
pub(crate) use rows::DirRows;
pub use write::{Converted, convert};

use serde::{Deserialize, Serialize};

/// What a converted data set says about itself: the `meta` of its manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DataMeta {
    /// Version of the program that wrote it.
    pub xmc_version: String,
    /// Number of records.
    pub n_samples: u64,
    /// Width of the sparse features; none when records are texts.
    pub n_features: Option<u64>,
    /// Width of the dense features.
    pub n_dense: u64,
    /// Number of labels; none when the data were converted without.
    pub n_labels: Option<u64>,
    /// How the data called their labels.
    pub labelling: Labelling,
    /// Whether the labels come from a file of labels, rather than from the data alone.
    pub label_file: bool,
}

/// How data call their labels, which tells how these are found in another label map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Labelling {
    /// They have none.
    None,
    /// By number, as matrices do.
    Numbered,
    /// In writing: keys, names, or row numbers of a file of labels.
    Written,
}

/// Names of the sections.
mod section {
    pub(super) const FEATURES: &str = "features";
    pub(super) const DENSE: &str = "dense";
    pub(super) const TEXTS: &str = "texts";
    pub(super) const LABELS: &str = "labels";
    pub(super) const KEYS: &str = "label-map/keys";
    pub(super) const NAMES: &str = "label-map/names";
    pub(super) const IDS: &str = "ids";
    pub(super) const WEIGHTS: &str = "weights";

    /// Of a matrix: row offsets, columns, values.
    pub(super) fn of_matrix(name: &str) -> [String; 3] {
        ["offsets", "columns", "values"].map(|part| format!("{name}/{part}"))
    }

    /// Of strings: where each ends, and their bytes.
    pub(super) fn of_strings(name: &str) -> [String; 2] {
        ["ends", "bytes"].map(|part| format!("{name}/{part}"))
    }
}
