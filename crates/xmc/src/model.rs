//! A model: everything between a text and its labels.

use crate::dense::DenseFeatures;
use crate::labels::Labels;
use crate::trainer::{TextsRef, matcher_prefix};
use crate::{Encoder, Meta, Predictor, Scope, TrainParams, Trainer, XmcError};
use serde::Serialize;
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xmc_data::{Dataset, Input, LabelMap};
use xmc_embed::DeviceChoice;
use xmc_metrics::{Evaluator, Propensities, PropensityParams, Scores};
use xmc_sparse::{Csr, DenseBlock, Features, LabelId, NoProgress, Progress, RankedLists, Scored, combine};
use xmc_store::Container;
use xmc_tfidf::{Documents, TfIdf};
use xmc_tree::{LabelPaths, LabelTree, Matcher, Search, SearchParams, rank_rows};
use xmc_xrlinear::XrLinear;

/// Labels that each of several trees names at least before they are combined.
pub(crate) const COMBINED: usize = 20;

/// The labels that reach a score.
pub(crate) fn above(lists: RankedLists, min_score: Option<f32>) -> RankedLists {
    let Some(min_score) = min_score else { return lists };
    let mut kept = RankedLists::new();
    lists.iter().for_each(|list| kept.push(&list[..list.partition_point(|s| s.score >= min_score)]));
    kept
}

/// One thread's buffers for [`Model::score_labels`].
#[derive(Default)]
struct PathScratch {
    paths: Option<LabelPaths>,
    search: xmc_xrlinear::Scratch,
}

/// A predicted label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction<'m> {
    /// Row number of the label in the label map.
    pub id: LabelId,
    /// Its key: what the training data call it.
    pub key: &'m str,
    /// Its display name.
    pub name: &'m str,
    /// Its score; higher is better. With the default post-processor between 0 and 1.
    pub score: f32,
}

/// Scores of a model and what they cost. As JSON one flat object.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Evaluation {
    /// The scores, in percent.
    #[serde(flatten)]
    pub scores: Scores,
    /// Inner products of a query: clusters and labels scored on the way, in all trees together.
    pub inner_products: f64,
}

/// How a model with a transformer is opened; others do not mind.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    /// Where the transformer runs. Default `auto`.
    pub device: DeviceChoice,
    /// Embeddings of many texts are kept below this directory, and those that are there are taken ([`Encoder::cached_in`]).
    pub embedding_cache: Option<PathBuf>,
}

/// A trained model. `Send + Sync`, and cheap to clone: everything large is shared.
#[derive(Debug, Clone)]
pub struct Model {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    container: Container,
    meta: Meta,
    tfidf: Option<TfIdf>,
    encoder: Option<Encoder>,
    labels: Labels,
    /// One for each tree; at least one.
    matchers: Vec<XrLinear>,
}

impl Model {
    /// Trains a model in memory; [`Trainer`] has more to set.
    ///
    /// # Errors
    /// As [`Trainer::fit`].
    pub fn train(dataset: &Dataset, params: TrainParams) -> Result<Self, XmcError> {
        Trainer::new(params).fit(dataset)
    }

    /// Opens a model directory. The large parts are mapped, not read: milliseconds whatever the size.
    ///
    /// # Errors
    /// [`XmcError::Store`] when it is no model, damaged or of a newer version; [`XmcError::Inconsistent`]
    /// when its parts do not fit each other.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, XmcError> {
        Self::open_with(dir, &OpenOptions::default())
    }

    /// As [`Model::open`], with a say in what the model's transformer does, if it has one.
    ///
    /// # Errors
    /// As [`Model::open`], and `XmcError::Transformer` when the device is not there.
    pub fn open_with(dir: impl AsRef<Path>, options: &OpenOptions) -> Result<Self, XmcError> {
        Self::from_parts(Container::open(dir)?, None, options)
    }

    /// Writes the model to the directory `dir`, whole or not at all.
    ///
    /// # Errors
    /// [`XmcError::Store`].
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<(), XmcError> {
        self.inner.container.save(dir)?;
        Ok(())
    }

    /// The model in `container`, with the encoder that is in there, if the caller has it open.
    pub(crate) fn with_encoder(container: Container, encoder: Option<Encoder>) -> Result<Self, XmcError> {
        Self::from_parts(container, encoder, &OpenOptions::default())
    }

    fn from_parts(
        container: Container,
        encoder: Option<Encoder>,
        options: &OpenOptions,
    ) -> Result<Self, XmcError> {
        let meta: Meta = container.meta()?;
        let has_tfidf = meta.takes_text && !meta.params.features.vectorizers.is_empty();
        let tfidf = has_tfidf.then(|| TfIdf::load(&container, "tfidf")).transpose()?;
        let encoder = match (meta.encoder, encoder) {
            (None, _) => None,
            (Some(_), Some(encoder)) => Some(encoder),
            (Some(kind), None) => {
                let encoder = Encoder::load(&container, kind, &meta.params.encoding, options.device)?;
                Some(match &options.embedding_cache {
                    Some(dir) => encoder.cached_in(dir),
                    None => encoder,
                })
            }
        };
        let prefixes = (0..meta.params.n_trees.max(1)).map(matcher_prefix);
        let matchers: Vec<_> =
            prefixes.map(|prefix| XrLinear::open(&container, &prefix)).collect::<Result<_, _>>()?;
        let (n_labels, n_features) = (matchers[0].tree().n_labels(), matchers[0].n_features());
        let fits =
            |matcher: &XrLinear| matcher.tree().n_labels() == n_labels && matcher.n_features() == n_features;
        if !matchers.iter().all(fits) {
            return Err(XmcError::Inconsistent { what: "trees" });
        }
        let labels = Labels::open(&container, n_labels)?;
        if tfidf.as_ref().is_some_and(|tfidf| tfidf.n_features() != n_features.0) {
            return Err(XmcError::Inconsistent { what: "text features" });
        }
        if encoder.as_ref().is_some_and(|encoder| encoder.n_dims() > n_features.1) {
            return Err(XmcError::Inconsistent { what: "embeddings" });
        }
        Ok(Self { inner: Arc::new(Inner { container, meta, tfidf, encoder, labels, matchers }) })
    }

    /// The best labels of a text, best first, searched as the model was told to when it was trained.
    ///
    /// # Errors
    /// [`XmcError::NeedsFeatures`] when the model was trained on features, [`XmcError::Width`] when it
    /// wants dense features beside the text.
    pub fn predict(&self, text: &str) -> Result<Vec<Prediction<'_>>, XmcError> {
        let mut predictor = self.predictor();
        let ranked = predictor.predict(text, &self.search())?;
        Ok(self.named(ranked))
    }

    /// The best labels of many texts, in parallel.
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub fn predict_batch<D: Documents + ?Sized>(
        &self,
        texts: &D,
    ) -> Result<Vec<Vec<Prediction<'_>>>, XmcError> {
        let x = self.text_features(texts, None, &NoProgress)?;
        let ranked = self.rank_features(&x, &self.search(), &NoProgress)?;
        Ok(ranked.iter().map(|list| self.named(list)).collect())
    }

    /// The best labels of every record of a data set.
    ///
    /// # Errors
    /// [`XmcError::NeedsFeatures`], [`XmcError::Width`], [`XmcError::Tree`] for bad search parameters.
    pub fn rank(
        &self,
        dataset: &Dataset,
        search: &SearchParams,
        progress: &dyn Progress,
    ) -> Result<RankedLists, XmcError> {
        self.rank_features(&*self.features(dataset, progress)?, search, progress)
    }

    /// The best labels of every row of `x`.
    ///
    /// # Errors
    /// [`XmcError::Width`], [`XmcError::Tree`] for bad search parameters, [`XmcError::Combine`].
    pub fn rank_features(
        &self,
        x: &Features,
        search: &SearchParams,
        progress: &dyn Progress,
    ) -> Result<RankedLists, XmcError> {
        self.rank_features_in(x, search, &Scope::all(), progress)
    }

    /// As [`Model::rank_features`], of the labels in `scope`.
    ///
    /// # Errors
    /// As [`Model::rank_features`].
    pub fn rank_features_in(
        &self,
        x: &Features,
        search: &SearchParams,
        scope: &Scope,
        progress: &dyn Progress,
    ) -> Result<RankedLists, XmcError> {
        Ok(self.rank_counted(x, search, scope, progress)?.0)
    }

    /// As [`Model::rank_features_in`], with the number of inner products that it took.
    ///
    /// # Errors
    /// As [`Model::rank_features`].
    pub fn rank_counted(
        &self,
        x: &Features,
        search: &SearchParams,
        scope: &Scope,
        progress: &dyn Progress,
    ) -> Result<(RankedLists, u64), XmcError> {
        self.check_search(search)?;
        self.check_width(x.n_sparse(), x.n_dense())?;
        progress.begin("predict", Some((x.n_samples() * self.matchers().len()) as u64), "queries");
        let each = self.each_tree(search);
        let of_tree = |(number, matcher): (usize, &XrLinear)| {
            matcher.rank_batch(x, scope.search(&each, number), progress)
        };
        let found = self.matchers().iter().enumerate().map(of_tree);
        let (lists, n_inner_products): (Vec<RankedLists>, Vec<u64>) = found.unzip();
        let ranked = self.combined(lists, search)?;
        progress.end();
        Ok((ranked, n_inner_products.into_iter().sum()))
    }

    /// The scores of given labels: row `i` of the result has a score for each entry of row `i` of `labels`
    /// (`n_samples × n_labels`, values are ignored), however far from the beam they are.
    ///
    /// # Errors
    /// As [`Model::rank_given`].
    pub fn score_labels(&self, x: &Features, labels: &Csr, search: &SearchParams) -> Result<Csr, XmcError> {
        let ranked = self.rank_given(x, labels, search)?;
        let rows = ranked.iter().map(|list| list.iter().map(|label| (label.id, label.score)));
        Ok(Csr::from_rows(self.n_labels(), rows)?)
    }

    /// Given labels with their scores, best first: for row `i` of `x` those of row `i` of `labels` (`n_samples ×
    /// n_labels`, values are ignored), all of them.
    ///
    /// # Errors
    /// As [`Model::rank_features`], and [`XmcError::Width`] when `labels` is of another shape.
    pub fn rank_given(
        &self,
        x: &Features,
        labels: &Csr,
        search: &SearchParams,
    ) -> Result<RankedLists, XmcError> {
        let same = |what, expected, found| match expected == found {
            true => Ok(()),
            false => Err(XmcError::Width { what, expected, found }),
        };
        same("rows of labels to score (one for each instance)", x.n_samples(), labels.n_rows())?;
        same("columns of labels to score (one for each label)", self.n_labels(), labels.n_cols())?;
        self.check_search(search)?;
        self.check_width(x.n_sparse(), x.n_dense())?;
        let longest = labels.rows().map(|row| row.nnz()).max().unwrap_or(0).max(1);
        let search = search.clone().beam_size(usize::MAX).top_k(longest).min_score(None);
        let lists = self.matchers().iter().map(|matcher| {
            rank_rows(x.n_samples(), longest, &NoProgress, |row, scratch: &mut PathScratch, out| {
                let PathScratch { paths, search: buffers } = scratch;
                let paths = paths.get_or_insert_with(|| LabelPaths::new(matcher.tree()));
                let filter = paths.only(labels.row(row).indices);
                matcher.predict_row(x.row(row), Search::new(&search).filter(filter), buffers, out);
            })
        });
        self.combined(lists.collect(), &search)
    }

    /// One over the propensity of each label, by its frequency in the training data.
    ///
    /// # Errors
    /// [`XmcError::Metrics`] for a model of no instances.
    pub fn tail_weights(&self) -> Result<Vec<f32>, XmcError> {
        let (counts, n_samples) = (self.label_counts(), self.meta().n_samples as usize);
        let propensities = Propensities::from_counts(counts, n_samples, PropensityParams::default())?;
        Ok(propensities.inverse().iter().map(|&inverse| inverse as f32).collect())
    }

    /// The search on each of several trees: deep enough for their lists to be combined.
    pub(crate) fn each_tree(&self, search: &SearchParams) -> SearchParams {
        match self.matchers().len() {
            1 => search.clone(),
            _ => search.clone().top_k(search.top_k.max(COMBINED)).min_score(None),
        }
    }

    /// What several trees found, as one; `search` says how many labels are wanted.
    fn combined(&self, mut lists: Vec<RankedLists>, search: &SearchParams) -> Result<RankedLists, XmcError> {
        if lists.len() == 1 {
            return Ok(lists.swap_remove(0));
        }
        let depth = self.each_tree(search).top_k;
        let combined = combine(&lists, self.meta().params.combine, search.top_k, depth)?;
        Ok(above(combined, search.min_score))
    }

    pub(crate) fn check_search(&self, search: &SearchParams) -> Result<(), XmcError> {
        search.check()?;
        self.meta().params.check_combination(search)
    }

    /// The features that the model sees in a data set.
    ///
    /// # Errors
    /// [`XmcError::NeedsFeatures`], [`XmcError::Width`].
    pub fn features<'d>(
        &self,
        dataset: &'d Dataset,
        progress: &dyn Progress,
    ) -> Result<Cow<'d, Features>, XmcError> {
        dataset.check()?;
        let features = match &dataset.input {
            Input::Features(features) => Cow::Borrowed(features),
            Input::Text(texts) => {
                Cow::Owned(self.text_features(&TextsRef(texts), dataset.dense.as_ref(), progress)?)
            }
        };
        self.check_width(features.n_sparse(), features.n_dense())?;
        Ok(features)
    }

    fn text_features<D: Documents + ?Sized>(
        &self,
        texts: &D,
        given: Option<&DenseBlock>,
        progress: &dyn Progress,
    ) -> Result<Features, XmcError> {
        if !self.takes_text() {
            return Err(XmcError::NeedsFeatures);
        }
        let sparse = match &self.inner.tfidf {
            Some(tfidf) => tfidf.transform_with_progress(texts, progress),
            None => Csr::empty(texts.len(), 0),
        };
        Ok(Features::with_block(sparse, self.dense_features().of(texts, given, progress)?)?)
    }

    /// How the model gets the dense features of a text.
    pub(crate) fn dense_features(&self) -> DenseFeatures<'_> {
        DenseFeatures { encoder: self.encoder(), params: &self.meta().params.encoding }
    }

    pub(crate) fn check_width(&self, n_sparse: usize, n_dense: usize) -> Result<(), XmcError> {
        let same = |what, expected, found| match expected == found {
            true => Ok(()),
            false => Err(XmcError::Width { what, expected, found }),
        };
        let expected = self.matchers()[0].n_features();
        same("number of sparse features", expected.0, n_sparse)?;
        same("number of dense features", expected.1, n_dense)
    }

    /// Scores of the model on labelled data, in percent, at the cut-offs `at`. Propensities (PSP@k) come
    /// from the label frequencies of the training data.
    ///
    /// # Errors
    /// As [`Model::rank`], and [`XmcError::Metrics`] for impossible cut-offs.
    pub fn evaluate(&self, dataset: &Dataset, at: &[usize]) -> Result<Scores, XmcError> {
        self.evaluate_with(dataset, at, &self.search(), &NoProgress)
    }

    /// [`Model::evaluate`] with another search, for as many labels as the largest cut-off asks for. The data
    /// may have labels that the model does not know: they count as missed.
    ///
    /// # Errors
    /// As [`Model::evaluate`].
    pub fn evaluate_with(
        &self,
        dataset: &Dataset,
        at: &[usize],
        search: &SearchParams,
        progress: &dyn Progress,
    ) -> Result<Scores, XmcError> {
        Ok(self.evaluate_counted(dataset, at, search, progress)?.scores)
    }

    /// As [`Model::evaluate_with`], with what the search cost.
    ///
    /// # Errors
    /// As [`Model::evaluate`].
    pub fn evaluate_counted(
        &self,
        dataset: &Dataset,
        at: &[usize],
        search: &SearchParams,
        progress: &dyn Progress,
    ) -> Result<Evaluation, XmcError> {
        let evaluator = Evaluator::new(at.iter().copied())?;
        let deepest = at.iter().copied().max().unwrap_or(1);
        let (x, search) = (self.features(dataset, progress)?, search.clone().top_k(deepest));
        let (ranked, n_inner_products) = self.rank_counted(&x, &search, &Scope::all(), progress)?;
        self.score(evaluator, dataset, &ranked, n_inner_products)
    }

    /// Scores of what was found for the records of `dataset`.
    pub(crate) fn score(
        &self,
        evaluator: Evaluator,
        dataset: &Dataset,
        ranked: &RankedLists,
        n_inner_products: u64,
    ) -> Result<Evaluation, XmcError> {
        // Labels that the model does not know count as missed; they have no training instance.
        let mut counts = self.inner.labels.counts().to_vec();
        counts.resize(counts.len().max(dataset.labels.n_cols()), 0);
        let n_samples = self.inner.meta.n_samples as usize;
        let propensities = Propensities::from_counts(&counts, n_samples, PropensityParams::default())?;
        let scores = evaluator.with_propensities(propensities).evaluate(&dataset.labels, ranked)?;
        let inner_products = n_inner_products as f64 / ranked.n_rows().max(1) as f64;
        Ok(Evaluation { scores, inner_products })
    }

    /// `labels` (`n × n_labels` or wider) without those that no training instance had: some evaluations leave them out
    /// of the truth, as no model without the labels' names could find them.
    ///
    /// # Errors
    /// Never for a matrix that is one.
    pub fn seen_labels(&self, labels: &Csr) -> Result<Csr, XmcError> {
        let seen = |label: LabelId| self.label_counts().get(label as usize).is_some_and(|&count| count > 0);
        let rows = labels.rows().map(|row| row.iter().filter(move |(label, _)| seen(*label)));
        Ok(Csr::from_rows(labels.n_cols(), rows)?)
    }

    /// One thread's way to query the model without allocating.
    pub fn predictor(&self) -> Predictor<'_> {
        Predictor::new(self)
    }

    /// Names to scored ids.
    pub fn named(&self, ranked: &[Scored]) -> Vec<Prediction<'_>> {
        let named = ranked.iter().map(|&Scored { id, score }| {
            let (key, name) = (self.label_key(id), self.label_name(id));
            Prediction { id, key, name, score }
        });
        named.collect()
    }

    /// Display name of label `id`; panics when it is out of range.
    pub fn label_name(&self, id: LabelId) -> &str {
        self.inner.labels.name(id)
    }

    /// Key of label `id`; panics when it is out of range.
    pub fn label_key(&self, id: LabelId) -> &str {
        self.inner.labels.key(id)
    }

    /// All labels, to read data with (`LabelSource::Given`). Built on first use.
    pub fn label_map(&self) -> Arc<LabelMap> {
        Arc::clone(self.inner.labels.map())
    }

    /// Instances of each label in the training data.
    pub fn label_counts(&self) -> &[u64] {
        self.inner.labels.counts()
    }

    /// Number of labels.
    pub fn n_labels(&self) -> usize {
        self.tree().n_labels()
    }

    /// Whether the model takes text (or features only).
    pub fn takes_text(&self) -> bool {
        self.meta().takes_text
    }

    /// The search that the model was told to do when it was trained.
    pub fn search(&self) -> SearchParams {
        self.inner.meta.params.search.clone()
    }

    /// The label tree; the first one if there are several.
    pub fn tree(&self) -> &LabelTree {
        self.matchers()[0].tree()
    }

    /// The matchers, each a tree with its weights; one unless the model was trained with more trees.
    pub fn matchers(&self) -> &[XrLinear] {
        &self.inner.matchers
    }

    /// The text features, if the model takes text.
    pub fn tfidf(&self) -> Option<&TfIdf> {
        self.inner.tfidf.as_ref()
    }

    /// What makes the dense features of a text, if anything does.
    pub fn encoder(&self) -> Option<&Encoder> {
        self.inner.encoder.as_ref()
    }

    /// How the model was made.
    pub fn meta(&self) -> &Meta {
        &self.inner.meta
    }

    /// The container, to verify or copy it.
    pub fn container(&self) -> &Container {
        &self.inner.container
    }
}
