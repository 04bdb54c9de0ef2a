//! A cluster's instances, copied side by side with their features renumbered.
//!
//! Two savings over solving on the full matrix. The weights of a cluster have one row for each feature that
//! *occurs* in it, so they fit a near cache. And a feature that occurs in one row only needs no weight at all
//! while the dual is being solved: its weight is `v · yᵢαᵢ` throughout, so all such features of row `i`
//! together add `αᵢ Σ v²` to its gradient: one multiplication in place of a cache miss for each (most
//! distinct n-grams of a text collection are of this kind). Both are exact.

use crate::Fold;
use crate::gram::{self, Gram};
use std::sync::{Arc, OnceLock};
use xmc_sparse::kernels::{LANES, Lanes, Simd, WithSimd, dispatch};
use xmc_sparse::{Features, Row, SparseRow};

/// A stored entry: a feature's number within the cluster and its value.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct Entry {
    /// Feature number within [`CompactRows`].
    pub feature: u32,
    /// Value of the feature.
    pub value: f32,
}

/// Where a row begins, and what the solver needs to know of it; 16 bytes that are read together. The row ends where the next one begins.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(C)]
pub struct RowHead {
    start: u32,
    /// `‖x‖² + bias²` over all features.
    pub norm: f32,
    /// `Σ v²` over the features that no other row has.
    pub own_norm: f32,
    /// One over the instance weight.
    pub inverse_weight: f32,
}

/// The rows of one cluster. Features `0..n_shared` occur in several rows and stand in the entries;
/// the `n_own` after them occur in one row each and stand beside them.
#[derive(Debug, Clone, Default)]
pub struct CompactRows {
    /// Of the rows, and behind them one that says where the last row ends.
    pub(crate) heads: Vec<RowHead>,
    pub(crate) entries: Vec<Entry>,
    /// Original feature numbers: the shared ones, then the own ones row by row.
    features: Vec<u32>,
    /// [`Fold::roots`] of all numbers, where there is a fold; and of the features, in their order, when weights are taken.
    fold: Option<Arc<[f32]>>,
    roots: OnceLock<Vec<f32>>,
    n_shared: usize,
    /// The sum of all rows in each shared feature.
    pub(crate) totals: Vec<f32>,
    /// Values of the own features, row by row, and where each row's begin.
    pub(crate) own_values: Vec<f32>,
    pub(crate) own_ptr: Vec<u32>,
    /// Dense parts, row by row, each filled up with zeros to whole [`Lanes`].
    pub(crate) dense: Vec<Lanes>,
    pub(crate) n_dense: usize,
    pub(crate) bias: f32,
    /// The inner products of the rows, where they are solved in these.
    pub(crate) gram: Option<Gram>,
}

impl CompactRows {
    /// The same rows with all their inner products, which they are solved in from then on; dense features are left as they are, without any.
    #[must_use]
    pub fn with_products(mut self) -> Self {
        self.gram = (self.n_dense == 0).then(|| Gram::new(&self, None));
        self
    }

    /// The same where that is faster for `n_groups` groups of labels with at most `max_iter` passes each; it depends on counts only.
    #[must_use]
    pub fn with_products_if_they_pay(self, n_groups: usize, max_iter: u32) -> Self {
        if gram::pays(&self, n_groups, max_iter) { self.with_products() } else { self }
    }

    /// Frees what only solving needs, which is most: after the last group of labels is solved, and before its weights are taken.
    pub fn forget_entries(&mut self) {
        (self.entries, self.dense, self.gram) = Default::default();
    }

    /// Whether the rows are solved in their inner products.
    pub fn has_products(&self) -> bool {
        self.gram.is_some()
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.heads.len().saturating_sub(1)
    }

    /// Number of features that occur in more than one row.
    pub fn n_shared(&self) -> usize {
        self.n_shared
    }

    /// Number of distinct features in all.
    pub fn n_features(&self) -> usize {
        self.features.len()
    }

    /// Number of entries that the solver visits in a pass.
    pub fn n_entries(&self) -> usize {
        self.entries.len()
    }

    /// Number of dense columns.
    pub fn n_dense(&self) -> usize {
        self.n_dense
    }

    /// The column of the original matrix that `feature` stands for.
    pub fn original_feature(&self, feature: u32) -> u32 {
        self.features[feature as usize]
    }

    /// The columns of the original matrix that the features stand for; all else is freed.
    pub fn into_original_features(self) -> Vec<u32> {
        self.features
    }

    /// [`Fold::roots`] of the features, in their order; empty without a fold.
    pub(crate) fn roots(&self) -> &[f32] {
        let Some(roots) = &self.fold else { return &[] };
        self.roots.get_or_init(|| self.features.iter().map(|&number| roots[number as usize]).collect())
    }

    /// The shared entries of row `row`.
    #[inline(always)]
    pub(crate) fn row(&self, row: usize) -> (RowHead, &[Entry]) {
        let (head, next) = (self.heads[row], &self.heads[row + 1]);
        (head, &self.entries[head.start as usize..next.start as usize])
    }

    /// Number of [`Lanes`] that a dense part takes.
    #[inline(always)]
    pub(crate) fn dense_stride(&self) -> usize {
        self.n_dense.div_ceil(LANES)
    }

    /// The dense part of row `row`.
    #[inline(always)]
    pub(crate) fn dense_row(&self, row: usize) -> &[Lanes] {
        &self.dense[row * self.dense_stride()..(row + 1) * self.dense_stride()]
    }

    /// First entry of `row`, where a prefetch should point.
    #[inline(always)]
    pub(crate) fn entry_start(&self, row: usize) -> usize {
        self.heads[row].start as usize
    }
}

/// Feature seen in one row only, so far.
const ONCE: u32 = 1;
/// Feature that stays with its one row.
const OWN: u32 = u32::MAX;

/// Entries that are looked at together. Whether a feature is new, or its row's own, is not foreseeable: all are written to a buffer of so many, and
/// what is not wanted is written over by the next.
const BUFFER: usize = 64;

/// Room for features that a [`Compactor`] keeps between clusters.
const KEEP_TOUCHED: usize = 1 << 18;

/// Builds [`CompactRows`]; keep one for each thread, it owns a number for each column of the data.
#[derive(Debug)]
pub struct Compactor<'a> {
    fold: Option<&'a Fold>,
    /// For each original feature: 0 unseen; while counting [`ONCE`] or more; then its new number + 1, or
    /// [`OWN`]. All zero between calls.
    slots: Vec<u32>,
    touched: Vec<u32>,
}

impl<'a> Compactor<'a> {
    /// A compactor for matrices of `n_sparse` sparse columns.
    pub fn new(n_sparse: usize) -> Self {
        Self { fold: None, slots: vec![0; n_sparse], touched: Vec::new() }
    }

    /// A compactor that folds equal columns. The original numbers of features are those of their groups.
    pub fn folding(fold: &'a Fold) -> Self {
        Self { fold: Some(fold), ..Self::new(fold.roots().len()) }
    }

    /// The number of a column, and whether it has one: if not, another column stands for it, and the number is some other's.
    #[inline(always)]
    fn number(&self, column: u32) -> (u32, bool) {
        self.fold.map_or((column, true), |fold| fold.group(column))
    }

    /// What the values of a feature are multiplied with.
    #[inline(always)]
    fn root(&self, feature: u32) -> f32 {
        self.fold.map_or(1.0, |fold| fold.roots()[feature as usize])
    }

    /// Copies `rows` of `x`. `weights` are instance weights (above 0) by original row; `bias` is the value of
    /// the constant feature.
    ///
    /// # Panics
    /// When a row is out of range or `x` is wider than this compactor.
    pub fn compact(&mut self, x: &Features, rows: &[u32], weights: Option<&[f32]>, bias: f32) -> CompactRows {
        dispatch(Compact { compactor: self, x, rows, weights, bias })
    }

    #[inline(always)]
    fn copy(&mut self, x: &Features, rows: &[u32], weights: Option<&[f32]>, bias: f32) -> CompactRows {
        let nnz = self.count(x, rows);
        let mut out = CompactRows { n_dense: x.n_dense(), bias, ..CompactRows::default() };
        out.features.reserve_exact(self.touched.len());
        let n_own = self.number_shared(&mut out);
        out.heads.reserve_exact(rows.len() + 1);
        out.entries.reserve(nnz - n_own);
        out.own_values.reserve(n_own);
        out.own_ptr.reserve(rows.len() + 1);
        out.own_ptr.push(0);
        out.dense.reserve(rows.len() * out.dense_stride());
        for &row in rows {
            let weight = weights.map_or(1.0, |weights| weights[row as usize]);
            self.copy_row(x.row(row as usize), weight, &mut out);
        }
        out.heads.push(RowHead { start: out.entries.len() as u32, ..RowHead::default() });
        out.totals = vec![0.0; out.n_shared];
        out.entries.iter().for_each(|entry| out.totals[entry.feature as usize] += entry.value);
        for &feature in &self.touched {
            self.slots[feature as usize] = 0;
        }
        self.touched.clear();
        // The list of the root's features is not worth keeping for the clusters below.
        self.touched.shrink_to(KEEP_TOUCHED);
        out.fold = self.fold.map(|fold| Arc::clone(fold.roots()));
        out
    }

    /// Marks each feature as seen once or more often; returns the number of entries.
    #[inline(always)]
    fn count(&mut self, x: &Features, rows: &[u32]) -> usize {
        let (mut nnz, mut new) = (0, [0; BUFFER]);
        for &row in rows {
            for columns in x.sparse().row(row as usize).indices.chunks(BUFFER) {
                let mut n_new = 0;
                for &column in columns {
                    let (feature, is_there) = self.number(column);
                    nnz += usize::from(is_there);
                    let slot = &mut self.slots[feature as usize];
                    new[n_new % BUFFER] = feature;
                    n_new += usize::from(is_there & (*slot == 0));
                    *slot = (*slot + u32::from(is_there)).min(ONCE + 1);
                }
                self.touched.extend_from_slice(&new[..n_new]);
            }
        }
        nnz
    }

    /// Numbers the shared features in order of first appearance; returns how many are left to single rows.
    fn number_shared(&mut self, out: &mut CompactRows) -> usize {
        for &feature in &self.touched {
            let slot = &mut self.slots[feature as usize];
            if *slot == ONCE {
                *slot = OWN;
            } else {
                out.features.push(feature);
                *slot = out.features.len() as u32;
            }
        }
        out.n_shared = out.features.len();
        self.touched.len() - out.n_shared
    }

    #[inline(always)]
    fn copy_row(&self, row: Row<'_>, weight: f32, out: &mut CompactRows) {
        let start = out.entries.len() as u32;
        let mut own_norm = 0.0;
        let mut shared = [Entry { feature: 0, value: 0.0 }; BUFFER];
        let mut own = ([0; BUFFER], [0.0; BUFFER]);
        let SparseRow { indices, values } = row.sparse;
        for (columns, values) in indices.chunks(BUFFER).zip(values.chunks(BUFFER)) {
            let (mut n_shared, mut n_own) = (0, 0);
            for (&column, value) in columns.iter().zip(values) {
                let (feature, is_there) = self.number(column);
                let (slot, value) = (self.slots[feature as usize], value * self.root(feature));
                shared[n_shared % BUFFER] = Entry { feature: slot.wrapping_sub(1), value };
                (own.0[n_own % BUFFER], own.1[n_own % BUFFER]) = (feature, value);
                n_shared += usize::from(is_there & (slot != OWN));
                n_own += usize::from(is_there & (slot == OWN));
            }
            // Not above: whether a feature is the row's own would become a branch.
            own_norm = own.1[..n_own].iter().fold(own_norm, |sum, value| sum + value * value);
            out.entries.extend_from_slice(&shared[..n_shared]);
            out.features.extend_from_slice(&own.0[..n_own]);
            out.own_values.extend_from_slice(&own.1[..n_own]);
        }
        out.own_ptr.push(out.own_values.len() as u32);
        let mut squares = Lanes::ZERO;
        out.dense.extend(row.dense.chunks(LANES).map(|values| {
            let mut lanes = Lanes::ZERO;
            lanes.0[..values.len()].copy_from_slice(values);
            squares.0.iter_mut().zip(lanes.0).for_each(|(sum, value)| *sum += value * value);
            lanes
        }));
        let dense_norm: f32 = squares.0.iter().sum();
        out.heads.push(RowHead {
            start,
            norm: row.sparse.squared_norm() + dense_norm + out.bias * out.bias,
            own_norm,
            inverse_weight: 1.0 / weight,
        });
    }
}

/// [`Compactor::compact`] by the instructions of the machine, which count bits.
struct Compact<'a, 'b> {
    compactor: &'a mut Compactor<'b>,
    x: &'a Features,
    rows: &'a [u32],
    weights: Option<&'a [f32]>,
    bias: f32,
}

impl WithSimd for Compact<'_, '_> {
    type Output = CompactRows;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> CompactRows {
        self.compactor.copy(self.x, self.rows, self.weights, self.bias)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xmc_sparse::Csr;

    #[test]
    fn equal_columns_become_one() {
        // Columns 0 and 2 are equal, and so are 1, 3 and 4.
        let rows =
            [vec![(0, 1.0), (2, 1.0), (5, 2.0)], vec![(0, 3.0), (1, 0.5), (2, 3.0), (3, 0.5), (4, 0.5)]];
        let x = Features::from_sparse(Csr::from_rows(6, rows).unwrap());
        let (two, three) = (2f32.sqrt(), 3f32.sqrt());
        let fold = Fold::new([0, 1, 0, 1, 1, 2], 3);
        let rows = Compactor::folding(&fold).compact(&x, &[0, 1], None, 1.0);
        assert_eq!((rows.n_shared(), rows.n_features()), (1, 3));
        assert_eq!((0..3).map(|f| rows.original_feature(f)).collect::<Vec<_>>(), [0, 2, 1]);
        assert_eq!((&rows.own_values[..], rows.roots()), (&[2.0, 0.5 * three][..], &[two, 1.0, three][..]));
        assert_eq!(rows.row(1).1, [Entry { feature: 0, value: 3.0 * two }]);
        assert_eq!((rows.heads[1].norm, rows.heads[1].own_norm), (19.75, 0.75));
    }

    #[test]
    fn features_of_one_row_are_set_apart() {
        let x = Csr::from_rows(9, [vec![(1, 1.0), (4, 2.0)], vec![(8, 9.0)], vec![(4, 3.0), (7, 4.0)]]);
        let x = Features::from_sparse(x.unwrap());
        let mut compactor = Compactor::new(9);
        for _ in 0..2 {
            let rows = compactor.compact(&x, &[0, 2], None, 1.0);
            assert_eq!((rows.n_rows(), rows.n_shared(), rows.n_features()), (2, 1, 3));
            assert_eq!(rows.row(0).1, [Entry { feature: 0, value: 2.0 }]);
            assert_eq!(rows.row(1).1, [Entry { feature: 0, value: 3.0 }]);
            assert_eq!((0..3).map(|f| rows.original_feature(f)).collect::<Vec<_>>(), [4, 1, 7]);
            assert_eq!(rows.own_values, [1.0, 4.0]);
            assert_eq!((rows.heads[1].norm, rows.heads[1].own_norm), (26.0, 16.0));
        }
    }
}
