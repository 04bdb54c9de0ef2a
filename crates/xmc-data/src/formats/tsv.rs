//! `label,label,…<TAB>text`, the plainest form of labelled text.

use crate::{
    DataError,
    record::{Place, Record, RecordSource},
    source::Lines,
};
use std::path::Path;

pub(crate) struct TsvLines {
    lines: Lines,
    labelled: bool,
}

impl TsvLines {
    /// With `labelled` every line must have its label column; else labels are passed over and a line
    /// without a TAB is all text (an empty line an empty text, so that answers stay in step with lines).
    pub(crate) fn new(lines: Lines, labelled: bool) -> Self {
        Self { lines, labelled }
    }
}

impl RecordSource for TsvLines {
    fn read(&mut self, record: &mut Record) -> Result<bool, DataError> {
        if !self.lines.advance()? {
            return Ok(false);
        }
        let at = Place { path: self.lines.path(), line: self.lines.number() };
        let line = self.lines.text()?;
        record.line = at.line;
        match line.split_once('\t') {
            Some((labels, text)) => {
                record.text.push_str(text);
                if self.labelled { record.set_labels(labels, ',', at) } else { Ok(()) }
            }
            None if self.labelled => Err(at.bad("label,label,…<TAB>text", line)),
            None => {
                record.text.push_str(line);
                Ok(())
            }
        }
        .map(|()| true)
    }

    fn path(&self) -> &Path {
        self.lines.path()
    }

    fn would_wait(&self) -> bool {
        self.lines.would_wait()
    }
}
