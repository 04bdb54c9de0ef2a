//! One file for each format.

mod csv_rows;
mod jsonl;
mod matrix;
pub(crate) mod npy;
pub(crate) mod npz;
mod npz_rows;
pub(crate) mod npz_writer;
mod tsv;
pub(crate) mod xc;

pub(crate) use csv_rows::CsvRows;
pub(crate) use jsonl::JsonLines;
pub(crate) use matrix::{LabelRows, MatrixRows};
pub(crate) use npy::NpyRows;
pub(crate) use tsv::TsvLines;
pub(crate) use xc::XcRows;
