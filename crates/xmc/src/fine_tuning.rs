//! Fine-tuning a transformer on the training data, before it embeds them.

use crate::encoder::{Encoder, transformer_params};
use crate::stages::Stages;
use crate::{TrainParams, XmcError};
use serde_json::{Value, json};
use std::path::PathBuf;
use xmc_data::{Dataset, Input};
use xmc_embed::DeviceChoice;
use xmc_sparse::{Csr, Features, LabelId};
use xmc_tfidf::{Documents, TfIdf, TfIdfParams};
use xmc_tree::{LabelFeatures, TreeParams};
use xmc_xrtransformer::{Corpus, FineTuneParams, FineTuner, LevelReport, ScratchParams, TokenRows};

/// A transformer that is to be fine-tuned ([`crate::Trainer::fine_tune`]), and how.
#[derive(Debug, Clone)]
pub struct FineTuning {
    /// Where it is: a directory as Hugging Face has them. Default none: a small one with random weights and a vocabulary of the
    /// training texts.
    pub encoder: Option<PathBuf>,
    /// Sizes of that one. Default: 128 numbers, 2 layers.
    pub scratch: ScratchParams,
    /// Where it is trained. Default `auto`.
    pub device: DeviceChoice,
    /// Steps, heads, negatives.
    pub params: FineTuneParams,
    /// The tree whose levels it is trained on, grown from text features. Default: 16 children, at most 128 clusters on the first level, 16 labels
    /// in a leaf.
    pub tree: TreeParams,
    /// Where checkpoints and the learning curve are kept, and a run that was interrupted is gone on with.
    pub run_dir: Option<PathBuf>,
    /// Where the embeddings that the finished encoder makes are kept ([`Encoder::cached_in`]).
    pub embedding_cache: Option<PathBuf>,
}

impl Default for FineTuning {
    fn default() -> Self {
        Self {
            encoder: None,
            scratch: ScratchParams::default(),
            device: DeviceChoice::default(),
            params: FineTuneParams::default(),
            tree: TreeParams::default().min_codes(128).max_leaf(16),
            run_dir: None,
            embedding_cache: None,
        }
    }
}

impl FineTuning {
    /// The transformer in `encoder`, with all parameters at their defaults.
    pub fn new(encoder: impl Into<PathBuf>) -> Self {
        Self { encoder: Some(encoder.into()), ..Self::default() }
    }

    /// Fine-tunes on `texts` with their sparse features `x` and labels `y`, and scores the levels on `valid`. With a record of how
    /// it was done.
    pub(crate) fn run<D: Documents + ?Sized>(
        &self,
        params: &TrainParams,
        (texts, x, y): (&D, &Csr, &Csr),
        (tfidf, valid): (Option<&TfIdf>, Option<&Dataset>),
        stages: &Stages<'_>,
    ) -> Result<(Encoder, Value), XmcError> {
        let all: Vec<&str> = (0..texts.len()).map(|text| texts.get(text)).collect();
        let encoder = self.begin(params, &all)?;
        // Without text features in the model, there are some that only grow the tree and lead instances down it.
        let (passing_tfidf, passing_x);
        let (tfidf, x) = match tfidf {
            Some(tfidf) => (tfidf, x),
            None => {
                passing_tfidf = TfIdfParams::default().check()?.fit(texts)?;
                passing_x = passing_tfidf.transform(texts);
                (&passing_tfidf, &passing_x)
            }
        };
        let z = LabelFeatures::Pifa.compute(&Features::from_sparse(x.clone()), y)?;
        let tree =
            TreeParams { seed: params.seed, ..self.tree.clone() }.check()?.fit_with_progress(&z, stages)?;
        drop(z);
        let tokens = encoder.tokenize(&all);
        let valid = valid.map(|valid| Valid::new(valid, tfidf, &encoder, y.n_cols())).transpose()?.flatten();
        let mut fine_tune = self.params.clone();
        fine_tune.level.seed = params.seed;
        let tuner = FineTuner::new(fine_tune, params.linear.clone(), stages)
            .valid(valid.as_ref().map(Valid::corpus))
            .run_dir(self.run_dir.as_deref());
        let (encoder, levels) = tuner.fit(encoder, Corpus { tokens: &tokens, x, y }, &tree)?;
        let level = |report: &LevelReport| {
            let last = report.curve.last();
            json!({
                "layer": report.layer,
                "n_clusters": report.n_clusters,
                "n_steps": report.n_steps,
                "loss": last.map(|point| point.training.loss),
                "valid_p1": last.and_then(|point| point.valid_p1),
            })
        };
        let levels: Vec<Value> = levels.iter().map(level).collect();
        let scratch = self.encoder.is_none().then_some(&self.scratch);
        let (mode, tree) = ("fine-tune", &self.tree);
        let made =
            json!({"mode": mode, "params": self.params, "tree": tree, "scratch": scratch, "levels": levels});
        let encoder = Encoder::from(encoder);
        Ok(match &self.embedding_cache {
            Some(dir) => (encoder.cached_in(dir), made),
            None => (encoder, made),
        })
    }

    /// The encoder before any training.
    fn begin(&self, params: &TrainParams, texts: &[&str]) -> Result<xmc_xrtransformer::Encoder, XmcError> {
        let how = transformer_params(&params.encoding, self.device);
        Ok(match &self.encoder {
            Some(dir) => xmc_xrtransformer::Encoder::open(dir, &how)?,
            None => {
                let mut scratch = self.scratch;
                scratch.seed = params.seed;
                xmc_xrtransformer::Encoder::from_scratch(texts, &scratch, &how)?
            }
        })
    }
}

/// Validation texts as the fine-tuning sees them.
struct Valid {
    tokens: TokenRows,
    x: Csr,
    y: Csr,
}

impl Valid {
    /// Nothing for data that are features.
    fn new(
        dataset: &Dataset,
        tfidf: &TfIdf,
        encoder: &xmc_xrtransformer::Encoder,
        n_labels: usize,
    ) -> Result<Option<Self>, XmcError> {
        let Input::Text(texts) = &dataset.input else { return Ok(None) };
        let texts: Vec<&str> = texts.iter().collect();
        // Labels that the training data do not have count as missed.
        let known = |(label, _): &(LabelId, f32)| (*label as usize) < n_labels;
        let y = Csr::from_rows(n_labels, dataset.labels.rows().map(|row| row.iter().filter(known)))?;
        Ok(Some(Self { tokens: encoder.tokenize(&texts), x: tfidf.transform(&texts), y }))
    }

    fn corpus(&self) -> Corpus<'_> {
        Corpus { tokens: &self.tokens, x: &self.x, y: &self.y }
    }
}
