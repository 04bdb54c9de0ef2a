//! The search itself: races between the values of an option.

use super::axis::{Axis, Value};
use super::{Trial, Tuner, Tuning};
use crate::{Scope, TrainParams, Trainer, XmcError};
use rand::{SeedableRng, seq::SliceRandom};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::borrow::Cow;
use std::time::Instant;
use xmc_data::Dataset;
use xmc_metrics::Evaluator;

/// How many times larger the next part of the data is.
const STEP: usize = 3;
/// Fewest records of a part: with fewer, what is best says little about the whole.
const FEWEST: usize = 3_000;
/// Parts at most.
const PARTS: usize = 3;
/// Values that go on to a larger part.
const SURVIVORS: usize = 2;
/// Trainings that the budget must have room for on the largest part that is used at all.
const ON_LARGEST: f64 = 8.0;

/// A model on one part of the data.
#[derive(Clone)]
struct Measured {
    /// The metric of each validation record, 0 to 1.
    scores: Vec<f64>,
    seconds: f64,
    model_bytes: u64,
}

/// Parameters, with what they came to on the parts that they were trained on.
struct Contender {
    change: String,
    params: TrainParams,
    measured: Vec<Option<Measured>>,
}

impl Contender {
    fn new(value: Value, n_parts: usize) -> Self {
        Self { change: value.change, params: value.params, measured: vec![None; n_parts] }
    }

    fn on(&self, part: usize) -> &Measured {
        self.measured[part].as_ref().expect("invariant: trained on the part before it is compared there")
    }
}

pub(super) struct Race<'a> {
    tuner: &'a Tuner<'a>,
    /// Nested, the smallest first.
    parts: Vec<Cow<'a, Dataset>>,
    valid: &'a Dataset,
    start: Instant,
    best: Contender,
    /// The parameters of the beginning on the largest part.
    baseline: Option<Measured>,
    /// The option typed for each axis that was changed.
    chosen: Vec<(Axis, String)>,
    tried: Vec<TrainParams>,
    trials: Vec<Trial>,
    over: bool,
}

impl<'a> Race<'a> {
    /// Trains the parameters of the beginning, on as many parts as the budget can afford several times.
    pub(super) fn begin(
        tuner: &'a Tuner<'a>,
        train: &'a Dataset,
        valid: &'a Dataset,
    ) -> Result<Self, XmcError> {
        let parts = nested_parts(train, tuner.base.seed);
        let base = Value { change: String::new(), params: tuner.base.clone() };
        let mut race = Self {
            tuner,
            best: Contender::new(base, parts.len()),
            parts,
            valid,
            start: Instant::now(),
            baseline: None,
            chosen: Vec::new(),
            tried: vec![tuner.base.clone()],
            trials: Vec::new(),
            over: false,
        };
        race.measure_best(0)?;
        if let Some(budget) = tuner.budget {
            let affordable = budget.as_secs_f64() / ON_LARGEST;
            let (first, seconds) = (race.parts[0].n_samples() as f64, race.best.on(0).seconds);
            let fits = |part: &Cow<'_, Dataset>| seconds * part.n_samples() as f64 / first <= affordable;
            let n_parts = race.parts.iter().take_while(|part| fits(part)).count().max(1);
            race.parts.truncate(n_parts);
            race.best.measured.truncate(n_parts);
        }
        race.measure_best(race.last())?;
        race.baseline = race.best.measured[race.last()].clone();
        Ok(race)
    }

    /// Whether the budget is used up.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Lets the values of `axis` race; whether one was better than the best so far.
    pub(super) fn run(&mut self, axis: Axis) -> Result<bool, XmcError> {
        let mut values =
            axis.values(&self.best.params, self.parts[0].has_texts(), self.tuner.encoder.is_some());
        values.retain(|value| !self.tried.contains(&value.params));
        self.tried.extend(values.iter().map(|value| value.params.clone()));
        let mut running: Vec<Contender> =
            values.into_iter().map(|value| Contender::new(value, self.parts.len())).collect();
        for part in 0..=self.last() {
            running = self.heat(running, part)?;
        }
        // The largest part decides. Its best is the first.
        let Some(winner) = running.into_iter().next() else { return Ok(false) };
        self.chosen.retain(|(of, _)| *of != axis);
        self.chosen.push((axis, winner.change.clone()));
        self.best = Contender { change: String::new(), ..winner };
        Ok(true)
    }

    /// Trains `running` on a part; those that go on, the best first.
    fn heat(&mut self, running: Vec<Contender>, part: usize) -> Result<Vec<Contender>, XmcError> {
        if running.is_empty() || !self.measure_best(part)? {
            return Ok(Vec::new());
        }
        let mut passed = Vec::new();
        for mut contender in running {
            if !self.has_room(&contender, part) {
                self.over = true;
                continue;
            }
            let measured = self.train(&contender.params, part)?;
            let (gain, std_error) = compare(&measured.scores, &self.best.on(part).scores);
            self.note(&contender.change, part, &measured, (gain, std_error));
            contender.measured[part] = Some(measured);
            let needed = if part == self.last() { std_error } else { -std_error };
            if gain > needed {
                passed.push((gain, contender));
            }
        }
        passed.sort_by(|(left, _), (right, _)| right.total_cmp(left));
        passed.truncate(SURVIVORS);
        Ok(passed.into_iter().map(|(_, contender)| contender).collect())
    }

    /// Trains the best so far on a part where it was not; whether there was time for it. The first training of all is
    /// made whatever the budget.
    fn measure_best(&mut self, part: usize) -> Result<bool, XmcError> {
        if self.best.measured[part].is_some() {
            return Ok(true);
        }
        if !self.trials.is_empty() && !self.has_room(&self.best, part) {
            self.over = true;
            return Ok(false);
        }
        let measured = self.train(&self.best.params, part)?;
        self.note("", part, &measured, (0.0, 0.0));
        self.best.measured[part] = Some(measured);
        Ok(true)
    }

    /// Whether a training can be over within the budget, by its own time on a smaller part, else by that of the best
    /// so far.
    fn has_room(&self, contender: &Contender, part: usize) -> bool {
        let per_record = |of: &Contender| {
            let known = of.measured.iter().zip(&self.parts).rev();
            let mut times =
                known.filter_map(|(of, part)| Some(of.as_ref()?.seconds / part.n_samples() as f64));
            times.next()
        };
        let per_record = per_record(contender).or_else(|| per_record(&self.best)).unwrap_or(0.0);
        let end = self.start.elapsed().as_secs_f64() + per_record * self.parts[part].n_samples() as f64;
        let in_time = self.tuner.budget.is_none_or(|budget| end <= budget.as_secs_f64());
        let in_number = self.tuner.max_trials.is_none_or(|most| self.trials.len() < most);
        in_time && in_number
    }

    fn train(&self, params: &TrainParams, part: usize) -> Result<Measured, XmcError> {
        let (start, (metric, k)) = (Instant::now(), self.tuner.metric);
        let mut trainer = Trainer::new(params.clone()).progress(self.tuner.progress);
        if let Some(known) = self.tuner.label_names {
            trainer = trainer.label_names(known);
        }
        if let Some(encoder) = self.tuner.encoder {
            trainer = trainer.encoder(encoder);
        }
        let model = trainer.fit(&self.parts[part])?;
        let x = model.features(self.valid, self.tuner.progress)?;
        let search = model.search().top_k(k);
        let (ranked, _) = model.rank_counted(&x, &search, &Scope::all(), self.tuner.progress)?;
        let scores = Evaluator::per_instance(metric, k, &self.valid.labels, &ranked)?;
        let model_bytes = model.container().manifest().total_bytes();
        Ok(Measured { scores, seconds: start.elapsed().as_secs_f64(), model_bytes })
    }

    fn note(&mut self, change: &str, part: usize, measured: &Measured, (gain, std_error): (f64, f64)) {
        let trial = Trial {
            change: change.to_owned(),
            n_samples: self.parts[part].n_samples(),
            score: 100.0 * mean(&measured.scores),
            gain: 100.0 * gain,
            std_error: 100.0 * std_error,
            seconds: measured.seconds,
            model_bytes: measured.model_bytes,
        };
        (self.tuner.on_trial)(&trial);
        self.trials.push(trial);
    }

    /// The number of the largest part.
    fn last(&self) -> usize {
        self.parts.len() - 1
    }

    pub(super) fn finish(self) -> Tuning {
        let (metric, k) = self.tuner.metric;
        // Without the largest part nothing can have been adopted, and the beginning is compared with itself.
        let at = self.best.measured.iter().rposition(Option::is_some).unwrap_or(0);
        let score = 100.0 * mean(&self.best.on(at).scores);
        Tuning {
            options: self.chosen.iter().map(|(_, change)| change.clone()).collect(),
            metric: format!("{}@{k}", metric.key()),
            baseline: self.baseline.map_or(score, |baseline| 100.0 * mean(&baseline.scores)),
            score,
            n_samples: self.parts[at].n_samples(),
            n_valid: self.valid.n_samples(),
            trials: self.trials,
            cut_short: self.over,
            params: self.best.params,
        }
    }
}

/// The data and random parts of them, each within the next, the smallest first.
fn nested_parts(train: &Dataset, seed: u64) -> Vec<Cow<'_, Dataset>> {
    let mut order: Vec<usize> = (0..train.n_samples()).collect();
    order.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(seed));
    let mut parts = vec![Cow::Borrowed(train)];
    let mut size = train.n_samples() / STEP;
    while size >= FEWEST && parts.len() < PARTS {
        let mut rows = order[..size].to_vec();
        rows.sort_unstable();
        parts.push(Cow::Owned(train.select(&rows)));
        size /= STEP;
    }
    parts.reverse();
    parts
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The mean of `left - right` and its standard error.
fn compare(left: &[f64], right: &[f64]) -> (f64, f64) {
    let differences: Vec<f64> = left.iter().zip(right).map(|(left, right)| left - right).collect();
    let (n, mean) = (differences.len() as f64, mean(&differences));
    let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    (mean, (variance / n.max(1.0)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_as_sure_as_it_is_steady() {
        let right = [0.0, 1.0, 0.0, 1.0];
        assert_eq!(compare(&[0.5, 1.5, 0.5, 1.5], &right), (0.5, 0.0));
        let (mean, error) = compare(&[1.0, 1.0, 1.0, 1.0], &right);
        assert_eq!((mean, (error * error * 12.0).round()), (0.5, 1.0));
    }

    #[test]
    fn parts_are_nested_and_the_last_is_all() {
        let data = Dataset::from_examples((0..40_000).map(|n| (format!("{n}"), ["a"])));
        let parts = nested_parts(&data, 0);
        assert_eq!(parts.iter().map(|part| part.n_samples()).collect::<Vec<_>>(), [4_444, 13_333, 40_000]);
        let texts = |part: &Dataset| match &part.input {
            xmc_data::Input::Text(texts) => {
                texts.iter().map(str::to_owned).collect::<std::collections::HashSet<_>>()
            }
            xmc_data::Input::Features(_) => unreachable!("the data are texts"),
        };
        assert!(texts(&parts[0]).is_subset(&texts(&parts[1])));
    }
}
