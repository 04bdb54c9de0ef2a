//! `cargo xtask test`: every test of the workspace, documentation examples included.
//!
//! The tests bring their data along and need nothing that is not in `Cargo.lock`, but for libtorch: see [`crate::torch`].

use crate::{shell, torch};
use anyhow::Result;

/// Runs the tests.
pub(crate) fn run() -> Result<()> {
    torch::run()?;
    // Tests in documentation are linked without what build scripts say of where libraries are.
    let path = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(torch::libraries()).chain(std::env::split_paths(&path)))?;
    let args = ["test", "--workspace", "--features", "transformer", "--locked"];
    shell::run_with(&shell::cargo(), &args, &[("LD_LIBRARY_PATH", path)])
}
