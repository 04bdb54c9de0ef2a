//! Many strings in one buffer: 8 bytes of overhead each instead of an allocation.

use serde::{Deserialize, Serialize};
use std::ops::Index;

/// An append-only list of strings, stored end to end.
///
/// ```
/// let texts: xmc_data::Texts = ["red", "green"].into_iter().collect();
/// assert_eq!(&texts[1], "green");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Texts {
    ends: Vec<usize>,
    text: String,
}

impl Texts {
    /// No strings yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a string.
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    /// Number of strings.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Removes all strings and keeps the memory.
    pub fn clear(&mut self) {
        self.ends.clear();
        self.text.clear();
    }

    /// Keeps the first `len` strings.
    pub fn truncate(&mut self, len: usize) {
        self.ends.truncate(len);
        self.text.truncate(self.ends.last().copied().unwrap_or(0));
    }

    /// String `at`, `None` when out of range.
    pub fn get(&self, at: usize) -> Option<&str> {
        let end = *self.ends.get(at)?;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        Some(&self.text[start..end])
    }

    /// All strings in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|at| &self[at])
    }

    /// The strings named by `rows`, in that order.
    pub fn select(&self, rows: &[usize]) -> Self {
        rows.iter().map(|&row| &self[row]).collect()
    }

    /// All strings end to end, and where each one ends (byte offsets).
    pub fn as_parts(&self) -> (&str, &[usize]) {
        (&self.text, &self.ends)
    }

    /// Gives back memory that is not used.
    pub fn shrink_to_fit(&mut self) {
        self.ends.shrink_to_fit();
        self.text.shrink_to_fit();
    }
}

impl Index<usize> for Texts {
    type Output = str;

    fn index(&self, at: usize) -> &str {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.text[start..self.ends[at]]
    }
}

impl<S: AsRef<str>> Extend<S> for Texts {
    fn extend<I: IntoIterator<Item = S>>(&mut self, texts: I) {
        texts.into_iter().for_each(|text| self.push(text.as_ref()));
    }
}

impl<S: AsRef<str>> FromIterator<S> for Texts {
    fn from_iter<I: IntoIterator<Item = S>>(texts: I) -> Self {
        let mut this = Self::new();
        this.extend(texts);
        this
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_goes_in_comes_out(texts in prop::collection::vec(".{0,12}", 0..20), keep in 0usize..25) {
            let mut arena: Texts = texts.iter().collect();
            prop_assert_eq!(arena.iter().collect::<Vec<_>>(), texts.iter().collect::<Vec<_>>());
            arena.truncate(keep);
            prop_assert_eq!(arena.len(), keep.min(texts.len()));
            prop_assert!(arena.iter().zip(&texts).all(|(a, b)| a == b));
            prop_assert_eq!(arena.get(texts.len()), None);
        }
    }
}
