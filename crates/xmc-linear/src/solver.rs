//! The batched solver: passes, shrinking and the end of each lane.

use crate::dual::{DualLoss, Hinge, Logistic, SquaredHinge};
use crate::epoch::{Epoch, Gap, Pass, Primal};
use crate::gram::{Gram, WeightsOfDuals};
use crate::scores::{ByProducts, ByWeights, Keep, ScoreSource, Scores};
use crate::start::Start;
use crate::weights::{Solved, signed};
use crate::{CheckedSvmParams, CompactRows, GroupWeights, Loss, Targets};
use rand::{SeedableRng, seq::SliceRandom};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::mem::take;
use xmc_sparse::kernels::{Isa, LANES, Lanes, WithSimd, dispatch, dispatch_on};

/// What a solve took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SolveReport {
    /// Passes made.
    pub passes: u32,
    /// Instances visited in all passes.
    pub visits: u64,
    /// Sparse entries of these instances, without the features that only one instance has.
    pub entries: u64,
    /// Those of the visits that changed the weights.
    pub moved: u64,
    /// Lanes that reached `max_iter` before `eps`.
    pub unconverged: u32,
}

/// Solves up to [`LANES`] sibling problems at once; keep one for each thread, it owns the dual variables.
#[derive(Debug, Default)]
pub struct LaneSolver {
    primal: Primal,
    /// Dual variables; while solving as the loss stores them.
    duals: Vec<Lanes>,
    /// Of clusters that are solved in their inner products.
    scores: Scores,
    active: Vec<u32>,
    isa: Option<Isa>,
}

impl LaneSolver {
    /// A solver that uses one instruction set: for tests and benchmarks.
    pub fn on(isa: Isa) -> Self {
        Self { isa: Some(isa), ..Self::default() }
    }

    /// Solves the problems of `targets` on `rows`; the result stays in the solver until the next call.
    /// `seed` orders the passes.
    pub fn solve(
        &mut self,
        params: &CheckedSvmParams,
        rows: &CompactRows,
        targets: &Targets,
        seed: u64,
    ) -> SolveReport {
        assert_eq!(targets.positive.len(), rows.n_rows(), "targets are for other rows");
        let report = match params.loss {
            Loss::SquaredHinge => self.descend(SquaredHinge::new(params), params, rows, targets, seed),
            Loss::Hinge => self.descend(Hinge::new(params), params, rows, targets, seed),
            Loss::Logistic => {
                let loss = Logistic::new(params);
                let report = self.descend(loss, params, rows, targets, seed);
                self.leave_log_odds(loss, rows, targets);
                report
            }
        };
        if let Some(gram) = &rows.gram {
            self.leave_weights(gram, targets);
        }
        report
    }

    /// The weights of the last solve, those of at least `threshold` in absolute value.
    pub fn weights(&self, rows: &CompactRows, targets: &Targets, threshold: f32) -> GroupWeights {
        self.solved(rows, targets).weights(threshold, None, self.isa)
    }

    /// The weights of the last solve that `params` keeps: by its threshold and its largest number for a label.
    pub fn pruned_weights(
        &self,
        params: &CheckedSvmParams,
        rows: &CompactRows,
        targets: &Targets,
    ) -> GroupWeights {
        let limit = params.max_nonzeros_per_label;
        self.solved(rows, targets).weights(params.threshold, limit, self.isa)
    }

    fn solved<'a>(&'a self, rows: &'a CompactRows, targets: &'a Targets) -> Solved<'a> {
        Solved { rows, roots: rows.roots(), targets, primal: &self.primal, alpha: &self.duals }
    }

    fn descend<L: DualLoss>(
        &mut self,
        loss: L,
        params: &CheckedSvmParams,
        rows: &CompactRows,
        targets: &Targets,
        seed: u64,
    ) -> SolveReport {
        self.reset(rows, L::START);
        if L::BEGINS_BY_CLASS && targets.taking_part.is_none() {
            self.begin_by_class(loss, rows, targets);
        }
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut lanes = LaneStates::new(targets.mask());
        let mut report = SolveReport::default();
        self.activate_all(rows.n_rows());
        while report.passes < params.max_iter && lanes.unfinished != 0 {
            self.active.shuffle(&mut rng);
            report.passes += 1;
            report.visits += self.active.len() as u64;
            let Pass { gap, entries, moved } = self.pass(loss, rows, targets, &lanes);
            (report.entries, report.moved) = (report.entries + entries, report.moved + moved);
            // Shrinking removes instances within the pass: only a pass that kept all proves optimality.
            let complete = self.active.len() == rows.n_rows();
            lanes.judge(&gap, params.eps, complete, report.passes >= SHRINK_AFTER);
            if lanes.live == 0 && lanes.unfinished != 0 {
                self.activate_all(rows.n_rows());
                lanes.wake();
            }
        }
        report.unconverged = lanes.unfinished.count_ones();
        report
    }

    /// Turns the log-odds of the logistic loss into dual variables.
    fn leave_log_odds(&mut self, loss: Logistic, rows: &CompactRows, targets: &Targets) {
        for (row, duals) in self.duals.iter_mut().enumerate() {
            let costs = targets.pair_costs(row);
            for (lane, dual) in duals.0.iter_mut().enumerate() {
                let positive = targets.positive[row] >> lane & 1 == 1;
                let cost = loss.pair_cost(positive, rows.heads[row].inverse_weight, costs.0[lane]);
                *dual = Logistic::alpha(cost, *dual);
            }
        }
    }

    /// Makes the weights of the dual variables, which are all that there is.
    fn leave_weights(&mut self, gram: &Gram, targets: &Targets) {
        let pairs = self.duals.iter().zip(&targets.positive);
        let signed_duals: Vec<Lanes> = pairs.map(|(alpha, &positive)| signed(alpha, positive)).collect();
        let weights = &mut self.primal.sparse;
        run(self.isa, WeightsOfDuals { gram, signed_duals: &signed_duals, weights });
    }

    fn reset(&mut self, rows: &CompactRows, dual: f32) {
        let fill = |lanes: &mut Vec<Lanes>, len, value| {
            lanes.clear();
            lanes.resize(len, Lanes([value; LANES]));
        };
        match rows.gram {
            None => fill(&mut self.primal.sparse, rows.n_shared(), 0.0),
            Some(_) => self.scores.reset(rows.n_rows()),
        }
        fill(&mut self.primal.dense, rows.dense_stride() * LANES, 0.0);
        fill(&mut self.duals, rows.n_rows(), dual);
        self.primal.bias = Lanes::ZERO;
    }

    /// Moves everything from zero to where [`Start`] says.
    fn begin_by_class<L: DualLoss>(&mut self, loss: L, rows: &CompactRows, targets: &Targets) {
        let Self { primal: Primal { sparse, dense, bias }, duals, scores, isa, .. } = self;
        match &rows.gram {
            None => {
                let source = ByWeights { weights: sparse, totals: &rows.totals };
                run(*isa, Start { loss, source, rows, targets, dense, bias, duals });
            }
            Some(gram) => {
                let source = ByProducts { gram, scores };
                run(*isa, Start { loss, source, rows, targets, dense, bias, duals });
            }
        }
    }

    fn activate_all(&mut self, n_rows: usize) {
        self.active.clear();
        self.active.extend(0..n_rows as u32);
    }

    fn pass<L: DualLoss>(
        &mut self,
        loss: L,
        rows: &CompactRows,
        targets: &Targets,
        lanes: &LaneStates,
    ) -> Pass {
        let Some(gram) = &rows.gram else {
            let mut weights = take(&mut self.primal.sparse);
            let source = ByWeights { weights: &mut weights, totals: &rows.totals };
            let pass = self.pass_by(source, loss, rows, targets, lanes);
            self.primal.sparse = weights;
            return pass;
        };
        let mut scores = take(&mut self.scores);
        let signed_duals = |row: usize| signed(&self.duals[row], targets.positive[row]);
        run(self.isa, Keep { gram, scores: &mut scores, active: &self.active, signed_duals });
        let pass = self.pass_by(ByProducts { gram, scores: &mut scores }, loss, rows, targets, lanes);
        self.scores = scores;
        pass
    }

    fn pass_by<L: DualLoss, P: ScoreSource>(
        &mut self,
        source: P,
        loss: L,
        rows: &CompactRows,
        targets: &Targets,
        lanes: &LaneStates,
    ) -> Pass {
        let epoch = Epoch {
            loss,
            source,
            rows,
            positive: &targets.positive,
            costs: targets.costs.as_ref(),
            taking_part: targets.taking_part.as_deref(),
            active: &mut self.active,
            dense: &mut self.primal.dense,
            bias: &mut self.primal.bias,
            duals: &mut self.duals,
            live: lanes.live,
            shrink_above: lanes.shrink_above,
            shrink_below: lanes.shrink_below,
        };
        run(self.isa, epoch)
    }
}

/// Runs on `isa`, or on the best instruction set of the machine.
pub(crate) fn run<W: WithSimd>(isa: Option<Isa>, work: W) -> W::Output {
    match isa {
        None => dispatch(work),
        Some(isa) => dispatch_on(isa, work),
    }
}

/// Where each lane stands.
struct LaneStates {
    /// Lanes that change in the next pass.
    live: u16,
    /// Lanes whose optimality is not proved: live, or resting until the others have converged too.
    unfinished: u16,
    shrink_above: Lanes,
    shrink_below: Lanes,
}

/// Passes before the first instances are left out. A pass that has left out any proves nothing, and needs one over all instances after it: what the few that
/// all sixteen lanes leave out would cost is less, unless there are many passes.
const SHRINK_AFTER: u32 = 12;

/// Bounds that no gradient exceeds.
const SHRINK_NOTHING: [Lanes; 2] = [Lanes([f32::INFINITY; LANES]), Lanes([f32::NEG_INFINITY; LANES])];

impl LaneStates {
    fn new(mask: u16) -> Self {
        let [shrink_above, shrink_below] = SHRINK_NOTHING;
        Self { live: mask, unfinished: mask, shrink_above, shrink_below }
    }

    /// Rests the lanes that have converged on the active set, and finishes them when that was the whole set; lets the next pass `shrink`.
    fn judge(&mut self, gap: &Gap, eps: f32, complete: bool, shrink: bool) {
        let judged = self.live;
        for lane in (0..LANES).filter(|lane| judged >> lane & 1 == 1) {
            let (max, min) = (gap.max.0[lane], gap.min.0[lane]);
            // An empty active set leaves both at zero: converged as well.
            if max - min <= eps {
                self.live &= !(1 << lane);
                if complete {
                    self.unfinished &= !(1 << lane);
                }
            }
            self.shrink_above.0[lane] = if shrink && max > 0.0 { max } else { f32::INFINITY };
            self.shrink_below.0[lane] = if shrink && min < 0.0 { min } else { f32::NEG_INFINITY };
        }
    }

    /// All unfinished lanes go on, without shrinking in their first pass.
    fn wake(&mut self) {
        self.live = self.unfinished;
        [self.shrink_above, self.shrink_below] = SHRINK_NOTHING;
    }
}
