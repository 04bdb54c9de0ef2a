//! Which labels a search is about, and what they are worth.

use crate::{Model, XmcError};
use xmc_sparse::LabelId;
use xmc_tree::{LabelFilter, Matcher, Search, SearchParams};

/// A selection of labels and weights on their scores, for one [`Model`]; without anything set, all labels as they are.
///
/// ```
/// # use xmc::*;
/// # let examples = [("red shoes", vec!["shoes"]), ("red hat", vec!["hats"]), ("red shoes", vec!["shoes"])];
/// # let model = Model::train(&Dataset::from_examples(examples), TrainParams::default())?;
/// let hats = model.label_map().get("hats").unwrap();
/// let scope = Scope::only(&model, [hats])?;
/// let found = model.predictor().predict_in("red shoes", &model.search(), &scope)?.to_vec();
/// assert_eq!(found.len(), 1);
/// assert_eq!(found[0].id, hats);
/// # Ok::<(), XmcError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scope {
    /// One for each tree, or none.
    filters: Vec<LabelFilter>,
    log_weights: Option<Vec<f32>>,
}

impl Scope {
    /// All labels.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only `labels`. The beam is spent on clusters that hold one of them.
    ///
    /// # Errors
    /// [`XmcError::Tree`] for a label that the model does not have.
    pub fn only(model: &Model, labels: impl IntoIterator<Item = LabelId>) -> Result<Self, XmcError> {
        let labels: Vec<LabelId> = labels.into_iter().collect();
        Self::of_filters(model, |tree| LabelFilter::only(tree, labels.iter().copied()))
    }

    /// All labels but `labels`.
    ///
    /// # Errors
    /// As [`Scope::only`].
    pub fn without(model: &Model, labels: impl IntoIterator<Item = LabelId>) -> Result<Self, XmcError> {
        let labels: Vec<LabelId> = labels.into_iter().collect();
        Self::of_filters(model, |tree| LabelFilter::without(tree, labels.iter().copied()))
    }

    /// The labels below cluster `cluster` on layer `layer` of the model's first tree (0: the root's children).
    ///
    /// # Errors
    /// [`XmcError::Tree`] when there is no such cluster.
    pub fn below(model: &Model, layer: usize, cluster: u32) -> Result<Self, XmcError> {
        let labels = LabelFilter::below(model.tree(), layer, cluster)?;
        let leaves = model.tree().depth() - 1;
        Self::only(model, (0..model.n_labels() as LabelId).filter(|&label| labels.allows(leaves, label)))
    }

    fn of_filters(
        model: &Model,
        filter: impl Fn(&xmc_tree::LabelTree) -> Result<LabelFilter, xmc_tree::TreeError>,
    ) -> Result<Self, XmcError> {
        let filters = model.matchers().iter().map(|matcher| filter(matcher.tree()));
        Ok(Self { filters: filters.collect::<Result<_, _>>()?, log_weights: None })
    }

    /// Multiplies the score of label `l` by `weights[l]` (scores that are logarithms or margins: adds its logarithm).
    /// With one over the labels' propensities this is propensity-scored prediction, which favours rare labels.
    ///
    /// # Errors
    /// [`XmcError::Width`] when there is not one for each label of `model`, [`XmcError::Param`] when one is not a
    /// number above 0.
    pub fn weighted(mut self, model: &Model, weights: &[f32]) -> Result<Self, XmcError> {
        let (expected, found) = (model.n_labels(), weights.len());
        if expected != found {
            return Err(XmcError::Width { what: "number of label weights", expected, found });
        }
        if let Some(&found) = weights.iter().find(|weight| !(weight.is_finite() && **weight > 0.0)) {
            return Err(XmcError::Param { name: "label weight", expected: "a number above 0", found });
        }
        self.log_weights = Some(weights.iter().map(|weight| weight.ln()).collect());
        Ok(self)
    }

    /// The search on tree `number`.
    pub(crate) fn search<'a>(&'a self, params: &'a SearchParams, number: usize) -> Search<'a> {
        Search::new(params).filter(self.filters.get(number)).log_weights(self.log_weights.as_deref())
    }
}
