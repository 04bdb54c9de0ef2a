//! What a model is trained on: the instances, and the labels' names as further instances.

use crate::dense::DenseFeatures;
use crate::encoder::EncoderSource;
use crate::stages::Stages;
use crate::trainer::TextsRef;
use crate::{Encoder, TrainParams, XmcError};
use serde_json::Value;
use std::borrow::Cow;
use xmc_data::{Dataset, Input, LabelMap};
use xmc_metrics::{Propensities, PropensityParams};
use xmc_sparse::{Csr, CsrBuilder, DenseBlock, Features, LabelId, NoProgress, SparseRow};
use xmc_store::Fingerprint;
use xmc_tfidf::{Documents, TfIdf};
use xmc_tree::LabelTree;
use xmc_xrlinear::Instances;

/// Instances, their labels and weights; the rows from `n_samples` on are the names of labels.
pub(crate) struct TrainingSet<'d> {
    /// Nothing for data that are features, and for texts of which only embeddings are wanted.
    pub(crate) tfidf: Option<TfIdf>,
    /// What made the embeddings of the texts.
    pub(crate) encoder: Option<Cow<'d, Encoder>>,
    /// How it was made, if it was made of the training data.
    pub(crate) encoder_made: Option<Value>,
    pub(crate) x: Cow<'d, Features>,
    pub(crate) y: Cow<'d, Csr>,
    pub(crate) weights: Option<Cow<'d, [f32]>>,
    /// The labels' own features: what is given, or their names through the vectoriser.
    pub(crate) own: Option<Cow<'d, Features>>,
    /// What each label is worth to each instance.
    pub(crate) relevance: Option<Cow<'d, Csr>>,
    /// Labels to keep instances apart from.
    pub(crate) hard_negatives: Option<Cow<'d, Csr>>,
}

/// What is given beside a data set.
#[derive(Clone, Copy, Default)]
pub(crate) struct Extras<'d> {
    pub(crate) relevance: Option<&'d Csr>,
    pub(crate) hard_negatives: Option<&'d Csr>,
    pub(crate) label_features: Option<&'d Features>,
    pub(crate) encoder: Option<EncoderSource<'d>>,
}

impl<'d> Extras<'d> {
    /// The encoder for `texts` with their sparse features and labels, if there is to be one.
    fn encoder_for<D: Documents + ?Sized>(
        &self,
        params: &TrainParams,
        instances: (&D, &Csr, &Csr),
        tfidf: Option<&TfIdf>,
        stages: &Stages<'_>,
    ) -> Result<(Option<Cow<'d, Encoder>>, Option<Value>), XmcError> {
        let Some(source) = self.encoder else { return Ok((None, None)) };
        let (encoder, made) = source.resolve(params, instances, tfidf, stages)?;
        Ok((Some(encoder), made))
    }
}

impl<'d> TrainingSet<'d> {
    /// What the linear models learn from.
    pub(crate) fn instances(&self) -> Instances<'_> {
        Instances::new(&self.x, &self.y)
            .weights(self.weights.as_deref())
            .relevance(self.relevance.as_deref())
            .hard_negatives(self.hard_negatives.as_deref())
    }

    /// What a model of this set and `params` depends on, in a few words; `tree` is one that is given.
    pub(crate) fn identity(
        &self,
        params: &TrainParams,
        tree: Option<&LabelTree>,
    ) -> Result<String, XmcError> {
        let mut data = Fingerprint::new();
        let matrices = [Some(self.x.sparse()), Some(&self.y), self.relevance.as_deref()];
        let own = self.own.as_deref();
        let more = [self.hard_negatives.as_deref(), own.map(Features::sparse)];
        for matrix in matrices.into_iter().chain(more) {
            // What is not there is told apart from what has nothing in it.
            data.array(&[u8::from(matrix.is_some())]);
            matrix.into_iter().for_each(|matrix| data.matrix(matrix));
        }
        for x in [Some(&*self.x), own] {
            let (n_rows, width) = x.map_or((0, 0), |x| (x.n_samples(), x.n_dense()));
            data.array(&[(n_rows * width) as u64]);
            x.into_iter()
                .flat_map(|x| (0..n_rows).map(|row| x.row(row).dense))
                .for_each(|row| data.array(row));
        }
        let weights = self.weights.as_deref().unwrap_or_default();
        data.array(&[weights.len() as u64]);
        data.array(weights);
        tree.into_iter().flat_map(LabelTree::arrays).for_each(|array| data.array(array));
        let params = serde_json::to_string(params).map_err(XmcError::Identity)?;
        Ok(format!("xmc {}\n{}\n{params}\n", env!("CARGO_PKG_VERSION"), data.to_hex()))
    }

    /// Only the instances `rows`, with what is learnt from them.
    pub(crate) fn select_rows(&self, rows: &[usize]) -> TrainingSet<'static> {
        let of = |matrix: &Option<Cow<'_, Csr>>| matrix.as_ref().map(|m| Cow::Owned(m.select_rows(rows)));
        let weights = self.weights.as_ref().map(|weights| rows.iter().map(|&row| weights[row]).collect());
        TrainingSet {
            tfidf: None,
            encoder: None,
            encoder_made: None,
            x: Cow::Owned(self.x.select_rows(rows)),
            y: Cow::Owned(self.y.select_rows(rows)),
            weights: weights.map(Cow::Owned),
            own: None,
            relevance: of(&self.relevance),
            hard_negatives: of(&self.hard_negatives),
        }
    }

    /// The features of `dataset`: made from its texts (and, where `with_names`, the labels' names), or as they are.
    /// Without a `tfidf` that was fitted on the same texts before, one is fitted.
    pub(crate) fn new(
        params: &TrainParams,
        dataset: &'d Dataset,
        (with_names, tfidf): (bool, Option<TfIdf>),
        extras: Extras<'d>,
        stages: &Stages<'_>,
    ) -> Result<Self, XmcError> {
        dataset.check()?;
        let y = &dataset.labels;
        let own =
            |names: Option<Features>| extras.label_features.map(Cow::Borrowed).or(names.map(Cow::Owned));
        let without_names = |tfidf, (encoder, encoder_made), x, names| -> Result<Self, XmcError> {
            Ok(Self {
                tfidf,
                encoder,
                encoder_made,
                x,
                y: Cow::Borrowed(y),
                weights: dataset.weights.as_deref().map(Cow::Borrowed),
                own: own(names),
                relevance: relevance(params, dataset, extras.relevance)?,
                hard_negatives: extras.hard_negatives.map(Cow::Borrowed),
            })
        };
        let texts = match &dataset.input {
            Input::Features(x) => return without_names(None, (None, None), Cow::Borrowed(x), None),
            Input::Text(texts) => texts,
        };
        let given = dataset.dense.as_ref();
        if !with_names {
            let texts = TextsRef(texts);
            let (tfidf, sparse) = vectorize(params, tfidf, &texts, extras.encoder.is_some(), stages)?;
            let encoder = extras.encoder_for(params, (&texts, &sparse, y), tfidf.as_ref(), stages)?;
            let dense = embed(encoder.0.as_deref(), params, &texts, given, stages)?;
            return without_names(tfidf, encoder, Cow::Owned(Features::with_block(sparse, dense)?), None);
        }
        let all = TextsAndNames { texts: TextsRef(texts), names: &dataset.label_map };
        let (tfidf, sparse) = vectorize(params, tfidf, &all, extras.encoder.is_some(), stages)?;
        let of_names: Vec<usize> = (texts.len()..all.len()).collect();
        let weight = params.label_rows;
        if weight == 0.0 {
            let of_texts: Vec<usize> = (0..texts.len()).collect();
            let of_texts = sparse.select_rows(&of_texts);
            let encoder = extras.encoder_for(params, (&all.texts, &of_texts, y), tfidf.as_ref(), stages)?;
            let dense = embed(encoder.0.as_deref(), params, &all.texts, given, stages)?;
            let x = Features::with_block(of_texts, dense)?;
            let of_no_text = given.map(|given| given.select_rows(&[]));
            let names = Names(all.names);
            let names = embed(encoder.0.as_deref(), params, &names, of_no_text.as_ref(), stages)?;
            let names = Features::with_block(sparse.select_rows(&of_names), names)?;
            return without_names(tfidf, encoder, Cow::Owned(x), Some(names));
        }
        let y = with_own_labels(y)?;
        let (encoder, encoder_made) =
            extras.encoder_for(params, (&all, &sparse, &y), tfidf.as_ref(), stages)?;
        let dense = embed(encoder.as_deref(), params, &all, given, stages)?;
        let x = Features::with_block(sparse, dense)?;
        let names = x.select_rows(&of_names);
        Ok(Self {
            tfidf,
            encoder,
            encoder_made,
            x: Cow::Owned(x),
            y: Cow::Owned(y),
            weights: with_weight(dataset.weights.as_deref(), texts.len(), of_names.len(), weight),
            own: own(Some(names)),
            relevance: match relevance(params, dataset, extras.relevance)? {
                Some(relevance) => Some(Cow::Owned(with_own_labels(&relevance)?)),
                None => None,
            },
            hard_negatives: match extras.hard_negatives {
                Some(negatives) => Some(Cow::Owned(with_empty_rows(negatives, of_names.len())?)),
                None => None,
            },
        })
    }
}

/// The sparse features of `texts`: none when only embeddings are wanted.
fn vectorize(
    params: &TrainParams,
    fitted: Option<TfIdf>,
    texts: &impl Documents,
    embeds: bool,
    stages: &Stages<'_>,
) -> Result<(Option<TfIdf>, Csr), XmcError> {
    if params.features.vectorizers.is_empty() && embeds {
        return Ok((None, Csr::empty(texts.len(), 0)));
    }
    let vectorizers = params.features.clone().check()?;
    stages.time("tfidf", |progress| {
        let tfidf = fitted.map_or_else(|| vectorizers.fit_with_progress(texts, progress), Ok)?;
        let sparse = tfidf.transform_with_progress(texts, progress);
        Ok((Some(tfidf), sparse))
    })
}

/// The dense features of `texts`; time is only told where there is an encoder.
fn embed(
    encoder: Option<&Encoder>,
    params: &TrainParams,
    texts: &impl Documents,
    given: Option<&DenseBlock>,
    stages: &Stages<'_>,
) -> Result<Option<DenseBlock>, XmcError> {
    let dense = DenseFeatures { encoder, params: &params.encoding };
    match encoder {
        None => dense.of(texts, given, &NoProgress),
        Some(_) => stages.time("embed", |progress| dense.of(texts, given, progress)),
    }
}

/// A row for each label below the instances: it has itself.
fn with_own_labels(y: &Csr) -> Result<Csr, XmcError> {
    let mut rows = CsrBuilder::new();
    y.rows().for_each(|row| rows.push_sorted(row));
    (0..y.n_cols() as LabelId)
        .for_each(|label| rows.push_sorted(SparseRow { indices: &[label], values: &[1.0] }));
    Ok(rows.finish(y.n_cols())?)
}

fn with_empty_rows(matrix: &Csr, n_rows: usize) -> Result<Csr, XmcError> {
    let mut rows = CsrBuilder::new();
    matrix.rows().for_each(|row| rows.push_sorted(row));
    (0..n_rows).for_each(|_| rows.push_sorted(SparseRow::default()));
    Ok(rows.finish(matrix.n_cols())?)
}

/// The relevance of labels, more for rare ones where that is wanted.
fn relevance<'d>(
    params: &TrainParams,
    dataset: &'d Dataset,
    given: Option<&'d Csr>,
) -> Result<Option<Cow<'d, Csr>>, XmcError> {
    if !params.tail_weights {
        return Ok(given.map(Cow::Borrowed));
    }
    let relevance = given.map_or_else(|| Cow::Owned(dataset.labels.binarized()), Cow::Borrowed);
    let propensities = Propensities::from_labels(&dataset.labels, PropensityParams::default())?;
    let worth = |(&label, &value): (&LabelId, &f32)| value * propensities.inverse()[label as usize] as f32;
    let values = relevance.indices().iter().zip(relevance.values()).map(worth).collect();
    Ok(Some(Cow::Owned(relevance.with_values(values)?)))
}

fn with_weight(
    weights: Option<&[f32]>,
    n_texts: usize,
    n_labels: usize,
    weight: f32,
) -> Option<Cow<'static, [f32]>> {
    if weights.is_none() && weight == 1.0 {
        return None;
    }
    let mut all = weights.map_or_else(|| vec![1.0; n_texts], <[f32]>::to_vec);
    all.resize(n_texts + n_labels, weight);
    Some(Cow::Owned(all))
}

/// The texts, then the names of all labels.
struct TextsAndNames<'a> {
    texts: TextsRef<'a>,
    names: &'a LabelMap,
}

impl Documents for TextsAndNames<'_> {
    fn len(&self) -> usize {
        self.texts.len() + self.names.len()
    }

    fn get(&self, index: usize) -> &str {
        match index.checked_sub(self.texts.len()) {
            None => self.texts.get(index),
            Some(label) => self.names.name(label as LabelId),
        }
    }
}

/// The names of all labels.
struct Names<'a>(&'a LabelMap);

impl Documents for Names<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, index: usize) -> &str {
        self.0.name(index as LabelId)
    }
}
