//! How far two partitions of the same things are apart.
//!
//! Meilă, "Comparing Clusterings by the Variation of Information", COLT 2003.

use crate::{MetricsError, Result};

/// The variation of information between two partitions of the same things, in nats: `a[i]` and `b[i]` say to which block thing
/// `i` belongs, block numbers are names and no more.
///
/// With `p_i` and `q_j` the shares of the blocks of either partition and `r_ij` those of their overlaps,
///
/// ```text
/// VI = −Σ_ij r_ij [ln(r_ij / p_i) + ln(r_ij / q_j)] = H(a | b) + H(b | a)
/// ```
///
/// It is a metric: 0 when the partitions are the same, `H(p) + H(q)` when they are independent, and never above `ln n`
/// for `n` things. Time `O(n log n)`.
///
/// ```
/// use xmc_metrics::variation_of_information;
/// assert_eq!(variation_of_information(&[0, 0, 1, 1], &[7, 7, 3, 3])?, 0.0);
/// let independent = variation_of_information(&[0, 0, 1, 1], &[0, 1, 0, 1])?;
/// assert!((independent - 2.0 * 2f64.ln()).abs() < 1e-12);
/// # Ok::<(), xmc_metrics::MetricsError>(())
/// ```
///
/// # Errors
/// [`MetricsError::Partitions`] when the slices have different lengths, [`MetricsError::NoRows`] when they are empty.
pub fn variation_of_information(a: &[u32], b: &[u32]) -> Result<f64> {
    if a.len() != b.len() {
        return Err(MetricsError::Partitions { expected: a.len(), found: b.len() });
    }
    if a.is_empty() {
        return Err(MetricsError::NoRows);
    }
    Ok(Blocks::new(a).variation_from(&Blocks::new(b), &mut Vec::new()))
}

/// A partition whose blocks are numbered from 0.
#[derive(Debug, Clone)]
pub(crate) struct Blocks {
    /// The block of each thing.
    of: Vec<u32>,
    /// Things in each block.
    sizes: Vec<u32>,
}

impl Blocks {
    pub(crate) fn new(names: &[u32]) -> Self {
        let mut distinct = names.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let mut sizes = vec![0; distinct.len()];
        let number = |name| distinct.partition_point(|other| other < name) as u32;
        let of: Vec<u32> = names.iter().map(number).collect();
        of.iter().for_each(|&block| sizes[block as usize] += 1);
        Self { of, sizes }
    }

    /// Things in each block, none of them 0.
    pub(crate) fn sizes(&self) -> &[u32] {
        &self.sizes
    }

    /// The block of each thing, to be put into another order: sizes stay what they are.
    pub(crate) fn order_mut(&mut self) -> &mut [u32] {
        &mut self.of
    }

    /// The variation of information from `other`, a partition of the same things. `overlaps` is memory to work in.
    pub(crate) fn variation_from(&self, other: &Self, overlaps: &mut Vec<(u32, u32)>) -> f64 {
        overlaps.clear();
        overlaps.extend(self.of.iter().copied().zip(other.of.iter().copied()));
        overlaps.sort_unstable();
        // In counts: the number of things cancels out within the logarithms. Terms are exactly 0 where blocks agree.
        let terms = overlaps.chunk_by(|x, y| x == y).map(|overlap| {
            let (a, b) = overlap[0];
            let (p, q) = (self.sizes[a as usize], other.sizes[b as usize]);
            let r = overlap.len() as f64;
            r * ((r / f64::from(p)).ln() + (r / f64::from(q)).ln())
        });
        // `0 - x`, as `-x` would make a negative zero of equal partitions.
        0.0 - terms.sum::<f64>() / self.of.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn vi(a: &[u32], b: &[u32]) -> f64 {
        variation_of_information(a, b).unwrap()
    }

    fn entropy(counts: &[f64]) -> f64 {
        let n: f64 = counts.iter().sum();
        -counts.iter().map(|count| count / n * (count / n).ln()).sum::<f64>()
    }

    #[test]
    fn equal_partitions_are_exactly_zero_apart_whatever_their_blocks_are_called() {
        let zero = vi(&[3, 1, 3, 9, 1, 3, 9], &[0, 5, 0, 2, 5, 0, 2]);
        assert!(zero == 0.0 && zero.is_sign_positive());
    }

    #[test]
    fn independent_partitions_are_the_sum_of_their_entropies_apart() {
        // Every one of 2 blocks (1 : 2) meets every one of 3 (1 : 1 : 2) in proportion.
        let a = [0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1];
        let b = [0, 1, 2, 2, 0, 0, 1, 1, 2, 2, 2, 2];
        assert!((vi(&a, &b) - entropy(&[1.0, 2.0]) - entropy(&[1.0, 1.0, 2.0])).abs() < 1e-12);
    }

    #[test]
    fn a_partition_by_hand() {
        // Overlaps 2, 1 of the first block, 1 of the second: p = 3/4, 1/4, q = 2/4, 2/4.
        // H(a|b) = 2/4 ln 2, H(b|a) = 3/4 (ln 3 - 2/3 ln 2): 0.346574 + 0.477386.
        assert!((vi(&[0, 0, 0, 1], &[0, 0, 1, 1]) - 0.823_959_2).abs() < 1e-6);
    }

    #[test]
    fn one_block_against_another_partition_is_that_ones_entropy() {
        assert!((vi(&[0; 8], &[0, 0, 0, 1, 1, 1, 1, 1]) - entropy(&[3.0, 5.0])).abs() < 1e-12);
        assert!((vi(&[0; 8], &[0, 1, 2, 3, 4, 5, 6, 7]) - 8f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn partitions_of_different_or_no_things_are_refused() {
        let partitions = MetricsError::Partitions { expected: 2, found: 1 };
        assert_eq!(variation_of_information(&[0, 1], &[0]), Err(partitions));
        assert_eq!(variation_of_information(&[], &[]), Err(MetricsError::NoRows));
    }

    proptest! {
        #[test]
        fn it_is_a_metric(things in prop::collection::vec((0u32..5, 0u32..4, 0u32..6), 1..60)) {
            let part = |of: fn(&(u32, u32, u32)) -> u32| things.iter().map(of).collect::<Vec<_>>();
            let (a, b, c) = (part(|t| t.0), part(|t| t.1), part(|t| t.2));
            prop_assert!((vi(&a, &b) - vi(&b, &a)).abs() < 1e-12);
            prop_assert!(vi(&a, &c) <= vi(&a, &b) + vi(&b, &c) + 1e-12);
            prop_assert!(vi(&a, &b) >= 0.0 && vi(&a, &b) <= (things.len() as f64).ln() + 1e-12);
        }
    }
}
