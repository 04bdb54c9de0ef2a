//! `cargo xtask test`: every test of the workspace, documentation examples included.
//!
//! The tests bring their data along and need nothing that is not in `Cargo.lock`, but for libtorch: see [`crate::torch`].

use crate::{shell, torch};
use anyhow::Result;

/// Runs the tests.
pub(crate) fn run() -> Result<()> {
    torch::run()?;
    shell::run(&shell::cargo(), &["test", "--workspace", "--features", "transformer", "--locked"])
}
