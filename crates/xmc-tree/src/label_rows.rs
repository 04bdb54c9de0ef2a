//! Label features as a tree wants them: made, or as the sums that they are.

use crate::aggregate::{Aggregate, Blend, fits};
use crate::{LabelFeatureInputs, LabelFeatures, TreeError, TreeParams};
use std::borrow::Cow;
use xmc_cluster::SummedRows;
use xmc_sparse::{Csr, CsrBuilder, Features, SparseError};

/// What labels are clustered by: their features, or where all of them together are many times what they are sums of, the parts of
/// the sums.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum LabelRows<'a> {
    /// The features, one row for each label.
    Made(Cow<'a, Features>),
    /// The instances that they are sums of.
    Sums(LabelSums<'a>),
}

/// Labels as sums of instances.
#[derive(Debug, Clone)]
pub struct LabelSums<'a> {
    /// Share of every instance in every label, `n_labels × n_instances`.
    shares: Csr,
    x: Cow<'a, Features>,
}

impl LabelFeatures {
    /// As [`compute_with`](Self::compute_with), but `pifa` may stay undone: where instances have many labels and the sums would have
    /// many times the entries of what they are sums of, a tree that clusters balanced is grown faster, and in a fraction of the memory, from
    /// the instances ([`SummedRows`]). The features are the same but for rounding.
    ///
    /// # Errors
    /// As [`compute_with`](Self::compute_with).
    pub fn rows_with<'a>(
        self,
        x: &'a Features,
        y: &Csr,
        inputs: &LabelFeatureInputs<'_>,
    ) -> Result<LabelRows<'a>, TreeError> {
        if self != Self::Pifa || inputs.sketch.is_some() {
            return Ok(LabelRows::Made(Cow::Owned(self.compute_with(x, y, inputs)?)));
        }
        inputs.check(x, y)?;
        Ok(LabelRows::Sums(LabelSums::new(inputs.shares(y), x, inputs.own)?))
    }
}

impl LabelRows<'_> {
    /// Number of labels.
    pub fn n_labels(&self) -> usize {
        match self {
            Self::Made(features) => features.n_samples(),
            Self::Sums(sums) => sums.shares.n_rows(),
        }
    }

    /// The features themselves.
    pub(crate) fn make(&self) -> Result<Cow<'_, Features>, SparseError> {
        match self {
            Self::Made(features) => Ok(Cow::Borrowed(&**features)),
            Self::Sums(sums) => {
                let LabelSums { shares, x } = sums;
                Ok(Cow::Owned(Aggregate { shares, x, own: None, blend: Blend::Fallback }.compute()?))
            }
        }
    }
}

impl<'a> LabelSums<'a> {
    /// Sums by `shares`, a label whose instances have no features being what `own` says, if that is as wide as `x`.
    fn new(shares: Csr, x: &'a Features, own: Option<&Features>) -> Result<Self, SparseError> {
        let aggregate = Aggregate { shares: &shares, x, own, blend: Blend::Fallback };
        let bare = |own: &&Features| fits(own, x) && own.sparse().nnz() > 0;
        let Some(own) = own.filter(bare) else { return Ok(Self { shares, x: Cow::Borrowed(x) }) };
        let bare: Vec<usize> = (0..shares.n_rows()).filter(|&label| !aggregate.has_features(label)).collect();
        if bare.is_empty() {
            return Ok(Self { shares, x: Cow::Borrowed(x) });
        }
        // Such a label is the sum of one more instance: its own features.
        let mut instances = CsrBuilder::new();
        x.sparse().rows().for_each(|row| instances.push_sorted(row));
        bare.iter().for_each(|&label| instances.push_sorted(own.sparse().row(label)));
        let sparse = instances.finish(x.n_sparse())?;
        let dense = x.dense().map(|dense| {
            let empty = || ndarray::Array2::zeros((bare.len(), x.n_dense()));
            let own = own.dense().map_or_else(empty, |own| own.select(ndarray::Axis(0), &bare));
            ndarray::concatenate![ndarray::Axis(0), dense, own]
        });
        let mut shares_of = CsrBuilder::new();
        let mut more = (x.n_samples() as u32..).zip(&bare).peekable();
        for (label, row) in shares.rows().enumerate() {
            match more.next_if(|(_, bare)| **bare == label) {
                Some((instance, _)) => shares_of.push_row([(instance, 1.0)]),
                None => shares_of.push_sorted(row),
            }
        }
        let shares = shares_of.finish(x.n_samples() + bare.len())?;
        Ok(Self { shares, x: Cow::Owned(Features::new(sparse, dense)?) })
    }

    /// As clustering wants them.
    pub(crate) fn as_rows(&self, params: &TreeParams) -> SummedRows<'_> {
        SummedRows::new(&self.shares, &self.x).limits(params.node_entries, params.nodes_at_once)
    }
}
