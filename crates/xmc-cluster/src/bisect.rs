//! One balanced split: 2-means whose clusters are the halves of a ranking.
//!
//! Let S₁, S₂ be the sums of the right and the left half, T = S₁ + S₂. A row's score is ⟨c₁ − c₂, z⟩ with
//! c = S/‖S‖ (spherical) or S/n (means); the ranking is cut in the middle, until the halves stay. That
//! is the rule of PECOS. T never changes and S₁ only by the rows that change sides, soon few, so that a
//! refinement costs one pass over the entries: the products with c₁ − c₂.
//!
//! The halves may be those of a sample: all rows are then ranked once, by the centroids that it has found.

use crate::params::BalancedKMeansParams;
use crate::ranking::Ranking;
use crate::sampling;
use crate::sums::{RowSum, Rows, Weighted};
use rand_xoshiro::Xoshiro256PlusPlus;

/// The halves of a node.
pub(crate) struct Halves {
    /// For every row, whether it goes to the right.
    pub(crate) sides: Vec<bool>,
    /// The sums of the left and of the right half, where all rows were looked at.
    pub(crate) sums: Option<[RowSum; 2]>,
}

/// Halves `rows` by the share `rate` of them. The left
/// half, the lower scores, has ⌊n/2⌋ rows; rows of the same score go by their numbers, the smaller to the left.
pub(crate) fn bisect<R: Rows>(
    rows: &R,
    params: &BalancedKMeansParams,
    rate: f32,
    rng: &mut Xoshiro256PlusPlus,
) -> Halves {
    let sample = sampling::draw(rows.n_rows(), rate, rng);
    let scores = rows.first_scores(params, &sample, rng);
    let few = (f64::from(params.tolerance) * scores.len() as f64) as usize;
    let mut split = Split::new(rows, sample, scores);
    for _ in 0..params.max_iter {
        split.rescore(params.spherical);
        if split.cut() <= few {
            break;
        }
    }
    split.into_halves(params.spherical)
}

/// A split under way.
struct Split<'r, R> {
    rows: &'r R,
    /// The rows that it looks at, increasing.
    sample: Vec<u32>,
    /// T.
    all: RowSum,
    /// S₁, of the rows in `summed`.
    right: RowSum,
    /// c₁ − c₂.
    difference: RowSum,
    /// For every row of the sample the side that `right` stands for.
    summed: Vec<bool>,
    /// For every row of the sample the side by the latest ranking, true is right.
    sides: Vec<bool>,
    scores: Vec<f32>,
    ranking: Ranking,
}

impl<'r, R: Rows> Split<'r, R> {
    /// The halves by the first scores.
    fn new(rows: &'r R, sample: Vec<u32>, scores: Vec<f32>) -> Self {
        let (zero, none) = (RowSum::zero(rows.widths()), vec![false; sample.len()]);
        let (right, difference) = (zero.clone(), zero.clone());
        let mut split = Self {
            rows,
            sample,
            all: zero,
            right,
            difference,
            summed: none.clone(),
            sides: none,
            scores,
            ranking: Ranking::default(),
        };
        match rows.sum().filter(|_| split.is_complete()) {
            Some(sum) => split.all.clone_from(sum),
            None => {
                let every_row: Vec<Weighted> = split.sample.iter().map(|&row| (row, 1.0)).collect();
                rows.add(&mut split.all, &every_row);
            }
        }
        split.cut();
        split
    }

    /// Brings S₁ up to `sides` and scores the sample by the new centroids.
    fn rescore(&mut self, spherical: bool) {
        let scales = self.update_difference(spherical);
        self.rows.products(&self.difference, &self.sample, &mut self.scores);
        let own = own_scores(self.rows, &self.sample, &self.sides, scales);
        self.scores.iter_mut().zip(own).for_each(|(score, own)| *score += own);
    }

    /// Brings S₁ and c₁ − c₂ up to `sides`; the scales of S₁ and S₂.
    fn update_difference(&mut self, spherical: bool) -> (f32, f32) {
        self.update_right();
        let (right, left) = if spherical { self.norms() } else { self.sizes() };
        let reciprocal = |length: f64| if length > 0.0 { (1.0 / length) as f32 } else { 0.0 };
        let (right, left) = (reciprocal(right), reciprocal(left));
        // S₁/‖S₁‖ − (T − S₁)/‖S₂‖
        self.difference.set_combination(right + left, &self.right, -left, &self.all);
        (right, left)
    }

    fn update_right(&mut self) {
        let sides = self.sides.iter().zip(&self.summed);
        let moved = self.sample.iter().zip(sides).filter(|(_, (side, summed))| side != summed);
        let moved: Vec<Weighted> =
            moved.map(|(&row, (&side, _))| (row, if side { 1.0 } else { -1.0 })).collect();
        self.rows.add(&mut self.right, &moved);
        self.summed.copy_from_slice(&self.sides);
    }

    /// ‖S₁‖ and ‖S₂‖.
    fn norms(&self) -> (f64, f64) {
        let (mut right, mut left) = self.right.squared_norms(&self.all);
        for (&row, &side) in self.sample.iter().zip(&self.sides) {
            *(if side { &mut right } else { &mut left }) += f64::from(self.rows.own(row));
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

    /// Whether the sample is all rows.
    fn is_complete(&self) -> bool {
        self.sample.len() == self.rows.n_rows()
    }

    /// The halves of the node.
    fn into_halves(mut self, spherical: bool) -> Halves {
        if self.is_complete() {
            self.update_right();
            let mut left = self.all;
            left.subtract(&self.right);
            return Halves { sides: self.sides, sums: Some([left, self.right]) };
        }
        let n_rows = self.rows.n_rows();
        let scales = self.update_difference(spherical);
        let (rows, mut scores): (Vec<u32>, _) = ((0..n_rows as u32).collect(), vec![0.0; n_rows]);
        self.rows.products(&self.difference, &rows, &mut scores);
        let own = own_scores(self.rows, &self.sample, &self.sides, scales);
        self.sample.iter().zip(own).for_each(|(&row, own)| scores[row as usize] += own);
        let mut sides = vec![false; n_rows];
        self.ranking.cut(&scores, n_rows / 2, &mut sides);
        Halves { sides, sums: None }
    }
}

/// What the features that only one row has add to the scores of the rows that are part of a centroid.
fn own_scores<'a, R: Rows>(
    rows: &'a R,
    sample: &'a [u32],
    sides: &'a [bool],
    (right, left): (f32, f32),
) -> impl Iterator<Item = f32> + 'a {
    let own = sample.iter().map(|&row| rows.own(row));
    own.zip(sides).map(move |(own, &side)| if side { right * own } else { -left * own })
}
