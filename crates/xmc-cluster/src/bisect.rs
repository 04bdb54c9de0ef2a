//! One balanced split: 2-means whose clusters are the halves of a ranking.
//!
//! Let S₁, S₂ be the sums of the right and the left half and T = S₁ + S₂, which never changes. A
//! row's score is ⟨c₁ − c₂, z⟩ with c = S/‖S‖ (spherical) or S/n (means). With a = ⟨S₁, z⟩ and
//! t = ⟨T, z⟩ everything follows from products with S₁: ⟨S₂, z⟩ = t − a and
//! ‖S₂‖² = ‖T‖² − 2⟨T, S₁⟩ + ‖S₁‖², where ‖T‖² = Σᵢ tᵢ and ⟨T, S₁⟩ = Σ_{i right} tᵢ.
//!
//! The rule itself (cut the ranking in the middle, stop when the halves stay) is that of PECOS. What
//! makes it fast is that soon only few rows change sides. Only those enter the change Δ of S₁; and as
//! ⟨S₁, z⟩ changes by at most ‖Δ‖‖z‖, most rows provably stay where they are and need no new product
//! (the idea of Hamerly's bounds for k-means, SDM 2010). The halves are those that all products would
//! give, up to rounding.

use crate::node::Node;
use crate::params::{BalancedKMeansParams, Seeding};
use crate::ranking::Ranking;
use crate::seeds;
use crate::sums::{RowSum, Weighted};
use ndarray::ArrayView2;
use rand_xoshiro::Xoshiro256PlusPlus;
use std::cmp::Ordering;

/// Halves `node`: for every row, whether it goes to the right. The left half, the lower scores, has
/// ⌊n/2⌋ rows; rows of the same score go by their ids, the smaller to the left.
pub(crate) fn bisect(
    node: &Node,
    dense: Option<ArrayView2<'_, f32>>,
    params: &BalancedKMeansParams,
    rng: &mut Xoshiro256PlusPlus,
) -> Vec<bool> {
    let mut split = Split::start(node, dense, params, rng);
    for _ in 0..params.max_iter {
        split.rescore(params.spherical);
        if !split.cut() {
            break;
        }
    }
    split.sides
}

/// A split under way. All vectors have one value for each row of the node.
struct Split<'n, 'd> {
    node: &'n Node,
    /// S₁, of the rows in `summed`.
    right_sum: RowSum<'d>,
    /// Δ, the latest change of S₁.
    change: RowSum<'d>,
    /// Sides that `right_sum` stands for.
    summed: Vec<bool>,
    /// Sides by the latest ranking, true is right.
    sides: Vec<bool>,
    /// t = ⟨T, z⟩.
    with_all: Vec<f32>,
    /// a = ⟨S₁, z⟩ as it was when S₁ had moved as far as `known_at` says.
    with_right: Vec<f32>,
    known_at: Vec<f64>,
    /// Σ‖Δ‖ so far: the length of the way of S₁.
    travelled: f64,
    scores: Vec<f32>,
    /// How far the exact score may be from the one in `scores`.
    errors: Vec<f32>,
    ranking: Ranking,
}

/// Room for rounding in the bounds, relative.
const SLACK: f32 = 1e-5;

impl<'n, 'd> Split<'n, 'd> {
    /// Ranks the rows by the seeds and takes the first halves.
    fn start(
        node: &'n Node,
        dense: Option<ArrayView2<'d, f32>>,
        params: &BalancedKMeansParams,
        rng: &mut Xoshiro256PlusPlus,
    ) -> Self {
        let n_rows = node.rows.len();
        let scores = match (params.seeding, dense) {
            (Seeding::Linfa, Some(dense)) => seeds::linfa_scores(node, dense, params.max_iter, rng),
            _ => seeds::random_row_scores(node, dense, rng),
        };
        let mut split = Self {
            node,
            right_sum: RowSum::zero(node, dense),
            change: RowSum::zero(node, dense),
            summed: vec![false; n_rows],
            sides: vec![false; n_rows],
            with_all: vec![0.0; n_rows],
            with_right: vec![0.0; n_rows],
            known_at: vec![0.0; n_rows],
            travelled: 0.0,
            scores,
            errors: vec![0.0; n_rows],
            ranking: Ranking::default(),
        };
        split.sum_all();
        split.cut();
        split
    }

    /// Fills `with_all`, in the memory of Δ.
    fn sum_all(&mut self) {
        let all: Vec<Weighted> = (0..self.node.rows.len() as u32).map(|row| (row, 1.0)).collect();
        self.change.add(self.node, &all);
        self.change.products(self.node, &mut self.with_all);
        self.with_all.iter_mut().zip(&self.node.rows).for_each(|(with_all, row)| *with_all += row.own);
    }

    /// Brings S₁ up to `sides` and scores the rows by the new centroids: exactly, or as −∞ and ∞ for
    /// those that surely stay left and right.
    fn rescore(&mut self, spherical: bool) {
        let all_stale = self.update_right_sum();
        let (right, left) = if spherical { self.norms() } else { self.sizes() };
        let reciprocal = |length: f64| if length > 0.0 { (1.0 / length) as f32 } else { 0.0 };
        let scales = (reciprocal(right), reciprocal(left));
        if all_stale {
            self.evaluate_all();
            self.score_all(scales);
        } else {
            self.score_all(scales);
            self.evaluate_open(scales);
        }
    }

    /// Whether S₁ was summed from scratch, so that no product says anything about it any more.
    fn update_right_sum(&mut self) -> bool {
        let differ = self.sides.iter().zip(&self.summed).filter(|(side, summed)| side != summed).count();
        // From scratch half of the rows are added: do that when it is less work.
        let from_scratch = 2 * differ >= self.sides.len();
        if from_scratch {
            self.right_sum.clear();
            self.summed.fill(false);
        }
        let changed: Vec<Weighted> = (0u32..)
            .zip(self.sides.iter().zip(&self.summed))
            .filter(|(_, (side, summed))| side != summed)
            .map(|(row, (&side, _))| (row, if side { 1.0 } else { -1.0 }))
            .collect();
        self.summed.copy_from_slice(&self.sides);
        if from_scratch {
            self.right_sum.add(self.node, &changed);
        } else {
            self.change.clear();
            self.change.add(self.node, &changed);
            self.right_sum.add_sum(&self.change);
            let own: f64 = changed.iter().map(|&(row, _)| f64::from(self.node.rows[row as usize].own)).sum();
            self.travelled += (self.change.squared_norm() + own).sqrt();
        }
        from_scratch
    }

    /// ‖S₁‖ and ‖S₂‖.
    fn norms(&self) -> (f64, f64) {
        let (mut all, mut all_right, mut own_right) = (0.0, 0.0, 0.0);
        for ((&t, row), &side) in self.with_all.iter().zip(&self.node.rows).zip(&self.sides) {
            all += f64::from(t);
            if side {
                all_right += f64::from(t);
                own_right += f64::from(row.own);
            }
        }
        let right = self.right_sum.squared_norm() + own_right;
        let left = all - 2.0 * all_right + right;
        (right.max(0.0).sqrt(), left.max(0.0).sqrt())
    }

    /// Rows on the right and on the left.
    fn sizes(&self) -> (f64, f64) {
        let left = self.n_left();
        ((self.sides.len() - left) as f64, left as f64)
    }

    fn n_left(&self) -> usize {
        self.sides.len() / 2
    }

    /// Takes all products with S₁ anew.
    fn evaluate_all(&mut self) {
        self.right_sum.products(self.node, &mut self.with_right);
        for ((a, row), &right) in self.with_right.iter_mut().zip(&self.node.rows).zip(&self.sides) {
            *a += if right { row.own } else { 0.0 };
        }
        self.known_at.fill(self.travelled);
    }

    /// Scores and errors of all rows by the products as they are known.
    fn score_all(&mut self, (right, left): (f32, f32)) {
        for (at, row) in self.node.rows.iter().enumerate() {
            let (a, t) = (self.with_right[at], self.with_all[at]);
            self.scores[at] = score(a, t, (right, left));
            let moved = (self.travelled - self.known_at[at]) as f32;
            let rounding = SLACK * (a.abs() * right + (t - a).abs() * left);
            self.errors[at] = (right + left) * row.norm * moved * (1.0 + SLACK) + rounding;
        }
    }

    /// Takes the products anew of the rows whose side is open, and scores those.
    fn evaluate_open(&mut self, scales: (f32, f32)) {
        let settled = self.ranking.settled(&self.scores, &self.errors, self.n_left());
        let mut open = Vec::new();
        for at in 0..self.scores.len() {
            match settled.side(self.scores[at], self.errors[at]) {
                Ordering::Less => self.scores[at] = f32::NEG_INFINITY,
                Ordering::Greater => self.scores[at] = f32::INFINITY,
                Ordering::Equal => open.push(at as u32),
            }
        }
        for (&row, product) in open.iter().zip(self.right_sum.products_of(self.node, &open)) {
            let at = row as usize;
            self.with_right[at] = product + if self.sides[at] { self.node.rows[at].own } else { 0.0 };
            self.known_at[at] = self.travelled;
            self.scores[at] = score(self.with_right[at], self.with_all[at], scales);
        }
    }

    /// Cuts the ranking in the middle; whether a row changed sides.
    fn cut(&mut self) -> bool {
        self.ranking.cut(&self.scores, self.sides.len() / 2, &mut self.sides)
    }
}

/// ⟨c₁ − c₂, z⟩ from a = ⟨S₁, z⟩, t = ⟨T, z⟩ and the reciprocals by which S₁ and S₂ become centroids.
fn score(a: f32, t: f32, (right, left): (f32, f32)) -> f32 {
    a * right - (t - a) * left
}
