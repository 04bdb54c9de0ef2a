//! A table inside a model, or alone in a directory of its own.
//!
//! Under the prefix that the caller chooses: the record `table`, the tokens as `tokens/…` (see [`TfIdf::save`]), and their vectors
//! as the array `vectors/f16`, or `vectors/int8` and `vectors/scales`. Opening maps the arrays.

use super::vectors::{Precision, TokenVectors};
use super::{StaticTable, TextEncoder};
use crate::EmbedError;
use serde::{Deserialize, Serialize};
use std::path::Path;
use xmc_store::{Container, ModelWriter};
use xmc_tfidf::TfIdf;

/// The prefix of a table that is alone.
const ALONE: &str = "static";
/// What the manifest of such a directory says it is.
const KIND: &str = "static-table";

/// What a table has besides its arrays.
#[derive(Serialize, Deserialize)]
struct Record {
    n_dims: u32,
    precision: Precision,
    fingerprint: u64,
}

/// The description of a table that is alone.
#[derive(Serialize, Deserialize)]
struct Meta {
    kind: String,
}

impl StaticTable {
    /// Writes the table into a container, as sections whose names begin with `prefix/`.
    ///
    /// # Errors
    /// [`EmbedError::Store`], [`EmbedError::Tokens`].
    pub fn save(&self, writer: &ModelWriter, prefix: &str) -> Result<(), EmbedError> {
        let n_dims = self.n_dims() as u32;
        let record = Record { n_dims, precision: self.precision(), fingerprint: self.fingerprint() };
        writer.put_record(&format!("{prefix}/table"), &record)?;
        self.tokens.save(writer, &format!("{prefix}/tokens"))?;
        self.vectors.save(writer, &format!("{prefix}/vectors"))
    }

    /// Opens the table that [`save`](Self::save) wrote under `prefix`; its arrays stay mapped.
    ///
    /// Contents are taken on trust (a container has checksums for them); wrong ones give wrong vectors, never a panic.
    ///
    /// # Errors
    /// [`EmbedError::Store`] and [`EmbedError::Tokens`] when a section is missing or of another type,
    /// [`EmbedError::TableSize`] when they do not fit each other.
    pub fn open(container: &Container, prefix: &str) -> Result<Self, EmbedError> {
        let record: Record = container.record(&format!("{prefix}/table"))?;
        let tokens = TfIdf::load(container, &format!("{prefix}/tokens"))?;
        if record.n_dims == 0 {
            return Err(EmbedError::TableSize {
                section: format!("{prefix}/table, width"),
                expected: 1,
                found: 0,
            });
        }
        let size = (tokens.n_features(), record.n_dims as usize);
        let vectors = TokenVectors::open(container, &format!("{prefix}/vectors"), size, record.precision)?;
        Ok(Self { tokens, vectors, fingerprint: record.fingerprint })
    }

    /// Writes the table to the directory `dir`, whole or not at all; a table that is there is replaced.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    pub fn save_to_dir(&self, dir: impl AsRef<Path>) -> Result<(), EmbedError> {
        let writer = ModelWriter::create(dir)?;
        self.save(&writer, ALONE)?;
        writer.commit(&Meta { kind: KIND.to_owned() })?;
        Ok(())
    }

    /// Opens what [`save_to_dir`](Self::save_to_dir) wrote.
    ///
    /// # Errors
    /// [`EmbedError::NotATable`] when the directory holds something else, and as [`open`](Self::open).
    pub fn open_dir(dir: impl AsRef<Path>) -> Result<Self, EmbedError> {
        let container = Container::open(&dir)?;
        match container.meta::<Meta>() {
            Ok(meta) if meta.kind == KIND => Self::open(&container, ALONE),
            _ => Err(EmbedError::NotATable { path: dir.as_ref().to_path_buf() }),
        }
    }
}
