//! From the labels of a record to label ids.

use crate::{
    DataError, LabelBy, LabelMap, ReadOptions, Record, UnknownLabels, error::Excerpt, labels::NameIndex,
    record::Place,
};
use std::{path::Path, sync::Arc};
use xmc_sparse::{Csr, CsrBuilder, LabelId, SparseRow};

/// Looks labels up, and lets the map grow where it may.
pub(crate) struct Resolver {
    map: Arc<LabelMap>,
    /// Whether the map was given rather than found in the data.
    given: bool,
    by: LabelBy,
    names: Option<NameIndex>,
    unknown: UnknownLabels,
    /// Labels left out because they are unknown.
    pub(crate) ignored: u64,
}

/// Why a label has no id.
#[derive(Clone, Copy)]
enum Missing {
    Unknown,
    Ambiguous,
}

impl Resolver {
    /// `n_labels` when the data number their labels.
    pub(crate) fn new(options: &ReadOptions, n_labels: Option<usize>) -> Result<Self, DataError> {
        let given = options.labels.load()?;
        let (given, map) = match given {
            Some(map) => (true, map),
            None => (false, Arc::new(LabelMap::numbered(n_labels.unwrap_or(0)))),
        };
        let mut this =
            Self { map, given, by: LabelBy::Key, names: None, unknown: UnknownLabels::Grow, ignored: 0 };
        if this.given {
            this.unknown = options.unknown_labels;
            this.set_scheme(options.label_by);
        }
        Ok(this)
    }

    pub(crate) fn map(&self) -> &Arc<LabelMap> {
        &self.map
    }

    /// Whether the scheme still has to be settled by [`Resolver::settle`].
    pub(crate) fn is_open(&self) -> bool {
        self.by == LabelBy::Auto
    }

    /// Settles the scheme of [`LabelBy::Auto`] from the first records.
    pub(crate) fn settle(&mut self, records: &[Record]) {
        let mut best = (LabelBy::Key, None);
        for by in [LabelBy::Key, LabelBy::Name, LabelBy::Row] {
            self.set_scheme(by);
            let labels = records.iter().flat_map(|record| record.labels.iter());
            let known = labels.filter(|label| self.find(label).is_ok()).count();
            if best.1.is_none_or(|most| known > most) {
                best = (by, Some(known));
            }
        }
        self.set_scheme(best.0);
    }

    fn set_scheme(&mut self, by: LabelBy) {
        self.by = by;
        self.names = (by == LabelBy::Name).then(|| self.map.by_name());
    }

    fn find(&self, label: &str) -> Result<LabelId, Missing> {
        match &self.names {
            Some(names) => match names.get(label) {
                Some(Some(id)) => Ok(*id),
                Some(None) => Err(Missing::Ambiguous),
                // A label that was added while reading is not in the index of names.
                None => self.map.get(label).filter(|&id| self.map.name(id) == label).ok_or(Missing::Unknown),
            },
            None if self.by == LabelBy::Row => self.row(label).ok_or(Missing::Unknown),
            None => self.map.get(label).ok_or(Missing::Unknown),
        }
    }

    fn row(&self, label: &str) -> Option<LabelId> {
        label.parse().ok().filter(|&id: &LabelId| (id as usize) < self.map.len())
    }

    /// The labels of `record` into `into`: sorted, each once; labels of relevance 0 left out.
    pub(crate) fn resolve(
        &mut self,
        record: &Record,
        at: Place<'_>,
        into: &mut Vec<(LabelId, f32)>,
    ) -> Result<(), DataError> {
        into.clear();
        // First the whole record is looked at: a bad one must not leave labels behind in the map.
        let mut unknown = 0;
        for label in record.labels.iter() {
            match self.find(label) {
                Ok(id) => into.push((id, 1.0)),
                Err(Missing::Ambiguous) => return Err(ambiguous(label, at)),
                Err(Missing::Unknown) if self.refuses_unknown() => return Err(self.unknown(label, at)),
                Err(Missing::Unknown) => unknown += 1,
            }
        }
        if unknown > 0 {
            self.take_unknown(record, into, unknown);
        }
        self.resolve_rows(record, at, into)?;
        into.retain(|&(_, relevance)| relevance != 0.0);
        into.sort_by_key(|&(id, _)| id);
        into.dedup_by_key(|&mut (id, _)| id);
        Ok(())
    }

    fn resolve_rows(
        &mut self,
        record: &Record,
        at: Place<'_>,
        into: &mut Vec<(LabelId, f32)>,
    ) -> Result<(), DataError> {
        for &(id, relevance) in &record.label_rows {
            match (id as usize) < self.map.len() {
                true => into.push((id, relevance)),
                false if self.unknown == UnknownLabels::Ignore => self.ignored += 1,
                // A number says nothing of what the label is: the map cannot grow by it.
                false => return Err(at.label_out_of_range(id.into(), self.map.len())),
            }
        }
        Ok(())
    }

    /// A label matrix brought to the width of the map, and how many entries that left out.
    pub(crate) fn fit_columns(&self, labels: Csr, path: &Path) -> Result<(Csr, u64), DataError> {
        let n_labels = self.map.len();
        if labels.n_cols() == n_labels {
            return Ok((labels, 0));
        }
        let known = |&(id, _): &(LabelId, f32)| (id as usize) < n_labels;
        if self.unknown != UnknownLabels::Ignore {
            let unknown = labels
                .rows()
                .enumerate()
                .find_map(|(row, labels)| labels.iter().find(|pair| !known(pair)).map(|(id, _)| (row, id)));
            if let Some((row, id)) = unknown {
                return Err(Place { path, line: row as u64 + 1 }.label_out_of_range(id.into(), n_labels));
            }
        }
        let fitted = Csr::from_rows(n_labels, labels.rows().map(|row| row.iter().filter(known)))
            .map_err(|source| DataError::Matrix { path: path.to_owned(), source })?;
        let ignored = (labels.nnz() - fitted.nnz()) as u64;
        Ok((fitted, ignored))
    }

    /// Labels that are columns of `labels`, called as `own` has them, as [`Resolver::resolve`] would number them record by record; each label
    /// is looked up once. With them come the rows that are kept when there are others, whose faults went to `bad`.
    pub(crate) fn renumber(
        &mut self,
        labels: Csr,
        own: &LabelMap,
        path: &Path,
        bad: &mut dyn FnMut(DataError) -> Result<(), DataError>,
    ) -> Result<(Csr, Option<Vec<usize>>), DataError> {
        if self.is_open() {
            self.settle(&first_labelled(&labels, own));
        }
        let has_same_keys =
            || self.map.len() == own.len() && self.map.iter().zip(own.iter()).all(|(a, b)| a.0 == b.0);
        if self.by == LabelBy::Key && has_same_keys() {
            return Ok((labels, None));
        }
        let mut found: Vec<Option<Result<LabelId, Missing>>> = vec![None; own.len()];
        let (mut rows, mut kept, mut pairs) = (CsrBuilder::new(), Vec::new(), Vec::new());
        for (row, entries) in labels.rows().enumerate() {
            pairs.clear();
            let at = Place { path, line: row as u64 + 1 };
            match self.renumber_row(entries, own, at, &mut found, &mut pairs) {
                Ok(()) => kept.push(row),
                Err(error) => {
                    bad(error)?;
                    pairs.clear();
                }
            }
            pairs.sort_by_key(|&(id, _)| id);
            pairs.dedup_by_key(|&mut (id, _)| id);
            rows.push_row(pairs.drain(..));
        }
        let renumbered = rows.finish(self.map.len());
        let renumbered = renumbered.map_err(|source| DataError::Matrix { path: path.to_owned(), source })?;
        let kept = (kept.len() < labels.n_rows()).then_some(kept);
        Ok((renumbered, kept))
    }

    fn renumber_row(
        &mut self,
        row: SparseRow<'_>,
        own: &LabelMap,
        at: Place<'_>,
        found: &mut [Option<Result<LabelId, Missing>>],
        into: &mut Vec<(LabelId, f32)>,
    ) -> Result<(), DataError> {
        let mut unknown = 0;
        for (label, relevance) in row.iter() {
            let key = own.key(label);
            match *found[label as usize].get_or_insert_with(|| self.find(key)) {
                Ok(id) => into.push((id, relevance)),
                Err(Missing::Ambiguous) => return Err(ambiguous(key, at)),
                Err(Missing::Unknown) if self.refuses_unknown() => return Err(self.unknown(key, at)),
                Err(Missing::Unknown) => unknown += 1,
            }
        }
        if unknown > 0 && self.unknown == UnknownLabels::Ignore {
            self.ignored += unknown;
        } else if unknown > 0 {
            for (label, relevance) in row.iter() {
                if let Some(Err(_)) = found[label as usize] {
                    let id = Arc::make_mut(&mut self.map).insert_key(own.key(label));
                    found[label as usize] = Some(Ok(id));
                    into.push((id, relevance));
                }
            }
        }
        Ok(())
    }

    /// A number that is no row cannot become a label under a given map of other keys.
    fn refuses_unknown(&self) -> bool {
        self.unknown == UnknownLabels::Error
            || (self.unknown == UnknownLabels::Grow && self.by == LabelBy::Row)
    }

    fn take_unknown(&mut self, record: &Record, into: &mut Vec<(LabelId, f32)>, count: u64) {
        if self.unknown == UnknownLabels::Ignore {
            self.ignored += count;
            return;
        }
        into.clear();
        for label in record.labels.iter() {
            let id = self.find(label).unwrap_or_else(|_| Arc::make_mut(&mut self.map).insert_key(label));
            into.push((id, 1.0));
        }
    }

    fn unknown(&self, label: &str, at: Place<'_>) -> DataError {
        DataError::UnknownLabel {
            path: at.path.to_owned(),
            line: at.line,
            label: Excerpt::new(label),
            by: self.by.as_str(),
            n_labels: self.map.len(),
        }
    }
}

/// The records that settle how labels are called.
fn first_labelled(labels: &Csr, own: &LabelMap) -> Vec<Record> {
    let labelled = labels.rows().filter(|row| row.nnz() > 0).take(ReadOptions::AUTO_RECORDS);
    let record = |row: SparseRow<'_>| {
        let labels = row.indices.iter().map(|&label| own.key(label)).collect();
        Record { labels, ..Record::default() }
    };
    labelled.map(record).collect()
}

fn ambiguous(label: &str, at: Place<'_>) -> DataError {
    DataError::AmbiguousLabel { path: at.path.to_owned(), line: at.line, label: Excerpt::new(label) }
}
