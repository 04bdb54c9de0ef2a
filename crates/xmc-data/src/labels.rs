//! Labels: a stable number, a unique key and a display name for each.
//!
//! A label file has one label a line, `key<TAB>name` or only the key (which is then the name too);
//! its row number, from 0, is the label's id. How data files refer to labels is told by [`LabelBy`].

use crate::source::{Lines, Source};
use crate::{DataError, Texts, error::Excerpt};
use hashbrown::{DefaultHashBuilder, HashTable};
use std::{
    fs::File,
    hash::BuildHasher,
    io::{BufWriter, Write},
    path::Path,
    sync::OnceLock,
};
use xmc_sparse::LabelId;

/// How a label in a data file refers to the label map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LabelBy {
    /// The scheme, of the three below, that knows the most labels of the first 1,000 labelled records;
    /// on a tie, the one that stands first below. It is settled once for each file.
    #[default]
    Auto,
    /// By key, the first column of the label file.
    Key,
    /// By display name, the second column; a name that several labels share cannot be used.
    Name,
    /// By row number in the label file, from 0.
    Row,
}

impl LabelBy {
    /// The word for it in messages and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Key => "key",
            Self::Name => "name",
            Self::Row => "row",
        }
    }
}

/// What to do with a label that a given label map does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownLabels {
    /// The record is bad.
    #[default]
    Error,
    /// Leave the label out and count it.
    Ignore,
    /// Give it the next id.
    Grow,
}

/// Labels by id, key and name.
///
/// ```
/// let mut labels = xmc_data::LabelMap::new();
/// assert_eq!(labels.insert("p4", "fiction and poetry"), 0);
/// assert_eq!(labels.get("p4"), Some(0));
/// assert_eq!(labels.name(0), "fiction and poetry");
/// ```
#[derive(Clone, Default)]
pub struct LabelMap {
    keys: Texts,
    /// Empty while every name equals its key.
    names: Texts,
    /// Made when a key is first looked up: most who read data never do.
    by_key: OnceLock<HashTable<LabelId>>,
    hasher: DefaultHashBuilder,
    is_from_file: bool,
}

impl std::fmt::Debug for LabelMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LabelMap({} labels)", self.len())
    }
}

/// Equal when the same ids have the same keys and names.
impl PartialEq for LabelMap {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl LabelMap {
    /// No labels yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Labels whose keys and names are the numbers from 0, for data that only numbers its labels.
    pub fn numbered(n_labels: usize) -> Self {
        let mut keys: Texts = (0..n_labels).map(|id| id.to_string()).collect();
        keys.shrink_to_fit();
        Self::of(keys, Texts::new(), false)
    }

    /// Labels with keys that differ from each other, and no names or as many.
    pub(crate) fn of(keys: Texts, names: Texts, is_from_file: bool) -> Self {
        debug_assert!(names.is_empty() || names.len() == keys.len());
        Self { keys, names, is_from_file, ..Self::default() }
    }

    /// Whether somebody has given a file of all labels, rather than the data alone.
    pub fn is_from_file(&self) -> bool {
        self.is_from_file
    }

    /// Reads a label file: `key<TAB>name` or `key` a line, compressed or not. Empty lines are skipped at
    /// the end only, since a row number counts lines.
    ///
    /// # Errors
    /// [`DataError::DuplicateKey`], [`DataError::BadLine`] for an empty key, [`DataError::Empty`] and
    /// what reading lines can meet.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let mut lines = Lines::new(Source::open(path)?, crate::ReadOptions::DEFAULT_MAX_LINE_BYTES);
        let mut this = Self { is_from_file: true, ..Self::new() };
        let mut blank = None;
        while lines.advance()? {
            let (line, number) = (lines.text()?.trim(), lines.number());
            match (line.is_empty(), blank) {
                (true, _) => blank = blank.or(Some(number)),
                (false, Some(number)) => return Err(no_key(path, number)),
                (false, None) => this.insert_line(line, path, number)?,
            }
        }
        match this.is_empty() {
            true => Err(DataError::Empty { path: path.to_owned() }),
            false => Ok(this),
        }
    }

    fn insert_line(&mut self, line: &str, path: &Path, number: u64) -> Result<(), DataError> {
        let (key, name) = line.split_once('\t').unwrap_or((line, line));
        let (key, name) = (key.trim(), name.trim());
        if key.is_empty() {
            return Err(no_key(path, number));
        }
        if let Some(first) = self.get(key) {
            let (path, key) = (path.to_owned(), Excerpt::new(key));
            return Err(DataError::DuplicateKey {
                path,
                line: number,
                key,
                first_line: u64::from(first) + 1,
            });
        }
        self.insert(key, if name.is_empty() { key } else { name });
        Ok(())
    }

    /// Writes the label file that [`LabelMap::from_file`] reads.
    ///
    /// # Errors
    /// [`DataError::Open`], [`DataError::Write`]; [`DataError::Unsupported`] when a key or name holds a
    /// TAB or a line end, or a key is empty or has spaces around it.
    pub fn write_tsv(&self, path: impl AsRef<Path>) -> Result<(), DataError> {
        let path = path.as_ref();
        let breaks = |text: &str| text.contains(['\t', '\n', '\r']) || text.trim() != text || text.is_empty();
        if self.iter().any(|(key, name)| breaks(key) || breaks(name)) {
            let what = "a label is empty or holds a TAB, a line end or outer spaces: it cannot stand in a label file";
            return Err(DataError::Unsupported { path: path.to_owned(), what });
        }
        let file = File::create(path).map_err(|source| DataError::Open { path: path.to_owned(), source })?;
        let mut out = BufWriter::new(file);
        self.iter()
            .try_for_each(|(key, name)| writeln!(out, "{key}\t{name}"))
            .and_then(|()| out.flush())
            .map_err(|source| DataError::Write { path: path.to_owned(), source })
    }

    /// Number of labels.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The id of the label with this key.
    pub fn get(&self, key: &str) -> Option<LabelId> {
        self.by_key().find(self.hasher.hash_one(key), |&id| &self.keys[id as usize] == key).copied()
    }

    fn by_key(&self) -> &HashTable<LabelId> {
        self.by_key.get_or_init(|| {
            let hash = |&id: &LabelId| self.hasher.hash_one(&self.keys[id as usize]);
            let mut table = HashTable::with_capacity(self.len());
            (0..self.len() as LabelId).for_each(|id| _ = table.insert_unique(hash(&id), id, hash));
            table
        })
    }

    /// The key of label `id`; panics when it is out of range.
    pub fn key(&self, id: LabelId) -> &str {
        &self.keys[id as usize]
    }

    /// The display name of label `id`; panics when it is out of range.
    pub fn name(&self, id: LabelId) -> &str {
        if self.names.is_empty() { self.key(id) } else { &self.names[id as usize] }
    }

    /// `(key, name)` of each label, by id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        (0..self.len()).map(|id| (self.key(id as LabelId), self.name(id as LabelId)))
    }

    /// The id of the label `key`, which is added under `name` when it is new.
    pub fn insert(&mut self, key: &str, name: &str) -> LabelId {
        if let Some(id) = self.get(key) {
            return id;
        }
        if self.names.is_empty() && key != name {
            self.names = self.keys.clone();
        }
        let id = LabelId::try_from(self.len()).expect("invariant: 4 billion labels do not fit in memory");
        self.keys.push(key);
        if key != name || !self.names.is_empty() {
            self.names.push(name);
        }
        let (keys, hasher) = (&self.keys, &self.hasher);
        if let Some(table) = self.by_key.get_mut() {
            table.insert_unique(hasher.hash_one(key), id, |&id| hasher.hash_one(&keys[id as usize]));
        }
        id
    }

    /// [`LabelMap::insert`] for a label that is named by its key.
    pub fn insert_key(&mut self, key: &str) -> LabelId {
        self.insert(key, key)
    }

    /// The ids by display name, `None` where several labels share it.
    pub(crate) fn by_name(&self) -> NameIndex {
        let mut index = NameIndex::with_capacity(self.len());
        for (id, (_, name)) in self.iter().enumerate() {
            index.entry(name.into()).and_modify(|id| *id = None).or_insert(Some(id as LabelId));
        }
        index
    }
}

/// From display name to id, `None` for a name that is not unique.
pub(crate) type NameIndex = hashbrown::HashMap<Box<str>, Option<LabelId>>;

fn no_key(path: &Path, line: u64) -> DataError {
    let (expected, found) = ("a label: key, or key<TAB>name", Excerpt::new(""));
    DataError::BadLine { path: path.to_owned(), line, expected, found }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_text(text: &str) -> Result<LabelMap, DataError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("labels.tsv");
        std::fs::write(&path, text).unwrap();
        LabelMap::from_file(&path)
    }

    #[test]
    fn a_label_file_gives_ids_by_row() {
        let labels = from_text("p3\tlight reading\np4\tfiction\np5\n\n").unwrap();
        assert_eq!(
            labels.iter().collect::<Vec<_>>(),
            [("p3", "light reading"), ("p4", "fiction"), ("p5", "p5")]
        );
        assert_eq!((labels.get("p4"), labels.get("fiction")), (Some(1), None));
    }

    #[test]
    fn names_that_come_late_keep_the_early_ones() {
        let mut labels = LabelMap::numbered(2);
        assert_eq!(labels.insert("k", "name"), 2);
        assert_eq!(labels.insert("1", "ignored, the key is known"), 1);
        assert_eq!((labels.name(1), labels.name(2)), ("1", "name"));
        assert_eq!(labels.len(), 3);
    }

    #[test]
    fn shared_names_belong_to_nobody() {
        let labels = from_text("a\tx\nb\tx\nc\ty\n").unwrap();
        let by_name = labels.by_name();
        assert_eq!((by_name["x"], by_name["y"]), (None, Some(2)));
    }

    #[test]
    fn a_key_that_stands_twice_and_an_empty_one_are_refused() {
        assert!(matches!(
            from_text("a\nb\na\n"),
            Err(DataError::DuplicateKey { line: 3, first_line: 1, .. })
        ));
        assert!(matches!(from_text("a\n\nb\n"), Err(DataError::BadLine { line: 2, .. })));
        assert!(matches!(from_text("\n"), Err(DataError::Empty { .. })));
    }

    #[test]
    fn a_written_label_file_reads_back_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("labels.tsv");
        let labels = from_text("p3\tlight reading\np4\tfiction\n").unwrap();
        labels.write_tsv(&path).unwrap();
        assert_eq!(LabelMap::from_file(&path).unwrap(), labels);
        let mut bad = LabelMap::new();
        bad.insert_key("a\tb");
        assert!(matches!(bad.write_tsv(&path), Err(DataError::Unsupported { .. })));
    }
}
