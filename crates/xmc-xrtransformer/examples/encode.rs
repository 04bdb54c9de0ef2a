//! Encodes the lines of a file, says how long it took, and writes the vectors: `encode DIRECTORY TEXTS ROUNDS VECTORS`.
//!
//! The vectors are written as little-endian `f32`, row by row. `benches/encoder/run.py` compares time and vectors with
//! Python's.

use std::io::{BufWriter, Write};
use std::time::Instant;
use xmc_embed::TextEncoder;
use xmc_sparse::NoProgress;
use xmc_xrtransformer::{Encoder, EncoderParams};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [dir, texts, rounds, vectors, options @ ..] = &args[..] else {
        return Err("usage: encode DIRECTORY TEXTS ROUNDS VECTORS [BATCH_TOKENS [DEVICE]]".into());
    };
    let mut params = EncoderParams::default();
    if let Some(tokens) = options.first() {
        params = params.batch_tokens(Some(tokens.parse()?));
    }
    if let Some(device) = options.get(1) {
        params = params.device(device.parse()?);
    }
    let texts = std::fs::read_to_string(texts)?;
    let texts: Vec<_> = texts.lines().collect();
    let encoder = Encoder::open(dir, &params)?;
    let mut out = vec![0.0; texts.len() * encoder.n_dims()];
    // The first one warms up.
    for _ in 0..=rounds.parse()? {
        let start = Instant::now();
        encoder.encode(&texts, &NoProgress, &mut out)?;
        println!("{}", start.elapsed().as_secs_f64());
    }
    let mut file = BufWriter::new(std::fs::File::create(vectors)?);
    out.iter().try_for_each(|x| file.write_all(&x.to_le_bytes()))?;
    Ok(file.flush()?)
}
