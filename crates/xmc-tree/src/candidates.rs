//! The clusters that one label wants, by the positives that they would cover.

use crate::{AssignmentRule, ChildParents, TreeLayer};
use rayon::prelude::*;
use std::cmp::Reverse;
use xmc_sparse::Csr;

/// Fewest positives that a further copy must add under the greedy rule, whatever their share.
const LEAST_GAIN: f32 = 2.0;

/// A cluster and the positives that it adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pick {
    pub(crate) gain: u32,
    pub(crate) cluster: u32,
}

/// What the wishes of all labels come from.
pub(crate) struct Candidates<'a> {
    /// Label to instances.
    pub(crate) instances: &'a Csr,
    /// Instance to matched clusters.
    pub(crate) matched: &'a Csr,
    /// Where each label stands now.
    pub(crate) former: &'a ChildParents,
    pub(crate) rule: AssignmentRule,
    pub(crate) copies: usize,
    pub(crate) min_gain: f32,
}

impl Candidates<'_> {
    /// The clusters that `label` wants beside those that it has, best first, none of them full.
    pub(crate) fn picks(&self, label: usize, has: &[u32], is_full: &dyn Fn(u32) -> bool) -> Vec<Pick> {
        let n_more = self.copies - has.len();
        let counts = self.counts(label, has, is_full);
        match self.rule {
            AssignmentRule::TopK => most_frequent(counts, n_more),
            AssignmentRule::Greedy => self.greedy(label, has, counts, n_more),
        }
    }

    /// For each cluster that is neither full nor among `has`, the number of positives that are matched to it; the
    /// greedy rule leaves out those that `has` covers. Clusters increase.
    fn counts(&self, label: usize, has: &[u32], is_full: &dyn Fn(u32) -> bool) -> Vec<Pick> {
        let greedy = self.rule == AssignmentRule::Greedy;
        let mut matched = Vec::new();
        for &instance in self.instances.row(label).indices {
            let clusters = self.matched.row(instance as usize).indices;
            if !(greedy && covers(has, clusters)) {
                matched
                    .extend(clusters.iter().filter(|&&cluster| !has.contains(&cluster) && !is_full(cluster)));
            }
        }
        matched.sort_unstable();
        let runs = matched.chunk_by(|a, b| a == b);
        runs.map(|run| Pick { gain: run.len() as u32, cluster: run[0] }).collect()
    }

    /// Repeatedly the cluster with the most positives that are not covered yet.
    fn greedy(&self, label: usize, has: &[u32], mut counts: Vec<Pick>, n_more: usize) -> Vec<Pick> {
        let instances = self.instances.row(label).indices;
        let least = (self.min_gain * instances.len() as f32).max(LEAST_GAIN);
        let mut picks: Vec<Pick> = Vec::new();
        let mut taken = has.to_vec();
        while picks.len() < n_more {
            let rank = |pick: &Pick| {
                (pick.gain, self.former.of(label).contains(&pick.cluster), Reverse(pick.cluster))
            };
            let Some(&best) = counts.iter().max_by_key(|&pick| rank(pick)) else { break };
            // The first place is no copy: one positive is reason enough.
            if best.gain == 0 || !taken.is_empty() && (best.gain as f32) < least {
                break;
            }
            picks.push(best);
            for &instance in instances {
                let clusters = self.matched.row(instance as usize).indices;
                if clusters.contains(&best.cluster) && !covers(&taken, clusters) {
                    discount(&mut counts, clusters);
                }
            }
            taken.push(best.cluster);
        }
        picks
    }

    /// Positives one of whose matched clusters holds their label in `leaves`.
    pub(crate) fn covered(&self, leaves: &TreeLayer) -> usize {
        let places = leaves.parents();
        let of_label = |label: usize| {
            let instances = self.instances.row(label).indices.iter();
            instances.filter(|&&i| covers(places.of(label), self.matched.row(i as usize).indices)).count()
        };
        (0..leaves.n_children()).into_par_iter().map(of_label).sum()
    }
}

/// Whether one of `taken` is among `clusters`, which increase.
fn covers(taken: &[u32], clusters: &[u32]) -> bool {
    taken.iter().any(|cluster| clusters.binary_search(cluster).is_ok())
}

/// One positive less for each of `clusters`.
fn discount(counts: &mut [Pick], clusters: &[u32]) {
    for cluster in clusters {
        if let Ok(at) = counts.binary_search_by_key(cluster, |pick| pick.cluster) {
            counts[at].gain -= 1;
        }
    }
}

fn most_frequent(mut counts: Vec<Pick>, n: usize) -> Vec<Pick> {
    counts.sort_unstable_by_key(|pick| (Reverse(pick.gain), pick.cluster));
    counts.truncate(n);
    counts
}
