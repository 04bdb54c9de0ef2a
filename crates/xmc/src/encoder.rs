//! The encoder of a model: texts to dense features, beside those of TF-IDF.

use crate::stages::Stages;
use crate::{Meta, TrainParams, XmcError};
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
#[cfg(feature = "transformer")]
use std::sync::Arc;
use xmc_data::Dataset;
use xmc_embed::{
    DeviceChoice, Distilled, Pooling, StaticParams, StaticTable, StaticValidParams, TableScratch,
    TextEncoder, embed,
};
use xmc_sparse::{Csr, Progress};
use xmc_store::{Container, ModelWriter};
use xmc_tfidf::{Documents, TfIdf};
#[cfg(feature = "transformer")]
use xmc_xrtransformer as transformer;

/// Where the encoder lies in a model.
const PREFIX: &str = "encoder";

/// How texts become dense features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EncodingParams {
    /// Length of an embedding; a row of TF-IDF has length 1. Finite and more than 0; default none:
    /// [`EncoderKind::scale`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<f32>,
    /// Tokens of a text that a transformer looks at, at least 3; the rest is cut off. Default 128.
    pub max_length: usize,
    /// How a transformer's token vectors become one. Default `auto`.
    pub pooling: Pooling,
}

impl Default for EncodingParams {
    fn default() -> Self {
        Self { scale: None, max_length: 128, pooling: Pooling::Auto }
    }
}

impl EncodingParams {
    /// Checks every parameter.
    ///
    /// # Errors
    /// [`XmcError::Param`].
    pub fn check(&self) -> Result<(), XmcError> {
        let rule = |ok, name, expected, found| match ok {
            true => Ok(()),
            false => Err(XmcError::Param { name, expected, found }),
        };
        let scale = self.scale.unwrap_or(1.0);
        rule(scale.is_finite() && scale > 0.0, "encoding.scale", "a finite number above 0", scale)?;
        rule(self.max_length >= 3, "encoding.max_length", "at least 3 tokens", self.max_length as f32)
    }
}

/// What an encoder is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EncoderKind {
    /// A table of token vectors.
    Static,
    /// A transformer.
    Transformer,
}

impl EncoderKind {
    /// Length of an embedding unless told otherwise, the best of six on held-out titles: 0.7 for a transformer, 0.5 for a
    /// table.
    pub fn scale(self) -> f32 {
        match self {
            Self::Static => 0.5,
            Self::Transformer => 0.7,
        }
    }
}

/// Turns texts into the dense features of a model. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Encoder {
    engine: Engine,
    cache: Option<PathBuf>,
}

#[derive(Debug, Clone)]
enum Engine {
    Static(StaticTable),
    #[cfg(feature = "transformer")]
    Transformer(Arc<transformer::Encoder>),
}

impl From<StaticTable> for Encoder {
    fn from(table: StaticTable) -> Self {
        Self { engine: Engine::Static(table), cache: None }
    }
}

#[cfg(feature = "transformer")]
impl From<transformer::Encoder> for Encoder {
    fn from(encoder: transformer::Encoder) -> Self {
        Self { engine: Engine::Transformer(Arc::new(encoder)), cache: None }
    }
}

impl Encoder {
    /// Opens the encoder in `dir`: a table that `xmc distill` made, a transformer as Hugging Face keeps them (`config.json`,
    /// `model.safetensors`, a vocabulary), or a model that has an encoder.
    ///
    /// # Errors
    /// [`XmcError::NoEncoder`] when there is neither, [`XmcError::NoTransformer`] in a build without transformers, and what
    /// is wrong with the files.
    pub fn open(dir: impl AsRef<Path>, params: &EncodingParams) -> Result<Self, XmcError> {
        Self::open_on(dir, params, DeviceChoice::Auto)
    }

    /// As [`Encoder::open`], on a device. A table runs on the processor always.
    ///
    /// # Errors
    /// As [`Encoder::open`], and `XmcError::Transformer` when the device is not there.
    #[cfg_attr(not(feature = "transformer"), allow(unused_variables))]
    pub fn open_on(
        dir: impl AsRef<Path>,
        params: &EncodingParams,
        device: DeviceChoice,
    ) -> Result<Self, XmcError> {
        params.check()?;
        let dir = dir.as_ref();
        if dir.join("manifest.json").is_file() {
            return Self::open_container(dir, params, device);
        }
        if !dir.join("config.json").is_file() {
            return Err(XmcError::NoEncoder { path: dir.to_path_buf() });
        }
        #[cfg(feature = "transformer")]
        return Ok(transformer::Encoder::open(dir, &transformer_params(params, device))?.into());
        #[cfg(not(feature = "transformer"))]
        Err(XmcError::NoTransformer)
    }

    /// The encoder of a model, or a table.
    fn open_container(dir: &Path, params: &EncodingParams, device: DeviceChoice) -> Result<Self, XmcError> {
        let container = Container::open(dir)?;
        match container.meta::<Meta>() {
            Ok(Meta { encoder: Some(kind), .. }) => Self::load(&container, kind, params, device),
            Ok(_) => Err(XmcError::NoEncoder { path: dir.to_path_buf() }),
            Err(_) => Ok(StaticTable::open_dir(dir)?.into()),
        }
    }

    /// Keeps embeddings below the directory `dir`, and takes from it those that are there. For many texts at a time: a
    /// single query never looks there, and neither does a table, which is faster than a disk.
    #[must_use]
    pub fn cached_in(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cache = Some(dir.into());
        self
    }

    /// What it is made of.
    pub fn kind(&self) -> EncoderKind {
        match &self.engine {
            Engine::Static(_) => EncoderKind::Static,
            #[cfg(feature = "transformer")]
            Engine::Transformer(_) => EncoderKind::Transformer,
        }
    }

    /// Width of an embedding.
    pub fn n_dims(&self) -> usize {
        match &self.engine {
            Engine::Static(table) => table.n_dims(),
            #[cfg(feature = "transformer")]
            Engine::Transformer(encoder) => encoder.n_dims(),
        }
    }

    /// The embeddings of `texts`, `texts.len() × n_dims`: of length 1, or zero.
    ///
    /// # Errors
    /// What the encoder or its cache runs into.
    pub fn embed(
        &self,
        texts: &(impl Documents + ?Sized),
        progress: &dyn Progress,
    ) -> Result<Array2<f32>, XmcError> {
        match &self.engine {
            Engine::Static(table) => Ok(embed(table, texts, None, progress)?),
            #[cfg(feature = "transformer")]
            Engine::Transformer(encoder) => {
                Ok(embed(encoder.as_ref(), texts, self.cache.as_deref(), progress)?)
            }
        }
    }

    /// A table of token vectors that imitates this encoder on texts like `texts`: see [`crate::StaticParams`].
    ///
    /// # Errors
    /// As [`Encoder::embed`], and [`XmcError::Embed`] when there is nothing to make a table of.
    pub fn distill(
        &self,
        texts: &(impl Documents + ?Sized),
        params: &StaticValidParams,
        progress: &dyn Progress,
    ) -> Result<Distilled, XmcError> {
        match &self.engine {
            Engine::Static(table) => Ok(params.fit(texts, table, None, progress)?),
            #[cfg(feature = "transformer")]
            Engine::Transformer(encoder) => {
                Ok(params.fit(texts, encoder.as_ref(), self.cache.as_deref(), progress)?)
            }
        }
    }

    /// The embedding of one text into `out`, `n_dims` long.
    pub(crate) fn encode_into(
        &self,
        text: &str,
        scratch: &mut EncoderScratch,
        out: &mut [f32],
    ) -> Result<(), XmcError> {
        match &self.engine {
            Engine::Static(table) => table.encode_into(text, &mut scratch.0, out),
            #[cfg(feature = "transformer")]
            Engine::Transformer(encoder) => encoder.encode(&[text], &xmc_sparse::NoProgress, out)?,
        }
        Ok(())
    }

    pub(crate) fn save(&self, writer: &ModelWriter) -> Result<(), XmcError> {
        match &self.engine {
            Engine::Static(table) => table.save(writer, PREFIX)?,
            #[cfg(feature = "transformer")]
            Engine::Transformer(encoder) => encoder.save_parts(writer, PREFIX)?,
        }
        Ok(())
    }

    #[cfg_attr(not(feature = "transformer"), allow(unused_variables))]
    pub(crate) fn load(
        container: &Container,
        kind: EncoderKind,
        params: &EncodingParams,
        device: DeviceChoice,
    ) -> Result<Self, XmcError> {
        match kind {
            EncoderKind::Static => Ok(StaticTable::open(container, PREFIX)?.into()),
            #[cfg(feature = "transformer")]
            EncoderKind::Transformer => {
                let params = transformer_params(params, device);
                Ok(transformer::Encoder::load_parts(container, PREFIX, &params)?.into())
            }
            #[cfg(not(feature = "transformer"))]
            EncoderKind::Transformer => Err(XmcError::NoTransformer),
        }
    }
}

#[cfg(feature = "transformer")]
pub(crate) fn transformer_params(
    params: &EncodingParams,
    device: DeviceChoice,
) -> transformer::EncoderParams {
    let EncodingParams { max_length, pooling, .. } = *params;
    transformer::EncoderParams::default().max_length(max_length).pooling(pooling).device(device)
}

/// One thread's buffers for [`Encoder::encode_into`].
#[derive(Debug, Default)]
pub(crate) struct EncoderScratch(TableScratch);

/// Where the encoder of a training comes from.
#[derive(Clone, Copy)]
pub(crate) enum EncoderSource<'d> {
    /// It is there.
    Given(&'d Encoder),
    /// A table that imitates it on the training texts.
    Distilled(&'d Encoder, &'d StaticParams),
    /// It is fine-tuned on the training data, and scored on others if there are any.
    #[cfg(feature = "transformer")]
    FineTuned(&'d crate::FineTuning, Option<&'d Dataset>),
}

impl<'d> EncoderSource<'d> {
    /// The same with validation data.
    pub(crate) fn scored_on(self, valid: Option<&'d Dataset>) -> Self {
        match self {
            #[cfg(feature = "transformer")]
            Self::FineTuned(tuning, _) => Self::FineTuned(tuning, valid),
            given => {
                let _ = valid;
                given
            }
        }
    }

    /// The encoder for `instances`: texts, their sparse features (of `tfidf`) and labels; and how it was made, if it was made
    /// of them.
    #[cfg_attr(not(feature = "transformer"), allow(unused_variables))]
    pub(crate) fn resolve<D: Documents + ?Sized>(
        self,
        params: &TrainParams,
        instances: (&D, &Csr, &Csr),
        tfidf: Option<&TfIdf>,
        stages: &Stages<'_>,
    ) -> Result<(Cow<'d, Encoder>, Option<Value>), XmcError> {
        match self {
            Self::Given(encoder) => Ok((Cow::Borrowed(encoder), None)),
            Self::Distilled(encoder, how) => {
                let checked = how.clone().check()?;
                let distilled =
                    stages.time("distill", |progress| encoder.distill(instances.0, &checked, progress))?;
                let made = json!({
                    "mode": "static",
                    "params": how,
                    "penalty": distilled.penalty,
                    "held_out_cosine": distilled.held_out_cosine,
                    "n_words": distilled.n_words,
                });
                Ok((Cow::Owned(distilled.table.into()), Some(made)))
            }
            #[cfg(feature = "transformer")]
            Self::FineTuned(tuning, valid) => {
                let (encoder, made) = tuning.run(params, instances, (tfidf, valid), stages)?;
                Ok((Cow::Owned(encoder), Some(made)))
            }
        }
    }
}
