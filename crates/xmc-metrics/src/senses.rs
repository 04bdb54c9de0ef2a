//! Whether clusters tell the senses of ambiguous labels apart.
//!
//! A label such as "apple" joins instances that have little in common. A label tree that holds it in several clusters
//! should route the instances of one sense to one cluster. Liu, Chang, Yu, Dhillon and Hsieh, "Label Disentanglement in
//! Partition-based Extreme Multilabel Classification", NeurIPS 2021, section 5.1, measure this on labels that were merged
//! on purpose, so that the senses are known: the [variation of information](crate::variation_of_information) between the
//! senses and the clusters of a label's instances, against a random split.
//!
//! Their code knows two clusters and splits at random by a fair coin, which gives any label that is *not* split a better value
//! than chance. Here the random split deals the same clusters out anew among the same instances: a label whose instances are
//! all routed to one cluster has exactly the value of chance.

use crate::partition::Blocks;
use crate::{MetricsError, Result};
use rand::{SeedableRng, seq::SliceRandom};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use xmc_sparse::LabelId;

/// One instance of a label: what the label means there, and the cluster to which the instance is routed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Routed {
    /// The label.
    pub label: LabelId,
    /// Its true sense in this instance; any number that is the same for the same sense of the label.
    pub sense: u32,
    /// The cluster: of those that hold the label, the one that the matcher scores highest for this instance.
    pub cluster: u32,
}

/// Which labels count, and what they are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SenseSplitParams {
    /// Fewest instances of a label that counts. Default 11: with ten and fewer, the value is mostly luck.
    pub min_instances: usize,
    /// Fewest instances of each sense of a label that counts. Default 1; the paper's code wants 11.
    pub min_per_sense: usize,
    /// Random splits of each label, of which the mean is taken. At least 1, default 100.
    pub random_splits: usize,
    /// Seed of the random splits. Default 0.
    pub seed: u64,
}

impl Default for SenseSplitParams {
    fn default() -> Self {
        Self { min_instances: 11, min_per_sense: 1, random_splits: 100, seed: 0 }
    }
}

/// How well clusters tell senses apart. Variations of information are in nats, 0 is best.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SenseSplit {
    /// Mean variation of information over the labels that count.
    pub vi: f64,
    /// The mean of their random splits.
    pub random: f64,
    /// The labels that count, by number.
    pub labels: Vec<LabelSplit>,
    /// Labels that do not count: too few instances, or only one sense among them.
    pub n_skipped: usize,
}

/// One label of a [`SenseSplit`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LabelSplit {
    /// The label.
    pub label: LabelId,
    /// Its instances.
    pub n_instances: usize,
    /// Senses among them, at least 2.
    pub n_senses: usize,
    /// Clusters among them.
    pub n_clusters: usize,
    /// Variation of information between senses and clusters.
    pub vi: f64,
    /// Mean over random splits into clusters of the same sizes.
    pub random: f64,
}

impl SenseSplit {
    /// Measures `routed`, one entry for each instance of each label in any order. Labels with one sense are left out.
    ///
    /// The same entries, in any order, and the same seed give the same numbers.
    ///
    /// # Errors
    /// [`MetricsError::NoSplit`] when no label counts, [`MetricsError::NoRandomSplits`].
    pub fn new(routed: &[Routed], params: SenseSplitParams) -> Result<Self> {
        if params.random_splits == 0 {
            return Err(MetricsError::NoRandomSplits);
        }
        let mut routed = routed.to_vec();
        routed.sort_unstable();
        let of_label: Vec<&[Routed]> = routed.chunk_by(|a, b| a.label == b.label).collect();
        let labels: Vec<LabelSplit> =
            of_label.par_iter().filter_map(|routed| LabelSplit::new(routed, params)).collect();
        let SenseSplitParams { min_instances, min_per_sense, .. } = params;
        if labels.is_empty() {
            return Err(MetricsError::NoSplit { labels: of_label.len(), min_instances, min_per_sense });
        }
        let mean = |of: fn(&LabelSplit) -> f64| labels.iter().map(of).sum::<f64>() / labels.len() as f64;
        let n_skipped = of_label.len() - labels.len();
        Ok(Self { vi: mean(|label| label.vi), random: mean(|label| label.random), labels, n_skipped })
    }
}

impl LabelSplit {
    /// The instances of one label; none when it does not count.
    fn new(routed: &[Routed], params: SenseSplitParams) -> Option<Self> {
        let (label, n_instances) = (routed[0].label, routed.len());
        let blocks = |of: fn(&Routed) -> u32| Blocks::new(&routed.iter().map(of).collect::<Vec<_>>());
        let senses = blocks(|instance| instance.sense);
        let smallest = senses.sizes().iter().copied().min().unwrap_or(0) as usize;
        let counts = n_instances >= params.min_instances && smallest >= params.min_per_sense;
        if senses.sizes().len() < 2 || !counts {
            return None;
        }
        let mut clusters = blocks(|instance| instance.cluster);
        let (n_senses, n_clusters) = (senses.sizes().len(), clusters.sizes().len());
        let mut overlaps = Vec::with_capacity(n_instances);
        let vi = senses.variation_from(&clusters, &mut overlaps);
        // Seeded by label: what is drawn for one does not depend on which others there are.
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(params.seed ^ u64::from(label).rotate_left(32));
        let random = (0..params.random_splits).map(|_| {
            clusters.order_mut().shuffle(&mut rng);
            senses.variation_from(&clusters, &mut overlaps)
        });
        let random = random.sum::<f64>() / params.random_splits as f64;
        Some(Self { label, n_instances, n_senses, n_clusters, vi, random })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `n` instances of a label in two senses of equal size, with a cluster from sense and number.
    fn label(label: LabelId, n: u32, cluster: impl Fn(u32, u32) -> u32) -> Vec<Routed> {
        (0..n).map(|i| Routed { label, sense: i % 2, cluster: cluster(i % 2, i / 2) }).collect()
    }

    fn split(routed: &[Routed]) -> SenseSplit {
        SenseSplit::new(routed, SenseSplitParams::default()).unwrap()
    }

    const LN_2: f64 = std::f64::consts::LN_2;

    #[test]
    fn a_cluster_for_each_sense_is_perfect_and_far_from_chance() {
        let split = split(&label(5, 40, |sense, _| 70 + sense));
        assert_eq!((split.vi, split.labels.len(), split.n_skipped), (0.0, 1, 0));
        let label = split.labels[0];
        assert_eq!((label.label, label.n_instances, label.n_senses, label.n_clusters), (5, 40, 2, 2));
        // Nearly independent: H(p) + H(q) = 2 ln 2, less what 40 instances have in common by chance.
        assert!(split.random > 1.9 * LN_2 && split.random < 2.0 * LN_2, "{}", split.random);
    }

    #[test]
    fn one_cluster_for_all_is_no_better_than_chance() {
        let split = split(&label(5, 40, |_, _| 3));
        assert!((split.vi - LN_2).abs() < 1e-12 && (split.random - LN_2).abs() < 1e-12, "{split:?}");
    }

    #[test]
    fn clusters_that_ignore_the_senses_are_as_good_as_chance() {
        let split = split(&label(5, 400, |_, number| number % 2));
        assert!((split.vi - 2.0 * LN_2).abs() < 1e-12);
        assert!((split.random - split.vi).abs() < 0.01, "{split:?}");
    }

    #[test]
    fn the_mean_is_over_labels_and_not_over_instances() {
        let routed = [label(1, 12, |sense, _| sense), label(2, 400, |_, _| 0)].concat();
        assert!((split(&routed).vi - LN_2 / 2.0).abs() < 1e-12);
    }

    #[test]
    fn small_labels_and_those_of_one_sense_are_left_out() {
        let one_sense: Vec<_> =
            label(3, 40, |_, i| i).into_iter().map(|r| Routed { sense: 0, ..r }).collect();
        let routed = [label(1, 10, |sense, _| sense), label(2, 11, |_, _| 0), one_sense].concat();
        let found = split(&routed);
        assert_eq!((found.labels.len(), found.labels[0].label, found.n_skipped), (1, 2, 2));
        // 6 of one sense and 5 of the other.
        let params = SenseSplitParams { min_per_sense: 6, ..SenseSplitParams::default() };
        let none = MetricsError::NoSplit { labels: 3, min_instances: 11, min_per_sense: 6 };
        assert_eq!(SenseSplit::new(&routed, params), Err(none));
    }

    #[test]
    fn order_other_labels_and_threads_do_not_matter_but_the_seed_does() {
        let many: Vec<_> = (0..50).flat_map(|l| label(l, 20 + l, |sense, i| sense ^ (i % 3))).collect();
        let all = split(&many);
        let mut reversed = many.clone();
        reversed.reverse();
        assert_eq!(split(&reversed), all);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(pool.install(|| split(&many)), all);
        let alone: Vec<_> = many.iter().copied().filter(|routed| routed.label == 7).collect();
        assert_eq!(split(&alone).labels[0], all.labels[7]);
        let other = SenseSplitParams { seed: 1, ..SenseSplitParams::default() };
        let other = SenseSplit::new(&many, other).unwrap();
        assert!(other.vi == all.vi && other.random != all.random);
    }

    #[test]
    fn a_baseline_of_no_splits_is_refused() {
        let params = SenseSplitParams { random_splits: 0, ..SenseSplitParams::default() };
        assert_eq!(SenseSplit::new(&[], params), Err(MetricsError::NoRandomSplits));
    }
}
