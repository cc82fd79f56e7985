//! Where the time of a step goes: the fastest time seen for each layer and pass.
//!
//! Off unless asked for: a timed network waits for its devices around every step, which a queueing backend would
//! otherwise not do.

use std::time::Instant;

use crate::backend::Backend;
use crate::error::{DeviceError, Error};
use crate::network::Network;

/// A part of a training step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pass {
    /// Forward.
    Forward,
    /// Backward, through the layer (of a layer with parameters: the input gradient).
    BackwardInput,
    /// Backward, gradients of the parameters.
    BackwardWeights,
    /// Change of the parameters.
    Update,
}

/// The time of one layer in one pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Timing {
    /// Name of the layer, what it does, or `exchange`, `softmax`, `update`.
    pub name: String,
    /// Number of the step in the program.
    pub step: usize,
    /// Which pass.
    pub pass: Pass,
    /// Fastest time seen, in seconds, for the whole batch on all devices.
    pub seconds: f64,
}

impl<B: Backend> Network<B> {
    /// Starts (or stops and forgets) the measuring.
    pub fn set_timing(&mut self, on: bool) {
        self.timings = on.then(Vec::new);
    }

    /// What has been measured, in the order in which the passes first ran.
    pub fn timings(&self) -> &[Timing] {
        self.timings.as_deref().unwrap_or_default()
    }

    pub(crate) fn clock(&mut self) -> Result<Option<Instant>, DeviceError> {
        if self.timings.is_none() {
            return Ok(None);
        }
        self.backend.synchronise()?;
        Ok(Some(Instant::now()))
    }

    pub(crate) fn lap(&mut self, start: Option<Instant>, step: usize, pass: Pass) -> Result<(), Error> {
        let Some(start) = start else { return Ok(()) };
        self.backend.synchronise()?;
        let seconds = start.elapsed().as_secs_f64();
        let name = self.program.names.get(step).map_or("softmax", String::as_str);
        let name = if pass == Pass::Update { "update" } else { name };
        let timings = self.timings.get_or_insert_default();
        match timings.iter_mut().find(|t| t.step == step && t.pass == pass) {
            Some(timing) => timing.seconds = timing.seconds.min(seconds),
            None => timings.push(Timing { name: name.to_owned(), step, pass, seconds }),
        }
        Ok(())
    }
}
