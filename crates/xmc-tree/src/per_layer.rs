//! A setting that may differ from layer to layer.

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PerLayer<T> {
    /// At least one.
    values: Vec<T>,
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

/// Written down as `10` or `[20, 10]`.
impl<T: Serialize> Serialize for PerLayer<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.values[..] {
            [value] => value.serialize(serializer),
            values => values.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for PerLayer<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrSeveral(PhantomData))
    }
}

/// Reads a value or a list of values. Serde's untagged enums can do it too, but lose what is wrong, and where.
struct OneOrSeveral<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> OneOrSeveral<T> {
    fn one<E: de::Error>(value: impl IntoDeserializer<'de, E>) -> Result<PerLayer<T>, E> {
        T::deserialize(value.into_deserializer()).map(PerLayer::from)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrSeveral<T> {
    type Value = PerLayer<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, or a list with a value for each layer")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
        Self::one(value)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        Self::one(value)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        Self::one(value)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
        Self::one(value)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Self::Value, E> {
        Self::one(value)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(PerLayer::from)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        let values = Vec::deserialize(SeqAccessDeserializer::new(seq))?;
        values.try_into().map_err(de::Error::custom)
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
