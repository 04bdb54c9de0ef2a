//! The encoder that was typed.

use crate::args::EncoderArgs;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use xmc::{Encoder, EncodingParams};

/// Opens it.
pub(super) fn open_encoder(args: &EncoderArgs, params: &EncodingParams) -> Result<Option<Encoder>> {
    let open = |dir: &PathBuf| open_with_cache(dir, params, args.embedding_cache.as_deref());
    args.encoder.as_ref().map(open).transpose()
}

/// The encoder in `dir`, which keeps embeddings below `cache`.
pub(super) fn open_with_cache(dir: &Path, params: &EncodingParams, cache: Option<&Path>) -> Result<Encoder> {
    let encoder = Encoder::open(dir, params).context("cannot open the encoder")?;
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
