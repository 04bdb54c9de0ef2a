//! The losses, as options.

use crate::LinearError;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// What a margin `z = y(w·x + b)` costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// `max(0, 1 − z)²`: LIBLINEAR's and PECOS's `L2R_L2LOSS_SVC_DUAL`. Converges fastest.
    #[default]
    SquaredHinge,
    /// `max(0, 1 − z)`: `L2R_L1LOSS_SVC_DUAL`. Less moved by wrong labels; slow where instances are nearly
    /// the same.
    Hinge,
    /// `ln(1 + e⁻ᶻ)`: `L2R_LR_DUAL`. Scores are log-odds; every instance keeps a little weight, so models are denser.
    Logistic,
}

impl Loss {
    /// All losses.
    pub const ALL: [Self; 3] = [Self::SquaredHinge, Self::Hinge, Self::Logistic];

    /// The name that [`FromStr`] takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::SquaredHinge => "squared-hinge",
            Self::Hinge => "hinge",
            Self::Logistic => "logistic",
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Loss {
    type Err = LinearError;
    fn from_str(name: &str) -> Result<Self, LinearError> {
        let found = Self::ALL.into_iter().find(|loss| loss.name() == name);
        found.ok_or_else(|| LinearError::UnknownLoss { found: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_read_by_the_name_it_prints() {
        for loss in Loss::ALL {
            assert_eq!(loss.to_string().parse(), Ok(loss));
        }
        let unknown = "l2".parse::<Loss>().unwrap_err();
        assert!(unknown.to_string().contains("squared-hinge"), "{unknown}");
    }
}
