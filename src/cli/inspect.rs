//! `xmc inspect`: what a model (or converted data) is, whether it is whole, what its tree looks like.

use super::{open_model, train::in_order};
use crate::args::{DeviceArgs, InspectArgs};
use crate::console::{Console, count, print};
use crate::failure::usage;
use anyhow::{Context, Result};
use indicatif::DecimalBytes;
use serde::Serialize;
use std::fmt::Write;
use std::path::Path;
use xmc::{Container, DataMeta, EncoderKind, Kind, Labelling, Meta, Model};
use xmc_store::SectionEntry;

/// Runs the command.
pub(crate) fn run(args: &InspectArgs, console: &Console) -> Result<()> {
    // Checking and listing need no more than the container: they work on a model that is damaged inside.
    if args.verify {
        return verify(args, console);
    }
    if args.sections {
        return sections(args);
    }
    if args.data.is_some() {
        return data(args);
    }
    let (dir, _) = place(args)?;
    let model = open_model(dir, &DeviceArgs::default())?;
    match (args.tree, args.params) {
        (true, _) => tree(args, &model),
        (_, true) => params(args, &model),
        _ => overview(args, &model),
    }
}

/// The directory, and what it is to hold.
fn place(args: &InspectArgs) -> Result<(&Path, Kind)> {
    let data = args.data.as_deref().map(|dir| (dir, Kind::Data));
    let model = args.model.as_deref().map(|dir| (dir, Kind::Model));
    data.or(model).ok_or_else(|| usage("--model or --data is required"))
}

fn open(args: &InspectArgs) -> Result<Container> {
    let (dir, kind) = place(args)?;
    Container::open_as(dir, kind).with_context(|| format!("cannot open the {kind}"))
}

fn verify(args: &InspectArgs, console: &Console) -> Result<()> {
    let (dir, kind) = place(args)?;
    let report = open(args)?.verify(console.progress());
    let report = report.with_context(|| format!("the {kind} is damaged"))?;
    match args.json {
        true => print(serde_json::json!({"sections": report.sections, "bytes": report.bytes, "whole": true})),
        false => {
            let (sections, bytes) = (count(report.sections, "section"), DecimalBytes(report.bytes));
            print(format_args!("{}: whole ({sections}, {bytes})", dir.display()))
        }
    }
}

fn sections(args: &InspectArgs) -> Result<()> {
    let container = open(args)?;
    let sections = &container.manifest().sections;
    if args.json {
        return print(serde_json::to_string(sections)?);
    }
    let width = sections.iter().map(|section| section.name.len()).max().unwrap_or(0);
    let line = |s: &SectionEntry| {
        let SectionEntry { name, dtype, len, bytes, xxh3, .. } = s;
        format!("{name:<width$}  {:<6}  {len:>12}  {bytes:>12}  {xxh3:016x}", dtype.to_string())
    };
    let header =
        format!("{:<width$}  {:<6}  {:>12}  {:>12}  {}", "section", "type", "elements", "bytes", "xxh3");
    let lines: Vec<String> = std::iter::once(header).chain(sections.iter().map(line)).collect();
    print(lines.join("\n"))
}

fn tree(args: &InspectArgs, model: &Model) -> Result<()> {
    let outline = model.tree().outline(|label| model.label_name(label));
    let outline = outline.max_depth(args.depth.unwrap_or(usize::MAX));
    let outline = outline.max_children(args.children.unwrap_or(usize::MAX));
    match args.json {
        true => print(serde_json::to_string(&outline)?),
        false => print(outline.to_string().trim_end()),
    }
}

fn params(args: &InspectArgs, model: &Model) -> Result<()> {
    let params = &model.meta().params;
    match args.json {
        true => print(serde_json::to_string(params)?),
        false => print(toml::to_string(params)?.trim_end()),
    }
}

fn overview(args: &InspectArgs, model: &Model) -> Result<()> {
    match args.json {
        true => print(serde_json::to_string(&Overview::new(model))?),
        false => print(describe(&place(args)?.0.display().to_string(), model)?.trim_end()),
    }
}

/// Converted data in figures.
fn data(args: &InspectArgs) -> Result<()> {
    let (dir, container) = (place(args)?.0, open(args)?);
    let meta: DataMeta = container.meta()?;
    let manifest = container.manifest();
    if args.json {
        let mut json = serde_json::to_value(&meta)?;
        json["format_version"] = manifest.version.into();
        json["bytes"] = manifest.total_bytes().into();
        return print(json);
    }
    let size = (DecimalBytes(manifest.total_bytes()), count(manifest.sections.len(), "section"));
    let labels = meta.n_labels.map_or("none".to_owned(), |n| indicatif::HumanCount(n).to_string());
    let from = match (meta.label_file, meta.labelling) {
        (true, _) => ", from a file of labels",
        (_, Labelling::Numbered) => ", by number",
        _ => "",
    };
    let features = match (meta.n_features, meta.n_dense) {
        (None, 0) => "text".to_owned(),
        (None, dense) => format!("text, {} dense", indicatif::HumanCount(dense)),
        (Some(sparse), dense) => widths(sparse, dense),
    };
    let lines = [
        ("data", dir.display().to_string()),
        ("made by", format!("xmc {}, format version {}", meta.xmc_version, manifest.version)),
        ("size", format!("{} in {}", size.0, size.1)),
        ("records", indicatif::HumanCount(meta.n_samples).to_string()),
        ("features", features),
        ("labels", format!("{labels}{from}")),
    ];
    print(lines.map(|(name, value)| format!("{name:<10} {value}")).join("\n"))
}

/// The model in figures.
#[derive(Serialize)]
struct Overview<'a> {
    format_version: u32,
    model_bytes: u64,
    /// Clusters of each level; labels on the last one.
    tree: Vec<usize>,
    #[serde(flatten)]
    meta: &'a Meta,
}

impl<'a> Overview<'a> {
    fn new(model: &'a Model) -> Self {
        let manifest = model.container().manifest();
        Self {
            format_version: manifest.version,
            model_bytes: manifest.total_bytes(),
            tree: model.tree().layers().iter().map(xmc_tree::TreeLayer::n_children).collect(),
            meta: model.meta(),
        }
    }
}

fn describe(dir: &str, model: &Model) -> Result<String, std::fmt::Error> {
    let Overview { format_version, model_bytes, tree, meta } = Overview::new(model);
    let mut text = String::new();
    let mut line = |name: &str, value: String| writeln!(text, "{name:<10} {value}");
    line("model", dir.to_owned())?;
    line("made by", format!("xmc {}, format version {format_version}", meta.xmc_version))?;
    if let Some(time) = &meta.trained_at {
        line("trained", time.clone())?;
    }
    line("takes", if meta.takes_text { "text".into() } else { "features".into() })?;
    line(
        "size",
        format!(
            "{} in {}",
            DecimalBytes(model_bytes),
            count(model.container().manifest().sections.len(), "section")
        ),
    )?;
    line("records", indicatif::HumanCount(meta.n_samples).to_string())?;
    line("labels", indicatif::HumanCount(meta.n_labels).to_string())?;
    line("features", features(meta))?;
    if let Some(encoder) = meta.encoder {
        let (encoder, length) =
            (encoder_kind(encoder), meta.params.encoding.scale.unwrap_or(encoder.scale()));
        line("encoder", format!("{encoder}, embeddings of length {length}"))?;
    }
    line("weights", format!("{}, {}", indicatif::HumanCount(meta.n_weights), weight_type(meta)))?;
    let levels: Vec<String> = tree.iter().map(|&n| indicatif::HumanCount(n as u64).to_string()).collect();
    line("tree", format!("{}: {}", count(tree.len(), "level"), levels.join(" → ")))?;
    let search = &meta.params.search;
    line("search", format!("beam {}, top {}, {}", search.beam_size, search.top_k, search.post_processor))?;
    for source in &meta.sources {
        line(
            &source.role,
            format!("{} ({}, xxh3 {})", source.path, DecimalBytes(source.bytes), source.xxh3),
        )?;
    }
    if !meta.stages.is_empty() {
        line("times", in_order(&meta.stages))?;
    }
    if let Some(valid) = &meta.valid {
        write!(text, "\nOn the validation data:\n{valid}")?;
    }
    Ok(text)
}

fn features(meta: &Meta) -> String {
    widths(meta.n_features, meta.n_dense)
}

fn widths(sparse: u64, dense: u64) -> String {
    let sparse = indicatif::HumanCount(sparse);
    match dense {
        0 => sparse.to_string(),
        dense => format!("{sparse} sparse, {} dense", indicatif::HumanCount(dense)),
    }
}

fn encoder_kind(kind: EncoderKind) -> &'static str {
    match kind {
        EncoderKind::Static => "a table of token vectors",
        EncoderKind::Transformer => "a transformer",
        _ => "of another kind",
    }
}

fn weight_type(meta: &Meta) -> String {
    let name = serde_json::to_value(meta.params.linear.weights).unwrap_or_default();
    name.as_str().unwrap_or_default().to_owned()
}
