//! Balanced spherical k-means for label clustering.
