//! Features and labels of the shape of a public data set.

use super::{Part, STEP, make_dir, writing};
use crate::args::{ShapedArgs, ShapedFormat};
use crate::console::{Console, count, print, seconds};
use crate::failure::usage;
use crate::output::Destination;
use anyhow::{Context, Result};
use rayon::prelude::*;
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;
use xmc_data::synth::{Shape, Shaped, ShapedRecord, Split};
use xmc_data::{NpzWriter, write_xc_row};

/// Makes the data.
pub(super) fn run(shape: Shape, args: &ShapedArgs, console: &Console) -> Result<()> {
    let start = Instant::now();
    let shaped = args.params(shape)?.check().map_err(usage)?;
    let dir = &args.output.out;
    make_dir(dir)?;
    let (train, test) = match args.format {
        ShapedFormat::Npz => (Files::matrices(dir, "trn", &shaped)?, Files::matrices(dir, "tst", &shaped)?),
        ShapedFormat::Xc => {
            let text = |name, split| Files::text(dir, name, shaped.n_records(split), &shaped);
            (text("train.txt", Split::Train)?, text("test.txt", Split::Test)?)
        }
    };
    let mut counts = Counts::new(&shaped);
    let train = write_split(&shaped, Split::Train, train, |record| counts.add(record), console)?;
    let test = write_split(&shaped, Split::Test, test, |_| (), console)?;
    // The files get their names when all are there.
    let waiting = [train.finish()?, test.finish()?];
    waiting.into_iter().flatten().try_for_each(Part::finish)?;
    let report = Report::new(args, &shaped, counts, start.elapsed().as_secs_f64());
    match args.output.json {
        true => print(serde_json::to_string(&report)?),
        false => print(report.summary()),
    }
}

/// Makes the records of a split in parallel, and writes them in order.
fn write_split(
    shaped: &Shaped,
    split: Split,
    mut files: Files,
    mut seen: impl FnMut(&ShapedRecord),
    console: &Console,
) -> Result<Files> {
    let (progress, n_records) = (console.progress(), shaped.n_records(split));
    let name = if split == Split::Train { "write train" } else { "write test" };
    progress.begin(name, Some(n_records), "records");
    let mut block = vec![ShapedRecord::default(); 8 * STEP as usize];
    for first in (0..n_records).step_by(block.len()) {
        let n = (block.len() as u64).min(n_records - first) as usize;
        let numbered = block[..n].par_iter_mut().enumerate();
        numbered.for_each(|(at, record)| shaped.record(split, first + at as u64, record));
        for record in &block[..n] {
            files.write(record)?;
            seen(record);
        }
        progress.advance(n as u64);
    }
    progress.end();
    Ok(files)
}

/// The files of a split.
enum Files {
    Matrices(Box<[Matrix; 2]>),
    Text(Part),
}

/// A matrix that is being written.
struct Matrix {
    path: PathBuf,
    writer: NpzWriter<Destination>,
}

impl Matrix {
    fn create(dir: &Path, name: &str, n_cols: u32) -> Result<Self> {
        let path = dir.join(name);
        let open = || NpzWriter::new(Destination::open(Some(&path))?, n_cols as usize, dir);
        let writer = open().with_context(|| writing(&path))?.stored();
        Ok(Self { path, writer })
    }

    fn push(&mut self, row: impl IntoIterator<Item = (u32, f32)>) -> Result<()> {
        self.writer.push_row(row).with_context(|| writing(&self.path))
    }

    fn finish(self) -> Result<Part> {
        let out = self.writer.finish().with_context(|| writing(&self.path))?;
        Ok(Part { path: self.path, out })
    }
}

impl Files {
    fn matrices(dir: &Path, split: &str, shaped: &Shaped) -> Result<Self> {
        let params = shaped.params();
        let features = Matrix::create(dir, &format!("X.{split}.npz"), params.n_features)?;
        let labels = Matrix::create(dir, &format!("Y.{split}.npz"), params.n_labels)?;
        Ok(Self::Matrices(Box::new([features, labels])))
    }

    fn text(dir: &Path, name: &str, n_records: u64, shaped: &Shaped) -> Result<Self> {
        let (mut part, params) = (Part::open(dir, name)?, shaped.params());
        part.write(|out| writeln!(out, "{n_records} {} {}", params.n_features, params.n_labels))?;
        Ok(Self::Text(part))
    }

    fn write(&mut self, record: &ShapedRecord) -> Result<()> {
        match self {
            Self::Matrices(matrices) => {
                let [features, labels] = &mut **matrices;
                features.push(record.features.iter().copied())?;
                labels.push(record.labels.iter().map(|&label| (label, 1.0)))
            }
            Self::Text(part) => {
                part.write(|out| write_xc_row(out, record.features.iter().copied(), &record.labels))
            }
        }
    }

    fn finish(self) -> Result<Vec<Part>> {
        match self {
            Self::Matrices(matrices) => matrices.into_iter().map(Matrix::finish).collect(),
            Self::Text(part) => Ok(vec![part]),
        }
    }
}

/// What the training records have.
struct Counts {
    features: Vec<u32>,
    labels: Vec<u32>,
}

impl Counts {
    fn new(shaped: &Shaped) -> Self {
        let params = shaped.params();
        Self { features: vec![0; params.n_features as usize], labels: vec![0; params.n_labels as usize] }
    }

    fn add(&mut self, record: &ShapedRecord) {
        record.features.iter().for_each(|&(feature, _)| self.features[feature as usize] += 1);
        record.labels.iter().for_each(|&label| self.labels[label as usize] += 1);
    }
}

/// What was made, and how it is spread.
#[derive(Serialize)]
struct Report {
    out: String,
    n_train: u64,
    n_test: u64,
    n_features: u32,
    n_labels: u32,
    /// Entries of the training features and labels.
    feature_entries: u64,
    label_entries: u64,
    features_used: usize,
    labels_used: usize,
    /// Training records of the label in the middle, and of the most frequent one.
    median_label: u32,
    largest_label: u32,
    seed: u64,
    seconds: f64,
}

impl Report {
    fn new(args: &ShapedArgs, shaped: &Shaped, mut counts: Counts, seconds: f64) -> Self {
        let params = shaped.params();
        let sum = |counts: &[u32]| counts.iter().map(|&count| u64::from(count)).sum();
        let used = |counts: &[u32]| counts.iter().filter(|&&count| count > 0).count();
        let (feature_entries, label_entries) = (sum(&counts.features), sum(&counts.labels));
        counts.labels.sort_unstable();
        Self {
            out: args.output.out.display().to_string(),
            n_train: params.n_train,
            n_test: params.n_test,
            n_features: params.n_features,
            n_labels: params.n_labels,
            feature_entries,
            label_entries,
            features_used: used(&counts.features),
            labels_used: used(&counts.labels),
            median_label: counts.labels[counts.labels.len() / 2],
            largest_label: counts.labels.last().copied().unwrap_or_default(),
            seed: params.seed,
            seconds,
        }
    }

    fn summary(&self) -> String {
        let of_a_record = |entries: u64| entries as f64 / self.n_train as f64;
        format!(
            "{}: {} to train on, {} to test on, in {}\n{}, {:.1} of a record, {} used\n{}, {:.1} of a record, {} used, records of a label {} (median) to {}",
            self.out,
            count(self.n_train, "record"),
            count(self.n_test, "record"),
            seconds(self.seconds),
            count(self.n_features, "feature"),
            of_a_record(self.feature_entries),
            indicatif::HumanCount(self.features_used as u64),
            count(self.n_labels, "label"),
            of_a_record(self.label_entries),
            indicatif::HumanCount(self.labels_used as u64),
            indicatif::HumanCount(self.median_label.into()),
            indicatif::HumanCount(self.largest_label.into()),
        )
    }
}
