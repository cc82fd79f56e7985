//! How much of a run's work came to the devices as graphs that they had before.

use crate::backend::Backend;
use crate::network::Network;

/// Lists of work that a backend held back, and how many of them it replayed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replays {
    /// Lists: a step with one device, the work between two exchanges with several.
    pub lists: u64,
    /// Those that were replayed.
    pub replayed: u64,
    /// Why no more are, if they cannot be.
    pub refused: Option<String>,
}

impl std::ops::Add for Replays {
    type Output = Replays;

    fn add(self, other: Replays) -> Replays {
        Replays {
            lists: self.lists + other.lists,
            replayed: self.replayed + other.replayed,
            refused: self.refused.or(other.refused),
        }
    }
}

impl<B: Backend> Network<B> {
    /// What the backend has replayed so far, if it can.
    pub fn replays(&self) -> Option<Replays> {
        self.backend.replays()
    }
}
