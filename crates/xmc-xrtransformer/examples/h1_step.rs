//! x
use xmc_sparse::{Csr, NoProgress};
use xmc_xrtransformer::*;
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let texts = std::fs::read_to_string(&args[1])?;
    let texts: Vec<_> = texts.lines().collect();
    let encoder = Encoder::open(&args[0], &EncoderParams::default())?;
    let tokens = encoder.tokenize(&texts);
    println!("{} tokens/text", tokens.n_tokens() as f64 / texts.len() as f64);
    let n = 5000u32;
    let positives = Csr::from_rows(n as usize, (0..texts.len() as u32).map(|r| vec![(r * 7 % n, 1.0)]))?;
    let candidates = Csr::from_rows(
        n as usize,
        (0..texts.len() as u32).map(|r| (0..500u32).map(move |c| ((r * 31 + c * 10) % n, 1.0))),
    )?;
    let mut params = LevelParams::default();
    params.n_steps = args[2].parse()?;
    params.report_every = 5;
    params.max_candidates = 500;
    let mut trainer = LevelTrainer::new(encoder, &LevelHead::random(n as usize, 384, 0), params)?;
    let start = std::time::Instant::now();
    let problem = LevelProblem { tokens: &tokens, positives: &positives, candidates: &candidates };
    trainer.train(&problem, &NoProgress, |_, point| {
        println!("{:?} {:.2}", point, start.elapsed().as_secs_f64());
        Ok::<_, Box<TransformerError>>(Flow::Continue)
    })?;
    Ok(())
}
