//! A parent for each label and category, as lines `child<TAB>parent` or as a JSON object. The only formats that can
//! describe a cycle.

use super::paths::{lines, two_fields};
use super::{Kind, Node, Place};
use crate::TreeError;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use std::collections::HashMap;
use std::fmt;

/// The nodes of lines `child<TAB>parent`.
pub(super) fn read(text: &str) -> Result<Vec<Node>, TreeError> {
    let mut pairs = Vec::new();
    for (line, content) in lines(text) {
        let (child, parent) =
            two_fields(line, content, "child<TAB>parent (nothing after the tab at the top)")?;
        if child.is_empty() {
            return Err(TreeError::TaxonomySegment { line, content: content.to_owned() });
        }
        let parent = (!parent.is_empty()).then(|| parent.to_owned());
        pairs.push((child.to_owned(), parent, Place::Line(line)));
    }
    link(pairs)
}

/// The nodes of a JSON object from child to parent.
pub(super) fn read_json(text: &str) -> Result<Vec<Node>, TreeError> {
    let Members(members) = serde_json::from_str(text).map_err(|error| TreeError::json(&error))?;
    let pairs = members.into_iter().map(|(child, parent)| {
        let place = Place::Json(format!("$[{child:?}]"));
        (child, parent, place)
    });
    link(pairs.collect())
}

/// The members of an object in their order, repeated names too: a map would keep the last and tell nobody.
struct Members(Vec<(String, Option<String>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object from each child to its parent, null at the top")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

/// Nodes with the numbers of their parents.
fn link(pairs: Vec<(String, Option<String>, Place)>) -> Result<Vec<Node>, TreeError> {
    let mut numbers: HashMap<String, usize> = HashMap::with_capacity(pairs.len());
    let mut kept: Vec<(String, Option<String>, Place)> = Vec::with_capacity(pairs.len());
    for (child, parent, place) in pairs {
        match numbers.get(&child) {
            None => {
                numbers.insert(child.clone(), kept.len());
                kept.push((child, parent, place));
            }
            Some(&before) if kept[before].1 == parent => {}
            Some(&before) => {
                let name = |parent: &Option<String>| parent.clone().unwrap_or_else(|| "the root".to_owned());
                let (parent, other) = (name(&parent), name(&kept[before].1));
                let before = kept[before].2.clone();
                return Err(TreeError::TaxonomyTwoParents { place, label: child, parent, before, other });
            }
        }
    }
    let mut nodes = Vec::with_capacity(kept.len());
    for (name, parent, place) in kept {
        let number = |parent: String| match numbers.get(&parent) {
            Some(&number) => Ok(number),
            None => Err(TreeError::TaxonomyNoParent { place: place.clone(), child: name.clone(), parent }),
        };
        let parent = parent.map(number).transpose()?;
        nodes.push(Node { name, parent, place, kind: Kind::Either });
    }
    refuse_cycles(&nodes)?;
    Ok(nodes)
}

/// Names of a cycle that a message shows.
const SHOWN: usize = 12;

/// Follows the parents of every node, each node once.
fn refuse_cycles(nodes: &[Node]) -> Result<(), TreeError> {
    // The walk on which a node was first met, 0 for none yet.
    let mut met = vec![0; nodes.len()];
    for start in 0..nodes.len() {
        let mut at = Some(start);
        while let Some(node) = at.filter(|&node| met[node] == 0) {
            met[node] = start + 1;
            at = nodes[node].parent;
        }
        if let Some(node) = at.filter(|&node| met[node] == start + 1) {
            return Err(cycle_through(nodes, node));
        }
    }
    Ok(())
}

fn cycle_through(nodes: &[Node], first: usize) -> TreeError {
    let ring: Vec<usize> = std::iter::successors(nodes[first].parent, |&node| nodes[node].parent)
        .take_while(|&node| node != first)
        .collect();
    let mut cycle: Vec<String> =
        std::iter::once(&first).chain(&ring).take(SHOWN).map(|&node| nodes[node].name.clone()).collect();
    if ring.len() >= SHOWN {
        cycle.push(format!("… ({} more)", ring.len() + 1 - SHOWN));
    }
    cycle.push(nodes[first].name.clone());
    TreeError::TaxonomyCycle { place: nodes[first].place.clone(), cycle }
}
