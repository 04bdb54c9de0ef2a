//! Several models of the same labels as one: encoders that differ, or an encoder's model beside a linear one.

use crate::model::{COMBINED, above};
use crate::{Evaluation, Model, Prediction, Scope, XmcError};
use std::borrow::Cow;
use xmc_data::Dataset;
use xmc_metrics::Evaluator;
use xmc_sparse::{Combine, Combiner, Csr, Features, NoProgress, Progress, RankedLists, combine};
use xmc_tree::SearchParams;

/// Models whose predictions are combined; with one, that model. Every one of them has the same labels in the same order. A least
/// score ([`SearchParams::min_score`]) is that of the first model, and counts for the combined scores.
///
/// ```
/// # use xmc::*;
/// # let shoes = ["red shoes", "blue shoes"].map(|text| (text, vec!["shoes"]));
/// # let hats = ["red hat", "blue hat"].map(|text| (text, vec!["hats"]));
/// # let dataset = Dataset::from_examples([shoes, hats].concat());
/// # let words = Model::train(&dataset, TrainParams::default())?;
/// # let other = TrainParams { seed: 1, ..TrainParams::default() };
/// # let pieces = Model::train(&dataset, other)?;
/// let both = Ensemble::new([words, pieces], Combine::SoftmaxAverage)?;
/// let best = both.predict("a red hat")?;
/// assert_eq!(best[0].name, "hats");
/// # Ok::<(), XmcError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Ensemble {
    members: Vec<Member>,
    combine: Combine,
    top_k: usize,
}

/// A model of an ensemble, and how it is searched.
#[derive(Debug, Clone)]
struct Member {
    model: Model,
    search: SearchParams,
    scope: Scope,
}

impl Ensemble {
    /// An ensemble of `models`, each searched as it was told to when it was trained, for as many labels as the first one.
    ///
    /// # Errors
    /// [`XmcError::NoModels`] for none, [`XmcError::OtherLabels`] when the labels of one are not those of the first,
    /// [`XmcError::Combine`] for an average of scores that may be negative.
    pub fn new(models: impl IntoIterator<Item = Model>, combine: Combine) -> Result<Self, XmcError> {
        let member = |model: Model| Member { search: model.search(), scope: Scope::all(), model };
        let members: Vec<Member> = models.into_iter().map(member).collect();
        let first = members.first().ok_or(XmcError::NoModels)?;
        for (number, member) in members.iter().enumerate().skip(1) {
            check_labels(&first.model, &member.model, number)?;
        }
        let top_k = first.search.top_k;
        let this = Self { members, combine, top_k };
        this.check()?;
        Ok(this)
    }

    /// Searches each model in the way that `change` makes of its own, for the `top_k` best labels.
    ///
    /// # Errors
    /// [`XmcError::Tree`] for bad search parameters, [`XmcError::Combine`].
    pub fn search(
        mut self,
        top_k: usize,
        change: impl Fn(SearchParams) -> SearchParams,
    ) -> Result<Self, XmcError> {
        self.top_k = top_k;
        for member in &mut self.members {
            member.search = change(member.model.search());
        }
        self.check()?;
        Ok(self)
    }

    /// Searches only a part of each model's labels.
    ///
    /// # Errors
    /// Those of `of`.
    pub fn scope<E>(mut self, of: impl Fn(&Model) -> Result<Scope, E>) -> Result<Self, E> {
        for member in &mut self.members {
            member.scope = of(&member.model)?;
        }
        Ok(self)
    }

    /// Number of models.
    pub fn n_models(&self) -> usize {
        self.members.len()
    }

    /// The first model: the names of the labels are those of all.
    pub fn first(&self) -> &Model {
        &self.members[0].model
    }

    /// Labels of a query.
    pub fn top_k(&self) -> usize {
        self.top_k
    }

    /// The best labels of a text, best first.
    ///
    /// # Errors
    /// As [`Ensemble::rank`].
    pub fn predict(&self, text: &str) -> Result<Vec<Prediction<'_>>, XmcError> {
        let lists = self.members.iter().map(|member| {
            let (mut predictor, search) = (member.model.predictor(), self.each(member));
            Ok(predictor.predict_in(text, &search, &member.scope)?.to_vec())
        });
        let mut lists = lists.collect::<Result<Vec<_>, XmcError>>()?;
        if lists.len() == 1 {
            return Ok(self.first().named(&lists.swap_remove(0)));
        }
        let mut best = Vec::new();
        let depth = self.top_k.max(COMBINED);
        Combiner::new(self.combine, self.top_k).depth(depth).combine_row(&lists, &mut best);
        if let Some(min_score) = self.members[0].search.min_score {
            best.truncate(best.partition_point(|label| label.score >= min_score));
        }
        Ok(self.first().named(&best))
    }

    /// What each model sees in a data set.
    ///
    /// # Errors
    /// As [`Model::features`].
    pub fn features<'d>(&self, dataset: &'d Dataset) -> Result<Vec<Cow<'d, Features>>, XmcError> {
        self.members.iter().map(|member| member.model.features(dataset, &NoProgress)).collect()
    }

    /// The best labels of every record, of which `x` has what each model sees.
    ///
    /// # Errors
    /// As [`Model::rank_features`], and [`XmcError::Width`] when `x` is for another number of models.
    pub fn rank_features(&self, x: &[Cow<'_, Features>]) -> Result<RankedLists, XmcError> {
        let lists = self.with(x)?.map(|(member, x)| Ok(self.rank_of(member, x, &NoProgress)?.0));
        self.combined(lists.collect::<Result<_, XmcError>>()?)
    }

    /// Given labels with their scores, best first: for record `i` those of row `i` of `labels` (`n_samples × n_labels`, values
    /// are ignored), all of them.
    ///
    /// # Errors
    /// As [`Model::rank_given`] and [`Ensemble::rank_features`].
    pub fn rank_given(&self, x: &[Cow<'_, Features>], labels: &Csr) -> Result<RankedLists, XmcError> {
        let lists = self.with(x)?.map(|(member, x)| member.model.rank_given(x, labels, &member.search));
        let mut lists = lists.collect::<Result<Vec<_>, XmcError>>()?;
        if lists.len() == 1 {
            return Ok(lists.swap_remove(0));
        }
        let longest = labels.rows().map(|row| row.nnz()).max().unwrap_or(0);
        Ok(combine(&lists, self.combine, longest, longest)?)
    }

    /// The best labels of every record of a data set, and the inner products that it took. Holds the features of one model at a time.
    ///
    /// # Errors
    /// As [`Model::rank`].
    pub fn rank(&self, dataset: &Dataset, progress: &dyn Progress) -> Result<(RankedLists, u64), XmcError> {
        let (mut lists, mut n_inner_products) = (Vec::new(), 0);
        for member in &self.members {
            let x = member.model.features(dataset, progress)?;
            let (list, n) = self.rank_of(member, &x, progress)?;
            n_inner_products += n;
            lists.push(list);
        }
        Ok((self.combined(lists)?, n_inner_products))
    }

    /// Scores on labelled data, in percent, at the cut-offs `at`; see [`Model::evaluate_counted`].
    ///
    /// # Errors
    /// As [`Model::evaluate`].
    pub fn evaluate(
        &self,
        dataset: &Dataset,
        at: &[usize],
        progress: &dyn Progress,
    ) -> Result<Evaluation, XmcError> {
        let evaluator = Evaluator::new(at.iter().copied())?;
        let deepest = at.iter().copied().max().unwrap_or(1);
        let this = Self { top_k: deepest, ..self.clone() };
        let (ranked, n_inner_products) = this.rank(dataset, progress)?;
        self.first().score(evaluator, dataset, &ranked, n_inner_products)
    }

    /// Each member with what it sees.
    fn with<'a, 'd>(
        &'a self,
        x: &'a [Cow<'d, Features>],
    ) -> Result<impl Iterator<Item = (&'a Member, &'a Cow<'d, Features>)>, XmcError> {
        let (expected, found) = (self.members.len(), x.len());
        match expected == found {
            true => Ok(self.members.iter().zip(x)),
            false => Err(XmcError::Width { what: "features for each model", expected, found }),
        }
    }

    fn rank_of(
        &self,
        member: &Member,
        x: &Features,
        progress: &dyn Progress,
    ) -> Result<(RankedLists, u64), XmcError> {
        member.model.rank_counted(x, &self.each(member), &member.scope, progress)
    }

    /// How a member is searched: deep enough for the lists to be combined.
    fn each(&self, member: &Member) -> SearchParams {
        let search = member.search.clone();
        match self.members.len() {
            1 => search.top_k(self.top_k),
            _ => search.top_k(self.top_k.max(COMBINED)).min_score(None),
        }
    }

    fn combined(&self, mut lists: Vec<RankedLists>) -> Result<RankedLists, XmcError> {
        if lists.len() == 1 {
            return Ok(lists.swap_remove(0));
        }
        let combined = combine(&lists, self.combine, self.top_k, self.top_k.max(COMBINED))?;
        Ok(above(combined, self.members[0].search.min_score))
    }

    fn check(&self) -> Result<(), XmcError> {
        self.members.iter().try_for_each(|member| member.model.check_search(&member.search))?;
        if self.members.len() == 1 || self.combine != Combine::Average {
            return Ok(());
        }
        let leaf = |search: &SearchParams| search.leaf_post_processor.unwrap_or(search.post_processor);
        let signed = self.members.iter().map(|member| leaf(&member.search)).find(|leaf| !leaf.multiplies());
        signed.map_or(Ok(()), |post_processor| Err(XmcError::Combine { post_processor }))
    }
}

fn check_labels(first: &Model, other: &Model, number: usize) -> Result<(), XmcError> {
    let differs = |what: String| XmcError::OtherLabels { model: number + 1, what };
    let (expected, found) = (first.n_labels(), other.n_labels());
    if expected != found {
        return Err(differs(format!("{found} labels, expected {expected}")));
    }
    let mut labels = (0..expected as u32).map(|label| (first.label_key(label), other.label_key(label)));
    match labels.position(|(expected, found)| expected != found) {
        None => Ok(()),
        Some(label) => {
            let (expected, found) = (first.label_key(label as u32), other.label_key(label as u32));
            Err(differs(format!("label {label} is '{found}', expected '{expected}'")))
        }
    }
}
