//! A converted data set, mapped.

use super::{DataMeta, Labelling, section};
use crate::formats::npy::read_npy;
use crate::read::join;
use crate::resolve::Resolver;
use crate::{
    DataError, Dataset, Input, LabelBy, LabelMap, LabelSource, OnError, Purpose, ReadOptions, Skipped, Texts,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xmc_sparse::{Csr, DenseBlock, Features, SharedSlice, SparseError};
use xmc_store::{Buffer, Container, Kind};

/// Reads the data set in the directory `path`: all arrays stay in the files. Only labels that a given map numbers otherwise, and records
/// without those that are skipped, are brought to memory.
pub(crate) fn read(path: &Path, options: &ReadOptions) -> Result<Dataset, DataError> {
    let dir = DataDir::open(path)?;
    let dense = dir.dense_with(options)?;
    let (input, dense) = match dir.input()? {
        Input::Text(texts) => (Input::Text(texts), dense),
        Input::Features(features) => {
            let features = Features::with_block(features.into_parts().0, dense);
            let features = features.map_err(|source| dir.matrix_error(source))?;
            (Input::Features(features), None)
        }
    };
    let Labels { labels, map, kept, skipped } = dir.labels_with(options)?;
    let dataset = Dataset {
        input,
        dense,
        labels,
        label_map: map,
        ids: dir.ids()?,
        weights: dir.weights()?,
        skipped: Skipped::default(),
    };
    let dataset = match kept {
        Some(kept) => dataset.select(&kept),
        None => dataset,
    };
    Ok(Dataset { skipped, ..dataset })
}

/// Labels, as far as the records with them are kept.
struct Labels {
    labels: Csr,
    map: Arc<LabelMap>,
    kept: Option<Vec<usize>>,
    skipped: Skipped,
}

/// The directory of a converted data set.
pub(crate) struct DataDir {
    container: Container,
    meta: DataMeta,
    path: PathBuf,
    n_samples: usize,
}

impl DataDir {
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        if path.is_dir() && !Container::is_at(path) {
            return Err(DataError::NotData { path: path.to_owned() });
        }
        let container = Container::open_as(path, Kind::Data)?;
        let meta: DataMeta = container.meta()?;
        let n_samples = usize::try_from(meta.n_samples).unwrap_or(usize::MAX);
        Ok(Self { container, meta, path: path.to_owned(), n_samples })
    }

    pub(crate) fn meta(&self) -> &DataMeta {
        &self.meta
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn n_samples(&self) -> usize {
        self.n_samples
    }

    /// Texts, or features without dense ones.
    pub(crate) fn input(&self) -> Result<Input, DataError> {
        Ok(match self.meta.n_features {
            None => Input::Text(self.strings(section::TEXTS, self.n_samples, "texts")?),
            Some(width) => Input::Features(Features::from_sparse(self.matrix(section::FEATURES, width)?)),
        })
    }

    pub(crate) fn dense(&self) -> Result<Option<DenseBlock>, DataError> {
        if self.meta.n_dense == 0 {
            return Ok(None);
        }
        let width = usize::try_from(self.meta.n_dense).unwrap_or(usize::MAX);
        let values = shared(self.container.array::<f32>(section::DENSE)?);
        let block = DenseBlock::from_mapped(self.n_samples, width, values);
        block.map(Some).map_err(|_| self.inconsistent("dense features"))
    }

    /// The dense features here, or those of another file.
    fn dense_with(&self, options: &ReadOptions) -> Result<Option<DenseBlock>, DataError> {
        let Some(path) = &options.dense else { return self.dense() };
        self.check_second_files(options)?;
        let matrix = read_npy(path)?;
        if matrix.nrows() != self.n_samples {
            return Err(DataError::Count {
                path: path.clone(),
                what: "rows of dense features (one for each record)",
                expected: self.n_samples as u64,
                found: matrix.nrows() as u64,
            });
        }
        let features = join(path, Csr::empty(self.n_samples, 0), Some(matrix))?;
        Ok(features.dense_block().cloned())
    }

    /// Refuses a second file of what is here already.
    pub(crate) fn check_second_files(&self, options: &ReadOptions) -> Result<(), DataError> {
        let refuse = |what| Err(DataError::Unsupported { path: self.path.clone(), what });
        match (&options.label_path, &options.dense) {
            (Some(_), _) if options.purpose == Purpose::Labelled => {
                refuse("a converted data set has its labels in it: it cannot have a second file of labels")
            }
            (_, Some(_)) if self.meta.n_dense > 0 => {
                refuse("this data set has dense features in it already: it cannot have a second file of them")
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn ids(&self) -> Result<Option<Texts>, DataError> {
        let [ends, _] = section::of_strings(section::IDS);
        let ids = self.container.has(&ends).then(|| self.strings(section::IDS, self.n_samples, "ids"));
        ids.transpose()
    }

    pub(crate) fn weights(&self) -> Result<Option<SharedSlice<f32>>, DataError> {
        if !self.container.has(section::WEIGHTS) {
            return Ok(None);
        }
        let weights = shared(self.container.array::<f32>(section::WEIGHTS)?);
        if weights.len() != self.n_samples {
            return Err(self.inconsistent("weights"));
        }
        Ok(Some(weights))
    }

    /// The labels as they are numbered here.
    pub(crate) fn labels(&self) -> Result<Csr, DataError> {
        match self.meta.n_labels {
            Some(n_labels) => self.matrix(section::LABELS, n_labels),
            None => Ok(Csr::empty(self.n_samples, 0)),
        }
    }

    /// What the labels are.
    pub(crate) fn label_map(&self) -> Result<LabelMap, DataError> {
        let Some(n_labels) = self.meta.n_labels else { return Ok(LabelMap::new()) };
        let n_labels = usize::try_from(n_labels).unwrap_or(usize::MAX);
        let keys = self.strings(section::KEYS, n_labels, "label keys")?;
        let [ends, _] = section::of_strings(section::NAMES);
        let names = match self.container.has(&ends) {
            true => self.strings(section::NAMES, n_labels, "label names")?,
            false => Texts::new(),
        };
        Ok(LabelMap::of(keys, names, self.meta.label_file))
    }

    /// How the labels here refer to a map: by their keys, if somebody has given these.
    pub(crate) fn label_by(&self, asked: LabelBy) -> LabelBy {
        if self.meta.label_file { LabelBy::Key } else { asked }
    }

    fn labels_with(&self, options: &ReadOptions) -> Result<Labels, DataError> {
        self.check_second_files(options)?;
        let all = |labels, map| Labels { labels, map, kept: None, skipped: Skipped::default() };
        if options.purpose == Purpose::Unlabelled {
            let map = options.labels.load()?.unwrap_or_default();
            return Ok(all(Csr::empty(self.n_samples, map.len()), map));
        }
        let (labels, own) = (self.labels()?, self.label_map()?);
        if matches!(options.labels, LabelSource::Data) {
            return Ok(all(labels, Arc::new(own)));
        }
        let options = ReadOptions { label_by: self.label_by(options.label_by), ..options.clone() };
        let mut resolver = Resolver::new(&options, None)?;
        // Whatever is wrong with labels that are to be taken apart is found first.
        labels.check().map_err(|source| DataError::Damaged { what: "labels", source: Some(source) })?;
        if self.meta.labelling != Labelling::Written {
            let (labels, ignored) = resolver.fit_columns(labels, &self.path)?;
            let skipped = Skipped { labels: ignored, ..Skipped::default() };
            return Ok(Labels { skipped, ..all(labels, Arc::clone(resolver.map())) });
        }
        let mut skipped = Skipped::default();
        let renumbered =
            resolver.renumber(labels, &own, &self.path, &mut |error| match options.on_error {
                OnError::Fail => Err(error),
                OnError::Skip => {
                    skipped.add(error);
                    Ok(())
                }
            })?;
        let (labels, kept) = renumbered;
        skipped.labels = resolver.ignored;
        Ok(Labels { kept, skipped, ..all(labels, Arc::clone(resolver.map())) })
    }

    fn matrix(&self, name: &'static str, n_cols: u64) -> Result<Csr, DataError> {
        let [offsets, columns, values] = section::of_matrix(name);
        let offsets = places(self.container.array(&offsets)?).ok_or_else(|| self.inconsistent(name))?;
        let (columns, values) =
            (self.container.array::<u32>(&columns)?, self.container.array::<f32>(&values)?);
        let n_cols = usize::try_from(n_cols).unwrap_or(usize::MAX);
        Csr::from_mapped(self.n_samples, n_cols, offsets, shared(columns), shared(values))
            .map_err(|source| self.matrix_error(source))
    }

    fn matrix_error(&self, source: SparseError) -> DataError {
        DataError::Matrix { path: self.path.clone(), source }
    }

    fn strings(&self, name: &str, count: usize, what: &'static str) -> Result<Texts, DataError> {
        let [ends, bytes] = section::of_strings(name);
        let (ends, bytes) = (self.container.array(&ends)?, self.container.array::<u8>(&bytes)?);
        let ends = places(ends).filter(|ends| ends.len() == count);
        let texts = ends.and_then(|ends| Texts::from_mapped(ends, shared(bytes)));
        texts.ok_or_else(|| self.inconsistent(what))
    }

    fn inconsistent(&self, what: &'static str) -> DataError {
        DataError::Inconsistent { path: self.path.clone(), what }
    }
}

fn shared<T: xmc_store::Element>(buffer: Buffer<T>) -> SharedSlice<T> {
    SharedSlice::of(buffer, |buffer| &buffer[..])
}

/// Offsets as this machine has them: in place where they have 64 bits here too, copied elsewhere, if they are small enough.
fn places(offsets: Buffer<u64>) -> Option<SharedSlice<usize>> {
    if cfg!(target_pointer_width = "64") {
        return Some(SharedSlice::of(offsets, |offsets| bytemuck::cast_slice(&offsets[..])));
    }
    offsets.iter().map(|&offset| usize::try_from(offset).ok()).collect::<Option<Vec<_>>>().map(Into::into)
}
