//! The encoder that was typed, as it is or to be fine-tuned.

#[cfg(feature = "transformer")]
use crate::args::named;
use crate::args::{DeviceArgs, EncoderArgs, EncoderMode, GivenEncoderArgs, TrainArgs};
use crate::failure::usage;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
#[cfg(feature = "transformer")]
use xmc::FineTuning;
use xmc::{Encoder, EncoderKind, EncodingParams, StaticParams, Trainer};

/// Opens it.
pub(super) fn open_encoder(args: &EncoderArgs, params: &EncodingParams) -> Result<Option<Encoder>> {
    let cache = args.embedding_cache.as_deref();
    match &args.encoder {
        Some(dir) => open_with_cache(dir, params, cache, &args.device).map(Some),
        None if cache.is_some() => Err(usage("--embedding-cache needs an encoder: give --encoder")),
        None => Ok(None),
    }
}

/// Opens the encoder of a command that is about nothing else.
pub(super) fn open_given(args: &GivenEncoderArgs) -> Result<Encoder> {
    open_with_cache(&args.encoder, &args.encoding.params()?, args.embedding_cache.as_deref(), &args.device)
}

/// The encoder in `dir`, which keeps embeddings below `cache`.
fn open_with_cache(
    dir: &Path,
    params: &EncodingParams,
    cache: Option<&Path>,
    device: &DeviceArgs,
) -> Result<Encoder> {
    let encoder = Encoder::open_on(dir, params, device.device).context("cannot open the encoder")?;
    Ok(match cache {
        Some(cache) => encoder.cached_in(cache),
        None => encoder,
    })
}

/// The file by which an encoder is known from others: its weights.
pub(super) fn weights_of(dir: &Path) -> PathBuf {
    let table = dir.join("manifest.json");
    if table.is_file() { table } else { dir.join("model.safetensors") }
}

/// The encoder of a training.
pub(super) enum EncoderPlan {
    Frozen(Encoder),
    Distilled(Encoder, StaticParams),
    #[cfg(feature = "transformer")]
    FineTuned(Box<FineTuning>),
}

impl EncoderPlan {
    pub(super) fn resolve(args: &TrainArgs, params: &EncodingParams) -> Result<Option<Self>> {
        let mode = args.fine_tune.encoder_mode;
        if mode == Some(EncoderMode::FineTune) {
            return Self::fine_tuned(args).map(Some);
        }
        let Some(encoder) = open_encoder(&args.encoder, params)? else {
            return match mode {
                Some(_) => Err(usage("--encoder-mode needs --encoder, unless it is fine-tune")),
                None => Ok(None),
            };
        };
        // A table needs no imitation.
        let is_distilled = mode == Some(EncoderMode::Static) && encoder.kind() != EncoderKind::Static;
        Ok(Some(match is_distilled {
            true => Self::Distilled(encoder, StaticParams::default()),
            false => Self::Frozen(encoder),
        }))
    }

    #[cfg(feature = "transformer")]
    fn fine_tuned(args: &TrainArgs) -> Result<Self> {
        let typed = &args.fine_tune;
        let mut tuning = FineTuning::default();
        tuning.encoder.clone_from(&args.encoder.encoder);
        tuning.device = args.encoder.device.device;
        let params = &mut tuning.params;
        params.steps.clone_from(&typed.steps);
        params.level.learning_rate = typed.learning_rate.unwrap_or(params.level.learning_rate);
        params.level.batch_size = typed.batch_size.unwrap_or(params.level.batch_size);
        params.level.part_size = typed.part_size;
        params.level.bf16 = typed.bf16;
        params.level.n_warm_up_steps = typed.warm_up_steps.unwrap_or(params.level.n_warm_up_steps);
        params.level.report_every = typed.report_every.unwrap_or(params.level.report_every);
        if let Some(name) = &typed.level_loss {
            params.level.loss = named(name).map_err(|error| usage(format!("--level-loss: {error}")))?;
        }
        params.last_level_only = typed.last_level_only;
        params.patience = typed.patience;
        if let Some(name) = &typed.bootstrap {
            params.bootstrap = named(name).map_err(|error| usage(format!("--bootstrap: {error}")))?;
        }
        params.check().map_err(usage)?;
        if let Some(dir) = &typed.run_dir {
            let begun = dir.join("run.json").exists();
            if begun && !args.resume {
                let dir = dir.display();
                return Err(usage(format!(
                    "{dir}: there is a run in this directory: give --resume to go on with it"
                )));
            }
        }
        tuning.run_dir.clone_from(&typed.run_dir);
        tuning.embedding_cache.clone_from(&args.encoder.embedding_cache);
        Ok(Self::FineTuned(Box::new(tuning)))
    }

    #[cfg(not(feature = "transformer"))]
    fn fine_tuned(_: &TrainArgs) -> Result<Self> {
        Err(xmc::XmcError::NoTransformer.into())
    }

    /// Gives the encoder to a training.
    pub(super) fn equip<'a>(&'a self, trainer: Trainer<'a>) -> Trainer<'a> {
        match self {
            Self::Frozen(encoder) => trainer.encoder(encoder),
            Self::Distilled(encoder, params) => trainer.distill(encoder, params),
            #[cfg(feature = "transformer")]
            Self::FineTuned(tuning) => trainer.fine_tune(tuning),
        }
    }
}
