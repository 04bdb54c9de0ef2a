//! `xmc convert`: a data set to a directory that is mapped instead of read.

use crate::args::ConvertArgs;
use crate::console::{Console, count, print, seconds};
use anyhow::Result;
use indicatif::DecimalBytes;
use serde::Serialize;
use std::time::Instant;
use xmc::{Converted, Purpose, ReadOptions, convert};

/// Runs the command.
pub(crate) fn run(args: &ConvertArgs, console: &Console) -> Result<()> {
    let start = Instant::now();
    let mut options = ReadOptions {
        purpose: if args.unlabelled { Purpose::Unlabelled } else { Purpose::Labelled },
        label_path: args.input_labels.clone(),
        dense: args.dense.clone(),
        ..args.reading.options()
    };
    args.labels.apply(&mut options);
    let converted = convert(&args.input, &options, &args.out, console.progress())?;
    console.note_skipped(&args.input, &converted.skipped);
    let report = Report::new(args, &converted, start.elapsed().as_secs_f64());
    match args.json {
        true => print(serde_json::to_string(&report)?),
        false => print(report.summary()),
    }
}

/// What has been written.
#[derive(Serialize)]
struct Report {
    data: String,
    seconds: f64,
    n_samples: u64,
    /// None for texts.
    n_features: Option<u64>,
    n_dense: u64,
    /// None for data without labels.
    n_labels: Option<u64>,
    bytes: u64,
    skipped_records: u64,
    skipped_labels: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_memory_bytes: Option<u64>,
}

impl Report {
    fn new(args: &ConvertArgs, converted: &Converted, seconds: f64) -> Self {
        let meta = &converted.meta;
        Self {
            data: args.out.display().to_string(),
            seconds,
            n_samples: meta.n_samples,
            n_features: meta.n_features,
            n_dense: meta.n_dense,
            n_labels: meta.n_labels,
            bytes: converted.bytes,
            skipped_records: converted.skipped.records,
            skipped_labels: converted.skipped.labels,
            peak_memory_bytes: crate::memory::peak(),
        }
    }

    fn summary(&self) -> String {
        let features = match self.n_features {
            None => "texts".to_owned(),
            Some(n_features) => count(n_features + self.n_dense, "feature"),
        };
        let labels = self.n_labels.map_or("no labels".to_owned(), |n_labels| count(n_labels, "label"));
        let (records, bytes) = (count(self.n_samples, "record"), DecimalBytes(self.bytes));
        format!("{}: {records}, {features}, {labels}, {bytes}, in {}", self.data, seconds(self.seconds))
    }
}
