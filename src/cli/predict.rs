//! `xmc predict`: records to ranked labels, as they come.

use super::open_model;
use crate::args::{OutputFormat, PredictArgs};
use crate::console::{Console, print};
use crate::failure::usage;
use crate::output::{Batch, Destination, Jsonl, Npz, Sink, Tsv};
use anyhow::{Context, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;
use xmc::{Dataset, Model, NoProgress, Purpose, RankedLists, ReadOptions, RecordReader, SearchParams};

/// Most records at a time: enough to keep all threads busy, few enough to bound memory.
const BATCH: usize = 8192;

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
    model: Model,
    input: PathBuf,
    options: ReadOptions,
    search: SearchParams,
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
        let model = open_model(&args.model)?;
        let search = args.search.over(model.search());
        let top_k = args.top_k.unwrap_or(search.top_k);
        let search = search.top_k(top_k);
        Ok(Self { model, input, options, search, output, format })
    }

    fn run(&self, console: &Console) -> Result<Stats> {
        // Input that cannot be opened must not cost the output that was there.
        let mut reader = RecordReader::open(&self.input, &self.options)?;
        let writing = || match &self.output {
            Some(path) => format!("writing {}", path.display()),
            None => "writing to standard output".to_owned(),
        };
        let mut sink = self.sink().with_context(writing)?;
        let mut stats = Stats::default();
        let progress = console.progress();
        progress.begin("predict", None, "records");
        while let Some(batch) = reader.next_batch(BATCH)? {
            let lists = self.rank(&batch, &mut stats)?;
            let (first_record, ids) = (stats.queries, batch.ids.as_ref());
            stats.queries += lists.n_rows() as u64;
            sink.write(&Batch { first_record, ids, lists: &lists, model: &self.model })
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

    fn sink(&self) -> std::io::Result<Box<dyn Sink>> {
        let out = Destination::open(self.output.as_deref())?;
        Ok(match self.format {
            OutputFormat::Jsonl => Box::new(Jsonl::new(out)),
            OutputFormat::Tsv => Box::new(Tsv::new(out)),
            OutputFormat::Npz => Box::new(Npz::new(out, self.model.n_labels())),
        })
    }

    fn rank(&self, batch: &Dataset, stats: &mut Stats) -> Result<RankedLists> {
        let start = Instant::now();
        let features = self.model.features(batch, &NoProgress)?;
        let between = Instant::now();
        let lists = self.model.rank_features(&features, &self.search, &NoProgress)?;
        stats.features_seconds += (between - start).as_secs_f64();
        stats.search_seconds += between.elapsed().as_secs_f64();
        Ok(lists)
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
