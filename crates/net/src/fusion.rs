//! Where layers follow each other so that a backend may take them in one go ([`crate::fused`]).
//!
//! Normalisation directly below pooling becomes one step, and with it a rectifier on the pooled maps; what a step reads that
//! is a rectifier's output, it masks on its own way back. Nothing is moved past an exchange or dropout.

use crate::backend::Backend;
use crate::error::Error;
use crate::fused::ResponsePool;
use crate::network::Network;
use crate::program::{Program, Step};

impl Program {
    /// Rewrites the steps for a backend that has [`crate::Fused`].
    pub(crate) fn fuse(&mut self) {
        self.fuse_pools();
        for number in 1..self.steps.len() {
            let (below, above) = self.steps.split_at_mut(number);
            let (Some(Step::Rectify { y, back, .. }), Some(step)) = (below.last_mut(), above.first_mut())
            else {
                continue;
            };
            let masks = match step {
                Step::Convolution { x, .. } | Step::LocalResponse { x, .. } | Step::MaxPool { x, .. } => {
                    x == y
                }
                Step::ResponsePool { x, ops, .. } => {
                    ops.iter_mut().for_each(|op| op.rectified = x == y);
                    x == y
                }
                _ => false,
            };
            *back = !masks;
        }
    }

    fn fuse_pools(&mut self) {
        let (steps, names) = (std::mem::take(&mut self.steps), std::mem::take(&mut self.names));
        for (mut step, name) in steps.into_iter().zip(names) {
            if let (Some(below), Some(label)) = (self.steps.last_mut(), self.names.last_mut())
                && let Some(both) = response_pool(below, &step)
            {
                *below = both;
                *label = format!("{label} + {name}");
                continue;
            }
            if let (Some(Step::ResponsePool { ops, .. }), Step::Rectify { fused, .. }) =
                (self.steps.last_mut(), &mut step)
            {
                ops.iter_mut().for_each(|op| op.rectify = true);
                *fused = true;
            }
            self.steps.push(step);
            self.names.push(name);
        }
    }

    /// Whether a tensor is never written, being what lies between fused operations.
    pub(crate) fn unwritten(&self, tensor: usize) -> bool {
        let lies = |step: &Step| matches!(step, Step::ResponsePool { between, .. } if *between == tensor);
        self.steps.iter().any(lies)
    }

    /// The number of the step whose way back takes the rectifier below with it, if `number` is one.
    pub(crate) fn masks(&self, number: usize) -> bool {
        number > 0 && matches!(self.steps[number - 1], Step::Rectify { back: false, .. })
    }
}

/// One step of two, if the first normalises what the second pools.
fn response_pool(below: &Step, step: &Step) -> Option<Step> {
    let (Step::LocalResponse { ops: responses, x, y: between }, Step::MaxPool { ops, places, x: pooled, y }) =
        (below, step)
    else {
        return None;
    };
    let both = responses.iter().zip(ops);
    let op = |(&response, &pool): (&_, &_)| ResponsePool { response, pool, rectify: false, rectified: false };
    let (between, places, x, y, ops) = (*between, *places, *x, *y, both.map(op).collect());
    (between == *pooled).then_some(Step::ResponsePool { ops, between, places, x, y })
}

impl<B: Backend> Network<B> {
    /// A tensor of the last pass as the host sees it; what was never written is computed here, from what was.
    pub(crate) fn read_tensor(&mut self, tensor: usize, device: usize, to: &mut [f32]) -> Result<(), Error> {
        let between = self.program.steps.iter().find_map(|step| match step {
            Step::ResponsePool { ops, between, x, .. } if *between == tensor => {
                Some((&ops[device].response, *x))
            }
            _ => None,
        });
        let Some((op, x)) = between else {
            return Ok(self.backend.download(device, &self.tensors[tensor][device], 0, to)?);
        };
        let mut y = self.backend.activations(device, to.len())?;
        self.backend.local_response_forward(device, op, self.n, &self.tensors[x][device], &mut y)?;
        Ok(self.backend.download(device, &y, 0, to)?)
    }
}
