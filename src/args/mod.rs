//! What can be typed. Nothing here opens a file or does any work: `cli` resolves it.

mod bench;
mod compress;
mod convert;
mod data;
mod disentangle;
mod distill;
mod encode;
mod encoder;
mod eval;
mod explain;
mod inspect;
mod models;
mod params;
mod predict;
mod reading;
mod search;
mod synth;
mod train;
mod tune;
mod vectorizer;

pub(crate) use bench::BenchArgs;
pub(crate) use compress::CompressArgs;
pub(crate) use convert::ConvertArgs;
pub(crate) use data::{DataArgs, HyperArgs};
pub(crate) use disentangle::{AssignmentArgs, DisentangleArgs};
pub(crate) use distill::DistillArgs;
pub(crate) use encode::EncodeArgs;
pub(crate) use encoder::{EncoderArgs, EncoderMode, EncodingArgs, FineTuneArgs, GivenEncoderArgs};
pub(crate) use eval::EvalArgs;
pub(crate) use explain::ExplainArgs;
pub(crate) use inspect::InspectArgs;
pub(crate) use models::{DeviceArgs, ModelsArgs};
pub(crate) use params::ParamArgs;
pub(crate) use predict::{OutputFormat, PredictArgs};
pub(crate) use reading::{LabelArgs, LabelByArg, ReadArgs};
pub(crate) use search::SearchArgs;
pub(crate) use synth::{MultiSenseArgs, ShapedArgs, ShapedFormat, Synth, SynthArgs, SynthOutput};
pub(crate) use train::TrainArgs;
pub(crate) use tune::TuneArgs;
#[cfg(feature = "transformer")]
pub(crate) use vectorizer::named;

use clap::{Args as ClapArgs, Parser, Subcommand};
use std::fmt::Display;

const EXAMPLES: &str = "\
Examples:
  xmc train --train titles.tsv --model subjects       learn from 'label,label<TAB>text' lines
  xmc predict --model subjects new-titles.txt         label the lines of a file, as JSON Lines
  tail -f log | xmc predict --model subjects -        label lines as they come
  xmc eval --model subjects --test held-out.tsv       P@k, R@k, nDCG@k … in percent
  xmc tune --train titles.tsv --output best.toml      find good hyper-parameters
  xmc explain --model subjects 'Growing roses'        why a text gets its labels
  xmc bench --model subjects --test held-out.tsv      how fast it answers
  xmc inspect --model subjects                        what the model is and was made from

Exit codes:
  0  done (also when the reader of the output went away)
  1  the work failed: unreadable or wrong data, a damaged model, a full disk …
  2  wrong usage: options that are unknown, out of range or do not go together
  130  interrupted by Ctrl-C; no half-written model or output is left behind";

/// Extreme multi-label classification: text in, the right few of thousands or millions of labels out.
#[derive(Debug, Parser)]
#[command(name = "xmc", version, propagate_version = true, after_help = EXAMPLES)]
#[command(disable_help_subcommand = true, max_term_width = 110)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) verb: Verb,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Train a model on labelled data
    Train(Box<TrainArgs>),
    /// Predict the labels of new data
    Predict(PredictArgs),
    /// Score a model on labelled data
    Eval(EvalArgs),
    /// Measure how fast a model answers
    Bench(BenchArgs),
    /// Search hyper-parameters on validation data
    Tune(Box<TuneArgs>),
    /// Give labels further places in the tree of a trained model
    Disentangle(Box<DisentangleArgs>),
    /// Make a trained model smaller
    Compress(CompressArgs),
    /// Write data once in a form that is mapped instead of read
    Convert(ConvertArgs),
    /// Write the embeddings of texts
    Encode(EncodeArgs),
    /// Make a table of token vectors that imitates an encoder
    Distill(DistillArgs),
    /// Show why labels are predicted
    Explain(ExplainArgs),
    /// Show what a model (or converted data) is, check it, print its label tree
    Inspect(InspectArgs),
    /// Make data with known truth, for experiments
    Synth(SynthArgs),
}

/// Options of every command.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "General")]
pub(crate) struct Common {
    /// Threads to use; models do not depend on it [default: all cores]
    #[arg(long, global = true, value_name = "N", value_parser = at_least_one)]
    pub(crate) threads: Option<usize>,
    /// No progress bars and no notes
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Log the stages with their times and memory on standard error; twice for more
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// Help that ends in the default, which is taken from where it is defined.
fn help(text: &str, default: impl Display) -> String {
    format!("{text} [default: {default}]")
}

/// A number from 1.
fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("expected at least 1".into()),
        Ok(n) => Ok(n),
        Err(error) => Err(format!("expected a whole number: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_options_do_not_contradict_one_another() {
        Args::command().debug_assert();
    }
}
