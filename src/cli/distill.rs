//! `xmc distill`: an encoder and texts to a table of token vectors.

use super::encoder::open_given;
use super::input::{have_names, read_records};
use crate::args::DistillArgs;
use crate::console::{Console, count, print, seconds};
use crate::failure::usage;
use anyhow::Result;
use indicatif::DecimalBytes;
use serde::Serialize;
use std::time::Instant;
use xmc::{Dataset, Distilled, Input, StaticParams, TextEncoder};

/// Runs the command.
pub(crate) fn run(args: &DistillArgs, console: &Console) -> Result<()> {
    let start = Instant::now();
    let mut params = StaticParams::default();
    params.n_dims = args.dims.unwrap_or(params.n_dims);
    params.precision = args.precision.unwrap_or(params.precision);
    params.penalty = args.penalty.or(params.penalty);
    let params = params.check().map_err(usage)?;
    let encoder = open_given(&args.encoder)?;
    let mut options = args.reading.options();
    args.labels.apply(&mut options);
    let dataset = read_records("train", &args.train, &options, console)?;
    let texts = texts(&dataset, have_names(&dataset))
        .ok_or_else(|| usage(format!("{}: features, where texts are expected", args.train.display())))?;
    let distilled = encoder.distill(&texts, &params, console.progress())?;
    distilled.table.save_to_dir(&args.out)?;
    let report = Report::new(args, texts.len(), &distilled, start.elapsed().as_secs_f64());
    match args.json {
        true => print(serde_json::to_string(&report)?),
        false => print(report.summary()),
    }
}

/// The texts, and the labels' names if there are any.
fn texts(dataset: &Dataset, has_names: bool) -> Option<Vec<&str>> {
    let Input::Text(texts) = &dataset.input else { return None };
    let names = dataset.label_map.iter().filter(|_| has_names).map(|(_, name)| name);
    Some(texts.iter().chain(names).collect())
}

/// What has been made.
#[derive(Serialize)]
struct Report {
    table: String,
    seconds: f64,
    texts: usize,
    n_tokens: usize,
    /// Words that began at the encoder's vectors for them.
    n_words: usize,
    n_dims: usize,
    penalty: f32,
    held_out_cosine: Option<f32>,
    bytes: u64,
}

impl Report {
    fn new(args: &DistillArgs, texts: usize, distilled: &Distilled, seconds: f64) -> Self {
        let files = std::fs::read_dir(&args.out).into_iter().flatten().flatten();
        Self {
            table: args.out.display().to_string(),
            seconds,
            texts,
            n_tokens: distilled.table.n_tokens(),
            n_words: distilled.n_words,
            n_dims: distilled.table.n_dims(),
            penalty: distilled.penalty,
            held_out_cosine: distilled.held_out_cosine,
            bytes: files.filter_map(|file| Some(file.metadata().ok()?.len())).sum(),
        }
    }

    fn summary(&self) -> String {
        let agreement = match self.held_out_cosine {
            Some(cosine) => format!("; mean cosine with the encoder on held-out texts {cosine:.3}"),
            None => String::new(),
        };
        format!(
            "{}: {} of {} numbers from {}, {}\n{} in all; penalty {}{agreement}",
            self.table,
            count(self.n_tokens, "token"),
            self.n_dims,
            count(self.texts, "text"),
            DecimalBytes(self.bytes),
            seconds(self.seconds),
            self.penalty,
        )
    }
}
