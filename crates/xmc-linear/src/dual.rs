//! The losses' coordinate steps in the dual, sixteen labels at a time.
//!
//! A visit of instance `i` looks at one coordinate `α` of each lane's dual problem, with everything else fixed. What the
//! losses share (scores, weights, the order of visits) is in [`crate::epoch`]; here is what differs: the gradient, when
//! a coordinate may be left out, and the step.
//!
//! The hinges follow algorithm 3 of Hsieh et al. 2008, the logistic loss Yu, Huang, Lin, *Dual coordinate descent methods
//! for logistic regression and maximum entropy models*, Machine Learning 85, 2011, in another variable (see [`Logistic`]).

use crate::{CheckedSvmParams, RowHead};
use xmc_sparse::kernels::Simd;

/// One coordinate in every lane: an instance, with the labels' signs.
pub(crate) struct Coordinate<S: Simd> {
    /// `y`, 1 or −1.
    pub(crate) sign: S::V,
    /// `w·x + b·bias`, without the features that only this row has.
    pub(crate) score: S::V,
    /// The dual variable, as [`DualLoss`] stores it.
    pub(crate) dual: S::V,
    /// What [`DualLoss::cost`] made of the pair's cost.
    pub(crate) cost: S::V,
    pub(crate) head: RowHead,
}

/// Gradients beyond these let a coordinate at a bound be shrunk.
pub(crate) struct Shrink<S: Simd> {
    pub(crate) above: S::V,
    pub(crate) below: S::V,
}

/// How far a coordinate is from its optimum.
pub(crate) struct Judged<S: Simd> {
    pub(crate) gradient: S::V,
    /// Lanes in which the coordinate rests at a bound.
    pub(crate) shrunk: u16,
    /// What the coordinate adds to the pass's largest and smallest violation.
    pub(crate) largest: S::V,
    pub(crate) smallest: S::V,
}

/// The outcome of a step: the dual variable as stored, and by how much `α` has changed.
pub(crate) struct Stepped<S: Simd> {
    pub(crate) dual: S::V,
    pub(crate) change: S::V,
}

/// A loss, seen from the dual.
pub(crate) trait DualLoss: Copy {
    /// Zero as a dual variable is stored, to the precision of the weights: where all start.
    const START: f32;

    /// Whether the descent begins at better duals than zero: see [`crate::start`].
    const BEGINS_BY_CLASS: bool;

    /// The constant that stands for the costs `C` in this loss, by lane. `pair` is a further factor of `C`.
    fn cost<S: Simd>(self, simd: S, positive: u16, inverse_weight: f32, pair: Option<S::V>) -> S::V;

    /// How far the coordinate is from its optimum.
    fn judge<S: Simd>(self, simd: S, at: &Coordinate<S>, shrink: &Shrink<S>) -> Judged<S>;

    /// Moves the coordinate in the lanes of `live`.
    fn step<S: Simd>(self, simd: S, at: &Coordinate<S>, gradient: S::V, live: u16) -> Stepped<S>;
}

/// A cost for each class, by the instance's weight.
#[inline(always)]
fn by_class<S: Simd>(simd: S, positive: u16, [of_positive, of_negative]: [f32; 2], scale: f32) -> S::V {
    simd.select(positive, simd.splat(of_positive * scale), simd.splat(of_negative * scale))
}

/// `C` of each lane: what the hinge and the logistic loss need.
#[inline(always)]
fn upper_bound<S: Simd>(simd: S, positive: u16, costs: [f32; 2], scale: f32, pair: Option<S::V>) -> S::V {
    let bound = by_class(simd, positive, costs, scale);
    match pair {
        None => bound,
        Some(pair) => simd.mul(bound, pair),
    }
}

/// `C max(0, 1 − z)²`, with duals `α ≥ 0`:
///
/// ```text
/// G  = y (w·xᵢ + b·bias) − 1 + α D,   D = 1 / (2Cᵢ)
/// α' = max(α − 1.3 G / (‖xᵢ‖² + bias² + D), 0)
/// ```
#[derive(Clone, Copy)]
pub(crate) struct SquaredHinge {
    /// `1 / (2C)` of positives and negatives.
    diagonal: [f32; 2],
}

impl SquaredHinge {
    pub(crate) fn new(params: &CheckedSvmParams) -> Self {
        Self { diagonal: [0.5 / params.cost_positive, 0.5 / params.cost_negative] }
    }
}

/// A step is so many times the one to the optimum of its coordinate: successive over-relaxation (Mangasarian, Musicant 1999), which ends where coordinate descent does as
/// long as this is below 2. A dual that is off while others hold the weights where they are approaches its optimum by a fifth with a whole step at `C` of 1; what
/// all instances have in common, above all the constant feature, is soon settled, and would swing with much more.
const RELAXATION: f32 = 1.3;

impl DualLoss for SquaredHinge {
    const START: f32 = 0.0;
    const BEGINS_BY_CLASS: bool = true;

    #[inline(always)]
    fn cost<S: Simd>(self, simd: S, positive: u16, inverse_weight: f32, pair: Option<S::V>) -> S::V {
        let diagonal = by_class(simd, positive, self.diagonal, inverse_weight);
        match pair {
            None => diagonal,
            Some(pair) => simd.div(diagonal, pair),
        }
    }

    #[inline(always)]
    fn judge<S: Simd>(self, simd: S, at: &Coordinate<S>, shrink: &Shrink<S>) -> Judged<S> {
        let zero = simd.splat(0.0);
        let own = simd.add(at.cost, simd.splat(at.head.own_norm));
        let gradient = simd.fma(at.sign, at.score, simd.fma(own, at.dual, simd.splat(-1.0)));
        let at_zero = !simd.ne(at.dual, zero);
        let shrunk = at_zero & simd.lt(shrink.above, gradient);
        let projected = simd.select(at_zero, simd.min(gradient, zero), gradient);
        Judged { gradient, shrunk, largest: projected, smallest: projected }
    }

    #[inline(always)]
    fn step<S: Simd>(self, simd: S, at: &Coordinate<S>, gradient: S::V, live: u16) -> Stepped<S> {
        let curvature = simd.add(at.cost, simd.splat(at.head.norm));
        let newton = simd.div(gradient, curvature);
        let stepped = simd.max(simd.fma(simd.splat(-RELAXATION), newton, at.dual), simd.splat(0.0));
        let dual = simd.select(live, stepped, at.dual);
        Stepped { dual, change: simd.sub(dual, at.dual) }
    }
}

/// `C max(0, 1 − z)`, with duals `0 ≤ α ≤ C`:
///
/// ```text
/// G  = y (w·xᵢ + b·bias) − 1
/// α' = min(max(α − G / (‖xᵢ‖² + bias²), 0), C)
/// ```
#[derive(Clone, Copy)]
pub(crate) struct Hinge {
    /// `C` of positives and negatives.
    costs: [f32; 2],
}

impl Hinge {
    pub(crate) fn new(params: &CheckedSvmParams) -> Self {
        Self { costs: [params.cost_positive, params.cost_negative] }
    }
}

impl DualLoss for Hinge {
    const START: f32 = 0.0;
    const BEGINS_BY_CLASS: bool = false;

    #[inline(always)]
    fn cost<S: Simd>(self, simd: S, positive: u16, inverse_weight: f32, pair: Option<S::V>) -> S::V {
        upper_bound(simd, positive, self.costs, 1.0 / inverse_weight, pair)
    }

    #[inline(always)]
    fn judge<S: Simd>(self, simd: S, at: &Coordinate<S>, shrink: &Shrink<S>) -> Judged<S> {
        let zero = simd.splat(0.0);
        let own = simd.splat(at.head.own_norm);
        let gradient = simd.fma(at.sign, at.score, simd.fma(own, at.dual, simd.splat(-1.0)));
        // A step that ends at a bound ends on it exactly, and the bound is the same bits at each visit.
        let at_zero = !simd.ne(at.dual, zero);
        let at_top = !simd.ne(at.dual, at.cost);
        let shrunk = at_zero & simd.lt(shrink.above, gradient) | at_top & simd.lt(gradient, shrink.below);
        let inside = simd.select(at_top, simd.max(gradient, zero), gradient);
        let projected = simd.select(at_zero, simd.min(gradient, zero), inside);
        Judged { gradient, shrunk, largest: projected, smallest: projected }
    }

    #[inline(always)]
    fn step<S: Simd>(self, simd: S, at: &Coordinate<S>, gradient: S::V, live: u16) -> Stepped<S> {
        // An instance without features has norm 0 and gradient −1: the quotient is −∞, and the bound holds it.
        let newton = simd.sub(at.dual, simd.div(gradient, simd.splat(at.head.norm)));
        let stepped = simd.min(simd.max(newton, simd.splat(0.0)), at.cost);
        let dual = simd.select(live, stepped, at.dual);
        Stepped { dual, change: simd.sub(dual, at.dual) }
    }
}

/// `C ln(1 + e⁻ᶻ)`, with duals `0 < α < C`, stored as log-odds `t = ln(α / (C − α))`.
///
/// With `σ(t) = 1 / (1 + e⁻ᵗ)`, `α = C σ(t)`, and the coordinate is at its optimum when `h = t + y (w·xᵢ + b·bias)` is zero. As a
/// function of the new log-odds `s`, with `a = ‖xᵢ‖² + bias²`, that is
///
/// ```text
/// h(s) = s + aC (σ(s) − σ(t)) + y (w·xᵢ + b·bias)
/// ```
///
/// The paper solves for `α` itself, with two variables `α` and `C − α` since one of them has no digits left near a
/// bound. Log-odds need neither the second variable nor logarithms, and single precision is enough for them. The
/// paper's choice of the smaller of the two is here the choice of the side of zero where the root is: there, with signs turned so
/// that it is the left one, `h` increases and is convex. Newton's method from any point right of the root then falls towards
/// it without passing it, and one step from a point left of it lands on the right.
#[derive(Clone, Copy)]
pub(crate) struct Logistic {
    /// `C` of positives and negatives.
    costs: [f32; 2],
    /// A coordinate with `|h|` up to this is left alone.
    tolerance: f32,
}

/// Newton steps in a visit. A visit of a settled instance takes one or two, the first visits up to ten.
const NEWTON_STEPS: usize = 24;

impl Logistic {
    pub(crate) fn new(params: &CheckedSvmParams) -> Self {
        // The paper's first inner tolerance, as a share of the default outer one.
        Self { costs: [params.cost_positive, params.cost_negative], tolerance: 0.1 * params.eps }
    }

    /// `C σ(t)` for the log-odds that a solve leaves behind.
    pub(crate) fn alpha(cost: f32, log_odds: f32) -> f32 {
        if log_odds == Self::START { 0.0 } else { cost / (1.0 + (-log_odds).exp()) }
    }

    /// `C` of one pair.
    pub(crate) fn pair_cost(self, positive: bool, inverse_weight: f32, pair: f32) -> f32 {
        let class = if positive { self.costs[0] } else { self.costs[1] };
        class * (1.0 / inverse_weight) * pair
    }
}

/// `σ` at a point left of zero and its mirror image.
#[derive(Clone, Copy)]
struct Sigmoid<S: Simd> {
    small: S::V,
    large: S::V,
}

impl<S: Simd> Sigmoid<S> {
    /// At `t ≤ 0`.
    #[inline(always)]
    fn new(simd: S, t: S::V) -> Self {
        let (power, one) = (simd.exp(t), simd.splat(1.0));
        let large = simd.div(one, simd.add(one, power));
        Self { small: simd.mul(power, large), large }
    }
}

#[inline(always)]
fn negated<S: Simd>(simd: S, v: S::V) -> S::V {
    simd.sub(simd.splat(0.0), v)
}

impl DualLoss for Logistic {
    // σ(−64) = 1.6 · 10⁻²⁸ vanishes beside any weight that is ever stored.
    const START: f32 = -64.0;
    const BEGINS_BY_CLASS: bool = false;

    #[inline(always)]
    fn cost<S: Simd>(self, simd: S, positive: u16, inverse_weight: f32, pair: Option<S::V>) -> S::V {
        upper_bound(simd, positive, self.costs, 1.0 / inverse_weight, pair)
    }

    #[inline(always)]
    fn judge<S: Simd>(self, simd: S, at: &Coordinate<S>, _: &Shrink<S>) -> Judged<S> {
        let old = Sigmoid::new(simd, simd.min(at.dual, negated(simd, at.dual)));
        let share = simd.select(simd.lt(at.dual, simd.splat(0.0)), old.small, old.large);
        let own = simd.mul(simd.splat(at.head.own_norm), at.cost);
        let gradient = simd.fma(at.sign, at.score, simd.fma(own, share, at.dual));
        // No bound is ever reached, so nothing is shrunk.
        let largest = simd.max(gradient, negated(simd, gradient));
        Judged { gradient, shrunk: 0, largest, smallest: simd.splat(0.0) }
    }

    #[inline(always)]
    fn step<S: Simd>(self, simd: S, at: &Coordinate<S>, gradient: S::V, live: u16) -> Stepped<S> {
        let (zero, one) = (simd.splat(0.0), simd.splat(1.0));
        let slope = simd.mul(simd.splat(at.head.norm), at.cost);
        let old = Sigmoid::new(simd, simd.min(at.dual, negated(simd, at.dual)));
        let left = simd.lt(at.dual, zero);
        let share = simd.select(left, old.small, old.large);
        let margin = simd.sub(gradient, at.dual);
        // h(0) below zero: the root is on the right, and everything is turned round.
        let turned = simd.lt(simd.fma(slope, simd.sub(simd.splat(0.5), share), margin), zero);
        let side = simd.select(turned, simd.splat(-1.0), one);
        let from = simd.mul(side, at.dual);
        let from_share = simd.select(left ^ turned, old.small, old.large);
        let margin = simd.mul(side, margin);

        // Beneath the rounding of the second term there is nothing to be gained.
        let tolerance = simd.fma(slope, simd.splat(4.0 * f32::EPSILON), simd.splat(self.tolerance));
        let mut to = simd.min(from, zero);
        let mut share = Sigmoid::new(simd, to);
        for _ in 0..NEWTON_STEPS {
            let height = simd.add(simd.fma(slope, simd.sub(share.small, from_share), to), margin);
            let off = simd.max(height, negated(simd, height));
            let open = live & simd.lt(tolerance, off);
            if open == 0 {
                break;
            }
            let rise = simd.fma(simd.mul(slope, share.small), share.large, one);
            let newton = simd.min(simd.sub(to, simd.div(height, rise)), zero);
            to = simd.select(open, newton, to);
            share = Sigmoid::new(simd, to);
        }
        let moved = simd.mul(simd.mul(side, at.cost), simd.sub(share.small, from_share));
        let dual = simd.select(live, simd.mul(side, to), at.dual);
        Stepped { dual, change: simd.select(live, moved, zero) }
    }
}
