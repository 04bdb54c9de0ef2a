//! The queries of a batch, and the records of their features.

use crate::groups::FeatureGroups;
use std::ops::Range;
use xmc_sparse::kernels::prefetch;
use xmc_sparse::{Features, Row};

/// Some rows of a matrix, numbered from 0.
#[derive(Debug)]
pub(crate) struct Queries<'a> {
    x: &'a Features,
    rows: Range<usize>,
    /// The records of their features, unless these have the same numbers.
    records: Option<Records>,
}

/// Records by query, end to end.
#[derive(Debug, Default)]
struct Records {
    /// Where each query's begin, and the last ones end.
    starts: Vec<usize>,
    numbers: Vec<u32>,
}

/// One query: the records of its features, their values, and its dense features.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query<'a> {
    pub(crate) records: &'a [u32],
    pub(crate) values: &'a [f32],
    pub(crate) dense: &'a [f32],
}

impl<'a> Queries<'a> {
    /// The `rows` of `x`, whose features are in `groups`.
    pub(crate) fn new(x: &'a Features, rows: Range<usize>, groups: &FeatureGroups) -> Self {
        let records = (!groups.are_features()).then(|| {
            let (mut records, mut of_row) = (Records::default(), Vec::new());
            for row in rows.clone() {
                records.starts.push(records.numbers.len());
                groups.find_records(x.sparse().row(row).indices, &mut of_row);
                records.numbers.extend_from_slice(&of_row);
            }
            records.starts.push(records.numbers.len());
            records
        });
        Self { x, rows, records }
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Sparse features of all of them together.
    pub(crate) fn n_features(&self) -> usize {
        let starts = self.x.sparse().indptr();
        starts[self.rows.end].saturating_sub(starts[self.rows.start])
    }

    /// Query `number` as it is in the matrix.
    #[inline(always)]
    pub(crate) fn row(&self, number: usize) -> Row<'a> {
        self.x.row(self.rows.start + number)
    }

    /// Query `number` as a cluster sees it.
    #[inline(always)]
    pub(crate) fn query(&self, number: u32) -> Query<'_> {
        let Row { sparse, dense } = self.row(number as usize);
        let records = match &self.records {
            None => sparse.indices,
            Some(Records { starts, numbers }) => {
                &numbers[starts[number as usize]..starts[number as usize + 1]]
            }
        };
        Query { records, values: sparse.values, dense }
    }

    /// Asks for what [`Self::query`] gives.
    #[inline(always)]
    pub(crate) fn fetch(&self, number: u32) {
        let Query { records, values, .. } = self.query(number);
        for at in (0..records.len()).step_by(16) {
            prefetch(records, at);
            prefetch(values, at);
        }
    }

    /// The records, below `n_records`, of all features of all queries: each once, increasing.
    pub(crate) fn used_records(&self, n_records: usize) -> Vec<u32> {
        let mut used = vec![false; n_records];
        for number in 0..self.len() as u32 {
            for &record in self.query(number).records {
                if let Some(used) = used.get_mut(record as usize) {
                    *used = true;
                }
            }
        }
        used.iter().zip(0..).filter_map(|(&used, record)| used.then_some(record)).collect()
    }
}
