//! Rows of a node, each made as a sum of instances.
//!
//! A thread has one number for each feature and adds instances up there; a set of bits knows which features have come, and hands them
//! out in order. As features are numbered by how frequent they are before anything is summed, nothing has to be sorted, and the sums that most entries ask
//! for lie together in the cache. Numbers need not be exact for that: those of the root serve all nodes.

use crate::row::{DROPPED, PackedRow, PackedRows, add_rows};
use rayon::prelude::*;
use std::cmp::Reverse;
use xmc_sparse::kernels::{Simd, WithSimd, dispatch};
use xmc_sparse::{ColumnSet, Csr, SparseRow};

/// Numbers of features, the most frequent first.
#[derive(Debug)]
pub(crate) struct FeatureOrder {
    /// The number of every feature; those that are too rare have none ([`DROPPED`]).
    numbers: Vec<u32>,
    /// Features that have one.
    pub(crate) n_features: usize,
}

impl FeatureOrder {
    /// By the number of entries of every feature; a feature of one entry gets no number.
    pub(crate) fn new(counts: &[u32]) -> Self {
        let mut there: Vec<u32> = (0..counts.len() as u32).filter(|&at| counts[at as usize] > 1).collect();
        there.par_sort_by_key(|&feature| Reverse(counts[feature as usize]));
        let mut numbers = vec![DROPPED; counts.len()];
        there.iter().zip(0..).for_each(|(&feature, number)| numbers[feature as usize] = number);
        Self { numbers, n_features: there.len() }
    }
}

/// Instances with their features in order.
#[derive(Debug)]
pub(crate) struct Instances {
    /// [`PART`] instances each.
    parts: Vec<Part>,
    pub(crate) n_features: usize,
}

/// Instances of a part, which is made by one thread.
const PART: usize = 1 << 13;

#[derive(Debug)]
struct Part {
    rows: PackedRows,
    /// Of each instance, the squares of features that no other has, if it is in one sum alone: they are that row's own.
    own: Vec<f32>,
}

impl Instances {
    /// Those of `x`, each of which is in `n_rows` sums; one that is in none has no entries.
    pub(crate) fn new(x: &Csr, n_rows: &[u32]) -> Self {
        let used =
            |instance: usize| if n_rows[instance] > 0 { x.row(instance) } else { SparseRow::default() };
        let mut counts = vec![0u32; x.n_cols()];
        for (instance, &n_rows) in n_rows.iter().enumerate() {
            for &feature in used(instance).indices {
                let count = &mut counts[feature as usize];
                *count = count.saturating_add(n_rows);
            }
        }
        let order = FeatureOrder::new(&counts);
        let part = |gathering: &mut Gathering, first: usize| {
            let instances = first..(first + PART).min(x.n_rows());
            let nnz = instances.clone().map(|instance| used(instance).nnz()).sum();
            let mut rows = PackedRows::with_capacity(instances.len(), nnz, order.n_features);
            let add = |instance| {
                let own = gathering.add_ordered(used(instance), &order);
                rows.push(gathering.take(), order.n_features);
                own
            };
            let own = instances.map(add).collect();
            Part { rows, own }
        };
        let parts: Vec<usize> = (0..x.n_rows()).step_by(PART).collect();
        let gathering = || Gathering::new(order.n_features);
        let parts = parts.into_par_iter().map_init(gathering, part).collect();
        Self { parts, n_features: order.n_features }
    }

    #[inline(always)]
    pub(crate) fn row(&self, instance: usize) -> PackedRow<'_> {
        self.parts[instance / PART].rows.row(instance % PART)
    }

    /// The squares of what only this instance's one sum has.
    pub(crate) fn own(&self, instance: usize) -> f32 {
        self.parts[instance / PART].own[instance % PART]
    }
}

/// A sum; one for each thread.
pub(crate) struct Gathering {
    sums: Vec<f32>,
    there: ColumnSet,
    entries: Vec<(u32, f32)>,
}

impl Gathering {
    /// A sum of nothing.
    pub(crate) fn new(n_features: usize) -> Self {
        Self { sums: vec![0.0; n_features], there: ColumnSet::new(n_features), entries: Vec::new() }
    }

    /// Adds rows, each by its share.
    pub(crate) fn add<'r>(&mut self, rows: impl Iterator<Item = (f32, PackedRow<'r>)> + Clone) {
        let Self { sums, there, .. } = self;
        add_rows(rows, sums, 0, |row| row.insert_to(there));
    }

    /// The squares of the sum of rows by their shares, which takes less than to have its entries; nothing is left.
    pub(crate) fn squares<'r>(&mut self, rows: impl Iterator<Item = (f32, PackedRow<'r>)> + Clone) -> f64 {
        add_rows(rows.clone(), &mut self.sums, 0, |_| ());
        dispatch(TakeSquares { rows: rows.map(|(_, row)| row), sums: &mut self.sums })
    }

    /// Adds a row whose features have their numbers from `order`; the squares of those that have none.
    pub(crate) fn add_ordered(&mut self, row: SparseRow<'_>, order: &FeatureOrder) -> f32 {
        let mut own = 0.0;
        for (feature, value) in row.iter() {
            match order.numbers[feature as usize] {
                DROPPED => own += value * value,
                feature => {
                    self.there.insert(feature);
                    self.sums[feature as usize] += value;
                }
            }
        }
        own
    }

    /// The entries of the sum, features increasing; nothing is left.
    pub(crate) fn take(&mut self) -> &[(u32, f32)] {
        let Self { sums, there, entries } = self;
        entries.clear();
        there.drain_to(|feature| entries.push((feature, std::mem::take(&mut sums[feature as usize]))));
        entries
    }
}

/// The squares of what is at the features of rows, which is left 0: a feature is taken with the first row that has it, and later ones find nothing.
struct TakeSquares<'g, I> {
    rows: I,
    sums: &'g mut [f32],
}

impl<'r, I: Iterator<Item = PackedRow<'r>>> WithSimd for TakeSquares<'_, I> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        let mut squares = 0.0;
        for row in self.rows {
            squares += f64::from(row.take_squares(simd, self.sums));
        }
        squares
    }
}

/// In double precision.
pub(crate) fn square(value: f32) -> f64 {
    f64::from(value) * f64::from(value)
}

/// The squares of the values of entries: four sums, as one would wait for itself at every entry.
pub(crate) fn squares_of(entries: &[(u32, f32)]) -> f64 {
    let (fours, rest) = entries.as_chunks::<4>();
    let mut sums = [0.0; 4];
    for four in fours {
        sums.iter_mut().zip(four).for_each(|(sum, (_, value))| *sum += square(*value));
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest.iter().map(|(_, value)| square(*value)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn sums_have_the_features_of_their_rows_in_order(
            rows in prop::collection::vec(prop::collection::btree_map(0u32..70_000, 0.5f32..4.0, 0..60), 0..5),
        ) {
            let order = FeatureOrder { numbers: (0..70_000).collect(), n_features: 70_000 };
            let mut packed = PackedRows::with_capacity(rows.len(), 0, 70_000);
            let (mut gathering, mut expected) = (Gathering::new(70_000), BTreeMap::new());
            for row in &rows {
                let (indices, values): (Vec<u32>, Vec<f32>) = row.iter().unzip();
                prop_assert_eq!(gathering.add_ordered(SparseRow { indices: &indices, values: &values }, &order), 0.0);
                prop_assert!(gathering.take().iter().map(|entry| &entry.0).eq(&indices));
                let row: Vec<_> = indices.into_iter().zip(values).collect();
                packed.push(&row, 70_000);
                row.into_iter().for_each(|(feature, value)| *expected.entry(feature).or_insert(0.0) += 2.0 * value);
            }
            let shares = (0..rows.len()).map(|row| (2.0, packed.row(row)));
            gathering.add(shares.clone());
            let found = gathering.take();
            prop_assert!(found.iter().map(|entry| &entry.0).eq(expected.keys()));
            prop_assert!(found.iter().zip(expected.values()).all(|(a, b)| (a.1 - b).abs() < 1e-2));
            let squares: f64 = found.iter().map(|entry| square(entry.1)).sum();
            let of_sum = gathering.squares(shares);
            prop_assert!((of_sum - squares).abs() <= 1e-5 * squares, "{} {}", of_sum, squares);
            prop_assert!(gathering.take().is_empty());
        }
    }
}
