//! The encoder that was typed.

use crate::args::EncoderArgs;
use anyhow::Result;
use std::path::{Path, PathBuf};
use xmc::{Encoder, EncodingParams};

/// Opens it.
pub(super) fn open_encoder(args: &EncoderArgs, params: &EncodingParams) -> Result<Option<Encoder>> {
    let Some(dir) = &args.encoder else { return Ok(None) };
    let encoder = Encoder::open(dir, params)?;
    Ok(Some(match &args.embedding_cache {
        Some(cache) => encoder.cached_in(cache),
        None => encoder,
    }))
}

/// The file by which an encoder is known from others: its weights.
pub(super) fn weights_of(dir: &Path) -> PathBuf {
    let table = dir.join("manifest.json");
    if table.is_file() { table } else { dir.join("model.safetensors") }
}
