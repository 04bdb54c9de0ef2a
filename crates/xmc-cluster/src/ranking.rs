//! Cutting a ranking in the middle.

/// Ranks rows by score, ties by row number; keeps its memory from cut to cut.
#[derive(Debug, Default)]
pub(crate) struct Ranking {
    keys: Vec<u64>,
}

impl Ranking {
    /// Sets `sides` to true for all but the `n_left` lowest of `scores`; how many sides changed.
    /// `n_left` is below the number of scores.
    pub(crate) fn cut(&mut self, scores: &[f32], n_left: usize, sides: &mut [bool]) -> usize {
        self.keys.clear();
        self.keys.extend(scores.iter().zip(0u64..).map(|(&score, row)| (rank_key(score) << 32) | row));
        // Keys are distinct, so the halves do not depend on how the selection works.
        self.keys.select_nth_unstable(n_left);
        let mut n_changed = 0;
        for (place, &key) in self.keys.iter().enumerate() {
            let side = &mut sides[(key & u64::from(u32::MAX)) as usize];
            n_changed += usize::from(*side != (place >= n_left));
            *side = place >= n_left;
        }
        n_changed
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
    }

    #[test]
    fn ties_go_left_by_row_number() {
        let mut sides = [true; 5];
        assert_eq!(Ranking::default().cut(&[1.0, 0.0, -0.0, 0.0, 1.0], 2, &mut sides), 2);
        assert_eq!(sides, [true, false, false, true, true]);
        assert_eq!(Ranking::default().cut(&[1.0, 0.0, 0.0, 0.0, 1.0], 2, &mut sides), 0);
    }

    #[test]
    fn both_zeros_have_one_key() {
        assert_eq!(rank_key(-0.0), rank_key(0.0));
        assert!(rank_key(-f32::MIN_POSITIVE) < rank_key(0.0));
    }
}
