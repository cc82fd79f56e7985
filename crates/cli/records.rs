//! What a run leaves behind for others to look at while it goes on: the event file beside its log.

use std::path::PathBuf;

use alexnet_load::Stages;
use alexnet_report::{Error, EventFile};
use alexnet_train::{Folder, Record, Watcher};

use crate::watch::Watch;

/// Shows a run and keeps its event file. A file that cannot be written is said once and does not stop the run.
pub struct Recorder<'a> {
    watch: &'a mut Watch,
    folder: PathBuf,
    file: Option<EventFile>,
    failed: bool,
}

impl<'a> Recorder<'a> {
    /// For the run in `folder`, which `watch` shows.
    pub fn new(watch: &'a mut Watch, folder: &Folder) -> Self {
        Recorder { watch, folder: folder.file(""), file: None, failed: false }
    }

    fn keep(&mut self, record: &Record) -> Result<(), Error> {
        match &mut self.file {
            Some(file) => file.add(record),
            // The log holds this record already.
            None => {
                self.file = Some(EventFile::rewrite(&self.folder)?);
                Ok(())
            }
        }
    }
}

impl Watcher for Recorder<'_> {
    fn record(&mut self, record: &Record, stages: Option<&Stages>) {
        if !self.failed
            && let Err(error) = self.keep(record)
        {
            self.failed = true;
            self.watch.say(&format!("no event file for TensorBoard from here on: {error}"));
        }
        self.watch.record(record, stages);
    }

    fn step(&mut self, step: u64) {
        self.watch.step(step);
    }

    fn validating(&mut self, done: u64, photos: u64) {
        self.watch.validating(done, photos);
    }
}
