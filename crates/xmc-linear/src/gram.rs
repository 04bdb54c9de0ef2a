//! The inner products of a cluster's rows, for clusters that are solved in them instead of in weights.
//!
//! A step of one instance changes the score of another by their inner product. With `K = X Xᵀ` known, the solver keeps a line
//! of sixteen scores for each instance and needs no weights until the end, when they follow from the duals: `w = Σ yα x`.
//! A step then changes one line for each instance, in order, where otherwise a visit reads and changes one for each
//! entry, gathered. Where instances are few and long (documents of hundreds of words) that is a fraction of the time,
//! and all groups of a cluster share `K`. It is LIBSVM's way of keeping the gradient (Chang, Lin, *LIBSVM*, 2011) with
//! the visits and the shrinking of LIBLINEAR: the iterates differ by rounding only. What a pass does is in [`crate::scores`].
//!
//! `K` is of the shared sparse entries; what the bias and the features of single rows add is known without it (see
//! [`CompactRows`]). Clusters with dense features are not solved so.

use crate::solver::run;
use crate::{CompactRows, LANES, scores};
use xmc_sparse::kernels::{Isa, Lanes, Simd, WithSimd};

/// Rows up to which products are kept: 4 MiB for each thread, about a second-level cache. Beyond, to make them costs what they save.
pub(crate) const MOST_ROWS: usize = 1024;

/// Inner products of the shared sparse parts of a cluster's rows, and the same entries feature by feature.
#[derive(Debug, Clone)]
pub(crate) struct Gram {
    /// Row by row, each filled up with zeros to whole [`Lanes`].
    products: Vec<Lanes>,
    /// [`Lanes`] of a row.
    stride: usize,
    /// Inner products of each row with the sum of all.
    pub(crate) totals: Vec<f32>,
    columns: Columns,
}

impl Gram {
    pub(crate) fn new(rows: &CompactRows, isa: Option<Isa>) -> Self {
        let stride = rows.n_rows().div_ceil(LANES);
        let products = run(isa, Multiply { rows, stride });
        let totals = products.chunks(stride.max(1)).map(sum_of).collect();
        Self { products, stride, totals, columns: Columns::new(rows) }
    }

    pub(crate) fn n_rows(&self) -> usize {
        self.products.len() / self.stride.max(1)
    }

    /// Inner products of row `row` with all rows.
    #[inline(always)]
    pub(crate) fn row(&self, row: usize) -> &[Lanes] {
        &self.products[row * self.stride..(row + 1) * self.stride]
    }
}

/// The sum of the values of all lines.
fn sum_of(lines: &[Lanes]) -> f32 {
    let mut sums = Lanes::ZERO;
    lines.iter().for_each(|line| sums.0.iter_mut().zip(line.0).for_each(|(sum, value)| *sum += value));
    sums.0.iter().sum()
}

/// The shared entries of a cluster by feature.
#[derive(Debug, Clone)]
struct Columns {
    /// Where each column begins, and the end of the last.
    starts: Vec<u32>,
    /// Row and value, rows increasing within a column.
    entries: Vec<(u32, f32)>,
}

impl Columns {
    fn new(rows: &CompactRows) -> Self {
        // Counted two places on: after filling, `starts[f + 1]` is where column `f` ends.
        let mut starts = vec![0u32; rows.n_shared() + 2];
        rows.entries.iter().for_each(|entry| starts[entry.feature as usize + 2] += 1);
        (2..starts.len()).for_each(|at| starts[at] += starts[at - 1]);
        let mut entries = vec![(0, 0.0); rows.n_entries()];
        for row in 0..rows.n_rows() {
            for entry in rows.row(row).1 {
                let place = &mut starts[entry.feature as usize + 1];
                entries[*place as usize] = (row as u32, entry.value);
                *place += 1;
            }
        }
        starts.pop();
        Self { starts, entries }
    }
}

/// Makes [`Gram::products`]: sixteen rows are laid out feature by feature, `[feature][lane]`, and each row from the first of them on is
/// multiplied with all sixteen at once. The other half of the matrix is the mirror image.
// Features of few rows pair by pair, and only the others so, was no faster on documents of 675 features: to tell them apart takes as long.
struct Multiply<'a> {
    rows: &'a CompactRows,
    stride: usize,
}

impl WithSimd for Multiply<'_> {
    type Output = Vec<Lanes>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<Lanes> {
        let Self { rows, stride } = self;
        let mut products = vec![Lanes::ZERO; rows.n_rows() * stride];
        let mut lines = vec![Lanes::ZERO; rows.n_shared()];
        for tile in 0..stride {
            let first = tile * LANES;
            let sixteen = first..(first + LANES).min(rows.n_rows());
            for (lane, row) in sixteen.clone().enumerate() {
                rows.row(row).1.iter().for_each(|entry| lines[entry.feature as usize].0[lane] = entry.value);
            }
            for row in first..rows.n_rows() {
                let sums = scores::products(simd, rows.row(row).1, &lines, [simd.splat(0.0); 2]);
                simd.store(&mut products[row * stride + tile], sums);
            }
            for row in sixteen {
                rows.row(row).1.iter().for_each(|entry| lines[entry.feature as usize] = Lanes::ZERO);
            }
            mirror(&mut products, stride, tile, rows.n_rows());
        }
        products
    }
}

/// Copies what is below the diagonal in column `tile` of [`Lanes`] to the sixteen rows that it belongs to.
fn mirror(products: &mut [Lanes], stride: usize, tile: usize, n_rows: usize) {
    let first = tile * LANES;
    for row in first..n_rows {
        let below = products[row * stride + tile].0;
        for (other, product) in (first..row).zip(below) {
            products[other * stride + row / LANES].0[row % LANES] = product;
        }
    }
}

/// The weights of the shared features, from the signed duals of the rows: `w = Σ yα x`.
pub(crate) struct WeightsOfDuals<'a> {
    pub(crate) gram: &'a Gram,
    /// `yα` of each row.
    pub(crate) signed_duals: &'a [Lanes],
    pub(crate) weights: &'a mut Vec<Lanes>,
}

impl WithSimd for WeightsOfDuals<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Columns { starts, entries } = &self.gram.columns;
        self.weights.resize(starts.len() - 1, Lanes::ZERO);
        for (range, weight) in starts.windows(2).zip(self.weights.iter_mut()) {
            let mut sum = simd.splat(0.0);
            for &(row, value) in &entries[range[0] as usize..range[1] as usize] {
                sum = simd.fma(simd.splat(value), simd.load(&self.signed_duals[row as usize]), sum);
            }
            simd.store(weight, sum);
        }
    }
}

/// Whether a cluster is solved faster in its products, these included.
///
/// Nanoseconds on one core of a server (Sapphire Rapids, AVX-512), fitted to clusters of 50 to 1,600 rows with 5 to 600 shared entries each
/// (`cargo bench -p xmc-linear --bench products`); only their ratios matter.
pub(crate) fn pays(rows: &CompactRows, n_groups: usize, max_iter: u32) -> bool {
    /// Passes of a solve, with what it begins with: four to six in leaf clusters at the default `eps`.
    const PASSES: u32 = 5;
    /// Of an entry, to read and to change a gathered line of weights, where they fit a near cache and where not.
    const WEIGHT: f64 = 3.6;
    const FAR_WEIGHT: f64 = 6.0;
    const NEAR: usize = 8192;
    /// To change a line of scores (the fit had 0.8; the loop takes three quarters of that since), and what a visit takes beside that, more than one of
    /// weights does.
    const SCORE: f64 = 0.6;
    const VISIT: f64 = 15.0;
    /// Of an entry, to make its weights of the duals.
    const EXTRACT: f64 = 2.5;
    /// Of an entry, to make the products: once, and for each row.
    const ENTRY: f64 = 8.0;
    const ENTRY_ROW: f64 = 0.09;

    let (n, entries) = (rows.n_rows() as f64, rows.n_entries() as f64);
    if rows.n_dense() > 0 || rows.n_rows() > MOST_ROWS {
        return false;
    }
    let weight = if rows.n_shared() > NEAR { FAR_WEIGHT } else { WEIGHT };
    let (groups, passes) = (n_groups as f64, f64::from(max_iter.min(PASSES)));
    let saved = passes * (weight * entries - n * (SCORE * n + VISIT)) - EXTRACT * entries;
    groups * saved > entries * (ENTRY + ENTRY_ROW * n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Compactor;
    use xmc_sparse::{Csr, Features};

    /// Rows of about `width` features, half of them in every row and half in few.
    fn rows(n: usize, width: u32) -> CompactRows {
        let value = |i: u32, f: u32| ((i * 31 + f * 17) % 23) as f32 / 11.0 - 1.0;
        let features =
            |i: u32| (0..width).map(move |f| if f % 2 == 0 { f } else { 1 + 2 * (i * f * f % (4 * width)) });
        let row = |i: u32| {
            let mut row: Vec<u32> = features(i).collect();
            row.sort_unstable();
            row.dedup();
            row.into_iter().map(|f| (f, value(i, f))).collect::<Vec<_>>()
        };
        let n_cols = 8 * width as usize + 2;
        let x = Features::from_sparse(Csr::from_rows(n_cols, (0..n as u32).map(row)).unwrap());
        let all: Vec<u32> = (0..n as u32).collect();
        Compactor::new(n_cols).compact(&x, &all, None, 1.0)
    }

    fn product(rows: &CompactRows, a: usize, b: usize) -> f64 {
        let of = |row: usize| rows.row(row).1;
        let pairs = of(a).iter().flat_map(|a| of(b).iter().map(move |b| (a, b)));
        pairs
            .filter(|(a, b)| a.feature == b.feature)
            .map(|(a, b)| f64::from(a.value) * f64::from(b.value))
            .sum()
    }

    #[test]
    fn products_are_those_of_every_pair_of_rows() {
        for n in [1, 15, 16, 17, 70] {
            let rows = rows(n, 20);
            for isa in Isa::available() {
                let gram = Gram::new(&rows, Some(isa));
                assert_eq!(gram.n_rows(), n);
                for (a, b) in (0..n).flat_map(|a| (0..n).map(move |b| (a, b))) {
                    let (found, expected) = (gram.row(a)[b / LANES].0[b % LANES], product(&rows, a, b));
                    assert!(
                        (f64::from(found) - expected).abs() < 1e-5,
                        "{isa:?} {n} {a} {b}: {found} {expected}"
                    );
                    assert_eq!(found.to_bits(), gram.row(b)[a / LANES].0[a % LANES].to_bits());
                }
            }
        }
    }

    #[test]
    fn long_rows_pay_and_short_ones_do_not() {
        assert!(pays(&rows(100, 400), 4, 100));
        assert!(!pays(&rows(100, 4), 4, 100));
        // For one pass of one group there is nothing to gain.
        assert!(!pays(&rows(100, 400), 1, 1));
        assert!(!pays(&rows(MOST_ROWS + 1, 400), 64, 100));
    }
}
