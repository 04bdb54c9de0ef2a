//! An encoder: a network with its tokenizer, ready for use.

use crate::config::Config;
use crate::files::{self, Carried};
use crate::network::{Network, Products};
use crate::tokenizer::Tokenizer;
use crate::tokens::TokenRows;
use crate::weights::{self, Weights};
use crate::{EncoderParams, Pooling};
use crate::{TransformerError, device};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tch::{Device, Tensor};
use xxhash_rust::xxh3::Xxh3;

type Result<T> = std::result::Result<T, TransformerError>;

/// Turns texts into vectors by a BERT-like network.
///
/// It is read from a directory as Hugging Face has them ([`open`](Self::open)) or from a model
/// ([`load_parts`](Self::load_parts)), and used through [`xmc_embed::TextEncoder`].
pub struct Encoder {
    pub(crate) config: Config,
    pub(crate) carried: Carried,
    pub(crate) tokenizer: Tokenizer,
    /// With the pooling resolved.
    pub(crate) params: EncoderParams,
    pub(crate) device: Device,
    /// Tensors may be used by one thread at a time, so they are kept behind locks; networks share their memory.
    weights: Mutex<Weights>,
    idle: Mutex<Vec<Network>>,
    /// Lowered when memory does not suffice.
    batch_tokens: AtomicUsize,
    /// Whether memory did not suffice for it.
    was_lowered: AtomicBool,
    fingerprint: u64,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { config, params, device, .. } = self;
        f.debug_struct("Encoder")
            .field("config", config)
            .field("params", params)
            .field("device", device)
            .finish()
    }
}

impl Encoder {
    /// The encoder in `dir`: `config.json`, `model.safetensors`, and `vocab.txt` (BERT, DistilBERT), `vocab.json` and
    /// `merges.txt` (RoBERTa) or `sentencepiece.bpe.model` (XLM-R), with `tokenizer_config.json` and `1_Pooling/config.json`
    /// where they are there.
    ///
    /// # Errors
    /// All of [`TransformerError`] but those of use and of the container.
    pub fn open(dir: impl AsRef<Path>, params: &EncoderParams) -> Result<Self> {
        let dir = dir.as_ref();
        let path = dir.join(files::CONFIG);
        let config = Config::parse(&files::read(&path)?, &path)?;
        params.check(config.max_length())?;
        let pooling = match params.pooling {
            Pooling::Auto => files::pooling(dir)?,
            chosen => chosen,
        };
        let tokenizer = Tokenizer::open(dir, dir, params.max_length, size(config.n_tokens))?;
        let path = dir.join(files::WEIGHTS);
        let weights = weights::read(&files::read(&path)?, &path, &config)?;
        Self::assemble(config, Carried::read(dir)?, tokenizer, weights, params.pooling(pooling))
    }

    /// Puts the parts together on the device that `params` ask for; their pooling is resolved.
    pub(crate) fn assemble(
        config: Config,
        carried: Carried,
        tokenizer: Tokenizer,
        weights: Weights,
        params: EncoderParams,
    ) -> Result<Self> {
        let fingerprint = fingerprint(&carried, &weights, &params)?;
        let device = device::resolve(params.device)?;
        let to_device = |(name, tensor): (String, Tensor)| Ok((name, tensor.f_to_device(device)?));
        let weights = weights.into_iter().map(to_device).collect::<Result<Weights>>()?;
        let batch_tokens = params.batch_tokens.unwrap_or_else(|| default_batch_tokens(device));
        Ok(Self {
            idle: Mutex::new(Vec::new()),
            batch_tokens: AtomicUsize::new(batch_tokens),
            was_lowered: AtomicBool::new(false),
            weights: Mutex::new(weights),
            config,
            carried,
            tokenizer,
            params,
            device,
            fingerprint,
        })
    }

    /// The parameters, with `pooling` as it is done.
    pub fn params(&self) -> &EncoderParams {
        &self.params
    }

    /// Width of the vectors.
    pub fn n_dims(&self) -> usize {
        self.config.n_dims()
    }

    /// The device that it runs on, as [`crate::DeviceChoice`] would be written.
    pub fn device(&self) -> String {
        device::name(self.device)
    }

    /// The same for encoders that give the same vectors but for rounding, whatever they were read from: it depends on the
    /// configuration, the weights, the vocabulary, `max_length` and `pooling`.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Tokens that are in a batch, padding included: what was asked for, or less since memory did not suffice.
    pub fn batch_tokens(&self) -> usize {
        self.batch_tokens.load(Ordering::Relaxed)
    }

    /// Whether it is the first time.
    pub(crate) fn lower_batch_tokens(&self, to: usize) -> bool {
        self.batch_tokens.fetch_min(to.max(1), Ordering::Relaxed);
        !self.was_lowered.swap(true, Ordering::Relaxed)
    }

    /// Token numbers of texts, with those that begin and end one, cut to `max_length`.
    pub fn tokenize(&self, texts: &[&str]) -> TokenRows {
        self.tokenizer.encode_all(texts)
    }

    /// Writes the encoder to `dir`, as [`open`](Self::open) reads it.
    ///
    /// # Errors
    /// [`TransformerError::Io`], [`TransformerError::Torch`].
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        self.carried.write(dir.as_ref(), &self.weights(), self.params.pooling)
    }

    /// Lets gradients flow to the weights, and makes two tensors of zeros for each.
    pub(crate) fn begin_training(&self) -> Result<BTreeMap<String, [Tensor; 2]>> {
        let start = |(name, tensor): (&String, &Tensor)| {
            let _ = tensor.f_set_requires_grad(true)?;
            Ok((name.clone(), [tensor.f_detach()?.f_zeros_like()?, tensor.f_detach()?.f_zeros_like()?]))
        };
        self.weights().iter().map(start).collect()
    }

    /// The encoder after its weights have been changed.
    pub(crate) fn trained(self) -> Result<Self> {
        let weights = self.weights.into_inner().unwrap_or_else(PoisonError::into_inner);
        let plain = |(name, tensor): (String, Tensor)| {
            Ok((name, tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?))
        };
        let weights = weights.into_iter().map(plain).collect::<Result<Weights>>()?;
        Self::assemble(self.config, self.carried, self.tokenizer, weights, self.params)
    }

    /// Copies other weights into those that networks and gradients share.
    pub(crate) fn replace_weights(&self, weights: Weights) -> Result<()> {
        let mut mine = self.weights();
        tch::no_grad(|| {
            for (name, tensor) in weights {
                let to =
                    mine.get_mut(&name).expect("invariant: weights of one configuration have the same names");
                to.f_copy_(&tensor)?;
                let _ = to.f_set_requires_grad(true)?;
            }
            Ok(())
        })
    }

    pub(crate) fn weights(&self) -> MutexGuard<'_, Weights> {
        self.weights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lends a network to `work`: one that nobody uses, or a new one on the same weights.
    pub(crate) fn with_network<T>(&self, work: impl FnOnce(&Network) -> Result<T>) -> Result<T> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let found = idle().pop();
        let new = || Network::new(&self.config, &self.weights(), Products::Full);
        let network = found.map_or_else(new, Ok)?;
        let result = work(&network);
        idle().push(network);
        result
    }
}

/// On a processor a batch should stay in its caches; a GPU wants enough to do.
fn default_batch_tokens(device: Device) -> usize {
    match device {
        Device::Cpu => 2048,
        _ => 32_768,
    }
}

fn fingerprint(carried: &Carried, weights: &Weights, params: &EncoderParams) -> Result<u64> {
    let mut hash = Xxh3::new();
    // Lengths keep what follows from running into it.
    let mut put = |bytes: &[u8]| {
        hash.update(&(bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    put(&carried.config);
    carried.tokenizer.iter().for_each(|(name, bytes)| {
        put(name.as_bytes());
        put(bytes);
    });
    for (name, tensor) in weights {
        let mut bytes = vec![0; tensor.numel() * size_of::<f32>()];
        tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
        put(name.as_bytes());
        put(&bytes);
    }
    put(&(params.max_length as u64).to_le_bytes());
    put(&[u8::from(params.pooling == Pooling::Cls)]);
    Ok(hash.digest())
}

pub(crate) fn size(size: i64) -> usize {
    usize::try_from(size).expect("invariant: sizes are positive")
}
