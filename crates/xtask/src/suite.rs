//! `cargo xtask test`: every test of the workspace, documentation examples included.
//!
//! The tests bring their data along and need nothing that is not in `Cargo.lock`.

use crate::shell;
use anyhow::Result;

/// Runs the tests.
pub(crate) fn run() -> Result<()> {
    shell::run(&shell::cargo(), &["test", "--workspace", "--locked"])
}
