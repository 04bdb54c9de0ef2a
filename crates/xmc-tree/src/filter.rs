//! Searches that may return some labels only.

use crate::{ChildParents, LabelTree, TreeError, TreeLayer};
use xmc_sparse::LabelId;

/// The labels that a search may return, and with them the clusters that it need not enter.
///
/// A cluster without an allowed label is never kept in the beam, so that the beam is spent on clusters that can
/// answer.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelFilter {
    /// For each layer which of its children may be kept.
    layers: Vec<Bits>,
}

impl LabelFilter {
    /// Only `labels`.
    ///
    /// # Errors
    /// [`TreeError::UnknownLabel`].
    pub fn only(tree: &LabelTree, labels: impl IntoIterator<Item = LabelId>) -> Result<Self, TreeError> {
        let mut bits = Bits::none(tree.n_labels());
        for label in labels {
            check_label(tree, label)?;
            bits.set(label);
        }
        Ok(Self::of_labels(tree, bits))
    }

    /// All labels but `labels`.
    ///
    /// # Errors
    /// [`TreeError::UnknownLabel`].
    pub fn without(tree: &LabelTree, labels: impl IntoIterator<Item = LabelId>) -> Result<Self, TreeError> {
        let mut bits = Bits::all(tree.n_labels());
        for label in labels {
            check_label(tree, label)?;
            bits.clear(label);
        }
        Ok(Self::of_labels(tree, bits))
    }

    /// The labels below cluster `cluster` of layer `layer` (0 is the layer of the root's children).
    ///
    /// # Errors
    /// [`TreeError::UnknownCluster`].
    pub fn below(tree: &LabelTree, layer: usize, cluster: u32) -> Result<Self, TreeError> {
        let layers = tree.layers();
        // The children of the last layer are labels, not clusters.
        let inner = &layers[..layers.len() - 1];
        if inner.get(layer).is_none_or(|layer| cluster as usize >= layer.n_children()) {
            return Err(TreeError::UnknownCluster { layer, cluster });
        }
        let mut nodes = vec![cluster];
        for layer in &layers[layer + 1..] {
            nodes = nodes.iter().flat_map(|&parent| layer.children(parent as usize)).copied().collect();
        }
        Self::only(tree, nodes)
    }

    fn of_labels(tree: &LabelTree, labels: Bits) -> Self {
        let mut layers = vec![labels];
        for layer in tree.layers()[1..].iter().rev() {
            let parents = parents_of(layer, &layers[layers.len() - 1]);
            layers.push(parents);
        }
        layers.reverse();
        Self { layers }
    }

    /// Whether child `child` of layer `layer` may be kept.
    #[inline(always)]
    pub fn allows(&self, layer: usize, child: u32) -> bool {
        self.layers[layer].has(child)
    }

    /// Whether the filter is one for trees of this shape.
    pub(crate) fn fits(&self, tree: &LabelTree) -> bool {
        let shape = tree.layers().iter().map(|layer| layer.n_children().div_ceil(64));
        shape.eq(self.layers.iter().map(|bits| bits.0.len()))
    }
}

/// Filters for a few labels each, one after the other: the ways up from labels are looked up once for the tree, and a
/// filter costs no more than its labels' ways.
#[derive(Debug, Clone)]
pub struct LabelPaths {
    /// For each layer the parents of its children.
    parents: Vec<ChildParents>,
    filter: LabelFilter,
    /// Children that the filter allows, layer by layer.
    allowed: Vec<Vec<u32>>,
}

impl LabelPaths {
    /// The ways up from the labels of `tree`.
    pub fn new(tree: &LabelTree) -> Self {
        let layers = tree.layers().iter().map(|layer| Bits::none(layer.n_children())).collect();
        let parents = tree.layers().iter().map(TreeLayer::parents).collect();
        Self { parents, filter: LabelFilter { layers }, allowed: vec![Vec::new(); tree.depth()] }
    }

    /// The filter that allows only `labels`; panics when one is out of range.
    pub fn only(&mut self, labels: &[LabelId]) -> &LabelFilter {
        for (bits, allowed) in self.filter.layers.iter_mut().zip(&mut self.allowed) {
            allowed.drain(..).for_each(|child| bits.clear(child));
        }
        let mut children = labels.to_vec();
        for layer in (0..self.parents.len()).rev() {
            let bits = &mut self.filter.layers[layer];
            children.retain(|&child| {
                !bits.has(child) && {
                    bits.set(child);
                    true
                }
            });
            let above = children.iter().flat_map(|&child| self.parents[layer].of(child as usize));
            let above = above.copied().collect();
            self.allowed[layer] = std::mem::replace(&mut children, above);
        }
        &self.filter
    }
}

fn check_label(tree: &LabelTree, label: LabelId) -> Result<(), TreeError> {
    let n_labels = tree.n_labels();
    if (label as usize) < n_labels { Ok(()) } else { Err(TreeError::UnknownLabel { label, n_labels }) }
}

/// Parents with an allowed child.
fn parents_of(layer: &TreeLayer, children: &Bits) -> Bits {
    let mut parents = Bits::none(layer.n_parents());
    for parent in 0..layer.n_parents() {
        if layer.children(parent).iter().any(|&child| children.has(child)) {
            parents.set(parent as u32);
        }
    }
    parents
}

/// A set of small numbers.
#[derive(Debug, Clone, PartialEq)]
struct Bits(Vec<u64>);

impl Bits {
    fn none(n: usize) -> Self {
        Self(vec![0; n.div_ceil(64)])
    }

    fn all(n: usize) -> Self {
        Self(vec![u64::MAX; n.div_ceil(64)])
    }

    fn set(&mut self, at: u32) {
        self.0[at as usize / 64] |= 1 << (at % 64);
    }

    fn clear(&mut self, at: u32) {
        self.0[at as usize / 64] &= !(1 << (at % 64));
    }

    #[inline(always)]
    fn has(&self, at: u32) -> bool {
        self.0[at as usize / 64] >> (at % 64) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> LabelTree {
        let top = TreeLayer::from_lists([[0, 1]], 2).unwrap();
        let leaves = TreeLayer::from_lists([vec![0, 3], vec![1, 2, 3]], 4).unwrap();
        LabelTree::from_layers(vec![top, leaves]).unwrap()
    }

    fn allowed(filter: &LabelFilter, layer: usize, n: u32) -> Vec<u32> {
        (0..n).filter(|&child| filter.allows(layer, child)).collect()
    }

    #[test]
    fn clusters_without_an_allowed_label_are_closed() {
        let tree = tree();
        let only = LabelFilter::only(&tree, [1]).unwrap();
        assert_eq!((allowed(&only, 0, 2), allowed(&only, 1, 4)), (vec![1], vec![1]));
        let without = LabelFilter::without(&tree, [0, 3]).unwrap();
        assert_eq!((allowed(&without, 0, 2), allowed(&without, 1, 4)), (vec![1], vec![1, 2]));
        let below = LabelFilter::below(&tree, 0, 0).unwrap();
        assert_eq!((allowed(&below, 0, 2), allowed(&below, 1, 4)), (vec![0, 1], vec![0, 3]));
        assert!(only.fits(&tree));
    }

    #[test]
    fn paths_make_the_same_filters() {
        let tree = tree();
        let mut paths = LabelPaths::new(&tree);
        for labels in [&[1][..], &[0, 3], &[], &[3, 3, 2]] {
            let expected = LabelFilter::only(&tree, labels.iter().copied()).unwrap();
            assert_eq!(*paths.only(labels), expected, "{labels:?}");
        }
    }

    #[test]
    fn labels_and_clusters_that_do_not_exist_are_refused() {
        let tree = tree();
        let unknown = LabelFilter::only(&tree, [1, 4]);
        assert!(matches!(unknown, Err(TreeError::UnknownLabel { label: 4, n_labels: 4 })));
        for (layer, cluster) in [(0, 2), (1, 0)] {
            let below = LabelFilter::below(&tree, layer, cluster);
            assert!(matches!(below, Err(TreeError::UnknownCluster { .. })), "{layer} {cluster}");
        }
    }
}
