//! Sums of instances for each label, with the labels' own features beside or added to them.
//!
//! The product of two sparse matrices row by row in two passes (Gustavson 1978): the first counts the
//! columns of each row, so that the result is allocated once and exactly, the second fills it in place.
//! Labels are handed out in blocks; a label's instances are added in their order, so that the bits do not
//! depend on who does it.

use rayon::prelude::*;
use std::ops::Range;
use xmc_sparse::{ColumnSet, Csr, Features, SparseError};

/// Labels of one task: few, as the frequent ones are many times the work of the others.
const BLOCK: usize = 64;

/// What each label's row is made of: `normalised(summed · normalised(Σ share · instance) + own features)`.
pub(crate) struct Aggregate<'a> {
    /// Share of every instance in every label, `n_labels × n_samples`.
    pub(crate) shares: &'a Csr,
    /// Instances.
    pub(crate) x: &'a Features,
    /// The labels' own features, one row for each label.
    pub(crate) own: Option<&'a Features>,
    /// How the two are put together.
    pub(crate) blend: Blend,
}

/// Where a label's own features go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Blend {
    /// In place of a sum that is zero, if they are as wide as the instances.
    Fallback,
    /// To the right of the sum, and also in place of one that is zero.
    Concat,
    /// Added to `alpha` times the sum, `1 − alpha` times; the only thing where the sum is zero.
    Convex {
        /// Weight of the sum.
        alpha: f32,
    },
}

/// A label's own features, `weight` times, from the given column on.
struct Term {
    sparse_offset: u32,
    dense_offset: usize,
    weight: f32,
}

impl Aggregate<'_> {
    /// All rows, each of Euclidean norm 1 over both parts (or zero).
    pub(crate) fn compute(&self) -> Result<Features, SparseError> {
        let (n_labels, (n_sparse, n_dense)) = (self.shares.n_rows(), self.widths());
        if n_sparse > u32::MAX as usize {
            return Err(SparseError::TooWide { n_cols: n_sparse });
        }
        let indptr = self.row_offsets(n_sparse);
        let (mut indices, mut values) = (vec![0; indptr[n_labels]], vec![0.0; indptr[n_labels]]);
        let mut dense = vec![0.0; n_labels * n_dense];
        self.fill_all(&indptr, &mut indices, &mut values, &mut dense);
        let sparse = Csr::new(n_labels, n_sparse, indptr, indices, values)?;
        let dense = (n_dense > 0).then(|| {
            ndarray::Array2::from_shape_vec((n_labels, n_dense), dense)
                .expect("invariant: allocated with this shape")
        });
        Features::new(sparse, dense)
    }

    /// Sparse and dense columns of the result.
    fn widths(&self) -> (usize, usize) {
        let beside = self.own.filter(|_| self.blend == Blend::Concat);
        let (sparse, dense) = beside.map_or((0, 0), |own| (own.n_sparse(), own.n_dense()));
        (self.x.n_sparse() + sparse, self.x.n_dense() + dense)
    }

    /// First pass: where each row begins.
    fn row_offsets(&self, n_sparse: usize) -> Vec<usize> {
        let blocks: Vec<Range<usize>> = self.blocks().collect();
        let count = |block: Range<usize>| {
            let mut columns = ColumnSet::new(n_sparse);
            let row = |label| {
                self.insert_columns(label, &mut columns);
                columns.drain()
            };
            block.map(row).collect::<Vec<_>>()
        };
        let counts: Vec<Vec<usize>> = blocks.into_par_iter().map(count).collect();
        let mut indptr = Vec::with_capacity(self.shares.n_rows() + 1);
        indptr.push(0);
        let mut end = 0;
        indptr.extend(counts.into_iter().flatten().map(|count| {
            end += count;
            end
        }));
        indptr
    }

    /// Second pass: every block into its own stretch of the arrays.
    fn fill_all(
        &self,
        indptr: &[usize],
        mut indices: &mut [u32],
        mut values: &mut [f32],
        mut dense: &mut [f32],
    ) {
        let (n_sparse, n_dense) = self.widths();
        let mut tasks = Vec::new();
        for block in self.blocks() {
            let nnz = indptr[block.end] - indptr[block.start];
            let dense = cut(&mut dense, block.len() * n_dense);
            tasks.push((block, cut(&mut indices, nnz), cut(&mut values, nnz), dense));
        }
        tasks.into_par_iter().for_each(|(block, mut indices, mut values, mut dense)| {
            let mut columns = ColumnSet::new(n_sparse);
            for label in block {
                let nnz = indptr[label + 1] - indptr[label];
                self.insert_columns(label, &mut columns);
                columns.number(cut(&mut indices, nnz));
                self.fill(label, &columns, cut(&mut values, nnz), cut(&mut dense, n_dense));
                columns.drain();
            }
        });
    }

    fn blocks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let n_labels = self.shares.n_rows();
        (0..n_labels).step_by(BLOCK).map(move |start| start..(start + BLOCK).min(n_labels))
    }

    fn insert_columns(&self, label: usize, columns: &mut ColumnSet) {
        for &instance in self.shares.row(label).indices {
            let row = self.x.sparse().row(instance as usize);
            row.indices.iter().for_each(|&column| columns.insert(column));
        }
        let Some(own) = self.own else { return };
        for term in self.terms(label).into_iter().flatten() {
            let row = own.sparse().row(label);
            row.indices.iter().for_each(|&column| columns.insert(term.sparse_offset + column));
        }
    }

    fn fill(&self, label: usize, columns: &ColumnSet, values: &mut [f32], dense: &mut [f32]) {
        for (instance, share) in self.shares.row(label).iter() {
            let row = self.x.row(instance as usize);
            row.sparse.iter().for_each(|(column, value)| values[columns.rank(column)] += share * value);
            add_scaled(dense, share, row.dense);
        }
        if let Some(own) = self.own {
            if let Blend::Convex { alpha } = self.blend {
                scale_to(alpha, values, dense);
            } else {
                scale_to(1.0, values, dense);
            }
            for term in self.terms(label).into_iter().flatten() {
                let row = own.row(label);
                for (column, value) in row.sparse.iter() {
                    values[columns.rank(term.sparse_offset + column)] += term.weight * value;
                }
                add_scaled(&mut dense[term.dense_offset..], term.weight, row.dense);
            }
        }
        scale_to(1.0, values, dense);
    }

    /// Where the own features of `label` go, and how often.
    fn terms(&self, label: usize) -> [Option<Term>; 2] {
        let at_start = |weight| Term { sparse_offset: 0, dense_offset: 0, weight };
        let beside =
            Term { sparse_offset: self.x.n_sparse() as u32, dense_offset: self.x.n_dense(), weight: 1.0 };
        let instead = (self.own_fits() && !self.has_features(label)).then(|| at_start(1.0));
        match self.blend {
            Blend::Fallback => [instead, None],
            Blend::Concat => [instead, Some(beside)],
            Blend::Convex { alpha } => [instead.or_else(|| Some(at_start(1.0 - alpha))), None],
        }
    }

    /// Whether the labels' own features are columns of the instances; the dense ones may be missing.
    fn own_fits(&self) -> bool {
        self.own.is_some_and(|own| fits(own, self.x))
    }

    /// Whether some instance of `label` has features.
    pub(crate) fn has_features(&self, label: usize) -> bool {
        let instances = self.shares.row(label).indices;
        self.x.n_dense() > 0 && !instances.is_empty()
            || instances.iter().any(|&instance| self.x.sparse().row(instance as usize).nnz() > 0)
    }
}

/// Whether `own` has the sparse columns of `x`, and its dense ones or none.
pub(crate) fn fits(own: &Features, x: &Features) -> bool {
    own.n_sparse() == x.n_sparse() && (own.n_dense() == x.n_dense() || own.n_dense() == 0)
}

/// Takes the first `n` elements off `slice`.
fn cut<'s, T>(slice: &mut &'s mut [T], n: usize) -> &'s mut [T] {
    let (head, tail) = std::mem::take(slice).split_at_mut(n);
    *slice = tail;
    head
}

/// `sums += weight · row` over the columns of `row`.
fn add_scaled(sums: &mut [f32], weight: f32, row: &[f32]) {
    sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value);
}

/// Scales a row of both parts to Euclidean norm `norm`; a row of zeros stays.
fn scale_to(norm: f32, values: &mut [f32], dense: &mut [f32]) {
    let squares = values.iter().chain(&*dense).map(|&value| f64::from(value) * f64::from(value)).sum::<f64>();
    if squares > 0.0 {
        let scale = f64::from(norm) / squares.sqrt();
        values.iter_mut().chain(dense).for_each(|value| *value = (f64::from(*value) * scale) as f32);
    }
}
