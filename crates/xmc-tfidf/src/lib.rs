//! Text to sparse TF-IDF features.
