//! Columns that are the same in all rows, solved for as one.

use std::sync::Arc;
use xmc_sparse::RankedWord;

/// Columns that are the same in every row of the data, as one.
///
/// Inner products of rows stay what they are when one column, √k times as large, stands for k equal ones; its weight is √k times that of each. So the
/// problem is the same with fewer features.
///
/// The first column of each group stands for it; groups are numbered in the order of their first columns, so that a bit for each column says it
/// all: a sixteenth of a list of numbers, with the counts between, which a near cache holds.
#[derive(Debug, PartialEq)]
pub struct Fold {
    /// The columns that stand for their groups.
    firsts: Vec<RankedWord>,
    roots: Arc<[f32]>,
}

impl Fold {
    /// Of columns of which each is in one of `n_groups` groups, numbered in the order of their first columns.
    pub fn new(groups: impl IntoIterator<Item = u32>, n_groups: usize) -> Self {
        let (mut firsts, mut sizes, mut n_begun) = (Vec::new(), vec![0u32; n_groups], 0);
        for (column, group) in (0u32..).zip(groups) {
            if column.is_multiple_of(64) {
                firsts.push(RankedWord { bits: 0, before: n_begun });
            }
            // Groups that are not numbered as they should be get no column.
            let Some(size) = sizes.get_mut(group as usize) else { continue };
            *size += 1;
            if let Some(word) = firsts.last_mut().filter(|_| group == n_begun) {
                word.insert(column);
                n_begun += 1;
            }
        }
        Self { firsts, roots: sizes.into_iter().map(|size| (size as f32).sqrt()).collect() }
    }

    /// For each group the square root of the number of its columns.
    pub fn roots(&self) -> &Arc<[f32]> {
        &self.roots
    }

    /// The group that `column` stands for, if it does; if not, one of the groups, and `false`. Without branches, as ranks are found.
    #[inline(always)]
    pub(crate) fn group(&self, column: u32) -> (u32, bool) {
        let (group, stands) = self.firsts[column as usize / 64].rank(column);
        // A column that stands for none has some before it that does.
        (if stands { group } else { group.saturating_sub(1) }, stands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_column_stands_for_its_group() {
        // 200 columns: 0 to 99 are groups of their own but for every tenth, which is as column 0 is; the others are as those before.
        let mut n_groups = 0;
        let mut group_of = |column: u32| {
            let is_first = column == 0 || (column < 100 && !column.is_multiple_of(10));
            n_groups += u32::from(is_first);
            if is_first { n_groups - 1 } else { 0 }
        };
        let groups: Vec<u32> = (0..200).map(&mut group_of).collect();
        let fold = Fold::new(groups.iter().copied(), n_groups as usize);
        for (column, &group) in (0..).zip(&groups) {
            let is_first = groups.iter().position(|&other| other == group) == Some(column as usize);
            let (found, stands) = fold.group(column);
            assert!(stands == is_first && (found as usize) < fold.roots().len(), "{column}");
            assert!(!stands || found == group, "{column}");
        }
        assert_eq!((fold.roots()[0], fold.roots()[1]), (110f32.sqrt(), 1.0));
    }

    #[test]
    fn groups_that_are_not_there_have_no_column() {
        let fold = Fold::new([0, 7, 2, 1], 3);
        assert_eq!(
            [0, 1, 2, 3].map(|column| fold.group(column)),
            [(0, true), (0, false), (0, false), (1, true)]
        );
    }
}
