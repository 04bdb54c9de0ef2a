//! Many strings in one buffer: 8 bytes of overhead each instead of an allocation.

use serde::{Deserialize, Serialize};
use std::ops::Index;
use xmc_sparse::SharedSlice;

/// An append-only list of strings, stored end to end: on the heap, or in a mapped file. Appending to the latter copies it.
///
/// ```
/// let texts: xmc_data::Texts = ["red", "green"].into_iter().collect();
/// assert_eq!(&texts[1], "green");
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct Texts {
    storage: Storage,
}

#[derive(Clone)]
enum Storage {
    Owned { ends: Vec<usize>, text: String },
    // What is in a file may be damaged: each string is looked at when it is asked for.
    Mapped { ends: SharedSlice<usize>, bytes: SharedSlice<u8> },
}

impl Texts {
    /// No strings yet.
    pub fn new() -> Self {
        Self { storage: Storage::Owned { ends: Vec::new(), text: String::new() } }
    }

    /// Strings in a mapped file; `None` unless the ends are in order and the last is that of the bytes.
    pub(crate) fn from_mapped(ends: SharedSlice<usize>, bytes: SharedSlice<u8>) -> Option<Self> {
        let is_whole = ends.is_sorted() && ends.last().copied().unwrap_or(0) == bytes.len();
        is_whole.then_some(Self { storage: Storage::Mapped { ends, bytes } })
    }

    /// Appends a string.
    pub fn push(&mut self, text: &str) {
        let (ends, all) = self.own();
        all.push_str(text);
        ends.push(all.len());
    }

    /// The strings on the heap, where they are brought if they are mapped.
    fn own(&mut self) -> (&mut Vec<usize>, &mut String) {
        if let Storage::Mapped { .. } = self.storage {
            *self = self.iter().collect();
        }
        match &mut self.storage {
            Storage::Owned { ends, text } => (ends, text),
            Storage::Mapped { .. } => unreachable!("invariant: they were just brought to the heap"),
        }
    }

    fn ends(&self) -> &[usize] {
        match &self.storage {
            Storage::Owned { ends, .. } => ends,
            Storage::Mapped { ends, .. } => ends,
        }
    }

    /// Number of strings.
    pub fn len(&self) -> usize {
        self.ends().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends().is_empty()
    }

    /// Whether the strings are on the heap, not in a mapped file.
    pub fn is_owned(&self) -> bool {
        matches!(self.storage, Storage::Owned { .. })
    }

    /// Removes all strings and keeps the memory.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// Keeps the first `len` strings.
    pub fn truncate(&mut self, len: usize) {
        let (ends, text) = self.own();
        ends.truncate(len);
        text.truncate(ends.last().copied().unwrap_or(0));
    }

    /// String `at`, `None` when out of range. A string of a damaged file that is no text is empty.
    pub fn get(&self, at: usize) -> Option<&str> {
        (at < self.len()).then(|| &self[at])
    }

    /// All strings in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|at| &self[at])
    }

    /// The strings named by `rows`, in that order.
    pub fn select(&self, rows: &[usize]) -> Self {
        rows.iter().map(|&row| &self[row]).collect()
    }

    /// The number of the first string of a mapped file that is no text.
    pub(crate) fn find_damage(&self) -> Option<usize> {
        let Storage::Mapped { ends, bytes } = &self.storage else { return None };
        let starts = std::iter::once(0).chain(ends.iter().copied());
        starts.zip(ends.iter()).position(|(start, &end)| std::str::from_utf8(&bytes[start..end]).is_err())
    }

    /// Gives back memory that is not used.
    pub fn shrink_to_fit(&mut self) {
        if let Storage::Owned { ends, text } = &mut self.storage {
            ends.shrink_to_fit();
            text.shrink_to_fit();
        }
    }
}

impl Index<usize> for Texts {
    type Output = str;

    fn index(&self, at: usize) -> &str {
        let ends = self.ends();
        let range = (if at == 0 { 0 } else { ends[at - 1] })..ends[at];
        match &self.storage {
            Storage::Owned { text, .. } => &text[range],
            Storage::Mapped { bytes, .. } => std::str::from_utf8(&bytes[range]).unwrap_or_default(),
        }
    }
}

impl Default for Texts {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Texts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl PartialEq for Texts {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Texts {}

impl From<Vec<String>> for Texts {
    fn from(texts: Vec<String>) -> Self {
        texts.into_iter().collect()
    }
}

impl From<Texts> for Vec<String> {
    fn from(texts: Texts) -> Self {
        texts.iter().map(str::to_owned).collect()
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

    #[test]
    fn mapped_strings_are_like_owned_ones_and_damaged_ones_are_empty() {
        let ends = || SharedSlice::from(vec![3, 3, 5]);
        let mapped = Texts::from_mapped(ends(), SharedSlice::from(b"redab".to_vec())).unwrap();
        let owned: Texts = ["red", "", "ab"].into_iter().collect();
        assert_eq!((&mapped, mapped.find_damage()), (&owned, None));
        let mut longer = mapped.clone();
        longer.push("x");
        assert_eq!((longer.len(), &longer[2], mapped.len(), longer.is_owned()), (4, "ab", 3, true));
        let damaged = Texts::from_mapped(ends(), SharedSlice::from(b"red\xffb".to_vec())).unwrap();
        assert_eq!((&damaged[0], &damaged[2], damaged.find_damage()), ("red", "", Some(2)));
        for (ends, bytes) in [(vec![3, 2, 5], 5), (vec![3], 5), (vec![], 1), (vec![9], 5)] {
            assert!(Texts::from_mapped(ends.into(), vec![b'a'; bytes].into()).is_none());
        }
    }
}
