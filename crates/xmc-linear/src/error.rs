//! Hyper-parameters that make no problem.

/// A solver parameter outside its range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LinearError {
    /// A number is not in the range of its parameter.
    #[error("{name} is {found}, expected {expected}")]
    Parameter {
        /// The parameter's name.
        name: &'static str,
        /// The range it must be in.
        expected: &'static str,
        /// The value given.
        found: f64,
    },
    /// A name that no loss has.
    #[error("there is no loss {found:?}, expected squared-hinge, hinge or logistic")]
    UnknownLoss {
        /// The name given.
        found: String,
    },
}
