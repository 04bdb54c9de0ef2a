//! Multi-sense data: two splits, the labels, and what the labels mean.

use super::{Part, STEP, make_dir};
use crate::args::{MultiSenseArgs, SynthOutput};
use crate::console::{Console, count, print, seconds};
use crate::failure::usage;
use anyhow::Result;
use serde::Serialize;
use std::io::Write;
use std::time::Instant;
use xmc_data::synth::{MultiSense, MultiSenseRecord, MultiSenseRecords};
use xmc_data::{LabelMap, Texts};

pub(super) fn run(args: &MultiSenseArgs, console: &Console) -> Result<()> {
    let start = Instant::now();
    let world = args.params().check().map_err(usage)?;
    let mut files = MultiSenseFiles::open(&args.output, &world)?;
    files.write_split("train", world.train(), console)?;
    files.write_split("test", world.test(), console)?;
    files.finish()?;
    let params = world.checked_params();
    let report = MultiSenseReport {
        out: args.output.out.display().to_string(),
        n_train: params.n_train,
        n_test: params.n_test,
        n_labels: world.n_labels(),
        n_merged: world.n_merged(),
        n_senses: world.n_senses(),
        seed: params.seed,
        seconds: start.elapsed().as_secs_f64(),
    };
    match args.output.json {
        true => print(serde_json::to_string(&report)?),
        false => print(report.summary()),
    }
}

/// The files of multi-sense data.
struct MultiSenseFiles {
    train: Part,
    test: Part,
    labels: Part,
    senses: Part,
    label_map: LabelMap,
    sense_names: Texts,
}

impl MultiSenseFiles {
    fn open(output: &SynthOutput, world: &MultiSense) -> Result<Self> {
        let dir = &output.out;
        make_dir(dir)?;
        let part = |name| Part::open(dir, name);
        let (mut labels, mut senses) = (part("labels.tsv")?, part("senses.tsv")?);
        let label_map = world.label_map();
        labels.write(|out| label_map.iter().try_for_each(|(key, _)| writeln!(out, "{key}")))?;
        senses.write(|out| out.write_all(b"split\trecord\tlabel\tsense\n"))?;
        let (train, test) = (part("train.tsv")?, part("test.tsv")?);
        Ok(Self { train, test, labels, senses, label_map, sense_names: world.sense_names() })
    }

    fn write_split(&mut self, split: &str, records: MultiSenseRecords<'_>, console: &Console) -> Result<()> {
        let progress = console.progress();
        progress.begin(&format!("write {split}"), Some(records.size_hint().0 as u64), "records");
        for (number, record) in (0u64..).zip(records) {
            self.write_record(split, number, &record)?;
            if number % STEP == STEP - 1 {
                progress.advance(STEP);
            }
        }
        progress.end();
        Ok(())
    }

    fn write_record(&mut self, split: &str, number: u64, record: &MultiSenseRecord) -> Result<()> {
        let Self { label_map, sense_names, .. } = self;
        let part = if split == "train" { &mut self.train } else { &mut self.test };
        part.write(|out| {
            for (at, &label) in record.labels.iter().enumerate() {
                let separator = if at == 0 { "" } else { "," };
                write!(out, "{separator}{}", label_map.key(label))?;
            }
            writeln!(out, "\t{}", record.text)
        })?;
        self.senses.write(|out| {
            record.labels.iter().zip(&record.senses).try_for_each(|(&label, &sense)| {
                let (label, sense) = (label_map.key(label), &sense_names[sense as usize]);
                writeln!(out, "{split}\t{number}\t{label}\t{sense}")
            })
        })
    }

    fn finish(self) -> Result<()> {
        [self.train, self.test, self.labels, self.senses].into_iter().try_for_each(Part::finish)
    }
}

/// What was made.
#[derive(Serialize)]
struct MultiSenseReport {
    out: String,
    n_train: u64,
    n_test: u64,
    n_labels: usize,
    /// Labels of two senses.
    n_merged: usize,
    n_senses: usize,
    seed: u64,
    seconds: f64,
}

impl MultiSenseReport {
    fn summary(&self) -> String {
        format!(
            "{}: {} to train on, {} to test on, {} ({} of two senses), in {}",
            self.out,
            count(self.n_train, "record"),
            count(self.n_test, "record"),
            count(self.n_labels, "label"),
            indicatif::HumanCount(self.n_merged as u64),
            seconds(self.seconds),
        )
    }
}
