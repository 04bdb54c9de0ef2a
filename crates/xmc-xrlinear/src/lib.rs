//! XR-Linear: a linear model on every node of a label tree.
