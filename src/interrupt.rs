//! Ctrl-C and polite requests to end: nothing half-written stays behind.
//!
//! The model being trained and outputs being written live under temporary names; both are removed before
//! the process ends with 128 + the number of the signal (130 for Ctrl-C).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Files that go when the process is interrupted.
static TEMPORARY: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn temporary() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file that is removed on an interrupt, as long as this lives.
#[derive(Debug)]
pub(crate) struct Registration(PathBuf);

impl Registration {
    pub(crate) fn new(path: &Path) -> Self {
        temporary().insert(path.to_owned());
        Self(path.to_owned())
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        temporary().remove(&self.0);
    }
}

/// Removes what is unfinished and ends the process.
fn stop(signal: i32) -> ! {
    xmc::remove_unfinished();
    for path in temporary().iter() {
        let _ = std::fs::remove_file(path);
    }
    eprintln!("\nxmc: interrupted");
    std::process::exit(128 + signal);
}

/// Listens for signals from now on.
#[cfg(unix)]
pub(crate) fn listen() -> anyhow::Result<()> {
    use anyhow::Context;
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut wanted = vec![SIGINT, SIGTERM];
    // `nohup xmc train …` must outlive its terminal.
    if !is_ignored(SIGHUP) {
        wanted.push(SIGHUP);
    }
    let mut signals = signal_hook::iterator::Signals::new(wanted).context("listening for Ctrl-C")?;
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            stop(signal);
        }
    });
    Ok(())
}

/// Whether whoever started this process told it to ignore `signal`; systems without `/proc` do not say.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let mask = || {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let digits = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
        u64::from_str_radix(digits.trim(), 16).ok()
    };
    mask().unwrap_or(0) >> (signal - 1) & 1 == 1
}

/// Listens for Ctrl-C from now on.
#[cfg(not(unix))]
pub(crate) fn listen() -> anyhow::Result<()> {
    const SIGINT: i32 = 2;
    Ok(ctrlc::set_handler(|| stop(SIGINT))?)
}
