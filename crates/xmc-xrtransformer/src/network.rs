//! The network: token embeddings, layers of attention, pooling.
//!
//! Vaswani et al., *Attention Is All You Need* (2017), in the form of Devlin et al. (2019): each half of a layer is added to
//! what came in and then normalised. Tensors share their memory with the [`Weights`] that they were made from, so that a
//! network is cheap to make, one for each thread.

use crate::Pooling;
use crate::TransformerError;
use crate::batch::Batch;
use crate::config::{Activation, Config};
use crate::weights::Weights;
use tch::{Kind, Tensor};

type Result<T> = std::result::Result<T, TransformerError>;

/// What matrices are multiplied in. What layers add up, normalisations and gradients of weights are 32 bits wide always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Products {
    /// 32 bits.
    Full,
    /// bfloat16: half the memory of activations, and on GPUs several times as fast.
    Bf16,
}

/// A network on its weights.
pub(crate) struct Network {
    tokens: Tensor,
    positions: Tensor,
    token_types: Option<Tensor>,
    norm: Norm,
    layers: Vec<Layer>,
    config: Config,
    products: Products,
}

/// Half of a layer mixes tokens, the other half features.
struct Layer {
    attention: Attention,
    attention_norm: Norm,
    up: Linear,
    down: Linear,
    norm: Norm,
}

struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
}

struct Linear {
    weight: Tensor,
    bias: Tensor,
    products: Products,
}

struct Norm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

/// Shares of activations that are dropped; none where a network is used and not trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Dropout {
    hidden: f64,
    attention: f64,
}

impl Dropout {
    /// For use: the network as it is.
    pub(crate) const NONE: Self = Self { hidden: 0.0, attention: 0.0 };

    /// For training: what the configuration says.
    pub(crate) fn of(config: &Config) -> Self {
        Self { hidden: config.dropout, attention: config.attention_dropout }
    }

    fn apply(self, x: Tensor) -> Result<Tensor> {
        if self.hidden == 0.0 { Ok(x) } else { Ok(x.f_dropout(self.hidden, true)?) }
    }
}

impl Network {
    /// The network of `config` on `weights`, which have all of its tensors.
    ///
    /// # Errors
    /// [`TransformerError::Torch`].
    pub(crate) fn new(config: &Config, weights: &Weights, products: Products) -> Result<Self> {
        let table = |name: &str| get(weights, &format!("embeddings.{name}_embeddings.weight"));
        let token_types = (config.n_token_types > 0).then(|| table("token_type"));
        let layers = (0..config.n_layers).map(|layer| Layer::new(config, weights, products, layer));
        Ok(Self {
            tokens: table("word"),
            positions: table("position"),
            token_types,
            norm: Norm::new(weights, "embeddings.LayerNorm", config.norm_eps),
            layers: layers.collect::<Result<_>>()?,
            config: config.clone(),
            products,
        })
    }

    /// The vectors of the tokens of a batch: `texts × length × n_dims`.
    pub(crate) fn token_vectors(&self, batch: &Batch, dropout: Dropout) -> Result<Tensor> {
        let mut x = self.embed(batch, dropout)?;
        let mask = batch.attention_mask()?.map(|mask| self.products.cast(&mask)).transpose()?;
        for layer in &self.layers {
            x = layer.forward(&x, mask.as_ref(), &self.config, dropout)?;
        }
        Ok(x)
    }

    /// The vectors of the texts of a batch: `texts × n_dims`, not normalised.
    pub(crate) fn pooled(&self, batch: &Batch, pooling: Pooling, dropout: Dropout) -> Result<Tensor> {
        let x = self.token_vectors(batch, dropout)?;
        match pooling {
            Pooling::Cls => Ok(x.f_select(1, 0)?),
            Pooling::Mean | Pooling::Auto => batch.mean(&x),
        }
    }

    fn embed(&self, batch: &Batch, dropout: Dropout) -> Result<Tensor> {
        let tokens = Tensor::f_embedding(&self.tokens, batch.ids(), self.config.padding_id, false, false)?;
        let mut positions = self.positions.f_narrow(0, self.config.first_position(), batch.length())?;
        if let Some(token_types) = &self.token_types {
            // A text on its own is of the first type throughout.
            positions = positions.f_add(&token_types.f_narrow(0, 0, 1)?)?;
        }
        dropout.apply(self.norm.forward(&tokens.f_add(&positions)?)?)
    }
}

impl Layer {
    fn new(config: &Config, weights: &Weights, products: Products, layer: usize) -> Result<Self> {
        let names = config.architecture.names;
        let name = |part: &str| format!("{}.{layer}.{part}", names.layer);
        let linear = |part: &str| Linear::new(weights, &name(part), products);
        let norm = |part: &str| Norm::new(weights, &name(part), config.norm_eps);
        Ok(Self {
            attention: Attention {
                query: linear(names.query)?,
                key: linear(names.key)?,
                value: linear(names.value)?,
                output: linear(names.attention_output)?,
            },
            attention_norm: norm(names.attention_norm),
            up: linear(names.up)?,
            down: linear(names.down)?,
            norm: norm(names.norm),
        })
    }

    fn forward(
        &self,
        x: &Tensor,
        mask: Option<&Tensor>,
        config: &Config,
        dropout: Dropout,
    ) -> Result<Tensor> {
        let mixed = dropout.apply(self.attention.forward(x, mask, config.n_heads, dropout)?)?;
        let x = self.attention_norm.forward(&mixed.f_add(x)?)?;
        let inner = activate(&self.up.forward(&x)?, config.activation)?;
        let out = dropout.apply(self.down.forward(&inner)?)?;
        self.norm.forward(&out.f_add(&x)?)
    }
}

impl Attention {
    fn forward(&self, x: &Tensor, mask: Option<&Tensor>, n_heads: i64, dropout: Dropout) -> Result<Tensor> {
        let (texts, length, hidden) = x.size3()?;
        // texts × heads × length × width of a head
        let heads = |linear: &Linear| -> Result<Tensor> {
            let all = linear.forward(x)?;
            Ok(all.f_view([texts, length, n_heads, hidden / n_heads])?.f_transpose(1, 2)?)
        };
        let (query, key, value) = (heads(&self.query)?, heads(&self.key)?, heads(&self.value)?);
        let mixed = Tensor::f_scaled_dot_product_attention(
            &query,
            &key,
            &value,
            mask,
            dropout.attention,
            false,
            None,
            false,
        )?;
        self.output.forward(&mixed.f_transpose(1, 2)?.f_reshape([texts, length, hidden])?)
    }
}

impl Products {
    /// `x` as it is multiplied: gradients flow through.
    fn cast(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Full => Ok(x.shallow_clone()),
            Self::Bf16 => Ok(x.f_to_kind(Kind::BFloat16)?),
        }
    }
}

impl Linear {
    fn new(weights: &Weights, name: &str, products: Products) -> Result<Self> {
        let part = |part: &str| products.cast(&get(weights, &format!("{name}.{part}")));
        Ok(Self { weight: part("weight")?, bias: part("bias")?, products })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.products.cast(x)?.f_linear(&self.weight, Some(&self.bias))?)
    }
}

impl Norm {
    fn new(weights: &Weights, name: &str, eps: f64) -> Self {
        let part = |part: &str| get(weights, &format!("{name}.{part}"));
        Self { weight: part("weight"), bias: part("bias"), eps }
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let width = self.weight.size();
        Ok(x.f_layer_norm(&width[..], Some(&self.weight), Some(&self.bias), self.eps, true)?)
    }
}

fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    Ok(match activation {
        Activation::Gelu => x.f_gelu("none")?,
        Activation::GeluTanh => x.f_gelu("tanh")?,
        Activation::Relu => x.f_relu()?,
    })
}

fn get(weights: &Weights, name: &str) -> Tensor {
    weights.get(name).expect("invariant: weights have all tensors of their network").shallow_clone()
}
