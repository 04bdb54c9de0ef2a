//! One pass of dual coordinate descent over the active instances, sixteen labels in lock step.
//!
//! For lane `l` with signs `y ∈ {−1, +1}` and duals `α` a visit of instance `i` is (Hsieh et al. 2008, algorithm 3)
//!
//! ```text
//! G  = the gradient, from y (w·xᵢ + b·bias) and α
//! α' = the step that the loss takes with it
//! w += (α' − α) y xᵢ
//! ```
//!
//! What depends on the loss is in [`crate::dual`]; a pass is compiled for each. Features that only row `i` has contribute
//! `y α Σv²` to `w·xᵢ`, hence `α Σv²` to `G`: see [`crate::CompactRows`].

use crate::CompactRows;
use crate::dense::{BLOCK, DenseBlock, FEW, FewLanes};
use crate::dual::{Coordinate, DualLoss, Shrink};
use crate::scores::ScoreSource;
use crate::targets::PairCosts;
use xmc_sparse::kernels::{Lanes, Simd, WithSimd};

/// How many instances ahead the head and entries of a row are asked for.
const FETCH_ROW: usize = 6;
/// How many instances ahead the weights of a row are asked for.
const FETCH_WEIGHTS: usize = 2;
/// How many instances ahead the dense part of a row is asked for, when they are visited one by one.
const FETCH_DENSE: usize = 4;

/// The primal side of sixteen problems.
#[derive(Debug, Default)]
pub(crate) struct Primal {
    pub(crate) sparse: Vec<Lanes>,
    /// Of each dense column, filled up as [`CompactRows::dense`].
    pub(crate) dense: Vec<Lanes>,
    pub(crate) bias: Lanes,
}

/// Largest and smallest projected gradient of a pass, by lane. Zero is always between the two: gradients that agree are not small for that. LIBLINEAR's rule takes
/// them for it, and with few instances, none of them at a bound, a problem could end far from its optimum.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gap {
    pub(crate) max: Lanes,
    pub(crate) min: Lanes,
}

/// What came of a pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pass {
    pub(crate) gap: Gap,
    /// Entries of the instances visited.
    pub(crate) entries: u64,
    /// Entries of those whose dual variables changed.
    pub(crate) moved: u64,
}

/// Everything that a pass reads and changes.
pub(crate) struct Epoch<'a, L, P> {
    pub(crate) loss: L,
    pub(crate) source: P,
    pub(crate) rows: &'a CompactRows,
    /// Bit `l` of entry `i`: instance `i` is a positive of lane `l`.
    pub(crate) positive: &'a [u16],
    /// Costs of pairs, where they are not all one.
    pub(crate) costs: Option<&'a PairCosts>,
    /// Bit `l` of entry `i`: instance `i` is in the problem of lane `l`, where they are not all in all.
    pub(crate) taking_part: Option<&'a [u16]>,
    /// Active instances, in the order of the pass; shrunk ones are removed.
    pub(crate) active: &'a mut Vec<u32>,
    /// Of each dense column, filled up as [`CompactRows::dense`].
    pub(crate) dense: &'a mut [Lanes],
    pub(crate) bias: &'a mut Lanes,
    /// Dual variables, as the loss stores them.
    pub(crate) duals: &'a mut [Lanes],
    /// Lanes that still change.
    pub(crate) live: u16,
    /// A dual at its lower bound whose gradient exceeds this may be shrunk.
    pub(crate) shrink_above: Lanes,
    /// A dual at its upper bound whose gradient is less than this may be shrunk.
    pub(crate) shrink_below: Lanes,
}

impl<L: DualLoss, P: ScoreSource> WithSimd for Epoch<'_, L, P> {
    type Output = Pass;

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) -> Pass {
        let fetch = self.source.is_large();
        let plain = self.costs.is_none() && self.taking_part.is_none();
        if !P::LARGE_OR_DENSE {
            return if plain {
                self.pass::<S, false, true>(simd)
            } else {
                self.pass::<S, false, false>(simd)
            };
        }
        match (fetch, plain) {
            (true, true) => self.pass::<S, true, true>(simd),
            (true, false) => self.pass::<S, true, false>(simd),
            (false, true) => self.pass::<S, false, true>(simd),
            (false, false) => self.pass::<S, false, false>(simd),
        }
    }
}

/// What a pass keeps in registers.
struct Running<S: Simd> {
    max: S::V,
    min: S::V,
    bias: S::V,
    shrink: Shrink<S>,
    entries: u64,
    moved: u64,
}

impl<S: Simd> Running<S> {
    /// Takes note of the violations in the lanes of `present`.
    #[inline(always)]
    fn note<const PLAIN: bool>(&mut self, simd: S, present: u16, largest: S::V, smallest: S::V) {
        let (max, min) = (simd.max(self.max, largest), simd.min(self.min, smallest));
        self.max = if PLAIN { max } else { simd.select(present, max, self.max) };
        self.min = if PLAIN { min } else { simd.select(present, min, self.min) };
    }
}

/// What came of a visit.
enum Visit<S: Simd> {
    /// Every live lane has shrunk the instance.
    Shrunk,
    Unchanged,
    /// The step in each lane, with the sign of its label.
    Stepped(S::V),
}

// `FETCH`: ask for memory ahead. `PLAIN`: no costs of pairs and no restriction, and no code for them.
impl<L: DualLoss, P: ScoreSource> Epoch<'_, L, P> {
    #[inline(always)]
    fn pass<S: Simd, const FETCH: bool, const PLAIN: bool>(&mut self, simd: S) -> Pass {
        let mut running = Running::<S> {
            max: simd.splat(0.0),
            min: simd.splat(0.0),
            bias: simd.load(self.bias),
            shrink: Shrink { above: simd.load(&self.shrink_above), below: simd.load(&self.shrink_below) },
            entries: 0,
            moved: 0,
        };
        if !P::LARGE_OR_DENSE || self.rows.n_dense == 0 {
            self.visit_in_turn::<S, FETCH, PLAIN>(simd, &mut running, None);
        } else if self.live.count_ones() as usize <= FEW {
            let mut few = FewLanes::gather(self.live, self.dense);
            self.visit_in_turn::<S, FETCH, PLAIN>(simd, &mut running, Some(&mut few));
            few.scatter(self.dense);
        } else {
            self.visit_in_blocks::<S, FETCH, PLAIN>(simd, &mut running);
        }
        self.source.end(simd);
        let mut gap = Gap { max: Lanes::ZERO, min: Lanes::ZERO };
        simd.store(&mut gap.max, running.max);
        simd.store(&mut gap.min, running.min);
        simd.store(self.bias, running.bias);
        Pass { gap, entries: running.entries, moved: running.moved }
    }

    /// Visits instances one by one; `few` holds the dense weights, if there are any.
    #[inline(always)]
    fn visit_in_turn<S: Simd, const FETCH: bool, const PLAIN: bool>(
        &mut self,
        simd: S,
        running: &mut Running<S>,
        mut few: Option<&mut FewLanes>,
    ) {
        let mut at = 0;
        while at < self.active.len() {
            if FETCH {
                self.fetch_ahead::<S, PLAIN>(simd, at);
            }
            let row = self.active[at] as usize;
            let dense = match &few {
                Some(few) => {
                    if FETCH {
                        self.fetch_dense(simd, at + FETCH_DENSE);
                    }
                    few.score(simd, self.rows.dense_row(row))
                }
                None => simd.splat(0.0),
            };
            match self.visit::<S, PLAIN>(simd, row, dense, running) {
                Visit::Shrunk => {
                    self.active.swap_remove(at);
                    continue;
                }
                Visit::Unchanged => {}
                Visit::Stepped(step) => {
                    if let Some(few) = &mut few {
                        few.step(simd, self.rows.dense_row(row), step);
                    }
                }
            }
            at += 1;
        }
    }

    /// Visits instances that have a dense part as well, for many lanes.
    #[inline(always)]
    fn visit_in_blocks<S: Simd, const FETCH: bool, const PLAIN: bool>(
        &mut self,
        simd: S,
        running: &mut Running<S>,
    ) {
        let mut start = 0;
        while start < self.active.len() {
            let end = (start + BLOCK).min(self.active.len());
            let mut block = DenseBlock::new(simd, self.rows, &self.active[start..end], self.dense);
            let mut kept = start;
            for at in start..end {
                if FETCH {
                    self.fetch_ahead::<S, PLAIN>(simd, at);
                    self.fetch_dense(simd, at + BLOCK);
                }
                let row = self.active[at];
                match self.visit::<S, PLAIN>(simd, row as usize, block.score(simd, at - start), running) {
                    Visit::Shrunk => continue,
                    Visit::Unchanged => {}
                    Visit::Stepped(step) => block.step(simd, at - start, step),
                }
                self.active[kept] = row;
                kept += 1;
            }
            block.apply(simd, self.dense);
            // From the last place to the first: what moves here must not be one of the block.
            for place in (kept..end).rev() {
                self.active.swap_remove(place);
            }
            start = kept;
        }
    }

    /// Asks for the dense part of the instance at `at`, one of the next.
    #[inline(always)]
    fn fetch_dense<S: Simd>(&self, simd: S, at: usize) {
        if let Some(&row) = self.active.get(at) {
            let stride = self.rows.dense_stride();
            (0..stride).for_each(|at| simd.prefetch(&self.rows.dense, row as usize * stride + at));
        }
    }

    /// Asks for what the next instances will need: the passes over the large clusters wait for memory.
    #[inline(always)]
    fn fetch_ahead<S: Simd, const PLAIN: bool>(&self, simd: S, at: usize) {
        if let Some(&row) = self.active.get(at + 2 * FETCH_ROW) {
            simd.prefetch(&self.rows.heads, row as usize);
            simd.prefetch(self.duals, row as usize);
        }
        if let (false, Some(costs), Some(&row)) = (PLAIN, self.costs, self.active.get(at + FETCH_ROW)) {
            simd.prefetch(&costs.lines, costs.line_of[row as usize] as usize);
        }
        if let Some(&row) = self.active.get(at + FETCH_ROW) {
            let start = self.rows.entry_start(row as usize);
            simd.prefetch(&self.rows.entries, start);
            simd.prefetch(&self.rows.entries, start + 8);
        }
        if let Some(&row) = self.active.get(at + FETCH_WEIGHTS) {
            self.source.fetch(simd, self.rows.row(row as usize).1);
        }
    }

    /// One coordinate step in all live lanes; `dense` is the score of the dense part, whose weights are left to
    /// the caller.
    #[inline(always)]
    fn visit<S: Simd, const PLAIN: bool>(
        &mut self,
        simd: S,
        row: usize,
        dense: S::V,
        running: &mut Running<S>,
    ) -> Visit<S> {
        let present = if PLAIN { u16::MAX } else { self.taking_part.map_or(u16::MAX, |lanes| lanes[row]) };
        let live = self.live & present;
        if !PLAIN && live == 0 {
            // Not shrunk: a pass over all instances would no longer be known as one.
            return Visit::Unchanged;
        }
        let (head, entries) = self.rows.row(row);
        running.entries += entries.len() as u64;
        let positive = self.positive[row];
        let bias = simd.mul(running.bias, simd.splat(self.rows.bias));
        let cost = self.loss.cost(simd, positive, head.inverse_weight, self.pair_cost::<S, PLAIN>(simd, row));
        let at = Coordinate {
            sign: simd.select(positive, simd.splat(1.0), simd.splat(-1.0)),
            cost,
            dual: simd.load(&self.duals[row]),
            score: self.source.score(simd, row, entries, [bias, dense]),
            head,
        };
        let judged = self.loss.judge(simd, &at, &running.shrink);
        if judged.shrunk | !live == u16::MAX {
            return Visit::Shrunk;
        }
        running.note::<PLAIN>(simd, present, judged.largest, judged.smallest);

        let stepped = self.loss.step(simd, &at, judged.gradient, live);
        if simd.ne(stepped.dual, at.dual) == 0 {
            return Visit::Unchanged;
        }
        running.moved += entries.len() as u64;
        let step = simd.mul(at.sign, stepped.change);
        simd.store(&mut self.duals[row], stepped.dual);
        running.bias = simd.fma(step, simd.splat(self.rows.bias), running.bias);
        self.source.step(simd, row, entries, step);
        Visit::Stepped(step)
    }

    /// What the pairs of an instance cost, if that is anything but one.
    #[inline(always)]
    fn pair_cost<S: Simd, const PLAIN: bool>(&self, simd: S, row: usize) -> Option<S::V> {
        match self.costs {
            Some(costs) if !PLAIN => Some(simd.load(costs.line(row))),
            _ => None,
        }
    }
}
