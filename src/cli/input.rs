//! What a training begins with: data sets and hyper-parameters, from what was typed.

use super::note_unknown;
use crate::args::{DataArgs, HyperArgs};
use crate::console::{Console, print};
use crate::failure::usage;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use xmc::{Dataset, LabelBy, LabelSource, ReadOptions, TrainParams, UnknownLabels, read_dataset};

/// Command line over file or preset over defaults.
pub(super) fn resolve_params(args: &HyperArgs) -> Result<TrainParams> {
    let mut params = match &args.params {
        None => args.preset.map_or_else(TrainParams::default, TrainParams::preset),
        Some(path) => {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            toml::from_str(&text).map_err(|error| usage(format!("{}: {error}", path.display()).trim_end()))?
        }
    };
    args.typed.apply(&mut params);
    params.check().map_err(usage)?;
    Ok(params)
}

/// What `--print-params` prints.
pub(super) fn print_params(params: &TrainParams) -> Result<()> {
    print(toml::to_string(params).context("writing the hyper-parameters")?.trim_end())
}

/// Reads a file of records, with a bar, and says what was left out.
pub(super) fn read_records(
    role: &str,
    path: &Path,
    options: &ReadOptions,
    console: &Console,
) -> Result<Dataset> {
    let progress = console.progress();
    progress.begin(&format!("read {role}"), None, "records");
    let dataset = read_dataset(path, options);
    progress.end();
    let dataset = dataset?;
    console.note_skipped(path, &dataset.skipped);
    Ok(dataset)
}

/// A file of records and how to read it.
pub(super) struct Input {
    role: &'static str,
    path: PathBuf,
    options: ReadOptions,
}

impl Input {
    pub(super) fn read(&self, console: &Console) -> Result<Dataset> {
        read_records(self.role, &self.path, &self.options, console)
    }

    /// The files (and directories) behind it, each in its role.
    fn files(&self) -> impl Iterator<Item = (String, &Path)> {
        let second = |name: &str, path: Option<&'_ PathBuf>| path.map(|_| format!("{}-{name}", self.role));
        let labels =
            second("labels", self.options.label_path.as_ref()).zip(self.options.label_path.as_deref());
        let dense = second("dense", self.options.dense.as_ref()).zip(self.options.dense.as_deref());
        let map = match &self.options.labels {
            LabelSource::File(path) => Some(("labels".to_owned(), path.as_path())),
            _ => None,
        };
        [Some((self.role.to_owned(), self.path.as_path())), labels, dense, map].into_iter().flatten()
    }
}

/// Training data and, if there are any, validation data.
pub(super) struct Inputs {
    pub(super) train: Input,
    valid: Option<Input>,
}

impl Inputs {
    pub(super) fn resolve(args: &DataArgs) -> Result<Self> {
        let mut options = args.reading.options();
        args.labels.apply(&mut options);
        let valid = args.valid.as_ref().map(|path| Input {
            role: "valid",
            path: path.clone(),
            options: ReadOptions {
                label_path: args.valid_labels.clone(),
                dense: args.valid_dense.clone(),
                // The labels are set when the training data have told them; others count as missed.
                unknown_labels: UnknownLabels::Grow,
                labels: LabelSource::Data,
                ..options.clone()
            },
        });
        (options.label_path, options.dense) = (args.train_labels.clone(), args.dense.clone());
        let path = args.train.clone().ok_or_else(|| usage("--train is required"))?;
        Ok(Self { train: Input { role: "train", path, options }, valid })
    }

    /// Reads the validation data, which refer to the labels that the training data have.
    pub(super) fn read_valid(&self, train: &Dataset, console: &Console) -> Result<Option<Dataset>> {
        let Some(valid) = &self.valid else { return Ok(None) };
        let mut options =
            ReadOptions { labels: LabelSource::Given(train.label_map.clone()), ..valid.options.clone() };
        if !have_names(train) {
            options.label_by = LabelBy::Key;
        }
        let dataset = read_records(valid.role, &valid.path, &options, console)?;
        note_unknown(console, &valid.path, &dataset, train.n_labels());
        Ok(Some(dataset))
    }

    /// All files, each in its role.
    pub(super) fn files(&self, train: &Dataset) -> impl Iterator<Item = (String, &Path)> {
        // Converted data have the file of labels in them.
        let given = matches!(self.train.options.labels, LabelSource::File(_));
        let labels = (have_names(train) && !given).then(|| ("labels".to_owned(), self.train.path.as_path()));
        std::iter::once(&self.train).chain(&self.valid).flat_map(Input::files).chain(labels)
    }
}

/// Whether the labels have names: whoever gives a file of labels, when training or converting, gives them.
pub(super) fn have_names(train: &Dataset) -> bool {
    train.label_map.is_from_file()
}
