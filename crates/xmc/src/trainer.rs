//! From a data set to a model.

use crate::disentangle::Retraining;
use crate::encoder::EncoderSource;
use crate::labels::Labels;
use crate::plan::{self, Counts, NewWriter, TrainingPlan, plan};
use crate::stages::Stages;
use crate::training_set::{Extras, TrainingSet};
use crate::{DataSource, Encoder, Meta, Model, TrainParams, XmcError};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use xmc_data::{Dataset, LabelMap, Texts};
use xmc_embed::StaticParams;
use xmc_metrics::Scores;
use xmc_sparse::{Csr, Features, NoProgress, Progress};
use xmc_store::ModelWriter;
use xmc_tfidf::Documents;
use xmc_tree::{LabelFeatureInputs, LabelTree};
use xmc_xrlinear::adopt_tree;

/// Cut-offs of the scores that a model keeps of its validation data.
const VALID_AT: [usize; 4] = [1, 3, 5, 10];

/// Trains a [`Model`]; [`Model::train`] is the short form.
pub struct Trainer<'a> {
    params: TrainParams,
    tree: Option<LabelTree>,
    valid: Option<&'a Dataset>,
    progress: &'a dyn Progress,
    sources: Vec<DataSource>,
    timestamps: bool,
    resume: bool,
    memory: Option<u64>,
    label_names: Option<bool>,
    extras: Extras<'a>,
}

impl<'a> Trainer<'a> {
    /// A training with these hyper-parameters.
    pub fn new(params: TrainParams) -> Self {
        let (tree, valid, sources, memory, label_names, extras) = Default::default();
        let (progress, timestamps, resume) = (&NoProgress, true, false);
        Self { params, tree, valid, progress, sources, timestamps, resume, memory, label_names, extras }
    }

    /// Whether the names of the labels in the data set's label map are text in the language of the data, and may
    /// be learnt from ([`TrainParams::label_rows`]). Default: when any differs from its key.
    #[must_use]
    pub fn label_names(mut self, known: bool) -> Self {
        self.label_names = Some(known);
        self
    }

    /// Sets what each label is worth to each instance (`n_samples × n_labels`), for cost-sensitive learning
    /// (`linear.relevance`).
    #[must_use]
    pub fn relevance(mut self, relevance: &'a Csr) -> Self {
        self.extras.relevance = Some(relevance);
        self
    }

    /// Sets labels to keep instances apart from (`n_samples × n_labels`), for layers with user-supplied
    /// negatives (`linear.negatives`).
    #[must_use]
    pub fn hard_negatives(mut self, hard_negatives: &'a Csr) -> Self {
        self.extras.hard_negatives = Some(hard_negatives);
        self
    }

    /// Features of the labels themselves, `n_labels ×` any width, for `pifa-lf-concat` and (as wide as those of the
    /// instances) `pifa-lf-convex` ([`xmc_tree::LabelFeatures`]), in place of the labels' names. Only the tree is grown by them.
    #[must_use]
    pub fn label_features(mut self, label_features: &'a Features) -> Self {
        self.extras.label_features = Some(label_features);
        self
    }

    /// Puts the embeddings that `encoder` makes of the texts beside their TF-IDF features
    /// ([`TrainParams::encoding`]), or, when [`TrainParams::features`] has no vectoriser, in their place. The encoder becomes part of the model.
    #[must_use]
    pub fn encoder(mut self, encoder: &'a Encoder) -> Self {
        self.extras.encoder = Some(EncoderSource::Given(encoder));
        self
    }

    /// As [`Trainer::encoder`], with a table of token vectors that imitates `encoder` on the training texts (and the labels' names,
    /// where they are learnt from). Using it takes microseconds and no libtorch.
    #[must_use]
    pub fn distill(mut self, encoder: &'a Encoder, params: &'a StaticParams) -> Self {
        self.extras.encoder = Some(EncoderSource::Distilled(encoder, params));
        self
    }

    /// As [`Trainer::encoder`], with a transformer that is fine-tuned on the training data first: on the levels of a tree, as
    /// XR-Transformer does. Validation data, if there are any, score the levels.
    #[cfg(feature = "transformer")]
    #[must_use]
    pub fn fine_tune(mut self, tuning: &'a crate::FineTuning) -> Self {
        self.extras.encoder = Some(EncoderSource::FineTuned(tuning, None));
        self
    }

    /// Uses this tree instead of making one.
    #[must_use]
    pub fn tree(mut self, tree: LabelTree) -> Self {
        self.tree = Some(tree);
        self
    }

    /// Evaluates the model on these data and keeps the scores in it.
    #[must_use]
    pub fn valid(mut self, valid: &'a Dataset) -> Self {
        self.valid = Some(valid);
        self
    }

    /// Reports the stages to `progress`.
    #[must_use]
    pub fn progress(mut self, progress: &'a dyn Progress) -> Self {
        self.progress = progress;
        self
    }

    /// Notes in the model that it was made from this file.
    #[must_use]
    pub fn source(mut self, source: DataSource) -> Self {
        self.sources.push(source);
        self
    }

    /// Whether the model says when and how fast it was made; without, the same input gives the same bytes.
    /// Default yes.
    #[must_use]
    pub fn timestamps(mut self, timestamps: bool) -> Self {
        self.timestamps = timestamps;
        self
    }

    /// Keeps what is finished in a hidden directory beside the model when the training is interrupted or killed, and goes on from there when it
    /// is repeated with the same data and parameters: the tree, and the parts of the weights. Default no.
    #[must_use]
    pub fn resume(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }

    /// Keeps the memory of label features, tree and weights within so many bytes, data and all, at the cost of time: nodes are clustered without
    /// the features of their labels where these would be too many, and weights are written in more parts. The model depends on the limit, within
    /// rounding. What comes before (reading, text features, embeddings) takes what it takes. Default no limit.
    #[must_use]
    pub fn memory(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.memory = bytes.into();
        self
    }

    /// What the training would take, stage by stage, and how it would be kept within [`Trainer::memory`]: trains on a tenth and on a
    /// fortieth of `dataset` (some thousand records at least) in memory, and reckons from there.
    ///
    /// # Errors
    /// As [`Trainer::fit`]; [`XmcError::Memory`] when the limit is too low; [`XmcError::NoPlan`] for a training with an encoder, a given tree,
    /// several trees or disentanglement.
    pub fn plan(self, dataset: &Dataset) -> Result<TrainingPlan, XmcError> {
        self.plan_with(dataset, &|| Ok(ModelWriter::in_memory()))
    }

    /// As [`Trainer::plan`], for large data: the small trainings write beside the model directory `dir`, whose parents are made, as the
    /// training itself would, and leave nothing there.
    ///
    /// # Errors
    /// As [`Trainer::plan`] and [`Trainer::fit_to`].
    pub fn plan_to(self, dataset: &Dataset, dir: impl AsRef<Path>) -> Result<TrainingPlan, XmcError> {
        self.plan_with(dataset, &|| ModelWriter::create(&dir))
    }

    fn plan_with(self, dataset: &Dataset, writer: NewWriter<'_>) -> Result<TrainingPlan, XmcError> {
        self.params.check()?;
        let unplanned = [
            (self.extras.encoder.is_some(), "an encoder"),
            (self.tree.is_some(), "a given tree"),
            (self.params.n_trees > 1, "several trees"),
            (self.params.disentangle.is_on(), "disentanglement"),
            (
                self.extras.relevance.is_some() || self.extras.hard_negatives.is_some(),
                "relevance or hard negatives",
            ),
        ];
        if let Some((_, what)) = unplanned.into_iter().find(|(is_asked, _)| *is_asked) {
            return Err(XmcError::NoPlan { what });
        }
        let names = self.label_names.unwrap_or_else(|| has_names(&dataset.label_map));
        plan(dataset, &self.params, names, self.memory, writer, self.progress)
    }

    /// Trains in memory.
    ///
    /// # Errors
    /// A parameter out of range, data without labels, parts that do not fit each other.
    pub fn fit(self, dataset: &Dataset) -> Result<Model, XmcError> {
        self.fit_into(dataset, ModelWriter::in_memory())
    }

    /// Trains into the directory `dir`, which appears (or replaces the model that was there) when all is done.
    ///
    /// # Errors
    /// As [`Trainer::fit`], and what writing can run into.
    pub fn fit_to(self, dataset: &Dataset, dir: impl AsRef<Path>) -> Result<Model, XmcError> {
        self.params.check()?;
        let writer = if self.resume { ModelWriter::resume(dir) } else { ModelWriter::create(dir) };
        self.fit_into(dataset, writer?)
    }

    fn fit_into(mut self, dataset: &Dataset, mut writer: ModelWriter) -> Result<Model, XmcError> {
        let stages = Stages::new(self.progress);
        let Trained { mut meta, encoder, .. } = self.train(dataset, &mut writer, &stages)?;
        self.finish(&mut meta, writer, encoder, &stages)
    }

    /// Trains for the sake of what it takes: what there was to learn from, what came of it, and its bytes. The model goes with `writer`.
    pub(crate) fn try_out(
        mut self,
        dataset: &Dataset,
        mut writer: ModelWriter,
    ) -> Result<(Counts, Meta, u64), XmcError> {
        let stages = Stages::new(self.progress);
        let Trained { mut meta, counts, .. } = self.train(dataset, &mut writer, &stages)?;
        meta.set_times(true, &stages);
        let n_bytes = writer.preview(&meta)?.manifest().total_bytes();
        Ok((counts, meta, n_bytes))
    }

    /// Writes all sections of a model.
    fn train(
        &mut self,
        dataset: &Dataset,
        writer: &mut ModelWriter,
        stages: &Stages<'_>,
    ) -> Result<Trained, XmcError> {
        self.params.check()?;
        if self.tree.is_some() && self.params.n_trees > 1 {
            return Err(XmcError::GivenTree { n_trees: self.params.n_trees });
        }
        let with_names = self.label_names.unwrap_or_else(|| has_names(&dataset.label_map));
        let encoder = self.extras.encoder.map(|source| source.scored_on(self.valid));
        let extras = Extras { encoder, ..self.extras };
        let mut set = TrainingSet::new(&self.params, dataset, (with_names, None), extras, stages)?;
        let counts = Counts::of(dataset, &set);
        if let Some(limit) = self.memory {
            self.params = counts.limit(&self.params, limit)?;
            self.progress.note(&plan::limits(&self.params));
        }
        if self.resume {
            writer.identify(&set.identity(&self.params, self.tree.as_ref())?)?;
        }
        if let Some(tfidf) = &set.tfidf {
            tfidf.save(writer, "tfidf")?;
        }
        if let Some(encoder) = &set.encoder {
            encoder.save(writer)?;
        }
        Labels::write(writer, &dataset.label_map, &label_counts(&dataset.labels))?;
        let (mut n_weights, mut disentangled) = (0, Vec::new());
        for number in 0..self.params.n_trees {
            let params = self.params.of_tree(number);
            let prefix = matcher_prefix(number);
            let tree = match &self.tree {
                Some(tree) => Cow::Borrowed(tree),
                None => {
                    // Disentanglement writes another tree than it begins with.
                    let earlier = match params.disentangle.is_on() {
                        true => None,
                        false => adopt_tree(writer, &prefix)?,
                    };
                    Cow::Owned(earlier.map_or_else(|| grow_tree(&params, &set, stages), Ok)?)
                }
            };
            // Under one cluster labels are everywhere already.
            if params.disentangle.is_on() && tree.depth() > 1 {
                let (params, set, n_samples) = (&params, &set, dataset.n_samples());
                let job = Retraining { params, set, n_samples, writer, prefix: &prefix, stages };
                let (of_tree, report) = job.train(&tree)?;
                n_weights += of_tree;
                disentangled.push(report);
            } else {
                let linear = params.linear.check()?;
                n_weights += linear.fit(set.instances(), &tree, writer, &prefix, stages)?.n_weights;
            }
        }
        let mut params = self.params.clone();
        if let Some(encoder) = &set.encoder {
            // Said in the model, so that it does not depend on the defaults of who opens it.
            params.encoding.scale.get_or_insert(encoder.kind().scale());
        }
        let meta = Meta {
            xmc_version: env!("CARGO_PKG_VERSION").to_owned(),
            takes_text: dataset.has_texts(),
            encoder: set.encoder.as_deref().map(Encoder::kind),
            encoder_made: set.encoder_made.take(),
            label_names: with_names,
            n_samples: dataset.n_samples() as u64,
            n_features: set.x.n_sparse() as u64,
            n_dense: set.x.n_dense() as u64,
            n_labels: dataset.n_labels() as u64,
            n_weights,
            params,
            sources: self.sources.clone(),
            disentangled,
            compressed_below: None,
            valid: None,
            trained_at: None,
            stages: BTreeMap::new(),
        };
        let encoder = set.encoder.take().map(Cow::into_owned);
        Ok(Trained { meta, encoder, counts })
    }

    /// Validates on the model before it gets its name, so that its scores are inside it.
    fn finish(
        &self,
        meta: &mut Meta,
        writer: ModelWriter,
        encoder: Option<Encoder>,
        stages: &Stages<'_>,
    ) -> Result<Model, XmcError> {
        if let Some(valid) = self.valid {
            let model = Model::with_encoder(writer.preview(meta)?, encoder.clone())?;
            meta.valid = Some(stages.time("valid", |progress| -> Result<Scores, XmcError> {
                model.evaluate_with(valid, &VALID_AT, &meta.params.search, progress)
            })?);
        }
        meta.set_times(self.timestamps, stages);
        Model::with_encoder(writer.commit(meta)?, encoder)
    }
}

/// What a training leaves beside the sections that it has written.
struct Trained {
    meta: Meta,
    encoder: Option<Encoder>,
    counts: Counts,
}

fn grow_tree(
    params: &TrainParams,
    set: &TrainingSet<'_>,
    stages: &Stages<'_>,
) -> Result<LabelTree, XmcError> {
    let builder = params.tree.clone().check()?;
    let z = stages.time("label_features", |progress| {
        progress.begin("label features", None, "labels");
        let inputs = LabelFeatureInputs::default()
            .weights(set.weights.as_deref())
            .own(set.own.as_deref())
            .alpha(params.label_features_alpha)
            .sketch(params.label_sketch, params.tree.seed);
        let z = params.label_features.rows_with(&set.x, &set.y, &inputs);
        progress.end();
        z
    })?;
    Ok(stages.time("tree", |progress| builder.fit_rows(&z, progress))?)
}

/// Whether labels are called otherwise than by their keys.
fn has_names(labels: &LabelMap) -> bool {
    labels.iter().any(|(key, name)| key != name)
}

/// Where the weights of tree `number` lie in a model.
pub(crate) fn matcher_prefix(number: usize) -> String {
    if number == 0 { "matcher".to_owned() } else { format!("matcher{number}") }
}

/// Instances of each label.
pub(crate) fn label_counts(y: &Csr) -> Vec<u64> {
    let mut counts = vec![0; y.n_cols()];
    y.indices().iter().for_each(|&label| counts[label as usize] += 1);
    counts
}

/// The texts of a data set, as documents.
pub(crate) struct TextsRef<'a>(pub(crate) &'a Texts);

impl Documents for TextsRef<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, index: usize) -> &str {
        &self.0[index]
    }
}
