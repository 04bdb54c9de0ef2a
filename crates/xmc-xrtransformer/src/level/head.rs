//! The label head: a weight vector and a bias for each cluster of a level, and their optimiser.
//!
//! A step concerns the clusters that some of its instances are scored for. Only their rows are read and changed, as in PyTorch's
//! `SparseAdam`: the others' moments wait as they are.

use super::adam::{self, Rates};
use super::problem::Targets;
use crate::normal::Normal;
use crate::{LevelLoss, TransformerError};
use tch::{Device, Kind, Tensor};

type Result<T> = std::result::Result<T, TransformerError>;

/// Weights and biases of the clusters of a level.
#[derive(Debug, Clone, PartialEq)]
pub struct LevelHead {
    /// Width of the encoder's vectors.
    pub n_dims: usize,
    /// A row for each cluster.
    pub weights: Vec<f32>,
    /// One for each cluster.
    pub biases: Vec<f32>,
}

impl LevelHead {
    /// A head of `n_clusters` with normally distributed weights of standard deviation 0.02 and biases 0: no bootstrap.
    pub fn random(n_clusters: usize, n_dims: usize, seed: u64) -> Self {
        let mut normal = Normal::new(seed, 2);
        let weights = (0..n_clusters * n_dims).map(|_| 0.02 * normal.next()).collect();
        Self { n_dims, weights, biases: vec![0.0; n_clusters] }
    }

    /// A head with the weights of the clusters above: each cluster inherits those of the one that it is below.
    ///
    /// # Panics
    /// When a parent's number is not that of a cluster of `above`.
    pub fn inherit(above: &Self, parents: &[u32]) -> Self {
        let n_dims = above.n_dims;
        let row = |&parent: &u32| &above.weights[parent as usize * n_dims..][..n_dims];
        let biases = parents.iter().map(|&parent| above.biases[parent as usize]).collect();
        Self { n_dims, weights: parents.iter().flat_map(row).copied().collect(), biases }
    }

    /// Number of clusters.
    pub fn n_clusters(&self) -> usize {
        self.biases.len()
    }
}

/// A head in training. The bias is the last column of the weights: a text's vector has a 1 there.
pub(super) struct Head {
    pub(super) weights: Tensor,
    /// Means of gradients and of their squares.
    pub(super) moments: [Tensor; 2],
}

/// The rows of a step, apart from the others, where gradients gather.
pub(super) struct ActiveRows {
    clusters: Tensor,
    weights: Tensor,
}

impl Head {
    pub(super) fn new(head: &LevelHead, device: Device) -> Result<Self> {
        let shape = [head.n_clusters() as i64, head.n_dims as i64];
        let weights = Tensor::f_from_slice(&head.weights)?.f_view(shape)?;
        let biases = Tensor::f_from_slice(&head.biases)?.f_view([shape[0], 1])?;
        let weights = Tensor::f_cat(&[weights, biases], 1)?.f_to_device(device)?;
        let moments = [weights.f_zeros_like()?, weights.f_zeros_like()?];
        Ok(Self { weights, moments })
    }

    pub(super) fn n_clusters(&self) -> usize {
        crate::encoder::size(self.weights.size()[0])
    }

    pub(super) fn to_plain(&self) -> Result<LevelHead> {
        let weights = self.weights.f_to_device(Device::Cpu)?;
        let n_dims = weights.size()[1] - 1;
        let plain =
            |tensor: Tensor| -> Result<Vec<f32>> { Ok(Vec::try_from(tensor.f_contiguous()?.f_view([-1])?)?) };
        Ok(LevelHead {
            n_dims: crate::encoder::size(n_dims),
            weights: plain(weights.f_narrow(1, 0, n_dims)?)?,
            biases: plain(weights.f_select(1, n_dims)?)?,
        })
    }

    /// The rows of `clusters`, ready for gradients.
    pub(super) fn active(&self, clusters: &[i64]) -> Result<ActiveRows> {
        let clusters = Tensor::f_from_slice(clusters)?.f_to_device(self.weights.device())?;
        let weights = self.weights.f_index_select(0, &clusters)?.f_set_requires_grad(true)?;
        Ok(ActiveRows { clusters, weights })
    }

    /// One step of Adam on the rows that had gradients.
    pub(super) fn update(&mut self, active: &ActiveRows, rates: &Rates, max_gradient: f64) -> Result<()> {
        let gradient = active.weights.f_grad()?;
        let scale = adam::clip([&gradient], max_gradient)?;
        let mut rows = active.weights.f_detach()?;
        let mut moments = [
            self.moments[0].f_index_select(0, &active.clusters)?,
            self.moments[1].f_index_select(0, &active.clusters)?,
        ];
        adam::step(&mut rows, &gradient.f_mul_scalar(scale)?, &mut moments, rates, 0.0)?;
        let _ = self.weights.f_index_copy_(0, &active.clusters, &rows)?;
        for (all, some) in self.moments.iter_mut().zip(&moments) {
            let _ = all.f_index_copy_(0, &active.clusters, some)?;
        }
        Ok(())
    }
}

impl ActiveRows {
    /// The loss of texts with the vectors `x` (`texts × n_dims`): the mean over texts of the mean over their clusters.
    pub(super) fn loss(&self, x: &Tensor, targets: &Targets, loss: LevelLoss) -> Result<Tensor> {
        let device = x.device();
        let shape = [x.size()[0], targets.n_candidates as i64];
        let ones = Tensor::f_ones([shape[0], 1], (Kind::Float, device))?;
        let x = Tensor::f_cat(&[x, &ones], 1)?;
        let numbers = |values: &[f32]| -> Result<Tensor> {
            Ok(Tensor::f_from_slice(values)?.f_view(shape)?.f_to_device(device)?)
        };
        let places = Tensor::f_from_slice(&targets.places)?.f_view(shape)?.f_to_device(device)?;
        let scores = x.f_matmul(&self.weights.f_transpose(0, 1)?)?.f_gather(1, &places, false)?;
        let (signs, weights) = (numbers(&targets.signs)?, numbers(&targets.weights)?);
        let losses = match loss {
            LevelLoss::CrossEntropy => return cross_entropy(&scores, &signs, &weights),
            LevelLoss::Hinge => margin_loss(&scores, &signs)?,
            LevelLoss::SquaredHinge => margin_loss(&scores, &signs)?.f_square()?,
        };
        Ok(losses.f_mul(&weights)?.f_sum(Kind::Float)?.f_div_scalar(shape[0])?)
    }
}

fn margin_loss(scores: &Tensor, signs: &Tensor) -> Result<Tensor> {
    Ok(scores.f_mul(signs)?.f_neg()?.f_add_scalar(1.0)?.f_relu()?)
}

/// Positives share the mass by their weights; a text without positives has no loss.
fn cross_entropy(scores: &Tensor, signs: &Tensor, weights: &Tensor) -> Result<Tensor> {
    let padding = weights.f_eq(0.0)?;
    let log_shares = scores.f_masked_fill(&padding, f64::NEG_INFINITY)?.f_log_softmax(1, Kind::Float)?;
    let positive = signs.f_gt(0.0)?.f_to_kind(Kind::Float)?.f_mul(weights)?;
    let mass = positive.f_sum_dim_intlist(1, true, Kind::Float)?.f_clamp_min(f64::MIN_POSITIVE)?;
    let shares = positive.f_div(&mass)?;
    // Where it is padding, 0 · −∞ would be NaN.
    let losses =
        log_shares.f_masked_fill(&padding, 0.0)?.f_mul(&shares)?.f_sum_dim_intlist(1, false, Kind::Float)?;
    Ok(losses.f_neg()?.f_mean(Kind::Float)?)
}
