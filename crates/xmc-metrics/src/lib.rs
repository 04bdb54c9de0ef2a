//! Ranking metrics of extreme multi-label classification.
//!
//! [`Evaluator`] compares ranked lists with the true labels at several cut-offs `k` in one pass.
//! With `y_i` the true labels of instance `i`, `n` instances, `L` labels and `hits_ik` the number of true
//! labels among the first `k` of its list:
//!
//! | key | metric |
//! |---|---|
//! | `p@k` | precision: `Σ hits_ik / (n k)` |
//! | `r@k` | recall: mean of `hits_ik / abs(y_i)` |
//! | `ndcg@k` | mean of DCG over the best DCG possible; a hit at rank `r` (from 1) gains `1 / log2(r + 1)` |
//! | `psp@k` | precision with each hit weighted by the label's inverse propensity, over the best possible |
//! | `psndcg@k` | nDCG with the same weights, over the best possible |
//! | `micro-f1@k` | `2 TP / (predicted + true)` over all pairs, the first `k` of a list being predicted |
//! | `macro-f1@k` | the same for each label, averaged over all `L` labels |
//! | `coverage@k` | of the labels that are true somewhere, the share that is hit somewhere |
//!
//! # Conventions
//!
//! * **Ties** are settled by whoever made the list: rank order counts, scores are never looked at.
//!   (In this workspace: the higher score first, then the smaller label.)
//! * **Instances without true labels** count in `n`, and add nothing to any numerator. This is what PECOS
//!   (`smat_util.Metrics`) and napkinXC (`zero_division=0`) do; a file with many of them has a lower ceiling
//!   than 100.
//! * **Short lists** are as if filled up with wrong labels for `p@k` (the divisor stays `k`), as in PECOS and
//!   napkinXC. F1 counts only what is in the list as predicted.
//! * **Propensity-scored metrics** are ratios of sums over all instances, both the sum reached and the best
//!   possible one: the convention of the Extreme Classification Repository and of napkinXC
//!   (`normalize=True`). They need [`Propensities`], which come from the *training* labels.
//! * **Macro-F1** counts a label that is neither true nor predicted anywhere as 0, as scikit-learn does.
//!   napkinXC does too, but leaves out labels above the highest that occurs; the two agree when the last label
//!   occurs. PECOS has precision and recall only.
//! * A label is true when its stored value is above 0.
//!
//! # Partitions
//!
//! [`variation_of_information`] compares two partitions of the same things. [`SenseSplit`] uses it to tell how well the senses
//! of ambiguous labels are told apart by the clusters to which their instances are routed.
//!
//! ```
//! use xmc_metrics::{Evaluator, Metric};
//! use xmc_sparse::{Csr, RankedLists, Scored};
//!
//! let truth = Csr::from_rows(4, [vec![(0, 1.0), (2, 1.0)], vec![(3, 1.0)]])?;
//! let mut lists = RankedLists::new();
//! lists.push(&[Scored { id: 2, score: 0.9 }, Scored { id: 1, score: 0.4 }]);
//! lists.push(&[Scored { id: 0, score: 0.8 }, Scored { id: 3, score: 0.7 }]);
//!
//! let scores = Evaluator::new([1, 2])?.evaluate(&truth, &lists)?;
//! assert_eq!(scores.get(Metric::Precision, 1), Some(50.0)); // in percent
//! assert_eq!(scores.get(Metric::Recall, 2), Some(75.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod evaluator;
mod labels;
mod partition;
mod propensity;
mod ranking;
mod scores;
mod senses;

pub use error::MetricsError;
pub use evaluator::Evaluator;
pub use partition::variation_of_information;
pub use propensity::{Propensities, PropensityParams};
pub use scores::{Metric, Scores};
pub use senses::{LabelSplit, Routed, SenseSplit, SenseSplitParams};

/// What most functions of this crate return.
pub type Result<T, E = MetricsError> = std::result::Result<T, E>;
