//! The `xmc` command from the outside: what is typed, printed, written and left alone.

mod bad_input;
mod formats;
mod inspect;
mod interrupt;
mod scene;
mod streaming;
mod train_predict;
