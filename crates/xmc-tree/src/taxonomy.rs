//! A label tree that is given: categories by people instead of clusters by features.
//!
//! The readers of the formats make one list of named nodes with parents out of their text; what makes a tree of
//! them, and refuses what is none, is here.

mod nested;
mod parents;
mod paths;

use crate::hierarchy::{Cluster, Hierarchy};
use crate::{LabelTree, TreeError};
use serde::{Deserialize, Serialize};
use std::fmt;
use xmc_sparse::LabelId;

/// How a taxonomy is written down. There is no guessing: a path and a parent may look alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TaxonomyFormat {
    /// A line `label<TAB>path/of/categories` for each label, from the uppermost category down. `\/` and `\\`
    /// stand for the characters; lines without any character are skipped.
    Paths,
    /// JSON `{"name": …, "children": […]}`: an object without children is a label, its name the label's key. The
    /// JSON of an [`Outline`](crate::Outline) without limits, named by keys, is in this format.
    Nested,
    /// A line `child<TAB>parent` for each label and each category, with nothing after the tab on the
    /// uppermost. A category may be a label as well; its name is then the label's key.
    Parents,
    /// The same as a JSON object `{"child": "parent", "uppermost": null}`.
    ParentsJson,
}

/// Where something stands in the text of a taxonomy.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// A line, counted from 1.
    Line(usize),
    /// A path in a JSON document.
    Json(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Json(path) => f.write_str(path),
        }
    }
}

/// Most categories above a label. Each is a layer that a search walks through: what is deeper is no taxonomy.
const MAX_CATEGORIES: usize = 64;

/// Labels that are named when some are missing.
const NAMED: usize = 5;

impl LabelTree {
    /// The tree that `text` describes. Labels go by their keys: `id_of` gives the number of a key (`None` when there
    /// is no such label), `key_of` the key of a number, and every label `0..n_labels` must have one place.
    ///
    /// Labels beside categories get a cluster of their own; labels that are less deep than others are brought down by
    /// clusters of a single child; a single category at the top is left out.
    ///
    /// ```
    /// use xmc_tree::{LabelTree, TaxonomyFormat};
    /// let keys = ["boots", "hats", "sandals"];
    /// let id_of = |key: &str| keys.iter().position(|&known| known == key).map(|id| id as u32);
    /// let text = "boots\tclothing/shoes\nsandals\tclothing/shoes\nhats\tclothing\n";
    /// let tree = LabelTree::from_taxonomy(text, TaxonomyFormat::Paths, 3, id_of, |id| keys[id as usize])?;
    /// assert_eq!((tree.depth(), tree.n_clusters(0)), (2, 2));
    /// assert_eq!(tree.layers()[1].children(0), &[0, 2]);
    /// # Ok::<(), xmc_tree::TreeError>(())
    /// ```
    ///
    /// # Errors
    /// What is no tree of these labels, with its line or JSON path: [`TreeError::TaxonomyFields`],
    /// [`TaxonomySegment`](TreeError::TaxonomySegment), [`TaxonomyJson`](TreeError::TaxonomyJson),
    /// [`TaxonomyLabel`](TreeError::TaxonomyLabel), [`TaxonomyTwoParents`](TreeError::TaxonomyTwoParents),
    /// [`TaxonomyNoParent`](TreeError::TaxonomyNoParent), [`TaxonomyCycle`](TreeError::TaxonomyCycle),
    /// [`TaxonomyDepth`](TreeError::TaxonomyDepth), [`TaxonomyLeftOut`](TreeError::TaxonomyLeftOut),
    /// [`TaxonomyUnplaced`](TreeError::TaxonomyUnplaced), [`TaxonomyEmpty`](TreeError::TaxonomyEmpty).
    pub fn from_taxonomy<K: fmt::Display>(
        text: &str,
        format: TaxonomyFormat,
        n_labels: usize,
        id_of: impl Fn(&str) -> Option<LabelId>,
        key_of: impl Fn(LabelId) -> K,
    ) -> Result<Self, TreeError> {
        let nodes = match format {
            TaxonomyFormat::Paths => paths::read(text)?,
            TaxonomyFormat::Nested => nested::read(text)?,
            TaxonomyFormat::Parents => parents::read(text)?,
            TaxonomyFormat::ParentsJson => parents::read_json(text)?,
        };
        if nodes.is_empty() {
            return Err(TreeError::TaxonomyEmpty);
        }
        let mut placing = Placing::new(&nodes, n_labels);
        placing.place_labels(id_of)?;
        placing.check_complete(key_of)?;
        placing.hierarchy.into_tree(n_labels)
    }
}

/// One node of a taxonomy, as the readers of all formats give it.
#[derive(Debug)]
struct Node {
    name: String,
    /// A node's number; `None` under the root.
    parent: Option<usize>,
    place: Place,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Category,
    Label,
    /// A label if it is known as one; a category if it has children. It must be one of them.
    Either,
}

/// Puts labels under categories.
struct Placing<'n> {
    nodes: &'n [Node],
    /// The cluster that each node is (unused for labels without children).
    cluster_of: Vec<usize>,
    hierarchy: Hierarchy,
    /// The cluster and the node of every label so far.
    placed: Vec<Option<(usize, usize)>>,
}

impl<'n> Placing<'n> {
    /// All categories, without labels.
    fn new(nodes: &'n [Node], n_labels: usize) -> Self {
        let mut is_cluster: Vec<bool> = nodes.iter().map(|node| node.kind == Kind::Category).collect();
        nodes.iter().filter_map(|node| node.parent).for_each(|parent| is_cluster[parent] = true);
        let (mut cluster_of, mut n_clusters) = (vec![0; nodes.len()], 1);
        for (node, _) in is_cluster.iter().enumerate().filter(|(_, is_cluster)| **is_cluster) {
            cluster_of[node] = n_clusters;
            n_clusters += 1;
        }
        let mut hierarchy = Hierarchy { clusters: vec![Cluster::default(); n_clusters] };
        for (node, &cluster) in nodes.iter().zip(&cluster_of).filter(|(_, cluster)| **cluster > 0) {
            let parent = node.parent.map_or(0, |parent| cluster_of[parent]);
            hierarchy.clusters[parent].clusters.push(cluster);
        }
        Self { nodes, cluster_of, hierarchy, placed: vec![None; n_labels] }
    }

    fn place_labels(&mut self, id_of: impl Fn(&str) -> Option<LabelId>) -> Result<(), TreeError> {
        for (number, node) in self.nodes.iter().enumerate() {
            self.check_depth(node)?;
            let id = match node.kind {
                Kind::Category => None,
                Kind::Label | Kind::Either => {
                    id_of(&node.name).filter(|&id| (id as usize) < self.placed.len())
                }
            };
            let is_cluster = self.cluster_of[number] > 0;
            match id {
                Some(id) => self.place(id, number)?,
                None if is_cluster => {}
                None => {
                    let (place, label) = (node.place.clone(), node.name.clone());
                    return Err(TreeError::TaxonomyLabel { place, label });
                }
            }
        }
        Ok(())
    }

    /// A label that is a category too stands in itself, any other under its parent.
    fn place(&mut self, id: LabelId, number: usize) -> Result<(), TreeError> {
        let node = &self.nodes[number];
        let cluster = match self.cluster_of[number] {
            0 => node.parent.map_or(0, |parent| self.cluster_of[parent]),
            own => own,
        };
        match self.placed[id as usize].replace((cluster, number)) {
            None => self.hierarchy.clusters[cluster].labels.push(id),
            Some((before, _)) if before == cluster => {}
            Some((_, before)) => {
                let before = &self.nodes[before];
                return Err(TreeError::TaxonomyTwoParents {
                    place: node.place.clone(),
                    label: node.name.clone(),
                    parent: self.path_to(node.parent),
                    before: before.place.clone(),
                    other: self.path_to(before.parent),
                });
            }
        }
        Ok(())
    }

    fn check_depth(&self, node: &Node) -> Result<(), TreeError> {
        let (mut above, mut depth) = (node.parent, 0);
        while let Some(parent) = above {
            depth += 1;
            if depth > MAX_CATEGORIES {
                return Err(TreeError::TaxonomyDepth { place: node.place.clone(), limit: MAX_CATEGORIES });
            }
            above = self.nodes[parent].parent;
        }
        Ok(())
    }

    /// Names from the uppermost category down to `node`.
    fn path_to(&self, mut node: Option<usize>) -> String {
        let mut names = Vec::new();
        while let Some(number) = node {
            names.push(self.nodes[number].name.as_str());
            node = self.nodes[number].parent;
        }
        names.reverse();
        if names.is_empty() { "the root".to_owned() } else { names.join("/") }
    }

    fn check_complete<K: fmt::Display>(&self, key_of: impl Fn(LabelId) -> K) -> Result<(), TreeError> {
        let missing = || self.placed.iter().zip(0u32..).filter(|(place, _)| place.is_none());
        let found = missing().count();
        if found == 0 {
            return Ok(());
        }
        let named = missing().take(NAMED).map(|(_, id)| key_of(id).to_string()).collect();
        Err(TreeError::TaxonomyUnplaced { found, named })
    }
}
