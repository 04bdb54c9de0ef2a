//! XR-Linear from the outside: what it learns, what it stores, and what it says to bad input.
// A test that unwraps fails with a line number, which is what a test is for.
#![allow(clippy::unwrap_used)]

mod batch;
mod compress;
mod contents;
mod damage;
mod dense;
mod errors;
mod exhaustive;
mod explain;
mod options;
mod problem;
mod reuse;
mod storage;
