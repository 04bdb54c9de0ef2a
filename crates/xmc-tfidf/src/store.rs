//! A fitted model inside a model container.
//!
//! Under the prefix that the caller chooses: the record `params`, and for vectoriser `0`, `1` … the arrays
//! `0/bytes`, `0/offsets`, `0/slots`, `0/idf`. Loading maps the arrays and reads the record.

use crate::{TfIdf, TfIdfError, TfIdfParams, VocabularyBuffers};
use serde::{Deserialize, Serialize};
use xmc_store::{Container, ModelWriter};

/// What a model has besides its arrays.
#[derive(Serialize, Deserialize)]
struct Record {
    params: TfIdfParams,
    n_samples: u64,
}

impl TfIdf {
    /// Writes the model into a container, as sections whose names begin with `prefix/`.
    ///
    /// # Errors
    /// [`TfIdfError::Store`].
    pub fn save(&self, writer: &ModelWriter, prefix: &str) -> Result<(), TfIdfError> {
        let record = Record { params: self.params.clone(), n_samples: self.n_samples };
        writer.put_record(&format!("{prefix}/params"), &record)?;
        for (at, vocabulary) in self.vocabularies.iter().enumerate() {
            let parts = vocabulary.parts();
            writer.put_array(&format!("{prefix}/{at}/bytes"), parts.bytes)?;
            writer.put_array(&format!("{prefix}/{at}/offsets"), parts.offsets)?;
            writer.put_array(&format!("{prefix}/{at}/slots"), parts.slots)?;
            writer.put_array(&format!("{prefix}/{at}/idf"), parts.idf)?;
        }
        Ok(())
    }

    /// Opens the model that [`save`](Self::save) wrote under `prefix`; its arrays stay mapped.
    ///
    /// # Errors
    /// [`TfIdfError::Store`] when a section is missing or of another type, and as
    /// [`from_parts`](Self::from_parts).
    pub fn load(container: &Container, prefix: &str) -> Result<Self, TfIdfError> {
        let record: Record = container.record(&format!("{prefix}/params"))?;
        let vocabularies = (0..record.params.vectorizers.len())
            .map(|at| {
                Ok(VocabularyBuffers {
                    bytes: container.array(&format!("{prefix}/{at}/bytes"))?,
                    offsets: container.array(&format!("{prefix}/{at}/offsets"))?,
                    slots: container.array(&format!("{prefix}/{at}/slots"))?,
                    idf: container.array(&format!("{prefix}/{at}/idf"))?,
                })
            })
            .collect::<Result<_, TfIdfError>>()?;
        Self::from_parts(record.params, record.n_samples, vocabularies)
    }
}
