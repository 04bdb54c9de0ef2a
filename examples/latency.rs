//! How long one query takes, from text to labels, one after the other on one thread.
//!
//! ```sh
//! cargo run --release --example latency -- MODEL TITLES [QUERIES]
//! ```
//!
//! Prints the time to open the model (and to answer the first query, which brings its pages into memory) and the median and
//! 99th percentile of the queries that follow.

use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};
use xmc::{Input, Model, ReadOptions, RecordReader};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    ensure!(args.len() >= 2, "usage: latency MODEL TITLES [QUERIES]");
    let n_queries: usize = args.get(2).map_or(Ok(10_000), |n| n.parse()).context("QUERIES is a number")?;
    let mut reader = RecordReader::open(&args[1], &ReadOptions::unlabelled())?;
    let batch = reader.next_batch(n_queries)?.context("the file is empty")?;
    let Input::Text(texts) = &batch.input else { anyhow::bail!("{} holds features, not text", args[1]) };

    let start = Instant::now();
    let model = Model::open(&args[0])?;
    let opened = start.elapsed();
    let mut predictor = model.predictor();
    let search = model.search();
    predictor.predict(&texts[0], &search)?;
    println!("open {:.2} ms, with the first answer {:.2} ms", ms(opened), ms(start.elapsed()));

    // Two rounds: the first one warms the caches, as a service that runs is warm.
    for name in ["first round", "second round"] {
        let mut times = texts
            .iter()
            .map(|text| {
                let start = Instant::now();
                predictor.predict(text, &search)?;
                Ok(start.elapsed())
            })
            .collect::<Result<Vec<Duration>>>()?;
        times.sort_unstable();
        let at = |share: f64| 1e3 * ms(times[((times.len() - 1) as f64 * share) as usize]);
        println!(
            "{name}: {} queries, p50 {:.1} us, p99 {:.1} us, max {:.1} us",
            times.len(),
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
    Ok(())
}

fn ms(time: Duration) -> f64 {
    1e3 * time.as_secs_f64()
}
