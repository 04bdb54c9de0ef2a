//! `xmc eval`: the scores of a model on labelled data.

use super::input::read_records;
use super::{note_unknown, open_models};
use crate::args::EvalArgs;
use crate::console::{Console, print};
use anyhow::Result;
use serde::Serialize;
use xmc::{Evaluation, LabelSource, ReadOptions, UnknownLabels};

/// Runs the command.
pub(crate) fn run(args: &EvalArgs, console: &Console) -> Result<()> {
    let models = open_models(&args.models, &args.search, None)?;
    let model = models.first();
    let options = ReadOptions {
        labels: LabelSource::Given(model.label_map()),
        label_by: args.label_by.into(),
        // A label that the model does not know is one that it misses.
        unknown_labels: UnknownLabels::Grow,
        label_path: args.test_labels.clone(),
        dense: args.dense.clone(),
        ..args.reading.options()
    };
    let mut test = read_records("test", &args.test, &options, console)?;
    note_unknown(console, &args.test, &test, model.n_labels());
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

/// All numbers, in one flat object.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    evaluation: Evaluation,
    /// Labels of the data that the model does not know.
    unknown_labels: usize,
}
