//! The matrix of scores, records × labels, for `scipy.sparse.load_npz`.

use super::{Batch, Destination, Sink};
use std::io;
use xmc_data::write_npz_to;
use xmc_sparse::CsrBuilder;

/// Collects the scores and writes them at the end: the form has its table last.
pub(crate) struct Npz {
    out: Destination,
    scores: CsrBuilder,
    n_labels: usize,
}

impl Npz {
    pub(crate) fn new(out: Destination, n_labels: usize) -> Self {
        Self { out, scores: CsrBuilder::new(), n_labels }
    }
}

impl Sink for Npz {
    fn write(&mut self, batch: &Batch<'_>) -> io::Result<()> {
        for list in batch.lists.iter() {
            self.scores.push_row(list.iter().map(|found| (found.id, found.score)));
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        let scores = self.scores.finish(self.n_labels).map_err(io::Error::other)?;
        write_npz_to(self.out, &scores)?.finish()
    }
}
