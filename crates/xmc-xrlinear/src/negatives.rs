//! Which instances a cluster's children are trained on.

use crate::XrLinearError;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Where the negatives of a layer come from: a union of up to three sources. A child's positives always take part.
///
/// Names are PECOS's, joined with `+`: `tfn`, `man`, `usn`, `tfn+man`, …
///
/// ```
/// use xmc_xrlinear::Negatives;
/// let negatives: Negatives = "tfn+man".parse()?;
/// assert!(negatives.teacher && negatives.matcher && !negatives.user);
/// # Ok::<(), xmc_xrlinear::XrLinearError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Negatives {
    /// Teacher-forced negatives: instances that have a label below the cluster. The cheapest, and enough where the
    /// layer above seldom errs.
    pub teacher: bool,
    /// Matcher-aware negatives: instances that the layers above, trained before, send to the cluster: what the layer
    /// will see when it predicts. Best on the layer of the labels; costs a prediction of the training data and
    /// makes that layer's problems larger.
    pub matcher: bool,
    /// User-supplied negatives: instances for which a label below the cluster was named as a hard negative.
    pub user: bool,
}

impl Default for Negatives {
    /// Teacher-forced.
    fn default() -> Self {
        Self { teacher: true, matcher: false, user: false }
    }
}

impl FromStr for Negatives {
    type Err = XrLinearError;

    fn from_str(names: &str) -> Result<Self, XrLinearError> {
        let mut this = Self { teacher: false, matcher: false, user: false };
        for name in names.split('+') {
            let source = match name {
                "tfn" => &mut this.teacher,
                "man" => &mut this.matcher,
                "usn" => &mut this.user,
                _ => return Err(XrLinearError::Negatives { found: names.to_owned() }),
            };
            *source = true;
        }
        Ok(this)
    }
}

impl fmt::Display for Negatives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sources = [(self.teacher, "tfn"), (self.matcher, "man"), (self.user, "usn")];
        let names: Vec<_> = sources.iter().filter(|(used, _)| *used).map(|(_, name)| *name).collect();
        f.write_str(&names.join("+"))
    }
}

impl TryFrom<String> for Negatives {
    type Error = XrLinearError;

    fn try_from(names: String) -> Result<Self, XrLinearError> {
        names.parse()
    }
}

impl From<Negatives> for String {
    fn from(negatives: Negatives) -> Self {
        negatives.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_and_wrong_ones_refused() {
        for names in ["tfn", "man", "usn", "tfn+man", "tfn+man+usn", "man+usn"] {
            assert_eq!(names.parse::<Negatives>().unwrap().to_string(), names);
        }
        assert_eq!("man+tfn".parse::<Negatives>().unwrap().to_string(), "tfn+man");
        for names in ["", "tfn+", "all", "tfn,man"] {
            assert!(matches!(names.parse::<Negatives>(), Err(XrLinearError::Negatives { .. })), "{names}");
        }
    }
}
