//! An encoder from outside: results, storage, and every way that its files can be wrong.

// A test that unwraps fails with a line number, which is what a test is for.
#![allow(clippy::unwrap_used)]

mod errors;
mod level;
mod resolution;
mod storing;
mod using;

use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use xmc_embed::TextEncoder;
use xmc_sparse::NoProgress;
use xmc_xrtransformer::{DeviceChoice, Encoder, EncoderParams};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/tiny-bert")
}

fn params() -> EncoderParams {
    EncoderParams::default().device(DeviceChoice::Cpu)
}

fn open() -> Encoder {
    Encoder::open(fixture(), &params()).unwrap()
}

fn encode(encoder: &Encoder, texts: &[&str]) -> Vec<Vec<f32>> {
    let mut out = vec![f32::NAN; texts.len() * encoder.n_dims()];
    encoder.encode(texts, &NoProgress, &mut out).unwrap();
    out.chunks(encoder.n_dims()).map(<[f32]>::to_vec).collect()
}

/// A copy of the fixture, to be damaged.
fn copy() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json"] {
        fs::copy(fixture().join(name), dir.path().join(name)).unwrap();
    }
    dir
}

fn furthest(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}
