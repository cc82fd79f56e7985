//! Where a run stands: all that a checkpoint must hold besides weights and velocities for the run to go on as if it
//! had never stopped.

use serde::{Deserialize, Serialize};

use crate::schedule::Stall;

/// When a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// After this many epochs.
    Epochs(u32),
    /// After this many updates.
    Steps(u64),
}

impl std::fmt::Display for Length {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Length::Epochs(n) => write!(f, "{n} epochs"),
            Length::Steps(n) => write!(f, "{n} steps"),
        }
    }
}

impl Length {
    /// The length in epochs of `batches` updates each.
    pub fn epochs(self, batches: u64) -> f64 {
        match self {
            Length::Epochs(n) => f64::from(n),
            Length::Steps(n) => n as f64 / batches as f64,
        }
    }

    /// The length in updates.
    pub fn steps(self, batches: u64) -> u64 {
        match self {
            Length::Epochs(n) => u64::from(n) * batches,
            Length::Steps(n) => n,
        }
    }
}

/// The state of a run between two updates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Epoch of the next update, from 0.
    pub epoch: u32,
    /// Batch in that epoch of the next update, from 0.
    pub batch: u64,
    /// Updates done.
    pub step: u64,
    /// Lowest top-1 validation error so far.
    pub best: Option<f64>,
    /// What a plateau schedule remembers.
    pub stall: Stall,
}

impl State {
    /// Epochs done, with the fraction of the present one.
    pub fn epochs(&self, batches: u64) -> f64 {
        f64::from(self.epoch) + self.batch as f64 / batches as f64
    }

    /// Whether nothing is left to do.
    pub fn is_over(&self, length: Length) -> bool {
        self.stall.over
            || match length {
                Length::Epochs(n) => self.epoch >= n,
                Length::Steps(n) => self.step >= n,
            }
    }
}
