//! Text in a form in which equal words are equal bytes.
//!
//! Normalization Form KC (Unicode Standard Annex 15), full case folding (the Unicode Standard, section
//! 3.13), and Form KC again because folding can take a text out of it. Text that is all ASCII, which most
//! text of many collections is, needs neither table.

use crate::TfIdfParams;
use caseless::Caseless;
use unicode_normalization::UnicodeNormalization;

impl TfIdfParams {
    /// `text` as its vectorisers see it: itself, or written into `buffer`.
    pub(crate) fn normalized<'t>(&self, text: &'t str, buffer: &'t mut String) -> &'t str {
        if !(self.nfkc || self.fold_case) {
            return text;
        }
        buffer.clear();
        if text.is_ascii() {
            if !self.fold_case {
                return text;
            }
            buffer.push_str(text);
            buffer.make_ascii_lowercase();
        } else {
            self.normalize_unicode(text, buffer);
        }
        buffer
    }

    fn normalize_unicode(&self, text: &str, buffer: &mut String) {
        match (self.nfkc, self.fold_case) {
            (true, true) => buffer.extend(text.nfkc().default_case_fold().nfkc()),
            (true, false) => buffer.extend(text.nfkc()),
            (false, true) => buffer.extend(text.chars().default_case_fold()),
            (false, false) => buffer.push_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn normalized(text: &str) -> String {
        TfIdfParams::default().normalized(text, &mut String::new()).to_owned()
    }

    #[test]
    fn letters_that_differ_in_form_or_case_become_equal() {
        assert_eq!(normalized("ﬁne STRASSE"), normalized("Fine Straße"));
        assert_eq!(normalized("Cafe\u{301}"), normalized("CAFÉ"));
        assert_eq!(normalized("Ｆｕｌｌ１２"), "full12");
        assert_eq!(normalized("İstanbul"), "i\u{307}stanbul");
        assert_eq!(normalized("ΌΣΟΣ"), normalized("όσος"));
    }

    #[test]
    fn text_is_left_alone_when_nothing_is_asked_for() {
        let params = TfIdfParams::default().nfkc(false).fold_case(false);
        assert_eq!(params.normalized("ﬁne É", &mut String::new()), "ﬁne É");
        let fold = TfIdfParams::default().nfkc(false);
        assert_eq!(fold.normalized("ﬁne É e\u{301}", &mut String::new()), "fine é e\u{301}");
    }

    proptest! {
        #[test]
        fn the_ascii_path_agrees_with_the_tables(text in "[ -~\t\n]{0,40}") {
            let mut slow = String::new();
            TfIdfParams::default().normalize_unicode(&text, &mut slow);
            prop_assert_eq!(normalized(&text), slow);
        }

        #[test]
        fn normalising_twice_changes_nothing(text in "\\PC{0,40}") {
            let once = normalized(&text);
            prop_assert_eq!(normalized(&once), once);
        }
    }
}
