//! The rows of one node of the recursion, with the features that still tell them apart.
//!
//! A feature that only one row of a node has can only act through that row's product with itself.
//! It can be dropped from the entries and its square is added to the row's `own` weight, which keeps
//! every inner product exact:
//! ⟨Σ_{j∈S} z_j, z_i⟩ = Σ_f (Σ_{j∈S} z_jf) z_if + [i ∈ S]·own_i, the sum over shared features only.
//! Text has a long tail, so a few levels down most of what is left can be dropped; the shared features are then
//! renumbered without gaps, so that the centroids of a small node fit the cache. Counting and renumbering takes as long as a few
//! refinements: a node does it when what its ancestor counted lets expect that enough is dropped.

use crate::bisect::Halves;
use crate::gather::{FeatureOrder, Gathering};
use crate::row::{DROPPED, NodeRow};
use crate::sums::RowSum;
use rayon::prelude::*;
use std::ops::Range;
use xmc_sparse::{Features, Row};

/// Rows in increasing order of their ids, features numbered `0..n_features`.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) rows: Vec<NodeRow>,
    pub(crate) n_features: usize,
    /// Ranges of features with about the same number of entries: the unit of parallel sums.
    pub(crate) stripes: Vec<Range<u32>>,
    /// The sum of the rows, where the split that they come from has left it.
    pub(crate) sum: Option<RowSum>,
    census: Census,
}

/// Fewest entries of a stripe, about. Searching for a stripe's start in every row takes longer than to sum it where stripes are
/// narrow: there are no more of them than keep all threads busy. Sums do not depend on them.
const STRIPE_ENTRIES: usize = 1 << 22;

/// Stripes for each thread at most.
const STRIPES_PER_THREAD: usize = 2;

/// Fewest rows of a task.
const TASK_ROWS: usize = 64;

/// The share of entries that must be expected to be of a single row for the rows to be compacted, which takes as long as a few refinements.
const SINGLES: f64 = 0.25;

/// Entries for each feature below which sums of rows, which have a number for each, cost more than the rows.
const ENTRIES_PER_FEATURE: usize = 4;

/// By how many rows have a feature: the entries of all such features.
#[derive(Debug, Clone, Default)]
struct Census {
    /// Of features with 1, 2, … rows.
    entries: [u64; CENSUS],
    all: u64,
    /// Parts that the node has been split into since.
    parts: f64,
}

/// Features of more rows are hardly ever left with one.
const CENSUS: usize = 32;

impl Census {
    fn of(counts: &[u32]) -> Self {
        let mut census = Self { parts: 1.0, ..Self::default() };
        for &count in counts.iter().filter(|&&count| count > 0) {
            census.all += u64::from(count);
            if let Some(entries) = census.entries.get_mut(count as usize - 1) {
                *entries += u64::from(count);
            }
        }
        census
    }

    /// The share of entries of features that have one row in a part, were rows dealt out by chance. Related rows come to the same part: it is less.
    fn singles(&self) -> f64 {
        let others_elsewhere = 1.0 - 1.0 / self.parts;
        let alone = self.entries.iter().zip(0..).map(|(&n, others)| n as f64 * others_elsewhere.powi(others));
        alone.sum::<f64>() / self.all.max(1) as f64
    }
}

impl Node {
    /// All rows of `features`.
    pub(crate) fn root(features: &Features) -> Self {
        let mut counts = vec![0u32; features.n_sparse()];
        features.sparse().indices().iter().for_each(|&feature| counts[feature as usize] += 1);
        let order = FeatureOrder::new(&counts);
        let row = |gathering: &mut Gathering, row| {
            let Row { sparse, dense } = features.row(row);
            let own = gathering.add_ordered(sparse, &order);
            let mut made = NodeRow::new(row as u32, gathering.take(), 1.0, order.n_features);
            made.is_zero = made.nnz() == 0 && own == 0.0 && dense.iter().all(|&value| value == 0.0);
            made.own = own;
            made
        };
        let rows = (0..features.n_samples()).into_par_iter().with_min_len(TASK_ROWS);
        let gathering = || Gathering::new(order.n_features);
        Self::new(rows.map_init(gathering, row).collect(), order.n_features)
    }

    /// The node of `rows`, whose features are below `n_features`.
    pub(crate) fn new(rows: Vec<NodeRow>, n_features: usize) -> Self {
        let mut node = Self { rows, n_features, ..Self::default() };
        let counts = node.counts();
        node.census = Census::of(&counts);
        node.set_stripes(&counts);
        if node.is_due() {
            node.drop_singles(&counts);
            // Here the memory that vectors leave unused adds up.
            node.rows.par_iter_mut().with_min_len(TASK_ROWS).for_each(NodeRow::shrink);
        }
        node
    }

    /// The left and the right half.
    pub(crate) fn split(self, halves: Halves) -> (Self, Self) {
        let mut sums = halves.sums.into_iter().flatten();
        let parts = self.split_into(&halves.sides, 2).into_iter();
        let mut halves = parts.map(|part| Self { sum: sums.next(), ..part });
        let mut next = || halves.next().unwrap_or_default();
        (next(), next())
    }

    /// The rows of each of `n_parts` parts, by the part of every row.
    pub(crate) fn split_into<P: Copy + Into<u32>>(self, parts: &[P], n_parts: usize) -> Vec<Self> {
        let mut rows: Vec<Vec<NodeRow>> = (0..n_parts).map(|_| Vec::new()).collect();
        self.rows.into_iter().zip(parts).for_each(|(row, &part)| rows[part.into() as usize].push(row));
        let census = Census { parts: self.census.parts * n_parts as f64, ..self.census };
        let part = |rows| {
            let (n_features, census) = (self.n_features, census.clone());
            let mut part = Self { rows, n_features, census, ..Self::default() };
            if part.nnz() > STRIPE_ENTRIES {
                part.stripes.clone_from(&self.stripes);
            }
            part
        };
        rows.into_iter().map(part).collect()
    }

    /// Drops what only one row has and renumbers the rest, in the order that it had, if that is worth it.
    pub(crate) fn compact(&mut self) {
        if self.census.parts > 1.0 && self.is_due() {
            let counts = self.counts();
            self.drop_singles(&counts);
        }
    }

    fn is_due(&self) -> bool {
        self.nnz() < ENTRIES_PER_FEATURE * self.n_features || self.census.singles() > SINGLES
    }

    fn drop_singles(&mut self, counts: &[u32]) {
        let mut new_ids = vec![DROPPED; counts.len()];
        let kept = (0..counts.len()).filter(|&feature| counts[feature] > 1);
        let counts: Vec<u32> = kept
            .zip(0..)
            .map(|(feature, number)| {
                new_ids[feature] = number;
                counts[feature]
            })
            .collect();
        self.n_features = counts.len();
        self.census = Census::of(&counts);
        self.set_stripes(&counts);
        if let Some(sum) = &mut self.sum {
            sum.renumber(&new_ids);
        }
        let rows = self.rows.par_iter_mut().with_min_len(TASK_ROWS);
        rows.for_each(|row| row.renumber(&new_ids, counts.len()));
    }

    /// Rows of every feature.
    fn counts(&self) -> Vec<u32> {
        let mut counts = vec![0; self.n_features];
        self.rows.iter().for_each(|row| row.packed().count(&mut counts));
        counts
    }

    fn set_stripes(&mut self, counts: &[u32]) {
        let most = STRIPES_PER_THREAD * rayon::current_num_threads();
        let stripe_entries = self.nnz().div_ceil(most).max(STRIPE_ENTRIES);
        let (mut start, mut filled) = (0, 0);
        self.stripes.clear();
        for (&count, end) in counts.iter().zip(1..) {
            filled += count as usize;
            if filled >= stripe_entries {
                self.stripes.push(start..end);
                (start, filled) = (end, 0);
            }
        }
        self.stripes.push(start..counts.len() as u32);
    }

    /// Number of entries of all rows.
    pub(crate) fn nnz(&self) -> usize {
        self.rows.iter().map(NodeRow::nnz).sum()
    }
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
        let own: Vec<f32> = node.rows.iter().map(|row| row.own).collect();
        assert!(own.iter().zip([9.0, 0.0, 5.0]).all(|(a, b)| (a - b).abs() < 1e-3), "{own:?}");
        assert_eq!(node.rows[1].packed().iter().collect::<Vec<_>>(), [(0, 2.0)]);
    }

    #[test]
    fn halves_keep_the_order_of_rows() {
        let x = Features::from_sparse(Csr::from_rows(1, (0..5).map(|_| [(0, 1.0)])).unwrap());
        let (mut left, right) =
            Node::root(&x).split(Halves { sides: vec![true, false, true, false, true], sums: None });
        assert_eq!(left.rows.iter().map(|row| row.id).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(right.rows.iter().map(|row| row.id).collect::<Vec<_>>(), [0, 2, 4]);
        left.compact();
        assert_eq!((left.n_features, left.stripes.len()), (1, 1));
    }
}
