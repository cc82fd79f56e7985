//! Updates: after a batch, or, where a backend can, of dense layers within the batch's own way back.
//!
//! A dense layer's weights are most of a net's, and its gradient is needed once. Where it is used as it is made, it is never
//! written: the update's formula and order are the same, so the bits are too. That takes a single batch an update, and nobody
//! who reads gradients between the two; [`Network::train_and_update`] promises both.

use crate::backend::Backend;
use crate::error::{DeviceError, Error};
use crate::fused::DenseUpdate;
use crate::network::{DropoutKey, Network};
use crate::program::Step;
use crate::timing::Pass;
use crate::update::{Segment, UpdateRule};

/// An update that is known before the batch's gradients are.
pub(crate) struct Ahead {
    momentum: f32,
    /// Of each device, what no one has updated yet.
    segments: Vec<Vec<Segment>>,
}

impl<B: Backend> Network<B> {
    /// [`Network::train_batch`] and [`Network::update`], to the same bits; the gradients may never be written.
    ///
    /// # Errors
    /// Those of both.
    pub fn train_and_update(
        &mut self,
        pixels: &[f32],
        labels: &[u32],
        key: Option<DropoutKey>,
        rule: &UpdateRule,
    ) -> Result<(), Error> {
        self.check_gradients(rule)?;
        let alone = !self.accumulated && self.backend.replicas().is_none();
        if alone && self.backend.fused().is_some_and(|fused| fused.updating().is_some()) {
            self.ahead = Some(Ahead { momentum: rule.momentum as f32, segments: self.segments(rule)? });
        }
        let trained = self.train_batch(pixels, labels, key).and_then(|()| self.update(rule));
        self.ahead = None;
        trained
    }

    /// Changes parameters and velocities by the summed gradients and forgets those. Without a batch since the last
    /// update the gradient is zero: velocities decay on.
    ///
    /// # Errors
    /// The rule does not fit the net, or a device failed.
    pub fn update(&mut self, rule: &UpdateRule) -> Result<(), Error> {
        let start = self.clock()?;
        self.check_gradients(rule)?;
        let segments = match self.ahead.take() {
            Some(ahead) => ahead.segments,
            None => self.segments(rule)?,
        };
        for (device, segments) in segments.iter().enumerate() {
            let gradient = &mut self.gradient[device];
            if !self.accumulated {
                // 0 · x would keep a NaN of an earlier step.
                let zeros = vec![0.0; self.placement.flat_len(device)];
                self.backend.upload(device, &zeros, gradient, 0)?;
            }
            let (w, v) = (&mut self.parameters[device], &mut self.velocity[device]);
            self.backend.update(device, segments, rule.momentum as f32, w, v, gradient)?;
        }
        self.accumulated = false;
        self.lap(start, usize::MAX, Pass::Update)
    }

    fn segments(&self, rule: &UpdateRule) -> Result<Vec<Vec<Segment>>, Error> {
        let of = |device| rule.segments(self.placement.parameters(), self.placement.ranges(device));
        (0..self.placement.devices()).map(of).collect()
    }

    /// Whether the parameters of step `number` are updated on the way back.
    pub(crate) fn updates_ahead(&self, number: usize) -> bool {
        self.ahead.is_some() && matches!(self.program.steps[number], Step::Dense { .. })
    }

    /// Updates the dense layer of step `number`, whose output's gradient is in `flow[now]`. Its own input's gradient must have
    /// been taken: that needs the weights as they were.
    pub(crate) fn update_ahead(&mut self, number: usize, now: usize) -> Result<(), DeviceError> {
        let n = self.n;
        let Network { backend, program, placement, tensors, flow, parameters, velocity, ahead, .. } = self;
        let (Some(ahead), Step::Dense { ops, weight, x, .. }) = (ahead, &program.steps[number]) else {
            return Ok(());
        };
        let Some(updating) = backend.fused().and_then(|fused| fused.updating()) else { return Ok(()) };
        for (device, segments) in ahead.segments.iter_mut().enumerate() {
            let mut take = |number: usize| {
                let range = &placement.ranges(device)[number].flat;
                segments.iter().position(|s| s.range == *range).map(|i| segments.remove(i))
            };
            // A frozen bias stands still beside weights that move; not the other way.
            let (Some(weight), bias) = (take(*weight), take(*weight + 1)) else { continue };
            let update = DenseUpdate { momentum: ahead.momentum, weight, bias };
            let from = (&tensors[*x][device], &flow[now][device]);
            let (w, v) = (&mut parameters[device], &mut velocity[device]);
            updating.dense_backward_update(device, &ops[device], n, from, &update, (w, v))?;
        }
        Ok(())
    }
}
