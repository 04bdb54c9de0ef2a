//! `xmc explain`: why a model predicts what it predicts.

use super::open_model;
use crate::args::ExplainArgs;
use crate::console::{Console, print};
use crate::failure::usage;
use anyhow::Result;
use rayon::prelude::*;
use serde::Serialize;
use std::path::{Path, PathBuf};
use xmc::{Dataset, ExplainOptions, Explanation, Input, LabelId, Model, NoProgress, Purpose};
use xmc::{ReadOptions, RecordReader, Scope, SearchParams};

/// Most records at a time: an explanation is long.
const BATCH: usize = 256;

/// Runs the command.
pub(crate) fn run(args: &ExplainArgs, console: &Console) -> Result<()> {
    let source = Source::resolve(args)?;
    let model = open_model(&args.model, &args.device)?;
    let labels = ids_of(&args.labels, &model)?;
    let (top_k, scope) = match labels.is_empty() {
        true => (args.top_k, Scope::all()),
        false => (labels.len(), Scope::only(&model, labels)?),
    };
    let search = args.search.over(model.search()).top_k(top_k);
    let job = Job { model, search, scope, options: args.options(), json: args.json };
    match source {
        Source::Typed(texts) => job.typed(&texts),
        Source::File(path, options) => job.file(&path, &options, console),
    }
}

/// Labels called by their keys or their names.
fn ids_of(called: &[String], model: &Model) -> Result<Vec<LabelId>> {
    let labels = model.label_map();
    let named = |name: &String| labels.iter().position(|(_, of)| of == name).map(|id| id as LabelId);
    let id = |label: &String| labels.get(label).or_else(|| named(label));
    let ids = called
        .iter()
        .map(|label| id(label).ok_or_else(|| usage(format!("the model has no label '{label}'"))));
    ids.collect()
}

/// What to explain.
enum Source {
    Typed(Vec<String>),
    File(PathBuf, ReadOptions),
}

impl Source {
    fn resolve(args: &ExplainArgs) -> Result<Self> {
        let input = match (&args.input, &args.texts[..]) {
            (Some(path), _) => path.clone(),
            (None, [dash]) if dash == "-" => PathBuf::from("-"),
            (None, texts) if texts.iter().any(|text| text.trim().is_empty()) => {
                return Err(usage("a text to explain is empty"));
            }
            (None, texts) => return Ok(Self::Typed(texts.to_vec())),
        };
        let options =
            ReadOptions { purpose: Purpose::Unlabelled, dense: args.dense.clone(), ..args.reading.options() };
        Ok(Self::File(input, options))
    }
}

/// All that explaining needs.
struct Job {
    model: Model,
    search: SearchParams,
    scope: Scope,
    options: ExplainOptions,
    json: bool,
}

impl Job {
    fn typed(&self, texts: &[String]) -> Result<()> {
        let batch = Dataset::from_examples(texts.iter().map(|text| (text, [""; 0])));
        let title = |row: usize| format!("\"{}\"", texts[row]);
        // A single text has just been typed: there is no need to say which one it is.
        self.show(&batch, (texts.len() > 1).then_some(&title))
    }

    fn file(&self, path: &Path, options: &ReadOptions, console: &Console) -> Result<()> {
        let mut reader = RecordReader::open(path, options)?;
        let mut first = 0;
        while let Some(batch) = reader.next_batch(BATCH)? {
            let title = |row: usize| match (id(&batch, row), text(&batch, row)) {
                (Some(id), Some(text)) => format!("record {id}: {text}"),
                (None, Some(text)) => format!("record {}: {text}", first + row),
                (Some(id), None) => format!("record {id}"),
                (None, None) => format!("record {}", first + row),
            };
            self.show(&batch, Some(&title))?;
            first += batch.n_samples();
        }
        console.note_skipped(path, &reader.skipped());
        Ok(())
    }

    /// Explains a batch, in parallel, and prints it.
    fn show<T: Fn(usize) -> String + Sync>(&self, batch: &Dataset, title: Option<&T>) -> Result<()> {
        let features = self.model.features(batch, &NoProgress)?;
        let explainer = || self.model.explainer(self.options);
        let shown = (0..features.n_samples()).into_par_iter().map_init(explainer, |explainer, row| {
            let explanation = explainer.explain_row_in(features.row(row), &self.search, &self.scope)?;
            match self.json {
                true => Ok(serde_json::to_string(&Line::new(batch, row, &explanation))?),
                false => Ok(page(batch, row, title.map(|title| title(row)), &explanation)),
            }
        });
        let shown: Vec<String> = shown.collect::<Result<_>>()?;
        print(shown.join("\n").trim_end_matches('\n'))
    }
}

fn id(batch: &Dataset, row: usize) -> Option<&str> {
    batch.ids.as_ref().and_then(|ids| ids.get(row)).filter(|id| !id.is_empty())
}

fn text(batch: &Dataset, row: usize) -> Option<&str> {
    match &batch.input {
        Input::Text(texts) => texts.get(row),
        Input::Features(_) => None,
    }
}

/// An explanation for a program.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(flatten)]
    explanation: &'a Explanation,
}

impl<'a> Line<'a> {
    fn new(batch: &'a Dataset, row: usize, explanation: &'a Explanation) -> Self {
        Self { id: id(batch, row), text: text(batch, row), explanation }
    }
}

/// An explanation for people.
fn page(batch: &Dataset, row: usize, title: Option<String>, explanation: &Explanation) -> String {
    let title = title.map_or_else(String::new, |title| format!("{title}\n\n"));
    let unknown = match explanation.n_features == 0 && text(batch, row).is_some() {
        true => "none of this text's n-grams is known to the model\n\n",
        false => "",
    };
    format!("{title}{unknown}{explanation}")
}
