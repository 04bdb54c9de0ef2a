//! One balanced split: 2-means whose clusters are the halves of a ranking.
//!
//! Let S₁, S₂ be the sums of the right and the left half and T = S₁ + S₂, which never changes. A
//! row's score is ⟨c₁ − c₂, z⟩ with c = S/‖S‖ (spherical) or S/n (means). With a = ⟨S₁, z⟩ and
//! t = ⟨T, z⟩ everything follows from one product of each row with S₁:
//! ⟨S₂, z⟩ = t − a, ‖S₁‖² = Σ_{i right} aᵢ, ‖S₂‖² = Σ_{i left} (tᵢ − aᵢ).
//! From the second refinement on only the rows that changed sides are added to S₁ or taken away.
//! The rule itself (cut the ranking in the middle, stop when the halves stay) is that of PECOS.

use crate::node::Node;
use crate::params::{BalancedKMeansParams, Seeding};
use crate::seeds;
use crate::sums::{RowSum, Weighted};
use ndarray::ArrayView2;
use rand_xoshiro::Xoshiro256PlusPlus;

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
    /// Sides that `right_sum` stands for.
    summed: Vec<bool>,
    /// Sides by the latest ranking, true is right.
    sides: Vec<bool>,
    /// t = ⟨T, z⟩.
    with_all: Vec<f32>,
    /// a = ⟨S₁, z⟩.
    with_right: Vec<f32>,
    scores: Vec<f32>,
    ranking: Vec<u64>,
    changed: Vec<Weighted>,
}

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
            summed: vec![false; n_rows],
            sides: vec![false; n_rows],
            with_all: vec![0.0; n_rows],
            with_right: vec![0.0; n_rows],
            scores,
            ranking: Vec::with_capacity(n_rows),
            changed: Vec::with_capacity(n_rows),
        };
        split.sum_all();
        split.cut();
        split
    }

    /// Fills `with_all`; the sum is used once and its memory again.
    fn sum_all(&mut self) {
        let all: Vec<Weighted> = (0..self.node.rows.len() as u32).map(|row| (row, 1.0)).collect();
        self.right_sum.add(self.node, &all);
        self.right_sum.products(self.node, &mut self.with_all);
        self.with_all.iter_mut().zip(&self.node.rows).for_each(|(with_all, row)| *with_all += row.own);
        self.right_sum.clear();
    }

    /// Brings `right_sum` up to `sides` and scores all rows by the new centroids.
    fn rescore(&mut self, spherical: bool) {
        self.update_right_sum();
        self.right_sum.products(self.node, &mut self.with_right);
        for ((with_right, row), &right) in self.with_right.iter_mut().zip(&self.node.rows).zip(&self.sides) {
            *with_right += if right { row.own } else { 0.0 };
        }
        let (right, left) = if spherical { self.norms() } else { self.sizes() };
        let reciprocal = |length: f64| if length > 0.0 { (1.0 / length) as f32 } else { 0.0 };
        let (right, left) = (reciprocal(right), reciprocal(left));
        for ((score, &a), &t) in self.scores.iter_mut().zip(&self.with_right).zip(&self.with_all) {
            *score = a * right - (t - a) * left;
        }
    }

    fn update_right_sum(&mut self) {
        let differ = self.sides.iter().zip(&self.summed).filter(|(side, summed)| side != summed).count();
        // From scratch half of the rows are added: do that when it is less work (it is also free of
        // the rounding that taking away leaves behind).
        let from_scratch = 2 * differ >= self.sides.len();
        if from_scratch {
            self.right_sum.clear();
            self.summed.fill(false);
        }
        self.changed.clear();
        for (row, (&side, summed)) in self.sides.iter().zip(&mut self.summed).enumerate() {
            if side != *summed {
                self.changed.push((row as u32, if side { 1.0 } else { -1.0 }));
                *summed = side;
            }
        }
        self.right_sum.add(self.node, &self.changed);
    }

    /// ‖S₁‖ and ‖S₂‖.
    fn norms(&self) -> (f64, f64) {
        let (mut right, mut left) = (0.0, 0.0);
        for ((&a, &t), &side) in self.with_right.iter().zip(&self.with_all).zip(&self.sides) {
            if side { right += f64::from(a) } else { left += f64::from(t - a) }
        }
        (right.max(0.0).sqrt(), left.max(0.0).sqrt())
    }

    /// Rows on the right and on the left.
    fn sizes(&self) -> (f64, f64) {
        let left = self.sides.len() / 2;
        ((self.sides.len() - left) as f64, left as f64)
    }

    /// Cuts the ranking in the middle; whether a row changed sides.
    fn cut(&mut self) -> bool {
        let n_left = self.sides.len() / 2;
        self.ranking.clear();
        self.ranking.extend(self.scores.iter().zip(0u64..).map(|(&score, row)| rank_key(score) << 32 | row));
        // Keys are distinct, so the halves do not depend on how the selection works.
        self.ranking.select_nth_unstable(n_left);
        let mut changed = false;
        for (place, &key) in self.ranking.iter().enumerate() {
            let side = &mut self.sides[(key & u64::from(u32::MAX)) as usize];
            changed |= *side != (place >= n_left);
            *side = place >= n_left;
        }
        changed
    }
}

/// The score's bits, made to order like the score (the order of `f32::total_cmp`; zeros as one).
fn rank_key(score: f32) -> u64 {
    let bits = (score + 0.0).to_bits();
    u64::from(if bits >> 31 == 1 { !bits } else { bits | 1 << 31 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_order_like_scores(a in -1e6f32..1e6, b in -1e-3f32..1e-3) {
            prop_assert_eq!(rank_key(a).cmp(&rank_key(b)), a.total_cmp(&b));
        }
    }

    #[test]
    fn both_zeros_have_one_key() {
        assert_eq!(rank_key(-0.0), rank_key(0.0));
        assert!(rank_key(-f32::MIN_POSITIVE) < rank_key(0.0));
    }
}
