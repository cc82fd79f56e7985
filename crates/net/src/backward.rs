//! The backward pass: the steps of the program in reverse, from the softmax's gradient to the first layer's weights.
//!
//! Two buffers a device carry the gradient of the activations; each step reads one and writes the other, or works
//! in place. The lowest layer that moves has no input gradient, since nobody needs it: the first, unless it is frozen.

use crate::backend::Backend;
use crate::error::{DeviceError, Error};
use crate::forward::{Mode, pair, weights};
use crate::fused;
use crate::network::{DropoutKey, Network};
use crate::placement::ParameterRange;
use crate::program::Step;
use crate::timing::Pass;
use crate::views::Gradients;

fn gradients<'a, T>(
    buffer: &'a mut T,
    ranges: &[ParameterRange],
    weight: usize,
    accumulate: bool,
) -> Gradients<'a, T> {
    Gradients {
        buffer,
        weight: ranges[weight].flat.clone(),
        bias: ranges[weight + 1].flat.clone(),
        accumulate,
    }
}

impl<B: Backend> Network<B> {
    /// Adds the batch's gradients, summed over samples, to those since the last update. Dropout masks are named by
    /// `key`; `None` switches dropout off (units then pass unchanged, as in the golden nets). An empty batch adds
    /// nothing.
    ///
    /// # Errors
    /// The batch does not fit, or a device failed.
    pub fn train_batch(
        &mut self,
        pixels: &[f32],
        labels: &[u32],
        key: Option<DropoutKey>,
    ) -> Result<(), Error> {
        if labels.is_empty() && pixels.is_empty() {
            return self.train_nothing();
        }
        self.backend.begin_step()?;
        self.load(pixels, labels)?;
        self.train_loaded(key)
    }

    /// As [`Network::train_batch`], of the batch that [`Network::load`] brought.
    ///
    /// # Errors
    /// A device failed.
    pub fn train_loaded(&mut self, key: Option<DropoutKey>) -> Result<(), Error> {
        let sent = |network: &Self| network.backend.exchanged_bytes().unwrap_or(network.exchanged);
        let before = sent(self);
        self.check_fresh()?;
        self.forward(Mode::Training(key))?;
        self.backward(key.is_some())?;
        self.accumulated = true;
        self.traffic.samples += self.n as u64;
        self.traffic.bytes += sent(self) - before;
        Ok(())
    }

    /// Scores the batch on the first device, and leaves the logits' gradient on each.
    fn score_and_gradient(&mut self, now: usize) -> Result<(), Error> {
        let (n, smoothing) = (self.n, self.smoothing);
        let slot = self.next_score(n);
        for device in 0..self.placement.devices() {
            let (op, backend) = (&self.program.softmax[device], &mut self.backend);
            let from = (&self.tensors[self.program.logits][device], &self.labels[device]);
            let gradient = &mut self.flow[now][device];
            if device == 0 {
                let to = (&mut self.scores[slot], gradient);
                fused::score_and_gradient(backend, device, op, n, smoothing, from, to)?;
            } else {
                fused::softmax_gradient(backend, device, op, n, smoothing, from, gradient)?;
            }
        }
        Ok(())
    }

    fn backward(&mut self, dropout: bool) -> Result<(), Error> {
        let mut now = 0;
        self.score_and_gradient(now)?;
        let lowest = self.lowest_moving();
        for number in (0..self.program.steps.len()).rev() {
            let weight = self.program.steps[number].weight();
            let (ahead, above) = (self.updates_ahead(number), now);
            if !ahead && weight.is_some_and(|weight| !self.frozen[weight]) {
                let start = self.clock()?;
                self.weights_backward(number, now)?;
                self.lap(start, number, Pass::BackwardWeights)?;
            }
            // Below the lowest too: a bucket may end there, and replicas name all.
            if weight.is_some() {
                self.sum_gradients(number)?;
            }
            if number > lowest {
                let start = self.clock()?;
                if self.step_backward(number, now, dropout)? {
                    now = 1 - now;
                }
                self.lap(start, number, Pass::BackwardInput)?;
            }
            if ahead {
                let start = self.clock()?;
                self.update_ahead(number, above)?;
                self.lap(start, number, Pass::BackwardWeights)?;
            }
        }
        Ok(())
    }

    /// The parameters' gradients of one step, if it has any.
    fn weights_backward(&mut self, number: usize, now: usize) -> Result<(), DeviceError> {
        let (n, accumulate) = (self.n, self.accumulated);
        let Network { backend, program, placement, tensors, flow, gradient, .. } = self;
        for device in 0..placement.devices() {
            let (ranges, dy) = (placement.ranges(device), &flow[now][device]);
            match &program.steps[number] {
                Step::Convolution { ops, weight, x, .. } => {
                    let dw = gradients(&mut gradient[device], ranges, *weight, accumulate);
                    backend.convolution_backward_weights(
                        device,
                        &ops[device],
                        n,
                        &tensors[*x][device],
                        dy,
                        dw,
                    )?;
                }
                Step::Dense { ops, weight, x, .. } => {
                    let dw = gradients(&mut gradient[device], ranges, *weight, accumulate);
                    backend.dense_backward_weights(device, &ops[device], n, &tensors[*x][device], dy, dw)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes the gradient in `flow[now]` through one step; true if it is in the other buffer afterwards.
    fn step_backward(&mut self, number: usize, now: usize, dropout: bool) -> Result<bool, DeviceError> {
        let n = self.n;
        let Network { backend, program, placement, tensors, flow, .. } = self;
        let masks = program.masks(number);
        let (dy, dx) = pair(flow, now, 1 - now);
        if let Step::Gather { site, .. } = program.steps[number] {
            let exchange = &program.sites[site].exchange;
            backend.reduce(exchange, n, dy, dx)?;
            let devices = 0..placement.devices();
            self.exchanged += n as u64 * devices.map(|device| exchange.reduce_bytes(device)).sum::<u64>();
            return Ok(true);
        }
        let mut moved = true;
        for device in 0..placement.devices() {
            let ranges = placement.ranges(device);
            let (dy, dx) = (&dy[device], &mut dx[device]);
            match &program.steps[number] {
                Step::Gather { .. } => {}
                Step::Convolution { ops, weight, x, .. } if masks => {
                    let w = weights(&self.parameters[device], ranges, *weight);
                    let from = (&tensors[*x][device], dy);
                    fused::convolution_backward_rectified(backend, device, &ops[device], n, from, w, dx)?;
                }
                Step::Convolution { ops, weight, .. } => {
                    let w = weights(&self.parameters[device], ranges, *weight);
                    backend.convolution_backward_input(device, &ops[device], n, dy, w, dx)?;
                }
                Step::Dense { ops, weight, .. } => {
                    let w = weights(&self.parameters[device], ranges, *weight);
                    backend.dense_backward_input(device, &ops[device], n, dy, w, dx)?;
                }
                Step::LocalResponse { ops, x, .. } if masks => {
                    let x = &tensors[*x][device];
                    fused::local_response_backward_rectified(backend, device, &ops[device], n, x, dy, dx)?;
                }
                Step::LocalResponse { ops, x, .. } => {
                    backend.local_response_backward(device, &ops[device], n, &tensors[*x][device], dy, dx)?;
                }
                Step::WithinMap { ops, x, .. } => {
                    backend.within_map_backward(device, &ops[device], n, &tensors[*x][device], dy, dx)?;
                }
                Step::MaxPool { ops, places, x, y } if masks => {
                    let y = (&tensors[*x][device], &self.places[*places][device], &tensors[*y][device]);
                    fused::max_pool_backward_rectified(backend, device, &ops[device], n, y, dy, dx)?;
                }
                Step::ResponsePool { ops, places, x, .. } => {
                    let (x, places) = (&tensors[*x][device], &self.places[*places][device]);
                    fused::response_pool_backward(backend, device, &ops[device], n, x, (places, dy), dx)?;
                }
                Step::MaxPool { ops, places, .. } => {
                    backend.max_pool_backward(
                        device,
                        &ops[device],
                        n,
                        &self.places[*places][device],
                        dy,
                        dx,
                    )?;
                }
                Step::AveragePool { ops, .. } => {
                    backend.average_pool_backward(device, &ops[device], n, dy, dx)?;
                }
                Step::Rectify { .. } | Step::Tanh { .. } | Step::Dropout { .. } => moved = false,
            }
        }
        if moved {
            return Ok(true);
        }
        for device in 0..placement.devices() {
            let dy = &mut flow[now][device];
            match &program.steps[number] {
                Step::Rectify { y, back: true, .. } => {
                    let len = n * program.tensors[*y][device];
                    backend.rectify_backward(device, len, &tensors[*y][device], dy)?;
                }
                Step::Tanh { x, .. } => {
                    let len = n * program.tensors[*x][device];
                    backend.tanh_backward(device, len, &tensors[*x][device], dy)?;
                }
                Step::Dropout { mask, y, .. } if dropout => {
                    let len = n * program.tensors[*y][device];
                    backend.multiply(device, len, &self.masks[*mask][device], dy)?;
                }
                _ => {}
            }
        }
        Ok(false)
    }
}
