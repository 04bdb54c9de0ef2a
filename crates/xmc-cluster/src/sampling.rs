//! How many rows a split of upper nodes looks at.

use crate::ClusterError;
use rand::seq::index;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

/// Splits find their centroids on a sample of a node's rows and place all rows by them (PECOS `do_sample`). The
/// rate is `min_rate` on the first `warmup` of the levels and rises linearly to 1 on the last. Large nodes then
/// cost a fraction, and their centroids are means of so many rows that a tenth says the same.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// Share of the rows on the first levels (PECOS `min_sample_rate`). Above 0, at most 1, default 0.1.
    pub min_rate: f32,
    /// Share of the levels that keep it (PECOS `warmup_ratio`). In 0..1, default 0.4.
    pub warmup: f32,
}

/// Fewest rows of a sample: what a few rows say is chance.
const MIN_ROWS: usize = 256;

impl Default for Sampling {
    fn default() -> Self {
        Self { min_rate: 0.1, warmup: 0.4 }
    }
}

impl Sampling {
    pub(crate) fn check(self) -> Result<(), ClusterError> {
        let in_range = |name, found, fine, expected| {
            if fine { Ok(()) } else { Err(ClusterError::Share { name, found, expected }) }
        };
        let min_rate_fits = self.min_rate > 0.0 && self.min_rate <= 1.0;
        in_range("min_rate", self.min_rate, min_rate_fits, "above 0, at most 1")?;
        in_range("warmup", self.warmup, (0.0..1.0).contains(&self.warmup), "at least 0, below 1")
    }

    /// The share of rows on level `level` of `depth`, the root's is 0.
    pub(crate) fn rate(self, level: usize, depth: usize) -> f32 {
        let warmup = self.warmup * depth as f32;
        let risen = ((level + 1) as f32 - warmup) / (depth as f32 - warmup);
        if (level as f32) < warmup { self.min_rate } else { self.min_rate + (1.0 - self.min_rate) * risen }
    }
}

/// The share `rate` of the rows `0..n_rows`, increasing; all of them when that is few.
pub(crate) fn draw(n_rows: usize, rate: f32, rng: &mut Xoshiro256PlusPlus) -> Vec<u32> {
    let amount = ((f64::from(rate) * n_rows as f64).ceil() as usize).max(MIN_ROWS);
    if amount >= n_rows {
        return (0..n_rows as u32).collect();
    }
    let mut rows: Vec<u32> = index::sample(rng, n_rows, amount).iter().map(|row| row as u32).collect();
    rows.sort_unstable();
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_from_the_warm_up_to_all_rows() {
        let rates: Vec<f32> = (0..10).map(|level| Sampling::default().rate(level, 10)).collect();
        assert_eq!(rates[..4], [0.1; 4]);
        assert!(rates[3..].is_sorted_by(|a, b| a < b), "{rates:?}");
        assert!((rates[4] - 0.25).abs() < 1e-6 && (rates[9] - 1.0).abs() < 1e-6, "{rates:?}");
        assert_eq!(Sampling::default().rate(0, 1), 0.1);
    }
}
