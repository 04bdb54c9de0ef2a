//! Explanations for people: a table of the path, and the features that mattered.

use super::{Contribution, Contributions, ExplainedLabel, ExplainedPath, Explanation, PathNode};
use std::fmt;

/// Lines are broken before they become longer, where there is a place to break them.
const WIDTH: usize = 100;
/// Between two features.
const GAP: &str = "   ";

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.labels.is_empty() {
            return writeln!(f, "no labels");
        }
        let several_trees = self.labels.iter().flat_map(|label| &label.paths).any(|path| path.tree > 0);
        for (at, label) in self.labels.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            write_label(f, label, several_trees)?;
        }
        Ok(())
    }
}

fn write_label(f: &mut fmt::Formatter<'_>, label: &ExplainedLabel, several_trees: bool) -> fmt::Result {
    writeln!(f, "{}  {:.3}", label.name, label.score)?;
    label.paths.iter().try_for_each(|path| write_path(f, path, several_trees))
}

fn write_path(f: &mut fmt::Formatter<'_>, path: &ExplainedPath, several_trees: bool) -> fmt::Result {
    let names: Vec<String> = path.steps.iter().map(|step| name(&step.node)).collect();
    let root = if several_trees { format!("root of tree {}", path.tree) } else { "root".to_owned() };
    let width = names.iter().map(|name| name.chars().count() + 2).max().unwrap_or(0).max(root.len());
    writeln!(f, "  {root:width$}   score  margin")?;
    for (step, name) in path.steps.iter().zip(&names) {
        let width = width - 2;
        write!(f, "  › {name:width$}  {:6.3}  {:6.2}", step.score, step.margin)?;
        writeln!(f, "{}", below(&step.node))?;
    }
    write_contributions(f, "label", &path.at_label)?;
    // Without clusters above, the label's margin is all there is.
    if path.steps.len() > 1 { write_contributions(f, "path", &path.along_path) } else { Ok(()) }
}

fn name(node: &PathNode) -> String {
    match node {
        PathNode::Cluster { cluster, .. } => format!("cluster {cluster}"),
        PathNode::Label { label } => label.clone(),
    }
}

/// What is below a cluster.
fn below(node: &PathNode) -> String {
    let PathNode::Cluster { n_labels, labels, .. } = node else { return String::new() };
    let plural = if *n_labels == 1 { "" } else { "s" };
    let (colon, more) =
        (if labels.is_empty() { "" } else { ": " }, if labels.len() < *n_labels { " …" } else { "" });
    format!("  {n_labels} label{plural}{colon}{}{more}", labels.join(", "))
}

fn write_contributions(f: &mut fmt::Formatter<'_>, what: &str, of: &Contributions) -> fmt::Result {
    let plural = if of.n_others == 1 { "" } else { "s" };
    let others = format!("{} other{plural}", of.n_others);
    let rest = [("intercept".to_owned(), of.intercept), (others, of.others)];
    let side = |named: &[Contribution], sign: f32| -> Vec<String> {
        let named = named.iter().map(|c| (title(c), c.contribution));
        let rest = rest.iter().filter(|(_, part)| part * sign > 0.0).cloned();
        named.chain(rest).map(|(name, part)| format!("{name} {}", signed(part))).collect()
    };
    write_wrapped(f, &format!("  {what:<5}  up    "), &side(&of.up, 1.0))?;
    write_wrapped(f, "         down  ", &side(&of.down, -1.0))
}

/// Two decimals, or a third one where these would say nothing.
fn signed(part: f32) -> String {
    if part.abs() < 0.01 { format!("{part:+.3}") } else { format!("{part:+.2}") }
}

/// The name of a feature. Spaces around characters are shown: they say that a word begins or ends there.
fn title(of: &Contribution) -> String {
    let core = of.feature.trim_matches(' ');
    let start = of.feature.find(core).unwrap_or(0);
    let end = of.feature.len() - start - core.len();
    let (mark, colon) = of.vectorizer.as_ref().map_or(("", ""), |mark| (mark.as_str(), ":"));
    format!("{mark}{colon}{}{core}{}", "␣".repeat(start), "␣".repeat(end))
}

/// Writes `items` behind `head`, further lines below the first item.
fn write_wrapped(f: &mut fmt::Formatter<'_>, head: &str, items: &[String]) -> fmt::Result {
    let indent = head.chars().count();
    let mut column = indent;
    write!(f, "{head}")?;
    for (at, item) in items.iter().enumerate() {
        let len = item.chars().count();
        if at > 0 && column + GAP.len() + len > WIDTH {
            write!(f, "\n{:indent$}{item}", "")?;
            column = indent + len;
        } else {
            let gap = if at > 0 { GAP } else { "" };
            write!(f, "{gap}{item}")?;
            column += gap.len() + len;
        }
    }
    writeln!(f, "{}", if items.is_empty() { "–" } else { "" })
}
