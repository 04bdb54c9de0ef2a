//! One balanced split: 2-means whose clusters are the halves of a ranking.
//!
//! Let S₁, S₂ be the sums of the right and the left half, T = S₁ + S₂. A row's score is ⟨c₁ − c₂, z⟩ with
//! c = S/‖S‖ (spherical) or S/n (means); the ranking is cut in the middle, until the halves stay. That
//! is the rule of PECOS. T never changes and S₁ only by the rows that change sides, soon few, so that a
//! refinement costs one pass over the entries: the products with c₁ − c₂.

use crate::node::Node;
use crate::params::{BalancedKMeansParams, Seeding};
use crate::ranking::Ranking;
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
    let scores = match (params.seeding, dense) {
        (Seeding::Linfa, Some(dense)) => seeds::linfa_scores(node, dense, params.max_iter, rng),
        _ => seeds::random_row_scores(node, dense, rng),
    };
    let few = (f64::from(params.tolerance) * scores.len() as f64) as usize;
    let mut split = Split::new(node, dense, scores);
    for _ in 0..params.max_iter {
        split.rescore(params.spherical);
        if split.cut() <= few {
            break;
        }
    }
    split.sides
}

/// A split under way.
struct Split<'n, 'd> {
    node: &'n Node,
    /// T.
    all: RowSum<'d>,
    /// S₁, of the rows in `summed`.
    right: RowSum<'d>,
    /// c₁ − c₂.
    difference: RowSum<'d>,
    /// For every row the side that `right` stands for.
    summed: Vec<bool>,
    /// For every row the side by the latest ranking, true is right.
    sides: Vec<bool>,
    scores: Vec<f32>,
    ranking: Ranking,
}

impl<'n, 'd> Split<'n, 'd> {
    /// The halves by the first scores.
    fn new(node: &'n Node, dense: Option<ArrayView2<'d, f32>>, scores: Vec<f32>) -> Self {
        let n_rows = scores.len();
        let (zero, none) = (RowSum::zero(node, dense), vec![false; n_rows]);
        let (right, difference) = (zero.clone(), zero.clone());
        let mut split = Self {
            node,
            all: zero,
            right,
            difference,
            summed: none.clone(),
            sides: none,
            scores,
            ranking: Ranking::default(),
        };
        let every_row: Vec<Weighted> = (0..n_rows as u32).map(|row| (row, 1.0)).collect();
        split.all.add(node, &every_row);
        split.cut();
        split
    }

    /// Brings S₁ up to `sides` and scores all rows by the new centroids.
    fn rescore(&mut self, spherical: bool) {
        self.update_right();
        let (right, left) = if spherical { self.norms() } else { self.sizes() };
        let reciprocal = |length: f64| if length > 0.0 { (1.0 / length) as f32 } else { 0.0 };
        let (right, left) = (reciprocal(right), reciprocal(left));
        // S₁/‖S₁‖ − (T − S₁)/‖S₂‖
        self.difference.set_combination(right + left, &self.right, -left, &self.all);
        self.difference.products(self.node, &mut self.scores);
        for ((score, row), &side) in self.scores.iter_mut().zip(&self.node.rows).zip(&self.sides) {
            *score += if side { right * row.own } else { -left * row.own };
        }
    }

    fn update_right(&mut self) {
        let sides = self.sides.iter().zip(&self.summed);
        let moved = (0u32..).zip(sides).filter(|(_, (side, summed))| side != summed);
        let moved: Vec<Weighted> =
            moved.map(|(row, (&side, _))| (row, if side { 1.0 } else { -1.0 })).collect();
        self.right.add(self.node, &moved);
        self.summed.copy_from_slice(&self.sides);
    }

    /// ‖S₁‖ and ‖S₂‖.
    fn norms(&self) -> (f64, f64) {
        let (mut right, mut left) = self.right.squared_norms(&self.all);
        for (row, &side) in self.node.rows.iter().zip(&self.sides) {
            *(if side { &mut right } else { &mut left }) += f64::from(row.own);
        }
        (right.sqrt(), left.sqrt())
    }

    /// Rows on the right and on the left.
    fn sizes(&self) -> (f64, f64) {
        let left = self.sides.len() / 2;
        ((self.sides.len() - left) as f64, left as f64)
    }

    /// Cuts the ranking in the middle; how many rows changed sides.
    fn cut(&mut self) -> usize {
        self.ranking.cut(&self.scores, self.sides.len() / 2, &mut self.sides)
    }
}
