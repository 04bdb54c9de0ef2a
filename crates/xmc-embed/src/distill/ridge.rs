//! Linear regression of many targets on sparse rows, shrunk towards weights that are known before.
//!
//! ```text
//! minimise  ‖X W − T‖² + Σ_t λ_t ‖W_t − P_t‖²
//! ```
//!
//! with rows `X` (`n × tokens`), targets `T` and a prior `P`: a row of `W` about which the data say much follows them, one
//! about which they say nothing stays at its prior. Solved by conjugate gradients on the normal equations (Hestenes and
//! Stiefel 1952), preconditioned by their diagonal. Columns of `T` are problems of their own that share `X`: sixteen at a time are
//! solved in step, so that an entry that is read is used sixteen times and what is held beside `T` and `W` is small.

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;
use std::ops::Range;
use xmc_sparse::kernels::{LANES, Lanes, Simd, WithSimd, dispatch};
use xmc_sparse::{Csr, Progress};

/// Rows that a thread takes at a time. Sums over rows are made chunk by chunk, so they are the same at any thread count.
const CHUNK: usize = 1024;

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stop {
    /// Most steps.
    pub(crate) max_iter: usize,
    /// The residual's norm, preconditioned, relative to that of the prior.
    pub(crate) tolerance: f32,
}

/// A problem without its targets.
pub(crate) struct Ridge<'a> {
    x: &'a Csr,
    transposed: Csr,
    /// `λ` of each token.
    penalties: &'a [f32],
    /// One over the diagonal of the normal equations.
    preconditioner: Vec<f32>,
    stop: Stop,
}

impl<'a> Ridge<'a> {
    /// The rows `x` and a penalty above 0 for each of its columns.
    pub(crate) fn new(x: &'a Csr, penalties: &'a [f32], stop: Stop) -> Self {
        debug_assert_eq!(x.n_cols(), penalties.len());
        let transposed = x.transpose();
        let of_token = |token: usize| 1.0 / (transposed.row(token).squared_norm() + penalties[token]);
        let preconditioner = (0..x.n_cols()).into_par_iter().map(of_token).collect();
        Self { x, transposed, penalties, preconditioner, stop }
    }

    /// The weights `W`, written over their prior (`tokens × d`). `targets` gives columns of `T`, sixteen at most.
    pub(crate) fn solve(
        &self,
        targets: impl Fn(Range<usize>) -> Vec<Lanes>,
        weights: &mut Array2<f32>,
        progress: &dyn Progress,
    ) {
        debug_assert_eq!(weights.nrows(), self.x.n_cols());
        let mut first = 0;
        for mut weights in weights.axis_chunks_iter_mut(Axis(1), LANES) {
            let columns = first..first + weights.ncols();
            first = columns.end;
            let mut lanes = lanes_of(weights.view());
            self.solve_lanes(&targets(columns.clone()), &mut lanes);
            lanes_into(&lanes, &mut weights);
            progress.advance(columns.len() as u64);
        }
    }

    /// Conjugate gradients on `(XᵀX + Λ) Δ = Xᵀ(T − X P)`; `P + Δ` goes to `weights`.
    fn solve_lanes(&self, targets: &[Lanes], weights: &mut [Lanes]) {
        let mut of_rows = product(self.x, weights);
        combine(&mut of_rows, |row, fitted| minus(&targets[row], fitted));
        let mut residual = product(&self.transposed, &of_rows);
        let mut direction = residual.clone();
        combine(&mut direction, |token, r| times(r, self.preconditioner[token]));
        let mut rz = dot(&residual, &direction);
        let goal = rz.map(|rz| rz * f64::from(self.stop.tolerance).powi(2));
        for _ in 0..self.stop.max_iter {
            if rz.iter().zip(&goal).all(|(rz, goal)| rz <= goal) {
                break;
            }
            let of_rows = product(self.x, &direction);
            let mut curved = product(&self.transposed, &of_rows);
            combine(&mut curved, |token, q| {
                plus_scaled(q, &[self.penalties[token]; LANES], &direction[token])
            });
            let step = quotient(&rz, &dot(&direction, &curved));
            combine(weights, |token, w| plus_scaled(w, &step, &direction[token]));
            combine(&mut residual, |token, r| plus_scaled(r, &step.map(|step| -step), &curved[token]));
            let preconditioned = |token: usize| times(&residual[token], self.preconditioner[token]);
            let before = std::mem::replace(&mut rz, dot_with(&residual, preconditioned));
            let share = quotient(&rz, &before);
            combine(&mut direction, |token, p| plus_scaled(&preconditioned(token), &share, p));
        }
    }
}

/// Sixteen columns of a matrix, row by row; what is missing to sixteen is 0.
pub(crate) fn lanes_of(columns: ArrayView2<'_, f32>) -> Vec<Lanes> {
    let lanes = |row: usize| {
        let mut lanes = Lanes::ZERO;
        lanes.0.iter_mut().zip(columns.row(row)).for_each(|(lane, &value)| *lane = value);
        lanes
    };
    (0..columns.nrows()).into_par_iter().map(lanes).collect()
}

fn lanes_into(lanes: &[Lanes], columns: &mut ArrayViewMut2<'_, f32>) {
    for (lanes, mut row) in lanes.iter().zip(columns.rows_mut()) {
        row.iter_mut().zip(lanes.0).for_each(|(value, lane)| *value = lane);
    }
}

/// `matrix · lanes`.
pub(crate) fn product(matrix: &Csr, lanes: &[Lanes]) -> Vec<Lanes> {
    let mut out = vec![Lanes::ZERO; matrix.n_rows()];
    out.par_chunks_mut(CHUNK)
        .enumerate()
        .for_each(|(chunk, out)| dispatch(Product { matrix, lanes, first: chunk * CHUNK, out }));
    out
}

struct Product<'a> {
    matrix: &'a Csr,
    lanes: &'a [Lanes],
    first: usize,
    out: &'a mut [Lanes],
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (row, out) in (self.first..).zip(self.out) {
            let row = self.matrix.row(row);
            let mut sum = simd.splat(0.0);
            for (&token, &value) in row.indices.iter().zip(row.values) {
                sum = simd.fma(simd.splat(value), simd.load(&self.lanes[token as usize]), sum);
            }
            simd.store(out, sum);
        }
    }
}

/// Replaces each element by what `of` makes of its number and itself.
fn combine(all: &mut [Lanes], of: impl Fn(usize, &Lanes) -> Lanes + Sync) {
    all.par_iter_mut().with_min_len(CHUNK).enumerate().for_each(|(at, lanes)| *lanes = of(at, lanes));
}

#[inline]
fn minus(a: &Lanes, b: &Lanes) -> Lanes {
    Lanes(std::array::from_fn(|lane| a.0[lane] - b.0[lane]))
}

#[inline]
fn times(a: &Lanes, factor: f32) -> Lanes {
    Lanes(a.0.map(|value| value * factor))
}

/// `a + factors · b`, lane by lane.
#[inline]
fn plus_scaled(a: &Lanes, factors: &[f32; LANES], b: &Lanes) -> Lanes {
    Lanes(std::array::from_fn(|lane| a.0[lane] + factors[lane] * b.0[lane]))
}

/// The inner product of each lane with the same one of `b`.
pub(crate) fn dot(a: &[Lanes], b: &[Lanes]) -> [f64; LANES] {
    dot_with(a, |at| b[at])
}

/// The inner product of each lane with the same one of the lanes that `b` gives.
fn dot_with(a: &[Lanes], b: impl Fn(usize) -> Lanes + Sync) -> [f64; LANES] {
    let of_chunk = |(chunk, a): (usize, &[Lanes])| {
        let mut sums = [0.0; LANES];
        for (at, a) in (chunk * CHUNK..).zip(a) {
            let b = b(at);
            (0..LANES).for_each(|lane| sums[lane] += f64::from(a.0[lane]) * f64::from(b.0[lane]));
        }
        sums
    };
    let sums: Vec<[f64; LANES]> = a.par_chunks(CHUNK).enumerate().map(of_chunk).collect();
    sums.iter().fold([0.0; LANES], |total, sums| std::array::from_fn(|lane| total[lane] + sums[lane]))
}

/// `a / b`, and 0 in lanes that are solved, where both are 0.
fn quotient(a: &[f64; LANES], b: &[f64; LANES]) -> [f32; LANES] {
    std::array::from_fn(|lane| if b[lane] > 0.0 { (a[lane] / b[lane]) as f32 } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::{DMatrix, DVector};
    use ndarray::s;
    use xmc_sparse::NoProgress;

    const STOP: Stop = Stop { max_iter: 200, tolerance: 1e-6 };

    /// A number in −1..1 that depends on its place.
    fn noise(at: usize) -> f32 {
        let mixed = (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn problem(n: usize, tokens: usize, d: usize) -> (Csr, Array2<f32>, Array2<f32>, Vec<f32>) {
        let row = |i: usize| {
            (0..4).map(move |j| (((i * 7 + j * j * 3 + i / 5) % tokens) as u32, 1.5 + noise(i * 4 + j)))
        };
        let x = Csr::from_rows(tokens, (0..n).map(|i| row(i).collect::<Vec<_>>())).unwrap();
        let targets = Array2::from_shape_fn((n, d), |(i, j)| noise(1000 + i * d + j));
        let prior = Array2::from_shape_fn((tokens, d), |(i, j)| noise(90_000 + i * d + j));
        let penalties = (0..tokens).map(|t| 0.1 + (t % 3) as f32).collect();
        (x, targets, prior, penalties)
    }

    #[test]
    fn the_solution_is_that_of_the_dense_normal_equations() {
        let (x, targets, prior, penalties) = problem(80, 13, 19);
        let mut found = prior.clone();
        Ridge::new(&x, &penalties, STOP).solve(
            |columns| lanes_of(targets.slice(s![.., columns])),
            &mut found,
            &NoProgress,
        );
        let mut dense = DMatrix::<f64>::zeros(80, 13);
        (0..80)
            .for_each(|i| x.row(i).iter().for_each(|(t, value)| dense[(i, t as usize)] = f64::from(value)));
        let lambda =
            DMatrix::from_diagonal(&DVector::from_iterator(13, penalties.iter().map(|&p| f64::from(p))));
        let normal = dense.transpose() * &dense + &lambda;
        for column in 0..19 {
            let f64s = |column: ndarray::ArrayView1<'_, f32>| {
                DVector::from_iterator(column.len(), column.iter().map(|&v| f64::from(v)))
            };
            let right =
                dense.transpose() * f64s(targets.column(column)) + &lambda * f64s(prior.column(column));
            let expected = normal.clone().lu().solve(&right).unwrap();
            for token in 0..13 {
                assert!(
                    (f64::from(found[(token, column)]) - expected[token]).abs() < 1e-4,
                    "{token} {column}"
                );
            }
        }
    }

    #[test]
    fn a_token_that_never_occurs_keeps_its_prior() {
        let (x, targets, prior, mut penalties) = problem(60, 9, 5);
        let x = Csr::from_rows(10, (0..60).map(|i| x.row(i).iter().collect::<Vec<_>>())).unwrap();
        penalties.push(0.5);
        let mut found = Array2::zeros((10, 5));
        found.slice_mut(s![..9, ..]).assign(&prior);
        found.row_mut(9).assign(&ndarray::arr1(&[1.0, -2.0, 3.0, 0.0, 0.25]));
        Ridge::new(&x, &penalties, STOP).solve(
            |columns| lanes_of(targets.slice(s![.., columns])),
            &mut found,
            &NoProgress,
        );
        assert_eq!(found.row(9).to_vec(), [1.0, -2.0, 3.0, 0.0, 0.25]);
        assert_ne!(found.row(0), prior.row(0));
    }

    #[test]
    fn targets_that_the_prior_meets_change_nothing() {
        let (x, _, prior, penalties) = problem(60, 9, 3);
        let mut targets = Array2::zeros((60, 3));
        for i in 0..60 {
            x.row(i)
                .iter()
                .for_each(|(t, value)| targets.row_mut(i).scaled_add(value, &prior.row(t as usize)));
        }
        let mut found = prior.clone();
        Ridge::new(&x, &penalties, STOP).solve(
            |columns| lanes_of(targets.slice(s![.., columns])),
            &mut found,
            &NoProgress,
        );
        assert!(found.iter().zip(&prior).all(|(found, prior)| (found - prior).abs() < 1e-5));
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let (x, targets, prior, penalties) = problem(5000, 3000, 20);
        let solve = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut found = prior.clone();
            let stop = Stop { max_iter: 6, tolerance: 0.0 };
            pool.install(|| {
                Ridge::new(&x, &penalties, stop).solve(
                    |columns| lanes_of(targets.slice(s![.., columns])),
                    &mut found,
                    &NoProgress,
                );
            });
            found
        };
        assert_eq!(solve(1), solve(3));
    }
}
