//! Where the time went: making samples, waiting for the consumer, or making the consumer wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[derive(Default)]
pub(crate) struct Meter {
    work: AtomicU64,
    blocked: AtomicU64,
    starved: AtomicU64,
    samples: AtomicU64,
}

/// Times of a loader's stages since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Stages {
    /// Seconds in which samples were made (page faults of cold records included), summed over the threads.
    pub work_seconds: f64,
    /// Seconds in which every slot was full and the loader waited for the consumer.
    pub blocked_seconds: f64,
    /// Seconds in which the consumer waited for a batch.
    pub starved_seconds: f64,
    /// Samples made.
    pub samples: u64,
}

impl Meter {
    pub fn time<T>(&self, stage: Stage, job: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = job();
        let counter = match stage {
            Stage::Work => &self.work,
            Stage::Blocked => &self.blocked,
            Stage::Starved => &self.starved,
        };
        counter.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        result
    }

    pub fn count(&self, samples: usize) {
        self.samples.fetch_add(samples as u64, Ordering::Relaxed);
    }

    pub fn stages(&self) -> Stages {
        let seconds = |c: &AtomicU64| Duration::from_nanos(c.load(Ordering::Relaxed)).as_secs_f64();
        Stages {
            work_seconds: seconds(&self.work),
            blocked_seconds: seconds(&self.blocked),
            starved_seconds: seconds(&self.starved),
            samples: self.samples.load(Ordering::Relaxed),
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Stage {
    Work,
    Blocked,
    Starved,
}
