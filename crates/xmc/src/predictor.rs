//! One query after the other, in the same buffers.

use crate::{Model, XmcError};
use xmc_sparse::{Row, Scored};
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
    text: xmc_tfidf::Scratch,
    search: Scratch,
    out: Vec<Scored>,
}

impl<'m> Predictor<'m> {
    pub(crate) fn new(model: &'m Model) -> Self {
        Self { model, text: Default::default(), search: Scratch::default(), out: Vec::new() }
    }

    /// The best labels of a text, best first.
    ///
    /// # Errors
    /// [`XmcError::NeedsFeatures`], [`XmcError::Width`], [`XmcError::Tree`] for bad search parameters.
    pub fn predict(&mut self, text: &str, search: &SearchParams) -> Result<&[Scored], XmcError> {
        let search = search.check()?;
        let tfidf = self.model.tfidf().ok_or(XmcError::NeedsFeatures)?;
        self.model.check_width(tfidf.n_features(), 0)?;
        let sparse = tfidf.transform_into(text, &mut self.text);
        let row = Row { sparse, dense: &[] };
        self.model.matcher().predict_row(row, &search, &mut self.search, &mut self.out);
        Ok(&self.out)
    }

    /// The best labels of an instance given as features, best first.
    ///
    /// # Errors
    /// [`XmcError::Width`] when the dense part has another length (a sparse feature that the model does not
    /// know counts for nothing), [`XmcError::Tree`] for bad search parameters.
    pub fn predict_row(&mut self, row: Row<'_>, search: &SearchParams) -> Result<&[Scored], XmcError> {
        let search = search.check()?;
        self.model.check_width(self.model.matcher().n_features().0, row.dense.len())?;
        self.model.matcher().predict_row(row, &search, &mut self.search, &mut self.out);
        Ok(&self.out)
    }

    /// Inner products computed so far.
    pub fn n_inner_products(&self) -> u64 {
        self.search.n_inner_products()
    }
}
