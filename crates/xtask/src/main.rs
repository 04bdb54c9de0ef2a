//! Project chores that need no more than a Rust tool chain: `cargo xtask demo`, `cargo xtask test`.
//! What a chore fetches, it fetches with what the machine has.
//!
//! Rust instead of shell scripts, so that they run where the engine runs.

mod demo;
mod encoder;
mod shell;
mod suite;
mod torch;
mod tree;

use anyhow::{Result, bail};

const USAGE: &str = "\
Usage: cargo xtask <chore>

  demo     build xmc, train it on the titles in data/, score it and predict subjects (a few minutes, most of it the build)
  test     run every test: units, integration, documentation (fetches libtorch first)
  torch    fetch libtorch, on which the transformer is built, into target/torch
  encoder  fetch a small pretrained encoder into target/encoders";

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["demo"] => demo::run(),
        ["test"] => suite::run(),
        ["torch"] => torch::run(),
        ["encoder"] => encoder::run(),
        [] | ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => bail!("there is no chore '{}'\n\n{USAGE}", args.join(" ")),
    }
}
