//! `xmc encode`: texts to a matrix of embeddings.

use super::encoder::open_given;
use super::input::read_records;
use crate::args::EncodeArgs;
use crate::console::{Console, count, print, seconds};
use crate::failure::usage;
use crate::output::Destination;
use anyhow::{Context, Result};
use serde::Serialize;
use std::time::Instant;
use xmc::{Input, Purpose, ReadOptions};
use xmc_data::write_npy_to;

/// Runs the command.
pub(crate) fn run(args: &EncodeArgs, console: &Console) -> Result<()> {
    let encoder = open_given(&args.encoder)?;
    let options = ReadOptions { purpose: Purpose::Unlabelled, ..args.reading.options() };
    let dataset = read_records("texts", &args.file, &options, console)?;
    let Input::Text(texts) = &dataset.input else {
        return Err(usage(format!("{}: features, where texts are expected", args.file.display())));
    };
    let documents: Vec<&str> = texts.iter().collect();
    let start = Instant::now();
    let embeddings = encoder.embed(&documents, console.progress())?;
    let taken = start.elapsed().as_secs_f64();
    let writing = || format!("writing {}", args.output.display());
    let mut out = Destination::open(Some(&args.output)).with_context(writing)?;
    write_npy_to(&mut out, embeddings.view()).with_context(writing)?;
    out.finish().with_context(writing)?;
    let report = Report { texts: embeddings.nrows(), n_dims: embeddings.ncols(), seconds: taken };
    match args.json {
        true => print(serde_json::to_string(&report)?),
        false => print(report.summary()),
    }
}

#[derive(Serialize)]
struct Report {
    texts: usize,
    n_dims: usize,
    /// Seconds of encoding.
    seconds: f64,
}

impl Report {
    fn summary(&self) -> String {
        let rate = self.texts as f64 / self.seconds.max(1e-9);
        let (texts, taken) = (count(self.texts, "text"), seconds(self.seconds));
        format!("{texts}, {} numbers each, in {taken}: {rate:.0} a second", self.n_dims)
    }
}
