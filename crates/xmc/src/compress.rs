//! A finished model with fewer bits and fewer weights, without any training.

use crate::labels::Labels;
use crate::stages::Stages;
use crate::trainer::matcher_prefix;
use crate::{Meta, Model, XmcError};
use std::path::Path;
use xmc_sparse::{NoProgress, Progress};
use xmc_store::ModelWriter;
use xmc_xrlinear::{Compression, WeightType, XrLinear};

/// Makes a smaller model of a trained one.
///
/// Values of fewer bits are those that a training with [`crate::XrLinearParams::weights`] would have written, to the byte; weights below a
/// threshold are left out as [`crate::SvmParams::threshold`] would have left them out.
///
/// ```
/// # use xmc::*;
/// # let texts = (0..400).map(|n| (["pie", "phone", "oak", "sail"][n % 4], vec![["food", "tool", "wood", "sea"][n % 4]]));
/// # let model = Model::train(&Dataset::from_examples(texts), TrainParams::default())?;
/// let small = Compressor::new(&model).weights(WeightType::Int8).fit()?;
/// assert!(small.container().manifest().total_bytes() < model.container().manifest().total_bytes());
/// assert_eq!(small.predict("oak")?[0].name, "wood");
/// # Ok::<(), XmcError>(())
/// ```
pub struct Compressor<'a> {
    model: &'a Model,
    compression: Compression,
    model_bytes: Option<u64>,
    progress: &'a dyn Progress,
    timestamps: bool,
}

/// Halvings of the range of thresholds: each takes a pass over the weights.
const HALVINGS: u64 = 14;
/// A threshold is good enough when it leaves less than this share of the budget unused.
const SLACK: f64 = 0.005;

impl<'a> Compressor<'a> {
    /// `model` as it is, unless told otherwise.
    pub fn new(model: &'a Model) -> Self {
        let compression = Compression { weights: None, threshold: 0.0 };
        Self { model, compression, model_bytes: None, progress: &NoProgress, timestamps: true }
    }

    /// Sets the type of the weights.
    #[must_use]
    pub fn weights(mut self, weights: impl Into<Option<WeightType>>) -> Self {
        self.compression.weights = weights.into();
        self
    }

    /// Leaves out weights that are smaller. At least 0, default 0.
    #[must_use]
    pub fn threshold(mut self, threshold: f32) -> Self {
        self.compression.threshold = threshold;
        self
    }

    /// Leaves out the smallest weights until the model, all sections together, takes at most so many bytes.
    #[must_use]
    pub fn model_bytes(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.model_bytes = bytes.into();
        self
    }

    /// Reports the stages to `progress`.
    #[must_use]
    pub fn progress(mut self, progress: &'a dyn Progress) -> Self {
        self.progress = progress;
        self
    }

    /// As [`crate::Trainer::timestamps`].
    #[must_use]
    pub fn timestamps(mut self, timestamps: bool) -> Self {
        self.timestamps = timestamps;
        self
    }

    /// Makes the model in memory.
    ///
    /// # Errors
    /// [`XmcError::Param`] for a threshold below 0, [`XmcError::ModelBytes`] for a budget that the rest of the model does not fit,
    /// [`XmcError::XrLinear`] for damaged weights.
    pub fn fit(self) -> Result<Model, XmcError> {
        self.check()?;
        self.fit_into(ModelWriter::in_memory())
    }

    /// Makes the model in the directory `dir`, which appears (or replaces the model that was there, be it the one
    /// that this is made from) when all is done.
    ///
    /// # Errors
    /// As [`Compressor::fit`], and what writing can run into.
    pub fn fit_to(self, dir: impl AsRef<Path>) -> Result<Model, XmcError> {
        self.check()?;
        let writer = ModelWriter::create(dir)?;
        self.fit_into(writer)
    }

    fn check(&self) -> Result<(), XmcError> {
        let found = self.compression.threshold;
        match found.is_finite() && found >= 0.0 {
            true => Ok(()),
            false => Err(XmcError::Param { name: "threshold", expected: "0 or a number above it", found }),
        }
    }

    fn fit_into(&self, writer: ModelWriter) -> Result<Model, XmcError> {
        let (stages, old) = (Stages::new(self.progress), self.model.meta());
        let compression = stages.time("threshold", |progress| self.fitting(progress))?;
        if let Some(tfidf) = self.model.tfidf() {
            tfidf.save(&writer, "tfidf")?;
        }
        if let Some(encoder) = self.model.encoder() {
            encoder.save(&writer)?;
        }
        Labels::write(&writer, &self.model.label_map(), self.model.label_counts())?;
        let mut meta =
            Meta { n_weights: 0, valid: None, compressed_below: Some(compression.threshold), ..old.clone() };
        if let Some(weights) = compression.weights {
            meta.params.linear.weights = weights;
        }
        for (number, matcher) in self.model.matchers().iter().enumerate() {
            let write = |progress: &dyn Progress| {
                matcher.compress(&compression, &writer, &matcher_prefix(number), progress)
            };
            meta.n_weights += stages.time("compress", write)?;
        }
        meta.set_times(self.timestamps, &stages);
        Model::with_encoder(writer.commit(&meta)?, self.model.encoder().cloned())
    }

    /// The compression whose model is as large as it may be.
    fn fitting(&self, progress: &dyn Progress) -> Result<Compression, XmcError> {
        let Some(budget) = self.model_bytes else { return Ok(self.compression) };
        let matchers = self.model.matchers();
        let weights = matchers.iter().map(XrLinear::n_bytes).sum::<usize>() as u64;
        let rest = self.model.container().manifest().total_bytes() - weights;
        let bytes = |threshold| -> Result<u64, XmcError> {
            let compression = Compression { threshold, ..self.compression };
            let of_matcher = |matcher: &XrLinear| Ok(matcher.compressed_bytes(&compression)?);
            Ok(rest + matchers.iter().map(of_matcher).sum::<Result<u64, XmcError>>()?)
        };
        let mut low = self.compression.threshold;
        if bytes(low)? <= budget {
            return Ok(self.compression);
        }
        let largest = |most: f32, matcher: &XrLinear| Ok::<_, XmcError>(most.max(matcher.largest_weight()?));
        let mut high = matchers.iter().try_fold(0.0, largest)?.max(low);
        let least = bytes(high)?;
        if least > budget {
            return Err(XmcError::ModelBytes { budget, least });
        }
        progress.begin("find threshold", Some(HALVINGS), "passes");
        for _ in 0..HALVINGS {
            // Halved by ratio: most weights are small.
            let middle = (low.max(high * 1e-6) * high).sqrt();
            let found = bytes(middle)?;
            progress.advance(1);
            if found <= budget {
                high = middle;
                if found as f64 > budget as f64 * (1.0 - SLACK) {
                    break;
                }
            } else {
                low = middle;
            }
        }
        progress.end();
        Ok(Compression { threshold: high, ..self.compression })
    }
}
