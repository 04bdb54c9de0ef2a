//! Label disentanglement of a trained model: labels move to, or are copied into, the clusters where their instances
//! are looked for, and what changed is trained again.
//!
//! Liu, Chang, Yu, Dhillon, Hsieh, "Label Disentanglement in Partition-based Extreme Multilabel Classification",
//! NeurIPS 2021. As there, the result is that of training the tree with the new places from nothing, to the byte; but
//! text features, tree and the clusters of the last layer whose labels are the same are taken from the model.

mod params;
mod retrain;

pub use params::DisentangleTraining;
pub(crate) use retrain::Retraining;
pub use retrain::TreeDisentanglement;

use crate::encoder::EncoderSource;
use crate::labels::Labels;
use crate::stages::Stages;
use crate::trainer::{label_counts, matcher_prefix};
use crate::training_set::{Extras, TrainingSet};
use crate::{Meta, Model, TrainParams, XmcError};
use std::path::Path;
use xmc_data::Dataset;
use xmc_sparse::{Csr, LabelId, NoProgress, Progress};
use xmc_store::ModelWriter;
use xmc_tree::SearchParams;

/// Makes a model from a trained one, with the data that it was trained on.
///
/// The result is that of a [`crate::Trainer`] with the same parameters and [`TrainParams::disentangle`] set: the same
/// weights to the bit.
///
/// ```
/// # use xmc::*;
/// # let (words, labels) = (["pie", "phone", "oak", "sail"], ["apple", "apple", "wood", "sea"]);
/// # let texts = (0..400).map(|n| (format!("{} {n}", words[n % 4]), vec![labels[n % 4]]));
/// # let dataset = Dataset::from_examples(texts);
/// # let mut params = TrainParams::default();
/// # params.tree = params.tree.branching(2).max_leaf(2);
/// let model = Model::train(&dataset, params)?;
/// let wanted = DisentangleTraining::default().copies(2);
/// let disentangled = Disentangler::new(&model, wanted).fit(&dataset)?;
/// println!("{} copies", disentangled.meta().disentangled[0].copies);
/// # Ok::<(), XmcError>(())
/// ```
pub struct Disentangler<'a> {
    model: &'a Model,
    params: TrainParams,
    progress: &'a dyn Progress,
    timestamps: bool,
    extras: Extras<'a>,
}

impl<'a> Disentangler<'a> {
    /// Labels of `model` will find the places that `params` ask for.
    pub fn new(model: &'a Model, params: DisentangleTraining) -> Self {
        let params = TrainParams { disentangle: params, ..model.meta().params.clone() };
        Self { model, params, progress: &NoProgress, timestamps: true, extras: Extras::default() }
    }

    /// Sets how the new model searches, unless told otherwise. Default: as the old one.
    #[must_use]
    pub fn search(mut self, search: SearchParams) -> Self {
        self.params.search = search;
        self
    }

    /// Sets the relevance that the model was trained with, if it was ([`crate::Trainer::relevance`]).
    #[must_use]
    pub fn relevance(mut self, relevance: &'a Csr) -> Self {
        self.extras.relevance = Some(relevance);
        self
    }

    /// Sets the hard negatives that the model was trained with, if it was ([`crate::Trainer::hard_negatives`]).
    #[must_use]
    pub fn hard_negatives(mut self, hard_negatives: &'a Csr) -> Self {
        self.extras.hard_negatives = Some(hard_negatives);
        self
    }

    /// Reports the stages to `progress`.
    #[must_use]
    pub fn progress(mut self, progress: &'a dyn Progress) -> Self {
        self.progress = progress;
        self
    }

    /// As [`crate::Trainer::timestamps`].
    #[must_use]
    pub fn timestamps(mut self, timestamps: bool) -> Self {
        self.timestamps = timestamps;
        self
    }

    /// Makes the model in memory.
    ///
    /// # Errors
    /// A parameter out of range; [`XmcError::OtherData`], [`XmcError::OtherLabel`] and
    /// [`XmcError::OtherLabelCount`] when `dataset` is not what the model was trained on; what
    /// [`crate::Trainer::fit`] can run into.
    pub fn fit(self, dataset: &Dataset) -> Result<Model, XmcError> {
        self.check(dataset)?;
        self.fit_into(dataset, ModelWriter::in_memory())
    }

    /// Makes the model in the directory `dir`, which appears (or replaces the model that was there, be it the one
    /// that this is made from) when all is done.
    ///
    /// # Errors
    /// As [`Disentangler::fit`], and what writing can run into.
    pub fn fit_to(self, dataset: &Dataset, dir: impl AsRef<Path>) -> Result<Model, XmcError> {
        self.check(dataset)?;
        let writer = ModelWriter::create(dir)?;
        self.fit_into(dataset, writer)
    }

    fn check(&self, dataset: &Dataset) -> Result<(), XmcError> {
        self.params.check()?;
        if !self.params.disentangle.is_on() {
            return Err(XmcError::Param { name: "copies", expected: "at least 1", found: 0.0 });
        }
        check_data(self.model, dataset)
    }

    fn fit_into(&self, dataset: &Dataset, writer: ModelWriter) -> Result<Model, XmcError> {
        let (stages, old) = (Stages::new(self.progress), self.model.meta());
        let tfidf = self.model.tfidf().cloned();
        let encoder = self.model.encoder().map(EncoderSource::Given);
        let extras = Extras { encoder, ..self.extras };
        let set = TrainingSet::new(&self.params, dataset, (old.label_names, tfidf), extras, &stages)?;
        self.model.check_width(set.x.n_sparse(), set.x.n_dense())?;
        if let Some(tfidf) = &set.tfidf {
            tfidf.save(&writer, "tfidf")?;
        }
        if let Some(encoder) = self.model.encoder() {
            encoder.save(&writer)?;
        }
        Labels::write(&writer, &self.model.label_map(), self.model.label_counts())?;
        let mut meta = Meta {
            xmc_version: env!("CARGO_PKG_VERSION").to_owned(),
            params: self.params.clone(),
            n_weights: 0,
            valid: None,
            disentangled: Vec::new(),
            ..old.clone()
        };
        for (number, matcher) in self.model.matchers().iter().enumerate() {
            let (params, prefix) = (self.params.of_tree(number), matcher_prefix(number));
            let n_samples = dataset.n_samples();
            let (params, set, stages) = (&params, &set, &stages);
            let job = Retraining { params, set, n_samples, writer: &writer, prefix: &prefix, stages };
            let (n_weights, report) = job.retrain(matcher)?;
            meta.n_weights += n_weights;
            meta.disentangled.push(report);
        }
        drop(set);
        meta.set_times(self.timestamps, &stages);
        Model::with_encoder(writer.commit(&meta)?, self.model.encoder().cloned())
    }
}

/// Whether `dataset` can be what `model` was trained on.
fn check_data(model: &Model, dataset: &Dataset) -> Result<(), XmcError> {
    let same = |what, expected, found| match expected == found {
        true => Ok(()),
        false => Err(XmcError::OtherData { what, expected, found }),
    };
    same("records", model.meta().n_samples as usize, dataset.n_samples())?;
    same("labels", model.n_labels(), dataset.n_labels())?;
    let counts = label_counts(&dataset.labels);
    for label in 0..model.n_labels() as LabelId {
        let (key, found) = (model.label_key(label), dataset.label_map.key(label));
        if key != found {
            let (expected, found) = (key.to_owned(), found.to_owned());
            return Err(XmcError::OtherLabel { label, expected, found });
        }
        let (expected, found) = (model.label_counts()[label as usize], counts[label as usize]);
        if expected != found {
            return Err(XmcError::OtherLabelCount { key: key.to_owned(), expected, found });
        }
    }
    Ok(())
}
