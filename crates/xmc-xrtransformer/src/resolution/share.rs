//! The texts that a level is trained on.

use super::Corpus;
use crate::level::{LevelParams, random};
use crate::tokens::TokenRows;
use std::borrow::Cow;
use xmc_sparse::Csr;

/// What the random numbers are for.
const PURPOSE: u64 = 4;

/// All texts, or where a level's steps do not come to all of them, as many as they come to, drawn at random: what no step will
/// see need not be embedded, nor led anywhere.
pub(super) struct Share<'a> {
    tokens: Cow<'a, TokenRows>,
    x: Cow<'a, Csr>,
    y: Cow<'a, Csr>,
}

impl<'a> Share<'a> {
    pub(super) fn new(params: &LevelParams, Corpus { tokens, x, y }: Corpus<'a>) -> Self {
        let (n_rows, n_drawn) = (tokens.n_rows(), params.n_instances());
        if n_drawn >= n_rows {
            return Self { tokens: Cow::Borrowed(tokens), x: Cow::Borrowed(x), y: Cow::Borrowed(y) };
        }
        let mut random = random(params.seed, PURPOSE, 0);
        let mut rows = rand::seq::index::sample(&mut random, n_rows, n_drawn).into_vec();
        rows.sort_unstable();
        Self {
            tokens: Cow::Owned(tokens.select(&rows)),
            x: Cow::Owned(x.select_rows(&rows)),
            y: Cow::Owned(y.select_rows(&rows)),
        }
    }

    pub(super) fn corpus(&self) -> Corpus<'_> {
        Corpus { tokens: &self.tokens, x: &self.x, y: &self.y }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_has_the_texts_that_its_steps_come_to() {
        let tokens: TokenRows = (0..10).map(|row| [row; 3]).collect();
        let x = Csr::from_rows(10, (0..10).map(|row| [(row, 1.0)])).unwrap();
        let corpus = Corpus { tokens: &tokens, x: &x, y: &x };
        let of = |n_steps, seed| {
            let params = LevelParams { n_steps, batch_size: 2, seed, ..LevelParams::default() };
            let share = Share::new(&params, corpus);
            let drawn = share.corpus();
            let rows: Vec<u32> = (0..drawn.tokens.n_rows()).map(|row| drawn.tokens.row(row)[0]).collect();
            assert_eq!(drawn.x.indices(), rows);
            assert_eq!(drawn.y.indices(), rows);
            rows
        };
        assert_eq!(of(5, 0), (0..10).collect::<Vec<_>>());
        let drawn = of(3, 0);
        assert_eq!((drawn.len(), drawn.is_sorted()), (6, true));
        assert_eq!(drawn, of(3, 0));
        assert_ne!(drawn, of(3, 1));
    }
}
