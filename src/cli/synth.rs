//! `xmc synth`: data with known truth.
//!
//! Each kind of data has its room. All files of a data set are written under temporary names and appear together at the end.

mod multi_sense;
mod shaped;

use crate::args::{Synth, SynthArgs};
use crate::console::Console;
use crate::output::Destination;
use anyhow::{Context, Result};
use std::io;
use std::path::{Path, PathBuf};

/// Records between two reports of progress.
const STEP: u64 = 1024;

/// Runs the command.
pub(crate) fn run(args: &SynthArgs, console: &Console) -> Result<()> {
    match args.kind.resolve() {
        Synth::MultiSense(args) => multi_sense::run(args, console),
        Synth::Shaped(shape, args) => shaped::run(shape, args, console),
    }
}

fn make_dir(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make the directory {}", dir.display()))
}

/// A file of a data set, with its place for messages.
struct Part {
    path: PathBuf,
    out: Destination,
}

impl Part {
    fn open(dir: &Path, name: &str) -> Result<Self> {
        let path = dir.join(name);
        let out = Destination::open(Some(&path)).with_context(|| writing(&path))?;
        Ok(Self { path, out })
    }

    /// Writes what `write` writes.
    fn write(&mut self, write: impl FnOnce(&mut Destination) -> io::Result<()>) -> Result<()> {
        write(&mut self.out).with_context(|| writing(&self.path))
    }

    fn finish(self) -> Result<()> {
        self.out.finish().with_context(|| writing(&self.path))
    }
}

fn writing(path: &Path) -> String {
    format!("writing {}", path.display())
}
