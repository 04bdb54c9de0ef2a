//! A table distilled from an encoder that the test knows all about.
// Clippy excuses `#[test]` functions but not what they call.
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use xmc_embed::{EmbedError, EncodingError, Precision, StaticParams, StaticTable, TableScratch, TextEncoder};
use xmc_sparse::{NoProgress, Progress};
use xmc_store::{Container, ModelWriter};
use xmc_tfidf::{DocFrequency, TfIdf, VectorizerParams};

const WIDTH: usize = 24;

fn random(at: u64) -> u64 {
    let mixed = at.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 29)
}

/// Each word has a direction; those that end in `a` weigh more in company, which a table cannot know from the word alone. The
/// common part stands for what all vectors of a transformer share.
struct BagOfWords;

impl BagOfWords {
    fn word(word: &str, at: usize) -> f32 {
        let letters = word.bytes().fold(7, |hash, byte| random(hash ^ u64::from(byte)));
        (random(letters ^ at as u64) >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

impl TextEncoder for BagOfWords {
    type Error = Infallible;

    fn n_dims(&self) -> usize {
        WIDTH
    }

    fn fingerprint(&self) -> u64 {
        1
    }

    fn encode(&self, texts: &[&str], _: &dyn Progress, out: &mut [f32]) -> Result<(), Infallible> {
        for (text, row) in texts.iter().zip(out.chunks_exact_mut(WIDTH)) {
            let words: Vec<&str> = text.split_whitespace().collect();
            for (at, value) in row.iter_mut().enumerate() {
                let weight = |word: &str| if word.ends_with('a') && words.len() > 1 { 3.0 } else { 1.0 };
                let sum: f32 = words.iter().map(|word| weight(word) * Self::word(word, at)).sum();
                *value = sum / (words.len() as f32).sqrt() + 2.0;
            }
            let length = row.iter().map(|v| v * v).sum::<f32>().sqrt();
            row.iter_mut().for_each(|v| *v /= length);
        }
        Ok(())
    }
}

fn word(at: u64) -> String {
    let letters = random(at ^ 0x51);
    (0..3 + letters % 4).map(|i| char::from(b'a' + (letters >> (5 * i + 4)) as u8 % 26)).collect()
}

fn texts(seed: u64, n: usize) -> Vec<String> {
    let text = |t: u64| {
        let words = (0..3 + random(t ^ seed) % 6).map(|w| word(random(seed + t * 31 + w) % 300));
        words.collect::<Vec<_>>().join(" ")
    };
    (0..n as u64).map(text).collect()
}

fn params() -> StaticParams {
    let words = VectorizerParams::words(1, 1).min_df(DocFrequency::Count(1));
    let pieces = VectorizerParams::char_wb(3, 4).min_df(DocFrequency::Count(5));
    StaticParams { tokens: TfIdf::params().vectorizers(vec![words, pieces]), ..StaticParams::default() }
}

fn distil(params: StaticParams) -> xmc_embed::Distilled {
    params.check().unwrap().fit(&texts(1, 3000), &BagOfWords, None, &NoProgress).unwrap()
}

fn encode(encoder: &impl TextEncoder, texts: &[String]) -> Vec<Vec<f32>> {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut rows = vec![0.0; texts.len() * encoder.n_dims()];
    encoder.encode(&texts, &NoProgress, &mut rows).unwrap();
    rows.chunks_exact(encoder.n_dims()).map(<[f32]>::to_vec).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(f32::MIN_POSITIVE)
}

/// How well cosines between texts by the table agree with those by the centred encoder: their correlation.
fn agreement(table: &StaticTable) -> f32 {
    let texts = texts(77, 400);
    let (of_table, mut of_encoder) = (encode(table, &texts), encode(&BagOfWords, &texts));
    let mean: Vec<f32> =
        (0..WIDTH).map(|at| of_encoder.iter().map(|row| row[at]).sum::<f32>() / 400.0).collect();
    of_encoder.iter_mut().for_each(|row| row.iter_mut().zip(&mean).for_each(|(value, mean)| *value -= mean));
    let pairs = |rows: &[Vec<f32>]| -> Vec<f32> {
        let cosines: Vec<f32> = rows.windows(2).map(|pair| cosine(&pair[0], &pair[1])).collect();
        let mean = cosines.iter().sum::<f32>() / cosines.len() as f32;
        cosines.iter().map(|cosine| cosine - mean).collect()
    };
    cosine(&pairs(&of_table), &pairs(&of_encoder))
}

#[test]
fn a_table_imitates_its_encoder_on_texts_that_it_has_not_seen() {
    let distilled = distil(params());
    let found = agreement(&distilled.table);
    assert!(found > 0.9, "{found}");
    assert!(distilled.held_out_cosine.unwrap() > 0.9, "{:?}", distilled.held_out_cosine);
    assert_eq!(distilled.n_words, distilled.table.tokens().features_of(0).len());
}

#[test]
fn what_texts_say_goes_beyond_what_words_say_alone() {
    // So high a penalty leaves every word where it began.
    let alone = distil(StaticParams { penalty: Some(1e9), ..params() });
    assert!(agreement(&alone.table) < agreement(&distil(params()).table) - 0.02);
    assert_eq!(alone.held_out_cosine, None);
}

#[test]
fn a_narrower_table_agrees_less_but_agrees() {
    let narrow = distil(StaticParams { n_dims: 8, ..params() }).table;
    assert_eq!(narrow.n_dims(), 8);
    let (narrow, wide) = (agreement(&narrow), agreement(&distil(params()).table));
    assert!(narrow > 0.5 && narrow < wide, "{narrow} {wide}");
}

#[test]
fn any_number_of_threads_gives_the_same_table() {
    let with_threads = |n: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
        pool.install(|| distil(params()))
    };
    let (one, two) = (with_threads(1), with_threads(2));
    assert_eq!(one.table.fingerprint(), two.table.fingerprint());
    assert_eq!(one.penalty, two.penalty);
}

#[test]
fn a_text_is_the_normalised_sum_of_its_tokens() {
    for precision in [Precision::F16, Precision::Int8] {
        let table = distil(StaticParams { precision, ..params() }).table;
        for text in &texts(5, 50) {
            let mut sum = vec![0.0f64; table.n_dims()];
            let row = table.tokens().transform(std::slice::from_ref(text));
            for (token, value) in row.row(0).iter() {
                let vector = table.vector(token);
                sum.iter_mut().zip(&vector).for_each(|(sum, v)| *sum += f64::from(value) * f64::from(*v));
            }
            let length = sum.iter().map(|v| v * v).sum::<f64>().sqrt();
            let mut found = vec![0.0; table.n_dims()];
            table.encode_into(text, &mut TableScratch::default(), &mut found);
            for (found, expected) in found.iter().zip(&sum) {
                assert!((f64::from(*found) - expected / length).abs() < 1e-5, "{precision:?} {text}");
            }
        }
    }
}

#[test]
fn a_text_of_unknown_tokens_is_zeros_and_does_not_disturb_its_neighbours() {
    let table = distil(params()).table;
    let mut texts = texts(9, 700);
    let alone = encode(&table, &texts[..1]);
    texts[1] = "日本".to_owned();
    texts[2] = String::new();
    texts[3] = "long ".repeat(20_000);
    let together = encode(&table, &texts);
    assert_eq!(together[0], alone[0]);
    assert_eq!([&together[1], &together[2]], [&vec![0.0; table.n_dims()]; 2]);
    assert!(together[3].iter().all(|v| v.is_finite()));
}

#[test]
fn a_stored_table_gives_the_same_vectors() {
    let dir = tempfile::tempdir().unwrap();
    for precision in [Precision::F16, Precision::Int8] {
        let table = distil(StaticParams { precision, ..params() }).table;
        table.save_to_dir(dir.path().join("table")).unwrap();
        let opened = StaticTable::open_dir(dir.path().join("table")).unwrap();
        let texts = texts(3, 40);
        assert_eq!(encode(&opened, &texts), encode(&table, &texts));
        assert_eq!((opened.fingerprint(), opened.precision()), (table.fingerprint(), precision));
        let writer = ModelWriter::in_memory();
        opened.save(&writer, "encoder/static").unwrap();
        let container = writer.commit(&()).unwrap();
        assert_eq!(
            encode(&StaticTable::open(&container, "encoder/static").unwrap(), &texts),
            encode(&table, &texts)
        );
    }
}

#[test]
fn the_fingerprint_tells_tables_apart() {
    let table = |penalty| distil(StaticParams { penalty: Some(penalty), ..params() }).table.fingerprint();
    assert_eq!(table(1.0), table(1.0));
    assert_ne!(table(1.0), table(2.0));
}

/// A copy of the sections of a table with one of them made by `change`.
fn with_section(name: &str, change: impl FnOnce(&ModelWriter)) -> Result<StaticTable, EmbedError> {
    let table = distil(StaticParams { penalty: Some(1.0), n_dims: 4, ..params() }).table;
    let writer = ModelWriter::in_memory();
    table.save(&writer, "t").unwrap();
    let whole = writer.commit(&()).unwrap();
    let writer = ModelWriter::in_memory();
    for entry in &whole.manifest().sections {
        if entry.name != name && entry.name.starts_with("t/vectors") {
            copy_vectors(&whole, &writer, &entry.name);
        }
    }
    table.tokens().save(&writer, "t/tokens").unwrap();
    if name != "t/table" {
        writer.put_record("t/table", &(4u32, Precision::Int8, 0u64)).unwrap();
    }
    change(&writer);
    StaticTable::open(&writer.commit(&()).unwrap(), "t")
}

fn copy_vectors(from: &Container, to: &ModelWriter, name: &str) {
    match name {
        "t/vectors/scales" => to.put_array(name, &from.array::<f32>(name).unwrap()).unwrap(),
        _ => to.put_array(name, &from.array::<i8>(name).unwrap()).unwrap(),
    }
}

#[test]
fn sections_of_wrong_sizes_are_named() {
    assert!(with_section("", |_| ()).is_ok());
    let vectors = with_section("t/vectors/int8", |writer| {
        writer.put_array("t/vectors/int8", &[1i8; 7]).unwrap();
    });
    assert!(vectors.unwrap_err().to_string().starts_with("t/vectors/int8: expected"));
    let scales = with_section("t/vectors/scales", |writer| {
        writer.put_array("t/vectors/scales", &[1.0f32; 3]).unwrap();
    });
    assert!(matches!(scales.unwrap_err(), EmbedError::TableSize { found: 3, .. }));
    let width = with_section("t/table", |writer| {
        writer.put_record("t/table", &(0u32, Precision::Int8, 0u64)).unwrap();
    });
    assert!(matches!(width.unwrap_err(), EmbedError::TableSize { .. }));
    assert!(matches!(with_section("t/vectors/int8", |_| ()).unwrap_err(), EmbedError::Store(_)));
}

#[test]
fn another_model_is_not_a_table() {
    let dir = tempfile::tempdir().unwrap();
    ModelWriter::create(dir.path().join("other")).unwrap().commit(&"something").unwrap();
    let error = StaticTable::open_dir(dir.path().join("other")).unwrap_err();
    assert!(matches!(error, EmbedError::NotATable { .. }), "{error}");
}

#[test]
fn scales_that_are_no_numbers_give_zeros() {
    let table = with_section("t/vectors/scales", |writer| {
        let n = params().tokens.check().unwrap().fit(&texts(1, 3000)).unwrap().n_features();
        writer.put_array("t/vectors/scales", &vec![f32::NAN; n]).unwrap();
    });
    assert_eq!(encode(&table.unwrap(), &texts(1, 1)), [[0.0; 4]]);
}

#[test]
fn each_parameter_out_of_range_is_named() {
    let name = |params: StaticParams| match params.check().unwrap_err() {
        EmbedError::Param { name, .. } => name,
        other => panic!("{other}"),
    };
    assert_eq!(name(StaticParams { n_dims: 0, ..params() }), "n_dims");
    assert_eq!(name(StaticParams { penalty: Some(0.0), ..params() }), "penalty");
    assert_eq!(name(StaticParams { penalty: Some(f32::NAN), ..params() }), "penalty");
    assert_eq!(name(StaticParams { max_iter: 0, ..params() }), "max_iter");
    assert_eq!(name(StaticParams { tolerance: -1.0, ..params() }), "tolerance");
    let tokens = TfIdf::params().vectorizers(vec![]);
    assert!(matches!(StaticParams { tokens, ..params() }.check(), Err(EmbedError::Tokens(_))));
}

#[test]
fn no_text_is_an_error() {
    let fit = params().check().unwrap().fit(&[] as &[&str], &BagOfWords, None, &NoProgress);
    assert!(matches!(fit.unwrap_err(), EncodingError::Cache(EmbedError::NoTexts)));
}
