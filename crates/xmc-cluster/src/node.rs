//! The rows of one node of the recursion, with the features that still tell them apart.
//!
//! A feature that only one row of a node has can only act through that row's product with itself.
//! It is dropped from the entries and its square is added to the row's `own` weight, which keeps
//! every inner product exact:
//! ⟨Σ_{j∈S} z_j, z_i⟩ = Σ_f (Σ_{j∈S} z_jf) z_if + [i ∈ S]·own_i, the sum over shared features only.
//! Text has a long tail, so each level down drops most of what is left; the shared features are
//! renumbered without gaps, so that the centroids of a small node fit the cache.

use rayon::prelude::*;
use std::cmp::Reverse;
use std::ops::Range;
use xmc_sparse::Features;

/// A non-zero under the node's own numbering of features.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Entry {
    pub(crate) feature: u32,
    pub(crate) value: f32,
}

/// One row of a node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NodeRow {
    /// Row number in the whole matrix.
    pub(crate) id: u32,
    /// Squared norm of the features that no other row of the node has.
    pub(crate) own: f32,
    /// All features are zero, the dense ones too: no use as a seed.
    pub(crate) is_zero: bool,
    /// Shared features, increasing.
    pub(crate) entries: Vec<Entry>,
}

/// Rows in increasing order of their ids, features numbered `0..n_features`.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) rows: Vec<NodeRow>,
    pub(crate) n_features: usize,
    /// Ranges of features with about the same number of entries: the unit of parallel sums.
    pub(crate) stripes: Vec<Range<u32>>,
}

/// Entries in a stripe, about. Large enough that searching for a stripe's start in every row is
/// cheap beside summing it. A constant, not a share of the threads; sums do not depend on it.
const STRIPE_ENTRIES: usize = 1 << 22;

/// Marks a feature that is dropped.
const DROPPED: u32 = u32::MAX;

impl Node {
    /// All rows of `features`, not yet compacted.
    pub(crate) fn root(features: &Features) -> Self {
        let rows = (0..features.n_samples()).into_par_iter().map(|id| root_row(features, id)).collect();
        Self { rows, n_features: features.n_sparse(), stripes: Vec::new() }
    }

    /// The rows whose `side` is false, and those whose `side` is true.
    pub(crate) fn split(self, sides: &[bool]) -> (Self, Self) {
        let n_features = self.n_features;
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for (row, &side) in self.rows.into_iter().zip(sides) {
            if side { right.push(row) } else { left.push(row) }
        }
        let child = |rows| Self { rows, n_features, stripes: Vec::new() };
        (child(left), child(right))
    }

    /// Drops what only one row has and renumbers the rest, in the order that it had.
    pub(crate) fn compact(&mut self) {
        let counts = self.counts();
        self.renumber(&counts, (0..counts.len() as u32).filter(|&feature| counts[feature as usize] > 1));
    }

    /// As [`compact`](Self::compact), the most frequent features first: the sums that most entries ask
    /// for then lie together in the cache. Children keep the order; it need not be exact.
    pub(crate) fn compact_by_frequency(&mut self) {
        let counts = self.counts();
        let mut kept: Vec<u32> =
            (0..counts.len() as u32).filter(|&feature| counts[feature as usize] > 1).collect();
        kept.par_sort_by_key(|&feature| Reverse(counts[feature as usize]));
        self.renumber(&counts, kept.into_iter());
        let rows = self.rows.par_iter_mut().with_min_len(64);
        rows.for_each(|row| row.entries.sort_unstable_by_key(|entry| entry.feature));
    }

    /// Number of entries of every feature.
    fn counts(&self) -> Vec<u32> {
        let mut counts = vec![0u32; self.n_features];
        for row in &self.rows {
            row.entries.iter().for_each(|entry| counts[entry.feature as usize] += 1);
        }
        counts
    }

    /// Gives the features `kept` the numbers 0, 1, … and drops the others.
    fn renumber(&mut self, counts: &[u32], kept: impl Iterator<Item = u32>) {
        let mut new_ids = vec![DROPPED; self.n_features];
        self.stripes.clear();
        let (mut n_kept, mut start, mut filled) = (0u32, 0u32, 0usize);
        for feature in kept {
            new_ids[feature as usize] = n_kept;
            n_kept += 1;
            filled += counts[feature as usize] as usize;
            if filled >= STRIPE_ENTRIES {
                self.stripes.push(start..n_kept);
                (start, filled) = (n_kept, 0);
            }
        }
        self.stripes.push(start..n_kept);
        self.n_features = n_kept as usize;
        self.rows.par_iter_mut().with_min_len(64).for_each(|row| row.renumber(&new_ids));
    }

    /// The entries of row `row` of this node.
    pub(crate) fn entries(&self, row: u32) -> &[Entry] {
        &self.rows[row as usize].entries
    }

    /// Number of entries of all rows.
    #[cfg(test)]
    pub(crate) fn nnz(&self) -> usize {
        self.rows.iter().map(|row| row.entries.len()).sum()
    }
}

impl NodeRow {
    fn renumber(&mut self, new_ids: &[u32]) {
        let mut own = 0.0;
        self.entries.retain_mut(|entry| {
            entry.feature = new_ids[entry.feature as usize];
            if entry.feature == DROPPED {
                own += entry.value * entry.value;
            }
            entry.feature != DROPPED
        });
        self.own += own;
    }
}

fn root_row(features: &Features, id: usize) -> NodeRow {
    let row = features.row(id);
    let entries: Vec<_> = row
        .sparse
        .iter()
        .filter(|&(_, value)| value != 0.0)
        .map(|(feature, value)| Entry { feature, value })
        .collect();
    let is_zero = entries.is_empty() && row.dense.iter().all(|&value| value == 0.0);
    NodeRow { id: id as u32, own: 0.0, is_zero, entries }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xmc_sparse::Csr;

    #[test]
    fn features_of_one_row_become_its_own_weight() {
        let rows = [vec![(0, 3.0), (4, 1.0)], vec![(4, 2.0), (2, 0.0)], vec![(1, 1.0), (3, 2.0)]];
        let mut node = Node::root(&Features::from_sparse(Csr::from_rows(5, rows).unwrap()));
        node.compact();
        assert_eq!((node.n_features, node.nnz()), (1, 2));
        assert_eq!(node.rows.iter().map(|row| row.own).collect::<Vec<_>>(), [9.0, 0.0, 5.0]);
        assert_eq!(node.rows[1].entries, [Entry { feature: 0, value: 2.0 }]);
    }

    #[test]
    fn halves_keep_the_order_of_rows() {
        let x = Features::from_sparse(Csr::from_rows(1, (0..5).map(|_| [(0, 1.0)])).unwrap());
        let (mut left, right) = Node::root(&x).split(&[true, false, true, false, true]);
        assert_eq!(left.rows.iter().map(|row| row.id).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(right.rows.iter().map(|row| row.id).collect::<Vec<_>>(), [0, 2, 4]);
        left.compact();
        assert_eq!((left.n_features, left.stripes.len()), (1, 1));
    }
}
