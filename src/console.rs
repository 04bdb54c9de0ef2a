//! What goes to the terminal: results on standard output, all else on standard error.

use crate::args::Common;
use crate::failure::usage;
use crate::progress::Bars;
use anyhow::{Context, Result};
use std::io::{self, IsTerminal, Write};
use tracing::Level;
use xmc::Progress;

/// How talkative to be.
pub(crate) struct Console {
    bars: Bars,
}

impl Console {
    /// Sets up threads, logging and progress bars. `machine` says that a program reads the output.
    pub(crate) fn new(common: &Common, machine: bool) -> Result<Self> {
        if let Some(threads) = common.threads {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build_global().map_err(|error| usage(format!("--threads {threads}: {error}")))?;
        }
        start_logging(common.verbose);
        let drawn = io::stderr().is_terminal() && !common.quiet && !machine;
        Ok(Self { bars: Bars::new(drawn, common.quiet) })
    }

    /// Where stages are reported.
    pub(crate) fn progress(&self) -> &dyn Progress {
        &self.bars
    }

    /// Something that is worth knowing but changes nothing.
    pub(crate) fn note(&self, text: impl std::fmt::Display) {
        self.bars.note(&text.to_string());
    }

    /// Tells what was left out of `path`, if anything was.
    pub(crate) fn note_skipped(&self, path: &std::path::Path, skipped: &xmc_data::Skipped) {
        let Some(first) = skipped.first.first() else { return };
        let records = count(skipped.records, "bad record");
        self.note(format_args!("{}: left out {records}; the first: {first}", path.display()));
    }
}

fn start_logging(verbose: u8) {
    let level = match verbose {
        0 => return,
        1 => Level::INFO,
        _ => Level::DEBUG,
    };
    let subscriber = tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr);
    // A second subscriber is refused only when one is there already, which serves as well.
    let _ = subscriber.with_target(false).without_time().with_ansi(io::stderr().is_terminal()).try_init();
}

/// Prints a result.
pub(crate) fn print(text: impl std::fmt::Display) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).context("writing to standard output")
}

/// `1 label`, `25,265 labels`.
pub(crate) fn count(n: impl TryInto<u64>, noun: &str) -> String {
    let n: u64 = n.try_into().unwrap_or(u64::MAX);
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", indicatif::HumanCount(n))
}

/// Seconds, with as many digits as they are worth.
pub(crate) fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 => format!("{s:.2} s"),
        s if s < 100.0 => format!("{s:.1} s"),
        s => format!("{s:.0} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_and_agree_with_their_noun() {
        assert_eq!(count(1u64, "label"), "1 label");
        assert_eq!(count(25_265usize, "label"), "25,265 labels");
    }

    #[test]
    fn seconds_keep_three_digits() {
        assert_eq!([seconds(0.0123), seconds(12.34), seconds(396.4)], ["0.01 s", "12.3 s", "396 s"]);
    }
}
