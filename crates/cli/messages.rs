//! How a program ends and what it says then.
//!
//! Exit codes: 0 done, 1 done with complaints, 2 could not. An error is one line with its chain of causes, then
//! `hint:` with what to do. A reader that closes the pipe ends a listing quietly;
//! work goes on to its own exit code.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

/// How a program ended, when it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything was done.
    Done,
    /// Done, but something needs looking at: photos refused, damage found, a run stopped early.
    Complaints,
}

/// An error of the programs themselves: what is wrong and what to do.
#[derive(Debug)]
pub struct Refusal {
    cause: String,
    hint: Option<String>,
}

impl Refusal {
    /// Cause and hint.
    pub fn new(cause: impl Into<String>, hint: impl Into<String>) -> Self {
        Refusal { cause: cause.into(), hint: Some(hint.into()) }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause)
    }
}

impl std::error::Error for Refusal {}

/// Runs a program to its exit code.
pub fn conclude(name: &str, run: impl FnOnce() -> anyhow::Result<Exit>) -> ExitCode {
    match run() {
        Ok(Exit::Done) => ExitCode::SUCCESS,
        Ok(Exit::Complaints) => ExitCode::from(1),
        Err(error) if closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is closed there is nobody left to tell.
            let mut stderr = io::stderr().lock();
            let _ = writeln!(stderr, "{name}: {}", causes(&error));
            if let Some(hint) = hint(&error) {
                let _ = writeln!(stderr, "hint: {hint}");
            }
            ExitCode::from(2)
        }
    }
}

/// Prints a line on standard output. Where nobody reads it any more the work goes on all the same, to its own exit code.
pub fn say(line: impl fmt::Display) -> anyhow::Result<()> {
    match writeln!(io::stdout().lock(), "{line}") {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

/// The chain of causes in one line. Many errors name their cause themselves: what was said is not said again.
pub(crate) fn causes(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.ends_with(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    // A parser's complaint may be of several lines.
    line.split('\n').map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

fn closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|e| e.downcast_ref::<io::Error>()).any(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// The first hint along the chain of causes.
fn hint(error: &anyhow::Error) -> Option<String> {
    let known = error.chain().find_map(|e| {
        None.or_else(|| e.downcast_ref::<Refusal>().and_then(|e| e.hint.clone()))
            .or_else(|| e.downcast_ref::<alexnet_shard::Error>().and_then(|e| e.hint()))
            .or_else(|| e.downcast_ref::<alexnet_pack::Error>().and_then(|e| e.hint()))
            .or_else(|| e.downcast_ref::<alexnet_net::Error>().and_then(|e| e.hint()))
            .or_else(|| e.downcast_ref::<alexnet_train::Error>().and_then(|e| e.hint()))
            .or_else(|| e.downcast_ref::<alexnet_load::NoSplit>().map(|e| e.hint()))
            .or_else(|| e.downcast_ref::<alexnet_load::Error>().and_then(|e| e.hint()))
    });
    known.or_else(|| Some("`--help` describes every option".to_owned()))
}
