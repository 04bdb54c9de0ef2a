//! Data that are made, not found: known truth, any size, the same bytes for the same seed.
//!
//! * [`MultiSense`]: texts whose labels have more than one meaning, and which meaning it was.
//! * [`Shaped`]: features and labels as a public data set has them, at any scale.
//!
//! A generator follows one scheme: parameters with defaults, `check()`, and a checked type that makes records one after the other.
//! What it keeps in memory grows with its labels and words, not with its records.

mod error;
mod multi_sense;
mod shaped;

pub use error::SynthError;
pub use multi_sense::{MultiSense, MultiSenseParams, MultiSenseRecord, MultiSenseRecords};
pub use shaped::{Shape, Shaped, ShapedParams, ShapedRecord, Split};
