//! A tree for people and other programs: indented text, or nested JSON through serde.

use crate::LabelTree;
use serde::ser::{Serialize, SerializeStruct, Serializer};
use std::fmt;
use xmc_sparse::LabelId;

/// A view of a [`LabelTree`] with label names. `Display` prints it indented, `Serialize` writes it
/// nested. What a limit leaves out is counted in its place.
///
/// ```
/// use xmc_tree::LabelTree;
/// let tree = LabelTree::one_vs_rest(3)?;
/// let names = ["shoes", "hats", "coats"];
/// let outline = tree.outline(|label| names[label as usize]).max_children(2);
/// assert_eq!(outline.to_string(), "root: 3 labels\n  0 shoes\n  1 hats\n  … 1 more\n");
/// # Ok::<(), xmc_tree::TreeError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Outline<'t, F> {
    tree: &'t LabelTree,
    name: F,
    max_depth: usize,
    max_children: usize,
    /// Number of labels under every cluster, layer by layer.
    n_labels: Vec<Vec<usize>>,
}

impl LabelTree {
    /// The tree with names for its labels, without limits.
    pub fn outline<N: fmt::Display, F: Fn(LabelId) -> N>(&self, name: F) -> Outline<'_, F> {
        let n_labels = labels_under(self);
        Outline { tree: self, name, max_depth: usize::MAX, max_children: usize::MAX, n_labels }
    }
}

/// For every layer, the number of labels under each of its parents (a label under two of its
/// clusters counts twice).
fn labels_under(tree: &LabelTree) -> Vec<Vec<usize>> {
    let mut below = vec![1; tree.n_labels()];
    let mut counts = Vec::with_capacity(tree.depth());
    for layer in tree.layers().iter().rev() {
        let sum = |parent| layer.children(parent).iter().map(|&child| below[child as usize]).sum();
        below = (0..layer.n_parents()).map(sum).collect();
        counts.push(below.clone());
    }
    counts.reverse();
    counts
}

impl<F> Outline<'_, F> {
    /// Shows the first `max_depth` layers under the root.
    pub fn max_depth(mut self, max_depth: usize) -> Self {
        self.max_depth = max_depth;
        self
    }

    /// Shows the first `max_children` children of every cluster.
    pub fn max_children(mut self, max_children: usize) -> Self {
        self.max_children = max_children;
        self
    }

    /// Children of cluster `id` (a parent of layer `layer`) that are shown, and the number left out.
    fn shown(&self, layer: usize, id: usize) -> (&[u32], usize) {
        let children = self.tree.layers()[layer].children(id);
        let limit = if layer < self.max_depth { self.max_children } else { 0 };
        let (shown, rest) = children.split_at(limit.min(children.len()));
        (shown, rest.len())
    }

    fn is_leaf_layer(&self, layer: usize) -> bool {
        layer + 1 == self.tree.depth()
    }
}

impl<N: fmt::Display, F: Fn(LabelId) -> N> Outline<'_, F> {
    fn print(&self, f: &mut fmt::Formatter<'_>, layer: usize, id: usize) -> fmt::Result {
        let (children, left_out) = self.shown(layer, id);
        let indent = 2 * (layer + 1);
        for &child in children {
            write!(f, "{:indent$}", "")?;
            if self.is_leaf_layer(layer) {
                writeln!(f, "{child} {}", (self.name)(child))?;
            } else {
                let n_labels = self.n_labels[layer + 1][child as usize];
                writeln!(f, "cluster {child}: {n_labels} labels")?;
                self.print(f, layer + 1, child as usize)?;
            }
        }
        // At the depth limit the line of the cluster itself already says how much is under it.
        if left_out > 0 && layer < self.max_depth {
            writeln!(f, "{:indent$}… {left_out} more", "")?;
        }
        Ok(())
    }
}

impl<N: fmt::Display, F: Fn(LabelId) -> N> fmt::Display for Outline<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "root: {} labels", self.n_labels[0][0])?;
        self.print(f, 0, 0)
    }
}

/// A cluster is `{"cluster": id, "labels": n, "children": […], "left_out": n}`, a label
/// `{"label": id, "name": "…"}`.
impl<N: fmt::Display, F: Fn(LabelId) -> N> Serialize for Outline<'_, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Cluster { outline: self, layer: 0, id: 0 }.serialize(serializer)
    }
}

struct Cluster<'o, 't, F> {
    outline: &'o Outline<'t, F>,
    layer: usize,
    id: u32,
}

impl<N: fmt::Display, F: Fn(LabelId) -> N> Serialize for Cluster<'_, '_, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (layer, id) = (self.layer, self.id as usize);
        let (children, left_out) = self.outline.shown(layer, id);
        let mut object = serializer.serialize_struct("Cluster", 4)?;
        object.serialize_field("cluster", &self.id)?;
        object.serialize_field("labels", &self.outline.n_labels[layer][id])?;
        object.serialize_field("children", &Children { parent: self, children })?;
        object.serialize_field("left_out", &left_out)?;
        object.end()
    }
}

struct Children<'p, 'o, 't, F> {
    parent: &'p Cluster<'o, 't, F>,
    children: &'p [u32],
}

impl<N: fmt::Display, F: Fn(LabelId) -> N> Serialize for Children<'_, '_, '_, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (outline, layer) = (self.parent.outline, self.parent.layer);
        if outline.is_leaf_layer(layer) {
            serializer.collect_seq(self.children.iter().map(|&label| Label { outline, label }))
        } else {
            let cluster = |&id| Cluster { outline, layer: layer + 1, id };
            serializer.collect_seq(self.children.iter().map(cluster))
        }
    }
}

struct Label<'o, 't, F> {
    outline: &'o Outline<'t, F>,
    label: LabelId,
}

impl<N: fmt::Display, F: Fn(LabelId) -> N> Serialize for Label<'_, '_, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Label", 2)?;
        object.serialize_field("label", &self.label)?;
        object.serialize_field("name", &format_args!("{}", (self.outline.name)(self.label)))?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TreeLayer;
    use serde_json::json;

    fn small() -> LabelTree {
        let top = TreeLayer::from_lists([[0, 1]], 2).unwrap();
        let leaves = TreeLayer::from_lists([vec![0, 3], vec![1, 2, 3]], 4).unwrap();
        LabelTree::from_layers(vec![top, leaves]).unwrap()
    }

    #[test]
    fn every_label_is_printed_under_its_clusters() {
        let tree = small();
        let text = tree.outline(|label| format!("l{label}")).to_string();
        let expected = "root: 5 labels\n  cluster 0: 2 labels\n    0 l0\n    3 l3\n  cluster 1: 3 labels\n    \
                        1 l1\n    2 l2\n    3 l3\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn limits_say_what_they_leave_out() {
        let tree = small();
        let outline = tree.outline(|label| label).max_depth(1);
        assert_eq!(outline.to_string(), "root: 5 labels\n  cluster 0: 2 labels\n  cluster 1: 3 labels\n");
        let outline = outline.max_children(1);
        assert_eq!(outline.to_string(), "root: 5 labels\n  cluster 0: 2 labels\n  … 1 more\n");
        let cluster = json!({"cluster": 0, "labels": 2, "children": [], "left_out": 2});
        assert_eq!(
            serde_json::to_value(&outline).unwrap(),
            json!({"cluster": 0, "labels": 5, "children": [cluster], "left_out": 1})
        );
    }

    #[test]
    fn json_is_nested_down_to_named_labels() {
        let tree = small();
        let value = serde_json::to_value(tree.outline(|label| format!("\"{label}\""))).unwrap();
        let label = &value["children"][1]["children"][0];
        assert_eq!(label, &json!({"label": 1, "name": "\"1\""}));
    }
}
