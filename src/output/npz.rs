//! The matrix of scores, records × labels, for `scipy.sparse.load_npz`.

use super::{Batch, Destination, Sink};
use std::io;
use std::path::Path;
use xmc_data::NpzWriter;

/// Writes the matrix at the end; until then its rows wait in a file.
pub(crate) struct Npz {
    writer: NpzWriter<Destination>,
    row: Vec<(u32, f32)>,
}

impl Npz {
    /// `beside` is the directory of the file.
    pub(crate) fn new(out: Destination, n_labels: usize, beside: &Path) -> io::Result<Self> {
        Ok(Self { writer: NpzWriter::new(out, n_labels, beside)?, row: Vec::new() })
    }
}

impl Sink for Npz {
    fn write(&mut self, batch: &Batch<'_>) -> io::Result<()> {
        for list in batch.lists.iter() {
            self.row.clear();
            self.row.extend(list.iter().map(|found| (found.id, found.score)));
            self.row.sort_unstable_by_key(|&(label, _)| label);
            self.writer.push_row(self.row.iter().copied())?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        self.writer.finish()?.finish()
    }
}
