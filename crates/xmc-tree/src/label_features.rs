//! Label features Z: what a label looks like, from the instances that have it and from its own text.
//!
//! PIFA (positive instance feature aggregation; Yu et al., JMLR 2022): rows of Y normalised, so that an
//! instance with many labels says less about each; Z = YᵀX; rows of Z normalised. The other
//! kinds are those of PECOS's label embedding factory.

use crate::TreeError;
use crate::aggregate::{Aggregate, Blend, fits};
use crate::sketch::sketch;
use serde::{Deserialize, Serialize};
use xmc_sparse::{Csr, Features, SparseError};

/// How labels get their features.
///
/// | kind | features of a label | needs own features |
/// |---|---|---|
/// | `pifa` | the sum of its instances | no |
/// | `pii` | which instances it has | no |
/// | `pifa-lf-concat` | both the sum and its own features, side by side | yes |
/// | `pifa-lf-convex` | a mean of the sum and its own features | yes |
///
/// Take `pifa` unless there is a reason. `pii` clusters labels that occur together, whatever the texts say; it
/// tells nothing about labels of the same kind that never meet. The others help when many labels have few
/// instances and good names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LabelFeatures {
    /// Sum of the instances that have the label: `Z = rownorm(rownorm(Y)ᵀ X)`.
    #[default]
    Pifa,
    /// Positive instance indices: `Z = rownorm(Yᵀ)`, `n_labels × n_samples`.
    Pii,
    /// `Z = rownorm([PIFA | F])` with the labels' own features F, of any width.
    PifaLfConcat,
    /// `Z = rownorm(α PIFA + (1 − α) F)` with the labels' own features F, as wide as X.
    PifaLfConvex,
}

/// What label features may be made of beside instances and labels.
///
/// A label's *own* features F are what is known of it without instances: its name or description through
/// the vectoriser of the instances, or any matrix. They are taken as they are: rows of norm 1 weigh as much as
/// PIFA's. With `pifa`, `pifa-lf-concat` and `pifa-lf-convex`, a label whose instances say nothing takes its own
/// features in the place of the sum where they are as wide as X (dense columns may be missing), so
/// that the tree places it by its text. Where the width differs, `pifa` does not look at them, as `pii` never does.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct LabelFeatureInputs<'a> {
    /// How often each instance counts; `None` is once.
    pub weights: Option<&'a [f32]>,
    /// F, the labels' own features, `n_labels ×` any width.
    pub own: Option<&'a Features>,
    /// α, the weight of PIFA in `pifa-lf-convex`. In 0..=1, default [`Self::ALPHA`].
    pub alpha: f32,
    /// Numbers that stand for the sparse features, and the seed of their signs: see [`LabelFeatureInputs::sketch`]. Default none.
    pub sketch: Option<(usize, u64)>,
}

impl Default for LabelFeatureInputs<'_> {
    fn default() -> Self {
        Self { weights: None, own: None, alpha: Self::ALPHA, sketch: None }
    }
}

impl<'a> LabelFeatureInputs<'a> {
    /// PECOS's α.
    pub const ALPHA: f32 = 0.5;

    /// Sets [`Self::weights`].
    #[must_use]
    pub fn weights(mut self, weights: Option<&'a [f32]>) -> Self {
        self.weights = weights;
        self
    }

    /// Sets [`Self::own`].
    #[must_use]
    pub fn own(mut self, own: Option<&'a Features>) -> Self {
        self.own = own;
        self
    }

    /// Sets [`Self::alpha`].
    #[must_use]
    pub fn alpha(mut self, alpha: f32) -> Self {
        self.alpha = alpha;
        self
    }

    /// Puts `n_dims` numbers, random projections, in the place of the sparse features: of instances, and of the labels' own. Sums of many
    /// long instances have tens of thousands of entries each, more than fit into memory where there are millions of labels; projections have
    /// 4 bytes × `n_dims`, and are faster to cluster. Inner products are kept but for `1 / √n_dims`. With `pii` there is nothing to project.
    #[must_use]
    pub fn sketch(mut self, n_dims: Option<usize>, seed: u64) -> Self {
        self.sketch = n_dims.map(|n_dims| (n_dims, seed));
        self
    }

    /// Share of every instance in every label of `pifa`, `n_labels × n_samples`.
    pub(crate) fn shares(&self, y: &Csr) -> Csr {
        weighted_transpose(&y.l2_normalized_rows(), self.weights)
    }

    pub(crate) fn check(&self, x: &Features, y: &Csr) -> Result<(), TreeError> {
        check_rows("rows of the labels (one for each instance)", x.n_samples(), y.n_rows())?;
        if let Some(weights) = self.weights {
            check_weights(weights, x.n_samples())?;
        }
        if let Some(own) = self.own {
            check_rows("rows of the labels' own features (one for each label)", y.n_cols(), own.n_samples())?;
        }
        if (0.0..=1.0).contains(&self.alpha) {
            return Ok(());
        }
        let expected = "the weight of the instances in `pifa-lf-convex`, 0 to 1";
        Err(TreeError::RealParam { name: "alpha", found: self.alpha, expected })
    }
}

impl LabelFeatures {
    /// Label features `Z` (`n_labels × n_features`, each row of Euclidean norm 1 over its sparse and
    /// dense part together) from instances `x` (`n_samples × n_features`) and labels `y` (`n_samples ×
    /// n_labels`). A label without instances has a row of zeros.
    ///
    /// # Errors
    /// As [`compute_with`](Self::compute_with).
    pub fn compute(self, x: &Features, y: &Csr) -> Result<Features, TreeError> {
        self.compute_with(x, y, &LabelFeatureInputs::default())
    }

    /// As [`compute`](Self::compute), instance `i` counting `weights[i]` times.
    ///
    /// # Errors
    /// As [`compute_with`](Self::compute_with).
    pub fn compute_weighted(
        self,
        x: &Features,
        y: &Csr,
        weights: Option<&[f32]>,
    ) -> Result<Features, TreeError> {
        self.compute_with(x, y, &LabelFeatureInputs::default().weights(weights))
    }

    /// Label features from everything that may be known. A label of which nothing is known has a row of zeros.
    ///
    /// ```
    /// use xmc_sparse::{Csr, Features};
    /// use xmc_tree::{LabelFeatureInputs, LabelFeatures};
    /// let x = Features::from_sparse(Csr::from_rows(3, [[(0, 1.0)], [(1, 1.0)]])?);
    /// let y = Csr::from_rows(2, [[(0, 1.0)], [(0, 1.0)]])?;
    /// // Nothing has label 1, but its name has feature 2.
    /// let names = Features::from_sparse(Csr::from_rows(3, [vec![], vec![(2, 1.0)]])?);
    /// let inputs = LabelFeatureInputs::default().own(Some(&names));
    /// let z = LabelFeatures::Pifa.compute_with(&x, &y, &inputs)?;
    /// assert_eq!(z.sparse().row(0).indices, &[0, 1]);
    /// assert_eq!(z.sparse().row(1).indices, &[2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`TreeError::Matrix`] when `x`, `y` and `weights` differ in rows, when the own features have not one row
    /// for each label or (`pifa-lf-convex`) another width than `x`, or when a weight is not finite;
    /// [`TreeError::NoOwnFeatures`] when the kind needs own features, [`TreeError::RealParam`] for `alpha`.
    pub fn compute_with(
        self,
        x: &Features,
        y: &Csr,
        inputs: &LabelFeatureInputs<'_>,
    ) -> Result<Features, TreeError> {
        inputs.check(x, y)?;
        let blend = match self {
            Self::Pii => {
                let indices = weighted_transpose(y, inputs.weights);
                return Ok(Features::from_sparse(indices.into_l2_normalized_rows()));
            }
            Self::Pifa => Blend::Fallback,
            Self::PifaLfConcat => Blend::Concat,
            Self::PifaLfConvex => Blend::Convex { alpha: inputs.alpha },
        };
        self.check_own(inputs.own, x)?;
        if let Some((n_dims, seed)) = inputs.sketch {
            let x = sketch(x, n_dims, seed)?;
            let own = inputs.own.map(|own| sketch(own, n_dims, seed)).transpose()?;
            let inputs = LabelFeatureInputs { own: own.as_ref(), sketch: None, ..*inputs };
            return self.compute_with(&x, y, &inputs);
        }
        let shares = inputs.shares(y);
        Ok(Aggregate { shares: &shares, x, own: inputs.own, blend }.compute()?)
    }

    /// Whether there are own features where they are needed, of the width that is needed.
    fn check_own(self, own: Option<&Features>, x: &Features) -> Result<(), TreeError> {
        let Some(own) = own else {
            return match self {
                Self::PifaLfConcat => Err(TreeError::NoOwnFeatures { kind: "pifa-lf-concat" }),
                Self::PifaLfConvex => Err(TreeError::NoOwnFeatures { kind: "pifa-lf-convex" }),
                Self::Pifa | Self::Pii => Ok(()),
            };
        };
        if self != Self::PifaLfConvex || fits(own, x) {
            return Ok(());
        }
        let (what, expected, found) = if own.n_sparse() == x.n_sparse() {
            ("dense columns of the labels' own features for pifa-lf-convex", x.n_dense(), own.n_dense())
        } else {
            ("sparse columns of the labels' own features for pifa-lf-convex", x.n_sparse(), own.n_sparse())
        };
        Err(SparseError::Shape { what, expected, found }.into())
    }
}

fn check_rows(what: &'static str, expected: usize, found: usize) -> Result<(), SparseError> {
    if expected == found { Ok(()) } else { Err(SparseError::Shape { what, expected, found }) }
}

fn check_weights(weights: &[f32], n_samples: usize) -> Result<(), SparseError> {
    check_rows("instance weights (one for each instance)", n_samples, weights.len())?;
    match weights.iter().position(|weight| !weight.is_finite()) {
        Some(row) => Err(SparseError::NonFinite { row, col: 0, value: weights[row] }),
        None => Ok(()),
    }
}

/// Yᵀ, `n_labels × n_samples`, instance `i` multiplied by `weights[i]`.
fn weighted_transpose(y: &Csr, weights: Option<&[f32]>) -> Csr {
    let Some(weights) = weights else { return y.transpose() };
    let weighted = y.rows().zip(weights).map(|(row, &weight)| {
        row.iter().map(move |(label, value)| (label, value * weight)).collect::<Vec<_>>()
    });
    Csr::from_rows(y.n_cols(), weighted).expect("invariant: finite weights, the labels of y").transpose()
}
