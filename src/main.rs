//! The `xmc` command: texts and their labels in, a model and its predictions out.
//!
//! `args` is what was typed, `cli` resolves it and does the work, one file for each verb, `output` writes
//! predictions. Everything that learns or predicts lives in the library crate `xmc`.

mod args;
mod cli;
mod console;
mod failure;
mod interrupt;
mod memory;
mod output;
mod progress;
mod provenance;

use clap::Parser;
use std::process::ExitCode;

/// Gives memory back between the stages of a training; the C library's allocator keeps about 100 MB of them.
#[cfg(unix)]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let args = args::Args::parse();
    match cli::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}
