//! Where a visit's score comes from, and where its step goes: the weights, or the scores of all instances.
//!
//! Scores are kept for active instances only. Eight steps are added to them together, which saves seven of eight walks over the
//! lines; until then a visit adds those that wait to its own line. That is the order in which they would have been added
//! one by one, so that the bits do not depend on it. Instances that come back have their scores made of the dual variables anew.

use crate::gram::Gram;
use crate::start::{SumProducts, scale_and_shift};
use crate::{Entry, LANES};
use xmc_sparse::kernels::{Lanes, Simd, WithSimd};
use xmc_sparse::set_bits;

/// Weights that outgrow the second-level cache are prefetched; below that it only costs instructions.
const FETCH_ABOVE: usize = 4096;

/// Lines that are asked for ahead: of a row that comes soon the first ones, of the row that is read those of so many entries on. Two rows' and what is being read are
/// to stay in a first-level cache.
const FETCH_LINES: usize = 128;

/// Steps that are added to the scores together: they fill a quarter of the registers of AVX-512.
const BLOCK: usize = 8;

/// The state that a pass reads a score from, and changes with every step.
pub(crate) trait ScoreSource {
    /// Whether rows can have dense features beside this, or more than a cache holds: what cannot be is not compiled.
    const LARGE_OR_DENSE: bool;

    /// Whether it pays to ask for memory ahead.
    fn is_large(&self) -> bool {
        false
    }

    /// Asks for what the visit of an instance will need.
    #[inline(always)]
    fn fetch<S: Simd>(&self, _: S, _: &[Entry]) {}

    /// The score of the shared sparse entries of an instance, plus both of `others`.
    fn score<S: Simd>(&self, simd: S, row: usize, entries: &[Entry], others: [S::V; 2]) -> S::V;

    /// Takes the step of an instance.
    fn step<S: Simd>(&mut self, simd: S, row: usize, entries: &[Entry], step: S::V);

    /// At the end of a pass.
    #[inline(always)]
    fn end<S: Simd>(&mut self, _: S) {}

    /// Products of the sums of some instances, of which each has taken a step of one in its lanes of `positive` (nothing else has happened), and of the sum of all.
    fn products_of_sums<S: Simd>(&self, simd: S, positive: &[u16]) -> SumProducts<S>;

    /// All steps so far become `scale` times as large, and every instance takes one of `shift`.
    fn scale_and_shift<S: Simd>(&mut self, simd: S, scale: S::V, shift: S::V);
}

/// The weights of the shared features: `w·x`, and `w += step · x`.
pub(crate) struct ByWeights<'a> {
    pub(crate) weights: &'a mut [Lanes],
    /// The sum of all instances in each feature.
    pub(crate) totals: &'a [f32],
}

impl ScoreSource for ByWeights<'_> {
    const LARGE_OR_DENSE: bool = true;

    #[inline(always)]
    fn is_large(&self) -> bool {
        self.weights.len() > FETCH_ABOVE
    }

    #[inline(always)]
    fn fetch<S: Simd>(&self, simd: S, entries: &[Entry]) {
        for entry in &entries[..entries.len().min(FETCH_LINES)] {
            simd.prefetch(self.weights, entry.feature as usize);
        }
    }

    #[inline(always)]
    fn score<S: Simd>(&self, simd: S, _: usize, entries: &[Entry], others: [S::V; 2]) -> S::V {
        match entries.get(FETCH_LINES..) {
            Some(later) if self.is_large() => products_ahead(simd, entries, later, self.weights, others),
            _ => products(simd, entries, self.weights, others),
        }
    }

    #[inline(always)]
    fn step<S: Simd>(&mut self, simd: S, _: usize, entries: &[Entry], step: S::V) {
        for entry in entries {
            let weight = &mut self.weights[entry.feature as usize];
            let moved = simd.fma(simd.splat(entry.value), step, simd.load(weight));
            simd.store(weight, moved);
        }
    }

    #[inline(always)]
    fn products_of_sums<S: Simd>(&self, simd: S, _: &[u16]) -> SumProducts<S> {
        SumProducts::zero(simd).with_lines(simd, self.weights, self.totals)
    }

    #[inline(always)]
    fn scale_and_shift<S: Simd>(&mut self, simd: S, scale: S::V, shift: S::V) {
        scale_and_shift(simd, scale, shift, self.weights, self.totals);
    }
}

/// `Σ value · line` over the entries, plus both of `others`.
#[inline(always)]
pub(crate) fn products<S: Simd>(simd: S, entries: &[Entry], lines: &[Lanes], others: [S::V; 2]) -> S::V {
    products_ahead(simd, entries, &[], lines, others)
}

/// As [`products`], asking for the line of one of `later` with each entry.
#[inline(always)]
fn products_ahead<S: Simd>(
    simd: S,
    entries: &[Entry],
    later: &[Entry],
    lines: &[Lanes],
    others: [S::V; 2],
) -> S::V {
    // Two sums: one chain of dependent additions would take four cycles for each entry.
    let [mut even, mut odd] = others;
    let (pairs, rest) = entries.as_chunks::<2>();
    let mut later = later.as_chunks::<2>().0.iter();
    for [a, b] in pairs {
        for entry in later.next().into_iter().flatten() {
            simd.prefetch(lines, entry.feature as usize);
        }
        even = simd.fma(simd.splat(a.value), simd.load(&lines[a.feature as usize]), even);
        odd = simd.fma(simd.splat(b.value), simd.load(&lines[b.feature as usize]), odd);
    }
    for a in rest {
        even = simd.fma(simd.splat(a.value), simd.load(&lines[a.feature as usize]), even);
    }
    simd.add(even, odd)
}

/// The scores of sixteen problems, kept up to date for the instances that are active.
#[derive(Debug, Default)]
pub(crate) struct Scores {
    /// Of each instance, without what is in [`Scores::steps`]; filled up to whole sixteens.
    lines: Vec<Lanes>,
    /// For each sixteen instances those whose scores are kept.
    kept: Vec<u16>,
    /// Instances that have stepped since, and their steps.
    stepped: [u32; BLOCK],
    steps: [Lanes; BLOCK],
    n_stepped: usize,
}

impl Scores {
    /// Begins a solve: with duals of zero all scores are.
    pub(crate) fn reset(&mut self, n_rows: usize) {
        let stride = n_rows.div_ceil(LANES);
        self.lines.clear();
        self.lines.resize(stride * LANES, Lanes::ZERO);
        self.kept.clear();
        self.kept.resize(stride, u16::MAX);
        self.n_stepped = 0;
    }

    /// Keeps the scores of the instances in `active` from now on, and returns for each sixteen which of them have not been kept.
    fn keep(&mut self, active: &[u32]) -> Vec<u16> {
        let mut kept = vec![0u16; self.kept.len()];
        active.iter().for_each(|&row| kept[row as usize / LANES] |= 1 << (row as usize % LANES));
        let missed = kept.iter().zip(&self.kept).map(|(kept, before)| kept & !before).collect();
        self.kept = kept;
        missed
    }
}

/// Keeps the scores of `active` instances, bringing those up to date that come back.
///
/// `signed_duals` are those of each row, `yα`: only losses that shrink need them.
pub(crate) struct Keep<'a, F> {
    pub(crate) gram: &'a Gram,
    pub(crate) scores: &'a mut Scores,
    pub(crate) active: &'a [u32],
    pub(crate) signed_duals: F,
}

impl<F: Fn(usize) -> Lanes> WithSimd for Keep<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { gram, scores, active, signed_duals } = self;
        let missed = scores.keep(active);
        if missed.iter().all(|&rows| rows == 0) {
            return;
        }
        let tiles = scores.lines.as_chunks_mut::<LANES>().0;
        for (tile, &missed) in tiles.iter_mut().zip(&missed) {
            set_bits(missed.into()).for_each(|lane| tile[lane as usize] = Lanes::ZERO);
        }
        let n_rows = gram.n_rows();
        for first in (0..n_rows).step_by(BLOCK) {
            let stepped = std::array::from_fn(|at| (first + at).min(n_rows - 1) as u32);
            let steps = std::array::from_fn(|at| match first + at < n_rows {
                true => signed_duals(first + at),
                false => Lanes::ZERO,
            });
            add_steps(simd, gram, &stepped, &steps, &missed, tiles);
        }
    }
}

/// The scores of a pass.
pub(crate) struct ByProducts<'a> {
    pub(crate) gram: &'a Gram,
    pub(crate) scores: &'a mut Scores,
}

impl ByProducts<'_> {
    /// The score of instance `row`, one that is kept.
    #[inline(always)]
    fn score_of<S: Simd>(&self, simd: S, row: usize) -> S::V {
        let (scores, products) = (&*self.scores, self.gram.row(row));
        let mut score = simd.load(&scores.lines[row]);
        for (&other, step) in scores.stepped.iter().zip(&scores.steps).take(scores.n_stepped) {
            let product = products[other as usize / LANES].0[other as usize % LANES];
            score = simd.fma(simd.splat(product), simd.load(step), score);
        }
        score
    }

    /// Adds the steps that have been noted to the scores that are kept.
    #[inline(always)]
    fn apply<S: Simd>(&mut self, simd: S) {
        let Scores { lines, kept, stepped, steps, n_stepped } = &mut *self.scores;
        if *n_stepped > 0 {
            // Those of before may be of another cluster.
            let first = stepped[0];
            stepped[*n_stepped..].fill(first);
            steps[*n_stepped..].fill(Lanes::ZERO);
            add_steps(simd, self.gram, stepped, steps, kept, lines.as_chunks_mut::<LANES>().0);
        }
        *n_stepped = 0;
    }
}

impl ScoreSource for ByProducts<'_> {
    const LARGE_OR_DENSE: bool = false;

    #[inline(always)]
    fn score<S: Simd>(&self, simd: S, row: usize, _: &[Entry], [bias, dense]: [S::V; 2]) -> S::V {
        simd.add(self.score_of(simd, row), simd.add(bias, dense))
    }

    #[inline(always)]
    fn step<S: Simd>(&mut self, simd: S, row: usize, _: &[Entry], step: S::V) {
        let scores = &mut *self.scores;
        let at = scores.n_stepped % BLOCK;
        scores.stepped[at] = row as u32;
        simd.store(&mut scores.steps[at], step);
        scores.n_stepped = at + 1;
        if scores.n_stepped == BLOCK {
            self.apply(simd);
        }
    }

    #[inline(always)]
    fn end<S: Simd>(&mut self, simd: S) {
        self.apply(simd);
    }

    #[inline(always)]
    fn products_of_sums<S: Simd>(&self, simd: S, positive: &[u16]) -> SumProducts<S> {
        let zero = simd.splat(0.0);
        let (mut of_positives, mut with_all, mut of_all) = (zero, zero, 0.0);
        for ((line, &total), &positive) in self.scores.lines.iter().zip(&self.gram.totals).zip(positive) {
            of_positives = simd.add(of_positives, simd.select(positive, simd.load(line), zero));
            with_all = simd.add(with_all, simd.select(positive, simd.splat(total), zero));
            of_all += total;
        }
        SumProducts { of_positives, with_all, of_all }
    }

    #[inline(always)]
    fn scale_and_shift<S: Simd>(&mut self, simd: S, scale: S::V, shift: S::V) {
        scale_and_shift(simd, scale, shift, &mut self.scores.lines, &self.gram.totals);
    }
}

/// `sᵢ += Σ Kᵢⱼ stepⱼ` for the instances i of `kept`, the steps one after the other.
#[inline(always)]
fn add_steps<S: Simd>(
    simd: S,
    gram: &Gram,
    stepped: &[u32; BLOCK],
    steps: &[Lanes; BLOCK],
    kept: &[u16],
    tiles: &mut [[Lanes; LANES]],
) {
    let [a, b, c, d, e, f, g, h] = stepped.map(|row| gram.row(row as usize));
    let steps = [
        simd.load(&steps[0]),
        simd.load(&steps[1]),
        simd.load(&steps[2]),
        simd.load(&steps[3]),
        simd.load(&steps[4]),
        simd.load(&steps[5]),
        simd.load(&steps[6]),
        simd.load(&steps[7]),
    ];
    for (at, (lines, &kept)) in tiles.iter_mut().zip(kept).enumerate() {
        // Copied to one place: eight pointers and what else is needed here are more than there are registers.
        let products = [a[at], b[at], c[at], d[at], e[at], f[at], g[at], h[at]];
        if kept == u16::MAX {
            for (lane, line) in lines.iter_mut().enumerate() {
                add_to_line(simd, &products, lane, steps, line);
            }
        } else {
            let mut rest = kept;
            while rest != 0 {
                let lane = rest.trailing_zeros() as usize % LANES;
                add_to_line(simd, &products, lane, steps, &mut lines[lane]);
                rest &= rest - 1;
            }
        }
    }
}

/// `line + Σ products · steps`, one after the other.
#[inline(always)]
fn add_to_line<S: Simd>(
    simd: S,
    products: &[Lanes; BLOCK],
    lane: usize,
    steps: [S::V; BLOCK],
    line: &mut Lanes,
) {
    let mut sum = simd.load(line);
    sum = simd.fma(simd.splat(products[0].0[lane]), steps[0], sum);
    sum = simd.fma(simd.splat(products[1].0[lane]), steps[1], sum);
    sum = simd.fma(simd.splat(products[2].0[lane]), steps[2], sum);
    sum = simd.fma(simd.splat(products[3].0[lane]), steps[3], sum);
    sum = simd.fma(simd.splat(products[4].0[lane]), steps[4], sum);
    sum = simd.fma(simd.splat(products[5].0[lane]), steps[5], sum);
    sum = simd.fma(simd.splat(products[6].0[lane]), steps[6], sum);
    sum = simd.fma(simd.splat(products[7].0[lane]), steps[7], sum);
    simd.store(line, sum);
}
