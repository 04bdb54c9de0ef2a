//! Ranked lists: scored ids, best first, one list for each instance.
//!
//! The rule for ties is the same everywhere: the higher score first, then the smaller id.

use crate::{LabelId, Score};
use std::cmp::Ordering;

/// An id (label or cluster) with its score.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Scored {
    /// Label or cluster number.
    pub id: LabelId,
    /// Its score, higher is better.
    pub score: Score,
}

impl Scored {
    /// Best first: score descending, then id ascending. Total (`f32::total_cmp`).
    #[inline]
    pub fn rank_cmp(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.id.cmp(&other.id))
    }
}

/// Sorts best first.
pub fn sort_ranked(list: &mut [Scored]) {
    list.sort_unstable_by(Scored::rank_cmp);
}

/// Keeps the `k` best of `list`, sorted best first. Expected time linear in the list, plus sorting `k`.
pub fn truncate_to_top_k(list: &mut Vec<Scored>, k: usize) {
    if k == 0 {
        list.clear();
    } else if list.len() > k {
        list.select_nth_unstable_by(k - 1, Scored::rank_cmp);
        list.truncate(k);
    }
    sort_ranked(list);
}

/// One ranked list for each instance, stored end to end.
#[derive(Debug, Clone, PartialEq)]
pub struct RankedLists {
    ends: Vec<usize>,
    items: Vec<Scored>,
}

impl Default for RankedLists {
    fn default() -> Self {
        Self::new()
    }
}

impl RankedLists {
    /// No lists yet.
    pub fn new() -> Self {
        Self { ends: Vec::new(), items: Vec::new() }
    }

    /// No lists yet, with room for `n_rows` lists of `k` items.
    pub fn with_capacity(n_rows: usize, k: usize) -> Self {
        Self { ends: Vec::with_capacity(n_rows), items: Vec::with_capacity(n_rows * k) }
    }

    /// Appends a list, which the caller has put into rank order.
    pub fn push(&mut self, list: &[Scored]) {
        debug_assert!(list.windows(2).all(|pair| pair[0].rank_cmp(&pair[1]) != Ordering::Greater));
        self.items.extend_from_slice(list);
        self.ends.push(self.items.len());
    }

    /// Appends all lists of `other`.
    pub fn append(&mut self, other: &Self) {
        let base = self.items.len();
        self.items.extend_from_slice(&other.items);
        self.ends.extend(other.ends.iter().map(|end| base + end));
    }

    /// Number of instances.
    pub fn n_rows(&self) -> usize {
        self.ends.len()
    }

    /// The list of instance `row`, best first; panics when it is out of range.
    pub fn row(&self, row: usize) -> &[Scored] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.items[start..self.ends[row]]
    }

    /// All lists in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[Scored]> {
        (0..self.n_rows()).map(|row| self.row(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(pairs: &[(u32, f32)]) -> Vec<Scored> {
        pairs.iter().map(|&(id, score)| Scored { id, score }).collect()
    }

    #[test]
    fn ties_go_to_the_smaller_id() {
        let mut list = scored(&[(7, 0.5), (3, 0.5), (1, 0.1), (9, 0.9)]);
        truncate_to_top_k(&mut list, 3);
        assert_eq!(list, scored(&[(9, 0.9), (3, 0.5), (7, 0.5)]));
    }

    #[test]
    fn a_short_list_is_sorted_and_kept() {
        let mut list = scored(&[(1, -1.0), (2, 0.0)]);
        truncate_to_top_k(&mut list, 10);
        assert_eq!(list, scored(&[(2, 0.0), (1, -1.0)]));
        truncate_to_top_k(&mut list, 0);
        assert!(list.is_empty());
    }

    #[test]
    fn lists_come_back_by_row() {
        let mut lists = RankedLists::new();
        lists.push(&scored(&[(1, 1.0)]));
        lists.push(&[]);
        let mut more = RankedLists::new();
        more.push(&scored(&[(2, 2.0), (3, 1.0)]));
        lists.append(&more);
        assert_eq!(lists.n_rows(), 3);
        assert!(lists.row(1).is_empty());
        assert_eq!(lists.row(2).len(), 2);
    }
}
