//! `xmc bench`: how fast a model opens and answers, and what memory that takes.

use super::input::read_records;
use crate::args::BenchArgs;
use crate::console::{Console, count, print};
use crate::failure::usage;
use crate::memory;
use anyhow::{Context, Result};
use indicatif::DecimalBytes;
use serde::Serialize;
use std::borrow::Cow;
use std::time::{Duration, Instant};
use xmc::{Dataset, Features, Input, Model, NoProgress, OpenOptions, Purpose, ReadOptions, SearchParams};

/// Runs the command.
pub(crate) fn run(args: &BenchArgs, console: &Console) -> Result<()> {
    let options =
        ReadOptions { purpose: Purpose::Unlabelled, dense: args.dense.clone(), ..args.reading.options() };
    let test = read_records("test", &args.test, &options, console)?;
    test.check()?;
    if test.n_samples() == 0 {
        return Err(usage(format!("{}: there is no record to ask for", args.test.display())));
    }
    let bench = Bench { args, test: &test, features: features(args, &test)? };
    let progress = console.progress();
    progress.begin("measure", Some(args.repeats as u64), "rounds");
    let mut rounds = Vec::with_capacity(args.repeats);
    for _ in 0..args.repeats {
        rounds.push(bench.round()?);
        progress.advance(1);
    }
    progress.end();
    let report = Report::new(&bench.open()?, bench.n_queries(), &rounds);
    match args.json {
        true => print(serde_json::to_string(&report)?),
        false => print(report.summary(args)),
    }
}

/// What is asked for, as features. The model that makes them is closed before anything is measured.
fn features<'d>(args: &BenchArgs, test: &'d Dataset) -> Result<Cow<'d, Features>> {
    Ok(match &test.input {
        Input::Features(features) => Cow::Borrowed(features),
        Input::Text(_) => Cow::Owned(open(args)?.features(test, &NoProgress)?.into_owned()),
    })
}

fn open(args: &BenchArgs) -> Result<Model> {
    let options = OpenOptions { device: args.device.device, embedding_cache: None };
    Model::open_with(&args.model, &options).context("cannot open the model")
}

/// What is measured again and again.
struct Bench<'a> {
    args: &'a BenchArgs,
    test: &'a Dataset,
    features: Cow<'a, Features>,
}

/// Seconds that one round has found.
struct Round {
    open: f64,
    first: Latencies,
    from_text: Option<Latencies>,
    from_features: Latencies,
    /// Threads, and seconds for a query.
    batch: Vec<(usize, f64)>,
    memory: Option<u64>,
}

impl Bench<'_> {
    fn open(&self) -> Result<Model> {
        open(self.args)
    }

    fn n_queries(&self) -> usize {
        self.args.queries.min(self.test.n_samples())
    }

    /// A round: a model that is newly opened is asked one by one, again, and all at once.
    fn round(&self) -> Result<Round> {
        let before = memory::resident();
        let start = Instant::now();
        let model = self.open()?;
        let open = start.elapsed().as_secs_f64();
        let mut search = self.args.search.over(model.search());
        search.top_k = self.args.top_k.unwrap_or(search.top_k);
        let first = match self.ask_texts(&model, &search)? {
            Some(first) => first,
            None => self.ask_features(&model, &search)?,
        };
        let memory = memory::resident().zip(before).map(|(after, before)| after.saturating_sub(before));
        let all = rayon::current_num_threads();
        let threads = match all {
            _ if self.args.no_batch => vec![],
            1 => vec![1],
            all => vec![1, all],
        };
        Ok(Round {
            open,
            first,
            from_text: self.ask_texts(&model, &search)?,
            from_features: self.ask_features(&model, &search)?,
            batch: threads.into_iter().map(|n| self.batch(&model, &search, n)).collect::<Result<_>>()?,
            memory,
        })
    }

    /// Queries that begin with a text; none where the data have none, or something beside it.
    fn ask_texts(&self, model: &Model, search: &SearchParams) -> Result<Option<Latencies>> {
        let Input::Text(texts) = &self.test.input else { return Ok(None) };
        if self.test.dense.is_some() {
            return Ok(None);
        }
        let mut predictor = model.predictor();
        let asked = texts.iter().take(self.n_queries()).map(|text| {
            let start = Instant::now();
            predictor.predict(text, search)?;
            Ok(start.elapsed())
        });
        Ok(Some(Latencies::new(asked.collect::<Result<_>>()?)))
    }

    fn ask_features(&self, model: &Model, search: &SearchParams) -> Result<Latencies> {
        let mut predictor = model.predictor();
        let asked = (0..self.n_queries()).map(|row| {
            let start = Instant::now();
            predictor.predict_row(self.features.row(row), search)?;
            Ok(start.elapsed())
        });
        Ok(Latencies::new(asked.collect::<Result<_>>()?))
    }

    /// Seconds for a query when all records are asked for at once.
    fn batch(&self, model: &Model, search: &SearchParams, n_threads: usize) -> Result<(usize, f64)> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build()?;
        let start = Instant::now();
        pool.install(|| {
            model.rank_features(&self.features, search, &NoProgress).map(drop).map_err(Box::new)
        })?;
        Ok((n_threads, start.elapsed().as_secs_f64() / self.test.n_samples() as f64))
    }
}

/// How long queries took, in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
struct Latencies {
    mean: f64,
    p50: f64,
    p99: f64,
}

impl Latencies {
    /// Percentiles by nearest rank; at least one query was asked.
    fn new(mut taken: Vec<Duration>) -> Self {
        taken.sort_unstable();
        let micros = |taken: Duration| 1e6 * taken.as_secs_f64();
        let at = |percent: usize| micros(taken[(taken.len() * percent).div_ceil(100) - 1]);
        Self { mean: micros(taken.iter().sum()) / taken.len() as f64, p50: at(50), p99: at(99) }
    }

    /// Each number the median of several.
    fn median(of: &[Self]) -> Self {
        let each = |number: fn(&Self) -> f64| median(of.iter().map(number));
        Self { mean: each(|l| l.mean), p50: each(|l| l.p50), p99: each(|l| l.p99) }
    }
}

/// The middle one, the lower of two.
fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_unstable_by(f64::total_cmp);
    numbers[(numbers.len() - 1) / 2]
}

/// Medians of all rounds.
#[derive(Serialize)]
struct Report {
    n_labels: usize,
    model_bytes: u64,
    queries: usize,
    open_s: f64,
    first_us: Latencies,
    #[serde(skip_serializing_if = "Option::is_none")]
    single_text_us: Option<Latencies>,
    single_us: Latencies,
    batch: Vec<Throughput>,
    /// What the first pass has brought into memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_bytes: Option<u64>,
}

#[derive(Serialize)]
struct Throughput {
    threads: usize,
    us_per_query: f64,
    queries_per_s: f64,
}

impl Report {
    fn new(model: &Model, queries: usize, rounds: &[Round]) -> Self {
        let all = |of: fn(&Round) -> Latencies| Latencies::median(&rounds.iter().map(of).collect::<Vec<_>>());
        let texts: Option<Vec<Latencies>> = rounds.iter().map(|round| round.from_text).collect();
        let batch = rounds[0].batch.iter().enumerate().map(|(at, &(threads, _))| {
            let seconds = median(rounds.iter().map(|round| round.batch[at].1));
            Throughput { threads, us_per_query: 1e6 * seconds, queries_per_s: 1.0 / seconds }
        });
        Self {
            n_labels: model.n_labels(),
            model_bytes: model.container().manifest().total_bytes(),
            queries,
            open_s: median(rounds.iter().map(|round| round.open)),
            first_us: all(|round| round.first),
            single_text_us: texts.map(|texts| Latencies::median(&texts)),
            single_us: all(|round| round.from_features),
            batch: batch.collect(),
            // Later rounds find buffers of the first ones.
            memory_bytes: rounds[0].memory,
        }
    }

    fn summary(&self, args: &BenchArgs) -> String {
        let line = |name: &str, l: &Latencies, what: &str| {
            format!("{name:<12} p50 {:>8}   p99 {:>8}   {what}", micros(l.p50), micros(l.p99))
        };
        let mut lines = vec![
            format!(
                "{}: {}, {}; {} one by one, medians of {}",
                args.model.display(),
                count(self.n_labels, "label"),
                DecimalBytes(self.model_bytes),
                count(self.queries, "record"),
                count(args.repeats, "round"),
            ),
            format!("{:<12} {:.1} ms", "open", 1e3 * self.open_s),
            line("first pass", &self.first_us, "nothing in memory before"),
        ];
        if let Some(from_text) = &self.single_text_us {
            lines.push(line("one query", from_text, "from text"));
        }
        lines.push(line("one query", &self.single_us, "from features"));
        for Throughput { threads, us_per_query, queries_per_s } in &self.batch {
            let per_second = count(queries_per_s.round() as u64, "record");
            let threads = count(*threads, "thread");
            lines.push(format!(
                "{:<12} {} a record   {per_second} a second on {threads}",
                "batch",
                micros(*us_per_query)
            ));
        }
        if let Some(memory) = self.memory_bytes {
            lines.push(format!("{:<12} {}", "memory", DecimalBytes(memory)));
        }
        lines.join("\n")
    }
}

/// Microseconds, or milliseconds where these are better to read.
fn micros(micros: f64) -> String {
    match micros {
        m if m < 100.0 => format!("{m:.1} µs"),
        m if m < 10_000.0 => format!("{m:.0} µs"),
        m => format!("{:.1} ms", m / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let taken = (1..=200).rev().map(Duration::from_micros).collect();
        let Latencies { mean, p50, p99 } = Latencies::new(taken);
        let near = |a: f64, b: f64| (a - b).abs() < 1e-6;
        assert!(near(mean, 100.5) && near(p50, 100.0) && near(p99, 198.0), "{mean} {p50} {p99}");
        let one = Latencies::new(vec![Duration::from_micros(7)]);
        assert!(near(one.p50, 7.0) && near(one.p99, 7.0));
    }

    #[test]
    fn times_are_readable() {
        assert_eq!([0.5, 123.4, 45_678.0].map(micros), ["0.5 µs", "123 µs", "45.7 ms"]);
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
    }
}
