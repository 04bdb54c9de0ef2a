//! Cutting a ranking in the middle.

/// Ranks rows by score, ties by row number; keeps its memory from cut to cut.
#[derive(Debug, Default)]
pub(crate) struct Ranking {
    /// Rows by their keys: any order, but that of the cut.
    keys: Vec<u64>,
}

/// Rows of a ranking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ranked {
    /// Increasing.
    pub(crate) rows: Vec<u32>,
    /// How many of them are left of the cut; fewer than there are rows.
    pub(crate) n_left: usize,
}

impl Ranked {
    /// All rows `0..n_rows`, the smaller half on the left.
    pub(crate) fn halves(n_rows: usize) -> Self {
        Self { rows: (0..n_rows as u32).collect(), n_left: n_rows / 2 }
    }
}

impl Ranking {
    /// Sets `sides` of `ranked` rows to true for all but the lowest of their `scores`; how many sides changed.
    pub(crate) fn cut(&mut self, scores: &[f32], ranked: &Ranked, sides: &mut [bool]) -> usize {
        self.keys.clear();
        let key = |&row: &u32| (rank_key(scores[row as usize]) << 32) | u64::from(row);
        self.keys.extend(ranked.rows.iter().map(key));
        // Keys are distinct, so the halves do not depend on how the selection works.
        self.keys.select_nth_unstable(ranked.n_left);
        let mut n_changed = 0;
        for (place, &key) in self.keys.iter().enumerate() {
            let side = &mut sides[row_of(key)];
            n_changed += usize::from(*side != (place >= ranked.n_left));
            *side = place >= ranked.n_left;
        }
        n_changed
    }

    /// The rows that the last cut ranked nearest to itself: `n_each` on each side, or all that there are.
    pub(crate) fn nearest(&mut self, n_left: usize, n_each: usize) -> Ranked {
        let (left, right) = self.keys.split_at_mut(n_left);
        let far = left.len().saturating_sub(n_each);
        if far > 0 {
            left.select_nth_unstable(far);
        }
        if n_each < right.len() {
            right.select_nth_unstable(n_each);
        }
        let near = left[far..].iter().chain(right.iter().take(n_each));
        let mut rows: Vec<u32> = near.map(|&key| row_of(key) as u32).collect();
        rows.sort_unstable();
        Ranked { rows, n_left: n_left - far }
    }
}

fn row_of(key: u64) -> usize {
    (key & u64::from(u32::MAX)) as usize
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
    }

    #[test]
    fn ties_go_left_by_row_number() {
        let (mut sides, all) = ([true; 5], Ranked::halves(5));
        assert_eq!(Ranking::default().cut(&[1.0, 0.0, -0.0, 0.0, 1.0], &all, &mut sides), 2);
        assert_eq!(sides, [true, false, false, true, true]);
        assert_eq!(Ranking::default().cut(&[1.0, 0.0, 0.0, 0.0, 1.0], &all, &mut sides), 0);
    }

    #[test]
    fn the_nearest_rows_are_those_around_the_cut() {
        let scores = [0.9, 0.1, 0.4, 0.6, 0.2, 0.8, 0.5];
        let (mut ranking, mut sides) = (Ranking::default(), [false; 7]);
        assert_eq!(ranking.cut(&scores, &Ranked::halves(7), &mut sides), 4);
        let near = ranking.nearest(3, 2);
        assert_eq!(near, Ranked { rows: vec![2, 3, 4, 6], n_left: 2 });
        assert_eq!(ranking.nearest(3, 9).rows, (0..7).collect::<Vec<_>>());
        // They alone are ranked anew: what is farther stays, whatever its score.
        assert_eq!(ranking.cut(&[0.0, 0.1, 0.7, 0.6, 0.2, 0.8, 0.5], &near, &mut sides), 2);
        assert_eq!(sides, [true, false, true, true, false, true, false]);
    }

    #[test]
    fn both_zeros_have_one_key() {
        assert_eq!(rank_key(-0.0), rank_key(0.0));
        assert!(rank_key(-f32::MIN_POSITIVE) < rank_key(0.0));
    }
}
