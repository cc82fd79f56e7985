//! `log.jsonl`: one JSON object a line, for people and plots. It carries times, so it is no part of a run's result.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Record {
    /// Training since the record before.
    Train {
        /// Steps done.
        step: u64,
        /// Epochs done.
        epoch: f64,
        /// Mean cross-entropy.
        loss: f64,
        /// Share of samples whose best guess was wrong.
        top1_error: f64,
        /// Rate of the weights.
        rate: f64,
        /// Samples a second, waiting for data included.
        images_per_second: f64,
        /// When, in seconds since 1970.
        #[serde(default)]
        time: f64,
    },
    /// An evaluation of the validation photos.
    Validation {
        /// Steps done.
        step: u64,
        /// Epochs done.
        epoch: f64,
        /// Mean cross-entropy.
        loss: f64,
        /// Share of photos whose best guess was wrong.
        top1_error: f64,
        /// Share of photos whose five best guesses were all wrong.
        top5_error: f64,
        /// Photos evaluated.
        images: u64,
        /// When, in seconds since 1970.
        #[serde(default)]
        time: f64,
    },
}

impl Record {
    /// Steps done when it was written.
    pub fn step(&self) -> u64 {
        match self {
            Record::Train { step, .. } | Record::Validation { step, .. } => *step,
        }
    }
}

/// The log of a run, open for appending.
pub struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Opens the log of a run that stands at `step`: records of later steps, which an interrupted run left behind,
    /// are dropped, since their steps will be done again, and with them a last line that a kill cut short. Lines that
    /// are no records stay: somebody put them there.
    pub fn open(path: &Path, step: u64) -> Result<Self, Error> {
        let text = text(path)?;
        let keeps = |line: &&str| match serde_json::from_str::<Record>(line) {
            Ok(record) => record.step() <= step,
            Err(_) => line.ends_with('\n'),
        };
        let mut kept: String = text.split_inclusive('\n').filter(keeps).collect();
        if !kept.is_empty() && !kept.ends_with('\n') {
            kept.push('\n');
        }
        // Renamed into its place, so that a kill amid the rewriting loses nothing.
        let partial = path.with_extension("jsonl.partial");
        let io = |source| Error::Io { path: partial.clone(), source };
        std::fs::write(&partial, kept).map_err(io)?;
        std::fs::rename(&partial, path).map_err(io)?;
        let file = OpenOptions::new().append(true).open(path).map_err(io)?;
        Ok(Log { path: path.to_owned(), file })
    }

    /// Appends a record.
    pub fn add(&mut self, record: &Record) -> Result<(), Error> {
        writeln!(self.file, "{}", line(record))
            .map_err(|source| Error::Io { path: self.path.clone(), source })
    }
}

fn line(record: &Record) -> String {
    serde_json::to_string(record).expect("a record is plain data")
}

/// All records of a log; lines that are none are left out, a missing file is an empty log.
pub fn read(path: &Path) -> Result<Vec<Record>, Error> {
    Ok(text(path)?.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// The log as it is, up to bytes that are no UTF-8.
fn text(path: &Path) -> Result<String, Error> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(Error::Io { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn train(step: u64) -> Record {
        Record::Train {
            step,
            epoch: 0.5,
            loss: 2.0,
            top1_error: 0.5,
            rate: 0.01,
            images_per_second: 9.0,
            time: 1.75e9,
        }
    }

    #[test]
    fn later_steps_and_torn_lines_are_dropped_on_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.jsonl");
        let mut log = Log::open(&path, 0).unwrap();
        for step in [10, 20, 30] {
            log.add(&train(step)).unwrap();
        }
        writeln!(log.file, "the fan was cleaned here").unwrap();
        write!(log.file, "{{\"kind\":\"tra").unwrap();
        drop(log);
        Log::open(&path, 20).unwrap().add(&train(25)).unwrap();
        assert_eq!(read(&path).unwrap(), [train(10), train(20), train(25)]);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().nth(2), Some("the fan was cleaned here"), "{text}");
    }
}
