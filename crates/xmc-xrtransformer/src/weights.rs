//! Weights by name, in and out of the safetensors format.
//!
//! In memory a tensor has the name that `transformers` gives it, without the prefix of a larger model, and is of `f32`.

use crate::TransformerError;
use crate::config::Config;
use safetensors::tensor::{Dtype, TensorView, View};
use safetensors::{SafeTensorError, SafeTensors};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// All tensors of a network, in the order of their names.
pub(crate) type Weights = BTreeMap<String, Tensor>;

/// Names and shapes of the tensors of a network.
pub(crate) fn shapes(config: &Config) -> Vec<(String, Vec<i64>)> {
    let names = config.architecture.names;
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let mut all = vec![
        ("embeddings.word_embeddings.weight".to_owned(), vec![config.n_tokens, hidden]),
        ("embeddings.position_embeddings.weight".to_owned(), vec![config.n_positions, hidden]),
    ];
    if config.n_token_types > 0 {
        all.push(("embeddings.token_type_embeddings.weight".to_owned(), vec![config.n_token_types, hidden]));
    }
    let mut put = |name: String, shape: &[i64]| {
        all.push((format!("{name}.weight"), shape.to_vec()));
        all.push((format!("{name}.bias"), vec![shape[0]]));
    };
    put("embeddings.LayerNorm".to_owned(), &[hidden]);
    for layer in 0..config.n_layers {
        let mut put = |part: &str, shape: &[i64]| put(format!("{}.{layer}.{part}", names.layer), shape);
        for part in [names.query, names.key, names.value, names.attention_output] {
            put(part, &[hidden, hidden]);
        }
        put(names.attention_norm, &[hidden]);
        put(names.up, &[inner, hidden]);
        put(names.down, &[hidden, inner]);
        put(names.norm, &[hidden]);
    }
    all
}

/// Reads the tensors of a network; others, such as the head that it was pretrained with, are left.
pub(crate) fn read(bytes: &[u8], path: &Path, config: &Config) -> Result<Weights, TransformerError> {
    read_named(bytes, path, shapes(config), config.architecture.prefix)
}

/// Reads tensors of these names and shapes; their names may have a prefix in the file.
pub(crate) fn read_named(
    bytes: &[u8],
    path: &Path,
    shapes: Vec<(String, Vec<i64>)>,
    prefix: &'static str,
) -> Result<Weights, TransformerError> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|source| TransformerError::Weights { path: path.to_owned(), source })?;
    let read_one = |(name, shape): (String, Vec<i64>)| match find(&file, &name, prefix) {
        Some(view) => {
            let tensor = tensor(&view, &name, path, shape)?;
            Ok((name, tensor))
        }
        None => Err(TransformerError::TensorMissing { path: path.to_owned(), name, prefix }),
    };
    shapes.into_iter().map(read_one).collect()
}

/// The tensor under its name, with a prefix, or under the name that the first BERT checkpoints have.
fn find<'a>(file: &SafeTensors<'a>, name: &str, prefix: &str) -> Option<TensorView<'a>> {
    let old = match name.rsplit_once(".LayerNorm.") {
        Some((layer, "weight")) => format!("{layer}.LayerNorm.gamma"),
        Some((layer, _)) => format!("{layer}.LayerNorm.beta"),
        None => name.to_owned(),
    };
    let with = |name: &str| file.tensor(name).or_else(|_| file.tensor(&format!("{prefix}{name}"))).ok();
    with(name).or_else(|| with(&old))
}

fn tensor(
    view: &TensorView<'_>,
    name: &str,
    path: &Path,
    expected: Vec<i64>,
) -> Result<Tensor, TransformerError> {
    let (path, name) = (path.to_owned(), name.to_owned());
    let kind = match view.dtype() {
        Dtype::F64 => Kind::Double,
        Dtype::F32 => Kind::Float,
        Dtype::F16 => Kind::Half,
        Dtype::BF16 => Kind::BFloat16,
        other => return Err(TransformerError::TensorKind { path, name, found: format!("{other:?}") }),
    };
    let found: Vec<i64> = view.shape().iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX)).collect();
    if found != expected {
        return Err(TransformerError::TensorShape { path, name, expected, found });
    }
    let tensor = Tensor::f_from_data_size(view.data(), &found, kind)?.f_to_kind(Kind::Float)?;
    // One reduction says it: a sum is finite unless an addend is not, or unless it overflows, which `f64` does not.
    if !tensor.f_sum(Kind::Double)?.f_double_value(&[])?.is_finite() {
        return Err(TransformerError::TensorNonFinite { path, name });
    }
    Ok(tensor)
}

/// The tensors as one safetensors file, which `transformers` reads too.
pub(crate) fn write(weights: &Weights) -> Result<Vec<u8>, TransformerError> {
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let views = weights.iter().map(|(name, tensor)| Ok((name.as_str(), Stored::new(tensor)?)));
    let views = views.collect::<Result<Vec<_>, TransformerError>>()?;
    safetensors::serialize(views, Some(metadata)).map_err(unwritable)
}

fn unwritable(source: SafeTensorError) -> TransformerError {
    TransformerError::Weights { path: "<memory>".into(), source }
}

/// A tensor on its way out: contiguous, of `f32`, in main memory.
struct Stored {
    tensor: Tensor,
    shape: Vec<usize>,
}

impl Stored {
    fn new(tensor: &Tensor) -> Result<Self, TransformerError> {
        let tensor = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?;
        let shape = tensor.size().iter().map(|&size| usize::try_from(size).unwrap_or(0)).collect();
        Ok(Self { tensor, shape })
    }
}

impl View for Stored {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = vec![0; self.data_len()];
        let copied = self.tensor.f_copy_data_u8(&mut bytes, self.tensor.numel());
        copied.expect("invariant: a contiguous f32 tensor in main memory");
        bytes.into()
    }

    fn data_len(&self) -> usize {
        self.tensor.numel() * size_of::<f32>()
    }
}
