//! What comes out for which text.

use crate::{encode, furthest, open, params};
use std::sync::atomic::{AtomicU64, Ordering};
use xmc_embed::TextEncoder;
use xmc_sparse::{NoProgress, Progress};
use xmc_xrtransformer::{Encoder, EncoderParams, Pooling, TransformerError};

const TEXTS: [&str; 6] = [
    "forest hydrology",
    "an introduction to water and forests, with a title that is longer than the others by far",
    "forest hydrology",
    "",
    "growing roses in cold climates",
    "Crème brûlée",
];

#[test]
fn vectors_have_length_one_and_equal_texts_equal_vectors() {
    let vectors = encode(&open(), &TEXTS);
    for (text, vector) in TEXTS.iter().zip(&vectors) {
        let norm: f32 = vector.iter().map(|x| x * x).sum();
        assert!((norm - if text.is_empty() { 0.0 } else { 1.0 }).abs() < 1e-5, "{text}");
    }
    assert_eq!(vectors[0], vectors[2]);
    assert!(furthest(&vectors[0], &vectors[4]) > 0.1);
}

#[test]
fn a_vector_does_not_depend_on_the_company() {
    let encoder = open();
    let together = encode(&encoder, &TEXTS);
    for (text, together) in TEXTS.iter().zip(&together) {
        assert!(furthest(&encode(&encoder, &[text])[0], together) < 1e-6, "{text}");
    }
    // Lengths that differ by one share a batch and need padding.
    let texts: Vec<_> = (20..60).map(|n| "a ".repeat(n)).collect();
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    for (text, together) in texts.iter().zip(encode(&encoder, &texts)) {
        assert!(furthest(&encode(&encoder, &[text])[0], &together) < 1e-6);
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let encoder = open();
    let texts: Vec<_> = (0..500).map(|n| format!("title {n} {}", "of a book ".repeat(n % 7))).collect();
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| encode(&encoder, &texts))
    };
    assert_eq!(run(1), run(4));
}

#[test]
fn a_text_of_100_000_characters_is_cut() {
    let encoder = open();
    let long = "forest hydrology ".repeat(6_000);
    assert_eq!(encoder.tokenize(&[&long]).len(0), 128);
    let cut = encoder.tokenize(&[&long[..1700]]);
    assert_eq!(encoder.tokenize(&[&long]), cut);
    let word = "x".repeat(100_000);
    let norm: f32 = encode(&encoder, &[&word])[0].iter().map(|x| x * x).sum();
    assert!((norm - 1.0).abs() < 1e-5);
}

#[test]
fn small_batches_give_the_same_vectors() {
    let (all, few) = (open(), Encoder::open(crate::fixture(), &params().batch_tokens(Some(1))).unwrap());
    for (a, b) in encode(&all, &TEXTS).iter().zip(&encode(&few, &TEXTS)) {
        assert!(furthest(a, b) < 1e-6);
    }
    assert_eq!((few.batch_tokens(), all.fingerprint()), (1, few.fingerprint()));
}

#[test]
fn fingerprints_differ_where_vectors_do() {
    let open = |params: EncoderParams| Encoder::open(crate::fixture(), &params).unwrap().fingerprint();
    let default = open(params());
    assert_eq!(default, open(params().pooling(Pooling::Mean)));
    assert_ne!(default, open(params().pooling(Pooling::Cls)));
    assert_ne!(default, open(params().max_length(64)));
}

#[test]
fn every_text_is_reported_once() {
    #[derive(Default)]
    struct Count(AtomicU64);
    impl Progress for Count {
        fn advance(&self, steps: u64) {
            self.0.fetch_add(steps, Ordering::Relaxed);
        }
    }
    let (encoder, count) = (open(), Count::default());
    let mut out = vec![0.0; TEXTS.len() * encoder.n_dims()];
    encoder.encode(&TEXTS, &count, &mut out).unwrap();
    assert_eq!(count.0.into_inner(), 6);
}

#[test]
fn a_buffer_of_another_size_is_refused() {
    let result = open().encode(&TEXTS, &NoProgress, &mut [0.0; 5]);
    assert!(matches!(result, Err(TransformerError::OutputLength { expected: 192, found: 5 })));
    open().encode(&[], &NoProgress, &mut []).unwrap();
}
