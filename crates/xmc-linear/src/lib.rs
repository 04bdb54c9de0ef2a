//! Batched linear SVM solvers for sibling labels.
