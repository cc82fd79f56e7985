//! The event file of a run: its log in TensorBoard's form, `tensorboard --logdir RUN` shows it.
//!
//! The file is a pure function of `log.jsonl` and is written anew from it when a run starts or goes on, so a run that
//! was interrupted leaves no steps twice; then it grows with the log.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use alexnet_train::{Record, read_log};

use crate::error::Error;
use crate::event::{Event, Scalar, version};
use crate::frame::frame;

/// The file's name in the folder of a run; TensorBoard looks for `tfevents` in names.
pub const EVENTS: &str = "events.out.tfevents.0.alexnet";

fn event(record: &Record) -> Event {
    let scalars = |pairs: &[(&str, f64)]| {
        pairs.iter().map(|(tag, value)| Scalar { tag: (*tag).to_owned(), value: *value as f32 }).collect()
    };
    match record {
        Record::Train { step, epoch, loss, top1_error, rate, images_per_second, time } => Event {
            time: *time,
            step: *step,
            scalars: scalars(&[
                ("train/loss", *loss),
                ("train/top1_error", *top1_error),
                ("rate", *rate),
                ("images_per_second", *images_per_second),
                ("epoch", *epoch),
            ]),
        },
        Record::Validation { step, loss, top1_error, top5_error, time, .. } => Event {
            time: *time,
            step: *step,
            scalars: scalars(&[
                ("validation/loss", *loss),
                ("validation/top1_error", *top1_error),
                ("validation/top5_error", *top5_error),
            ]),
        },
    }
}

/// The whole file for these records.
pub fn events(records: &[Record]) -> Vec<u8> {
    let start = records.first().map_or(0.0, |r| event(r).time);
    let mut bytes = frame(&version(start));
    bytes.extend(records.iter().flat_map(|r| frame(&event(r).encode())));
    bytes
}

/// The event file of a run that goes on.
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Writes the file from the log in `folder`, and keeps it open.
    ///
    /// # Errors
    /// The log cannot be read, or the file cannot be written.
    pub fn rewrite(folder: &Path) -> Result<Self, Error> {
        let records = read_log(&folder.join("log.jsonl"))?;
        let path = folder.join(EVENTS);
        let io = |source| Error::Io { path: path.clone(), source };
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(&path).map_err(io)?;
        file.write_all(&events(&records)).map_err(io)?;
        Ok(EventFile { path, file })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add(&mut self, record: &Record) -> Result<(), Error> {
        self.file
            .write_all(&frame(&event(record).encode()))
            .map_err(|source| Error::Io { path: self.path.clone(), source })
    }
}
