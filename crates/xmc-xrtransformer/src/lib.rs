//! Transformer encoders on libtorch.
//!
//! [`Encoder`] turns texts into vectors: BERT, MiniLM, DistilBERT, RoBERTa and XLM-R, read from a directory as Hugging Face has
//! them. It stands behind [`xmc_embed::TextEncoder`], as every other encoder does.
//!
//! [`FineTuner`] fine-tunes one on a label tree, level by level; [`LevelTrainer`] is one level.
//!
//! The crate is built on `tch` and needs libtorch: `cargo xtask torch` fetches it. One program runs on processors and, where
//! PyTorch's CUDA libraries can be found, on GPUs ([`DeviceChoice`]).
//!
//! ```no_run
//! use xmc_embed::TextEncoder;
//! use xmc_sparse::NoProgress;
//! use xmc_xrtransformer::{Encoder, EncoderParams};
//!
//! let encoder = Encoder::open("all-MiniLM-L6-v2", &EncoderParams::default())?;
//! let mut vectors = vec![0.0; 2 * encoder.n_dims()];
//! encoder.encode(&["forest hydrology", "growing roses"], &NoProgress, &mut vectors)?;
//! # Ok::<(), xmc_xrtransformer::TransformerError>(())
//! ```

mod architecture;
mod batch;
mod config;
mod cuda;
mod device;
mod encode;
mod encoder;
mod error;
mod files;
mod level;
mod network;
mod normal;
mod params;
#[cfg(test)]
mod parity;
mod parts;
mod resolution;
mod scratch;
mod tokenizer;
mod tokens;
mod weights;

pub use encoder::Encoder;
pub use error::TransformerError;
pub use level::{
    AllClusters, Candidates, Flow, LearningPoint, LevelHead, LevelLoss, LevelParams, LevelProblem,
    LevelTrainer,
};
pub use params::EncoderParams;
pub use resolution::{Bootstrap, Corpus, CurvePoint, FineTuneParams, FineTuner, LevelReport};
pub use scratch::ScratchParams;
pub use tokens::TokenRows;
pub use xmc_embed::{DeviceChoice, Pooling, UnknownDevice};
