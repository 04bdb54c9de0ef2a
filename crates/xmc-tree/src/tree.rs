//! The label tree: a chain of layers from one root down to the labels.
//!
//! It is the chain of cluster matrices C⁽¹⁾ … C⁽ᴰ⁾ of PECOS (Yu et al., JMLR 2022, §3), kept as lists
//! of children because every stage walks it from parent to child.

use crate::{TreeError, TreeLayer, TreeParams};
use serde::{Deserialize, Serialize};
use xmc_sparse::Csr;

/// A chain of [`TreeLayer`]s: layer 0 has one parent (the root), the children of a layer are the
/// parents of the next, the children of the last are the labels. A cluster has one parent; a label may
/// have several ([`Self::is_partition`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "TreeParts")]
pub struct LabelTree {
    layers: Vec<TreeLayer>,
}

/// What is stored of a [`LabelTree`]: read back only through [`LabelTree::from_layers`].
#[derive(Deserialize)]
struct TreeParts {
    layers: Vec<TreeLayer>,
}

impl TryFrom<TreeParts> for LabelTree {
    type Error = TreeError;

    fn try_from(parts: TreeParts) -> Result<Self, TreeError> {
        Self::from_layers(parts.layers)
    }
}

impl LabelTree {
    /// The default parameters of a tree to be built from label features.
    pub fn params() -> TreeParams {
        TreeParams::default()
    }

    /// A tree from its layers, root first.
    ///
    /// # Errors
    /// [`TreeError::NoLayers`], [`TreeError::Roots`], [`TreeError::NoLabels`], [`TreeError::Chain`],
    /// [`TreeError::Overlap`].
    pub fn from_layers(layers: Vec<TreeLayer>) -> Result<Self, TreeError> {
        let (first, last) = layers.first().zip(layers.last()).ok_or(TreeError::NoLayers)?;
        if first.n_parents() != 1 {
            return Err(TreeError::Roots { found: first.n_parents() });
        }
        if last.n_children() == 0 {
            return Err(TreeError::NoLabels);
        }
        for (layer, pair) in layers.windows(2).enumerate() {
            let (expected, found) = (pair[0].n_children(), pair[1].n_parents());
            if expected != found {
                return Err(TreeError::Chain { layer: layer + 1, expected, found });
            }
            if !pair[0].is_partition() {
                let (children, slots) = (pair[0].n_children(), pair[0].n_slots());
                return Err(TreeError::Overlap { layer, children, slots });
            }
        }
        Ok(Self { layers })
    }

    /// The same tree with another last layer: other places for its labels under the same clusters.
    ///
    /// # Errors
    /// [`TreeError::NoLabels`], or [`TreeError::Chain`] when `leaves` has another number of parents.
    pub fn with_leaves(mut self, leaves: TreeLayer) -> Result<Self, TreeError> {
        self.layers.pop();
        match (self.layers.is_empty(), leaves.n_parents()) {
            (true, found) if found != 1 => Err(TreeError::Roots { found }),
            _ => {
                self.layers.push(leaves);
                Self::from_layers(self.layers)
            }
        }
    }

    /// The tree without the clusters of layer `layer`: what was under them comes under their parents. More
    /// inner products for each query, fewer chances to lose the way.
    ///
    /// # Errors
    /// [`TreeError::NoInnerLayer`] when it is the last layer or there is none, [`TreeError::TooManyLabels`].
    pub fn skip_layer(mut self, layer: usize) -> Result<Self, TreeError> {
        if layer + 1 >= self.depth() {
            return Err(TreeError::NoInnerLayer { layer, depth: self.depth() });
        }
        let above = self.layers.remove(layer);
        self.layers[layer] = above.skip_to(&self.layers[layer])?;
        Self::from_layers(self.layers)
    }

    /// The tree with its uppermost layers skipped until there are at most `max_depth` (at least 1): 2 is a
    /// root over all leaf clusters, 1 is one-vs-rest.
    ///
    /// # Errors
    /// [`TreeError::TooManyLabels`].
    pub fn with_max_depth(mut self, max_depth: usize) -> Result<Self, TreeError> {
        while self.depth() > max_depth.max(1) {
            self = self.skip_layer(0)?;
        }
        Ok(self)
    }

    /// One layer with every label under the root: no search, all labels are scored.
    ///
    /// # Errors
    /// [`TreeError::NoLabels`], [`TreeError::TooManyLabels`].
    pub fn one_vs_rest(n_labels: usize) -> Result<Self, TreeError> {
        if n_labels == 0 {
            return Err(TreeError::NoLabels);
        }
        Self::from_layers(vec![TreeLayer::runs(n_labels, n_labels)?])
    }

    /// A tree from the cluster matrices C⁽¹⁾ … C⁽ᴰ⁾, root first: rows are children, columns parents.
    ///
    /// # Errors
    /// As [`LabelTree::from_layers`] and [`TreeLayer::from_parts`].
    pub fn from_cluster_matrices(chain: &[Csr]) -> Result<Self, TreeError> {
        Self::from_layers(chain.iter().map(TreeLayer::from_cluster_matrix).collect::<Result<_, _>>()?)
    }

    /// The cluster matrices C⁽¹⁾ … C⁽ᴰ⁾, root first: rows are children, columns parents.
    pub fn to_cluster_matrices(&self) -> Vec<Csr> {
        self.layers.iter().map(TreeLayer::to_cluster_matrix).collect()
    }

    /// Number of labels: children of the last layer.
    pub fn n_labels(&self) -> usize {
        self.n_clusters(self.depth() - 1)
    }

    /// Number of layers, at least 1.
    pub fn depth(&self) -> usize {
        self.layers.len()
    }

    /// Whether every label stands under exactly one cluster.
    pub fn is_partition(&self) -> bool {
        self.leaves().is_partition()
    }

    /// The last layer: from leaf clusters to labels.
    pub fn leaves(&self) -> &TreeLayer {
        self.layers.last().expect("invariant: at least one layer")
    }

    /// All layers, root first.
    pub fn layers(&self) -> &[TreeLayer] {
        &self.layers
    }

    /// The arrays that it consists of: of each layer the first slot of every parent, and the child in every slot.
    pub fn arrays(&self) -> impl Iterator<Item = &[u32]> {
        self.layers().iter().flat_map(|layer| [layer.child_ptr(), layer.slot_children()])
    }

    /// Number of children of layer `layer` (clusters, or labels on the last); panics when there is
    /// no such layer.
    pub fn n_clusters(&self, layer: usize) -> usize {
        self.layers[layer].n_children()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> LabelTree {
        let top = TreeLayer::from_lists([[0, 1]], 2).unwrap();
        let leaves = TreeLayer::from_lists([vec![0, 3], vec![1, 2]], 4).unwrap();
        LabelTree::from_layers(vec![top, leaves]).unwrap()
    }

    #[test]
    fn a_tree_survives_its_cluster_matrices() {
        let tree = small();
        assert_eq!((tree.n_labels(), tree.depth(), tree.n_clusters(0)), (4, 2, 2));
        assert_eq!(LabelTree::from_cluster_matrices(&tree.to_cluster_matrices()).unwrap(), tree);
    }

    #[test]
    fn one_vs_rest_is_one_layer() {
        let tree = LabelTree::one_vs_rest(3).unwrap();
        assert_eq!((tree.depth(), tree.layers()[0].children(0)), (1, &[0, 1, 2][..]));
        assert_eq!(LabelTree::one_vs_rest(0), Err(TreeError::NoLabels));
        let many = u32::MAX as usize + 1;
        assert_eq!(LabelTree::one_vs_rest(many), Err(TreeError::TooManyLabels { found: many }));
    }

    #[test]
    fn each_broken_chain_is_named() {
        let layers = small().layers;
        assert_eq!(LabelTree::from_layers(vec![]), Err(TreeError::NoLayers));
        assert_eq!(LabelTree::from_layers(layers[1..].to_vec()), Err(TreeError::Roots { found: 2 }));
        let twice = vec![layers[0].clone(), layers[0].clone()];
        assert_eq!(LabelTree::from_layers(twice), Err(TreeError::Chain { layer: 1, expected: 2, found: 1 }));
        let childless = TreeLayer::from_parts(vec![0, 0], vec![], 0).unwrap();
        assert_eq!(LabelTree::from_layers(vec![childless]), Err(TreeError::NoLabels));
    }

    #[test]
    fn labels_may_stand_in_several_places_and_clusters_may_not() {
        let leaves = TreeLayer::from_lists([vec![0, 1, 3], vec![1, 2, 3]], 4).unwrap();
        let tree = small().with_leaves(leaves.clone()).unwrap();
        assert!(small().is_partition() && !tree.is_partition());
        assert_eq!(tree.leaves().parents().of(3), &[0, 1]);
        let twice = TreeLayer::from_lists([vec![0, 1], vec![1]], 2).unwrap();
        let top = TreeLayer::from_lists([[0, 1]], 2).unwrap();
        let layers = vec![top.clone(), twice, leaves.clone()];
        assert_eq!(
            LabelTree::from_layers(layers),
            Err(TreeError::Overlap { layer: 1, children: 2, slots: 3 })
        );
        let one = TreeLayer::from_lists([[0, 1]], 2).unwrap();
        let expected = TreeError::Chain { layer: 1, expected: 2, found: 1 };
        assert_eq!(small().with_leaves(one.clone()), Err(expected));
        let flat = LabelTree::one_vs_rest(2).unwrap();
        assert_eq!(flat.clone().with_leaves(leaves), Err(TreeError::Roots { found: 2 }));
        assert_eq!(flat.clone().with_leaves(one), Ok(flat));
    }

    #[test]
    fn skipping_layers_keeps_what_is_under_them() {
        let top = TreeLayer::from_lists([[0, 1]], 2).unwrap();
        let middle = TreeLayer::from_lists([vec![0, 2], vec![1]], 3).unwrap();
        let leaves = TreeLayer::from_lists([vec![0, 3], vec![1, 2], vec![3]], 4).unwrap();
        let tree = LabelTree::from_layers(vec![top, middle, leaves]).unwrap();
        let skipped = tree.clone().skip_layer(1).unwrap();
        assert_eq!((skipped.depth(), skipped.leaves().children(0)), (2, &[0, 3][..]));
        assert_eq!(tree.clone().with_max_depth(2).unwrap().layers()[0].children(0), &[0, 1, 2]);
        assert_eq!(tree.clone().with_max_depth(1).unwrap(), LabelTree::one_vs_rest(4).unwrap());
        assert_eq!(tree.clone().with_max_depth(3).unwrap(), tree);
        assert_eq!(tree.skip_layer(2), Err(TreeError::NoInnerLayer { layer: 2, depth: 3 }));
    }

    #[test]
    fn json_round_trips_and_checks() {
        let text = serde_json::to_string(&small()).unwrap();
        assert_eq!(serde_json::from_str::<LabelTree>(&text).unwrap(), small());
        let broken = text.replace("[0,3,1,2]", "[0,9,1,2]");
        let error = serde_json::from_str::<LabelTree>(&broken).unwrap_err();
        assert!(error.to_string().contains("child 9"), "{error}");
    }
}
