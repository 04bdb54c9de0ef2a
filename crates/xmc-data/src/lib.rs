//! Readers and writers of extreme multi-label data: text, XC repository, NumPy and SciPy files.
//!
//! * [`read_dataset`]: a whole file into a [`Dataset`], of any [`Format`], compressed or not.
//! * [`RecordReader`]: the same record by record or in batches, in bounded memory, also from endless input.
//! * [`LabelMap`]: what the label ids of a data set mean.
//! * [`convert`]: any data set to a directory that [`read_dataset`] maps, for data larger than memory.
//! * [`synth`]: data that are made, with known truth.
//! * [`write_npz`], [`write_npy`], [`write_xc`]: matrices for other programs.
//!
//! Every fault is a [`DataError`] with the file, the line and what was expected there. Faults of single
//! records can be skipped ([`OnError::Skip`]); faults of a whole file cannot.

mod builder;
mod converted;
mod dataset;
mod error;
mod formats;
mod labels;
mod options;
mod read;
mod reader;
mod record;
mod resolve;
mod source;
pub mod synth;
mod texts;

pub use converted::{Converted, DataMeta, Labelling, convert};
pub use dataset::{Dataset, Input, Skipped};
pub use error::{DataError, Excerpt};
pub use formats::npy::{read_npy, write_npy, write_npy_to};
pub use formats::npz::{Columns, read_npz, write_npz, write_npz_to};
pub use formats::npz_writer::NpzWriter;
pub use formats::xc::{write_xc, write_xc_row};
pub use labels::{LabelBy, LabelMap, UnknownLabels};
pub use options::{CsvColumns, Format, LabelSource, OnError, Purpose, ReadOptions};
pub use read::read_dataset;
pub use reader::RecordReader;
pub use record::Record;
pub use texts::Texts;
