//! Ranking metrics of extreme multi-label classification.
