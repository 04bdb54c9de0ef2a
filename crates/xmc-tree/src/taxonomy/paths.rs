//! `label<TAB>path/of/categories`, a line for each label.

use super::{Kind, Node, Place};
use crate::TreeError;
use std::collections::HashMap;

/// The nodes of all categories and labels.
pub(super) fn read(text: &str) -> Result<Vec<Node>, TreeError> {
    let (mut nodes, mut known) = (Vec::new(), HashMap::new());
    for (line, content) in lines(text) {
        let (label, path) = two_fields(line, content, "label<TAB>path/of/categories")?;
        let mut parent = None;
        for segment in segments(path) {
            if segment.is_empty() || label.is_empty() {
                return Err(TreeError::TaxonomySegment { line, content: content.to_owned() });
            }
            let next = nodes.len();
            let category = *known.entry((parent, segment.clone())).or_insert(next);
            if category == next {
                nodes.push(Node { name: segment, parent, place: Place::Line(line), kind: Kind::Category });
            }
            parent = Some(category);
        }
        nodes.push(Node { name: label.to_owned(), parent, place: Place::Line(line), kind: Kind::Label });
    }
    Ok(nodes)
}

/// Lines with their numbers from 1, without those that have no character.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(line, content)| (line + 1, content))
        .filter(|(_, content)| !content.is_empty())
}

/// The two sides of the only tab of a line.
pub(super) fn two_fields<'l>(
    line: usize,
    content: &'l str,
    expected: &'static str,
) -> Result<(&'l str, &'l str), TreeError> {
    match content.split_once('\t') {
        Some((left, right)) if !right.contains('\t') => Ok((left, right)),
        _ => Err(TreeError::TaxonomyFields { line, expected, content: content.to_owned() }),
    }
}

/// The parts of a path between its separators, without escapes. An empty path is one empty part.
fn segments(path: &str) -> Vec<String> {
    let mut segments = vec![String::new()];
    let mut rest = path.chars().peekable();
    while let Some(character) = rest.next() {
        let escaped = if character == '\\' { rest.next_if(|next| matches!(next, '/' | '\\')) } else { None };
        match (character, segments.last_mut()) {
            ('/', _) => segments.push(String::new()),
            (_, Some(segment)) => segment.push(escaped.unwrap_or(character)),
            (_, None) => unreachable!("invariant: there is always a segment"),
        }
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_can_be_escaped() {
        assert_eq!(segments(r"a/b"), ["a", "b"]);
        assert_eq!(segments(r"a\/b/c\\/d\e"), ["a/b", r"c\", r"d\e"]);
        assert_eq!(segments(""), [""]);
        assert_eq!(segments("/a/"), ["", "a", ""]);
    }
}
