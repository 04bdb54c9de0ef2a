//! Encoding generated titles with a table: `cargo bench -p xmc-embed`.
//!
//! Word frequencies follow Zipf's law and words have lengths as in English, so that rows of the table are in the caches as often as
//! with real text. One thread: what a query waits for.
// A bench that unwraps fails with a line number, as a test does.
#![allow(clippy::unwrap_used)]

use divan::Bencher;
use divan::counter::ItemsCount;
use ndarray::Array2;
use xmc_embed::{Precision, StaticParams, StaticTable, TableScratch, TextEncoder};

const N_TITLES: usize = 20_000;
const WORDS_PER_TITLE: usize = 9;
const N_WORDS: f64 = 100_000.0;

fn main() {
    divan::main();
}

/// Weyl sequence, mixed: enough randomness for text, and no dependency.
fn random(at: u64) -> u64 {
    let mixed = at.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 29)
}

fn word(at: u64) -> String {
    // The inverse of Zipf's distribution function: ranks are log-uniform.
    let rank = N_WORDS.powf(random(at) as f64 / u64::MAX as f64) as u64;
    let letters = random(rank ^ 0xabcd);
    (0..2 + letters % 9).map(|i| char::from(b'a' + (letters >> (5 * i + 4)) as u8 % 26)).collect()
}

fn titles() -> Vec<String> {
    let title = |t: usize| -> String {
        let words: Vec<String> =
            (0..WORDS_PER_TITLE).map(|w| word((t * WORDS_PER_TITLE + w) as u64)).collect();
        words.join(" ")
    };
    (0..N_TITLES).map(title).collect()
}

/// A table with the tokens that one would be fitted with, and any vectors: their values change no time.
fn table(titles: &[String], n_dims: usize, precision: Precision) -> StaticTable {
    let tokens = StaticParams::default().tokens.check().unwrap().fit(titles).unwrap();
    let vectors = Array2::from_shape_fn((tokens.n_features(), n_dims), |(i, j)| {
        (random((i * n_dims + j) as u64) >> 40) as f32 / (1 << 23) as f32 - 1.0
    });
    StaticTable::new(tokens, vectors.view(), precision).unwrap()
}

#[divan::bench(args = [64, 128, 256], sample_count = 10)]
fn int8(bencher: Bencher, n_dims: usize) {
    encode(bencher, n_dims, Precision::Int8);
}

#[divan::bench(args = [64, 128, 256], sample_count = 10)]
fn f16(bencher: Bencher, n_dims: usize) {
    encode(bencher, n_dims, Precision::F16);
}

fn encode(bencher: Bencher, n_dims: usize, precision: Precision) {
    let titles = titles();
    let table = table(&titles, n_dims, precision);
    let (mut scratch, mut vector) = (TableScratch::default(), vec![0.0; table.n_dims()]);
    bencher.counter(ItemsCount::new(titles.len())).bench_local(|| {
        titles.iter().for_each(|title| table.encode_into(title, &mut scratch, &mut vector));
    });
}
