//! `xmc disentangle`: a trained model and its data to a model whose labels stand where they are looked for.

use super::input::read_records;
use super::open_model;
use super::train::{in_order, read_matrix, stages_with};
use crate::args::DisentangleArgs;
use crate::console::{Console, count, print, seconds};
use crate::failure::usage;
use anyhow::Result;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;
use xmc::{Dataset, DisentangleTraining, Disentangler, LabelBy, LabelSource, Model, ReadOptions};
use xmc::{TreeDisentanglement, UnknownLabels};

/// Runs the command.
pub(crate) fn run(args: &DisentangleArgs, console: &Console) -> Result<()> {
    let start = Instant::now();
    let mut params =
        DisentangleTraining::default().copies(args.copies.unwrap_or(DisentangleTraining::COPIES));
    args.assignment.apply(&mut params);
    params.check().map_err(usage)?;
    let model = open_model(&args.model, &args.device)?;
    check_extras(args, &model)?;
    let dataset = read(args, &model, console)?;
    let read = start.elapsed().as_secs_f64();
    let (relevance, hard_negatives) = (read_matrix(&args.relevance)?, read_matrix(&args.hard_negatives)?);
    let mut job = Disentangler::new(&model, params)
        .search(args.search.over(model.search()))
        .progress(console.progress())
        .timestamps(!args.no_timestamps);
    if let Some(relevance) = &relevance {
        job = job.relevance(relevance);
    }
    if let Some(hard_negatives) = &hard_negatives {
        job = job.hard_negatives(hard_negatives);
    }
    let new = job.fit_to(&dataset, &args.out)?;
    let report = Report::new(&args.out, &new, read, start.elapsed().as_secs_f64());
    match args.json {
        true => print(serde_json::to_string(&report)?),
        false => print(report.summary()),
    }
}

/// A matrix that the model was trained with must be there again.
fn check_extras(args: &DisentangleArgs, model: &Model) -> Result<()> {
    let given = [("relevance", &args.relevance), ("hard-negatives", &args.hard_negatives)];
    for (role, path) in given {
        let source = model.meta().sources.iter().find(|source| source.role == role);
        if let (Some(source), None) = (source, path) {
            return Err(usage(format!("the model was trained with --{role} {}: give it again", source.path)));
        }
    }
    Ok(())
}

fn read(args: &DisentangleArgs, model: &Model, console: &Console) -> Result<Dataset> {
    // Without a file of labels the data call them by their keys, which may look like names or rows of others.
    let from_file = model.meta().sources.iter().any(|source| source.role == "labels");
    let as_trained = if from_file { LabelBy::Auto } else { LabelBy::Key };
    let options = ReadOptions {
        labels: LabelSource::Given(model.label_map()),
        label_by: args.label_by.map_or(as_trained, LabelBy::from),
        // A label that the model does not know was left out when it was trained.
        unknown_labels: UnknownLabels::Ignore,
        label_path: args.train_labels.clone(),
        dense: args.dense.clone(),
        ..args.reading.options()
    };
    read_records("train", &args.train, &options, console)
}

/// What has been done.
#[derive(Serialize)]
struct Report<'a> {
    model: String,
    seconds: f64,
    stages: BTreeMap<String, f64>,
    n_labels: u64,
    n_weights: u64,
    model_bytes: u64,
    /// Tree by tree.
    trees: &'a [TreeDisentanglement],
}

impl<'a> Report<'a> {
    fn new(dir: &Path, model: &'a Model, read: f64, seconds: f64) -> Self {
        let meta = model.meta();
        Self {
            model: dir.display().to_string(),
            seconds,
            stages: stages_with(read, meta),
            n_labels: meta.n_labels,
            n_weights: meta.n_weights,
            model_bytes: model.container().manifest().total_bytes(),
            trees: &meta.disentangled,
        }
    }

    fn summary(&self) -> String {
        let mut lines: Vec<String> = self.trees.iter().map(describe).collect();
        let (all, stages) = (seconds(self.seconds), in_order(&self.stages));
        lines.push(format!("{}: {}, {all} in all: {stages}", self.model, count(self.n_weights, "weight")));
        lines.join("\n")
    }
}

/// One tree in a few words.
pub(super) fn describe(tree: &TreeDisentanglement) -> String {
    let percent = |covered: usize| 100.0 * covered as f64 / tree.positives.max(1) as f64;
    let mut text = format!(
        "{}, {} moved, {} of {} trained; {:.1} % of the labels of records are where they are looked for \
         ({:.1} % before); {:.1} inner products a query ({:.1} before)",
        count(tree.copies, "further place"),
        count(tree.moved, "label"),
        tree.trained,
        count(tree.clusters, "cluster"),
        percent(tree.covered),
        percent(tree.covered_before),
        tree.inner_products,
        tree.inner_products_before,
    );
    if tree.crowded_out > 0 {
        text.push_str(&format!("; {} found no room (--max-leaf-factor)", count(tree.crowded_out, "label")));
    }
    text
}
