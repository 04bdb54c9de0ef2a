//! A setting that may differ from layer to layer.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One value for all layers of a tree, or several, aligned with the *end*: the last value belongs to the last
/// layer, the one before to the layer above it, and the first also to all layers above that.
///
/// Trees differ in depth, and what one wants to say is mostly about the layer of the labels: `[1, 4]` means the
/// same on a tree of any depth.
///
/// ```
/// use xmc_tree::PerLayer;
/// let beams = PerLayer::several(20, [10]);
/// assert_eq!([0, 1, 2].map(|layer| *beams.of(layer, 3)), [20, 20, 10]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written<T>", into = "Written<T>")]
#[serde(bound(serialize = "T: Clone + Serialize", deserialize = "T: Deserialize<'de>"))]
pub struct PerLayer<T> {
    /// At least one.
    values: Vec<T>,
}

/// As it is written down: `10` or `[20, 10]`.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written<T> {
    One(T),
    Several(Vec<T>),
}

impl<T> PerLayer<T> {
    /// `first`, then the values of the layers below, down to the labels.
    pub fn several(first: T, below: impl IntoIterator<Item = T>) -> Self {
        Self { values: std::iter::once(first).chain(below).collect() }
    }

    /// The value of layer `layer` (0 is the root's) of `n_layers`.
    pub fn of(&self, layer: usize, n_layers: usize) -> &T {
        let from_end = n_layers.saturating_sub(layer + 1);
        let at = (self.values.len() - 1).saturating_sub(from_end);
        &self.values[at]
    }

    /// All values, the uppermost layer's first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &T> {
        self.values.iter()
    }

    /// The same shape with `change` made to every value.
    pub fn map<U>(&self, change: impl FnMut(&T) -> U) -> PerLayer<U> {
        PerLayer { values: self.values.iter().map(change).collect() }
    }

    /// Both settings side by side, layer by layer.
    pub fn zip<U: Clone>(&self, other: &PerLayer<U>) -> PerLayer<(T, U)>
    where
        T: Clone,
    {
        let n = self.values.len().max(other.values.len());
        let pair = |layer| (self.of(layer, n).clone(), other.of(layer, n).clone());
        PerLayer { values: (0..n).map(pair).collect() }
    }

    /// The values, all of them, if every one passes `check`.
    ///
    /// # Errors
    /// The first error of `check`.
    pub fn try_map<U, E>(&self, check: impl FnMut(&T) -> Result<U, E>) -> Result<PerLayer<U>, E> {
        Ok(PerLayer { values: self.values.iter().map(check).collect::<Result<_, E>>()? })
    }
}

impl<T: fmt::Display> fmt::Display for PerLayer<T> {
    /// As on a command line: `20,10`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, value) in self.values.iter().enumerate() {
            write!(f, "{}{value}", if at > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

impl<T> From<T> for PerLayer<T> {
    fn from(value: T) -> Self {
        Self { values: vec![value] }
    }
}

impl<T: Default> Default for PerLayer<T> {
    fn default() -> Self {
        T::default().into()
    }
}

impl<T> TryFrom<Vec<T>> for PerLayer<T> {
    type Error = &'static str;

    fn try_from(values: Vec<T>) -> Result<Self, Self::Error> {
        if values.is_empty() {
            Err("expected a value for each layer, found none")
        } else {
            Ok(Self { values })
        }
    }
}

impl<T> TryFrom<Written<T>> for PerLayer<T> {
    type Error = &'static str;

    fn try_from(written: Written<T>) -> Result<Self, Self::Error> {
        match written {
            Written::One(value) => Ok(value.into()),
            Written::Several(values) => values.try_into(),
        }
    }
}

impl<T> From<PerLayer<T>> for Written<T> {
    fn from(mut per_layer: PerLayer<T>) -> Self {
        match per_layer.values.len() {
            1 => Self::One(per_layer.values.remove(0)),
            _ => Self::Several(per_layer.values),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_aligned_with_the_labels() {
        let values = PerLayer::several('a', ['b', 'c']);
        assert_eq!((0..5).map(|layer| *values.of(layer, 5)).collect::<String>(), "aaabc");
        assert_eq!((0..2).map(|layer| *values.of(layer, 2)).collect::<String>(), "bc");
        assert_eq!(*PerLayer::from('z').of(7, 9), 'z');
    }

    #[test]
    fn one_value_is_written_without_brackets() {
        let written = |values: &PerLayer<u32>| serde_json::to_string(values).unwrap();
        assert_eq!((written(&7.into()), written(&PerLayer::several(1, [2]))), ("7".into(), "[1,2]".into()));
        let read = |text| serde_json::from_str::<PerLayer<u32>>(text);
        assert_eq!((read("7").unwrap(), read("[1, 2]").unwrap()), (7.into(), PerLayer::several(1, [2])));
        assert!(read("[]").is_err() && read("\"x\"").is_err());
    }

    #[test]
    fn settings_of_different_lengths_meet_at_the_labels() {
        let pairs = PerLayer::several(1, [2, 3]).zip(&PerLayer::several('a', ['b']));
        assert_eq!(pairs, PerLayer::several((1, 'a'), [(2, 'a'), (3, 'b')]));
    }
}
