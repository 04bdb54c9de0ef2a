//! Readers and writers of extreme multi-label data: text, XC repository, NumPy and SciPy files.
