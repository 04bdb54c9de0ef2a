//! A collection of texts that threads can read by number.
//!
//! Slices of strings are one; so can be an arena that keeps a million titles in one allocation.

/// Texts numbered from 0, readable from any thread.
pub trait Documents: Sync {
    /// Number of documents.
    fn len(&self) -> usize;

    /// Document `index`; panics when it is out of range.
    fn get(&self, index: usize) -> &str;

    /// Whether there is no document.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: AsRef<str> + Sync> Documents for [T] {
    fn len(&self) -> usize {
        <[T]>::len(self)
    }

    fn get(&self, index: usize) -> &str {
        self[index].as_ref()
    }
}

impl<T: AsRef<str> + Sync, const N: usize> Documents for [T; N] {
    fn len(&self) -> usize {
        N
    }

    fn get(&self, index: usize) -> &str {
        self[index].as_ref()
    }
}

impl<T: AsRef<str> + Sync> Documents for Vec<T> {
    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn get(&self, index: usize) -> &str {
        self[index].as_ref()
    }
}

impl<D: Documents + ?Sized> Documents for &D {
    fn len(&self) -> usize {
        D::len(self)
    }

    fn get(&self, index: usize) -> &str {
        D::get(self, index)
    }
}
