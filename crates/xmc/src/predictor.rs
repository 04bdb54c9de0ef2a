//! One query after the other, in the same buffers.

use crate::encoder::EncoderScratch;
use crate::{Model, Scope, XmcError};
use xmc_sparse::{Combiner, Row, Scored};
use xmc_tree::{Matcher, SearchParams};
use xmc_xrlinear::Scratch;

/// One thread's way to query a model: after the first few queries nothing is allocated.
///
/// ```
/// # use xmc::*;
/// # let dataset = Dataset::from_examples([("red shoes", vec!["shoes"]), ("red shoes", vec!["shoes"])]);
/// # let model = Model::train(&dataset, TrainParams::default())?;
/// let mut predictor = model.predictor();
/// for title in ["red shoes", "shoes, red"] {
///     let best = predictor.predict(title, &SearchParams::default())?;
///     println!("{title}: {}", model.label_name(best[0].id));
/// }
/// # Ok::<(), XmcError>(())
/// ```
#[derive(Debug)]
pub struct Predictor<'m> {
    model: &'m Model,
    text: TextScratch,
    search: Scratch,
    /// What each tree found, if there are several.
    lists: Vec<Vec<Scored>>,
    combiner: Combiner,
    out: Vec<Scored>,
}

impl<'m> Predictor<'m> {
    pub(crate) fn new(model: &'m Model) -> Self {
        let combiner = Combiner::new(model.meta().params.combine, model.search().top_k);
        let lists = vec![Vec::new(); model.matchers().len()];
        Self { model, text: Default::default(), search: Scratch::default(), lists, combiner, out: Vec::new() }
    }

    /// The best labels of a text, best first.
    ///
    /// # Errors
    /// [`XmcError::NeedsFeatures`], [`XmcError::Width`], [`XmcError::Tree`] for bad search parameters.
    pub fn predict(&mut self, text: &str, search: &SearchParams) -> Result<&[Scored], XmcError> {
        self.predict_in(text, search, &Scope::default())
    }

    /// As [`Predictor::predict`], of the labels in `scope`.
    ///
    /// # Errors
    /// As [`Predictor::predict`].
    pub fn predict_in(
        &mut self,
        text: &str,
        search: &SearchParams,
        scope: &Scope,
    ) -> Result<&[Scored], XmcError> {
        self.model.check_search(search)?;
        let row = self.text.row(self.model, text)?;
        let query = Query { model: self.model, row, search, scope };
        query.rank(&mut self.search, &mut self.lists, &mut self.combiner, &mut self.out);
        Ok(&self.out)
    }

    /// The best labels of an instance given as features, best first.
    ///
    /// # Errors
    /// [`XmcError::Width`] when the dense part has another length (a sparse feature that the model does not
    /// know counts for nothing), [`XmcError::Tree`] for bad search parameters.
    pub fn predict_row(&mut self, row: Row<'_>, search: &SearchParams) -> Result<&[Scored], XmcError> {
        self.predict_row_in(row, search, &Scope::default())
    }

    /// As [`Predictor::predict_row`], of the labels in `scope`.
    ///
    /// # Errors
    /// As [`Predictor::predict_row`].
    pub fn predict_row_in(
        &mut self,
        row: Row<'_>,
        search: &SearchParams,
        scope: &Scope,
    ) -> Result<&[Scored], XmcError> {
        self.model.check_search(search)?;
        self.model.check_width(self.model.matchers()[0].n_features().0, row.dense.len())?;
        let query = Query { model: self.model, row, search, scope };
        query.rank(&mut self.search, &mut self.lists, &mut self.combiner, &mut self.out);
        Ok(&self.out)
    }

    /// Inner products computed so far.
    pub fn n_inner_products(&self) -> u64 {
        self.search.n_inner_products()
    }
}

/// Buffers for the features of a text.
#[derive(Debug, Default)]
pub(crate) struct TextScratch {
    sparse: xmc_tfidf::Scratch,
    encoder: EncoderScratch,
    dense: Vec<f32>,
}

impl TextScratch {
    /// What `model` sees in `text`, with nothing beside it.
    pub(crate) fn row(&mut self, model: &Model, text: &str) -> Result<Row<'_>, XmcError> {
        if !model.takes_text() {
            return Err(XmcError::NeedsFeatures);
        }
        model.dense_features().of_one(text, &mut self.encoder, &mut self.dense)?;
        model.check_width(model.tfidf().map_or(0, |tfidf| tfidf.n_features()), self.dense.len())?;
        let sparse = model.tfidf().map(|tfidf| tfidf.transform_into(text, &mut self.sparse));
        Ok(Row { sparse: sparse.unwrap_or_default(), dense: &self.dense })
    }
}

/// One query.
struct Query<'a> {
    model: &'a Model,
    row: Row<'a>,
    search: &'a SearchParams,
    scope: &'a Scope,
}

impl Query<'_> {
    fn rank(
        &self,
        scratch: &mut Scratch,
        lists: &mut [Vec<Scored>],
        combiner: &mut Combiner,
        out: &mut Vec<Scored>,
    ) {
        let Self { model, row, search, scope } = *self;
        if let [matcher] = model.matchers() {
            return matcher.predict_row(row, scope.search(search, 0), scratch, out);
        }
        let each = model.each_tree(search);
        for (number, (matcher, list)) in model.matchers().iter().zip(&mut *lists).enumerate() {
            matcher.predict_row(row, scope.search(&each, number), scratch, list);
        }
        combiner.reset(search.top_k, each.top_k);
        combiner.combine_row(lists, out);
        if let Some(min_score) = search.min_score {
            out.truncate(out.partition_point(|label| label.score >= min_score));
        }
    }
}
