//! Slices that own their memory, whatever it is: a vector, or a mapped file.
//!
//! Data sets larger than memory are mapped, all others are vectors, and whoever reads a matrix should not have to know which. The slice
//! is kept beside what it points into ([`yoke`]), so that reading it costs what reading a vector costs.

use std::any::Any;
use std::ops::Deref;
use std::sync::Arc;
use yoke::Yoke;

/// An immutable slice of `T`, cheap to clone: clones share the memory.
///
/// ```
/// use xmc_sparse::SharedSlice;
/// let owned = SharedSlice::from(vec![1, 2, 3]);
/// assert_eq!(owned.clone().into_vec(), [1, 2, 3]);
/// let foreign = SharedSlice::of(String::from("ab"), |text| text.as_bytes());
/// assert_eq!(&foreign[..], b"ab");
/// assert!(owned.is_owned() && !foreign.is_owned());
/// ```
pub struct SharedSlice<T: 'static> {
    slice: Yoke<&'static [T], Arc<dyn Any + Send + Sync>>,
}

impl<T: Send + Sync + 'static> SharedSlice<T> {
    /// A slice of what `owner` has, which lives as long as the slice and its clones.
    pub fn of<O: Send + Sync + 'static>(owner: O, slice: impl FnOnce(&O) -> &[T]) -> Self {
        let owner: Arc<dyn Any + Send + Sync> = Arc::new(owner);
        Self { slice: Yoke::attach_to_cart(owner, |owner| slice(known(owner))) }
    }

    /// Whether the slice is a vector's, on the heap: anything else is somewhere that the system can have back.
    pub fn is_owned(&self) -> bool {
        self.slice.backing_cart().is::<Vec<T>>()
    }

    /// The elements as a vector: the slice's own if nobody shares it, or a copy.
    pub fn into_vec(self) -> Vec<T>
    where
        T: Clone,
    {
        if !self.is_owned() {
            return self.to_vec();
        }
        let owner = self.slice.into_backing_cart().downcast::<Vec<T>>();
        Arc::unwrap_or_clone(owner.expect("invariant: the owner was looked at"))
    }
}

/// The owner as what it was made of.
fn known<O: 'static>(owner: &(dyn Any + Send + Sync)) -> &O {
    owner.downcast_ref().expect("invariant: the owner is of the type that it was made of")
}

impl<T> Deref for SharedSlice<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        self.slice.get()
    }
}

impl<T: Send + Sync> From<Vec<T>> for SharedSlice<T> {
    fn from(values: Vec<T>) -> Self {
        Self::of(values, Vec::as_slice)
    }
}

impl<T: Send + Sync> Default for SharedSlice<T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<T: Send + Sync> FromIterator<T> for SharedSlice<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        values.into_iter().collect::<Vec<T>>().into()
    }
}

impl<T> Clone for SharedSlice<T> {
    fn clone(&self) -> Self {
        Self { slice: self.slice.clone() }
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for SharedSlice<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T: PartialEq> PartialEq for SharedSlice<T> {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

impl<T: Eq> Eq for SharedSlice<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_of_ones_own_is_taken_back_and_a_shared_one_copied() {
        let slice = SharedSlice::from(vec![1u32, 2, 3]);
        let at = slice.as_ptr();
        let other = slice.clone();
        assert_eq!(other.as_ptr(), at);
        let copy = slice.into_vec();
        assert_ne!(copy.as_ptr(), at);
        let own = other.into_vec();
        assert_eq!(own.as_ptr(), at);
    }

    #[test]
    fn a_slice_outlives_the_scope_of_its_owner_and_crosses_threads() {
        let part = {
            let owner = vec![[1.0f32, 2.0], [3.0, 4.0]];
            SharedSlice::of(owner, |owner| owner[1].as_slice())
        };
        let sum = std::thread::spawn({
            let part = part.clone();
            move || part.iter().sum::<f32>()
        });
        assert_eq!(sum.join().unwrap(), 7.0);
        assert_eq!(part.into_vec(), [3.0, 4.0]);
    }
}
