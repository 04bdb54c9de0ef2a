//! Cutting a ranking in the middle, with exact scores or with bounds of them.

use std::cmp::Ordering;

/// Ranks rows by score, ties by row number; keeps its memory from cut to cut.
#[derive(Debug, Default)]
pub(crate) struct Ranking {
    keys: Vec<u64>,
    bounds: Vec<f32>,
}

impl Ranking {
    /// Sets `sides` to true for all but the `n_left` lowest of `scores`; whether a side changed.
    pub(crate) fn cut(&mut self, scores: &[f32], n_left: usize, sides: &mut [bool]) -> bool {
        self.keys.clear();
        self.keys.extend(scores.iter().zip(0u64..).map(|(&score, row)| (rank_key(score) << 32) | row));
        // Keys are distinct, so the halves do not depend on how the selection works.
        self.keys.select_nth_unstable(n_left);
        let mut changed = false;
        for (place, &key) in self.keys.iter().enumerate() {
            let side = &mut sides[(key & u64::from(u32::MAX)) as usize];
            changed |= *side != (place >= n_left);
            *side = place >= n_left;
        }
        changed
    }

    /// Which sides are settled when row `i` scores within `errors[i]` of `scores[i]`.
    ///
    /// At least `n_left` rows score no more than the `n_left`-th lowest upper bound: who is surely
    /// above it is on the right. All but `n_left` rows at least score no less than the lower bound that
    /// follows `n_left` others: who is surely below it is on the left.
    pub(crate) fn settled(&mut self, scores: &[f32], errors: &[f32], n_left: usize) -> Settled {
        let lower = scores.iter().zip(errors).map(|(score, error)| score - error);
        let left_below = self.nth(lower, n_left);
        let upper = scores.iter().zip(errors).map(|(score, error)| score + error);
        let right_above = if n_left == 0 { f32::NEG_INFINITY } else { self.nth(upper, n_left - 1) };
        Settled { left_below, right_above }
    }

    fn nth(&mut self, bounds: impl Iterator<Item = f32>, at: usize) -> f32 {
        self.bounds.clear();
        self.bounds.extend(bounds);
        *self.bounds.select_nth_unstable_by(at, f32::total_cmp).1
    }
}

/// The scores beyond which a row's side is known: see [`Ranking::settled`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settled {
    left_below: f32,
    right_above: f32,
}

impl Settled {
    /// `Less` for a row that is surely on the left, `Greater` for surely right, else `Equal`.
    pub(crate) fn side(&self, score: f32, error: f32) -> Ordering {
        if score + error < self.left_below {
            Ordering::Less
        } else if score - error > self.right_above {
            Ordering::Greater
        } else {
            Ordering::Equal
        }
    }
}

/// The score's bits, made to order like the score (the order of `f32::total_cmp`; zeros as one).
fn rank_key(score: f32) -> u64 {
    let bits = (score + 0.0).to_bits();
    u64::from(if bits >> 31 == 1 { !bits } else { bits | (1 << 31) })
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

        #[test]
        fn settled_rows_are_where_the_exact_ranking_puts_them(
            rows in prop::collection::vec((-9i8..9, 0u8..5, -1f32..1.0), 1..40),
        ) {
            let exact: Vec<f32> = rows.iter().map(|row| f32::from(row.0)).collect();
            let errors: Vec<f32> = rows.iter().map(|row| f32::from(row.1)).collect();
            let guesses: Vec<f32> = rows.iter().map(|row| f32::from(row.0) + f32::from(row.1) * row.2).collect();
            let (n_left, mut ranking) = (rows.len() / 2, Ranking::default());
            let mut sides = vec![false; rows.len()];
            ranking.cut(&exact, n_left, &mut sides);
            prop_assert_eq!(sides.iter().filter(|&&side| !side).count(), n_left);
            // A little wider than the errors: the guesses are rounded.
            let errors: Vec<f32> = errors.iter().map(|error| error * 1.001).collect();
            let settled = ranking.settled(&guesses, &errors, n_left);
            for (row, &side) in sides.iter().enumerate() {
                match settled.side(guesses[row], errors[row]) {
                    Ordering::Less => prop_assert!(!side),
                    Ordering::Greater => prop_assert!(side),
                    Ordering::Equal => {}
                }
            }
        }
    }

    #[test]
    fn ties_go_left_by_row_number() {
        let mut sides = [true; 5];
        assert!(Ranking::default().cut(&[1.0, 0.0, -0.0, 0.0, 1.0], 2, &mut sides));
        assert_eq!(sides, [true, false, false, true, true]);
        assert!(!Ranking::default().cut(&[1.0, 0.0, 0.0, 0.0, 1.0], 2, &mut sides));
    }

    #[test]
    fn both_zeros_have_one_key() {
        assert_eq!(rank_key(-0.0), rank_key(0.0));
        assert!(rank_key(-f32::MIN_POSITIVE) < rank_key(0.0));
    }
}
