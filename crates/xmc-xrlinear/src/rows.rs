//! Which instances belong to which node: `Yᵀ`, carried up the tree; and which are sent there.

use crate::relevance::RelevanceNorm;
use rayon::prelude::*;
use xmc_sparse::{Csr, RankedLists};
use xmc_tree::{LabelTree, TreeLayer};

/// For every child of a layer, the instances with a label below it, increasing.
#[derive(Debug)]
pub(crate) struct NodeRows {
    ptr: Vec<usize>,
    rows: Vec<u32>,
    /// The relevance of each instance for the node; all 1 when empty.
    weights: Vec<f32>,
}

impl NodeRows {
    /// Rows of the nodes of every layer, root's children first. `relevance` belongs to the entries of `y`.
    pub(crate) fn of_tree(tree: &LabelTree, y: &Csr, relevance: Option<Vec<f32>>) -> Vec<Self> {
        let weighted = relevance.map(|values| y.with_values(values));
        let weighted = weighted.transpose().expect("invariant: a finite relevance for each entry");
        let labels = weighted.as_ref().unwrap_or(y).transpose();
        let weights = weighted.map_or_else(Vec::new, |_| labels.values().to_vec());
        let mut layers =
            vec![Self { ptr: labels.indptr().to_vec(), rows: labels.indices().to_vec(), weights }];
        drop(labels);
        for layer in tree.layers()[1..].iter().rev() {
            layers.push(layers[layers.len() - 1].of_parents(layer));
        }
        layers.reverse();
        layers
    }

    /// For every node the instances of whose list it is a member.
    pub(crate) fn of_lists(lists: &RankedLists, n_nodes: usize) -> Self {
        let mut ptr = vec![0usize; n_nodes + 1];
        lists.iter().flatten().for_each(|node| ptr[node.id as usize + 1] += 1);
        for node in 0..n_nodes {
            ptr[node + 1] += ptr[node];
        }
        let (mut next, mut rows) = (ptr.clone(), vec![0u32; ptr[n_nodes]]);
        for (row, list) in lists.iter().enumerate() {
            for node in list {
                let at = &mut next[node.id as usize];
                rows[*at] = row as u32;
                *at += 1;
            }
        }
        Self { ptr, rows, weights: Vec::new() }
    }

    /// Rows of one node.
    pub(crate) fn of(&self, node: usize) -> &[u32] {
        &self.rows[self.ptr[node]..self.ptr[node + 1]]
    }

    /// The relevance of the rows of one node, if they differ.
    pub(crate) fn weights_of(&self, node: usize) -> Option<&[f32]> {
        self.weights.get(self.ptr[node]..self.ptr[node + 1]).filter(|_| !self.weights.is_empty())
    }

    /// Brings the relevance of each instance to norm 1.
    pub(crate) fn normalise(&mut self, norm: RelevanceNorm, n_samples: usize) {
        norm.apply(n_samples, &self.rows, &mut self.weights);
    }

    /// Forgets the relevance.
    pub(crate) fn forget_weights(&mut self) {
        self.weights = Vec::new();
    }

    /// Rows of the parents of `layer`, whose children have these rows; relevance is added up.
    pub(crate) fn of_parents(&self, layer: &TreeLayer) -> Self {
        let lists: Vec<(Vec<u32>, Vec<f32>)> = (0..layer.n_parents())
            .into_par_iter()
            .map(|parent| self.merged(layer.children(parent)))
            .collect();
        let mut ptr = Vec::with_capacity(lists.len() + 1);
        ptr.push(0);
        ptr.extend(lists.iter().scan(0, |end, (rows, _)| {
            *end += rows.len();
            Some(*end)
        }));
        let (rows, weights): (Vec<_>, Vec<_>) = lists.into_iter().unzip();
        Self { ptr, rows: rows.concat(), weights: weights.concat() }
    }

    /// Rows of several nodes together.
    fn merged(&self, nodes: &[u32]) -> (Vec<u32>, Vec<f32>) {
        let of_all = || nodes.iter().flat_map(|&node| self.of(node as usize)).copied();
        if self.weights.is_empty() {
            let mut rows: Vec<u32> = of_all().collect();
            rows.sort_unstable();
            rows.dedup();
            return (rows, Vec::new());
        }
        let weights = nodes.iter().filter_map(|&node| self.weights_of(node as usize)).flatten();
        let mut pairs: Vec<(u32, f32)> = of_all().zip(weights.copied()).collect();
        // A stable sort: relevance is added up in the order of the children.
        pairs.sort_by_key(|&(row, _)| row);
        pairs.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            kept.1 += if same { next.1 } else { 0.0 };
            same
        });
        pairs.into_iter().unzip()
    }
}

/// Two increasing lists as one.
pub(crate) fn union(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut out: Vec<u32> = a.iter().chain(b).copied().collect();
    out.sort_unstable();
    out.dedup();
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> LabelTree {
        let top = TreeLayer::from_lists([[0, 1]], 2).unwrap();
        let leaves = TreeLayer::from_lists([vec![0, 3], vec![1, 2]], 4).unwrap();
        LabelTree::from_layers(vec![top, leaves]).unwrap()
    }

    fn labels() -> Csr {
        Csr::from_rows(4, [vec![(0, 1.0), (3, 1.0)], vec![(2, 1.0)], vec![], vec![(1, 1.0), (0, 1.0)]])
            .unwrap()
    }

    #[test]
    fn a_cluster_has_the_instances_of_its_labels_once() {
        let layers = NodeRows::of_tree(&tree(), &labels(), None);
        assert_eq!((layers[0].of(0), layers[0].of(1)), (&[0, 3][..], &[1, 3][..]));
        assert_eq!((layers[1].of(0), layers[1].of(3)), (&[0, 3][..], &[0][..]));
        assert_eq!(layers[0].weights_of(0), None);
    }

    #[test]
    fn relevance_is_added_up_to_the_cluster() {
        // Entries of y in order: (0, 0), (0, 3), (1, 2), (3, 0), (3, 1).
        let mut layers = NodeRows::of_tree(&tree(), &labels(), Some(vec![2.0, 3.0, 5.0, 7.0, 11.0]));
        assert_eq!(layers[1].weights_of(0), Some(&[2.0, 7.0][..]));
        assert_eq!(layers[0].weights_of(0), Some(&[5.0, 7.0][..]));
        assert_eq!(layers[0].weights_of(1), Some(&[5.0, 11.0][..]));
        layers[0].normalise(RelevanceNorm::L1, 4);
        assert_eq!(layers[0].weights_of(0), Some(&[1.0, 7.0 / 18.0][..]));
    }

    #[test]
    fn lists_of_nodes_become_lists_of_rows() {
        let mut lists = RankedLists::with_capacity(2, 2);
        let node = |id| xmc_sparse::Scored { id, score: 0.0 };
        lists.push(&[node(0), node(2)]);
        lists.push(&[node(2)]);
        let rows = NodeRows::of_lists(&lists, 3);
        assert_eq!((rows.of(0), rows.of(1), rows.of(2)), (&[0][..], &[][..], &[0, 1][..]));
    }
}
