//! `xmc train`: data and hyper-parameters to a model directory.

use super::disentangle::describe;
use super::encoder::{EncoderPlan, weights_of};
use super::input::{Inputs, have_names, print_params, resolve_params};
use crate::args::TrainArgs;
use crate::console::{Console, count, print, seconds};
use crate::failure::usage;
use crate::provenance;
use anyhow::{Context, Result};
use indicatif::DecimalBytes;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;
use xmc::{
    Csr, DataSource, Dataset, Features, LabelFeatures, LabelMap, LabelTree, Meta, Model, Scores, TrainParams,
    Trainer, TrainingPlan, TreeDisentanglement,
};
use xmc_data::{Columns, read_npy, read_npz};
use xmc_tree::TaxonomyFormat;

/// Runs the command.
pub(crate) fn run(args: &TrainArgs, console: &Console) -> Result<()> {
    let params = resolve_params(&args.hyper)?;
    if args.hyper.print_params {
        return print_params(&params);
    }
    if args.dry_run {
        return dry_run(args, params, console);
    }
    let job = Job::resolve(args, params)?;
    let report = job.run(console)?;
    match args.json {
        true => print(serde_json::to_string(&report)?),
        false => print(report.summary()),
    }
}

/// Says what a training would take.
fn dry_run(args: &TrainArgs, params: TrainParams, console: &Console) -> Result<()> {
    let unplanned = [
        (args.encoder.encoder.is_some() || args.fine_tune.encoder_mode.is_some(), "an encoder"),
        (!args.tree.is_empty() || args.taxonomy.is_some(), "a given tree"),
        (args.relevance.is_some() || args.hard_negatives.is_some(), "--relevance or --hard-negatives"),
        (args.label_matrix.is_some(), "--label-matrix"),
    ];
    if let Some((_, what)) = unplanned.into_iter().find(|(is_given, _)| *is_given) {
        return Err(usage(format!("--dry-run: no plan can be made for a training with {what}")));
    }
    let (inputs, start) = (Inputs::resolve(&args.data)?, Instant::now());
    let dataset = inputs.train.read(console)?;
    let read = (start.elapsed().as_secs_f64(), crate::memory::peak());
    let mut trainer =
        Trainer::new(params).progress(console.progress()).memory(args.memory.map(|size| size.as_u64()));
    if have_names(&dataset) {
        trainer = trainer.label_names(true);
    }
    let plan = match &args.model {
        Some(dir) => trainer.plan_to(&dataset, dir),
        None => trainer.plan(&dataset),
    }?;
    match args.json {
        true => print(serde_json::to_string(&plan)?),
        false => print(table_of(&plan, read)),
    }
}

/// A plan as a table.
fn table_of(plan: &TrainingPlan, (read, read_peak): (f64, Option<u64>)) -> String {
    let size = |bytes: u64| DecimalBytes(bytes).to_string();
    let mut text = format!("{:<16}{:>12}{:>12}{:>12}", "stage", "memory", "disk", "time");
    let mut line = |name: &str, memory: String, disk: Option<u64>, time: Option<f64>| {
        let (disk, time) = (disk.map(size).unwrap_or_default(), time.map(seconds).unwrap_or_default());
        text.push_str(&format!("\n{name:<16}{memory:>12}{disk:>12}{time:>12}"));
    };
    line("read", read_peak.map(size).unwrap_or_default(), None, Some(read));
    for stage in &plan.stages {
        line(stage.name, size(stage.memory_bytes), stage.disk_bytes, stage.seconds);
    }
    let all = read + plan.stages.iter().filter_map(|stage| stage.seconds).sum::<f64>();
    let most = plan.stages.iter().map(|stage| stage.memory_bytes).max().unwrap_or(0);
    line("in all", size(most), plan.model_bytes, Some(all));
    let sampled: Vec<String> = plan.sampled.iter().map(|&n| count(n, "record")).collect();
    text.push_str(&format!("\nreckoned from trainings on {}", sampled.join(" and ")));
    text
}

/// A file of categories.
struct Taxonomy {
    path: PathBuf,
    format: TaxonomyFormat,
}

impl Taxonomy {
    fn resolve(path: &Path, format: Option<TaxonomyFormat>) -> Self {
        let by_name = match path.extension().is_some_and(|ending| ending == "json") {
            true => TaxonomyFormat::Nested,
            false => TaxonomyFormat::Paths,
        };
        Self { path: path.to_path_buf(), format: format.unwrap_or(by_name) }
    }

    fn read(&self, labels: &LabelMap) -> Result<LabelTree> {
        let path = self.path.display();
        let text = std::fs::read_to_string(&self.path).with_context(|| format!("cannot read {path}"))?;
        let tree = LabelTree::from_taxonomy(
            &text,
            self.format,
            labels.len(),
            |key| labels.get(key),
            |label| labels.key(label),
        );
        tree.with_context(|| path.to_string())
    }
}

/// All that a training needs.
struct Job {
    params: TrainParams,
    inputs: Inputs,
    tree: Vec<PathBuf>,
    taxonomy: Option<Taxonomy>,
    relevance: Option<PathBuf>,
    hard_negatives: Option<PathBuf>,
    label_matrix: Option<PathBuf>,
    encoder: Option<EncoderPlan>,
    encoder_dir: Option<PathBuf>,
    model: PathBuf,
    timestamps: bool,
    resume: bool,
    memory: Option<u64>,
}

pub(super) fn read_matrix(path: &Option<PathBuf>) -> Result<Option<Csr>> {
    let matrix =
        path.as_ref().map(|path| read_npz(path, Columns::Labels).with_context(|| path.display().to_string()));
    matrix.transpose()
}

/// Features from a file: sparse ones, or dense ones (.npy).
fn read_features(path: &Path) -> Result<Features> {
    let is_dense = path.extension().is_some_and(|ending| ending == "npy");
    let read = || -> Result<Features> {
        if !is_dense {
            return Ok(Features::from_sparse(read_npz(path, Columns::Features)?));
        }
        let dense = read_npy(path)?;
        Ok(Features::new(Csr::empty(dense.nrows(), 0), Some(dense))?)
    };
    read().with_context(|| path.display().to_string())
}

impl Job {
    fn resolve(args: &TrainArgs, params: TrainParams) -> Result<Self> {
        if args.label_matrix.is_some() && params.label_features == LabelFeatures::Pii {
            return Err(usage("--label-matrix has no part in --label-features pii"));
        }
        let inputs = Inputs::resolve(&args.data)?;
        let model = args.model.clone().ok_or_else(|| usage("--model is required"))?;
        let encoder = EncoderPlan::resolve(args, &params.encoding)?;
        Ok(Self {
            params,
            inputs,
            tree: args.tree.clone(),
            taxonomy: args.taxonomy.as_ref().map(|path| Taxonomy::resolve(path, args.taxonomy_format)),
            relevance: args.relevance.clone(),
            hard_negatives: args.hard_negatives.clone(),
            label_matrix: args.label_matrix.clone(),
            encoder,
            encoder_dir: args.encoder.encoder.clone(),
            model,
            timestamps: !args.no_timestamps,
            resume: args.resume,
            memory: args.memory.map(|size| size.as_u64()),
        })
    }

    fn run(self, console: &Console) -> Result<Report> {
        let start = Instant::now();
        let chain = self.read_tree()?;
        let train = self.inputs.train.read(console)?;
        let tree = match &self.taxonomy {
            Some(taxonomy) => Some(taxonomy.read(&train.label_map)?),
            None => chain,
        };
        let valid = self.inputs.read_valid(&train, console)?;
        let sources = self.sources(&train)?;
        let read = start.elapsed().as_secs_f64();
        let mut trainer = Trainer::new(self.params)
            .progress(console.progress())
            .timestamps(self.timestamps)
            .resume(self.resume)
            .memory(self.memory);
        trainer = sources.into_iter().fold(trainer, Trainer::source);
        if let Some(tree) = tree {
            trainer = trainer.tree(tree);
        }
        if let Some(valid) = &valid {
            trainer = trainer.valid(valid);
        }
        if have_names(&train) {
            trainer = trainer.label_names(true);
        }
        let (relevance, hard_negatives) = (read_matrix(&self.relevance)?, read_matrix(&self.hard_negatives)?);
        if let Some(relevance) = &relevance {
            trainer = trainer.relevance(relevance);
        }
        if let Some(hard_negatives) = &hard_negatives {
            trainer = trainer.hard_negatives(hard_negatives);
        }
        if let Some(encoder) = &self.encoder {
            trainer = encoder.equip(trainer);
        }
        let label_matrix = self.label_matrix.as_deref().map(read_features).transpose()?;
        if let Some(label_matrix) = &label_matrix {
            trainer = trainer.label_features(label_matrix);
        }
        let model = trainer.fit_to(&train, &self.model)?;
        Ok(Report::new(&self.model, &model, train.skipped.records, read, start.elapsed().as_secs_f64()))
    }

    fn read_tree(&self) -> Result<Option<LabelTree>> {
        if self.tree.is_empty() {
            return Ok(None);
        }
        let chain: Result<Vec<_>, _> = self.tree.iter().map(|path| read_npz(path, Columns::Labels)).collect();
        Ok(Some(LabelTree::from_cluster_matrices(&chain?).context("--tree")?))
    }

    fn sources(&self, train: &Dataset) -> Result<Vec<DataSource>> {
        let mut files: Vec<_> = self.inputs.files(train).collect();
        let matrices = [
            ("relevance", &self.relevance),
            ("hard-negatives", &self.hard_negatives),
            ("label-matrix", &self.label_matrix),
        ];
        let given = matrices.into_iter().filter_map(|(role, path)| Some((role.to_owned(), path.as_deref()?)));
        files.extend(given);
        let weights = self.encoder_dir.as_deref().map(weights_of);
        files.extend(weights.as_deref().map(|path| ("encoder".to_owned(), path)));
        files.extend(self.taxonomy.as_ref().map(|taxonomy| ("taxonomy".to_owned(), taxonomy.path.as_path())));
        files.extend(self.tree.iter().enumerate().map(|(at, path)| (format!("tree-{at}"), path.as_path())));
        let sources = files.into_iter().map(|(role, path)| provenance::source(&role, path));
        sources.filter_map(Result::transpose).collect()
    }
}

/// Seconds of every stage of a training, with those of reading the data.
pub(super) fn stages_with(read: f64, meta: &Meta) -> BTreeMap<String, f64> {
    let mut stages = meta.stages.clone();
    stages.insert("read".to_owned(), read);
    stages
}

/// Stages with their times, in the order in which they ran.
pub(super) fn in_order(stages: &BTreeMap<String, f64>) -> String {
    const ORDER: [&str; 12] = [
        "read",
        "tfidf",
        "distill",
        "fine-tune",
        "embed",
        "label_features",
        "tree",
        "weights",
        "merge",
        "match",
        "assign",
        "valid",
    ];
    let place = |name: &str| ORDER.iter().position(|stage| *stage == name).unwrap_or(ORDER.len());
    let mut stages: Vec<_> = stages.iter().collect();
    stages.sort_by_key(|(name, _)| place(name));
    let stages: Vec<String> = stages.iter().map(|(name, s)| format!("{name} {}", seconds(**s))).collect();
    stages.join(", ")
}

/// What a training has come to.
#[derive(Serialize)]
struct Report {
    model: String,
    seconds: f64,
    stages: BTreeMap<String, f64>,
    n_samples: u64,
    n_features: u64,
    n_dense: u64,
    n_labels: u64,
    n_weights: u64,
    model_bytes: u64,
    skipped_records: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_memory_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    disentangled: Vec<TreeDisentanglement>,
    /// Whether labels were to find further places and there are none.
    #[serde(skip)]
    nowhere_to_go: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid: Option<Scores>,
}

impl Report {
    fn new(dir: &Path, model: &Model, skipped_records: u64, read: f64, seconds: f64) -> Self {
        let meta = model.meta();
        Self {
            model: dir.display().to_string(),
            seconds,
            stages: stages_with(read, meta),
            n_samples: meta.n_samples,
            n_features: meta.n_features,
            n_dense: meta.n_dense,
            n_labels: meta.n_labels,
            n_weights: meta.n_weights,
            model_bytes: model.container().manifest().total_bytes(),
            skipped_records,
            peak_memory_bytes: crate::memory::peak(),
            disentangled: meta.disentangled.clone(),
            nowhere_to_go: meta.params.disentangle.is_on() && meta.disentangled.is_empty(),
            valid: meta.valid.clone(),
        }
    }

    fn summary(&self) -> String {
        let stages = in_order(&self.stages);
        let mut text = format!(
            "{}: {}, {}, {}, {}, {}\n{} in all: {}",
            self.model,
            count(self.n_samples, "record"),
            count(self.n_features + self.n_dense, "feature"),
            count(self.n_labels, "label"),
            count(self.n_weights, "weight"),
            DecimalBytes(self.model_bytes),
            seconds(self.seconds),
            stages,
        );
        for tree in &self.disentangled {
            text.push_str(&format!("\n{}", describe(tree)));
        }
        if self.nowhere_to_go {
            text.push_str("\nno copies of labels: there are no clusters above them to stand in");
        }
        if let Some(valid) = &self.valid {
            text.push_str(&format!("\nOn the validation data:\n{valid}"));
        }
        text
    }
}
