//! Fitting and transforming generated titles: `cargo bench -p xmc-tfidf`.
//!
//! Word frequencies follow Zipf's law and words have lengths as in English, so that hash tables are hit
//! and missed as real text does it.
// A bench that unwraps fails with a line number, as a test does.
#![allow(clippy::unwrap_used)]

use divan::Bencher;
use divan::counter::BytesCount;
use xmc_tfidf::{Scratch, TfIdf, TfIdfParams, VectorizerParams};

const N_TITLES: usize = 20_000;
const WORDS_PER_TITLE: usize = 14;
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

fn params(name: &str) -> TfIdfParams {
    TfIdf::params().vectorizers(match name {
        "words 1-2" => vec![VectorizerParams::words(1, 2)],
        _ => vec![VectorizerParams::words(1, 2), VectorizerParams::char_wb(3, 5)],
    })
}

fn total_bytes(titles: &[String]) -> BytesCount {
    BytesCount::new(titles.iter().map(String::len).sum::<usize>())
}

#[divan::bench(args = ["words 1-2", "words 1-2, char_wb 3-5"], sample_count = 10)]
fn fit(bencher: Bencher, name: &str) {
    let (titles, params) = (titles(), params(name).check().unwrap());
    bencher.counter(total_bytes(&titles)).bench_local(|| params.fit(&titles));
}

#[divan::bench(args = ["words 1-2", "words 1-2, char_wb 3-5"], sample_count = 10)]
fn transform(bencher: Bencher, name: &str) {
    let titles = titles();
    let tfidf = params(name).check().unwrap().fit(&titles).unwrap();
    bencher.counter(total_bytes(&titles)).bench_local(|| tfidf.transform(&titles));
}

#[divan::bench(args = ["words 1-2", "words 1-2, char_wb 3-5"])]
fn transform_one(bencher: Bencher, name: &str) {
    let titles = titles();
    let tfidf = params(name).check().unwrap().fit(&titles).unwrap();
    let mut scratch = Scratch::default();
    let mut titles = titles.iter().cycle();
    bencher.bench_local(|| tfidf.transform_into(titles.next().unwrap(), &mut scratch).nnz());
}
