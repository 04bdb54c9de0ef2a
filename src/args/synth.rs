//! `xmc synth`: one sub-command for each kind of data that can be made.

use super::{at_least_one, help};
use crate::failure::usage;
use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::sync::LazyLock;
use xmc_data::synth::{MultiSenseParams, Shape, ShapedParams};

const EXAMPLES: &str = "\
Examples:
  xmc synth multi-sense --out data                  labels that mean two things each
  xmc train --train data/train.tsv --model m && xmc eval --model m --test data/test.tsv
  xmc synth amazon-3m --scale 0.05 --out data       features and labels of a public set's shape
  xmc train --train data/X.trn.npz --train-labels data/Y.trn.npz --model m";

/// Make data with known truth, for experiments
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SynthArgs {
    #[command(subcommand)]
    pub(crate) kind: SynthKind,
}

impl SynthArgs {
    /// Whether a program reads the output.
    pub(crate) fn json(&self) -> bool {
        match self.kind.resolve() {
            Synth::MultiSense(args) => args.output.json,
            Synth::Shaped(_, args) => args.output.json,
        }
    }
}

/// What to make.
#[derive(Debug, Subcommand)]
pub(crate) enum SynthKind {
    /// Texts whose labels have two unrelated meanings each
    MultiSense(MultiSenseArgs),
    /// Features and labels of the shape of EUR-Lex: 15,449 × 186,104, 3,956 labels
    #[command(name = "eurlex-4k")]
    Eurlex4k(ShapedArgs),
    /// Of the shape of Wiki10-31K: 14,146 × 101,938, 30,938 labels
    #[command(name = "wiki10-31k")]
    Wiki10(ShapedArgs),
    /// Of the shape of AmazonCat-13K: 1,186,239 × 203,882, 13,330 labels
    #[command(name = "amazoncat-13k")]
    AmazonCat(ShapedArgs),
    /// Of the shape of Amazon-670K: 490,449 × 135,909, 670,091 labels
    #[command(name = "amazon-670k")]
    Amazon670k(ShapedArgs),
    /// Of the shape of Wiki-500K: 1,779,881 × 2,381,304, 501,070 labels
    #[command(name = "wiki-500k")]
    Wiki500k(ShapedArgs),
    /// Of the shape of Amazon-3M: 1,717,899 × 337,067, 2,812,281 labels
    #[command(name = "amazon-3m")]
    Amazon3m(ShapedArgs),
}

impl SynthKind {
    /// The kind of data: all shapes are one.
    pub(crate) fn resolve(&self) -> Synth<'_> {
        match self {
            Self::MultiSense(args) => Synth::MultiSense(args),
            Self::Eurlex4k(args) => Synth::Shaped(Shape::Eurlex4k, args),
            Self::Wiki10(args) => Synth::Shaped(Shape::Wiki10, args),
            Self::AmazonCat(args) => Synth::Shaped(Shape::AmazonCat, args),
            Self::Amazon670k(args) => Synth::Shaped(Shape::Amazon670k, args),
            Self::Wiki500k(args) => Synth::Shaped(Shape::Wiki500k, args),
            Self::Amazon3m(args) => Synth::Shaped(Shape::Amazon3m, args),
        }
    }
}

/// A kind of data with its options.
pub(crate) enum Synth<'a> {
    MultiSense(&'a MultiSenseArgs),
    Shaped(Shape, &'a ShapedArgs),
}

const SHAPED: &str = "\
Examples:
  xmc synth amazon-3m --out data --scale 0.01
  xmc train --train data/X.trn.npz --train-labels data/Y.trn.npz --model m
  xmc eval --model m --test data/X.tst.npz --test-labels data/Y.tst.npz
  xmc synth wiki10-31k --out data --format xc       for Omikuji and napkinXC

Files:
  npz  X.trn.npz, Y.trn.npz, X.tst.npz, Y.tst.npz: features and labels as SciPy keeps them
  xc   train.txt, test.txt: both in one file each, as the Extreme Classification Repository has them

Sizes, entries a record and labels a record are those of the real set; labels and features have long tails, and
the labels stand in topics within topics that the features tell of. What they say is made up: scores on such data compare
programs, they do not say what a program would score on the real set. The same options and seed give the same bytes.";

/// Features and labels of the shape of a public data set
#[derive(Debug, Args)]
#[command(after_help = SHAPED)]
pub(crate) struct ShapedArgs {
    #[command(flatten)]
    pub(crate) output: SynthOutput,
    /// Size: records and labels times this, features times its square root
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    scale: f64,
    /// Form of the files
    #[arg(long, value_name = "NAME", value_enum, default_value_t)]
    pub(crate) format: ShapedFormat,
    /// Training records [default: those of the set, scaled]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    train: Option<usize>,
    /// Test records [default: those of the set, scaled]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    test: Option<usize>,
    /// Seed of everything random
    #[arg(long, value_name = "N", default_value_t)]
    seed: u64,
}

/// Form of shaped data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum ShapedFormat {
    /// Matrices for SciPy
    #[default]
    Npz,
    /// Text of the Extreme Classification Repository
    Xc,
}

impl ShapedArgs {
    /// What was typed over the defaults of `shape`, not checked.
    pub(crate) fn params(&self, shape: Shape) -> Result<ShapedParams> {
        if !(self.scale.is_finite() && self.scale > 0.0 && self.scale <= 1000.0) {
            return Err(usage(format!("--scale is {}, expected a number above 0, at most 1000", self.scale)));
        }
        let mut params = ShapedParams::new(shape).scaled(self.scale).seed(self.seed);
        set(self.train.map(|n| n as u64), &mut params.n_train);
        set(self.test.map(|n| n as u64), &mut params.n_test);
        Ok(params)
    }
}

/// Where made data go.
#[derive(Debug, Args)]
pub(crate) struct SynthOutput {
    /// The directory to write to, which is made if it is not there
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// At the end, print sizes and times as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

const MULTI_SENSE: &str = "\
Examples:
  xmc synth multi-sense --out data
  xmc synth multi-sense --out data --train 100000 --test 10000 --seed 1
  xmc synth multi-sense --out control --merge 0             one meaning for each label
  xmc synth multi-sense --out large --topics 400 --words 60000 --train 1000000

Files:
  train.tsv, test.tsv  'label,label<TAB>text', for 'xmc train' and 'xmc eval'
  labels.tsv           a label a line, for --labels: 'l000', 'l001', …
  senses.tsv           the truth, a line for each label of each record, under a header:
                       split (train or test), record (its line, from 0), label (l017),
                       sense (s0123)

A text has words of its labels' topics, words of its labels, and noise; most labels are then
merged two and two, each from another topic. The same options and seed give the same bytes, and
more records leave the first ones as they are. Memory grows with the labels, not the records.";

/// Texts whose labels have two unrelated meanings each
#[derive(Debug, Args)]
#[command(after_help = MULTI_SENSE)]
pub(crate) struct MultiSenseArgs {
    #[command(flatten)]
    pub(crate) output: SynthOutput,
    #[arg(long, value_name = "N", value_parser = at_least_one, help = help("Training records", defaults().n_train))]
    train: Option<usize>,
    #[arg(long, value_name = "N", value_parser = at_least_one, help = help("Test records", defaults().n_test))]
    test: Option<usize>,
    #[arg(long, value_name = "SHARE", help = help("Share of the labels that are merged two and two", defaults().merge))]
    merge: Option<f64>,
    #[arg(long, value_name = "N", help = help("Seed of everything random", defaults().seed))]
    seed: Option<u64>,
    #[command(flatten)]
    shape: MultiSenseShape,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Shape of the data")]
struct MultiSenseShape {
    #[arg(long, value_name = "N", help = help("Topics", defaults().n_topics))]
    topics: Option<u32>,
    #[arg(long, value_name = "N", help = help("Labels of each topic, before merging", defaults().labels_per_topic))]
    labels_per_topic: Option<u32>,
    #[arg(long, value_name = "N", help = help("Words of the language", defaults().n_words))]
    words: Option<u32>,
    #[arg(long, value_name = "N", help = help("Words that are typical of a topic", defaults().topic_vocabulary))]
    topic_vocabulary: Option<u32>,
    #[arg(long, value_name = "N", help = help("Words that are typical of a label", defaults().label_vocabulary))]
    label_vocabulary: Option<u32>,
    #[arg(long, value_name = "N", help = help("Words of a text from its topics", defaults().topic_words))]
    topic_words: Option<u32>,
    #[arg(long, value_name = "N", help = help("Words of a text from each of its labels", defaults().label_words))]
    label_words: Option<u32>,
    #[arg(long, value_name = "N", help = help("Words of a text that mean nothing", defaults().noise_words))]
    noise_words: Option<u32>,
    #[arg(long, value_name = "N", help = help("Fewest labels of a text", defaults().min_labels))]
    min_labels: Option<u32>,
    #[arg(long, value_name = "N", help = help("Most labels of a text", defaults().max_labels))]
    max_labels: Option<u32>,
    #[arg(long, value_name = "SHARE",
        help = help("How likely a label after the first may be of any topic", defaults().cross_topic))]
    cross_topic: Option<f64>,
    #[arg(long, value_name = "POWER",
        help = help("A label's frequency falls with this power of its rank, 0 to 2", defaults().label_exponent))]
    label_exponent: Option<f64>,
}

fn defaults() -> &'static MultiSenseParams {
    static DEFAULTS: LazyLock<MultiSenseParams> = LazyLock::new(MultiSenseParams::default);
    &DEFAULTS
}

impl MultiSenseArgs {
    /// What was typed over the defaults, not checked.
    pub(crate) fn params(&self) -> MultiSenseParams {
        let mut params = defaults().clone();
        set(self.train.map(|n| n as u64), &mut params.n_train);
        set(self.test.map(|n| n as u64), &mut params.n_test);
        set(self.merge, &mut params.merge);
        set(self.seed, &mut params.seed);
        self.shape.apply(&mut params);
        params
    }
}

impl MultiSenseShape {
    fn apply(&self, params: &mut MultiSenseParams) {
        set(self.topics, &mut params.n_topics);
        set(self.labels_per_topic, &mut params.labels_per_topic);
        set(self.words, &mut params.n_words);
        set(self.topic_vocabulary, &mut params.topic_vocabulary);
        set(self.label_vocabulary, &mut params.label_vocabulary);
        set(self.topic_words, &mut params.topic_words);
        set(self.label_words, &mut params.label_words);
        set(self.noise_words, &mut params.noise_words);
        set(self.min_labels, &mut params.min_labels);
        set(self.max_labels, &mut params.max_labels);
        set(self.cross_topic, &mut params.cross_topic);
        set(self.label_exponent, &mut params.label_exponent);
    }
}

fn set<T: Copy>(typed: Option<T>, param: &mut T) {
    *param = typed.unwrap_or(*param);
}
