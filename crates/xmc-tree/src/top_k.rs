//! The best candidates of a stream, and copies of a label that meet again.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use xmc_sparse::{Scored, sort_ranked};

/// The `k` best of a stream; a candidate that is no better than the worst kept one costs a comparison.
#[derive(Debug, Default)]
pub(crate) struct TopK {
    k: usize,
    heap: BinaryHeap<Worst>,
}

/// Orders a heap so that the worst candidate is on top.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Worst(Scored);

impl Eq for Worst {}

impl PartialOrd for Worst {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Worst {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.rank_cmp(&other.0)
    }
}

impl TopK {
    /// Forgets all candidates; from now on the best `k` are kept.
    pub(crate) fn start(&mut self, k: usize) {
        self.k = k;
        self.heap.clear();
    }

    /// Offers all of `candidates`.
    #[inline(always)]
    pub(crate) fn offer(&mut self, candidates: impl Iterator<Item = Scored>) {
        let mut bound = self.bound();
        for candidate in candidates {
            if candidate.score >= bound {
                self.insert(candidate);
                bound = self.bound();
            }
        }
    }

    /// Scores below this cannot enter.
    fn bound(&self) -> f32 {
        match self.heap.peek() {
            Some(worst) if self.heap.len() == self.k => worst.0.score,
            _ => f32::NEG_INFINITY,
        }
    }

    fn insert(&mut self, candidate: Scored) {
        if self.heap.len() < self.k {
            self.heap.push(Worst(candidate));
        } else if let Some(mut worst) = self.heap.peek_mut()
            && candidate.rank_cmp(&worst.0).is_lt()
        {
            *worst = Worst(candidate);
        }
    }

    /// The kept candidates, best first.
    pub(crate) fn drain_sorted(&mut self, out: &mut Vec<Scored>) {
        out.clear();
        out.extend(self.heap.drain().map(|worst| worst.0));
        sort_ranked(out);
    }
}

/// How the scores of a label's copies in several clusters become one. Only the copies in clusters that the beam
/// holds have a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum MergeCopies {
    /// The mean of the scores, as in the label disentanglement of Liu et al. (NeurIPS 2021).
    #[default]
    Mean,
    /// The best score.
    Max,
    /// The sum of the scores.
    Sum,
}

/// Candidates by label: where several copies of one meet.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    /// For each label its place in `found` plus one; 0 elsewhere.
    places: Vec<u32>,
    found: Vec<Found>,
}

#[derive(Debug, Clone, Copy)]
struct Found {
    label: u32,
    n: u32,
    best: f32,
    /// `Σ exp(score − best)`, or `Σ score`: see [`Copies::add`].
    sum: f32,
}

impl Copies {
    pub(crate) fn start(&mut self, n_labels: usize) {
        self.found.clear();
        self.places.resize(n_labels, 0);
    }

    /// One more copy. Scores that are `logarithms` are added up as what they are logarithms of.
    pub(crate) fn add(&mut self, label: u32, score: f32, logarithms: bool) {
        let place = &mut self.places[label as usize];
        if *place == 0 {
            self.found.push(Found { label, n: 1, best: score, sum: if logarithms { 1.0 } else { score } });
            *place = self.found.len() as u32;
            return;
        }
        let found = &mut self.found[*place as usize - 1];
        found.n += 1;
        if !logarithms {
            found.sum += score;
        } else if score > found.best {
            found.sum = found.sum * (found.best - score).exp() + 1.0;
        } else {
            found.sum += (score - found.best).exp();
        }
        found.best = found.best.max(score);
    }

    /// The labels with their merged scores; the next [`Copies::start`] finds all forgotten.
    pub(crate) fn drain(&mut self, merge: MergeCopies, logarithms: bool) -> impl Iterator<Item = Scored> {
        let places = &mut self.places;
        self.found.drain(..).map(move |Found { label, n, best, sum }| {
            places[label as usize] = 0;
            let n = n as f32;
            let score = match (merge, logarithms) {
                (MergeCopies::Max, _) => best,
                // One copy: its score to the bit.
                (_, true) if n == 1.0 => best,
                (MergeCopies::Mean, true) => best + (sum / n).ln(),
                (MergeCopies::Sum, true) => best + sum.ln(),
                (MergeCopies::Mean, false) => sum / n,
                (MergeCopies::Sum, false) => sum,
            };
            Scored { id: label, score }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(scores: &[(u32, f32)], merge: MergeCopies, logarithms: bool) -> Vec<(u32, f32)> {
        let mut copies = Copies::default();
        let mut out = Vec::new();
        for _ in 0..2 {
            copies.start(9);
            scores.iter().for_each(|&(label, score)| copies.add(label, score, logarithms));
            out = copies.drain(merge, logarithms).map(|s| (s.id, s.score)).collect();
        }
        out
    }

    #[test]
    fn copies_become_their_mean_best_or_sum() {
        let scores = [(4, 0.5), (2, 1.0), (4, 0.25), (4, 0.75)];
        assert_eq!(merged(&scores, MergeCopies::Mean, false), [(4, 0.5), (2, 1.0)]);
        assert_eq!(merged(&scores, MergeCopies::Max, false), [(4, 0.75), (2, 1.0)]);
        assert_eq!(merged(&scores, MergeCopies::Sum, false), [(4, 1.5), (2, 1.0)]);
        let logs = scores.map(|(label, score): (u32, f32)| (label, score.ln()));
        for (merge, expected) in [(MergeCopies::Mean, 0.5), (MergeCopies::Max, 0.75), (MergeCopies::Sum, 1.5)]
        {
            let found = merged(&logs, merge, true);
            assert!((found[0].1.exp() - expected).abs() < 1e-6, "{merge:?}: {found:?}");
            assert_eq!(found[1], (2, 0.0));
        }
    }
}
