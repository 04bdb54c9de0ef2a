//! A whole data set: a file into memory, or a converted one mapped.

use crate::{
    DataError, Dataset, Format, Input, Purpose, ReadOptions, RecordReader, Skipped, converted,
    formats::{
        npy::read_npy,
        npz::{Columns, read_npz},
    },
    reader::format_of,
    record::Place,
    resolve::Resolver,
    source::Source,
};
use ndarray::Array2;
use std::{path::Path, sync::Arc};
use xmc_sparse::{Csr, Features, SparseError};

/// Reads a data set from a file, or from standard input for `-`; maps it from a directory that [`crate::convert`] has written, in
/// milliseconds whatever its size.
///
/// ```no_run
/// use xmc_data::{LabelSource, ReadOptions, read_dataset};
/// let train = read_dataset("train.tsv.gz", &ReadOptions::default())?;
/// let options = ReadOptions { labels: LabelSource::Given(train.label_map.clone()), ..Default::default() };
/// let test = read_dataset("test.tsv.gz", &options)?;
/// # Ok::<(), xmc_data::DataError>(())
/// ```
///
/// # Errors
/// [`DataError`]: the first fault, or with [`crate::OnError::Skip`] the first that is not of one record;
/// [`DataError::Empty`] or [`DataError::AllBad`] without records and, for labelled data, [`DataError::NoLabels`] without labels.
pub fn read_dataset(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Dataset, DataError> {
    let path = path.as_ref();
    if path.is_dir() {
        let dataset = converted::read(path, options)?;
        check(path, options, &dataset)?;
        return Ok(dataset);
    }
    // Matrices that are read whole anyway are not taken apart into records.
    let dataset = match matrix_format(path, options)? {
        Some(format) => read_matrices(path, format, options)?,
        None => RecordReader::open(path, options)?.read_all()?,
    };
    check(path, options, &dataset)?;
    Ok(dataset)
}

fn matrix_format(path: &Path, options: &ReadOptions) -> Result<Option<Format>, DataError> {
    let named = options.format.or_else(|| Format::from_path(path));
    let format = match named {
        // Standard input can be looked at only once, by the reader.
        None if path == Path::new("-") => return Ok(None),
        None => format_of(&mut Source::open(path)?, options)?,
        Some(format) => format,
    };
    let label_format = options.label_path.as_deref().map(Format::from_path);
    let labels_in_rows = !matches!(label_format, None | Some(Some(Format::Npz)));
    Ok((matches!(format, Format::Npz | Format::Npy) && !labels_in_rows).then_some(format))
}

fn read_matrices(path: &Path, format: Format, options: &ReadOptions) -> Result<Dataset, DataError> {
    let dense = options.dense.as_deref().map(read_npy).transpose()?;
    let (sparse, dense) = match (format, dense) {
        (Format::Npz, dense) => (read_npz(path, Columns::Features)?, dense),
        (_, None) => {
            let dense = read_npy(path)?;
            (Csr::empty(dense.nrows(), 0), Some(dense))
        }
        (_, Some(_)) => {
            let what = "a .npy is all dense already: it cannot have a second file of dense features";
            return Err(DataError::Unsupported { path: path.to_owned(), what });
        }
    };
    let features = join(path, sparse, dense)?;
    let labelled = options.purpose == Purpose::Labelled;
    let labels =
        options.label_path.as_deref().filter(|_| labelled).map(|path| read_npz(path, Columns::Labels));
    with_labels(path, options, features, labels.transpose()?)
}

pub(crate) fn join(path: &Path, sparse: Csr, dense: Option<Array2<f32>>) -> Result<Features, DataError> {
    Features::new(sparse, dense).map_err(|source| match source {
        SparseError::NonFinite { row, col, value } => {
            Place { path, line: row as u64 + 1 }.non_finite("dense column", col as u64, value)
        }
        source => DataError::Matrix { path: path.to_owned(), source },
    })
}

/// Puts a label matrix beside features; a given label map may be wider, never narrower.
fn with_labels(
    path: &Path,
    options: &ReadOptions,
    features: Features,
    labels: Option<Csr>,
) -> Result<Dataset, DataError> {
    let resolver = Resolver::new(options, labels.as_ref().map(Csr::n_cols))?;
    let n_labels = resolver.map().len();
    let labels = labels.unwrap_or_else(|| Csr::empty(features.n_samples(), n_labels));
    if labels.n_rows() != features.n_samples() {
        return Err(DataError::Count {
            path: path.to_owned(),
            what: "records (one for each row of labels)",
            expected: labels.n_rows() as u64,
            found: features.n_samples() as u64,
        });
    }
    let (labels, ignored) = resolver.fit_columns(labels, options.label_path.as_deref().unwrap_or(path))?;
    Ok(Dataset {
        input: Input::Features(features),
        dense: None,
        labels,
        label_map: Arc::clone(resolver.map()),
        ids: None,
        weights: None,
        skipped: Skipped { labels: ignored, ..Skipped::default() },
    })
}

fn check(path: &Path, options: &ReadOptions, dataset: &Dataset) -> Result<(), DataError> {
    let has_texts = matches!(dataset.input, Input::Text(_));
    let found = Found { n_samples: dataset.n_samples(), n_entries: dataset.labels.nnz(), has_texts };
    check_found(path, options, found, &dataset.skipped)
}

/// What has been read.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    pub(crate) n_samples: usize,
    /// Labels of all records.
    pub(crate) n_entries: usize,
    pub(crate) has_texts: bool,
}

pub(crate) fn check_found(
    path: &Path,
    options: &ReadOptions,
    found: Found,
    skipped: &Skipped,
) -> Result<(), DataError> {
    let is_dir = path.is_dir();
    let path = path.to_owned();
    let Found { n_samples, n_entries, has_texts } = found;
    if n_samples == 0 {
        return Err(match skipped.first.first() {
            Some(first) => DataError::AllBad { path, skipped: skipped.records, first: Arc::clone(first) },
            None => DataError::Empty { path },
        });
    }
    if options.purpose == Purpose::Labelled && n_entries == 0 {
        let hint = match (has_texts, options.label_path.is_some()) {
            _ if is_dir => "it was converted without labels, or none of them is known",
            (_, true) => "the file of labels has none",
            (true, false) => "labels stand before the TAB, in \"labels\" or in the CSV column of labels",
            (false, false) => "labels stand at the beginning of a row, or in a second file (a label .npz)",
        };
        return Err(DataError::NoLabels { path, n_samples, hint });
    }
    Ok(())
}
