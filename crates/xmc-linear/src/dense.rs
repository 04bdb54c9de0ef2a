//! The dense part of a pass: eight instances at a time, or few lanes.
//!
//! The dense score of an instance reads every dense weight, and a step changes every one. A block of instances
//! shares that: one walk over the weights scores all of them, and one walk adds all their steps. In between,
//! the step of instance j changes the score of a later instance i of the block by `⟨xᵢ, xⱼ⟩ · stepⱼ`. The
//! steps are those of one instance after the other, exactly.

use crate::CompactRows;
use xmc_sparse::kernels::{LANES, Lanes, Simd};

/// Instances in a block: their scores fill half of the registers of AVX-512.
pub(crate) const BLOCK: usize = 8;
/// Columns whose weights are in registers at a time.
const TILE: usize = 4;

/// A block of instances within a pass.
pub(crate) struct DenseBlock<'a> {
    /// Dense parts; a short block repeats its last.
    rows: [&'a [Lanes]; BLOCK],
    /// Scores before the block.
    scores: [Lanes; BLOCK],
    /// `⟨xᵢ, xⱼ⟩` of instance i with those before it.
    products: [[f32; BLOCK]; BLOCK],
    /// The step of each instance; zero where there was none.
    steps: [Lanes; BLOCK],
    /// Instances of the block that have stepped, in order.
    stepped: [usize; BLOCK],
    n_stepped: usize,
}

impl<'a> DenseBlock<'a> {
    /// Scores the dense parts of `ids`, at most [`BLOCK`] of them and at least one.
    #[inline(always)]
    pub(crate) fn new<S: Simd>(simd: S, rows: &'a CompactRows, ids: &[u32], weights: &[Lanes]) -> Self {
        let rows = std::array::from_fn(|at| rows.dense_row(ids[at.min(ids.len() - 1)] as usize));
        Self {
            rows,
            scores: scores_of(simd, rows, weights),
            products: products_of(simd, rows),
            steps: [Lanes::ZERO; BLOCK],
            stepped: [0; BLOCK],
            n_stepped: 0,
        }
    }

    /// The score of instance `at` of the block, after the steps of those before it.
    #[inline(always)]
    pub(crate) fn score<S: Simd>(&self, simd: S, at: usize) -> S::V {
        let mut score = simd.load(&self.scores[at]);
        for &earlier in &self.stepped[..self.n_stepped] {
            let product = simd.splat(self.products[at][earlier]);
            score = simd.fma(product, simd.load(&self.steps[earlier]), score);
        }
        score
    }

    /// Notes the step of instance `at`.
    #[inline(always)]
    pub(crate) fn step<S: Simd>(&mut self, simd: S, at: usize, step: S::V) {
        simd.store(&mut self.steps[at], step);
        self.stepped[self.n_stepped] = at;
        self.n_stepped += 1;
    }

    /// Adds all steps to the weights.
    #[inline(always)]
    pub(crate) fn apply<S: Simd>(self, simd: S, weights: &mut [Lanes]) {
        // In late passes most instances stay where they are.
        match self.n_stepped {
            0 => {}
            1..=TILE => {
                let [a, b, c, d] = [self.stepped[0], self.stepped[1], self.stepped[2], self.stepped[3]];
                let rows = [self.rows[a], self.rows[b], self.rows[c], self.rows[d]];
                let mut steps = [self.steps[a], self.steps[b], self.steps[c], self.steps[d]];
                steps[self.n_stepped..].fill(Lanes::ZERO);
                add_few_steps(simd, rows, &steps, weights);
            }
            _ => add_steps(simd, self.rows, &self.steps, weights),
        }
    }
}

/// Lanes that [`FewLanes`] holds.
pub(crate) const FEW: usize = TILE;

/// The dense weights of a few lanes, for the passes in which no others are left: the columns stand side by side, and a
/// vector operation takes sixteen columns of one lane in place of sixteen lanes of one column.
pub(crate) struct FewLanes {
    /// The lanes, `n_lanes` of them.
    lanes: [usize; FEW],
    n_lanes: usize,
    /// Sixteen columns of each lane, then the next sixteen; zeros where there is no lane.
    weights: Vec<[Lanes; FEW]>,
}

impl FewLanes {
    /// Takes the lanes of `live`, at most [`FEW`] and at least one, out of `dense`.
    pub(crate) fn gather(live: u16, dense: &[Lanes]) -> Self {
        let (mut lanes, mut n_lanes) = ([0; FEW], 0);
        for lane in (0..LANES).filter(|lane| live >> lane & 1 == 1) {
            lanes[n_lanes] = lane;
            n_lanes += 1;
        }
        let mut few = Self { lanes, n_lanes, weights: vec![[Lanes::ZERO; FEW]; dense.len() / LANES] };
        for (columns, weights) in dense.as_chunks::<LANES>().0.iter().zip(&mut few.weights) {
            for (&lane, weights) in few.lanes[..n_lanes].iter().zip(weights) {
                weights.0 = columns.map(|column| column.0[lane]);
            }
        }
        few
    }

    /// Puts them back.
    pub(crate) fn scatter(self, dense: &mut [Lanes]) {
        for (columns, weights) in dense.as_chunks_mut::<LANES>().0.iter_mut().zip(self.weights) {
            for (&lane, weights) in self.lanes[..self.n_lanes].iter().zip(weights) {
                for (column, weight) in columns.iter_mut().zip(weights.0) {
                    column.0[lane] = weight;
                }
            }
        }
    }

    /// The score of a row in the lanes that are held, and zero in the others.
    #[inline(always)]
    pub(crate) fn score<S: Simd>(&self, simd: S, row: &[Lanes]) -> S::V {
        let mut sums = [simd.splat(0.0); FEW];
        for (x, weights) in row.iter().zip(&self.weights) {
            sums = add_to_each(simd, sums, simd.load(x), load_tile(simd, weights));
        }
        let sums = sum_each(simd, sums);
        let mut scores = Lanes::ZERO;
        for (&lane, sum) in self.lanes[..self.n_lanes].iter().zip(sums) {
            scores.0[lane] = sum;
        }
        simd.load(&scores)
    }

    /// `w += step · x`.
    #[inline(always)]
    pub(crate) fn step<S: Simd>(&mut self, simd: S, row: &[Lanes], step: S::V) {
        let mut steps = Lanes::ZERO;
        simd.store(&mut steps, step);
        let mut of_lane = [simd.splat(0.0); FEW];
        for (of_lane, &lane) in of_lane.iter_mut().zip(&self.lanes[..self.n_lanes]) {
            *of_lane = simd.splat(steps.0[lane]);
        }
        for (x, weights) in row.iter().zip(&mut self.weights) {
            let x = simd.load(x);
            for (weights, step) in weights.iter_mut().zip(of_lane) {
                let moved = simd.fma(x, step, simd.load(weights));
                simd.store(weights, moved);
            }
        }
    }
}

// The two walks below name their eight rows one by one, and no closure holds vector operations: loops over the
// rows are left as loops by the compiler, with the sums in memory, and closures are not inlined for sure.

/// The scores `w·x` of eight rows.
#[inline(always)]
fn scores_of<S: Simd>(simd: S, rows: [&[Lanes]; BLOCK], weights: &[Lanes]) -> [Lanes; BLOCK] {
    let mut sums = [simd.splat(0.0); BLOCK];
    for (group, weights) in weights.as_chunks::<LANES>().0.iter().enumerate() {
        for (tile, weights) in weights.as_chunks::<TILE>().0.iter().enumerate() {
            let weights = load_tile(simd, weights);
            sums = [
                add_products(simd, sums[0], tile_of(rows[0], group, tile), weights),
                add_products(simd, sums[1], tile_of(rows[1], group, tile), weights),
                add_products(simd, sums[2], tile_of(rows[2], group, tile), weights),
                add_products(simd, sums[3], tile_of(rows[3], group, tile), weights),
                add_products(simd, sums[4], tile_of(rows[4], group, tile), weights),
                add_products(simd, sums[5], tile_of(rows[5], group, tile), weights),
                add_products(simd, sums[6], tile_of(rows[6], group, tile), weights),
                add_products(simd, sums[7], tile_of(rows[7], group, tile), weights),
            ];
        }
    }
    let mut scores = [Lanes::ZERO; BLOCK];
    for (score, sum) in scores.iter_mut().zip(sums) {
        simd.store(score, sum);
    }
    scores
}

/// `w += Σ step · x` over eight rows.
#[inline(always)]
fn add_steps<S: Simd>(simd: S, rows: [&[Lanes]; BLOCK], steps: &[Lanes; BLOCK], weights: &mut [Lanes]) {
    let first = load_tile(simd, &[steps[0], steps[1], steps[2], steps[3]]);
    let second = load_tile(simd, &[steps[4], steps[5], steps[6], steps[7]]);
    for (group, weights) in weights.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        for (tile, weights) in weights.as_chunks_mut::<TILE>().0.iter_mut().enumerate() {
            let mut sums = load_tile(simd, weights);
            sums = add_four(simd, sums, [rows[0], rows[1], rows[2], rows[3]], (group, tile), first);
            sums = add_four(simd, sums, [rows[4], rows[5], rows[6], rows[7]], (group, tile), second);
            for (weight, sum) in weights.iter_mut().zip(sums) {
                simd.store(weight, sum);
            }
        }
    }
}

/// The same over four rows.
#[inline(always)]
fn add_few_steps<S: Simd>(simd: S, rows: [&[Lanes]; TILE], steps: &[Lanes; TILE], weights: &mut [Lanes]) {
    let steps = load_tile(simd, steps);
    for (group, weights) in weights.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        for (tile, weights) in weights.as_chunks_mut::<TILE>().0.iter_mut().enumerate() {
            let sums = add_four(simd, load_tile(simd, weights), rows, (group, tile), steps);
            for (weight, sum) in weights.iter_mut().zip(sums) {
                simd.store(weight, sum);
            }
        }
    }
}

/// `sums + Σ step · x` over four rows, in four neighbouring columns.
#[inline(always)]
fn add_four<S: Simd>(
    simd: S,
    mut sums: [S::V; TILE],
    rows: [&[Lanes]; TILE],
    (group, tile): (usize, usize),
    steps: [S::V; TILE],
) -> [S::V; TILE] {
    sums = add_scaled(simd, sums, tile_of(rows[0], group, tile), steps[0]);
    sums = add_scaled(simd, sums, tile_of(rows[1], group, tile), steps[1]);
    sums = add_scaled(simd, sums, tile_of(rows[2], group, tile), steps[2]);
    add_scaled(simd, sums, tile_of(rows[3], group, tile), steps[3])
}

#[inline(always)]
fn load_tile<S: Simd>(simd: S, [a, b, c, d]: &[Lanes; TILE]) -> [S::V; TILE] {
    [simd.load(a), simd.load(b), simd.load(c), simd.load(d)]
}

/// Four neighbouring values of a row.
#[inline(always)]
fn tile_of(row: &[Lanes], group: usize, tile: usize) -> [f32; TILE] {
    row[group].0.as_chunks::<TILE>().0[tile]
}

/// `sum + Σ xᵢ wᵢ`.
#[inline(always)]
fn add_products<S: Simd>(simd: S, sum: S::V, x: [f32; TILE], w: [S::V; TILE]) -> S::V {
    let sum = simd.fma(simd.splat(x[1]), w[1], simd.fma(simd.splat(x[0]), w[0], sum));
    simd.fma(simd.splat(x[3]), w[3], simd.fma(simd.splat(x[2]), w[2], sum))
}

/// `sumsᵢ + xᵢ · step`.
#[inline(always)]
fn add_scaled<S: Simd>(simd: S, sums: [S::V; TILE], x: [f32; TILE], step: S::V) -> [S::V; TILE] {
    [
        simd.fma(simd.splat(x[0]), step, sums[0]),
        simd.fma(simd.splat(x[1]), step, sums[1]),
        simd.fma(simd.splat(x[2]), step, sums[2]),
        simd.fma(simd.splat(x[3]), step, sums[3]),
    ]
}

/// The inner products of each row with those before it.
#[inline(always)]
fn products_of<S: Simd>(simd: S, [a, b, c, d, e, f, g, h]: [&[Lanes]; BLOCK]) -> [[f32; BLOCK]; BLOCK] {
    let mut products = [[0.0; BLOCK]; BLOCK];
    let mut put = |row: usize, from: usize, values: &[f32]| {
        products[row][from..from + values.len()].copy_from_slice(values);
    };
    for (half, rows) in [[a, b, c, d], [e, f, g, h]].into_iter().enumerate() {
        let [ba, ca, cb, da, db, dc] = products_among(simd, rows);
        put(TILE * half + 1, TILE * half, &[ba]);
        put(TILE * half + 2, TILE * half, &[ca, cb]);
        put(TILE * half + 3, TILE * half, &[da, db, dc]);
    }
    for (row, values) in products_between(simd, [e, f, g, h], [a, b, c, d]).iter().enumerate() {
        put(TILE + row, 0, values);
    }
    products
}

/// The inner products of four rows with each other: of the second with the first, of the third with the first two …
#[inline(always)]
fn products_among<S: Simd>(simd: S, [a, b, c, d]: [&[Lanes]; TILE]) -> [f32; 6] {
    let mut sums = [simd.splat(0.0); 6];
    for (((a, b), c), d) in a.iter().zip(b).zip(c).zip(d) {
        let (a, b, c, d) = (simd.load(a), simd.load(b), simd.load(c), simd.load(d));
        sums = [
            simd.fma(b, a, sums[0]),
            simd.fma(c, a, sums[1]),
            simd.fma(c, b, sums[2]),
            simd.fma(d, a, sums[3]),
            simd.fma(d, b, sums[4]),
            simd.fma(d, c, sums[5]),
        ];
    }
    let [ba, ca, cb, da, db, dc] = sums;
    [simd.sum(ba), simd.sum(ca), simd.sum(cb), simd.sum(da), simd.sum(db), simd.sum(dc)]
}

/// The inner products of four rows with four others.
#[inline(always)]
fn products_between<S: Simd>(
    simd: S,
    [e, f, g, h]: [&[Lanes]; TILE],
    [a, b, c, d]: [&[Lanes]; TILE],
) -> [[f32; TILE]; TILE] {
    let zeros = [simd.splat(0.0); TILE];
    let mut sums = [zeros; TILE];
    for at in 0..a.len() {
        let others = [simd.load(&a[at]), simd.load(&b[at]), simd.load(&c[at]), simd.load(&d[at])];
        sums = [
            add_to_each(simd, sums[0], simd.load(&e[at]), others),
            add_to_each(simd, sums[1], simd.load(&f[at]), others),
            add_to_each(simd, sums[2], simd.load(&g[at]), others),
            add_to_each(simd, sums[3], simd.load(&h[at]), others),
        ];
    }
    [sum_each(simd, sums[0]), sum_each(simd, sums[1]), sum_each(simd, sums[2]), sum_each(simd, sums[3])]
}

/// `sumsᵢ + x · yᵢ`.
#[inline(always)]
fn add_to_each<S: Simd>(simd: S, sums: [S::V; TILE], x: S::V, y: [S::V; TILE]) -> [S::V; TILE] {
    [
        simd.fma(x, y[0], sums[0]),
        simd.fma(x, y[1], sums[1]),
        simd.fma(x, y[2], sums[2]),
        simd.fma(x, y[3], sums[3]),
    ]
}

#[inline(always)]
fn sum_each<S: Simd>(simd: S, [a, b, c, d]: [S::V; TILE]) -> [f32; TILE] {
    [simd.sum(a), simd.sum(b), simd.sum(c), simd.sum(d)]
}
