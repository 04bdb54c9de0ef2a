//! `xmc compress`: a trained model to one with fewer bits and fewer weights.

use super::eval::TestData;
use super::open_model;
use crate::args::CompressArgs;
use crate::console::{Console, count, print};
use anyhow::Result;
use indicatif::DecimalBytes;
use serde::Serialize;
use xmc::{Compressor, Model, Scores};

/// Cut-offs at which both models are scored.
const AT: [usize; 3] = [1, 3, 5];

/// Runs the command.
pub(crate) fn run(args: &CompressArgs, console: &Console) -> Result<()> {
    let model = open_model(&args.model, &args.device)?;
    let test = args.test.as_deref().map(|path| {
        let data = TestData {
            path,
            labels: args.test_labels.as_deref(),
            dense: args.dense.as_deref(),
            label_by: args.label_by,
            reading: &args.reading,
        };
        data.read(&model, console)
    });
    // What is wrong with the data is said before anything is done.
    let test = test.transpose()?;
    let before = Size::of(&model);
    let score = |model: &Model| -> Result<Option<Scores>> {
        let Some(test) = &test else { return Ok(None) };
        Ok(Some(model.evaluate_with(test, &AT, &model.search(), console.progress())?))
    };
    let scores_before = score(&model)?;
    let small = Compressor::new(&model)
        .weights(args.quantize)
        .threshold(args.threshold)
        .model_bytes(args.model_size.map(|size| size.as_u64()))
        .progress(console.progress())
        .timestamps(!args.no_timestamps)
        .fit_to(&args.out)?;
    let report = Report {
        model: args.out.display().to_string(),
        before,
        after: Size::of(&small),
        threshold: small.meta().compressed_below.unwrap_or_default(),
        scores: scores_before.zip(score(&small)?),
    };
    match args.json {
        true => print(serde_json::to_string(&report)?),
        false => print(report.summary()),
    }
}

/// How large a model is.
#[derive(Serialize)]
struct Size {
    bytes: u64,
    n_weights: u64,
}

impl Size {
    fn of(model: &Model) -> Self {
        Self { bytes: model.container().manifest().total_bytes(), n_weights: model.meta().n_weights }
    }
}

/// What has been done.
#[derive(Serialize)]
struct Report {
    model: String,
    before: Size,
    after: Size,
    /// Weights that were smaller have been left out.
    threshold: f32,
    /// Of the model as it was, and as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    scores: Option<(Scores, Scores)>,
}

impl Report {
    fn summary(&self) -> String {
        let Self { before, after, .. } = self;
        let percent = 100.0 * after.bytes as f64 / before.bytes.max(1) as f64;
        let mut text = format!(
            "{}: {}, {percent:.1} % of {}; {} of {}, none below {:.4}",
            self.model,
            DecimalBytes(after.bytes),
            DecimalBytes(before.bytes),
            indicatif::HumanCount(after.n_weights),
            count(before.n_weights, "weight"),
            self.threshold,
        );
        if let Some((before, after)) = &self.scores {
            text.push_str(&format!("\nbefore: {before}\nafter:  {after}"));
        }
        text
    }
}
