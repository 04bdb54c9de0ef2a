//! Hyper-parameters by trial: one at a time, on validation data, within a budget.
//!
//! Coordinate search with successive halving. The options that matter are gone through in the order of what they are
//! usually worth; the values of one race each other. A race begins on a part of the training data, and only
//! values that may still be better go on to a larger part: those within one standard error of the best so far, the
//! two best of them. On the largest part a value replaces the best so far if it is better by more than one standard
//! error. Errors are of paired differences: two models are compared on the same records, where they mostly agree, and so
//! much smaller differences can be told than two scores suggest.
//!
//! Sources: Jamieson, Talwalkar, *Non-stochastic best arm identification and hyperparameter optimization*, AISTATS 2016 (the
//! halving); the paired comparison is textbook statistics.

mod axis;
mod race;

use crate::{Encoder, TrainParams, XmcError};
use axis::Axis;
use race::Race;
use serde::Serialize;
use std::time::Duration;
use xmc_data::Dataset;
use xmc_metrics::Metric;
use xmc_sparse::{NoProgress, Progress};

/// Share of the data that is held out when no validation data are given, and most records of it: with 10,000 of them a
/// standard error is a few tenths of a percent, and more would only cost time.
const HELD_OUT: f64 = 0.1;
const MOST_HELD_OUT: usize = 10_000;

/// Searches hyper-parameters: Cp and Cn, threshold, labels of a leaf, n-grams, copies of labels.
///
/// ```
/// use xmc::{Dataset, TrainParams, Tuner};
/// # let dataset = Dataset::from_examples((0..60).map(|i| (["red shoes", "red hat", "blue hat"][i % 3], [["shoes", "hat", "blue"][i % 3]])));
/// let tuning = Tuner::new(TrainParams::default()).max_trials(4).run(&dataset)?;
/// println!("{} {:.2} -> {:.2}", tuning.metric, tuning.baseline, tuning.score);
/// # assert_eq!(tuning.trials.len(), 4);
/// # Ok::<(), xmc::XmcError>(())
/// ```
pub struct Tuner<'a> {
    base: TrainParams,
    metric: (Metric, usize),
    budget: Option<Duration>,
    max_trials: Option<usize>,
    valid: Option<&'a Dataset>,
    label_names: Option<bool>,
    encoder: Option<&'a Encoder>,
    progress: &'a dyn Progress,
    on_trial: &'a dyn Fn(&Trial),
}

/// What a search has found.
#[derive(Debug, Clone, Serialize)]
pub struct Tuning {
    /// The best hyper-parameters.
    #[serde(skip)]
    pub params: TrainParams,
    /// The options in which they differ from those that the search began with, as the command line has them.
    pub options: Vec<String>,
    /// The metric, such as `ndcg@5`.
    pub metric: String,
    /// Percent before the search, on the most data that both were trained on.
    pub baseline: f64,
    /// Percent of the best.
    pub score: f64,
    /// Training records of these two scores.
    pub n_samples: usize,
    /// Validation records.
    pub n_valid: usize,
    /// Every model that was trained, in order.
    pub trials: Vec<Trial>,
    /// Whether the budget ended the search.
    pub cut_short: bool,
}

/// One training in a search.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trial {
    /// The option that differs from the best so far; empty for that best itself.
    pub change: String,
    /// Training records.
    pub n_samples: usize,
    /// The metric, in percent.
    pub score: f64,
    /// What it is more than that of the best so far on the same data, in points of a percent.
    pub gain: f64,
    /// The standard error of `gain`.
    pub std_error: f64,
    /// Seconds of training and scoring.
    pub seconds: f64,
    /// Size of the model.
    pub model_bytes: u64,
}

impl<'a> Tuner<'a> {
    /// A search that begins with `base`.
    pub fn new(base: TrainParams) -> Self {
        let (budget, max_trials, valid, label_names, encoder) = Default::default();
        let (metric, progress, on_trial) = ((Metric::Ndcg, 5), &NoProgress, &|_: &Trial| ());
        Self { base, metric, budget, max_trials, valid, label_names, encoder, progress, on_trial }
    }

    /// What to improve: precision, recall or nDCG at a cut-off. Default nDCG@5, which looks at the first labels and at
    /// those after them.
    #[must_use]
    pub fn metric(mut self, metric: Metric, k: usize) -> Self {
        self.metric = (metric, k);
        self
    }

    /// Ends the search before it takes longer, as far as trainings can be foreseen. What a search with a budget finds
    /// depends on how fast the machine is; [`Tuner::max_trials`] does not. Default: no limit.
    #[must_use]
    pub fn budget(mut self, budget: Duration) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Ends the search after so many trainings. Default: no limit.
    #[must_use]
    pub fn max_trials(mut self, max_trials: usize) -> Self {
        self.max_trials = Some(max_trials);
        self
    }

    /// Scores on these data. Default: a tenth of the training data, at most 10,000 records, held out by
    /// the seed of the parameters.
    #[must_use]
    pub fn valid(mut self, valid: &'a Dataset) -> Self {
        self.valid = Some(valid);
        self
    }

    /// As [`crate::Trainer::label_names`].
    #[must_use]
    pub fn label_names(mut self, known: bool) -> Self {
        self.label_names = Some(known);
        self
    }

    /// As [`crate::Trainer::encoder`]; the scale of its embeddings is searched, too. Every trial embeds its texts: give a transformer a cache ([`Encoder::cached_in`]).
    #[must_use]
    pub fn encoder(mut self, encoder: &'a Encoder) -> Self {
        self.encoder = Some(encoder);
        self
    }

    /// Reports the stages of every training to `progress`.
    #[must_use]
    pub fn progress(mut self, progress: &'a dyn Progress) -> Self {
        self.progress = progress;
        self
    }

    /// Tells of every trial when it is done.
    #[must_use]
    pub fn on_trial(mut self, on_trial: &'a dyn Fn(&Trial)) -> Self {
        self.on_trial = on_trial;
        self
    }

    /// Searches. Every model is trained in memory.
    ///
    /// # Errors
    /// What [`crate::Trainer::fit`] can run into with the parameters of the beginning; data too few to hold some out;
    /// [`XmcError::Metrics`] for a metric that is no mean over instances.
    pub fn run(&self, dataset: &Dataset) -> Result<Tuning, XmcError> {
        self.base.check()?;
        let held_out;
        let (train, valid) = match self.valid {
            Some(valid) => (dataset, valid),
            None => {
                let share = HELD_OUT.min(MOST_HELD_OUT as f64 / dataset.n_samples().max(1) as f64);
                held_out = dataset.split(share, self.base.seed)?;
                (&held_out.0, &held_out.1)
            }
        };
        let mut race = Race::begin(self, train, valid)?;
        loop {
            let mut improved = false;
            for axis in Axis::ALL {
                improved |= race.run(axis)?;
            }
            if !improved || race.is_over() {
                return Ok(race.finish());
            }
        }
    }
}
