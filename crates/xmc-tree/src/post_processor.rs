//! What turns margins into scores.
//!
//! A score is combined along the path from the root. Inside the search it is always a *sum*: the products
//! of PECOS's post-processors are sums of logarithms, which rank alike, cost no exponential for a candidate
//! that is thrown away, and do not underflow. Only the labels that are returned are exponentiated.

use crate::TreeError;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use xmc_sparse::Score;

/// How a margin `v = w·x + b` becomes a score, and how it meets its parent's score.
///
/// Names are PECOS's: `l3-hinge` is `exp(−max(0, 1 − v)³) × parent`, `log-l3-hinge` its logarithm, `sigmoid`
/// and `log-sigmoid` likewise with `1 / (1 + e^−v)`, and `noop` is `v` whatever the parent's score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PostProcessor {
    /// `exp(−max(0, 1 − v)^p)`, multiplied along the path.
    Hinge(u8),
    /// `−max(0, 1 − v)^p`, added along the path.
    LogHinge(u8),
    /// `1 / (1 + exp(−v))`, multiplied along the path.
    Sigmoid,
    /// Its logarithm, added along the path.
    LogSigmoid,
    /// The margin itself; the path only selects candidates.
    Noop,
}

impl Default for PostProcessor {
    /// PECOS's default, `l3-hinge`.
    fn default() -> Self {
        Self::Hinge(3)
    }
}

impl PostProcessor {
    /// The additive form of a child's score.
    #[inline(always)]
    pub(crate) fn add(self, margin: f32, parent: f32) -> f32 {
        match self {
            Self::Hinge(p) | Self::LogHinge(p) => parent - (1.0 - margin).max(0.0).powi(p.into()),
            // log σ(v) = −log(1 + e^−v), in the form that does not overflow.
            Self::Sigmoid | Self::LogSigmoid => parent + margin.min(0.0) - (-margin.abs()).exp().ln_1p(),
            Self::Noop => margin,
        }
    }

    /// From the additive form to the score that is returned.
    #[inline(always)]
    pub(crate) fn finish(self, sum: f32) -> Score {
        match self {
            Self::Hinge(_) | Self::Sigmoid => sum.exp(),
            Self::LogHinge(_) | Self::LogSigmoid | Self::Noop => sum,
        }
    }

    /// Whether scores are multiplied along the path rather than added.
    pub fn multiplies(self) -> bool {
        matches!(self, Self::Hinge(_) | Self::Sigmoid)
    }

    /// The score of a child with this margin under a parent of this score (1 at the root for products, 0
    /// for sums).
    pub fn score(self, margin: f32, parent: Score) -> Score {
        match self.multiplies() {
            true => self.finish(self.add(margin, 0.0)) * parent,
            false => self.add(margin, parent),
        }
    }
}

impl fmt::Display for PostProcessor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hinge(p) => write!(f, "l{p}-hinge"),
            Self::LogHinge(p) => write!(f, "log-l{p}-hinge"),
            Self::Sigmoid => f.write_str("sigmoid"),
            Self::LogSigmoid => f.write_str("log-sigmoid"),
            Self::Noop => f.write_str("noop"),
        }
    }
}

impl FromStr for PostProcessor {
    type Err = TreeError;

    fn from_str(name: &str) -> Result<Self, TreeError> {
        let power = |name: &str| -> Option<u8> {
            name.strip_prefix('l')?.strip_suffix("-hinge")?.parse().ok().filter(|p| (1..=9).contains(p))
        };
        let parsed = match name {
            "sigmoid" => Some(Self::Sigmoid),
            "log-sigmoid" => Some(Self::LogSigmoid),
            "noop" => Some(Self::Noop),
            _ => match name.strip_prefix("log-") {
                Some(rest) => power(rest).map(Self::LogHinge),
                None => power(name).map(Self::Hinge),
            },
        };
        parsed.ok_or_else(|| TreeError::PostProcessor { found: name.to_owned() })
    }
}

impl TryFrom<String> for PostProcessor {
    type Error = TreeError;
    fn try_from(name: String) -> Result<Self, TreeError> {
        name.parse()
    }
}

impl From<PostProcessor> for String {
    fn from(post_processor: PostProcessor) -> Self {
        post_processor.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_and_wrong_ones_refused() {
        for name in ["l3-hinge", "log-l3-hinge", "l1-hinge", "sigmoid", "log-sigmoid", "noop"] {
            assert_eq!(name.parse::<PostProcessor>().unwrap().to_string(), name);
        }
        for name in ["", "l0-hinge", "l-hinge", "hinge", "l3-hing", "log-noop"] {
            assert!(matches!(name.parse::<PostProcessor>(), Err(TreeError::PostProcessor { .. })), "{name}");
        }
    }
}
