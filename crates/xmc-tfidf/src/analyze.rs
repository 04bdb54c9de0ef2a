//! From normalised text to n-grams, each a slice of one buffer.
//!
//! Words are written one after the other with single spaces around them, so that a word n-gram and the
//! padded word of [`Analyzer::CharWb`] are both contiguous bytes: an n-gram is hashed and compared where
//! it lies and no string is built for it. Semantics as in scikit-learn's `CountVectorizer`.

use crate::{Analyzer, Tokenizer, VectorizerParams};
use std::ops::Range;
use unicode_segmentation::UnicodeSegmentation;

/// The n-grams of one text under one vectoriser. Reused from text to text, it stops allocating.
#[derive(Debug, Default)]
pub(crate) struct Grams {
    /// Words with single spaces between and around them, or the text itself (`Char`).
    text: String,
    /// Character analysers: the byte offset of every character of `text`, and its end.
    chars: Vec<usize>,
    /// Word: byte ranges of words. `CharWb`: ranges of padded words as positions in `chars`.
    words: Vec<Range<usize>>,
}

impl Grams {
    /// Cuts `text`, which replaces what was cut before.
    pub(crate) fn cut(&mut self, text: &str, params: &VectorizerParams) {
        self.text.clear();
        self.chars.clear();
        self.words.clear();
        let limit = params.truncate_tokens.unwrap_or(usize::MAX);
        match params.analyzer {
            Analyzer::Word => self.cut_words(text, params.tokenizer, limit),
            Analyzer::CharWb => self.cut_padded_words(text, params.tokenizer, limit),
            Analyzer::Char => self.cut_chars(text, limit),
        }
    }

    /// The bytes that the ranges of [`Self::for_each`] refer to.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// Calls `visit` with the byte range of every n-gram, repetitions included, in no promised order.
    pub(crate) fn for_each(&self, params: &VectorizerParams, visit: impl FnMut(Range<usize>)) {
        match params.analyzer {
            Analyzer::Word => self.word_grams(params.ngram_range, visit),
            Analyzer::CharWb => self.padded_word_grams(params.ngram_range, visit),
            Analyzer::Char => self.char_grams(params.ngram_range, visit),
        }
    }

    fn cut_words(&mut self, text: &str, tokenizer: Tokenizer, limit: usize) {
        for_each_word(text, tokenizer, limit, |word| {
            if !self.text.is_empty() {
                self.text.push(' ');
            }
            let start = self.text.len();
            self.text.push_str(word);
            self.words.push(start..self.text.len());
        });
    }

    fn cut_padded_words(&mut self, text: &str, tokenizer: Tokenizer, limit: usize) {
        self.push_char(' ');
        for_each_word(text, tokenizer, limit, |word| {
            // The space before this word is the one after the last.
            let start = self.chars.len() - 1;
            word.chars().for_each(|c| self.push_char(c));
            self.push_char(' ');
            self.words.push(start..self.chars.len());
        });
        self.chars.push(self.text.len());
    }

    fn cut_chars(&mut self, text: &str, limit: usize) {
        let mut chars = text.chars().peekable();
        while self.chars.len() < limit
            && let Some(mut c) = chars.next()
        {
            // A run of white space becomes a space; a lone tab or line feed stays what it is.
            if is_white_space(c) {
                while chars.next_if(|&next| is_white_space(next)).is_some() {
                    c = ' ';
                }
            }
            self.push_char(c);
        }
        self.chars.push(self.text.len());
    }

    fn push_char(&mut self, c: char) {
        self.chars.push(self.text.len());
        self.text.push(c);
    }

    fn word_grams(&self, (min, max): (usize, usize), mut visit: impl FnMut(Range<usize>)) {
        for n in min..=max.min(self.words.len()) {
            for words in self.words.windows(n) {
                visit(words[0].start..words[n - 1].end);
            }
        }
    }

    fn char_grams(&self, (min, max): (usize, usize), mut visit: impl FnMut(Range<usize>)) {
        let n_chars = self.chars.len() - 1;
        for n in min..=max.min(n_chars) {
            for start in 0..=n_chars - n {
                visit(self.chars[start]..self.chars[start + n]);
            }
        }
    }

    fn padded_word_grams(&self, (min, max): (usize, usize), mut visit: impl FnMut(Range<usize>)) {
        for word in &self.words {
            let chars = &self.chars[word.start..=word.end];
            let n_chars = chars.len() - 1;
            for n in min..=max {
                if n >= n_chars {
                    visit(chars[0]..chars[n_chars]);
                    break;
                }
                for ends in chars.windows(n + 1) {
                    visit(ends[0]..ends[n]);
                }
            }
        }
    }
}

fn for_each_word(text: &str, tokenizer: Tokenizer, limit: usize, visit: impl FnMut(&str)) {
    match tokenizer {
        Tokenizer::Unicode => text.unicode_words().take(limit).for_each(visit),
        Tokenizer::Whitespace => non_empty(text.split(is_white_space), limit).for_each(visit),
        Tokenizer::Space => non_empty(text.split(' '), limit).for_each(visit),
    }
}

fn non_empty<'t>(parts: impl Iterator<Item = &'t str>, limit: usize) -> impl Iterator<Item = &'t str> {
    parts.filter(|part| !part.is_empty()).take(limit)
}

/// White space as Python's `str.isspace` has it: the Unicode property and the four ASCII separators.
fn is_white_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grams(text: &str, params: &VectorizerParams) -> Vec<String> {
        let mut grams = Grams::default();
        // What was cut before must not matter.
        grams.cut("something else", params);
        grams.cut(text, params);
        let mut all = Vec::new();
        grams.for_each(params, |range| {
            all.push(String::from_utf8(grams.bytes()[range].to_vec()).unwrap());
        });
        all
    }

    fn white(analyzer: Analyzer, min: usize, max: usize) -> VectorizerParams {
        VectorizerParams::words(min, max).analyzer(analyzer).tokenizer(Tokenizer::Whitespace)
    }

    #[test]
    fn unicode_words_come_without_punctuation() {
        let params = VectorizerParams::words(1, 1);
        assert_eq!(
            grams("Can't, e-mail: 3.5 «naïve» (日本) 🙂", &params),
            ["Can't", "e", "mail", "3.5", "naïve", "日", "本"]
        );
        assert_eq!(grams("the end.", &VectorizerParams::words(1, 2)), ["the", "end", "the end"]);
    }

    #[test]
    fn spaces_alone_separate_words_of_pecos() {
        let params = VectorizerParams::words(1, 1).tokenizer(Tokenizer::Space);
        assert_eq!(grams("  a\u{a0}b,  c\td ", &params), ["a\u{a0}b,", "c\td"]);
        assert_eq!(grams("a\u{a0}b,  c\td\u{1f}e", &white(Analyzer::Word, 1, 1)), ["a", "b,", "c", "d", "e"]);
    }

    #[test]
    fn a_short_padded_word_counts_once() {
        assert_eq!(grams("a  été", &white(Analyzer::CharWb, 4, 6)), [" a ", " été", "été ", " été "]);
    }

    #[test]
    fn runs_of_white_space_are_one_space_for_characters() {
        assert_eq!(grams("é \t b\tc", &white(Analyzer::Char, 3, 3)), ["é b", " b\t", "b\tc"]);
        assert!(grams("ab", &white(Analyzer::Char, 3, 5)).is_empty());
    }

    #[test]
    fn only_the_first_tokens_are_used() {
        let words = |analyzer| white(analyzer, 2, 2).truncate_tokens(Some(2));
        assert_eq!(grams("a b c d", &words(Analyzer::Word)), ["a b"]);
        assert_eq!(grams("a b c d", &words(Analyzer::CharWb)), [" a", "a ", " b", "b "]);
        assert_eq!(grams("a b c d", &words(Analyzer::Char)), ["a "]);
    }

    /// The words one by one as the segmentation library gives them for text that is not ASCII.
    fn words_of_padded_text(text: &str) -> Vec<String> {
        let with_cjk = format!("{text} 日");
        let mut words: Vec<String> = with_cjk.unicode_words().map(str::to_owned).collect();
        words.pop();
        words
    }

    proptest! {
        #[test]
        fn ascii_words_are_the_unicode_words(text in "[ -~]{0,40}") {
            prop_assert_eq!(grams(&text, &VectorizerParams::words(1, 1)), words_of_padded_text(&text));
        }

        #[test]
        fn word_grams_are_the_joined_words(text in "\\PC{0,40}", n in 1usize..4) {
            let words = grams(&text, &VectorizerParams::words(1, 1));
            let joined: Vec<String> = words.windows(n).map(|words| words.join(" ")).collect();
            prop_assert_eq!(grams(&text, &VectorizerParams::words(n, n)), joined);
        }
    }
}
