//! The vocabulary of a new encoder: characters, and what occurs together most.
//!
//! Byte-pair encoding (Sennrich, Haddow & Birch, 2016) on the words that BERT's tokenizer sees: the pair of pieces that
//! occurs most is made one piece, again and again. Pieces inside a word begin with `##`.

use crate::TransformerError;
use rayon::prelude::*;
use rust_tokenizers::tokenizer::{BaseTokenizer, Tokenizer as _};
use rust_tokenizers::vocab::{BertVocab, Vocab};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::fs;

/// The first tokens of every vocabulary.
const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
/// A pair that occurs once says nothing about other texts.
const MIN_COUNT: u64 = 2;

type Pair = (u32, u32);

/// At most `size` pieces, the special ones first.
pub(super) fn learn(texts: &[&str], size: usize) -> Result<Vec<String>, TransformerError> {
    let words = count_words(texts)?;
    let mut pieces: Vec<String> = SPECIAL.map(str::to_owned).to_vec();
    let mut words: Vec<Word> = spell(&words, &mut pieces, size);
    let mut pairs = Pairs::of(&words);
    while pieces.len() < size
        && let Some(pair) = pairs.most_frequent()
    {
        let inner = pieces[pair.1 as usize].trim_start_matches("##");
        pieces.push(format!("{}{inner}", pieces[pair.0 as usize]));
        pairs.merge(pair, pieces.len() as u32 - 1, &mut words);
    }
    Ok(pieces)
}

/// How often each word occurs, in the order of the words.
fn count_words(texts: &[&str]) -> Result<BTreeMap<String, u64>, TransformerError> {
    let io = |source| TransformerError::Io { path: std::env::temp_dir(), source };
    // A vocabulary is made from a file only.
    let file = tempfile::NamedTempFile::new().map_err(io)?;
    fs::write(file.path(), SPECIAL.map(|token| format!("{token}\n")).concat()).map_err(io)?;
    let vocabulary = BertVocab::from_file(file.path())
        .map_err(|source| TransformerError::VocabularyInvalid { path: file.path().to_owned(), source })?;
    let tokenizer = BaseTokenizer::from_existing_vocab(vocabulary, true, true);
    let count = |chunk: &[&str]| {
        let mut counts: HashMap<String, u64> = HashMap::new();
        for text in chunk {
            let words = tokenizer.tokenize(text).into_iter();
            words
                .filter(|word| !SPECIAL.contains(&word.as_str()))
                .for_each(|word| *counts.entry(word).or_default() += 1);
        }
        counts
    };
    let parts: Vec<_> = texts.par_chunks(4096).map(count).collect();
    let mut all = BTreeMap::new();
    parts.into_iter().flatten().for_each(|(word, count)| *all.entry(word).or_default() += count);
    Ok(all)
}

struct Word {
    pieces: Vec<u32>,
    count: u64,
}

/// Words in their characters, which become pieces; words with a character that there is no more room for are left out.
fn spell(words: &BTreeMap<String, u64>, pieces: &mut Vec<String>, size: usize) -> Vec<Word> {
    let spelled = |word: &str| -> Vec<String> {
        word.chars()
            .enumerate()
            .map(|(at, c)| if at == 0 { c.to_string() } else { format!("##{c}") })
            .collect()
    };
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for (word, count) in words {
        spelled(word).into_iter().for_each(|c| *counts.entry(c).or_default() += count);
    }
    let mut characters: Vec<_> = counts.into_iter().collect();
    characters.sort_by_key(|(_, count)| Reverse(*count));
    characters.truncate(size - pieces.len());
    pieces.extend(characters.into_iter().map(|(c, _)| c));
    let ids: HashMap<_, _> = (0..).zip(pieces.iter()).map(|(id, piece)| (piece.as_str(), id)).collect();
    let word = |(word, &count): (&String, &u64)| {
        let pieces = spelled(word).iter().map(|c| ids.get(c.as_str()).copied()).collect::<Option<_>>()?;
        Some(Word { pieces, count })
    };
    words.iter().filter_map(word).collect()
}

/// Pairs of neighbours, how often they occur and in which words.
#[derive(Default)]
struct Pairs {
    counts: HashMap<Pair, u64>,
    /// Words that have, or had, the pair.
    places: HashMap<Pair, BTreeSet<u32>>,
    /// The largest count first, of equal ones the pair of the smaller numbers. Counts may be outdated: too large.
    queue: BinaryHeap<(u64, Reverse<Pair>)>,
}

impl Pairs {
    fn of(words: &[Word]) -> Self {
        let mut this = Self::default();
        for (at, word) in (0..).zip(words) {
            this.add(at, word);
        }
        this.queue = this.counts.iter().map(|(&pair, &count)| (count, Reverse(pair))).collect();
        this
    }

    fn add(&mut self, at: u32, word: &Word) {
        for pair in word.pieces.windows(2).map(|pair| (pair[0], pair[1])) {
            *self.counts.entry(pair).or_default() += word.count;
            self.places.entry(pair).or_default().insert(at);
        }
    }

    fn most_frequent(&mut self) -> Option<Pair> {
        while let Some((count, Reverse(pair))) = self.queue.pop() {
            let now = self.counts.get(&pair).copied().unwrap_or(0);
            if now == count && count >= MIN_COUNT {
                return Some(pair);
            }
            if now >= MIN_COUNT && now < count {
                self.queue.push((now, Reverse(pair)));
            }
        }
        None
    }

    /// Makes `pair` the piece `piece` wherever it occurs.
    fn merge(&mut self, pair: Pair, piece: u32, words: &mut [Word]) {
        let mut grown = BTreeSet::new();
        for at in self.places.remove(&pair).unwrap_or_default() {
            let word = &mut words[at as usize];
            for old in word.pieces.windows(2).map(|pair| (pair[0], pair[1])) {
                if let Some(count) = self.counts.get_mut(&old) {
                    *count -= word.count;
                }
            }
            word.pieces = merged(&word.pieces, pair, piece);
            self.add(at, &words[at as usize]);
            let new = words[at as usize].pieces.windows(2).map(|pair| (pair[0], pair[1]));
            grown.extend(new.filter(|new| new.0 == piece || new.1 == piece));
        }
        self.counts.remove(&pair);
        self.queue.extend(grown.into_iter().map(|new| (self.counts[&new], Reverse(new))));
    }
}

fn merged(pieces: &[u32], pair: Pair, piece: u32) -> Vec<u32> {
    let mut out: Vec<u32> = Vec::with_capacity(pieces.len());
    let mut rest = pieces;
    while let [first, others @ ..] = rest {
        if (*first, others.first().copied()) == (pair.0, Some(pair.1)) {
            out.push(piece);
            rest = &others[1..];
        } else {
            out.push(*first);
            rest = others;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_occurs_together_becomes_one_piece() {
        let pieces = learn(&["low low low lower", "newest newest Lowest!"], 1000).unwrap();
        assert_eq!(pieces[..5], SPECIAL);
        for piece in ["l", "##o", "!", "low", "newest"] {
            assert!(pieces.iter().any(|found| found == piece), "{piece} in {pieces:?}");
        }
        // Pairs that occur once are not made one.
        assert!(!pieces.iter().any(|found| found == "lower" || found == "lowest"));
        let mut distinct = pieces.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), pieces.len());
    }

    #[test]
    fn the_most_frequent_come_first_and_no_more_than_asked_for() {
        let pieces = learn(&["aaab aaab aaab xy"], 10).unwrap();
        // a, ##a, ##b, x, ##y: no room is left for pairs.
        assert_eq!(pieces.len(), 10);
        let pieces = learn(&["ab ab ab cd cd", "[CLS] ab"], 11).unwrap();
        assert_eq!(pieces[9..], ["ab", "cd"]);
    }

    #[test]
    fn overlapping_pairs_are_merged_from_the_left() {
        assert_eq!(merged(&[1, 1, 1, 2, 1, 1], (1, 1), 9), [9, 1, 2, 9]);
        assert_eq!(merged(&[3], (1, 1), 9), [3]);
    }
}
