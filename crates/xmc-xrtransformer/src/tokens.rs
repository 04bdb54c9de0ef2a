//! Token numbers of many texts.

/// Token numbers, a row for each text, one after the other in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRows {
    ids: Vec<u32>,
    /// Where each row begins, then the end of the last.
    starts: Vec<usize>,
}

impl Default for TokenRows {
    fn default() -> Self {
        Self { ids: Vec::new(), starts: vec![0] }
    }
}

impl TokenRows {
    /// Number of texts.
    pub fn n_rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// The tokens of text `row`; panics when there is no such text.
    pub fn row(&self, row: usize) -> &[u32] {
        &self.ids[self.starts[row]..self.starts[row + 1]]
    }

    /// Number of tokens of text `row`; panics when there is no such text.
    pub fn len(&self, row: usize) -> usize {
        self.starts[row + 1] - self.starts[row]
    }

    /// Number of tokens of all texts.
    pub fn n_tokens(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.n_rows() == 0
    }

    /// The texts named by `rows`, in that order.
    pub(crate) fn select(&self, rows: &[usize]) -> Self {
        rows.iter().map(|&row| self.row(row)).collect()
    }

    pub(crate) fn push(&mut self, row: &[u32]) {
        self.ids.extend_from_slice(row);
        self.starts.push(self.ids.len());
    }
}

impl<R: AsRef<[u32]>> FromIterator<R> for TokenRows {
    fn from_iter<I: IntoIterator<Item = R>>(rows: I) -> Self {
        let mut all = Self::default();
        rows.into_iter().for_each(|row| all.push(row.as_ref()));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_as_they_were_put_in() {
        let rows = TokenRows::from_iter([&[1, 2][..], &[], &[3]]);
        assert_eq!((rows.n_rows(), rows.n_tokens(), rows.len(1)), (3, 3, 0));
        assert_eq!((rows.row(0), rows.row(1), rows.row(2)), (&[1, 2][..], &[][..], &[3][..]));
        assert!(TokenRows::default().is_empty() && !rows.is_empty());
    }
}
