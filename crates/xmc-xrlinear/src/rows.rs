//! Which instances belong to which node: `Yᵀ`, carried up the tree.

use rayon::prelude::*;
use xmc_sparse::Csr;
use xmc_tree::{LabelTree, TreeLayer};

/// For every child of a layer, the instances with a label below it, increasing.
#[derive(Debug)]
pub(crate) struct NodeRows {
    ptr: Vec<usize>,
    rows: Vec<u32>,
}

impl NodeRows {
    /// Rows of the nodes of every layer, root's children first.
    pub(crate) fn of_tree(tree: &LabelTree, y: &Csr) -> Vec<Self> {
        let labels = y.transpose();
        let mut layers = vec![Self { ptr: labels.indptr().to_vec(), rows: labels.indices().to_vec() }];
        drop(labels);
        for layer in tree.layers()[1..].iter().rev() {
            layers.push(layers[layers.len() - 1].of_parents(layer));
        }
        layers.reverse();
        layers
    }

    /// Rows of one node.
    pub(crate) fn of(&self, node: usize) -> &[u32] {
        &self.rows[self.ptr[node]..self.ptr[node + 1]]
    }

    fn of_parents(&self, layer: &TreeLayer) -> Self {
        let lists: Vec<Vec<u32>> = (0..layer.n_parents())
            .into_par_iter()
            .map(|parent| {
                let children = layer.children(parent).iter();
                let mut rows: Vec<u32> =
                    children.flat_map(|&child| self.of(child as usize)).copied().collect();
                rows.sort_unstable();
                rows.dedup();
                rows
            })
            .collect();
        let mut ptr = Vec::with_capacity(lists.len() + 1);
        ptr.push(0);
        ptr.extend(lists.iter().scan(0, |end, list| {
            *end += list.len();
            Some(*end)
        }));
        Self { ptr, rows: lists.concat() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_has_the_instances_of_its_labels_once() {
        let y =
            Csr::from_rows(4, [vec![(0, 1.0), (3, 1.0)], vec![(2, 1.0)], vec![], vec![(1, 1.0), (0, 1.0)]]);
        let top = TreeLayer::from_lists([[0, 1]], 2).unwrap();
        let leaves = TreeLayer::from_lists([vec![0, 3], vec![1, 2]], 4).unwrap();
        let tree = LabelTree::from_layers(vec![top, leaves]).unwrap();
        let layers = NodeRows::of_tree(&tree, &y.unwrap());
        assert_eq!((layers[0].of(0), layers[0].of(1)), (&[0, 3][..], &[1, 3][..]));
        assert_eq!((layers[1].of(0), layers[1].of(3)), (&[0, 3][..], &[0][..]));
    }
}
