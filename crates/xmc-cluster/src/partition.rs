//! The result of a clustering: every row in one leaf.

/// The leaves of a balanced clustering in the order of the recursion: leaves `2k` and `2k + 1` were
/// one node before the last split, so `leaf / 2` is its parent, `leaf / 16` its ancestor four up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    leaves: Vec<Vec<u32>>,
}

impl Partition {
    pub(crate) fn new(leaves: Vec<Vec<u32>>) -> Self {
        Self { leaves }
    }

    /// Number of leaves, `2^depth`.
    pub fn n_leaves(&self) -> usize {
        self.leaves.len()
    }

    /// The rows of leaf `leaf`, increasing; panics when it is out of range.
    pub fn leaf(&self, leaf: usize) -> &[u32] {
        &self.leaves[leaf]
    }

    /// All leaves in order.
    pub fn leaves(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        self.leaves.iter().map(Vec::as_slice)
    }
}
