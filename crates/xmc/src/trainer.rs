//! From a data set to a model.

use crate::labels::Labels;
use crate::stages::Stages;
use crate::{DataSource, Meta, Model, TrainParams, XmcError};
use ndarray::Array2;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;
use xmc_data::{Dataset, Input, Texts};
use xmc_metrics::Scores;
use xmc_sparse::{Csr, Features, NoProgress, Progress};
use xmc_store::ModelWriter;
use xmc_tfidf::{Documents, TfIdf};
use xmc_tree::LabelTree;
use xmc_xrlinear::Instances;

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
}

impl<'a> Trainer<'a> {
    /// A training with these hyper-parameters.
    pub fn new(params: TrainParams) -> Self {
        let (tree, valid, sources) = (None, None, Vec::new());
        Self { params, tree, valid, progress: &NoProgress, sources, timestamps: true }
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
        let writer = ModelWriter::create(dir)?;
        self.fit_into(dataset, writer)
    }

    fn fit_into(self, dataset: &Dataset, writer: ModelWriter) -> Result<Model, XmcError> {
        self.params.check()?;
        let params = self.params.clone().seeded();
        let stages = Stages::new(self.progress);
        let (tfidf, x) = self.features(&params, dataset, &stages)?;
        let y = &dataset.labels;
        let tree = match &self.tree {
            Some(tree) => tree.clone(),
            None => grow_tree(&params, &x, y, dataset.weights.as_deref(), &stages)?,
        };
        if let Some(tfidf) = &tfidf {
            tfidf.save(&writer, "tfidf")?;
        }
        Labels::write(&writer, &dataset.label_map, &label_counts(y))?;
        let linear = params.linear.check()?;
        let instances = Instances { x: &x, y, weights: dataset.weights.as_deref() };
        let report = linear.fit(instances, &tree, &writer, "matcher", &stages)?;
        let mut meta = Meta {
            xmc_version: env!("CARGO_PKG_VERSION").to_owned(),
            takes_text: tfidf.is_some(),
            n_samples: x.n_samples() as u64,
            n_features: x.n_sparse() as u64,
            n_dense: x.n_dense() as u64,
            n_labels: y.n_cols() as u64,
            n_weights: report.n_weights,
            params,
            sources: self.sources.clone(),
            valid: None,
            trained_at: None,
            stages: BTreeMap::new(),
        };
        drop((x, tfidf, tree));
        self.finish(&mut meta, writer, &stages)
    }

    /// Validates on the model before it gets its name, so that its scores are inside it.
    fn finish(&self, meta: &mut Meta, writer: ModelWriter, stages: &Stages<'_>) -> Result<Model, XmcError> {
        if let Some(valid) = self.valid {
            let model = Model::from_container(writer.preview(meta)?)?;
            meta.valid = Some(stages.time("valid", |progress| -> Result<Scores, XmcError> {
                model.evaluate_with(valid, &VALID_AT, &meta.params.search, progress)
            })?);
        }
        if self.timestamps {
            meta.trained_at = Some(humantime::format_rfc3339_seconds(SystemTime::now()).to_string());
            meta.stages = stages.seconds();
        }
        Model::from_container(writer.commit(meta)?)
    }

    /// The features of the data: made from its texts, or as they are.
    fn features<'d>(
        &self,
        params: &TrainParams,
        dataset: &'d Dataset,
        stages: &Stages<'_>,
    ) -> Result<(Option<TfIdf>, Cow<'d, Features>), XmcError> {
        match &dataset.input {
            Input::Features(features) => Ok((None, Cow::Borrowed(features))),
            Input::Text(texts) => {
                let texts = TextsRef(texts);
                let vectorizers = params.features.clone().check()?;
                let tfidf = stages.time("tfidf", |p| vectorizers.fit_with_progress(&texts, p))?;
                let sparse = stages.time("tfidf", |p| tfidf.transform_with_progress(&texts, p));
                Ok((Some(tfidf), Cow::Owned(with_dense(sparse, dataset.dense.as_ref())?)))
            }
        }
    }
}

/// Sparse features and the dense ones that stand beside the texts.
pub(crate) fn with_dense(sparse: Csr, dense: Option<&Array2<f32>>) -> Result<Features, XmcError> {
    Ok(Features::new(sparse, dense.cloned())?)
}

fn grow_tree(
    params: &TrainParams,
    x: &Features,
    y: &Csr,
    weights: Option<&[f32]>,
    stages: &Stages<'_>,
) -> Result<LabelTree, XmcError> {
    let builder = params.tree.clone().check()?;
    let z = stages.time("label_features", |progress| {
        progress.begin("label features", None, "labels");
        let z = params.label_features.compute_weighted(x, y, weights);
        progress.end();
        z
    })?;
    Ok(stages.time("tree", |progress| builder.fit_with_progress(&z, progress))?)
}

/// Instances of each label.
fn label_counts(y: &Csr) -> Vec<u64> {
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
