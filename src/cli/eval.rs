//! `xmc eval`: the scores of a model on labelled data.

use super::input::read_records;
use super::{note_unknown, open_models};
use crate::args::{EvalArgs, LabelByArg, ReadArgs};
use crate::console::{Console, print};
use anyhow::Result;
use serde::Serialize;
use std::path::Path;
use xmc::{Dataset, Evaluation, LabelSource, Model, ReadOptions, UnknownLabels};

/// Runs the command.
pub(crate) fn run(args: &EvalArgs, console: &Console) -> Result<()> {
    let models = open_models(&args.models, &args.search, None)?;
    let model = models.first();
    let data = TestData {
        path: &args.test,
        labels: args.test_labels.as_deref(),
        dense: args.dense.as_deref(),
        label_by: args.label_by,
        reading: &args.reading,
    };
    let mut test = data.read(model, console)?;
    let unknown_labels = test.n_labels() - model.n_labels();
    if args.seen_only {
        test.labels = model.seen_labels(&test.labels)?;
    }
    let evaluation = models.evaluate(&test, &args.at, console.progress())?;
    match args.json {
        true => print(serde_json::to_string(&Report { evaluation, unknown_labels })?),
        false => print(format_args!(
            "{}\ninner products of a query: {:.1}",
            evaluation.scores, evaluation.inner_products
        )),
    }
}

/// Labelled data that a model is scored on.
pub(super) struct TestData<'a> {
    pub(super) path: &'a Path,
    /// The labels, when they are in a second file.
    pub(super) labels: Option<&'a Path>,
    pub(super) dense: Option<&'a Path>,
    pub(super) label_by: LabelByArg,
    pub(super) reading: &'a ReadArgs,
}

impl TestData<'_> {
    pub(super) fn read(&self, model: &Model, console: &Console) -> Result<Dataset> {
        let options = ReadOptions {
            labels: LabelSource::Given(model.label_map()),
            label_by: self.label_by.into(),
            // A label that the model does not know is one that it misses.
            unknown_labels: UnknownLabels::Grow,
            label_path: self.labels.map(Path::to_path_buf),
            dense: self.dense.map(Path::to_path_buf),
            ..self.reading.options()
        };
        let test = read_records("test", self.path, &options, console)?;
        note_unknown(console, self.path, &test, model.n_labels());
        Ok(test)
    }
}

/// All numbers, in one flat object.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    evaluation: Evaluation,
    /// Labels of the data that the model does not know.
    unknown_labels: usize,
}
