//! Any data set to mapped sections, a batch of records at a time.

use super::{DataMeta, Labelling, section};
use crate::read::{Found, check_found};
use crate::{DataError, Dataset, Input, LabelMap, ReadOptions, RecordReader, Skipped, Texts};
use std::path::Path;
use xmc_sparse::{Csr, Progress};
use xmc_store::{Kind, ModelWriter, SectionWriter, StoreError};

/// Records held at a time.
const BATCH: usize = 1024;
/// Elements written at once where something stands for records that have nothing.
const FILL: usize = 4096;

/// What [`convert`] has written.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Converted {
    /// What the data set says about itself.
    pub meta: DataMeta,
    /// Bytes of all sections.
    pub bytes: u64,
    /// What was left out.
    pub skipped: Skipped,
}

/// Writes the data set at `path` (or standard input, for `-`) to the directory `dir` in a form that [`crate::read_dataset`] maps. The
/// directory appears, or replaces a converted data set that was there, when all is written. What is read from it is what was read from `path`,
/// whatever label map is given then.
///
/// Memory is bounded by the labels' names, the longest record and a batch of 1,024; matrices in column order (CSC, Fortran) are held whole.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let parent = tempfile::tempdir()?;
/// # let (titles, dir) = (parent.path().join("titles.tsv"), parent.path().join("titles"));
/// # std::fs::write(&titles, "shoes\ta red shoe\nhats\ta blue hat\n")?;
/// use xmc_data::{ReadOptions, convert, read_dataset};
/// let options = ReadOptions::default();
/// convert(&titles, &options, &dir, &xmc_sparse::NoProgress)?;
/// let (mapped, read) = (read_dataset(&dir, &options)?, read_dataset(&titles, &options)?);
/// assert_eq!((mapped.input, mapped.labels), (read.input, read.labels));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`crate::read_dataset`], and [`DataError::Store`] when it cannot be written.
pub fn convert(
    path: impl AsRef<Path>,
    options: &ReadOptions,
    dir: impl AsRef<Path>,
    progress: &dyn Progress,
) -> Result<Converted, DataError> {
    let path = path.as_ref();
    let mut reader = RecordReader::open(path, options)?;
    let writer = ModelWriter::create_as(dir, Kind::Data)?;
    let mut sections = Sections::new(&writer, &reader)?;
    progress.begin("convert", None, "records");
    while let Some(batch) = reader.next_batch(BATCH)? {
        sections.push(&batch)?;
        progress.advance(batch.n_samples() as u64);
    }
    progress.end();
    let skipped = reader.skipped();
    let found = Found {
        n_samples: sections.n_samples,
        n_entries: sections.labels.as_ref().map_or(0, |labels| labels.nnz as usize),
        has_texts: reader.n_features().is_none(),
    };
    check_found(path, options, found, &skipped)?;
    let n_samples = sections.n_samples as u64;
    sections.finish()?;
    let (labels, labelling) = (reader.label_map(), reader.labelling());
    if labelling != Labelling::None {
        put_labels(&writer, labels)?;
    }
    let meta = DataMeta {
        xmc_version: env!("CARGO_PKG_VERSION").to_owned(),
        n_samples,
        n_features: reader.n_features().map(|n| n as u64),
        n_dense: reader.n_dense() as u64,
        n_labels: (labelling != Labelling::None).then_some(labels.len() as u64),
        labelling,
        label_file: labels.is_from_file(),
    };
    let bytes = writer.commit(&meta)?.manifest().total_bytes();
    Ok(Converted { meta, bytes, skipped })
}

fn put_labels(writer: &ModelWriter, labels: &LabelMap) -> Result<(), StoreError> {
    let mut keys = Strings::new(writer, section::KEYS)?;
    labels.iter().try_for_each(|(key, _)| keys.push(key))?;
    keys.finish()?;
    if labels.iter().all(|(key, name)| key == name) {
        return Ok(());
    }
    let mut names = Strings::new(writer, section::NAMES)?;
    labels.iter().try_for_each(|(_, name)| names.push(name))?;
    names.finish()
}

/// All sections but those of the label map.
struct Sections<'w> {
    writer: &'w ModelWriter,
    n_samples: usize,
    texts: Option<Strings>,
    features: Option<Matrix>,
    dense: Option<SectionWriter<f32>>,
    labels: Option<Matrix>,
    /// From the first record on that has one.
    ids: Option<Strings>,
    weights: Option<SectionWriter<f32>>,
}

impl<'w> Sections<'w> {
    fn new(writer: &'w ModelWriter, reader: &RecordReader) -> Result<Self, StoreError> {
        let is_text = reader.n_features().is_none();
        let is_labelled = reader.labelling() != Labelling::None;
        Ok(Self {
            writer,
            n_samples: 0,
            texts: is_text.then(|| Strings::new(writer, section::TEXTS)).transpose()?,
            features: (!is_text).then(|| Matrix::new(writer, section::FEATURES)).transpose()?,
            dense: (reader.n_dense() > 0).then(|| writer.array(section::DENSE)).transpose()?,
            labels: is_labelled.then(|| Matrix::new(writer, section::LABELS)).transpose()?,
            ids: None,
            weights: None,
        })
    }

    fn push(&mut self, batch: &Dataset) -> Result<(), StoreError> {
        let dense = match &batch.input {
            Input::Text(texts) => {
                self.texts.iter_mut().try_for_each(|section| section.extend(texts))?;
                batch.dense.as_ref()
            }
            Input::Features(features) => {
                self.features.iter_mut().try_for_each(|section| section.extend(features.sparse()))?;
                features.dense_block()
            }
        };
        if let (Some(section), Some(block)) = (&mut self.dense, dense) {
            (0..block.n_rows()).try_for_each(|row| section.push(block.row(row)))?;
        }
        self.labels.iter_mut().try_for_each(|section| section.extend(&batch.labels))?;
        self.push_ids(batch)?;
        self.push_weights(batch)?;
        self.n_samples += batch.n_samples();
        Ok(())
    }

    fn push_ids(&mut self, batch: &Dataset) -> Result<(), StoreError> {
        if self.ids.is_none() && batch.ids.is_some() {
            let mut ids = Strings::new(self.writer, section::IDS)?;
            fill(&mut ids.ends, 0, self.n_samples)?;
            self.ids = Some(ids);
        }
        match (&mut self.ids, &batch.ids) {
            (Some(section), Some(ids)) => section.extend(ids),
            (Some(section), None) => fill(&mut section.ends, section.n_bytes, batch.n_samples()),
            (None, _) => Ok(()),
        }
    }

    fn push_weights(&mut self, batch: &Dataset) -> Result<(), StoreError> {
        if self.weights.is_none() && batch.weights.is_some() {
            let mut weights = self.writer.array(section::WEIGHTS)?;
            fill(&mut weights, 1.0, self.n_samples)?;
            self.weights = Some(weights);
        }
        match (&mut self.weights, &batch.weights) {
            (Some(section), Some(weights)) => section.push(weights),
            (Some(section), None) => fill(section, 1.0, batch.n_samples()),
            (None, _) => Ok(()),
        }
    }

    fn finish(self) -> Result<(), StoreError> {
        [self.texts, self.ids].into_iter().flatten().try_for_each(Strings::finish)?;
        [self.features, self.labels].into_iter().flatten().try_for_each(Matrix::finish)?;
        [self.dense, self.weights].into_iter().flatten().try_for_each(SectionWriter::finish)
    }
}

fn fill<T: xmc_store::Element>(
    section: &mut SectionWriter<T>,
    value: T,
    count: usize,
) -> Result<(), StoreError> {
    let block = vec![value; count.min(FILL)];
    let mut left = count;
    while left > 0 {
        let part = left.min(FILL);
        section.push(&block[..part])?;
        left -= part;
    }
    Ok(())
}

/// The sections of a sparse matrix.
struct Matrix {
    offsets: SectionWriter<u64>,
    columns: SectionWriter<u32>,
    values: SectionWriter<f32>,
    nnz: u64,
}

impl Matrix {
    fn new(writer: &ModelWriter, name: &str) -> Result<Self, StoreError> {
        let [offsets, columns, values] = section::of_matrix(name);
        let mut offsets = writer.array(&offsets)?;
        offsets.push(&[0])?;
        Ok(Self { offsets, columns: writer.array(&columns)?, values: writer.array(&values)?, nnz: 0 })
    }

    fn extend(&mut self, rows: &Csr) -> Result<(), StoreError> {
        let ends: Vec<u64> = rows.indptr()[1..].iter().map(|&end| self.nnz + end as u64).collect();
        self.offsets.push(&ends)?;
        self.columns.push(rows.indices())?;
        self.values.push(rows.values())?;
        self.nnz += rows.nnz() as u64;
        Ok(())
    }

    fn finish(self) -> Result<(), StoreError> {
        self.offsets.finish()?;
        self.columns.finish()?;
        self.values.finish()
    }
}

/// The sections of a list of strings.
struct Strings {
    ends: SectionWriter<u64>,
    bytes: SectionWriter<u8>,
    n_bytes: u64,
}

impl Strings {
    fn new(writer: &ModelWriter, name: &str) -> Result<Self, StoreError> {
        let [ends, bytes] = section::of_strings(name);
        Ok(Self { ends: writer.array(&ends)?, bytes: writer.array(&bytes)?, n_bytes: 0 })
    }

    fn push(&mut self, text: &str) -> Result<(), StoreError> {
        self.n_bytes += text.len() as u64;
        self.bytes.push(text.as_bytes())?;
        self.ends.push(&[self.n_bytes])
    }

    fn extend(&mut self, texts: &Texts) -> Result<(), StoreError> {
        texts.iter().try_for_each(|text| self.push(text))
    }

    fn finish(self) -> Result<(), StoreError> {
        self.ends.finish()?;
        self.bytes.finish()
    }
}
