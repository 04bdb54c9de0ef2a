//! The rows of one node of the recursion, with the features that still tell them apart.
//!
//! A feature that only one row of a node has can only act through that row's product with itself.
//! It is dropped from the entries and its square is added to the row's `own` weight, which keeps
//! every inner product exact:
//! ⟨Σ_{j∈S} z_j, z_i⟩ = Σ_f (Σ_{j∈S} z_jf) z_if + [i ∈ S]·own_i, the sum over shared features only.
//! Text has a long tail, so each level down drops most of what is left; the shared features are
//! renumbered without gaps, so that the centroids of a small node fit the cache.

use ndarray::ArrayView2;
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

impl NodeRow {
    /// The row's part of the dense features of the whole matrix; empty where there are none.
    pub(crate) fn dense<'a>(&self, rows: Option<ArrayView2<'a, f32>>) -> &'a [f32] {
        let Some(rows) = rows else { return &[] };
        let all = rows.to_slice().expect("invariant: dense features are in row order");
        &all[self.id as usize * rows.ncols()..][..rows.ncols()]
    }
}

/// Rows in increasing order of their ids, features numbered `0..n_features`.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) rows: Vec<NodeRow>,
    pub(crate) n_features: usize,
    /// Ranges of features with about the same number of entries: the unit of parallel sums.
    pub(crate) stripes: Vec<Range<u32>>,
}

/// Fewest entries of a stripe, about. Searching for a stripe's start in every row takes longer than to sum it where stripes are
/// narrow: there are no more of them than keep all threads busy. Sums do not depend on them.
const STRIPE_ENTRIES: usize = 1 << 22;

/// Stripes for each thread at most.
const STRIPES_PER_THREAD: usize = 2;

/// Entries from which on sorting by digits is the faster way.
const RADIX: usize = 256;

/// Marks a feature that is dropped.
const DROPPED: u32 = u32::MAX;

impl Node {
    /// All rows of `features`, compacted.
    pub(crate) fn root(features: &Features) -> Self {
        let mut builder = NodeBuilder::default();
        builder.add(features);
        builder.finish()
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

    /// The rows of each of `n_parts` parts, by the part of every row.
    pub(crate) fn split_into(self, parts: &[u32], n_parts: usize) -> Vec<Self> {
        let n_features = self.n_features;
        let mut rows: Vec<Vec<NodeRow>> = (0..n_parts).map(|_| Vec::new()).collect();
        self.rows.into_iter().zip(parts).for_each(|(row, &part)| rows[part as usize].push(row));
        rows.into_iter().map(|rows| Self { rows, n_features, stripes: Vec::new() }).collect()
    }

    /// Drops what only one row has and renumbers the rest, in the order that it had.
    pub(crate) fn compact(&mut self) {
        let mut counts = vec![0u32; self.n_features];
        for row in &self.rows {
            row.entries.iter().for_each(|entry| counts[entry.feature as usize] += 1);
        }
        let kept = (0..counts.len() as u32).filter(|&feature| counts[feature as usize] > 1);
        let (numbered, new_ids) = Self::numbered(&counts, kept);
        *self = Self { rows: std::mem::take(&mut self.rows), ..numbered };
        self.rows.par_iter_mut().with_min_len(64).for_each(|row| row.renumber(&new_ids));
    }

    /// A node without rows that gives the features `kept` the numbers 0, 1, …, and the number of every feature.
    fn numbered(counts: &[u32], kept: impl Iterator<Item = u32>) -> (Self, Vec<u32>) {
        let n_entries: usize = counts.iter().filter(|&&count| count > 1).map(|&count| count as usize).sum();
        let stripe_entries =
            n_entries.div_ceil(STRIPES_PER_THREAD * rayon::current_num_threads()).max(STRIPE_ENTRIES);
        let mut new_ids = vec![DROPPED; counts.len()];
        let (mut stripes, mut n_kept, mut start, mut filled) = (Vec::new(), 0u32, 0u32, 0usize);
        for feature in kept {
            new_ids[feature as usize] = n_kept;
            n_kept += 1;
            filled += counts[feature as usize] as usize;
            if filled >= stripe_entries {
                stripes.push(start..n_kept);
                (start, filled) = (n_kept, 0);
            }
        }
        stripes.push(start..n_kept);
        (Self { rows: Vec::new(), n_features: n_kept as usize, stripes }, new_ids)
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
    /// Gives the entries other numbers; those that have none are dropped.
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

    fn sort(&mut self) {
        match self.entries.len() {
            ..RADIX => self.entries.sort_unstable_by_key(|entry| entry.feature),
            _ => radsort::sort_by_key(&mut self.entries, |entry| entry.feature),
        }
    }
}

/// Makes a root of rows that come in several blocks, so that not all of them must be there twice.
#[derive(Default)]
pub(crate) struct NodeBuilder {
    rows: Vec<NodeRow>,
    /// Non-zeros of every feature.
    counts: Vec<u32>,
}

impl NodeBuilder {
    /// The rows of `features`, after those that came before.
    pub(crate) fn add(&mut self, features: &Features) {
        self.counts.resize(features.n_sparse(), 0);
        let first = self.rows.len();
        let rows = (0..features.n_samples()).into_par_iter().with_min_len(64);
        self.rows.par_extend(rows.map(|row| root_row(features, row, (first + row) as u32)));
        for row in &self.rows[first..] {
            row.entries.iter().for_each(|entry| self.counts[entry.feature as usize] += 1);
        }
    }

    /// The node, compacted, the most frequent features first: the sums that most entries ask for then lie together in the cache.
    /// Children keep the order; it need not be exact.
    pub(crate) fn finish(self) -> Node {
        let Self { rows, counts } = self;
        let mut kept: Vec<u32> =
            (0..counts.len() as u32).filter(|&feature| counts[feature as usize] > 1).collect();
        kept.par_sort_by_key(|&feature| Reverse(counts[feature as usize]));
        let (node, new_ids) = Node::numbered(&counts, kept.into_iter());
        let mut node = Node { rows, ..node };
        node.rows.par_iter_mut().with_min_len(64).for_each(|row| {
            row.renumber(&new_ids);
            row.sort();
            // At the root, memory that vectors leave unused adds up.
            row.entries.shrink_to_fit();
        });
        node
    }
}

/// A row as it is, without zeros.
fn root_row(features: &Features, row: usize, id: u32) -> NodeRow {
    let row = features.row(row);
    let non_zero = || row.sparse.iter().filter(|&(_, value)| value != 0.0);
    let mut entries = Vec::with_capacity(non_zero().count());
    entries.extend(non_zero().map(|(feature, value)| Entry { feature, value }));
    let is_zero = entries.is_empty() && row.dense.iter().all(|&value| value == 0.0);
    NodeRow { id, own: 0.0, is_zero, entries }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xmc_sparse::Csr;

    #[test]
    fn features_of_one_row_become_its_own_weight() {
        let rows = [vec![(0, 3.0), (4, 1.0)], vec![(4, 2.0), (2, 0.0)], vec![(1, 1.0), (3, 2.0)]];
        let node = Node::root(&Features::from_sparse(Csr::from_rows(5, rows).unwrap()));
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
