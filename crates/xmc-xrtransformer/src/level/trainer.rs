//! The loop: steps, reports, and the encoder and head at the end.

use super::adam::{self, Rates};
use super::head::Head;
use super::problem::{Epoch, LevelProblem, random_seed};
use super::{LevelHead, LevelParams};
use crate::Pooling;
use crate::batch::Batch;
use crate::network::{Dropout, Network};
use crate::{Encoder, TransformerError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tch::{Device, Tensor};
use xmc_sparse::Progress;

type Result<T> = std::result::Result<T, TransformerError>;

/// Trains an encoder and a head on one level.
///
/// The same seed, device and number of threads give the same result, whether a training is interrupted and resumed or not.
pub struct LevelTrainer {
    pub(super) encoder: Encoder,
    pub(super) head: Head,
    pub(super) params: LevelParams,
    /// Means of gradients and of their squares, of each of the encoder's tensors.
    pub(super) moments: BTreeMap<String, [Tensor; 2]>,
    /// Steps that are done.
    pub(super) step: u64,
    /// Sum of the losses since the last report, and their number.
    pub(super) recent: (f64, u64),
    pub(super) curve: Vec<LearningPoint>,
}

/// A point of the learning curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LearningPoint {
    /// Steps that are done.
    pub step: u64,
    /// Mean loss of the steps since the last point.
    pub loss: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
}

/// Whether a training goes on after a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// It does.
    Continue,
    /// It ends here: nothing is gained any more, or somebody interrupts it.
    Stop,
}

impl LevelTrainer {
    /// A training of `encoder`, beginning with `head`.
    ///
    /// # Errors
    /// [`TransformerError::Parameter`], also for a head of another width than the encoder's; [`TransformerError::Torch`].
    pub fn new(encoder: Encoder, head: &LevelHead, params: LevelParams) -> Result<Self> {
        params.check()?;
        let (expected, found) = (encoder.n_dims(), head.n_dims);
        if expected != found || head.weights.len() != head.n_clusters() * found || head.biases.is_empty() {
            let expected =
                format!("one row and one bias for each cluster, {expected} wide as the encoder's vectors");
            let found =
                format!("{found} wide, with {} weights and {} biases", head.weights.len(), head.biases.len());
            return Err(TransformerError::Parameter { name: "head", expected, found });
        }
        let head = Head::new(head, encoder.device)?;
        let moments = encoder.begin_training()?;
        Ok(Self { moments, encoder, head, params, step: 0, recent: (0.0, 0), curve: Vec::new() })
    }

    /// The parameters.
    pub fn params(&self) -> &LevelParams {
        &self.params
    }

    /// Steps that are done.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The points so far.
    pub fn curve(&self) -> &[LearningPoint] {
        &self.curve
    }

    /// The encoder as it is, for validation. Its fingerprint is still that of before the training.
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// The head as it is.
    ///
    /// # Errors
    /// [`TransformerError::Torch`].
    pub fn head(&self) -> Result<LevelHead> {
        self.head.to_plain()
    }

    /// Trains until all steps are done or `report` ends it, which is called every `report_every` steps and after the last: the
    /// place to validate, to save a checkpoint, and to stop early. Reports steps.
    ///
    /// # Errors
    /// [`TransformerError::Parameter`] for a problem whose parts do not fit; [`TransformerError::Torch`]; what `report` gives.
    pub fn train<E: From<TransformerError>>(
        &mut self,
        problem: &LevelProblem<'_>,
        progress: &dyn Progress,
        mut report: impl FnMut(&Self, &LearningPoint) -> std::result::Result<Flow, E>,
    ) -> std::result::Result<(), E> {
        problem.check(self.head.n_clusters())?;
        let left = self.params.n_steps.saturating_sub(self.step);
        progress.begin("fine-tune", Some(left), "steps");
        let mut epoch = Epoch::default();
        while self.step < self.params.n_steps {
            let point = self.advance(problem, &mut epoch)?;
            progress.advance(1);
            if let Some(point) = point
                && report(self, &point)? == Flow::Stop
            {
                break;
            }
        }
        progress.end();
        Ok(())
    }

    /// One step, and a point of the curve where one is due.
    fn advance(&mut self, problem: &LevelProblem<'_>, epoch: &mut Epoch) -> Result<Option<LearningPoint>> {
        self.recent.0 += self.one_step(problem, epoch)?;
        self.recent.1 += 1;
        self.step += 1;
        if !self.step.is_multiple_of(self.params.report_every) && self.step != self.params.n_steps {
            return Ok(None);
        }
        let (sum, count) = std::mem::take(&mut self.recent);
        let learning_rate = self.params.learning_rate_at(self.step - 1);
        let point = LearningPoint { step: self.step, loss: sum / count as f64, learning_rate };
        self.curve.push(point);
        Ok(Some(point))
    }

    fn one_step(&mut self, problem: &LevelProblem<'_>, epoch: &mut Epoch) -> Result<f64> {
        let step = problem.step(&self.params, self.step, epoch);
        let _alone = self.prepare();
        let active = self.head.active(&step.clusters)?;
        let network = Network::new(&self.encoder.config, &self.encoder.weights());
        let n_rows: usize = step.parts.iter().map(|(rows, _)| rows.len()).sum();
        let mut total = 0.0;
        for (rows, targets) in &step.parts {
            let batch =
                Batch::new(problem.tokens, rows, self.encoder.config.padding_id, self.encoder.device)?;
            let vectors = network.pooled(&batch, self.pooling(), self.dropout())?;
            let vectors = vectors.f_dropout(self.params.head_dropout, self.params.head_dropout > 0.0)?;
            let share = rows.len() as f64 / n_rows as f64;
            let loss = active.loss(&vectors, targets, self.params.loss)?.f_mul_scalar(share)?;
            loss.f_backward()?;
            total += loss.f_double_value(&[])?;
        }
        let rates = Rates::new(self.params.learning_rate_at(self.step), self.step);
        tch::no_grad(|| {
            self.head.update(&active, &rates, self.params.max_gradient)?;
            self.update_encoder(&rates)
        })?;
        Ok(total)
    }

    /// Whatever is random in a step depends on its number, so that a training can go on from any. libtorch has one source of
    /// random numbers for all threads: as long as the guard lives, no other training draws from it.
    fn prepare(&self) -> MutexGuard<'static, ()> {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        if self.encoder.device == Device::Cpu {
            tch::set_num_threads(i32::try_from(rayon::current_num_threads()).unwrap_or(i32::MAX));
        }
        tch::manual_seed(random_seed(self.params.seed, 3, self.step).cast_signed());
        alone
    }

    fn pooling(&self) -> Pooling {
        self.encoder.params().pooling
    }

    fn dropout(&self) -> Dropout {
        if self.params.dropout { Dropout::of(&self.encoder.config) } else { Dropout::NONE }
    }

    fn update_encoder(&mut self, rates: &Rates) -> Result<()> {
        let mut weights = self.encoder.weights();
        let gradients: BTreeMap<_, _> = weights
            .iter()
            .map(|(name, tensor)| (name.clone(), tensor.grad()))
            // A table of token types has no gradient where its rows are not used.
            .filter(|(_, gradient)| gradient.defined())
            .collect();
        let scale = adam::clip(gradients.values(), self.params.max_gradient)?;
        for (name, tensor) in weights.iter_mut() {
            let (Some(gradient), Some(moments)) = (gradients.get(name), self.moments.get_mut(name)) else {
                continue;
            };
            let gradient = gradient.f_mul_scalar(scale)?;
            let is_matrix = tensor.dim() > 1;
            let decay = if is_matrix { self.params.weight_decay } else { 0.0 };
            adam::step(tensor, &gradient, moments, rates, decay)?;
            tensor.zero_grad();
        }
        Ok(())
    }

    /// The trained encoder and head.
    ///
    /// # Errors
    /// [`TransformerError::Torch`].
    pub fn finish(self) -> Result<(Encoder, LevelHead)> {
        let head = self.head.to_plain()?;
        Ok((self.encoder.trained()?, head))
    }
}
