//! What a level is trained on, and what a step sees of it.

use crate::tokens::TokenRows;
use crate::{LevelParams, TransformerError};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;
use xmc_sparse::Csr;

/// The clusters that an instance is scored for beside its positives: those below the clusters that the level above leads
/// it to.
pub trait Candidates: Sync {
    /// Appends the candidates of instance `row`, in any order, each once; positives may be among them.
    fn append(&self, row: usize, candidates: &mut Vec<u32>);
}

/// Every cluster, for a level with nothing above it.
#[derive(Debug, Clone, Copy)]
pub struct AllClusters(
    /// Their number.
    pub u32,
);

impl Candidates for AllClusters {
    fn append(&self, _row: usize, candidates: &mut Vec<u32>) {
        candidates.extend(0..self.0);
    }
}

/// Candidates as the columns of a matrix of `n_samples × n_clusters`; its values do not matter.
impl Candidates for Csr {
    fn append(&self, row: usize, candidates: &mut Vec<u32>) {
        candidates.extend_from_slice(self.row(row).indices);
    }
}

/// The instances of a level.
#[derive(Clone, Copy)]
pub struct LevelProblem<'a> {
    /// Tokens of each text.
    pub tokens: &'a TokenRows,
    /// `n_samples × n_clusters`: how many labels of the instance are in the cluster.
    pub positives: &'a Csr,
    /// Clusters to tell them from.
    pub candidates: &'a dyn Candidates,
}

impl LevelProblem<'_> {
    pub(super) fn check(&self, n_clusters: usize) -> Result<(), TransformerError> {
        let rule = |name, expected: usize, found: usize| match expected == found {
            true => Ok(()),
            false => Err(TransformerError::Parameter {
                name,
                expected: expected.to_string(),
                found: found.to_string(),
            }),
        };
        rule("rows of the positives (one for each text)", self.tokens.n_rows(), self.positives.n_rows())?;
        rule("columns of the positives (one for each cluster)", n_clusters, self.positives.n_cols())?;
        match self.tokens.is_empty() {
            true => rule("number of texts", 1, 0),
            false => Ok(()),
        }
    }
}

/// A random order of all instances in batches of similar lengths, kept as long as steps need it.
#[derive(Debug, Default)]
pub(super) struct Epoch {
    number: Option<u64>,
    order: Vec<u32>,
    /// Which batch of the order comes when.
    batches: Vec<u32>,
}

impl Epoch {
    /// The instances of step `step`.
    ///
    /// Each stretch of some batches is sorted by length before it is cut, and batches come in random order.
    fn batch(&mut self, tokens: &TokenRows, params: &LevelParams, step: u64) -> &[u32] {
        const STRETCH: usize = 64;
        let n_rows = tokens.n_rows();
        let size = params.batch_size.min(n_rows);
        let n_batches = n_rows.div_ceil(size);
        let number = step / n_batches as u64;
        if self.number != Some(number) {
            let mut random = random(params.seed, 0, number);
            self.number = Some(number);
            self.order = (0..n_rows as u32).collect();
            self.order.shuffle(&mut random);
            for stretch in self.order.chunks_mut(size * STRETCH) {
                stretch.sort_by_key(|&row| tokens.len(row as usize));
            }
            self.batches = (0..n_batches as u32).collect();
            self.batches.shuffle(&mut random);
        }
        let start = self.batches[(step % n_batches as u64) as usize] as usize * size;
        &self.order[start..n_rows.min(start + size)]
    }
}

/// The clusters of the instances of a part of a step, by their place among those of the step.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Targets {
    pub(super) n_candidates: usize,
    /// instances × n_candidates, filled up with 0: places in [`Step::clusters`].
    pub(super) places: Vec<i64>,
    /// 1 for a positive, −1 for a negative.
    pub(super) signs: Vec<f32>,
    /// The share of the loss of the instance; 0 where filled up.
    pub(super) weights: Vec<f32>,
}

/// What one step sees.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    /// The clusters that some instance is scored for, increasing.
    pub(super) clusters: Vec<i64>,
    /// Instances of each part, by length.
    pub(super) parts: Vec<(Vec<u32>, Targets)>,
}

impl LevelProblem<'_> {
    /// What step number `step` sees; depends on nothing but the problem, the parameters and the number.
    pub(super) fn step(&self, params: &LevelParams, step: u64, epoch: &mut Epoch) -> Step {
        let mut rows = epoch.batch(self.tokens, params, step).to_vec();
        rows.sort_by_key(|&row| (self.tokens.len(row as usize), row));
        let mut random = random(params.seed, 1, step);
        let chosen: Vec<_> = rows.iter().map(|&row| self.choose(row as usize, params, &mut random)).collect();
        let mut clusters: Vec<_> = chosen.iter().flatten().map(|&(cluster, _)| i64::from(cluster)).collect();
        clusters.sort_unstable();
        clusters.dedup();
        let size = params.part_size.unwrap_or(rows.len());
        let parts = rows.chunks(size).zip(chosen.chunks(size));
        let parts =
            parts.map(|(rows, chosen)| (rows.to_vec(), Targets::new(chosen, &clusters, params.weighted)));
        Step { parts: parts.collect(), clusters }
    }

    /// Clusters of an instance and how often each is positive.
    fn choose(&self, row: usize, params: &LevelParams, random: &mut Xoshiro256PlusPlus) -> Vec<(u32, f32)> {
        let positives = self.positives.row(row);
        let mut chosen: Vec<_> = positives.iter().filter(|&(_, count)| count > 0.0).collect();
        if chosen.len() > params.max_candidates {
            chosen = chosen.choose_multiple(random, params.max_candidates).copied().collect();
        }
        let mut candidates = Vec::new();
        self.candidates.append(row, &mut candidates);
        candidates.retain(|cluster| positives.indices.binary_search(cluster).is_err());
        let n_negatives = params.max_candidates - chosen.len();
        if candidates.len() > n_negatives {
            candidates = candidates.choose_multiple(random, n_negatives).copied().collect();
        }
        chosen.extend(candidates.into_iter().map(|cluster| (cluster, 0.0)));
        chosen
    }
}

impl Targets {
    fn new(chosen: &[Vec<(u32, f32)>], clusters: &[i64], weighted: bool) -> Self {
        let n_candidates = chosen.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let size = chosen.len() * n_candidates;
        let mut this =
            Self { n_candidates, places: vec![0; size], signs: vec![-1.0; size], weights: vec![0.0; size] };
        for (at, row) in chosen.iter().enumerate() {
            // The mean over an instance's clusters: how many there are must not change the size of its gradient.
            let share = 1.0 / row.len().max(1) as f32;
            for (slot, &(cluster, count)) in (at * n_candidates..).zip(row) {
                let place = clusters.binary_search(&i64::from(cluster));
                this.places[slot] = place.expect("invariant: all clusters of the step are listed") as i64;
                this.signs[slot] = if count > 0.0 { 1.0 } else { -1.0 };
                this.weights[slot] = if weighted && count > 0.0 { share * count } else { share };
            }
        }
        this
    }
}

/// Random numbers of their own for each purpose and step.
pub(crate) fn random(seed: u64, purpose: u64, step: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(random_seed(seed, purpose, step))
}

/// A seed of its own for each purpose and step.
pub(super) fn random_seed(seed: u64, purpose: u64, step: u64) -> u64 {
    let mut key = [0; 24];
    for (to, from) in key.chunks_exact_mut(8).zip([seed, purpose, step]) {
        to.copy_from_slice(&from.to_le_bytes());
    }
    xxhash_rust::xxh3::xxh3_64(&key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn tokens(n_rows: usize) -> TokenRows {
        (0..n_rows).map(|row| vec![1; 2 + row % 7]).collect()
    }

    fn positives(n_rows: usize) -> Csr {
        Csr::from_rows(20, (0..n_rows as u32).map(|row| vec![(row % 20, 2.0), ((row + 3) % 20, 1.0)]))
            .unwrap()
    }

    #[test]
    fn an_epoch_has_every_instance_once_in_batches_of_similar_length() {
        let tokens = tokens(101);
        let params = LevelParams { batch_size: 10, ..LevelParams::default() };
        let mut state = Epoch::default();
        let mut epoch = |first: u64| {
            let steps = first..first + 11;
            steps.map(|step| state.batch(&tokens, &params, step).to_vec()).collect::<Vec<_>>()
        };
        let (first, second) = (epoch(0), epoch(11));
        for epoch in [&first, &second] {
            let mut all = epoch.concat();
            all.sort_unstable();
            assert_eq!(all, (0..101).collect::<Vec<_>>());
        }
        assert_ne!(first, second);
        assert_eq!(first, epoch(0));
        let spread = |rows: &Vec<u32>| {
            let lengths = || rows.iter().map(|&row| tokens.len(row as usize));
            lengths().max().unwrap() - lengths().min().unwrap()
        };
        assert!(first.iter().all(|rows| spread(rows) <= 1));
    }

    #[test]
    fn a_step_has_positives_and_a_sample_of_the_others() {
        let (tokens, positives) = (tokens(50), positives(50));
        let problem = LevelProblem { tokens: &tokens, positives: &positives, candidates: &AllClusters(20) };
        let params =
            LevelParams { batch_size: 8, part_size: Some(3), max_candidates: 7, ..LevelParams::default() };
        let step = problem.step(&params, 4, &mut Epoch::default());
        assert_eq!(step.parts.iter().map(|(rows, _)| rows.len()).collect::<Vec<_>>(), [3, 3, 2]);
        for (rows, targets) in &step.parts {
            assert_eq!(targets.n_candidates, 7);
            for (at, &row) in rows.iter().enumerate() {
                let slots = at * 7..(at + 1) * 7;
                let counts: BTreeMap<_, _> = slots
                    .map(|slot| {
                        let cluster = step.clusters[targets.places[slot] as usize] as u32;
                        (cluster, (targets.signs[slot], targets.weights[slot] * 7.0))
                    })
                    .collect();
                assert_eq!(counts.len(), 7);
                assert_eq!(counts[&(row % 20)], (1.0, 2.0));
                assert_eq!(counts[&((row + 3) % 20)], (1.0, 1.0));
                assert_eq!(counts.values().filter(|&&count| count == (-1.0, 1.0)).count(), 5);
            }
        }
        assert_eq!(step, problem.step(&params, 4, &mut Epoch::default()));
    }

    #[test]
    fn short_lists_are_filled_up_with_weight_zero() {
        let (tokens, positives) = (tokens(2), Csr::from_rows(9, [vec![(4, 3.0)], vec![]]).unwrap());
        let candidates = Csr::from_rows(9, [vec![(4, 1.0), (7, 1.0), (8, 1.0)], vec![(0, 1.0)]]).unwrap();
        let problem = LevelProblem { tokens: &tokens, positives: &positives, candidates: &candidates };
        let step = problem.step(
            &LevelParams { weighted: false, ..LevelParams::default() },
            0,
            &mut Epoch::default(),
        );
        assert_eq!(step.clusters, [0, 4, 7, 8]);
        let (rows, targets) = &step.parts[0];
        assert_eq!((&rows[..], targets.n_candidates), (&[0, 1][..], 3));
        assert_eq!(targets.places, [1, 2, 3, 0, 0, 0]);
        assert_eq!(targets.signs, [1.0, -1.0, -1.0, -1.0, -1.0, -1.0]);
        assert_eq!(targets.weights, [1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn parts_of_different_sizes_are_refused() {
        let (tokens, positives) = (tokens(2), positives(3));
        let problem = LevelProblem { tokens: &tokens, positives: &positives, candidates: &AllClusters(20) };
        assert!(matches!(problem.check(20), Err(TransformerError::Parameter { .. })));
        let problem = LevelProblem { positives: &self::positives(2), ..problem };
        assert!(problem.check(20).is_ok());
        assert!(problem.check(21).is_err());
        let none = LevelProblem { tokens: &TokenRows::default(), positives: &self::positives(0), ..problem };
        assert!(none.check(20).is_err());
    }
}
