//! `xmc predict`: records to ranked labels, as they come.

use super::open_models;
use crate::args::{OutputFormat, PredictArgs};
use crate::console::{Console, print};
use crate::failure::usage;
use crate::output::{Batch, Destination, Jsonl, Npz, Sink, Tsv};
use anyhow::{Context, Result};
use serde::Serialize;
use std::fs::File;
use std::io::{BufRead, BufReader, Lines};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use xmc::{
    Csr, Dataset, Ensemble, LabelId, LabelMap, Model, Purpose, RankedLists, ReadOptions, RecordReader, Scope,
    XrLinear,
};

/// Most records at a time: the more go down the tree together, the less each takes.
const BATCH: usize = 1 << 18;
/// Most bytes of their texts and features, so that memory stays bounded: a quarter of the weights, as it takes more records to make it pay to read
/// more weights for all of them together, within these.
const BATCH_BYTES: RangeInclusive<usize> = 64 << 20..=256 << 20;

/// Runs the command.
pub(crate) fn run(args: &PredictArgs, console: &Console) -> Result<()> {
    let job = Job::resolve(args)?;
    let stats = job.run(console)?;
    if args.json {
        let stats = serde_json::to_string(&stats)?;
        match job.output {
            Some(_) => print(stats)?,
            None => eprintln!("{stats}"),
        }
    }
    Ok(())
}

/// All that a prediction needs.
struct Job {
    models: Ensemble,
    input: PathBuf,
    options: ReadOptions,
    score: Option<PathBuf>,
    output: Option<PathBuf>,
    format: OutputFormat,
}

impl Job {
    fn resolve(args: &PredictArgs) -> Result<Self> {
        let input = args.input.as_ref().or(args.file.as_ref());
        let input = input.ok_or_else(|| usage("no input: give a file, or '-' for standard input"))?.clone();
        let output = args.output.clone().filter(|path| path != Path::new("-"));
        let format = args.output_format.unwrap_or_else(|| format_of(output.as_deref()));
        if format == OutputFormat::Npz && output.is_none() {
            return Err(usage("a matrix (npz) cannot go to standard output: give --output FILE"));
        }
        let options =
            ReadOptions { purpose: Purpose::Unlabelled, dense: args.dense.clone(), ..args.reading.options() };
        let models = open_models(&args.models, &args.search, args.top_k)?;
        if args.below.is_some() && models.n_models() > 1 {
            return Err(usage("--below is a cluster of one model's tree: give one --model"));
        }
        let models = models.scope(|model| scope(args, model))?;
        Ok(Self { models, input, options, score: args.score.clone(), output, format })
    }

    fn run(&self, console: &Console) -> Result<Stats> {
        // Input that cannot be opened must not cost the output that was there.
        let mut reader = RecordReader::open(&self.input, &self.options)?;
        let writing = || match &self.output {
            Some(path) => format!("writing {}", path.display()),
            None => "writing to standard output".to_owned(),
        };
        let mut given =
            self.score.as_deref().map(|path| GivenLabels::open(path, self.models.first())).transpose()?;
        let mut sink = self.sink().with_context(writing)?;
        let mut stats = Stats::default();
        let progress = console.progress();
        progress.begin("predict", None, "records");
        let bytes = self.batch_bytes();
        while let Some(batch) = reader.next_batch_within(BATCH, bytes)? {
            let lists = self.rank(&batch, given.as_mut(), &mut stats)?;
            let (first_record, ids) = (stats.queries, batch.ids.as_ref());
            stats.queries += lists.n_rows() as u64;
            sink.write(&Batch { first_record, ids, lists: &lists, model: self.models.first() })
                .with_context(writing)?;
            progress.advance(lists.n_rows() as u64);
        }
        progress.end();
        sink.finish().with_context(writing)?;
        let skipped = reader.skipped();
        console.note_skipped(&self.input, &skipped);
        stats.complete(skipped.records);
        Ok(stats)
    }

    /// Bytes of texts and features of the records that are taken at a time.
    fn batch_bytes(&self) -> usize {
        let weights: usize = self.models.first().matchers().iter().map(XrLinear::n_bytes).sum();
        (weights / 4).clamp(*BATCH_BYTES.start(), *BATCH_BYTES.end())
    }

    fn sink(&self) -> std::io::Result<Box<dyn Sink>> {
        let out = Destination::open(self.output.as_deref())?;
        Ok(match self.format {
            OutputFormat::Jsonl => Box::new(Jsonl::new(out)),
            OutputFormat::Tsv => Box::new(Tsv::new(out)),
            OutputFormat::Npz => {
                let dir = self.output.as_deref().and_then(Path::parent);
                let dir = dir.filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
                Box::new(Npz::new(out, self.models.first().n_labels(), dir)?)
            }
        })
    }

    fn rank(
        &self,
        batch: &Dataset,
        given: Option<&mut GivenLabels<'_>>,
        stats: &mut Stats,
    ) -> Result<RankedLists> {
        let start = Instant::now();
        let features = self.models.features(batch)?;
        let between = Instant::now();
        let lists = match given {
            Some(given) => {
                let labels = given.next(batch.n_samples())?;
                self.models.rank_given(&features, &labels)?
            }
            None => self.models.rank_features(&features)?,
        };
        stats.features_seconds += (between - start).as_secs_f64();
        stats.search_seconds += between.elapsed().as_secs_f64();
        Ok(lists)
    }
}

/// The labels that may be returned, and what they are worth.
fn scope(args: &PredictArgs, model: &Model) -> Result<Scope> {
    let scope = match (&args.only, &args.not, args.below) {
        (Some(path), ..) => Scope::only(model, read_keys(path, model)?)?,
        (_, Some(path), _) => Scope::without(model, read_keys(path, model)?)?,
        (_, _, Some((layer, cluster))) => Scope::below(model, layer, cluster)?,
        _ => Scope::all(),
    };
    if !args.tail_weights {
        return Ok(scope);
    }
    Ok(scope.weighted(model, &model.tail_weights()?)?)
}

/// Labels by their keys, one a line.
fn read_keys(path: &Path, model: &Model) -> Result<Vec<LabelId>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let labels = model.label_map();
    let lines = text.lines().enumerate().filter(|(_, key)| !key.is_empty());
    lines.map(|(number, key)| label_of(&labels, path, number, key)).collect()
}

fn label_of(labels: &LabelMap, path: &Path, line: usize, key: &str) -> Result<LabelId> {
    let path = path.display();
    labels.get(key).ok_or_else(|| usage(format!("{path}, line {}: the model has no label '{key}'", line + 1)))
}

/// Labels to score, a line for each record.
struct GivenLabels<'a> {
    path: &'a Path,
    lines: Lines<BufReader<File>>,
    labels: Arc<LabelMap>,
    line: usize,
}

impl<'a> GivenLabels<'a> {
    fn open(path: &'a Path, model: &Model) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { path, lines: BufReader::new(file).lines(), labels: model.label_map(), line: 0 })
    }

    /// The labels of the next `n` records.
    fn next(&mut self, n: usize) -> Result<Csr> {
        let mut rows = Vec::with_capacity(n);
        for _ in 0..n {
            let path = self.path.display();
            let Some(line) = self.lines.next() else {
                return Err(usage(format!(
                    "{path}: expected a line for each record, found only {}",
                    self.line
                )));
            };
            let line = line.with_context(|| format!("reading {path}"))?;
            let keys = line.split('\t').filter(|key| !key.is_empty());
            let labels: Result<Vec<_>> =
                keys.map(|key| label_of(&self.labels, self.path, self.line, key)).collect();
            rows.push(labels?.into_iter().map(|label| (label, 1.0)));
            self.line += 1;
        }
        Ok(Csr::from_rows(self.labels.len(), rows)?)
    }
}

fn format_of(output: Option<&Path>) -> OutputFormat {
    match output.and_then(Path::extension).and_then(|ending| ending.to_str()) {
        Some("tsv") => OutputFormat::Tsv,
        Some("npz") => OutputFormat::Npz,
        _ => OutputFormat::Jsonl,
    }
}

/// Counts and times, without reading and writing.
#[derive(Debug, Default, Serialize)]
struct Stats {
    queries: u64,
    skipped_records: u64,
    seconds: f64,
    features_seconds: f64,
    search_seconds: f64,
    us_per_query: f64,
}

impl Stats {
    fn complete(&mut self, skipped_records: u64) {
        self.skipped_records = skipped_records;
        self.seconds = self.features_seconds + self.search_seconds;
        self.us_per_query = 1e6 * self.seconds / self.queries.max(1) as f64;
    }
}
