//! Options of vectorisers: `--min-df 3` for all of them, `--vectorizer char_wb:3-5,min-df=5` for one.
//!
//! Both forms are one set of options: what stands behind the comma is parsed as if it were typed with `--`.

use super::help;
use clap::{Args, Command, FromArgMatches};
use serde::de::{DeserializeOwned, value};
use serde::{Serialize, de::IntoDeserializer};
use xmc::{Analyzer, DocFrequency, Idf, Norm, Tokenizer, VectorizerParams};

/// One vectoriser, as typed.
#[derive(Debug, Clone)]
struct VectorizerSpec {
    analyzer: Analyzer,
    ngram_range: (usize, usize),
    weight: Option<f32>,
    settings: VectorizerArgs,
}

impl VectorizerSpec {
    /// The vectoriser: its own settings, then those for all, then defaults.
    fn params(&self, for_all: &VectorizerArgs) -> VectorizerParams {
        let mut params = VectorizerParams::default().analyzer(self.analyzer).ngram_range(self.ngram_range);
        for_all.apply(&mut params);
        self.settings.apply(&mut params);
        params.weight = self.weight.unwrap_or(params.weight);
        params
    }
}

/// What can stand behind `--vectorizer`: a vectoriser, or that there is none.
#[derive(Debug, Clone)]
pub(crate) struct TypedVectorizer(Option<VectorizerSpec>);

impl TypedVectorizer {
    /// As [`VectorizerSpec::params`].
    pub(crate) fn params(&self, for_all: &VectorizerArgs) -> Option<VectorizerParams> {
        self.0.as_ref().map(|spec| spec.params(for_all))
    }
}

/// Parses `none`, or what [`spec`] parses.
pub(crate) fn vectorizer(text: &str) -> Result<TypedVectorizer, String> {
    match text.trim() {
        "none" => Ok(TypedVectorizer(None)),
        text => spec(text).map(|spec| TypedVectorizer(Some(spec))),
    }
}

/// Settings of a vectoriser.
#[derive(Debug, Clone, Args)]
pub(crate) struct VectorizerArgs {
    #[arg(long, value_name = "NAME", value_parser = named::<Tokenizer>,
        help = help("How words are cut: unicode, whitespace (as Python's split) or space (as PECOS)", name(&defaults().tokenizer)))]
    tokenizer: Option<Tokenizer>,
    #[arg(long, value_name = "N|RATIO", value_parser = doc_frequency,
        help = help("Fewest documents of an n-gram: a number, or a share with a decimal point", show_df(defaults().min_df)))]
    min_df: Option<DocFrequency>,
    #[arg(long, value_name = "N|RATIO", value_parser = doc_frequency,
        help = help("Most documents of an n-gram, likewise", show_df(defaults().max_df)))]
    max_df: Option<DocFrequency>,
    /// Keep this many n-grams, the most frequent ones [default: all]
    #[arg(long, value_name = "N")]
    max_features: Option<usize>,
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        help = help("Dampen term frequencies to 1 + ln(tf)", defaults().sublinear_tf))]
    sublinear_tf: Option<bool>,
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        help = help("Count an n-gram once in a text", defaults().binary))]
    binary: Option<bool>,
    #[arg(long, value_name = "NAME", value_parser = idf,
        help = help("Inverse document frequency: none, smooth, plain, pecos; or pecos-no-smooth, pecos-add-one, pecos-no-smooth-add-one", show_idf(defaults().idf)))]
    idf: Option<Idf>,
    #[arg(long, value_name = "NAME", value_parser = named::<Norm>,
        help = help("Norm of a vectoriser's features: none, l1, l2", name(&defaults().norm)))]
    norm: Option<Norm>,
    /// Look at the first N words of a text (characters with chars) [default: all]
    #[arg(long, value_name = "N")]
    truncate: Option<usize>,
}

impl VectorizerArgs {
    /// Puts what was typed into `params`.
    pub(crate) fn apply(&self, params: &mut VectorizerParams) {
        fn set<T: Copy>(typed: Option<T>, param: &mut T) {
            *param = typed.unwrap_or(*param);
        }
        set(self.tokenizer, &mut params.tokenizer);
        set(self.min_df, &mut params.min_df);
        set(self.max_df, &mut params.max_df);
        set(self.max_features.map(Some), &mut params.max_features);
        set(self.sublinear_tf, &mut params.sublinear_tf);
        set(self.binary, &mut params.binary);
        set(self.idf, &mut params.idf);
        set(self.norm, &mut params.norm);
        set(self.truncate.map(Some), &mut params.truncate_tokens);
    }
}

/// What can stand behind the comma of a vectoriser.
#[derive(Debug, Args)]
struct SpecArgs {
    #[command(flatten)]
    settings: VectorizerArgs,
    #[arg(long)]
    weight: Option<f32>,
}

/// Parses `words:1-2`, `char_wb:3-5,min-df=5,weight=0.5`.
fn spec(text: &str) -> Result<VectorizerSpec, String> {
    let mut parts = text.split(',').map(str::trim);
    let (kind, range) = parts.next().unwrap_or_default().split_once(':').ok_or("expected KIND:MIN-MAX")?;
    let ngram_range = match range.split_once('-') {
        Some((min, max)) => (size(min)?, size(max)?),
        None => (size(range)?, size(range)?),
    };
    let command =
        SpecArgs::augment_args(Command::new("vectorizer").no_binary_name(true).disable_help_flag(true));
    let matches = command.try_get_matches_from(parts.map(|part| format!("--{part}")));
    let typed = matches.and_then(|matches| SpecArgs::from_arg_matches(&matches));
    let SpecArgs { settings, weight } = typed.map_err(|error| first_line(&error))?;
    Ok(VectorizerSpec { analyzer: analyzer(kind)?, ngram_range, weight, settings })
}

fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}

fn size(text: &str) -> Result<usize, String> {
    text.trim().parse().map_err(|_| format!("expected MIN-MAX, two numbers, found {text:?}"))
}

fn analyzer(kind: &str) -> Result<Analyzer, String> {
    match kind.trim() {
        "words" | "word" => Ok(Analyzer::Word),
        "chars" | "char" => Ok(Analyzer::Char),
        "char_wb" | "char-wb" => Ok(Analyzer::CharWb),
        other => Err(format!("expected words, chars or char_wb, found {other:?}")),
    }
}

fn doc_frequency(text: &str) -> Result<DocFrequency, String> {
    let expected = |_| format!("expected a number of documents (2) or a share of them (0.5), found {text:?}");
    match text.contains('.') {
        true => text
            .parse()
            .map(DocFrequency::Ratio)
            .map_err(|error| expected(Box::<dyn std::error::Error>::from(error))),
        false => text.parse().map(DocFrequency::Count).map_err(|error| expected(error.into())),
    }
}

fn show_df(bound: DocFrequency) -> String {
    match bound {
        DocFrequency::Count(count) => count.to_string(),
        DocFrequency::Ratio(ratio) => format!("{ratio:?}"),
    }
}

const IDFS: [(&str, Idf); 7] = [
    ("none", Idf::None),
    ("smooth", Idf::Smooth),
    ("plain", Idf::Plain),
    ("pecos", Idf::Pecos { smooth: true, add_one: false }),
    ("pecos-no-smooth", Idf::Pecos { smooth: false, add_one: false }),
    ("pecos-add-one", Idf::Pecos { smooth: true, add_one: true }),
    ("pecos-no-smooth-add-one", Idf::Pecos { smooth: false, add_one: true }),
];

fn idf(text: &str) -> Result<Idf, String> {
    let found = IDFS.iter().find(|(name, _)| *name == text).map(|&(_, idf)| idf);
    found.ok_or_else(|| format!("expected one of {}", IDFS.map(|(name, _)| name).join(", ")))
}

fn show_idf(idf: Idf) -> &'static str {
    IDFS.iter().find(|(_, other)| *other == idf).map_or("", |&(name, _)| name)
}

fn defaults() -> VectorizerParams {
    VectorizerParams::default()
}

/// A choice by the name that it has in a file of parameters.
pub(crate) fn named<T: DeserializeOwned>(text: &str) -> Result<T, value::Error> {
    T::deserialize(text.into_deserializer())
}

/// The name that a choice has in a file of parameters.
pub(super) fn name<T: Serialize>(choice: &T) -> String {
    let value = serde_json::to_value(choice).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_settings() -> VectorizerArgs {
        spec("words:1").unwrap().settings
    }

    #[test]
    fn a_vectorizer_is_a_kind_a_range_and_settings() {
        let typed = spec("char_wb:3-5,min-df=5,sublinear-tf,weight=0.5,idf=pecos").unwrap();
        let expected = VectorizerParams::char_wb(3, 5)
            .min_df(DocFrequency::Count(5))
            .sublinear_tf(true)
            .idf(Idf::Pecos { smooth: true, add_one: false })
            .weight(0.5);
        assert_eq!(typed.params(&no_settings()), expected);
        assert_eq!(spec("words:2").unwrap().params(&no_settings()), VectorizerParams::words(2, 2));
    }

    #[test]
    fn settings_of_one_go_before_settings_of_all() {
        let all = spec("words:1,min-df=7,binary").unwrap().settings;
        let params = spec("words:1-2,min-df=0.5,binary=false").unwrap().params(&all);
        assert_eq!((params.min_df, params.binary), (DocFrequency::Ratio(0.5), false));
    }

    #[test]
    fn wrong_vectorizers_are_told_what_was_expected() {
        assert!(spec("words").unwrap_err().contains("KIND:MIN-MAX"));
        assert!(spec("letters:1-2").unwrap_err().contains("char_wb"));
        assert!(spec("words:a-b").unwrap_err().contains("MIN-MAX"));
        assert!(spec("words:1-2,min-df=x").unwrap_err().contains("number of documents"));
        assert!(spec("words:1-2,stem=yes").unwrap_err().contains("--stem"));
    }

    #[test]
    fn a_point_makes_a_document_frequency_a_share() {
        assert_eq!(doc_frequency("1"), Ok(DocFrequency::Count(1)));
        assert_eq!(doc_frequency("1.0"), Ok(DocFrequency::Ratio(1.0)));
        assert!(doc_frequency("-1").is_err());
    }
}
