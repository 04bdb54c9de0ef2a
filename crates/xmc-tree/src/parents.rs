//! The way back up a layer: where each child stands.

use crate::TreeLayer;

/// For each child of a [`TreeLayer`] its parents and its slots, in the order of the parents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildParents {
    ptr: Vec<u32>,
    parents: Vec<u32>,
    slots: Vec<u32>,
}

impl ChildParents {
    pub(crate) fn new(layer: &TreeLayer) -> Self {
        let mut ptr = vec![0u32; layer.n_children() + 1];
        layer.slot_children().iter().for_each(|&child| ptr[child as usize + 1] += 1);
        for child in 0..layer.n_children() {
            ptr[child + 1] += ptr[child];
        }
        let mut next = ptr.clone();
        let (mut parents, mut slots) = (vec![0; layer.n_slots()], vec![0; layer.n_slots()]);
        for parent in 0..layer.n_parents() {
            for slot in layer.slots(parent) {
                let at = &mut next[layer.slot_children()[slot] as usize];
                parents[*at as usize] = parent as u32;
                slots[*at as usize] = slot as u32;
                *at += 1;
            }
        }
        Self { ptr, parents, slots }
    }

    /// The parents of child `child`, increasing, at least one; panics when it is out of range.
    pub fn of(&self, child: usize) -> &[u32] {
        &self.parents[self.range(child)]
    }

    /// The slots of child `child`, increasing, one under each of its parents; panics when it is out of range.
    pub fn slots_of(&self, child: usize) -> &[u32] {
        &self.slots[self.range(child)]
    }

    /// Offsets of the children in [`Self::all`], `n_children + 1` of them.
    pub fn ptr(&self) -> &[u32] {
        &self.ptr
    }

    /// The parents of all children, child by child.
    pub fn all(&self) -> &[u32] {
        &self.parents
    }

    fn range(&self, child: usize) -> std::ops::Range<usize> {
        self.ptr[child] as usize..self.ptr[child + 1] as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_of_a_child_is_found() {
        let layer = TreeLayer::from_lists([vec![0, 2], vec![1, 2], vec![]], 3).unwrap();
        let parents = layer.parents();
        assert_eq!([0, 1, 2].map(|child| parents.of(child).to_vec()), [vec![0], vec![1], vec![0, 1]]);
        assert_eq!((parents.slots_of(2), parents.ptr()), (&[1, 3][..], &[0, 1, 2, 4][..]));
        for child in 0..3 {
            for (&parent, &slot) in parents.of(child).iter().zip(parents.slots_of(child)) {
                assert!(layer.slots(parent as usize).contains(&(slot as usize)));
                assert_eq!(layer.slot_children()[slot as usize] as usize, child);
            }
        }
    }
}
