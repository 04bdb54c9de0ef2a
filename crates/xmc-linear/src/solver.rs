//! The batched solver: passes, shrinking and the end of each lane.

use crate::epoch::{Epoch, Gap, Primal};
use crate::{CheckedSvmParams, CompactRows, GroupWeights};
use rand::{SeedableRng, seq::SliceRandom};
use rand_xoshiro::Xoshiro256PlusPlus;
use xmc_sparse::kernels::{Isa, LANES, Lanes, dispatch, dispatch_on};

/// Which instances are positives of which lane.
#[derive(Debug, Clone, Default)]
pub struct Targets {
    pub(crate) positive: Vec<u16>,
    n_lanes: usize,
}

impl Targets {
    /// Positives of up to [`LANES`] labels: `lists[l]` names the rows (numbers within the cluster) of label `l`.
    ///
    /// # Panics
    /// When there are more than [`LANES`] lists or a row is out of range.
    pub fn new<L: AsRef<[u32]>>(n_rows: usize, lists: &[L]) -> Self {
        assert!(lists.len() <= LANES, "at most {LANES} labels are solved together");
        let mut positive = vec![0u16; n_rows];
        for (lane, list) in lists.iter().enumerate() {
            for &row in list.as_ref() {
                positive[row as usize] |= 1 << lane;
            }
        }
        Self { positive, n_lanes: lists.len() }
    }

    /// Number of labels.
    pub fn n_lanes(&self) -> usize {
        self.n_lanes
    }

    /// Lanes that have a label.
    fn mask(&self) -> u16 {
        ((1u32 << self.n_lanes) - 1) as u16
    }
}

/// What a solve took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SolveReport {
    /// Passes made.
    pub passes: u32,
    /// Instances visited in all passes.
    pub visits: u64,
    /// Lanes that reached `max_iter` before `eps`.
    pub unconverged: u32,
}

/// Solves up to [`LANES`] sibling problems at once; keep one for each thread, it owns the dual variables.
#[derive(Debug, Default)]
pub struct LaneSolver {
    primal: Primal,
    alpha: Vec<Lanes>,
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
        self.reset(rows);
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut lanes = LaneStates::new(targets.mask());
        let mut report = SolveReport::default();
        self.activate_all(rows.n_rows());
        while report.passes < params.max_iter && lanes.unfinished != 0 {
            self.active.shuffle(&mut rng);
            report.passes += 1;
            report.visits += self.active.len() as u64;
            let gap = self.pass(params, rows, targets, &lanes);
            // Shrinking removes instances within the pass: only a pass that kept all proves optimality.
            let complete = self.active.len() == rows.n_rows();
            lanes.judge(&gap, params.eps, complete);
            if lanes.live == 0 && lanes.unfinished != 0 {
                self.activate_all(rows.n_rows());
                lanes.wake();
            }
        }
        report.unconverged = lanes.unfinished.count_ones();
        report
    }

    /// The weights of the last solve, those of at least `threshold` in absolute value.
    pub fn weights(&self, rows: &CompactRows, targets: &Targets, threshold: f32) -> GroupWeights {
        GroupWeights::collect(rows, targets, &self.primal, &self.alpha, threshold)
    }

    fn reset(&mut self, rows: &CompactRows) {
        let zeros = |lanes: &mut Vec<Lanes>, len| {
            lanes.clear();
            lanes.resize(len, Lanes::ZERO);
        };
        zeros(&mut self.primal.sparse, rows.n_shared());
        zeros(&mut self.primal.dense, rows.dense_stride() * LANES);
        zeros(&mut self.alpha, rows.n_rows());
        self.primal.bias = Lanes::ZERO;
    }

    fn activate_all(&mut self, n_rows: usize) {
        self.active.clear();
        self.active.extend(0..n_rows as u32);
    }

    fn pass(
        &mut self,
        params: &CheckedSvmParams,
        rows: &CompactRows,
        targets: &Targets,
        lanes: &LaneStates,
    ) -> Gap {
        let epoch = Epoch {
            rows,
            positive: &targets.positive,
            active: &mut self.active,
            primal: &mut self.primal,
            alpha: &mut self.alpha,
            diagonal: [0.5 / params.cost_positive, 0.5 / params.cost_negative],
            live: lanes.live,
            shrink_above: lanes.shrink_above,
        };
        match self.isa {
            None => dispatch(epoch),
            Some(isa) => dispatch_on(isa, epoch),
        }
    }
}

/// Where each lane stands.
struct LaneStates {
    /// Lanes that change in the next pass.
    live: u16,
    /// Lanes whose optimality is not proved: live, or resting until the others have converged too.
    unfinished: u16,
    shrink_above: Lanes,
}

impl LaneStates {
    fn new(mask: u16) -> Self {
        Self { live: mask, unfinished: mask, shrink_above: Lanes([f32::INFINITY; LANES]) }
    }

    /// Rests the lanes that have converged on the active set, and finishes them when that was the whole set.
    fn judge(&mut self, gap: &Gap, eps: f32, complete: bool) {
        let judged = self.live;
        for lane in (0..LANES).filter(|lane| judged >> lane & 1 == 1) {
            let (max, min) = (gap.max.0[lane], gap.min.0[lane]);
            // An empty active set leaves max below min: converged as well.
            if max - min <= eps {
                self.live &= !(1 << lane);
                if complete {
                    self.unfinished &= !(1 << lane);
                }
            }
            self.shrink_above.0[lane] = if max > 0.0 { max } else { f32::INFINITY };
        }
    }

    /// All unfinished lanes go on, without shrinking in their first pass.
    fn wake(&mut self) {
        self.live = self.unfinished;
        self.shrink_above = Lanes([f32::INFINITY; LANES]);
    }
}
