//! An encoder's files: a directory as Hugging Face's `transformers` and `sentence-transformers` have it, or sections of a model.

use crate::Pooling;
use crate::weights::{self, Weights};
use crate::{TransformerError, tokenizer};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

type Result<T> = std::result::Result<T, TransformerError>;

pub(crate) const CONFIG: &str = "config.json";
/// The section that holds it.
pub(crate) const CONFIG_SECTION: &str = "config";
pub(crate) const WEIGHTS: &str = "model.safetensors";
const POOLING: &str = "1_Pooling/config.json";

/// What travels with an encoder's weights, as it was found.
#[derive(Debug, Clone)]
pub(crate) struct Carried {
    /// `config.json`.
    pub(crate) config: Vec<u8>,
    /// The tokenizer's files by name.
    pub(crate) tokenizer: Vec<(String, Vec<u8>)>,
}

impl Carried {
    /// Reads the files of a directory.
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let config = read(&dir.join(CONFIG))?;
        let files = tokenizer::files(dir, dir)?.into_iter();
        let tokenizer = files.map(|file| Ok((file.to_owned(), read(&dir.join(file))?)));
        Ok(Self { config, tokenizer: tokenizer.collect::<Result<_>>()? })
    }

    /// Writes the files of a directory, which is made if it is not there, and the weights beside them.
    pub(crate) fn write(&self, dir: &Path, weights: &Weights, pooling: Pooling) -> Result<()> {
        let pooling = StoredPooling::from(pooling);
        let pooling = serde_json::to_vec_pretty(&pooling).expect("invariant: two flags are JSON");
        write(&dir.join(CONFIG), &self.config)?;
        write(&dir.join(POOLING), &pooling)?;
        self.tokenizer.iter().try_for_each(|(name, bytes)| write(&dir.join(name), bytes))?;
        write(&dir.join(WEIGHTS), &weights::write(weights)?)
    }

    /// Writes the tokenizer's files.
    pub(crate) fn write_tokenizer(&self, dir: &Path) -> Result<()> {
        self.tokenizer.iter().try_for_each(|(name, bytes)| write(&dir.join(name), bytes))
    }
}

/// `1_Pooling/config.json` of `sentence-transformers`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct StoredPooling {
    pooling_mode_cls_token: bool,
    pooling_mode_mean_tokens: bool,
}

impl From<Pooling> for StoredPooling {
    fn from(pooling: Pooling) -> Self {
        let cls = pooling == Pooling::Cls;
        Self { pooling_mode_cls_token: cls, pooling_mode_mean_tokens: !cls }
    }
}

/// What the directory says about pooling; the mean where it says nothing.
pub(crate) fn pooling(dir: &Path) -> Result<Pooling> {
    let path = dir.join(POOLING);
    let json = match fs::read(&path) {
        Ok(json) => json,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Pooling::Mean),
        Err(source) => return Err(TransformerError::Io { path, source }),
    };
    let stored: StoredPooling = serde_json::from_slice(&json)
        .map_err(|source| TransformerError::Json { path: path.clone(), source })?;
    match (stored.pooling_mode_cls_token, stored.pooling_mode_mean_tokens) {
        (true, false) => Ok(Pooling::Cls),
        (false, true) => Ok(Pooling::Mean),
        _ => Err(TransformerError::Config {
            path,
            field: "pooling_mode_*",
            expected: "one of cls_token and mean_tokens (or choose the pooling yourself)".to_owned(),
            found: "another".to_owned(),
        }),
    }
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|source| TransformerError::Io { path: path.to_owned(), source })
}

/// Writes under another name and renames: a file is whole or not there.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| TransformerError::Io { path, source }
    };
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(io(dir))?;
    }
    let unfinished = PathBuf::from(format!("{}.tmp", path.display()));
    fs::write(&unfinished, bytes).map_err(io(&unfinished))?;
    fs::rename(&unfinished, path).map_err(io(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pooling_is_what_the_directory_says() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(pooling(dir.path()).unwrap(), Pooling::Mean);
        let say = |json: &str| {
            write(&dir.path().join(POOLING), json.as_bytes()).unwrap();
            pooling(dir.path())
        };
        assert_eq!(
            say(r#"{"pooling_mode_cls_token": true, "word_embedding_dimension": 8}"#).unwrap(),
            Pooling::Cls
        );
        assert_eq!(say(r#"{"pooling_mode_mean_tokens": true}"#).unwrap(), Pooling::Mean);
        let both = say(r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}"#);
        assert!(matches!(both, Err(TransformerError::Config { .. })));
        assert!(matches!(say("{"), Err(TransformerError::Json { .. })));
    }
}
