//! What the layers hold and what a search reads of it, for benchmarks and other observers: nothing here is on the way of a prediction.

use crate::part::Part;
use crate::record::{Naming, Record, take_columns};
use crate::{LayerWeights, XrLinear};
use xmc_sparse::{FeatureId, Row, Scored};
use xmc_tree::Search;

/// What the search for one instance reads of the sparse weights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Records, one for each feature of the instance that has any weights on a layer.
    pub records: u64,
    /// Postings in them that belong to the beam.
    pub postings: u64,
    /// Weights of these postings.
    pub weights: u64,
    /// Bytes of the directory, of the records' heads as far as they are read, and of these postings.
    pub bytes: u64,
}

impl std::ops::AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.postings += other.postings;
        self.weights += other.weights;
        self.bytes += other.bytes;
    }
}

impl XrLinear {
    /// What the search for `row` reads.
    pub fn traffic(&self, row: Row<'_>, search: Search<'_>) -> Traffic {
        let (trace, mut sum) = (self.trace(row, search), Traffic::default());
        for (layer, beam) in self.layers().iter().zip(trace.beams()) {
            for &feature in row.sparse.indices {
                let number = layer.record_of(feature);
                sum += record_traffic(layer.part(), number, beam);
            }
        }
        sum
    }
}

fn record_traffic(part: &Part, number: u32, beam: &[Scored]) -> Traffic {
    let members: Vec<u32> = beam.iter().map(|parent| parent.id).collect();
    let bytes = part.directory_bytes(number) as u64;
    let Some(record) = part.record(number).filter(|record| record.n > 0) else {
        return Traffic { bytes, ..Traffic::default() };
    };
    let mut sum =
        Traffic { records: 1, bytes: bytes + head_bytes(&record, members.len()), ..Traffic::default() };
    record.for_each(|cluster, weights, posting| {
        if members.contains(&cluster) {
            sum.postings += 1;
            sum.weights += weights as u64;
            sum.bytes += posting.len() as u64;
        }
    });
    if !record.is_sequential() {
        sum.bytes += sum.postings * record.group_bytes() as u64;
    }
    sum
}

/// Bytes that finding `members` clusters in a record takes.
fn head_bytes(record: &Record<'_>, members: usize) -> u64 {
    let (head, clusters) = record.head_lens();
    match record.naming() {
        _ if record.is_sequential() => head as u64,
        Naming::List => u64::from(record.n.ilog2() + 1) * (clusters / record.n * members) as u64,
        Naming::Buckets => (members * record.bytes_to_search_bucket()) as u64,
        Naming::Bits => clusters as u64,
    }
}

impl LayerWeights {
    /// Number of the record that has the weights of `feature`. Features that are the same in every training instance share one.
    pub fn record_of(&self, feature: FeatureId) -> u32 {
        self.groups().record_of(feature)
    }

    /// Gives `take` all weights: the number of their record, increasing, the cluster, the places among its children, increasing, and the weights there.
    /// What is damaged is left out.
    pub fn for_each_posting(&self, mut take: impl FnMut(u32, u32, &[u32], &[f32])) {
        let (mut columns, mut values) = (Vec::new(), Vec::new());
        let (part, widths) = (self.part(), self.part().widths);
        for number in 0..part.n_records() as u32 {
            let Some(record) = part.record(number) else { continue };
            record.for_each(|cluster, weights, posting| {
                take_columns(widths, weights, posting, &mut columns);
                values.clear();
                widths.value.take(&posting[widths.columns_len(weights)..], &mut values);
                take(number, cluster, &columns, &values);
            });
        }
    }
}
