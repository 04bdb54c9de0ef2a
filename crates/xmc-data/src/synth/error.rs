//! Why data cannot be made.

/// Parameters of a generator that make no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SynthError {
    /// A number outside its range.
    #[error("{name} is {found}, expected {expected}")]
    Param {
        /// Name of the parameter.
        name: &'static str,
        /// The value given.
        found: f64,
        /// The range allowed.
        expected: &'static str,
    },
    /// Two parameters that do not go together.
    #[error("{name} is {found}, expected at most {limit}, which is {of}")]
    TooMany {
        /// Name of the parameter.
        name: &'static str,
        /// The value given.
        found: u64,
        /// The largest value allowed.
        limit: u64,
        /// What sets the limit.
        of: &'static str,
    },
}
