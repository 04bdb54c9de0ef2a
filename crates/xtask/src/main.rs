//! Project chores that need no more than a Rust tool chain: `cargo xtask demo`, `cargo xtask test`.
//!
//! Rust instead of shell scripts, so that they run where the engine runs.

mod demo;
mod shell;
mod suite;

use anyhow::{Result, bail};

const USAGE: &str = "\
Usage: cargo xtask <chore>

  demo   build xmc, train it on the titles in data/, score it and predict subjects (a few minutes, most of it the build)
  test   run every test: units, integration, documentation";

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["demo"] => demo::run(),
        ["test"] => suite::run(),
        [] | ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => bail!("there is no chore '{}'\n\n{USAGE}", args.join(" ")),
    }
}
