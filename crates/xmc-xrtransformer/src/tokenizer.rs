//! Texts to token numbers.
//!
//! The work is `rust_tokenizers`'; here is which of its tokenizers an encoder needs and where its files are.

use crate::TransformerError;
use crate::tokens::TokenRows;
use rayon::prelude::*;
use rust_tokenizers::TokenIdsWithOffsets;
use rust_tokenizers::error::TokenizerError;
use rust_tokenizers::tokenizer::{BertTokenizer, RobertaTokenizer, XLMRobertaTokenizer};
use rust_tokenizers::vocab::Vocab;
use serde::Deserialize;
use std::borrow::Cow;
use std::fs;
use std::io::ErrorKind;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

/// What says how the vocabulary is meant.
pub(crate) const CONFIG: &str = "tokenizer_config.json";

/// The files of each kind of vocabulary, in the order in which they are looked for.
const KINDS: [(Kind, &[&str]); 3] = [
    (Kind::WordPiece, &["vocab.txt"]),
    (Kind::Bpe, &["vocab.json", "merges.txt"]),
    (Kind::SentencePiece, &["sentencepiece.bpe.model"]),
];
const EXPECTED: &str =
    "vocab.txt (BERT), vocab.json and merges.txt (RoBERTa) or sentencepiece.bpe.model (XLM-R)";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    WordPiece,
    Bpe,
    SentencePiece,
}

/// What is read of `tokenizer_config.json`; absent fields have the defaults of `transformers`.
#[derive(Debug, Default, Deserialize)]
struct Options {
    do_lower_case: Option<bool>,
    strip_accents: Option<bool>,
    add_prefix_space: Option<bool>,
}

/// Turns texts into the token numbers of one vocabulary.
pub(crate) struct Tokenizer {
    model: Box<dyn Model>,
    kind: Kind,
    /// What begins and ends every text.
    first: u32,
    last: u32,
    max_length: usize,
}

/// What the tokenizers of different vocabularies have in common.
trait Model: Send + Sync {
    fn ids(&self, text: &str) -> Vec<i64>;
    fn largest_id(&self) -> i64;
    /// The tokens that begin and end a text. The vocabulary has them: it is not read without.
    fn ends(&self) -> Vec<i64>;
}

struct Of<V, T> {
    tokenizer: T,
    vocabulary: PhantomData<fn() -> V>,
}

impl<V: Vocab, T: rust_tokenizers::tokenizer::Tokenizer<V> + Send + Sync> Model for Of<V, T> {
    fn ids(&self, text: &str) -> Vec<i64> {
        self.tokenizer.convert_tokens_to_ids(&self.tokenizer.tokenize(text))
    }

    fn largest_id(&self) -> i64 {
        self.tokenizer.vocab().values().values().copied().max().unwrap_or(-1)
    }

    fn ends(&self) -> Vec<i64> {
        let nothing =
            TokenIdsWithOffsets { ids: vec![], offsets: vec![], reference_offsets: vec![], masks: vec![] };
        self.tokenizer.build_input_with_special_tokens(nothing, None).token_ids
    }
}

fn model<V: Vocab + 'static, T>(tokenizer: T) -> Box<dyn Model>
where
    T: rust_tokenizers::tokenizer::Tokenizer<V> + Send + Sync + 'static,
{
    Box::new(Of { tokenizer, vocabulary: PhantomData })
}

fn open(kind: Kind, paths: &[PathBuf], options: &Options) -> Result<Box<dyn Model>, TokenizerError> {
    Ok(match kind {
        Kind::WordPiece => {
            let lower = options.do_lower_case.unwrap_or(true);
            model(BertTokenizer::from_file(&paths[0], lower, options.strip_accents.unwrap_or(lower))?)
        }
        Kind::Bpe => {
            let space = options.add_prefix_space.unwrap_or(false);
            model(RobertaTokenizer::from_file(&paths[0], &paths[1], false, space)?)
        }
        Kind::SentencePiece => model(XLMRobertaTokenizer::from_file(&paths[0], false)?),
    })
}

/// The names of the files in `dir` that a tokenizer is made from.
///
/// # Errors
/// [`TransformerError::VocabularyMissing`]; `shown` is the folder's name there.
pub(crate) fn files(dir: &Path, shown: &Path) -> Result<Vec<&'static str>, TransformerError> {
    let (_, vocabulary) = kind(dir, shown)?;
    let config = dir.join(CONFIG).exists().then_some(CONFIG);
    Ok(vocabulary.iter().copied().chain(config).collect())
}

/// Whether a file of this name may belong to a tokenizer.
pub(crate) fn is_file_name(name: &str) -> bool {
    name == CONFIG || KINDS.iter().any(|(_, files)| files.contains(&name))
}

fn kind(dir: &Path, shown: &Path) -> Result<(Kind, &'static [&'static str]), TransformerError> {
    let found = KINDS.into_iter().find(|(_, files)| files.iter().all(|file| dir.join(file).exists()));
    found.ok_or_else(|| TransformerError::VocabularyMissing { path: shown.to_owned(), expected: EXPECTED })
}

impl Tokenizer {
    /// The tokenizer of the files in `dir`, for a model with embeddings for `n_tokens`. `shown` is what messages call `dir`.
    pub(crate) fn open(
        dir: &Path,
        shown: &Path,
        max_length: usize,
        n_tokens: usize,
    ) -> Result<Self, TransformerError> {
        let (kind, files) = kind(dir, shown)?;
        let options = options(&dir.join(CONFIG), &shown.join(CONFIG))?;
        let path = shown.join(files[0]);
        let invalid = |source| TransformerError::VocabularyInvalid { path: path.clone(), source };
        let paths: Vec<_> = files.iter().map(|file| dir.join(file)).collect();
        let model = open(kind, &paths, &options).map_err(invalid)?;
        let found = model.largest_id();
        if usize::try_from(found).map_or(true, |found| found >= n_tokens) {
            return Err(TransformerError::VocabularyTooLarge { path, expected: n_tokens, found });
        }
        let ends = model.ends();
        let [first, last] = [ends[0], ends[ends.len() - 1]].map(|id| id as u32);
        Ok(Self { model, kind, first, last, max_length })
    }

    /// The tokens of one text, with those that begin and end it, at most `max_length`.
    pub(crate) fn encode(&self, text: &str) -> Vec<u32> {
        let ids = self.model.ids(&with_plain_lines(text, self.kind));
        let kept = ids.len().min(self.max_length - 2);
        // Numbers of a vocabulary that was checked against the table of embeddings.
        let kept = ids[..kept].iter().map(|&id| id as u32);
        std::iter::once(self.first).chain(kept).chain(std::iter::once(self.last)).collect()
    }

    /// The tokens of many texts, in parallel.
    pub(crate) fn encode_all(&self, texts: &[&str]) -> TokenRows {
        let rows: Vec<_> = texts.par_iter().with_min_len(64).map(|text| self.encode(text)).collect();
        rows.into_iter().collect()
    }
}

/// `transformers` takes the separators of lines and paragraphs for spaces, `rust_tokenizers` for letters.
fn with_plain_lines(text: &str, kind: Kind) -> Cow<'_, str> {
    const SEPARATORS: [char; 2] = ['\u{2028}', '\u{2029}'];
    match kind == Kind::WordPiece && text.contains(SEPARATORS) {
        true => Cow::Owned(text.replace(SEPARATORS, " ")),
        false => Cow::Borrowed(text),
    }
}

fn options(path: &Path, shown: &Path) -> Result<Options, TransformerError> {
    match fs::read(path) {
        Ok(json) => serde_json::from_slice(&json)
            .map_err(|source| TransformerError::Json { path: shown.to_owned(), source }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Options::default()),
        Err(source) => Err(TransformerError::Io { path: shown.to_owned(), source }),
    }
}
