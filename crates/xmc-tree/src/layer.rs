//! One level of a label tree: which children stand under which parent.

use crate::{ChildParents, TreeError};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use xmc_sparse::{Csr, CsrBuilder, SparseRow};

/// One level: parents (clusters of the level above) to children (clusters of this level, or the
/// labels on the last).
///
/// A *slot* is one place under one parent. A child may stand under several parents (label
/// disentanglement), so there are at least as many slots as children; without overlap the numbers
/// agree. Weights of a layer are stored slot by slot.
///
/// Invariants: the children of a parent strictly increase, every child has at least one parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "LayerParts")]
pub struct TreeLayer {
    child_ptr: Vec<u32>,
    children: Vec<u32>,
    n_children: usize,
}

/// What is stored of a [`TreeLayer`]: read back only through [`TreeLayer::from_parts`].
#[derive(Deserialize)]
struct LayerParts {
    child_ptr: Vec<u32>,
    children: Vec<u32>,
    n_children: usize,
}

impl TryFrom<LayerParts> for TreeLayer {
    type Error = TreeError;

    fn try_from(parts: LayerParts) -> Result<Self, TreeError> {
        Self::from_parts(parts.child_ptr, parts.children, parts.n_children)
    }
}

impl TreeLayer {
    /// A layer from its arrays: the children of parent `p` are
    /// `children[child_ptr[p]..child_ptr[p + 1]]`, each below `n_children`.
    ///
    /// # Errors
    /// [`TreeError::Offsets`], [`TreeError::ChildOutOfRange`], [`TreeError::ChildrenUnsorted`] or
    /// [`TreeError::Orphan`], whichever comes first.
    pub fn from_parts(child_ptr: Vec<u32>, children: Vec<u32>, n_children: usize) -> Result<Self, TreeError> {
        check_offsets(&child_ptr, &children)?;
        let layer = Self { child_ptr, children, n_children };
        layer.check_children()?;
        Ok(layer)
    }

    /// A layer from a list of children for each parent, in any order.
    ///
    /// # Errors
    /// As [`TreeLayer::from_parts`], and [`TreeError::TooManyLabels`] above `u32::MAX` slots.
    pub fn from_lists<L>(lists: impl IntoIterator<Item = L>, n_children: usize) -> Result<Self, TreeError>
    where
        L: IntoIterator<Item = u32>,
    {
        let (mut child_ptr, mut children) = (vec![0], Vec::new());
        for list in lists {
            let start = children.len();
            children.extend(list);
            children[start..].sort_unstable();
            child_ptr.push(offset(children.len())?);
        }
        Self::from_parts(child_ptr, children, n_children)
    }

    /// `n_children` children in runs of `width` under `⌈n_children / width⌉` parents: how the codes
    /// of a binary tree collapse to a wider one.
    pub(crate) fn runs(n_children: usize, width: usize) -> Result<Self, TreeError> {
        let end = offset(n_children)?;
        Self::from_lists(
            (0..end).step_by(width).map(|at| at..at.saturating_add(width as u32).min(end)),
            n_children,
        )
    }

    /// One level of a chain of cluster matrices `C`: rows are children, columns parents.
    ///
    /// # Errors
    /// As [`TreeLayer::from_lists`].
    pub fn from_cluster_matrix(matrix: &Csr) -> Result<Self, TreeError> {
        let parents = matrix.transpose();
        Self::from_lists(parents.rows().map(|row| row.indices.iter().copied()), matrix.n_rows())
    }

    /// The level as a cluster matrix `C`: `n_children × n_parents`, ones.
    pub fn to_cluster_matrix(&self) -> Csr {
        let mut parents = CsrBuilder::new();
        let ones = vec![1.0; self.max_siblings()];
        for parent in 0..self.n_parents() {
            let indices = self.children(parent);
            parents.push_sorted(SparseRow { indices, values: &ones[..indices.len()] });
        }
        parents.finish(self.n_children).expect("invariant: children are sorted and in range").transpose()
    }

    /// Number of parents.
    pub fn n_parents(&self) -> usize {
        self.child_ptr.len() - 1
    }

    /// Number of children; their ids are `0..n_children`.
    pub fn n_children(&self) -> usize {
        self.n_children
    }

    /// Number of places under all parents, at least `n_children`.
    pub fn n_slots(&self) -> usize {
        self.children.len()
    }

    /// Whether every child stands under exactly one parent.
    pub fn is_partition(&self) -> bool {
        self.n_slots() == self.n_children
    }

    /// Where each child stands: the layer from child to parent.
    pub fn parents(&self) -> ChildParents {
        ChildParents::new(self)
    }

    /// The layer from these parents to the children of `below`, whose parents are this layer's children. A
    /// child under several clusters of one parent stands there once.
    ///
    /// # Errors
    /// [`TreeError::TooManyLabels`].
    pub(crate) fn skip_to(&self, below: &Self) -> Result<Self, TreeError> {
        let lists = (0..self.n_parents()).map(|parent| {
            let clusters = self.children(parent).iter();
            let mut children: Vec<u32> =
                clusters.flat_map(|&cluster| below.children(cluster as usize)).copied().collect();
            children.sort_unstable();
            children.dedup();
            children
        });
        Self::from_lists(lists, below.n_children)
    }

    /// The slots of parent `parent`; panics when it is out of range.
    #[inline]
    pub fn slots(&self, parent: usize) -> Range<usize> {
        self.child_ptr[parent] as usize..self.child_ptr[parent + 1] as usize
    }

    /// The slots of the parents `parents`; panics when one is out of range.
    pub fn slots_of(&self, parents: Range<usize>) -> Range<usize> {
        self.child_ptr[parents.start] as usize..self.child_ptr[parents.end] as usize
    }

    /// The children of parent `parent`, strictly increasing; panics when it is out of range.
    #[inline]
    pub fn children(&self, parent: usize) -> &[u32] {
        &self.children[self.slots(parent)]
    }

    /// Offsets of the parents' slots, `n_parents + 1` of them.
    pub fn child_ptr(&self) -> &[u32] {
        &self.child_ptr
    }

    /// The child of every slot, parent by parent.
    pub fn slot_children(&self) -> &[u32] {
        &self.children
    }

    /// The largest number of children under one parent.
    pub fn max_siblings(&self) -> usize {
        self.child_ptr.windows(2).map(|pair| (pair[1] - pair[0]) as usize).max().unwrap_or(0)
    }

    fn check_children(&self) -> Result<(), TreeError> {
        let mut seen = vec![false; self.n_children];
        for parent in 0..self.n_parents() {
            let children = self.children(parent);
            if let Some(pair) = children.windows(2).find(|pair| pair[0] >= pair[1]) {
                return Err(TreeError::ChildrenUnsorted { parent, before: pair[0], after: pair[1] });
            }
            for &child in children {
                let known = seen.get_mut(child as usize);
                let n_children = self.n_children;
                *known.ok_or(TreeError::ChildOutOfRange { parent, child, n_children })? = true;
            }
        }
        match seen.iter().position(|seen| !seen) {
            Some(child) => Err(TreeError::Orphan { child }),
            None => Ok(()),
        }
    }
}

fn offset(slots: usize) -> Result<u32, TreeError> {
    u32::try_from(slots).map_err(|_| TreeError::TooManyLabels { found: slots })
}

fn check_offsets(child_ptr: &[u32], children: &[u32]) -> Result<(), TreeError> {
    let wrong = |reason| TreeError::Offsets { offsets: child_ptr.len(), slots: children.len(), reason };
    if child_ptr.first() != Some(&0) || child_ptr.windows(2).any(|pair| pair[0] > pair[1]) {
        return Err(wrong("child offsets must start at 0 and never decrease"));
    }
    if child_ptr.last().map(|&end| end as usize) != Some(children.len()) {
        return Err(wrong("the last child offset must be the number of slots"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_come_back_by_parent() {
        let layer = TreeLayer::from_lists([vec![2, 0], vec![1, 2]], 3).unwrap();
        assert_eq!((layer.n_parents(), layer.n_children(), layer.n_slots()), (2, 3, 4));
        assert_eq!((layer.children(0), layer.children(1)), (&[0, 2][..], &[1, 2][..]));
        assert_eq!((layer.slots(1), layer.max_siblings()), (2..4, 2));
    }

    #[test]
    fn a_layer_survives_its_cluster_matrix() {
        let layer = TreeLayer::from_lists([vec![0, 2], vec![1, 2]], 3).unwrap();
        let matrix = layer.to_cluster_matrix();
        assert_eq!((matrix.n_rows(), matrix.n_cols()), (3, 2));
        assert_eq!(matrix.row(2).indices, &[0, 1]);
        assert_eq!(TreeLayer::from_cluster_matrix(&matrix).unwrap(), layer);
    }

    #[test]
    fn the_last_run_may_be_shorter() {
        let layer = TreeLayer::runs(5, 2).unwrap();
        assert_eq!(layer.child_ptr(), &[0, 2, 4, 5]);
        assert_eq!(layer.slot_children(), &[0, 1, 2, 3, 4]);
    }

    #[test]
    fn each_broken_invariant_is_named() {
        for child_ptr in [vec![], vec![1, 2], vec![0, 2, 1, 2], vec![0, 1]] {
            let broken = TreeLayer::from_parts(child_ptr, vec![0, 1], 2);
            assert!(matches!(broken, Err(TreeError::Offsets { slots: 2, .. })));
        }
        assert_eq!(
            TreeLayer::from_parts(vec![0, 2], vec![0, 2], 2),
            Err(TreeError::ChildOutOfRange { parent: 0, child: 2, n_children: 2 })
        );
        assert_eq!(
            TreeLayer::from_parts(vec![0, 2], vec![1, 0], 2),
            Err(TreeError::ChildrenUnsorted { parent: 0, before: 1, after: 0 })
        );
        assert_eq!(TreeLayer::from_parts(vec![0, 1], vec![1], 2), Err(TreeError::Orphan { child: 0 }));
    }
}
