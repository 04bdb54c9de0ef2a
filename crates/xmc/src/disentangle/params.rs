//! How labels find further places: what `[disentangle]` in a file of hyper-parameters holds.

use crate::XmcError;
use serde::{Deserialize, Serialize};
use xmc_tree::{AssignmentRule, Disentangle, DisentangleParams, SearchParams};

/// Label disentanglement as part of a training: the layers above the labels lead every training instance to a few
/// clusters, and labels go where their instances are led.
///
/// Worth its price where labels mean several things (*apple*) or the tree cannot know better (few instances of
/// many kinds); a label with one meaning gains nothing from a second place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct DisentangleTraining {
    /// Most clusters of a label; with 1, labels only move. Default 0: labels stay where the tree has them, as they do in
    /// a tree without clusters above them.
    pub copies: usize,
    /// Clusters that a training instance is led to. At least 1, default 2: with more, the clusters where the
    /// instance will be looked for stand out less from the others.
    pub match_beam: usize,
    /// Parts of a cross-fit: with 2 and more, an instance is led by layers that were trained without its part, as a new
    /// text will be, and not to where it was learnt to belong. Costs the training of the layers above as many times,
    /// and finds far better places where labels have dozens of instances. At least 1, default 2; with 1 the layers as they
    /// are lead all instances.
    pub folds: usize,
    /// How the clusters of a label are chosen. Default `greedy`; `topk` is the published rule, which needs several
    /// times the copies.
    pub rule: AssignmentRule,
    /// A further copy must cover this share of the label's instances anew (`greedy` only), 0 to 1. Default 0.05.
    pub min_gain: f32,
    /// Most labels of a cluster, as a multiple of the mean: at least 1, or 0 for no limit. Default 3.
    pub max_leaf_factor: f32,
    /// Times that labels are assigned. At least 1, default 1. Before every further time the layers that lead are trained
    /// again for the places that the labels have by then, which costs as much as their first training.
    pub rounds: usize,
    /// Whether labels keep their places in the tree and only further ones are chosen. Default yes: rare labels would be
    /// led astray by layers that have not seen their records. Not with one copy, where moving is all there is.
    pub keep_places: bool,
    /// Whether the layers above stay as they are when labels have found their places. Default no: they are trained again,
    /// and learn to send an instance to all places of its labels. On real titles that is worth half a point
    /// of P@1 and more of recall; to keep them saves their training, and a trained model still sends
    /// texts where it did.
    pub keep_upper: bool,
}

impl Default for DisentangleTraining {
    fn default() -> Self {
        let DisentangleParams { rule, min_gain, max_leaf_factor, .. } = DisentangleParams::default();
        let (match_beam, folds, rounds, keep_places, keep_upper) = (2, 2, 1, true, false);
        Self {
            copies: 0,
            match_beam,
            folds,
            rule,
            min_gain,
            max_leaf_factor,
            rounds,
            keep_places,
            keep_upper,
        }
    }
}

impl DisentangleTraining {
    /// Copies when a trained model is disentangled and nothing else is said.
    pub const COPIES: usize = 2;

    /// Sets [`Self::copies`].
    #[must_use]
    pub fn copies(mut self, copies: usize) -> Self {
        self.copies = copies;
        self
    }

    /// Sets [`Self::match_beam`].
    #[must_use]
    pub fn match_beam(mut self, match_beam: usize) -> Self {
        self.match_beam = match_beam;
        self
    }

    /// Sets [`Self::folds`].
    #[must_use]
    pub fn folds(mut self, folds: usize) -> Self {
        self.folds = folds;
        self
    }

    /// Sets [`Self::rule`].
    #[must_use]
    pub fn rule(mut self, rule: AssignmentRule) -> Self {
        self.rule = rule;
        self
    }

    /// Sets [`Self::min_gain`].
    #[must_use]
    pub fn min_gain(mut self, min_gain: f32) -> Self {
        self.min_gain = min_gain;
        self
    }

    /// Sets [`Self::max_leaf_factor`].
    #[must_use]
    pub fn max_leaf_factor(mut self, max_leaf_factor: f32) -> Self {
        self.max_leaf_factor = max_leaf_factor;
        self
    }

    /// Sets [`Self::rounds`].
    #[must_use]
    pub fn rounds(mut self, rounds: usize) -> Self {
        self.rounds = rounds;
        self
    }

    /// Sets [`Self::keep_places`].
    #[must_use]
    pub fn keep_places(mut self, keep_places: bool) -> Self {
        self.keep_places = keep_places;
        self
    }

    /// Sets [`Self::keep_upper`].
    #[must_use]
    pub fn keep_upper(mut self, keep_upper: bool) -> Self {
        self.keep_upper = keep_upper;
        self
    }

    /// Whether labels are assigned at all.
    pub fn is_on(&self) -> bool {
        self.copies > 0
    }

    /// Checks every parameter, also when it is off.
    ///
    /// # Errors
    /// [`XmcError::Tree`] and [`XmcError::Param`] for the first one that is out of its range.
    pub fn check(&self) -> Result<(), XmcError> {
        self.assignment()?;
        let counts = [("match_beam", self.match_beam), ("folds", self.folds), ("rounds", self.rounds)];
        for (name, found) in counts {
            if found == 0 {
                return Err(XmcError::Param { name, expected: "at least 1", found: 0.0 });
            }
        }
        Ok(())
    }

    /// What assigns labels to clusters.
    pub(crate) fn assignment(&self) -> Result<Disentangle, XmcError> {
        let limit = if self.max_leaf_factor == 0.0 { f32::INFINITY } else { self.max_leaf_factor };
        let params = DisentangleParams::default().copies(self.copies.max(1)).rule(self.rule);
        let params = params.min_gain(self.min_gain).max_leaf_factor(limit);
        Ok(params.keep_places(self.keep_places && self.copies > 1).check()?)
    }

    /// How training instances are led to clusters, in a model that will search as `search` says.
    pub(crate) fn matching(&self, search: &SearchParams) -> SearchParams {
        search.clone().beam_size(self.match_beam)
    }
}
