//! Extreme multi-label classification: text in, the right few of millions of labels out.
