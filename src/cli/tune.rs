//! `xmc tune`: data to good hyper-parameters.

use super::encoder::open_encoder;
use super::input::{Inputs, have_names, print_params, resolve_params};
use crate::args::TuneArgs;
use crate::console::{Console, count, print, seconds};
use crate::output::Destination;
use anyhow::{Context, Result};
use indicatif::DecimalBytes;
use std::io::Write;
use std::path::Path;
use std::time::Duration;
use xmc::{TrainParams, Trial, Tuner, Tuning};

/// Time for a search when nothing is said.
const BUDGET: Duration = Duration::from_secs(600);

/// Runs the command.
pub(crate) fn run(args: &TuneArgs, console: &Console) -> Result<()> {
    let params = resolve_params(&args.hyper)?;
    if args.hyper.print_params {
        return print_params(&params);
    }
    let inputs = Inputs::resolve(&args.data)?;
    let encoder = open_encoder(&args.encoder, &params.encoding)?;
    let train = inputs.train.read(console)?;
    let valid = inputs.read_valid(&train, console)?;
    let tell = |trial: &Trial| console.note(line(trial));
    let (metric, k) = args.metric;
    let mut tuner = Tuner::new(params).metric(metric, k).progress(console.progress()).on_trial(&tell);
    if let Some(valid) = &valid {
        tuner = tuner.valid(valid);
    }
    if have_names(&train) {
        tuner = tuner.label_names(true);
    }
    if let Some(encoder) = &encoder {
        tuner = tuner.encoder(encoder);
    }
    if let Some(trials) = args.trials {
        tuner = tuner.max_trials(trials);
    }
    if let Some(budget) = args.budget.or(args.trials.is_none().then_some(BUDGET)) {
        tuner = tuner.budget(budget);
    }
    let tuning = tuner.run(&train)?;
    if let Some(path) = &args.output {
        write_params(path, &tuning.params).with_context(|| format!("cannot write {}", path.display()))?;
    }
    match args.json {
        true => print(serde_json::to_string(&tuning)?),
        false => print(summary(&tuning, args.output.as_deref())),
    }
}

fn write_params(path: &Path, params: &TrainParams) -> Result<()> {
    let mut out = Destination::open(Some(path))?;
    out.write_all(toml::to_string(params)?.as_bytes())?;
    Ok(out.finish()?)
}

/// A trial on a line of its own.
fn line(trial: &Trial) -> String {
    let against = match trial.change.as_str() {
        "" => "the best so far".to_owned(),
        change => format!("{:+.2} ± {:.2} with {change}", trial.gain, trial.std_error),
    };
    let (records, size) = (count(trial.n_samples, "record"), DecimalBytes(trial.model_bytes));
    format!("{:6.2} on {records} in {}, {size}: {against}", trial.score, seconds(trial.seconds))
}

fn summary(tuning: &Tuning, output: Option<&Path>) -> String {
    let (trials, metric) = (count(tuning.trials.len(), "training"), &tuning.metric);
    let found = match tuning.options.is_empty() {
        true => "nothing better than the parameters of the beginning".to_owned(),
        false => tuning.options.join(" "),
    };
    let mut text = format!(
        "{found}\n{metric} {:.2} -> {:.2} on {} of validation data, after {trials} on up to {}",
        tuning.baseline,
        tuning.score,
        count(tuning.n_valid, "record"),
        count(tuning.n_samples, "record"),
    );
    if tuning.cut_short {
        text.push_str("; the budget ended the search before every value was tried");
    }
    if let Some(path) = output {
        text.push_str(&format!(
            "\nWith all hyper-parameters in {0}: xmc train --params {0} …",
            path.display()
        ));
    }
    text
}
