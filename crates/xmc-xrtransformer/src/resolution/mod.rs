//! Multi-resolution fine-tuning: an encoder learns the clusters of a label tree, level by level.
//!
//! Zhang, Chang, Yu, Dhillon, *Fast Multi-Resolution Transformer Fine-tuning for Extreme Multi-label Text Classification*, NeurIPS
//! 2021. On each level the encoder and a head of the level's clusters learn together to tell an instance's clusters from those
//! that it could be mistaken for: the ones below its true clusters of the level above (teacher-forced), and those below the ones to which
//! a linear model on text features and embeddings leads it (matcher-aware). The head starts from linear models on the
//! embeddings so far, so that the few steps of a level are not spent on finding it.

mod level;
mod params;
mod run;
mod share;
mod vectors;

pub use params::{Bootstrap, FineTuneParams};

use crate::{Encoder, LearningPoint, LevelHead, TokenRows, TransformerError};
use level::Level;
use run::RunDir;
use serde::{Deserialize, Serialize};
use share::Share;
use std::path::Path;
use vectors::Vectors;
use xmc_sparse::{Csr, Progress};
use xmc_tree::LabelTree;
use xmc_xrlinear::XrLinearParams;

type Result<T> = std::result::Result<T, TransformerError>;

/// Texts with their labels: those that an encoder is fine-tuned on, or that it is scored on.
#[derive(Clone, Copy)]
pub struct Corpus<'a> {
    /// The texts' tokens.
    pub tokens: &'a TokenRows,
    /// Text features of the same texts, for the linear models that lead instances to clusters.
    pub x: &'a Csr,
    /// Labels, `n_samples × n_labels`.
    pub y: &'a Csr,
}

/// What a level came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LevelReport {
    /// Layer of the tree.
    pub layer: usize,
    /// Clusters (or labels) that were told apart.
    pub n_clusters: usize,
    /// Steps that were done.
    pub n_steps: u64,
    /// The learning curve.
    pub curve: Vec<CurvePoint>,
}

/// A point of a level's learning curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// What the training says.
    #[serde(flatten)]
    pub training: LearningPoint,
    /// Precision at 1 of the head among the clusters below those that the level above leads to, in percent of the validation
    /// texts.
    pub valid_p1: Option<f64>,
}

/// Fine-tunes an encoder on a label tree.
pub struct FineTuner<'a> {
    params: FineTuneParams,
    linear: XrLinearParams,
    valid: Option<Corpus<'a>>,
    run_dir: Option<&'a Path>,
    progress: &'a dyn Progress,
}

impl<'a> FineTuner<'a> {
    /// A fine-tuning with these parameters. `linear` are those of the linear models that lead instances to clusters.
    pub fn new(params: FineTuneParams, linear: XrLinearParams, progress: &'a dyn Progress) -> Self {
        Self { params, linear, valid: None, run_dir: None, progress }
    }

    /// Scores the levels on these texts.
    #[must_use]
    pub fn valid(mut self, valid: Option<Corpus<'a>>) -> Self {
        self.valid = valid;
        self
    }

    /// Keeps checkpoints and the learning curve in `dir`, and goes on from what is there.
    #[must_use]
    pub fn run_dir(mut self, dir: Option<&'a Path>) -> Self {
        self.run_dir = dir;
        self
    }

    /// Fine-tunes `encoder` on the levels of `tree`; what it is afterwards, and what each level came to. With a directory of
    /// an earlier run of the same data and parameters, that is what a run without interruption gives.
    ///
    /// # Errors
    /// [`TransformerError::Parameter`], [`TransformerError::OtherRun`] for the directory of another run, and what training,
    /// reading and writing can run into.
    pub fn fit(
        &self,
        encoder: Encoder,
        corpus: Corpus<'_>,
        tree: &LabelTree,
    ) -> Result<(Encoder, Vec<LevelReport>)> {
        self.params.check()?;
        let tells = self.valid.is_some() && self.run_dir.is_some();
        if self.params.patience.is_some() && !tells {
            let expected = "none without validation texts and a directory for the run".to_owned();
            return Err(TransformerError::Parameter {
                name: "patience",
                expected,
                found: "given".to_owned(),
            });
        }
        let run =
            self.run_dir.map(|dir| RunDir::open(dir, &self.identity(&encoder, &corpus, tree))).transpose()?;
        let mut state = State { encoder, head: None, matched: None, vectors: None };
        let mut reports = Vec::new();
        let layers = self.layers(tree);
        let share_of = |number: usize| Share::new(&self.params.of_level(number), corpus);
        let mut next = Some(share_of(0));
        while let Some(share) = next {
            let number = reports.len();
            next = (number + 1 < layers.len()).then(|| share_of(number + 1));
            let layer = layers[number];
            let level = Level::new(self, tree, (number, layer), share.corpus(), next.as_ref())?;
            let report =
                match run.as_ref().map(|run| run.finished(layer, &state.encoder)).transpose()?.flatten() {
                    Some((finished, report)) => {
                        state = finished;
                        report
                    }
                    None => {
                        let (trained, report) = level.train(state, run.as_ref())?;
                        state = trained;
                        if let Some(run) = &run {
                            run.finish(layer, &state, &report)?;
                        }
                        report
                    }
                };
            reports.push(report);
            if let Some(run) = &run {
                run.write_curve(&reports)?;
            }
        }
        Ok((state.encoder, reports))
    }

    /// The layers that are trained on, from the root down; the first one always.
    fn layers(&self, tree: &LabelTree) -> Vec<usize> {
        let fits =
            |&layer: &usize| layer == 0 || tree.layers()[layer].n_children() <= self.params.max_clusters;
        let mut layers: Vec<usize> = (0..tree.depth()).take_while(fits).collect();
        if self.params.last_level_only {
            layers.drain(..layers.len() - 1);
        }
        layers
    }

    /// What tells a run from others: everything that its result depends on.
    fn identity(&self, encoder: &Encoder, corpus: &Corpus<'_>, tree: &LabelTree) -> run::Identity {
        run::Identity::of(&self.params, &self.linear, encoder.fingerprint(), corpus, tree)
    }
}

/// What a level hands to the next.
struct State {
    encoder: Encoder,
    /// The head of the level before.
    head: Option<LevelHead>,
    matched: Option<Matched>,
    /// Vectors of the texts that the next level is trained on, when they were wanted already.
    vectors: Option<Vectors>,
}

/// The clusters of the level before to which texts were led, `n_samples × n_clusters`.
struct Matched {
    /// The texts that the next level is trained on.
    corpus: Csr,
    valid: Option<Csr>,
}
