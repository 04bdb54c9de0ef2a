//! The result: metrics by name and cut-off, in percent.

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A metric. The conventions are those of the crate's front page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Metric {
    /// `p`: precision.
    Precision,
    /// `r`: recall.
    Recall,
    /// `ndcg`: normalised discounted cumulative gain.
    Ndcg,
    /// `psp`: propensity-scored precision.
    PsPrecision,
    /// `psndcg`: propensity-scored nDCG.
    PsNdcg,
    /// `micro-f1`: F1 over all pairs of instance and label.
    MicroF1,
    /// `macro-f1`: mean F1 of the labels.
    MacroF1,
    /// `coverage`: share of the true labels that are hit at least once.
    Coverage,
}

impl Metric {
    /// All metrics, in the order in which they are written.
    pub const ALL: [Self; 8] = [
        Self::Precision,
        Self::Recall,
        Self::Ndcg,
        Self::PsPrecision,
        Self::PsNdcg,
        Self::MicroF1,
        Self::MacroF1,
        Self::Coverage,
    ];

    /// The name in JSON, before `@k`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Precision => "p",
            Self::Recall => "r",
            Self::Ndcg => "ndcg",
            Self::PsPrecision => "psp",
            Self::PsNdcg => "psndcg",
            Self::MicroF1 => "micro-f1",
            Self::MacroF1 => "macro-f1",
            Self::Coverage => "coverage",
        }
    }

    /// The name in tables.
    pub fn title(self) -> &'static str {
        match self {
            Self::Precision => "P",
            Self::Recall => "R",
            Self::Ndcg => "nDCG",
            Self::PsPrecision => "PSP",
            Self::PsNdcg => "PSnDCG",
            Self::MicroF1 => "micro-F1",
            Self::MacroF1 => "macro-F1",
            Self::Coverage => "coverage",
        }
    }

    /// A metric and its cut-off from their name in JSON, such as `ndcg@5`.
    pub fn at_cutoff(name: &str) -> Option<(Self, usize)> {
        let (metric, k) = name.split_once('@')?;
        Some((Self::from_key(metric)?, k.parse().ok()?))
    }

    fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.key() == key)
    }
}

/// Metrics of one evaluation, in percent.
///
/// In JSON one flat object, `{"p@1": 37.1, "p@3": …, "n": 1000}`; reading ignores keys that are not known, so
/// scores of a later version can be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    n: usize,
    values: BTreeMap<(Metric, usize), f64>,
}

impl Scores {
    pub(crate) fn new(n: usize) -> Self {
        Self { n, values: BTreeMap::new() }
    }

    pub(crate) fn set(&mut self, metric: Metric, k: usize, fraction: f64) {
        self.values.insert((metric, k), 100.0 * fraction);
    }

    /// Number of instances.
    pub fn n(&self) -> usize {
        self.n
    }

    /// `metric` at cut-off `k`, in percent, if it was computed.
    pub fn get(&self, metric: Metric, k: usize) -> Option<f64> {
        self.values.get(&(metric, k)).copied()
    }

    /// All values in percent: metric, cut-off, value, in this order.
    pub fn iter(&self) -> impl Iterator<Item = (Metric, usize, f64)> {
        self.values.iter().map(|(&(metric, k), &value)| (metric, k, value))
    }
}

impl Serialize for Scores {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.values.len() + 1))?;
        for (metric, k, value) in self.iter() {
            map.serialize_entry(&format!("{}@{k}", metric.key()), &value)?;
        }
        map.serialize_entry("n", &self.n)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Scores {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let entries = BTreeMap::<String, f64>::deserialize(from)?;
        let n = *entries.get("n").ok_or_else(|| D::Error::missing_field("n"))?;
        let known = |(key, value): (String, f64)| Some((Metric::at_cutoff(&key)?, value));
        Ok(Self { n: n as usize, values: entries.into_iter().filter_map(known).collect() })
    }
}

/// A table: one line for each metric, one column for each cut-off, in percent.
impl fmt::Display for Scores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cutoffs: BTreeSet<usize> = self.values.keys().map(|&(_, k)| k).collect();
        write!(f, "{:<8}", "percent")?;
        for k in &cutoffs {
            write!(f, " {:>7}", format!("@{k}"))?;
        }
        for metric in Metric::ALL {
            let row: Vec<Option<f64>> = cutoffs.iter().map(|&k| self.get(metric, k)).collect();
            if row.iter().all(Option::is_none) {
                continue;
            }
            write!(f, "\n{:<8}", metric.title())?;
            for value in row {
                match value {
                    Some(value) => write!(f, " {value:>7.2}")?,
                    None => write!(f, " {:>7}", "-")?,
                }
            }
        }
        write!(f, "\n{} instances", self.n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores() -> Scores {
        let mut scores = Scores::new(7);
        scores.set(Metric::Recall, 10, 0.5);
        scores.set(Metric::Precision, 10, 0.25);
        scores.set(Metric::Precision, 1, 1.0);
        scores
    }

    #[test]
    fn json_is_one_flat_object_in_percent() {
        let json = serde_json::to_string(&scores()).unwrap();
        assert_eq!(json, r#"{"p@1":100.0,"p@10":25.0,"r@10":50.0,"n":7}"#);
        assert_eq!(serde_json::from_str::<Scores>(&json).unwrap(), scores());
    }

    #[test]
    fn unknown_metrics_are_passed_over_and_a_missing_count_is_not() {
        let later = r#"{"p@1": 100.0, "opis": 1.0, "x@3": 2.0, "r@x": 1.0, "n": 7}"#;
        assert_eq!(serde_json::from_str::<Scores>(later).unwrap().iter().count(), 1);
        assert!(serde_json::from_str::<Scores>(r#"{"p@1": 100.0}"#).is_err());
    }

    #[test]
    fn the_table_has_a_line_for_each_metric() {
        let expected =
            "percent       @1     @10\nP         100.00   25.00\nR              -   50.00\n7 instances";
        assert_eq!(scores().to_string(), expected);
    }
}
