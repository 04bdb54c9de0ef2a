//! A set of columns that knows the place of each in increasing order.
//!
//! The distinct columns of a sum of sparse rows have to be counted, sorted and found again. A string of bits
//! does all three without sorting: the place of a column is the number of bits before it. It takes a fifth
//! of a byte for each column of the matrix where a vector of sums takes four, so it stays in a core's
//! own cache at millions of columns.

use crate::{RankedWord, set_bits};

/// Columns below a fixed number.
#[derive(Debug)]
pub struct ColumnSet {
    /// One bit for each column.
    words: Vec<u64>,
    /// One bit for each word that has a bit.
    summary: Vec<u64>,
    /// Columns before each word; set by [`Self::number`] for words that have a bit.
    ranks: Vec<u32>,
}

impl ColumnSet {
    /// The empty set of columns below `n_cols`.
    pub fn new(n_cols: usize) -> Self {
        let n_words = n_cols.div_ceil(64);
        Self { words: vec![0; n_words], summary: vec![0; n_words.div_ceil(64)], ranks: vec![0; n_words] }
    }

    /// Adds `column`, which may be there already; panics when it is out of range.
    #[inline]
    pub fn insert(&mut self, column: u32) {
        let word = (column >> 6) as usize;
        self.words[word] |= 1 << (column & 63);
        self.summary[word >> 6] |= 1 << (word & 63);
    }

    /// Removes all columns; how many there were.
    pub fn drain(&mut self) -> usize {
        let mut n_columns = 0;
        self.drain_words(|_, word| n_columns += word.count_ones() as usize);
        n_columns
    }

    /// Removes all columns, and hands them on, increasing.
    #[inline]
    pub fn drain_to(&mut self, mut visit: impl FnMut(u32)) {
        self.drain_words(|at, word| set_bits(word).for_each(|bit| visit(64 * at as u32 + bit)));
    }

    #[inline]
    fn drain_words(&mut self, mut visit: impl FnMut(usize, u64)) {
        for (block, summary) in self.summary.iter_mut().enumerate() {
            for word in set_bits(std::mem::take(summary)).map(|bit| 64 * block + bit as usize) {
                visit(word, std::mem::take(&mut self.words[word]));
            }
        }
    }

    /// Writes the columns to `out`, increasing, and remembers their places. `out` has room for exactly
    /// as many as there are.
    pub fn number(&mut self, out: &mut [u32]) {
        let mut rank = 0;
        for (block, &summary) in self.summary.iter().enumerate() {
            for word in set_bits(summary).map(|bit| 64 * block + bit as usize) {
                self.ranks[word] = rank as u32;
                for bit in set_bits(self.words[word]) {
                    out[rank] = 64 * word as u32 + bit;
                    rank += 1;
                }
            }
        }
    }

    /// The place of `column`, which is in the set, after [`Self::number`].
    #[inline]
    pub fn rank(&self, column: u32) -> usize {
        let word = (column >> 6) as usize;
        RankedWord { bits: self.words[word], before: self.ranks[word] }.rank(column).0 as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn columns_come_sorted_and_are_found_again(columns in prop::collection::vec(0u32..20_000, 0..300)) {
            let mut set = ColumnSet::new(20_000);
            for _ in 0..2 {
                columns.iter().for_each(|&column| set.insert(column));
                let expected: Vec<u32> = BTreeSet::from_iter(columns.iter().copied()).into_iter().collect();
                let mut found = vec![0; expected.len()];
                set.number(&mut found);
                prop_assert_eq!(&found, &expected);
                prop_assert!(expected.iter().enumerate().all(|(rank, &column)| set.rank(column) == rank));
                prop_assert_eq!(set.drain(), expected.len());
                columns.iter().for_each(|&column| set.insert(column));
                let mut drained = Vec::new();
                set.drain_to(|column| drained.push(column));
                prop_assert_eq!(&drained, &expected);
            }
            prop_assert_eq!(set.drain(), 0);
        }
    }
}
