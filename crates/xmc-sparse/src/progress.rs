//! How a long computation tells its caller where it is.
//!
//! Libraries never print: they report to this trait, and the command line draws the bars.

/// Receives the progress of one computation. Calls may come from any thread.
pub trait Progress: Sync {
    /// A stage begins: what it is, how many steps it has (when known) and what a step is.
    fn begin(&self, _stage: &str, _total: Option<u64>, _unit: &str) {}
    /// `steps` more steps of the current stage are done.
    fn advance(&self, _steps: u64) {}
    /// Something happened that the user should know of and that changes no result.
    fn note(&self, _message: &str) {}
    /// The current stage is complete.
    fn end(&self) {}
}

/// Ignores everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {}
