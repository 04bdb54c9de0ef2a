//! The `xmc` command from the outside: what is typed, printed, written and left alone.

// A test that unwraps fails with a line number; clippy knows only functions marked as tests.
#![allow(clippy::unwrap_used)]

mod bad_input;
mod bench;
mod compress;
mod convert;
mod disentangle;
mod encoder;
mod ensemble;
mod explain;
mod formats;
mod inspect;
mod interrupt;
mod memory;
mod options;
mod scene;
mod streaming;
mod synth;
mod threads;
mod train_predict;
mod tune;
