//! Predictions in the forms that people and programs read.

mod file;
mod jsonl;
mod npz;
mod tsv;

pub(crate) use file::Destination;
pub(crate) use jsonl::Jsonl;
pub(crate) use npz::Npz;
pub(crate) use tsv::Tsv;

use std::io;
use xmc::{Model, RankedLists, Texts};

/// The predictions for some records that follow one another.
pub(crate) struct Batch<'a> {
    /// Number of the first record, from 0.
    pub(crate) first_record: u64,
    /// Ids of the records; empty where there is none.
    pub(crate) ids: Option<&'a Texts>,
    pub(crate) lists: &'a RankedLists,
    pub(crate) model: &'a Model,
}

impl Batch<'_> {
    /// The id of record `at` of the batch, if it has one.
    fn id(&self, at: usize) -> Option<&str> {
        self.ids.and_then(|ids| ids.get(at)).filter(|id| !id.is_empty())
    }
}

/// Takes predictions, batch after batch.
pub(crate) trait Sink {
    /// Writes a batch out, as far as the form allows before the end.
    fn write(&mut self, batch: &Batch<'_>) -> io::Result<()>;
    /// Completes the output.
    fn finish(self: Box<Self>) -> io::Result<()>;
}
