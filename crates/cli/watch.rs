//! What a person sees of a run: the bar with the last loss, and a line for each validation.

use alexnet_load::Stages;
use alexnet_train::{Job, Record, Watcher};

use crate::progress::Progress;

/// Shows a run on standard error.
pub struct Watch {
    progress: Progress,
    remark: String,
    step: u64,
}

impl Watch {
    /// For a job about to start.
    pub fn new(job: &Job, quiet: bool) -> Self {
        let batches = job.batches();
        let progress = Progress::new("training", "updates", job.length.steps(batches), quiet);
        Watch { progress, remark: String::new(), step: 0 }
    }

    /// A line of its own.
    pub fn say(&self, text: &str) {
        self.progress.line(text);
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.progress.finish();
    }
}

impl Watcher for Watch {
    fn record(&mut self, record: &Record, stages: Option<&Stages>) {
        match record {
            Record::Train { loss, top1_error, images_per_second, epoch, .. } => {
                self.remark = format!(
                    "epoch {epoch:.2}, loss {loss:.3}, top-1 error {:.1} %, {images_per_second:.1} images/s",
                    100.0 * top1_error
                );
            }
            Record::Validation { step, epoch, loss, top1_error, top5_error, images, .. } => {
                let waited = stages.map_or(0.0, |s| s.starved_seconds);
                self.progress.line(&format!(
                    "epoch {epoch:.2}, update {step}: validation loss {loss:.3}, top-1 error {:.2} %, top-5 error \
                     {:.2} % ({images} photos); waited {waited:.1} s for data",
                    100.0 * top1_error,
                    100.0 * top5_error
                ));
            }
        }
    }

    fn step(&mut self, step: u64) {
        self.step = step;
        self.progress.at(step, &self.remark);
    }

    fn validating(&mut self, done: u64, photos: u64) {
        self.progress.at(self.step, &format!("validating: {done} of {photos} photos"));
    }
}

/// Watches without a word.
pub struct Silent;

impl Watcher for Silent {
    fn record(&mut self, _: &Record, _: Option<&Stages>) {}
    fn step(&mut self, _: u64) {}
}
