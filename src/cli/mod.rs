//! The commands: what was typed is resolved, then the work is done.

mod disentangle;
mod distill;
mod encode;
mod encoder;
mod eval;
mod explain;
mod input;
mod inspect;
mod predict;
mod synth;
mod train;
mod tune;

use crate::args::{Args, Verb};
use crate::console::{Console, count};
use crate::interrupt;
use anyhow::{Context, Result};
use std::path::Path;
use xmc::{Dataset, Model};

/// Does what was asked for.
pub(crate) fn run(args: Args) -> Result<()> {
    interrupt::listen()?;
    let console = |machine| Console::new(&args.common, machine);
    match args.verb {
        Verb::Train(verb) => train::run(&verb, &console(verb.json)?),
        Verb::Predict(verb) => predict::run(&verb, &console(verb.json)?),
        Verb::Disentangle(verb) => disentangle::run(&verb, &console(verb.json)?),
        Verb::Encode(verb) => encode::run(&verb, &console(verb.json)?),
        Verb::Distill(verb) => distill::run(&verb, &console(verb.json)?),
        Verb::Eval(verb) => eval::run(&verb, &console(verb.json)?),
        Verb::Explain(verb) => explain::run(&verb, &console(verb.json)?),
        Verb::Inspect(verb) => inspect::run(&verb, &console(verb.json)?),
        Verb::Tune(verb) => tune::run(&verb, &console(verb.json)?),
        Verb::Synth(verb) => synth::run(&verb, &console(verb.json())?),
    }
}

fn open_model(dir: &Path) -> Result<Model> {
    Model::open(dir).context("cannot open the model")
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
