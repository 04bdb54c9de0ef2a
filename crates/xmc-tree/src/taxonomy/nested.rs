//! Nested JSON: `{"name": …, "children": […]}` down to the labels.

use super::{Kind, Node, Place};
use crate::TreeError;
use serde::Deserialize;

/// One object; members that are not listed are of no concern (an outline has some).
#[derive(Deserialize)]
struct Object {
    name: Option<String>,
    #[serde(default)]
    children: Option<Vec<Object>>,
    /// Children that an outline with limits does not show.
    #[serde(default)]
    left_out: u64,
}

/// The nodes under the outermost object, which is the root. (The parser bounds the nesting.)
pub(super) fn read(text: &str) -> Result<Vec<Node>, TreeError> {
    let root: Object = serde_json::from_str(text).map_err(|error| TreeError::json(&error))?;
    let mut nodes = Vec::new();
    push_children(root, None, "$", &mut nodes)?;
    Ok(nodes)
}

fn push_children(
    object: Object,
    parent: Option<usize>,
    path: &str,
    nodes: &mut Vec<Node>,
) -> Result<(), TreeError> {
    if object.left_out > 0 {
        let place = Place::Json(path.to_owned());
        return Err(TreeError::TaxonomyLeftOut { place, found: object.left_out });
    }
    for (index, child) in object.children.into_iter().flatten().enumerate() {
        push(child, index, parent, &format!("{path}.children[{index}]"), nodes)?;
    }
    Ok(())
}

fn push(
    object: Object,
    index: usize,
    parent: Option<usize>,
    path: &str,
    nodes: &mut Vec<Node>,
) -> Result<(), TreeError> {
    let place = || Place::Json(path.to_owned());
    let is_label = object.children.as_ref().is_none_or(Vec::is_empty) && object.left_out == 0;
    let (name, kind) = match (&object.name, is_label) {
        (Some(name), true) => (name.clone(), Kind::Label),
        (None, true) => return Err(TreeError::TaxonomyNoName { place: place() }),
        // Categories need no name: an outline's clusters have none.
        (name, false) => (name.clone().unwrap_or_else(|| format!("[{index}]")), Kind::Category),
    };
    nodes.push(Node { name, parent, place: place(), kind });
    let number = nodes.len() - 1;
    push_children(object, Some(number), path, nodes)
}
