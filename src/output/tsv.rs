//! A table: record, rank, key, label, score, with a line for each label.
//!
//! TAB, line ends and the backslash stand as `\t`, `\n`, `\r` and `\\`, so that a line is always a line.

use super::{Batch, Destination, Sink};
use std::borrow::Cow;
use std::io::{self, Write};

/// Writes the table; a batch is out when it is written.
pub(crate) struct Tsv {
    out: Destination,
    has_header: bool,
}

impl Tsv {
    pub(crate) fn new(out: Destination) -> Self {
        Self { out, has_header: false }
    }

    /// The header comes with the first batch, or at the end when there is none.
    fn write_header(&mut self) -> io::Result<()> {
        if self.has_header {
            return Ok(());
        }
        self.has_header = true;
        self.out.write_all(b"record\trank\tkey\tlabel\tscore\n")
    }
}

impl Sink for Tsv {
    fn write(&mut self, batch: &Batch<'_>) -> io::Result<()> {
        self.write_header()?;
        for (at, list) in batch.lists.iter().enumerate() {
            let record = match batch.id(at) {
                Some(id) => Cow::Owned(escape(id).into_owned()),
                None => Cow::<str>::Owned((batch.first_record + at as u64).to_string()),
            };
            for (rank, found) in batch.model.named(list).iter().enumerate() {
                let (key, name) = (escape(found.key), escape(found.name));
                writeln!(self.out, "{record}\t{}\t{key}\t{name}\t{}", rank + 1, found.score)?;
            }
        }
        self.out.flush()
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.write_header()?;
        self.out.finish()
    }
}

fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['\t', '\n', '\r', '\\']) {
        return Cow::Borrowed(text);
    }
    let escaped = text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r");
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_a_line() {
        assert_eq!(escape("sign language"), "sign language");
        assert_eq!(escape("a\tb\\n\n"), "a\\tb\\\\n\\n");
    }
}
