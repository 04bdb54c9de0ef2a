//! Dual coordinate descent against a primal Newton method where the primal has its best chance: dense features
//! only, many more instances than columns, and a high cost. `cargo bench -p xmc-linear --bench primal`.
//!
//! 20,000 instances of 256 columns, 16 labels, `C` of 100 (1 and 10 for comparison), squared hinge. The primal solver
//! is Newton's method with conjugate gradients (Lin, Weng, Keerthi, *Trust region Newton methods for large-scale logistic
//! regression*, JMLR 2008, LIBLINEAR's `L2R_L2LOSS_SVC`, with a line search), also for sixteen labels in lock step: a product with
//! the Hessian is two walks over the instances, as a pass of the dual is. Each row of the table is a stopping
//! tolerance (the solvers' tolerances mean different things); `above` is how far the mean objective is above the best
//! one found.
//!
//! The dual is ahead at every accuracy, so the crate has no primal solver.
// A bench that unwraps fails with a line number, as a test does.
#![allow(clippy::unwrap_used)]

use ndarray::Array2;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::time::Instant;
use xmc_linear::{Compactor, LANES, LaneSolver, SvmParams, Targets};
use xmc_sparse::kernels::{Lanes, Simd, WithSimd, dispatch};
use xmc_sparse::{Csr, Features};

const N_ROWS: usize = 20_000;
const N_DENSE: usize = 256;
/// The columns, the constant one and zeros up to whole tiles.
const WIDTH: usize = N_DENSE + TILE;
const BLOCK: usize = 8;
const TILE: usize = 4;

/// Instances of unit length around the centres of labels that overlap.
struct Problem {
    x: Vec<[f32; WIDTH]>,
    label: Vec<usize>,
    cost: f32,
}

impl Problem {
    fn new(cost: f32) -> Self {
        let rng = &mut Xoshiro256PlusPlus::seed_from_u64(1);
        let centres: Vec<Vec<f32>> =
            (0..LANES).map(|_| (0..N_DENSE).map(|_| rng.gen_range(-1.0..1.0)).collect()).collect();
        // As in embeddings, later columns vary less.
        let spread = |column: usize| 3.0 / (1.0 + column as f32 / 16.0);
        let label: Vec<usize> = (0..N_ROWS).map(|_| rng.gen_range(0..LANES)).collect();
        let row = |&label: &usize| {
            let mut row = [0.0; WIDTH];
            for (column, value) in row[..N_DENSE].iter_mut().enumerate() {
                *value = 0.4 + (0.6 * centres[label][column] + rng.gen_range(-1.0..1.0)) * spread(column);
            }
            let norm = row.iter().map(|v| v * v).sum::<f32>().sqrt();
            row.iter_mut().for_each(|v| *v /= norm);
            row[N_DENSE] = 1.0;
            row
        };
        Self { x: label.iter().map(row).collect(), label, cost }
    }

    fn sign(&self, row: usize, lane: usize) -> f32 {
        if self.label[row] == lane { 1.0 } else { -1.0 }
    }

    /// The mean objective of the labels, in double precision.
    fn objective(&self, w: &[Lanes]) -> f64 {
        let of_lane = |lane: usize| {
            let w: Vec<f64> = w.iter().map(|w| f64::from(w.0[lane])).collect();
            let loss = |row: usize| {
                let score: f64 = self.x[row].iter().zip(&w).map(|(&x, w)| f64::from(x) * w).sum();
                (1.0 - f64::from(self.sign(row, lane)) * score).max(0.0).powi(2)
            };
            0.5 * w.iter().map(|w| w * w).sum::<f64>()
                + f64::from(self.cost) * (0..N_ROWS).map(loss).sum::<f64>()
        };
        (0..LANES).map(of_lane).sum::<f64>() / LANES as f64
    }
}

/// `out = Σ f(x·w) x` over all instances, where `f` is a factor for each instance and lane, and the scores.
struct Walk<'a> {
    x: &'a [[f32; WIDTH]],
    w: &'a [Lanes],
    /// `None`: scores only.
    factors: Option<&'a [Lanes]>,
    scores: &'a mut [Lanes],
    out: &'a mut [Lanes],
}

impl WithSimd for Walk<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.out.fill(Lanes::ZERO);
        for (block, x) in self.x.as_chunks::<BLOCK>().0.iter().enumerate() {
            let mut sums = [simd.splat(0.0); BLOCK];
            for (tile, w) in self.w.as_chunks::<TILE>().0.iter().enumerate() {
                let w = [simd.load(&w[0]), simd.load(&w[1]), simd.load(&w[2]), simd.load(&w[3])];
                sums = [
                    products(simd, sums[0], &x[0], tile, w),
                    products(simd, sums[1], &x[1], tile, w),
                    products(simd, sums[2], &x[2], tile, w),
                    products(simd, sums[3], &x[3], tile, w),
                    products(simd, sums[4], &x[4], tile, w),
                    products(simd, sums[5], &x[5], tile, w),
                    products(simd, sums[6], &x[6], tile, w),
                    products(simd, sums[7], &x[7], tile, w),
                ];
            }
            let at = block * BLOCK;
            for (scores, sum) in self.scores[at..at + BLOCK].iter_mut().zip(sums) {
                simd.store(scores, sum);
            }
            let Some(factors) = self.factors else { continue };
            let mut s = sums;
            for (factors, s) in factors[at..at + BLOCK].iter().zip(&mut s) {
                *s = simd.mul(*s, simd.load(factors));
            }
            for (tile, out) in self.out.as_chunks_mut::<TILE>().0.iter_mut().enumerate() {
                let mut t = [simd.load(&out[0]), simd.load(&out[1]), simd.load(&out[2]), simd.load(&out[3])];
                t = scaled(simd, t, &x[0], tile, s[0]);
                t = scaled(simd, t, &x[1], tile, s[1]);
                t = scaled(simd, t, &x[2], tile, s[2]);
                t = scaled(simd, t, &x[3], tile, s[3]);
                t = scaled(simd, t, &x[4], tile, s[4]);
                t = scaled(simd, t, &x[5], tile, s[5]);
                t = scaled(simd, t, &x[6], tile, s[6]);
                t = scaled(simd, t, &x[7], tile, s[7]);
                for (out, t) in out.iter_mut().zip(t) {
                    simd.store(out, t);
                }
            }
        }
    }
}

#[inline(always)]
fn products<S: Simd>(simd: S, sum: S::V, x: &[f32; WIDTH], tile: usize, w: [S::V; TILE]) -> S::V {
    let x = x.as_chunks::<TILE>().0[tile];
    let sum = simd.fma(simd.splat(x[1]), w[1], simd.fma(simd.splat(x[0]), w[0], sum));
    simd.fma(simd.splat(x[3]), w[3], simd.fma(simd.splat(x[2]), w[2], sum))
}

#[inline(always)]
fn scaled<S: Simd>(simd: S, t: [S::V; TILE], x: &[f32; WIDTH], tile: usize, s: S::V) -> [S::V; TILE] {
    let x = x.as_chunks::<TILE>().0[tile];
    [
        simd.fma(simd.splat(x[0]), s, t[0]),
        simd.fma(simd.splat(x[1]), s, t[1]),
        simd.fma(simd.splat(x[2]), s, t[2]),
        simd.fma(simd.splat(x[3]), s, t[3]),
    ]
}

/// `Σ aᵢ bᵢ` in each lane.
fn dot(a: &[Lanes], b: &[Lanes]) -> Lanes {
    let mut sums = [0.0f32; LANES];
    for (a, b) in a.iter().zip(b) {
        (0..LANES).for_each(|l| sums[l] += a.0[l] * b.0[l]);
    }
    Lanes(sums)
}

/// `y += a x`.
fn add(y: &mut [Lanes], a: Lanes, x: &[Lanes]) {
    for (y, x) in y.iter_mut().zip(x) {
        (0..LANES).for_each(|l| y.0[l] += a.0[l] * x.0[l]);
    }
}

/// Newton's method; returns the weights and the walks made.
fn newton(problem: &Problem, eps: f32) -> (Vec<Lanes>, usize) {
    let n = problem.x.len();
    let (mut w, mut z) = (vec![Lanes::ZERO; WIDTH], vec![Lanes::ZERO; n]);
    let (mut scratch, mut zd) = (vec![Lanes::ZERO; n], vec![Lanes::ZERO; n]);
    let signs: Vec<Lanes> = (0..n).map(|row| Lanes(std::array::from_fn(|l| problem.sign(row, l)))).collect();
    let (mut walks, mut first) = (0, None);
    let mut active = vec![Lanes::ZERO; n];
    loop {
        // The gradient is w + Σ 2C (z − y) x over the instances that lose anything.
        let mut pull = vec![Lanes::ZERO; n];
        for row in 0..n {
            for l in 0..LANES {
                let (y, z) = (signs[row].0[l], z[row].0[l]);
                let on = y * z < 1.0;
                active[row].0[l] = if on { 2.0 * problem.cost } else { 0.0 };
                pull[row].0[l] = if on { 2.0 * problem.cost * (z - y) } else { 0.0 };
            }
        }
        let mut gradient = vec![Lanes::ZERO; WIDTH];
        transposed(problem, &pull, &mut gradient);
        walks += 1;
        add(&mut gradient, Lanes([1.0; LANES]), &w);
        let norm = dot(&gradient, &gradient);
        let first = *first.get_or_insert(norm);
        let open: [bool; LANES] = std::array::from_fn(|l| norm.0[l] > eps * eps * first.0[l]);
        if !open.contains(&true) || walks > 2000 {
            return (w, walks);
        }
        // Conjugate gradients, to a tenth of the gradient.
        let mut d = vec![Lanes::ZERO; WIDTH];
        let mut r: Vec<Lanes> = gradient.iter().map(|g| Lanes(g.0.map(|g| -g))).collect();
        let (mut p, mut rr) = (r.clone(), norm);
        for _ in 0..50 {
            let going: [bool; LANES] = std::array::from_fn(|l| open[l] && rr.0[l] > 0.01 * norm.0[l]);
            if !going.contains(&true) {
                break;
            }
            let mut hp = vec![Lanes::ZERO; WIDTH];
            let walk =
                Walk { x: &problem.x, w: &p, factors: Some(&active), scores: &mut scratch, out: &mut hp };
            dispatch(walk);
            walks += 2;
            add(&mut hp, Lanes([1.0; LANES]), &p);
            let php = dot(&p, &hp);
            let step = Lanes(std::array::from_fn(|l| if going[l] { rr.0[l] / php.0[l] } else { 0.0 }));
            add(&mut d, step, &p);
            add(&mut r, Lanes(step.0.map(|s| -s)), &hp);
            let next = dot(&r, &r);
            for (p, r) in p.iter_mut().zip(&r) {
                (0..LANES).filter(|&l| going[l]).for_each(|l| p.0[l] = r.0[l] + next.0[l] / rr.0[l] * p.0[l]);
            }
            rr = Lanes(std::array::from_fn(|l| if going[l] { next.0[l] } else { rr.0[l] }));
        }
        let walk = Walk { x: &problem.x, w: &d, factors: None, scores: &mut zd, out: &mut [] };
        dispatch(walk);
        walks += 1;
        let step = line_search(problem, &signs, (&w, &z), (&d, &zd), &gradient);
        add(&mut w, step, &d);
        add(&mut z, step, &zd);
    }
}

/// `out = Σ s x` over all instances.
fn transposed(problem: &Problem, s: &[Lanes], out: &mut [Lanes]) {
    struct Transposed<'a>(&'a [[f32; WIDTH]], &'a [Lanes], &'a mut [Lanes]);
    impl WithSimd for Transposed<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            for (x, s) in self.0.as_chunks::<BLOCK>().0.iter().zip(self.1.as_chunks::<BLOCK>().0) {
                for (tile, out) in self.2.as_chunks_mut::<TILE>().0.iter_mut().enumerate() {
                    let mut t =
                        [simd.load(&out[0]), simd.load(&out[1]), simd.load(&out[2]), simd.load(&out[3])];
                    for at in 0..BLOCK {
                        t = scaled(simd, t, &x[at], tile, simd.load(&s[at]));
                    }
                    for (out, t) in out.iter_mut().zip(t) {
                        simd.store(out, t);
                    }
                }
            }
        }
    }
    dispatch(Transposed(&problem.x, s, out));
}

/// The largest of 1, ½, ¼ … that lowers the objective enough, by lane.
fn line_search(
    problem: &Problem,
    signs: &[Lanes],
    (w, z): (&[Lanes], &[Lanes]),
    (d, zd): (&[Lanes], &[Lanes]),
    gradient: &[Lanes],
) -> Lanes {
    let (wd, dd, gd) = (dot(w, d), dot(d, d), dot(gradient, d));
    let change = |t: [f32; LANES]| {
        let mut sums = [0.0f64; LANES];
        for row in 0..z.len() {
            for l in 0..LANES {
                let (y, z, zd) = (signs[row].0[l], z[row].0[l], zd[row].0[l]);
                let (before, after) = ((1.0 - y * z).max(0.0), (1.0 - y * (z + t[l] * zd)).max(0.0));
                sums[l] += f64::from((after - before) * (after + before));
            }
        }
        let l2 = |l: usize| f64::from(t[l] * wd.0[l] + 0.5 * t[l] * t[l] * dd.0[l]);
        std::array::from_fn::<f64, LANES, _>(|l| l2(l) + f64::from(problem.cost) * sums[l])
    };
    let mut t = [1.0; LANES];
    for _ in 0..20 {
        let change = change(t);
        let enough: [bool; LANES] = std::array::from_fn(|l| change[l] <= 0.01 * f64::from(t[l] * gd.0[l]));
        if enough.iter().all(|&enough| enough) {
            break;
        }
        (0..LANES).filter(|&l| !enough[l]).for_each(|l| t[l] *= 0.5);
    }
    Lanes(t)
}

fn main() {
    // `cargo test` runs benches too: it needs to know only that this one builds.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    for cost in [1.0, 10.0, 100.0] {
        compare(cost);
    }
}

/// A solver's run: name, tolerance, seconds, passes or walks, mean objective.
type Run = (&'static str, f32, f64, usize, f64);

fn compare(cost: f32) {
    let problem = Problem::new(cost);
    let mut runs: Vec<Run> = Vec::new();
    for eps in [0.1, 0.01, 0.001] {
        runs.push(dual(&problem, eps));
    }
    for eps in [1e-3, 1e-4, 1e-5, 1e-6] {
        let start = Instant::now();
        let (w, walks) = newton(&problem, eps);
        runs.push(("primal", eps, start.elapsed().as_secs_f64(), walks, problem.objective(&w)));
    }
    let best = runs.iter().map(|run| run.4).fold(f64::INFINITY, f64::min);
    println!("C = {cost}");
    for (solver, eps, seconds, passes, objective) in runs {
        let above = 100.0 * (objective / best - 1.0);
        println!("  {solver:6} eps {eps:<8} {seconds:7.3} s {passes:5} passes or walks, above {above:.4} %");
    }
}

fn dual(problem: &Problem, eps: f32) -> Run {
    let dense = Array2::from_shape_fn((N_ROWS, N_DENSE), |(row, column)| problem.x[row][column]);
    let x = Features::new(Csr::empty(N_ROWS, 1), Some(dense)).unwrap();
    let ids: Vec<u32> = (0..N_ROWS as u32).collect();
    let params =
        SvmParams::default().costs(problem.cost, problem.cost).eps(eps).max_iter(1000).check().unwrap();
    let rows = Compactor::new(1).compact(&x, &ids, None, params.bias);
    let lists: Vec<Vec<u32>> = (0..LANES)
        .map(|lane| ids.iter().copied().filter(|&row| problem.label[row as usize] == lane).collect())
        .collect();
    let targets = Targets::new(N_ROWS, &lists);
    let mut solver = LaneSolver::default();
    let start = Instant::now();
    let report = solver.solve(&params, &rows, &targets, 1);
    let seconds = start.elapsed().as_secs_f64();
    let weights = solver.weights(&rows, &targets, 0.0);
    let mut w = vec![Lanes::ZERO; WIDTH];
    for lane in 0..LANES {
        (0..N_DENSE).for_each(|column| w[column].0[lane] = weights.dense[lane * N_DENSE + column]);
        w[N_DENSE].0[lane] = weights.bias[lane];
    }
    ("dual", eps, seconds, report.passes as usize, problem.objective(&w))
}
