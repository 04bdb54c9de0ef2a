//! Why an evaluation is refused.

/// Input from which no metric can be computed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricsError {
    /// Predictions and truth are about different instances.
    #[error("{found} ranked lists for {expected} instances: expected one list for each")]
    Rows {
        /// Rows of the truth.
        expected: usize,
        /// Number of lists.
        found: usize,
    },
    /// Nothing to evaluate.
    #[error("no instances to evaluate")]
    NoRows,
    /// A cut-off of 0.
    #[error("a cut-off k of 0: metrics at k look at the first k labels, k is at least 1")]
    ZeroCutoff,
    /// No cut-off at all.
    #[error("no cut-off k given: name at least one, such as 1,3,5")]
    NoCutoff,
    /// A metric of all instances together, where one value for each was asked for.
    #[error("{} is not a mean over instances: expected precision (p), recall (r) or nDCG (ndcg)", metric.title())]
    NotPerInstance {
        /// The metric.
        metric: crate::Metric,
    },
    /// A list names a label that the truth does not know.
    #[error("list {row}: label {label} is out of range, there are {n_labels} labels")]
    LabelOutOfRange {
        /// Instance, from 0.
        row: usize,
        /// The label.
        label: u32,
        /// Number of labels (columns of the truth).
        n_labels: usize,
    },
    /// A list names a label twice, which would count its hit twice.
    #[error("list {row}: label {label} stands twice")]
    DuplicateLabel {
        /// Instance, from 0.
        row: usize,
        /// The label.
        label: u32,
    },
    /// Propensities of another label space.
    #[error(
        "propensities of {found} labels for {expected} labels: compute them from this model's training labels"
    )]
    PropensityLabels {
        /// Number of labels (columns of the truth).
        expected: usize,
        /// Number of propensities.
        found: usize,
    },
    /// A parameter of the propensity model outside its range.
    #[error("propensity parameter {name} is {value}, expected {expected}")]
    PropensityParam {
        /// `A` or `B`.
        name: &'static str,
        /// The value given.
        value: f64,
        /// The range allowed.
        expected: &'static str,
    },
    /// Two partitions of different things.
    #[error(
        "{found} block numbers beside {expected}: two partitions of the same things have one each for every thing"
    )]
    Partitions {
        /// Things of the first partition.
        expected: usize,
        /// Things of the second one.
        found: usize,
    },
    /// No label by which a split into senses could be measured.
    #[error(
        "none of the {labels} labels has two senses, at least {min_instances} instances and {min_per_sense} of each sense: give more data or lower the limits"
    )]
    NoSplit {
        /// Number of labels.
        labels: usize,
        /// Fewest instances of a label.
        min_instances: usize,
        /// Fewest instances of each of its senses.
        min_per_sense: usize,
    },
    /// A random baseline that is the mean of nothing.
    #[error("0 random splits to compare with: expected at least 1")]
    NoRandomSplits,
}
