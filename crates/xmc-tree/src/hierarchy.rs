//! A tree as it grows or is given: leaves at any depth, labels beside clusters.
//!
//! A [`LabelTree`] is a chain of layers, so all labels must stand at one depth. What stands
//! higher is brought down by clusters of a single child, which a search walks through with nothing to decide.

use crate::{LabelTree, TreeError, TreeLayer};

/// Clusters by number; cluster 0 is the root. Every cluster but the root is a child of exactly one other.
#[derive(Debug, Default)]
pub(crate) struct Hierarchy {
    pub(crate) clusters: Vec<Cluster>,
}

/// What stands directly under a cluster.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Cluster {
    /// Numbers of clusters.
    pub(crate) clusters: Vec<usize>,
    /// Labels.
    pub(crate) labels: Vec<u32>,
}

impl Hierarchy {
    /// The chain of layers, clusters of each in the order of their parents. Layers on top that have one
    /// cluster only are left out.
    ///
    /// # Errors
    /// As [`TreeLayer::from_lists`] and [`LabelTree::from_layers`]; [`TreeError::TooManyLabels`] as well when
    /// the clusters of a layer are too many.
    pub(crate) fn into_tree(mut self, n_labels: usize) -> Result<LabelTree, TreeError> {
        self.gather_labels();
        let mut level = vec![self.first_branching()];
        let mut layers = Vec::new();
        while level.iter().any(|&cluster| !self.clusters[cluster].clusters.is_empty()) {
            let mut below = Vec::with_capacity(level.len());
            let mut lists = Vec::with_capacity(level.len());
            for &cluster in &level {
                let start = below.len();
                match &self.clusters[cluster].clusters[..] {
                    // A leaf that others are deeper than: it becomes its own only child.
                    [] => below.push(cluster),
                    children => below.extend_from_slice(children),
                }
                lists.push(number(start)?..number(below.len())?);
            }
            layers.push(TreeLayer::from_lists(lists, below.len())?);
            level = below;
        }
        let labels = level.iter().map(|&cluster| self.clusters[cluster].labels.iter().copied());
        layers.push(TreeLayer::from_lists(labels, n_labels)?);
        LabelTree::from_layers(layers)
    }

    /// Labels beside clusters get a cluster of their own.
    fn gather_labels(&mut self) {
        for cluster in 0..self.clusters.len() {
            let last = self.clusters.len();
            let both = &mut self.clusters[cluster];
            if !both.clusters.is_empty() && !both.labels.is_empty() {
                both.clusters.push(last);
                let labels = std::mem::take(&mut both.labels);
                self.clusters.push(Cluster { clusters: Vec::new(), labels });
            }
        }
    }

    /// The uppermost cluster that has more than one child, or the only leaf.
    fn first_branching(&self) -> usize {
        let mut cluster = 0;
        while let [child] = self.clusters[cluster].clusters[..] {
            cluster = child;
        }
        cluster
    }
}

fn number(n: usize) -> Result<u32, TreeError> {
    u32::try_from(n).map_err(|_| TreeError::TooManyLabels { found: n })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hierarchy(clusters: &[(&[usize], &[u32])]) -> Hierarchy {
        let cluster = |&(clusters, labels): &(&[usize], &[u32])| Cluster {
            clusters: clusters.to_vec(),
            labels: labels.to_vec(),
        };
        Hierarchy { clusters: clusters.iter().map(cluster).collect() }
    }

    #[test]
    fn leaves_of_different_depths_come_to_one() {
        // Root: leaf 1 with label 2, and cluster 2 with leaf 3 (labels 0 and 3) and label 1 directly.
        let tree =
            hierarchy(&[(&[1, 2], &[]), (&[], &[2]), (&[3], &[1]), (&[], &[3, 0])]).into_tree(4).unwrap();
        let children = |layer: usize| {
            let layer = &tree.layers()[layer];
            (0..layer.n_parents()).map(|parent| layer.children(parent).to_vec()).collect::<Vec<_>>()
        };
        assert_eq!(children(0), [[0, 1]]);
        assert_eq!(children(1), [vec![0], vec![1, 2]]);
        assert_eq!(children(2), [vec![2], vec![0, 3], vec![1]]);
    }

    #[test]
    fn a_chain_on_top_is_left_out() {
        let tree = hierarchy(&[(&[1], &[]), (&[2], &[]), (&[3, 4], &[]), (&[], &[1]), (&[], &[0])]);
        assert_eq!(tree.into_tree(2).unwrap().depth(), 2);
        let flat = hierarchy(&[(&[1], &[]), (&[], &[0, 1])]).into_tree(2).unwrap();
        assert_eq!(flat, LabelTree::one_vs_rest(2).unwrap());
    }
}
