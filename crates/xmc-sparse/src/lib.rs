//! Matrices, ranked lists and SIMD kernels that every other room of `xmc` stands on.
//!
//! * [`Csr`]: compressed sparse rows over [`sprs`], values `f32`, indices `u32`.
//! * [`Features`]: an instance matrix whose rows have a sparse part and an optional dense part.
//! * [`DenseBlock`]: that dense part; [`SharedSlice`]: arrays that are vectors or lie in a mapped file.
//! * [`ColumnSet`]: columns of sums of sparse rows, counted and sorted without sorting.
//! * [`set_bits()`]: the members of a set that is a word; [`RankedWord`]: such words, with the number of members before each.
//! * [`RankedLists`]: scored ids, best first, one list for each instance.
//! * [`combine()`]: the ranked lists of several models as one.
//! * [`run_in_order`]: independent jobs, started in order.
//! * [`kernels`]: run-time dispatch over AVX-512, AVX2, NEON and portable lanes.
//!
//! ```
//! use xmc_sparse::Csr;
//! let x = Csr::from_rows(4, [vec![(0, 3.0), (2, 4.0)], vec![]])?;
//! let unit = x.l2_normalized_rows();
//! assert_eq!(unit.row(0).values, &[0.6, 0.8]);
//! # Ok::<(), xmc_sparse::SparseError>(())
//! ```

mod bits;
mod column_set;
mod combine;
mod csr;
mod dense;
mod error;
mod features;
mod jobs;
pub mod kernels;
mod progress;
mod ranked;
mod shared;

pub use bits::{RankedWord, set_bits};
pub use column_set::ColumnSet;
pub use combine::{Combine, Combiner, UnknownCombine, combine};
pub use csr::{Csr, CsrBuilder, SparseRow};
pub use dense::DenseBlock;
pub use error::SparseError;
pub use features::{Features, Row};
pub use jobs::{run_few_in_order, run_in_order};
pub use progress::{NoProgress, Progress};
pub use ranked::{RankedLists, Scored, sort_ranked, truncate_to_top_k};
pub use shared::SharedSlice;

/// A label's row number in the label map. At most `u32::MAX` labels.
pub type LabelId = u32;
/// A feature's column number. At most `u32::MAX` features.
pub type FeatureId = u32;
/// A label's score: higher is better; its scale depends on the post-processor.
pub type Score = f32;
