//! JSON Lines: an object for each record, with names and scores.

use super::{Batch, Destination, Sink};
use serde::Serialize;
use std::io::{self, Write};
use xmc::Prediction;

/// Writes JSON Lines; a batch is out when it is written.
pub(crate) struct Jsonl(Destination);

#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    labels: Vec<Label<'a>>,
}

#[derive(Serialize)]
struct Label<'a> {
    label: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    score: f32,
}

impl<'a> From<Prediction<'a>> for Label<'a> {
    fn from(found: Prediction<'a>) -> Self {
        Self { label: found.name, key: (found.key != found.name).then_some(found.key), score: found.score }
    }
}

impl Jsonl {
    pub(crate) fn new(out: Destination) -> Self {
        Self(out)
    }
}

impl Sink for Jsonl {
    fn write(&mut self, batch: &Batch<'_>) -> io::Result<()> {
        for (at, list) in batch.lists.iter().enumerate() {
            let labels = batch.model.named(list).into_iter().map(Label::from).collect();
            serde_json::to_writer(&mut self.0, &Line { id: batch.id(at), labels })?;
            self.0.write_all(b"\n")?;
        }
        self.0.flush()
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        self.0.finish()
    }
}
