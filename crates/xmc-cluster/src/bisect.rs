//! One balanced split: 2-means whose clusters are the halves of a ranking.
//!
//! Let S₁, S₂ be the sums of the right and the left half, T = S₁ + S₂. A row's score is ⟨c₁ − c₂, z⟩ with
//! c = S/‖S‖ (spherical) or S/n (means); the ranking is cut in the middle, until the halves stay. That
//! is the rule of PECOS. T never changes and S₁ only by the rows that change sides, soon few, so that a
//! refinement costs one pass over the entries: the products with c₁ − c₂.
//!
//! After the first few refinements, nearly all rows that change sides have been ranked near the cut. A refinement that moved few is therefore
//! followed by some that look at the rows nearest to the cut only, a few times as many as have moved, and then by one that looks at all. A split ends with one of these,
//! so that what it ends with is the same as without: halves that their own centroids make.
//!
//! The halves may be those of a sample: all rows are then ranked once, by the centroids that it has found.

use crate::params::BalancedKMeansParams;
use crate::ranking::{Ranked, Ranking};
use crate::sampling;
use crate::sums::{RowSum, Rows, Weighted};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Refinements in a row that look at the rows nearest to the cut.
const NARROW: usize = 4;

/// How many of these, for each row that moved.
const NEAR_PER_MOVED: usize = 4;

/// The fewest on either side of the cut.
const MIN_NEAR: usize = 16;

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
        let n_moved = split.cut();
        if n_moved <= few && split.is_wide() {
            break;
        }
        split.aim(n_moved, few);
    }
    split.into_halves(params.spherical)
}

/// A split under way.
struct Split<'r, R> {
    rows: &'r R,
    /// The rows that it looks at, increasing.
    sample: Vec<u32>,
    /// The rows that the next refinement looks at, by their numbers in `sample`.
    aim: Ranked,
    /// Refinements until it is all.
    narrow: usize,
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
            aim: Ranked::halves(sample.len()),
            narrow: 0,
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

    /// Brings S₁ up to `sides` and scores the rows that are looked at by the new centroids.
    fn rescore(&mut self, spherical: bool) {
        let scales = self.update_difference(spherical);
        let rows: Vec<u32> = self.aim.rows.iter().map(|&at| self.sample[at as usize]).collect();
        let mut scores = vec![0.0; rows.len()];
        self.rows.products(&self.difference, &rows, &mut scores);
        for ((&at, row), score) in self.aim.rows.iter().zip(rows).zip(scores) {
            self.scores[at as usize] = score + own_score(self.rows.own(row), self.sides[at as usize], scales);
        }
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

    /// Cuts the ranking of the rows that are looked at, so that all are halved; how many changed sides.
    fn cut(&mut self) -> usize {
        self.ranking.cut(&self.scores, &self.aim, &mut self.sides)
    }

    /// Whether all rows of the sample are looked at.
    fn is_wide(&self) -> bool {
        self.narrow == 0
    }

    /// Chooses what the next refinement looks at, after one that moved `n_moved` rows and would be the last with `few`.
    fn aim(&mut self, n_moved: usize, few: usize) {
        let n_rows = self.sample.len();
        if self.is_wide() {
            let n_each = (NEAR_PER_MOVED * n_moved / 2).max(MIN_NEAR);
            if 4 * n_each <= n_rows {
                self.aim = self.ranking.nearest(n_rows / 2, n_each);
                self.narrow = NARROW;
            }
        } else {
            self.narrow = if n_moved <= few { 0 } else { self.narrow - 1 };
            if self.is_wide() {
                self.aim = Ranked::halves(n_rows);
            }
        }
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
        for (&row, &side) in self.sample.iter().zip(&self.sides) {
            scores[row as usize] += own_score(self.rows.own(row), side, scales);
        }
        let mut sides = vec![false; n_rows];
        self.ranking.cut(&scores, &Ranked::halves(n_rows), &mut sides);
        Halves { sides, sums: None }
    }
}

/// What the features that only one row has add to its score, where it is part of a centroid.
fn own_score(own: f32, is_right: bool, (right, left): (f32, f32)) -> f32 {
    if is_right { right * own } else { -left * own }
}
