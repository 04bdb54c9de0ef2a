//! The commands: what was typed is resolved, then the work is done.

mod bench;
mod compress;
mod convert;
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

use crate::args::{Args, DeviceArgs, ModelsArgs, SearchArgs, Verb};
use crate::console::{Console, count};
use crate::failure::usage;
use crate::interrupt;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use xmc::{Dataset, Ensemble, Model, OpenOptions};

/// Does what was asked for.
pub(crate) fn run(args: Args) -> Result<()> {
    interrupt::listen()?;
    let console = |machine| Console::new(&args.common, machine);
    match args.verb {
        Verb::Train(verb) => train::run(&verb, &console(verb.json)?),
        Verb::Predict(verb) => predict::run(&verb, &console(verb.json)?),
        Verb::Disentangle(verb) => disentangle::run(&verb, &console(verb.json)?),
        Verb::Compress(verb) => compress::run(&verb, &console(verb.json)?),
        Verb::Convert(verb) => convert::run(&verb, &console(verb.json)?),
        Verb::Encode(verb) => encode::run(&verb, &console(verb.json)?),
        Verb::Distill(verb) => distill::run(&verb, &console(verb.json)?),
        Verb::Bench(verb) => bench::run(&verb, &console(verb.json)?),
        Verb::Eval(verb) => eval::run(&verb, &console(verb.json)?),
        Verb::Explain(verb) => explain::run(&verb, &console(verb.json)?),
        Verb::Inspect(verb) => inspect::run(&verb, &console(verb.json)?),
        Verb::Tune(verb) => tune::run(&verb, &console(verb.json)?),
        Verb::Synth(verb) => synth::run(&verb, &console(verb.json())?),
    }
}

fn open_model(dir: &Path, device: &DeviceArgs) -> Result<Model> {
    let options = OpenOptions { device: device.device, embedding_cache: None };
    Model::open_with(dir, &options).context("cannot open the model")
}

/// The model or the ensemble that was typed, each model searched as `search` says.
fn open_models(args: &ModelsArgs, search: &SearchArgs, top_k: Option<usize>) -> Result<Ensemble> {
    let options = OpenOptions { device: args.device.device, embedding_cache: args.embedding_cache.clone() };
    let open = |dir: &PathBuf| {
        let model = Model::open_with(dir, &options);
        model.with_context(|| format!("cannot open the model {}", dir.display()))
    };
    let models = args.model.iter().map(open).collect::<Result<Vec<_>>>()?;
    let ensemble = Ensemble::new(models, args.combine.unwrap_or_default()).map_err(usage)?;
    let top_k = top_k.unwrap_or(ensemble.top_k());
    ensemble.search(top_k, |own| search.over(own)).map_err(usage)
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
