//! The loop: steps, reports, and the encoder and head at the end.

use super::adam::{self, Rates};
use super::head::{ActiveRows, Head};
use super::problem::{Epoch, LevelProblem, Step, random_seed};
use super::{LevelHead, LevelParams};
use crate::Pooling;
use crate::batch::Batch;
use crate::network::{Dropout, Network, Products};
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
    /// Instances that there was memory for, once there was too little for a part.
    pub(super) room: Room,
}

/// How much of a step fits into memory.
#[derive(Debug, Default)]
pub(super) struct Room {
    largest: Option<usize>,
    /// A device of this size, in tests.
    #[cfg(test)]
    pretended: Option<usize>,
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
        Ok(Self {
            moments,
            encoder,
            head,
            params,
            step: 0,
            recent: (0.0, 0),
            curve: Vec::new(),
            room: Room::default(),
        })
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
            let point = self.advance(problem, &mut epoch, progress)?;
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
    fn advance(
        &mut self,
        problem: &LevelProblem<'_>,
        epoch: &mut Epoch,
        progress: &dyn Progress,
    ) -> Result<Option<LearningPoint>> {
        self.recent.0 += self.one_step(problem, epoch, progress)?;
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

    /// A step, in smaller parts where the memory of the device does not suffice.
    fn one_step(
        &mut self,
        problem: &LevelProblem<'_>,
        epoch: &mut Epoch,
        progress: &dyn Progress,
    ) -> Result<f64> {
        let _alone = self.prepare();
        let mut params = self.params.clone();
        let (loss, active) = loop {
            params.part_size = [params.part_size, self.room.largest].into_iter().flatten().min();
            let step = problem.step(&params, self.step, epoch);
            let largest = step.parts.iter().map(|(rows, _)| rows.len()).max().unwrap_or(0);
            match self.gradients(problem, &step) {
                Err(error) if error.is_out_of_memory() && largest > 1 => {
                    self.forget_gradients();
                    if self.room.largest.is_none() {
                        let device = self.encoder.device();
                        progress.note(&format!(
                            "{device} has too little memory for {largest} texts at a time: going on with fewer, with the same steps"
                        ));
                    }
                    self.room.largest = Some(largest / 2);
                }
                other => break other?,
            }
        };
        let rates = Rates::new(self.params.learning_rate_at(self.step), self.step);
        tch::no_grad(|| {
            self.head.update(&active, &rates, self.params.max_gradient)?;
            self.update_encoder(&rates)
        })?;
        Ok(loss)
    }

    /// The loss of a step, with its gradients left in the encoder's tensors and in the rows of the head.
    fn gradients(&self, problem: &LevelProblem<'_>, step: &Step) -> Result<(f64, ActiveRows)> {
        let active = self.head.active(&step.clusters)?;
        let network = Network::new(&self.encoder.config, &self.encoder.weights(), self.products())?;
        let n_rows: usize = step.parts.iter().map(|(rows, _)| rows.len()).sum();
        let mut total = 0.0;
        for (rows, targets) in &step.parts {
            #[cfg(test)]
            self.room.check(rows.len())?;
            let batch =
                Batch::new(problem.tokens, rows, self.encoder.config.padding_id, self.encoder.device)?;
            let vectors = network.pooled(&batch, self.pooling(), self.dropout())?;
            let vectors = vectors.f_dropout(self.params.head_dropout, self.params.head_dropout > 0.0)?;
            let share = rows.len() as f64 / n_rows as f64;
            let loss = active.loss(&vectors, targets, self.params.loss)?.f_mul_scalar(share)?;
            loss.f_backward()?;
            total += loss.f_double_value(&[])?;
        }
        Ok((total, active))
    }

    fn forget_gradients(&self) {
        self.encoder.weights().values_mut().for_each(Tensor::zero_grad);
    }

    fn products(&self) -> Products {
        match self.params.bf16.unwrap_or(self.encoder.device.is_cuda()) {
            true => Products::Bf16,
            false => Products::Full,
        }
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

#[cfg(test)]
impl Room {
    fn check(&self, n_rows: usize) -> Result<()> {
        match self.pretended {
            Some(room) if n_rows > room => {
                Err(tch::TchError::Torch("CUDA out of memory. Tried to allocate 2 GiB".to_owned()).into())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::AllClusters;
    use crate::{DeviceChoice, EncoderParams};
    use xmc_sparse::Csr;

    /// Counts what a user is told.
    #[derive(Default)]
    struct Notes(Mutex<Vec<String>>);

    impl Progress for Notes {
        fn note(&self, message: &str) {
            self.0.lock().unwrap().push(message.to_owned());
        }
    }

    /// Three steps on a device with room for `room` texts: the curve, the head and what was said.
    fn run(room: Option<usize>, bf16: bool) -> (Vec<LearningPoint>, LevelHead, Vec<String>) {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/tiny-bert");
        let encoder = Encoder::open(dir, &EncoderParams::default().device(DeviceChoice::Cpu)).unwrap();
        let params = LevelParams {
            n_steps: 3,
            n_warm_up_steps: 0,
            batch_size: 12,
            report_every: 1,
            dropout: false,
            head_dropout: 0.0,
            bf16: Some(bf16),
            ..LevelParams::default()
        };
        let tokens = encoder.tokenize(&(0..24).map(|row| ["water", "music"][row % 2]).collect::<Vec<_>>());
        let positives = Csr::from_rows(2, (0..24).map(|row| [(row % 2, 1.0)])).unwrap();
        let problem = LevelProblem { tokens: &tokens, positives: &positives, candidates: &AllClusters(2) };
        let head = LevelHead::random(2, encoder.n_dims(), 1);
        let mut trainer = LevelTrainer::new(encoder, &head, params).unwrap();
        trainer.room.pretended = room;
        let notes = Notes::default();
        trainer.train(&problem, &notes, |_, _| Ok::<_, TransformerError>(Flow::Continue)).unwrap();
        let curve = trainer.curve().to_vec();
        (curve, trainer.finish().unwrap().1, notes.0.into_inner().unwrap())
    }

    #[test]
    fn a_step_that_does_not_fit_is_done_in_parts_and_said_once() {
        let (curve, head, notes) = run(None, false);
        assert!(notes.is_empty());
        let (in_parts, head_in_parts, notes) = run(Some(4), false);
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(notes[0].contains("cpu") && notes[0].contains("12 texts"), "{notes:?}");
        for (one, other) in curve.iter().zip(&in_parts) {
            assert!((one.loss - other.loss).abs() < 1e-5, "{one:?} {other:?}");
        }
        let far = |(a, b): (&f32, &f32)| (a - b).abs() > 1e-5;
        assert!(!head.weights.iter().zip(&head_in_parts.weights).any(far));
    }

    #[test]
    fn bf16_is_close_to_full_precision_and_is_not_it() {
        let ((full, ..), (half, ..)) = (run(None, false), run(None, true));
        for (full, half) in full.iter().zip(&half) {
            let off = (full.loss - half.loss).abs();
            assert!(off < 0.02 * full.loss && off > 0.0, "{full:?} {half:?}");
        }
        // A step in parts goes back through the same narrow weights several times.
        let in_parts = run(Some(4), true).0;
        assert!((in_parts[2].loss - half[2].loss).abs() < 0.01 * half[2].loss);
    }
}
