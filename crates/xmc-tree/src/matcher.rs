//! What every matcher offers, whatever it is made of.

use crate::{LabelTree, Search};
use rayon::prelude::*;
use xmc_sparse::{Features, NoProgress, Progress, RankedLists, Row, Scored};

/// Instances that a thread takes at a time: enough to make the hand-over cheap, few enough to balance.
const BLOCK: usize = 256;

/// Finds labels for instances by walking a label tree.
pub trait Matcher: Send + Sync {
    /// Buffers of one thread; reuse them and no query allocates.
    type Scratch: Default + Send;

    /// The tree that it walks.
    fn tree(&self) -> &LabelTree;

    /// Number of sparse and of dense columns that an instance must have.
    fn n_features(&self) -> (usize, usize);

    /// The best labels of one instance, best first, into `out`.
    fn predict_row(
        &self,
        row: Row<'_>,
        search: Search<'_>,
        scratch: &mut Self::Scratch,
        out: &mut Vec<Scored>,
    );

    /// The best labels of every instance, in parallel. The result does not depend on the number of threads.
    fn predict_batch(&self, x: &Features, search: Search<'_>) -> RankedLists {
        self.predict_batch_with(x, search, &NoProgress)
    }

    /// As [`Matcher::predict_batch`], reporting finished instances.
    fn predict_batch_with(&self, x: &Features, search: Search<'_>, progress: &dyn Progress) -> RankedLists {
        rank_rows(x.n_samples(), search.params.top_k, progress, |row, scratch, out| {
            self.predict_row(x.row(row), search, scratch, out);
        })
    }
}

/// Ranked lists for rows `0..n_rows`, about `k` long, in parallel: `rank(row, scratch, out)` leaves the list of `row`
/// in `out`. The result does not depend on the number of threads.
pub fn rank_rows<S: Default + Send>(
    n_rows: usize,
    k: usize,
    progress: &dyn Progress,
    rank: impl Fn(usize, &mut S, &mut Vec<Scored>) + Sync,
) -> RankedLists {
    let starts: Vec<usize> = (0..n_rows).step_by(BLOCK).collect();
    let blocks: Vec<RankedLists> = starts
        .into_par_iter()
        .map_init(Default::default, |(scratch, out): &mut (S, Vec<Scored>), start| {
            let end = (start + BLOCK).min(n_rows);
            let mut block = RankedLists::with_capacity(end - start, k.min(64));
            for row in start..end {
                rank(row, scratch, out);
                block.push(out);
            }
            progress.advance((end - start) as u64);
            block
        })
        .collect();
    let mut all = RankedLists::with_capacity(n_rows, k.min(64));
    blocks.iter().for_each(|block| all.append(block));
    all
}
