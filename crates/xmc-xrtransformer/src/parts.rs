//! An encoder inside a model: its files as sections.
//!
//! `…/config` and `…/file-N` are the files as they were found, `…/weights` is a safetensors file, `…/encoder` names them.

use crate::config::Config;
use crate::encoder::size;
use crate::files::{self, Carried};
use crate::tokenizer::{self, Tokenizer};
use crate::{Encoder, TransformerError, weights};
use crate::{EncoderParams, Pooling};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use xmc_store::{Container, ModelWriter};

type Result<T> = std::result::Result<T, TransformerError>;

#[derive(Serialize, Deserialize)]
struct Record {
    /// Names of the tokenizer's files.
    files: Vec<String>,
    max_length: u64,
    pooling: Pooling,
}

impl Encoder {
    /// Writes the encoder to sections of a model, whose names begin with `prefix`.
    ///
    /// # Errors
    /// [`TransformerError::Store`], [`TransformerError::Torch`].
    pub fn save_parts(&self, writer: &ModelWriter, prefix: &str) -> Result<()> {
        let files = self.carried.tokenizer.iter().map(|(name, _)| name.clone()).collect();
        let (max_length, pooling) = (self.params().max_length as u64, self.params().pooling);
        writer.put_record(&format!("{prefix}/encoder"), &Record { files, max_length, pooling })?;
        writer.put_array(&format!("{prefix}/config"), &self.carried.config)?;
        for (at, (_, bytes)) in self.carried.tokenizer.iter().enumerate() {
            writer.put_array(&format!("{prefix}/file-{at}"), bytes)?;
        }
        let weights = weights::write(&self.weights())?;
        Ok(writer.put_array(&format!("{prefix}/weights"), &weights)?)
    }

    /// The parameters of the encoder under `prefix` that its vectors depend on; the others have their defaults.
    ///
    /// # Errors
    /// [`TransformerError::Store`].
    pub fn stored_params(container: &Container, prefix: &str) -> Result<EncoderParams> {
        let record: Record = container.record(&format!("{prefix}/encoder"))?;
        let max_length = usize::try_from(record.max_length).unwrap_or(usize::MAX);
        Ok(EncoderParams::default().max_length(max_length).pooling(record.pooling))
    }

    /// The encoder that [`save_parts`](Self::save_parts) wrote. For the same vectors `params` must have the `max_length` and
    /// the `pooling` of [`stored_params`](Self::stored_params); an automatic pooling is the stored one.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`TransformerError::Store`].
    pub fn load_parts(container: &Container, prefix: &str, params: &EncoderParams) -> Result<Self> {
        let record: Record = container.record(&format!("{prefix}/encoder"))?;
        let shown = container.path().unwrap_or(Path::new("<memory>"));
        let at =
            |part: &str| -> PathBuf { shown.join(format!("{prefix}/{part}").replace('/', ".") + ".bin") };
        let carried = carried(container, prefix, record.files)?;
        let config = Config::parse(&carried.config, &at("config"))?;
        params.check(config.max_length())?;
        // Tokenizers are read from files.
        let dir = tempfile::tempdir()
            .map_err(|source| TransformerError::Io { path: std::env::temp_dir(), source })?;
        carried.write_tokenizer(dir.path())?;
        let tokenizer = Tokenizer::open(dir.path(), shown, params.max_length, size(config.n_tokens))?;
        let bytes = container.array::<u8>(&format!("{prefix}/weights"))?;
        let weights = weights::read(&bytes, &at("weights"), &config)?;
        let params = match params.pooling {
            Pooling::Auto => params.pooling(record.pooling),
            _ => *params,
        };
        Self::assemble(config, carried, tokenizer, weights, params)
    }
}

fn carried(container: &Container, prefix: &str, names: Vec<String>) -> Result<Carried> {
    let bytes = |part: &str| container.array::<u8>(&format!("{prefix}/{part}")).map(|bytes| bytes.to_vec());
    let mut tokenizer = Vec::new();
    for (at, name) in names.into_iter().enumerate() {
        // The name becomes that of a file: a damaged one must not lead anywhere.
        if tokenizer::is_file_name(&name) {
            tokenizer.push((name, bytes(&format!("file-{at}"))?));
        }
    }
    Ok(Carried { config: bytes(files::CONFIG_SECTION)?, tokenizer })
}
