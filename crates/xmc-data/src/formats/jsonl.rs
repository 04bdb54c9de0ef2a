//! One JSON object a line: `{"text": …, "labels": […], "id": …, "weight": …}`.

use crate::{
    DataError,
    record::{Place, Record, RecordSource},
    source::Lines,
};
use serde::{Deserialize, Deserializer, de};
use std::{borrow::Cow, fmt, path::Path};

pub(crate) struct JsonLines {
    lines: Lines,
    labelled: bool,
}

impl JsonLines {
    pub(crate) fn new(lines: Lines, labelled: bool) -> Self {
        Self { lines, labelled }
    }
}

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
    #[serde(borrow, default)]
    labels: Option<Vec<Token<'a>>>,
    #[serde(borrow, default)]
    id: Option<Token<'a>>,
    #[serde(default)]
    weight: Option<f32>,
}

/// A string, or an integer in its decimal form.
struct Token<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Token<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TokenVisitor)
    }
}

struct TokenVisitor;

impl<'de> de::Visitor<'de> for TokenVisitor {
    type Value = Token<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or an integer")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Token(text.into()))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Token(text.to_owned().into()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Token(number.to_string().into()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Token(number.to_string().into()))
    }
}

const EXPECTED: &str = r#"a JSON object {"text": "…", "labels": ["…"]} with optional "id" (string or integer) and "weight" (number)"#;

impl RecordSource for JsonLines {
    fn read(&mut self, record: &mut Record) -> Result<bool, DataError> {
        // Empty lines are allowed between JSON values.
        while {
            if !self.lines.advance()? {
                return Ok(false);
            }
            self.lines.bytes().trim_ascii().is_empty()
        } {}
        let at = Place { path: self.lines.path(), line: self.lines.number() };
        let line = self.lines.text()?;
        let object: Object<'_> = serde_json::from_str(line).map_err(|_| at.bad(EXPECTED, line))?;
        record.line = at.line;
        record.text.push_str(&object.text);
        record.id = object.id.map(|id| id.0.into_owned());
        record.set_weight(object.weight, at)?;
        match object.labels {
            _ if !self.labelled => {}
            None => return Err(at.bad(r#"a member "labels" (an empty list for none)"#, line)),
            Some(labels) if labels.iter().any(|label| label.0.is_empty()) => {
                return Err(at.bad("labels that are not empty", line));
            }
            Some(labels) => record.labels.extend(labels.iter().map(|label| &label.0)),
        }
        Ok(true)
    }

    fn path(&self) -> &Path {
        self.lines.path()
    }

    fn would_wait(&self) -> bool {
        self.lines.would_wait()
    }
}
