//! From an error to a message and an exit code.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | all done; also when the reader of the output went away |
//! | 1 | the work failed: unreadable or wrong data, a damaged model, a full disk … |
//! | 2 | wrong usage: options that are unknown, out of range or do not go together |
//! | 128 + n | stopped by signal n: 130 after Ctrl-C |

use anyhow::Error;
use std::io::ErrorKind;
use std::process::ExitCode;

/// Marks an error of what was typed, as against one of what was found.
#[derive(Debug)]
pub(crate) struct Usage(String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// An error of usage.
pub(crate) fn usage(message: impl std::fmt::Display) -> Error {
    Usage(message.to_string()).into()
}

/// Prints the error and chooses the exit code.
pub(crate) fn report(error: &Error) -> ExitCode {
    if is_closed_pipe(error) {
        return ExitCode::SUCCESS;
    }
    eprintln!("xmc: {}", message(error));
    match error.downcast_ref::<Usage>() {
        Some(_) => {
            eprintln!("For the options, try 'xmc --help' or 'xmc <command> --help'.");
            ExitCode::from(2)
        }
        None => ExitCode::from(1),
    }
}

/// Whether whoever read the output has gone, as `head` does: an end like any other.
fn is_closed_pipe(error: &Error) -> bool {
    let io = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    io.into_iter().any(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// The error and its causes; one that an outer message already quotes is not said again.
fn message(error: &Error) -> String {
    let mut message = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !message.contains(&cause) {
            message.push_str(": ");
            message.push_str(&cause);
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;
    use std::io;

    #[test]
    fn a_cause_that_is_quoted_already_is_said_once() {
        let inner: Result<(), io::Error> = Err(io::Error::other("disk on fire"));
        let outer = inner.context("writing x: disk on fire").context("predicting").unwrap_err();
        assert_eq!(message(&outer), "predicting: writing x: disk on fire");
    }

    #[test]
    fn a_closed_pipe_is_found_under_its_context() {
        let closed: Result<(), io::Error> = Err(ErrorKind::BrokenPipe.into());
        assert!(is_closed_pipe(&closed.context("writing").unwrap_err()));
        assert!(!is_closed_pipe(&usage("no such thing")));
    }
}
