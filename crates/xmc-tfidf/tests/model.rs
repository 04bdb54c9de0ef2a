//! What a fitted model promises whatever its parameters: blocks, norms, determinism, storage, buffers.
// Clippy excuses `#[test]` functions but not what they call.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use xmc_sparse::Csr;
use xmc_store::{Container, ModelWriter};
use xmc_tfidf::{
    DocFrequency, Documents, Idf, Norm, Scratch, TfIdf, TfIdfError, TfIdfParams, VectorizerParams,
};

fn titles() -> Vec<String> {
    let nouns = ["sea", "shore", "bird", "Straße", "café", "日本", "history", "state", "fox"];
    (0..3000usize)
        .map(|i| {
            let noun = |at: usize| nouns[at % nouns.len()];
            format!("The {} of the {}: a {} in {}", noun(i), noun(i / 7), noun(i * i / 5), i % 211)
        })
        .collect()
}

fn several() -> TfIdfParams {
    TfIdf::params().vectorizers(vec![
        VectorizerParams::words(1, 2).sublinear_tf(true),
        VectorizerParams::char_wb(3, 4).weight(0.5),
        VectorizerParams::words(1, 1).max_features(Some(20)).norm(Norm::L1),
    ])
}

fn fit(params: TfIdfParams) -> TfIdf {
    params.check().unwrap().fit(&titles()).unwrap()
}

fn with_threads<R: Send>(n: usize, work: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap().install(work)
}

#[test]
fn any_number_of_threads_gives_the_same_model_and_rows() {
    let run = || several().check().unwrap().fit_transform(&titles()).unwrap();
    let (one, x_one) = with_threads(1, run);
    for n in [2, 5] {
        let (many, x_many) = with_threads(n, run);
        assert_eq!(one.parts(), many.parts());
        assert_eq!(x_one, x_many);
    }
}

#[test]
fn blocks_have_their_norms_and_weights_side_by_side() {
    let tfidf = fit(several().norm(Norm::None));
    let x = tfidf.transform(&titles());
    let block = |row: usize, vectorizer: usize| -> Vec<f32> {
        let features = tfidf.features_of(vectorizer);
        x.row(row).iter().filter(|(id, _)| features.contains(id)).map(|(_, value)| value).collect()
    };
    let squares = |values: &[f32]| values.iter().map(|v| v * v).sum::<f32>();
    for row in [0, 1234, 2999] {
        assert!((squares(&block(row, 0)) - 1.0).abs() < 1e-5);
        assert!((squares(&block(row, 1)) - 0.25).abs() < 1e-5);
        assert!((block(row, 2).iter().sum::<f32>() - 1.0).abs() < 1e-5);
    }
    assert_eq!(tfidf.features_of(2).len(), 20);
    assert_eq!(tfidf.features_of(2).end as usize, tfidf.n_features());
    let whole = fit(several()).transform(&titles());
    assert!(whole.rows().all(|row| (row.squared_norm() - 1.0).abs() < 1e-5));
}

#[test]
fn one_row_at_a_time_gives_the_rows_of_the_batch_without_allocation() {
    let (tfidf, titles) = (fit(several()), titles());
    let x = tfidf.transform(&titles);
    let mut scratch = Scratch::default();
    let all_equal = |scratch: &mut Scratch| {
        titles.iter().zip(x.rows()).all(|(title, row)| tfidf.transform_into(title, scratch) == row)
    };
    assert!(all_equal(&mut scratch));
    let allocations = allocation_counter::measure(|| assert!(all_equal(&mut scratch)));
    assert_eq!(allocations.count_total, 0);
}

#[test]
fn a_stored_model_comes_back_whole() {
    let tfidf = fit(several());
    let parent = tempfile::tempdir().unwrap();
    let writer = ModelWriter::create(parent.path().join("model")).unwrap();
    tfidf.save(&writer, "tfidf").unwrap();
    writer.commit(&()).unwrap();
    let container = Container::open(parent.path().join("model")).unwrap();
    let loaded = TfIdf::load(&container, "tfidf").unwrap();
    assert_eq!(loaded.parts(), tfidf.parts());
    assert_eq!(loaded.transform(&titles()), tfidf.transform(&titles()));
    assert!(matches!(TfIdf::load(&container, "elsewhere"), Err(TfIdfError::Store(_))));
}

#[test]
fn parts_of_another_model_are_refused() {
    let (tfidf, other) = (fit(several()), fit(TfIdf::params()));
    let damaged = TfIdf::from_parts(several(), 1, vec![]);
    assert!(matches!(damaged, Err(TfIdfError::Parts { what: "the number of vocabularies", .. })));
    let buffers = |tfidf: &TfIdf, at: usize| {
        let parts = tfidf.parts().vocabularies[at];
        xmc_tfidf::VocabularyBuffers {
            bytes: parts.bytes.to_vec().into(),
            offsets: parts.offsets.to_vec().into(),
            slots: parts.slots.to_vec().into(),
            idf: parts.idf.to_vec().into(),
        }
    };
    let mut mixed = buffers(&tfidf, 1);
    mixed.slots = buffers(&other, 0).slots;
    let damaged = TfIdf::from_parts(TfIdf::params(), 1, vec![mixed]);
    assert!(matches!(damaged, Err(TfIdfError::Parts { what: "the number of hash slots", .. })));
}

#[test]
fn a_damaged_weight_is_no_weight() {
    let tfidf = fit(TfIdf::params());
    let parts = tfidf.parts().vocabularies[0];
    let damaged = xmc_tfidf::VocabularyBuffers {
        bytes: parts.bytes.to_vec().into(),
        offsets: parts.offsets.to_vec().into(),
        slots: parts.slots.to_vec().into(),
        idf: vec![f32::NAN; parts.idf.len()].into(),
    };
    let damaged = TfIdf::from_parts(TfIdf::params(), 1, vec![damaged]).unwrap();
    assert_eq!(damaged.transform(&titles()).nnz(), 0);
}

#[test]
fn a_feature_of_every_document_weighs_nothing_in_pecos() {
    let texts = ["all one", "all two", "all one"];
    let tfidf = TfIdfParams::pecos(1, 1).check().unwrap().fit(&texts).unwrap();
    let all = tfidf.feature_id(0, "all").unwrap();
    assert_eq!(tfidf.idf(all), Some(0.0));
    assert!(tfidf.transform(&texts).indices().iter().all(|&id| id != all));
}

#[test]
fn a_corpus_without_features_is_an_error_that_says_so() {
    let fit = |texts: &[&str], vectorizer| {
        TfIdf::params().vectorizers(vec![vectorizer]).check().unwrap().fit(texts).unwrap_err()
    };
    let none: &[&str] = &[];
    let empty = fit(none, VectorizerParams::default());
    assert!(matches!(empty, TfIdfError::EmptyVocabulary { n_samples: 0, .. }));
    let rare = fit(&["one", "two"], VectorizerParams::default());
    assert!(rare.to_string().contains("lower min_df"), "{rare}");
    let bounds = VectorizerParams::default().min_df(DocFrequency::Count(3)).max_df(DocFrequency::Ratio(0.5));
    assert!(matches!(fit(&["a", "a"], bounds), TfIdfError::DocFrequencyBounds { .. }));
}

/// An arena of texts, as a data set keeps them.
struct Arena {
    text: String,
    ends: Vec<usize>,
}

impl Documents for Arena {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn get(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[index]]
    }
}

#[test]
fn an_arena_of_texts_gives_what_strings_give() {
    let titles = titles();
    let mut arena = Arena { text: String::new(), ends: Vec::new() };
    for title in &titles {
        arena.text.push_str(title);
        arena.ends.push(arena.text.len());
    }
    let params = TfIdf::params().check().unwrap();
    let (from_arena, x) = params.fit_transform(&arena).unwrap();
    let (from_strings, y) = params.fit_transform(&titles).unwrap();
    assert_eq!(from_arena.parts(), from_strings.parts());
    assert_eq!(x, y);
}

/// Rows by the definition: strings, a map of counts, the smooth idf, the Euclidean norm.
fn naive_rows(texts: &[String]) -> Vec<Vec<(String, f64)>> {
    use std::collections::BTreeMap;
    let counts: Vec<BTreeMap<&str, f64>> = texts
        .iter()
        .map(|text| {
            let mut counts = BTreeMap::new();
            text.split(' ')
                .filter(|word| !word.is_empty())
                .for_each(|word| *counts.entry(word).or_insert(0.0) += 1.0);
            counts
        })
        .collect();
    let n = texts.len() as f64;
    let df = |word: &str| counts.iter().filter(|row| row.contains_key(word)).count() as f64;
    let weigh = |row: &BTreeMap<&str, f64>| {
        let row: Vec<(String, f64)> = row
            .iter()
            .map(|(word, tf)| (word.to_string(), tf * (((n + 1.0) / (df(word) + 1.0)).ln() + 1.0)))
            .collect();
        let norm = row.iter().map(|(_, v)| v * v).sum::<f64>().sqrt();
        row.into_iter().map(|(word, v)| (word, v / norm)).collect()
    };
    counts.iter().map(weigh).collect()
}

fn named_rows(tfidf: &TfIdf, x: &Csr) -> Vec<Vec<(String, f64)>> {
    let name = |id| tfidf.feature_name(id).unwrap().to_owned();
    x.rows().map(|row| row.iter().map(|(id, value)| (name(id), f64::from(value))).collect()).collect()
}

proptest! {
    #[test]
    fn rows_follow_the_definition(texts in proptest::collection::vec("[a-e ]{1,20}z", 1..20)) {
        let words = VectorizerParams::words(1, 1).min_df(DocFrequency::Count(1)).idf(Idf::Smooth);
        let (tfidf, x) =
            TfIdf::params().vectorizers(vec![words]).check().unwrap().fit_transform(&texts).unwrap();
        for (found, expected) in named_rows(&tfidf, &x).iter().zip(naive_rows(&texts)) {
            prop_assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                prop_assert_eq!(&found.0, &expected.0);
                prop_assert!((found.1 - expected.1).abs() < 1e-6);
            }
        }
    }
}
