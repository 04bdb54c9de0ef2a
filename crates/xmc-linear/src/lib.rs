//! Linear models for sibling labels, sixteen at a time: support vector machines and logistic regression.
//!
//! All children of a cluster train on the same instances. [`Compactor`] copies those rows once, with their
//! features renumbered so that the weights are small and hot; [`LaneSolver`] then runs dual coordinate
//! descent for 16 labels in lock step, one label in each lane, so that a stored entry costs one vector
//! operation instead of sixteen scalar ones. [`mod@reference`] is the textbook solver for one label that the
//! batched one is held to.
//!
//! [`Targets`] says what each instance is to each label: a positive or a negative, at which cost, or nothing at all.
//!
//! Sources of the algorithms: Hsieh, Chang, Lin, Keerthi, Sundararajan, *A Dual Coordinate Descent Method for
//! Large-scale Linear SVM*, ICML 2008 (LIBLINEAR's `L2R_L2LOSS_SVC_DUAL` and `L2R_L1LOSS_SVC_DUAL`); Yu, Huang, Lin, *Dual
//! Coordinate Descent Methods for Logistic Regression and Maximum Entropy Models*, Machine Learning 85, 2011; Mangasarian, Musicant,
//! *Successive Overrelaxation for Support Vector Machines*, IEEE Transactions on Neural Networks 10(5), 1999.
//!
//! ```
//! use xmc_linear::{Compactor, LaneSolver, SvmParams, Targets};
//! use xmc_sparse::{Csr, Features};
//!
//! let x = Features::from_sparse(Csr::from_rows(2, [vec![(0, 1.0)], vec![(1, 1.0)]])?);
//! let rows = Compactor::new(x.n_sparse()).compact(&x, &[0, 1], None, 1.0);
//! // Lane 0 wants instance 0, lane 1 wants instance 1.
//! let targets = Targets::new(2, &[&[0][..], &[1][..]]);
//! let mut solver = LaneSolver::default();
//! solver.solve(&SvmParams::default().check()?, &rows, &targets, 0);
//! let weights = solver.weights(&rows, &targets, 0.0);
//! assert!(weights.bias[0].is_finite() && weights.n_entries() > 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod compact;
mod dense;
mod dual;
mod epoch;
mod error;
mod fold;
mod gram;
mod loss;
mod params;
pub mod reference;
mod scores;
mod solver;
mod start;
mod targets;
mod weights;

pub use compact::{CompactRows, Compactor, Entry, RowHead};
pub use error::LinearError;
pub use fold::Fold;
pub use loss::Loss;
pub use params::{CheckedSvmParams, SvmParams};
pub use solver::{LaneSolver, SolveReport};
pub use targets::Targets;
pub use weights::GroupWeights;
pub use xmc_sparse::kernels::LANES;
