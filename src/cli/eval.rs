//! `xmc eval`: the scores of a model on labelled data.

use super::open_model;
use crate::args::EvalArgs;
use crate::console::{Console, count, print};
use anyhow::Result;
use serde::Serialize;
use std::path::Path;
use xmc::{Dataset, LabelSource, ReadOptions, Scores, UnknownLabels, read_dataset};

/// Runs the command.
pub(crate) fn run(args: &EvalArgs, console: &Console) -> Result<()> {
    let model = open_model(&args.model)?;
    let options = ReadOptions {
        labels: LabelSource::Given(model.label_map()),
        label_by: args.label_by.into(),
        // A label that the model does not know is one that it misses.
        unknown_labels: UnknownLabels::Grow,
        label_path: args.test_labels.clone(),
        dense: args.dense.clone(),
        ..args.reading.options()
    };
    let progress = console.progress();
    progress.begin("read test", None, "records");
    let test = read_dataset(&args.test, &options);
    progress.end();
    let test = test?;
    console.note_skipped(&args.test, &test.skipped);
    note_unknown(console, &args.test, &test, model.n_labels());
    let scores = model.evaluate_with(&test, &args.at, &args.search.over(model.search()), progress)?;
    let unknown_labels = test.n_labels() - model.n_labels();
    match args.json {
        true => print(serde_json::to_string(&Report { scores, unknown_labels })?),
        false => print(scores),
    }
}

/// Says how many labels of `dataset` a model of `n_labels` labels cannot know.
fn note_unknown(console: &Console, path: &Path, dataset: &Dataset, n_labels: usize) {
    let unknown = dataset.n_labels().saturating_sub(n_labels);
    if unknown > 0 {
        let path = path.display();
        let unknown = count(unknown, "label");
        console.note(format_args!(
            "{path}: {unknown} of which the training data have none: each counts as missed"
        ));
    }
}

/// All numbers, in one flat object.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    scores: Scores,
    /// Labels of the data that the model does not know.
    unknown_labels: usize,
}
