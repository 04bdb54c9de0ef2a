//! The records of a converted data set one by one, for whoever wants batches.

use super::{DataDir, Labelling};
use crate::record::{Place, Record, RecordSource};
use crate::{DataError, Input, LabelMap, LabelSource, ReadOptions, Texts};
use std::path::Path;
use std::sync::Arc;
use xmc_sparse::{Csr, DenseBlock, SharedSlice};

/// Records as the data that were converted had them.
pub(crate) struct DirRows {
    dir: DataDir,
    input: Input,
    dense: Option<DenseBlock>,
    labels: Option<Csr>,
    /// What labels are called, where they are to be looked up again.
    keys: Option<Arc<LabelMap>>,
    ids: Option<Texts>,
    weights: Option<SharedSlice<f32>>,
    next: usize,
}

impl DirRows {
    /// Opens the directory `path` and puts what it says of labels into `options`.
    pub(crate) fn open(path: &Path, options: &mut ReadOptions, labelled: bool) -> Result<Self, DataError> {
        let dir = DataDir::open(path)?;
        dir.check_second_files(options)?;
        let (mut labels, mut keys) = (None, None);
        if labelled {
            labels = Some(dir.labels()?);
            match options.labels {
                LabelSource::Data => options.labels = LabelSource::Given(Arc::new(dir.label_map()?)),
                _ if dir.meta().labelling == Labelling::Written => keys = Some(Arc::new(dir.label_map()?)),
                _ => {}
            }
            options.label_by = dir.label_by(options.label_by);
        }
        let (input, dense, ids, weights) = (dir.input()?, dir.dense()?, dir.ids()?, dir.weights()?);
        Ok(Self { dir, input, dense, labels, keys, ids, weights, next: 0 })
    }

    /// Width of the dense features, if there are any.
    pub(crate) fn n_dense(&self) -> Option<usize> {
        self.dense.as_ref().map(DenseBlock::n_cols)
    }

    pub(crate) fn labelling(&self) -> Labelling {
        self.dir.meta().labelling
    }

    fn read_labels(&self, row: usize, record: &mut Record) {
        let Some(labels) = &self.labels else { return };
        match &self.keys {
            // Of a damaged file a label may have no key; it then has the empty one, which no map knows.
            Some(map) => {
                let key = |&label: &u32| if (label as usize) < map.len() { map.key(label) } else { "" };
                labels.row(row).indices.iter().for_each(|label| record.labels.push(key(label)));
            }
            None => record.label_rows.extend(labels.row(row).iter()),
        }
    }
}

impl RecordSource for DirRows {
    fn read(&mut self, record: &mut Record) -> Result<bool, DataError> {
        let row = self.next;
        if row == self.dir.n_samples() {
            return Ok(false);
        }
        self.next += 1;
        record.line = self.next as u64;
        match &self.input {
            Input::Text(texts) => record.text.push_str(&texts[row]),
            Input::Features(features) => record.features.extend(features.sparse().row(row).iter()),
        }
        if let Some(dense) = &self.dense {
            record.dense.extend_from_slice(dense.row(row));
            if let Some(at) = record.dense.iter().position(|value| !value.is_finite()) {
                let place = Place { path: self.dir.path(), line: record.line };
                return Err(place.non_finite("dense column", at as u64, record.dense[at]));
            }
        }
        self.read_labels(row, record);
        record.id = self.ids.as_ref().map(|ids| ids[row].to_owned()).filter(|id| !id.is_empty());
        record.weight = self.weights.as_ref().map(|weights| weights[row]);
        Ok(true)
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn n_features(&self) -> Option<usize> {
        self.dir.meta().n_features.map(|width| usize::try_from(width).unwrap_or(usize::MAX))
    }
}
