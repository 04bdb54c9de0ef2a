//! Collects records into a [`Dataset`].

use crate::{DataError, Dataset, Input, LabelMap, Record, Skipped, Texts};
use ndarray::Array2;
use std::{path::Path, sync::Arc};
use xmc_sparse::{CsrBuilder, DenseBlock, Features, LabelId, SparseError};

pub(crate) struct Builder {
    /// Labels of the record to be pushed, sorted, each once.
    pub(crate) pairs: Vec<(LabelId, f32)>,
    n_features: Option<usize>,
    dense_width: usize,
    texts: Texts,
    features: CsrBuilder,
    dense: Vec<f32>,
    labels: CsrBuilder,
    /// Ids and weights from the first record on that has one.
    ids: Option<Texts>,
    weights: Option<Vec<f32>>,
}

impl Builder {
    /// For texts, or for sparse features of `n_features` columns.
    pub(crate) fn new(n_features: Option<usize>, dense_width: usize) -> Self {
        Self {
            pairs: Vec::new(),
            n_features,
            dense_width,
            texts: Texts::new(),
            features: CsrBuilder::new(),
            dense: Vec::new(),
            labels: CsrBuilder::new(),
            ids: None,
            weights: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.labels.n_rows()
    }

    /// Appends a record, with the labels in `pairs`.
    pub(crate) fn push(&mut self, record: &Record) {
        let before = self.len();
        if record.id.is_some() || self.ids.is_some() {
            let ids = self.ids.get_or_insert_with(|| std::iter::repeat_n("", before).collect());
            ids.push(record.id.as_deref().unwrap_or_default());
        }
        if record.weight.is_some() || self.weights.is_some() {
            self.weights.get_or_insert_with(|| vec![1.0; before]).push(record.weight.unwrap_or(1.0));
        }
        match self.n_features {
            None => self.texts.push(&record.text),
            Some(_) => self.features.push_row(record.features.iter().copied()),
        }
        self.dense.extend_from_slice(&record.dense);
        self.labels.push_row(self.pairs.drain(..));
    }

    pub(crate) fn finish(
        self,
        path: &Path,
        label_map: Arc<LabelMap>,
        skipped: Skipped,
    ) -> Result<Dataset, DataError> {
        let n_samples = self.len();
        let matrix_error = |source: SparseError| DataError::Matrix { path: path.to_owned(), source };
        let dense = (self.dense_width > 0).then(|| {
            Array2::from_shape_vec((n_samples, self.dense_width), self.dense)
                .expect("invariant: each record came with a row of the width that the file has")
        });
        let labels = self.labels.finish(label_map.len()).map_err(matrix_error)?;
        let (input, dense) = match self.n_features {
            None => (Input::Text(self.texts), dense.map(DenseBlock::from)),
            Some(width) => {
                let sparse = self.features.finish(width).map_err(matrix_error)?;
                (Input::Features(Features::new(sparse, dense).map_err(matrix_error)?), None)
            }
        };
        Ok(Dataset {
            input,
            dense,
            labels,
            label_map,
            ids: self.ids,
            weights: self.weights.map(Into::into),
            skipped,
        })
    }
}
