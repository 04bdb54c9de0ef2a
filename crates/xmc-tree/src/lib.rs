//! Label features, the label tree and the matcher interface.
