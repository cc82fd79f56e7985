//! A net on a backend: its buffers, its parameters, and what a trainer asks of it.
//!
//! Every buffer is made in [`Network::new`] for the largest batch; no step allocates. Gradients are sums over
//! samples and accumulate over batches until [`Network::update`], which divides by the global batch. The passes
//! themselves are in `forward.rs` and `backward.rs`; order of samples, rates and files are left to others.

use std::collections::VecDeque;
use std::time::Duration;

use crate::advance::Ahead;
use crate::backend::Backend;
use crate::error::{DeviceError, Error};
use crate::exchange::ExchangeSite;
use crate::input::Augmentation;
use crate::layer::Net;
use crate::parameters::{Parameter, Parameters};
use crate::placement::Placement;
use crate::program::{Program, Step};
use crate::replica::{Bucket, buckets};
use crate::timing::Timing;

/// Names the dropout masks of a training batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropoutKey {
    /// Seed of the run.
    pub seed: u64,
    /// Epoch, from 0.
    pub epoch: u32,
    /// Position in the epoch of the batch's first sample; the others follow one by one.
    pub first_position: u64,
}

/// What a batch scored.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BatchScore {
    /// Sum over samples of the cross-entropy, in nats.
    pub loss_sum: f64,
    /// Samples whose label ranks first. An equal logit of a lower class ranks before the label's.
    pub top1: u64,
    /// Samples whose label is among the first five.
    pub top5: u64,
    /// Samples.
    pub n: u64,
}

impl std::ops::AddAssign for BatchScore {
    fn add_assign(&mut self, other: BatchScore) {
        self.loss_sum += other.loss_sum;
        self.top1 += other.top1;
        self.top5 += other.top5;
        self.n += other.n;
    }
}

/// Scores that [`Network::scores`] gives at most.
pub const SCORES: usize = 16;

/// What training has sent between devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Samples trained on.
    pub samples: u64,
    /// Bytes sent for them, over all devices: as the backend counted them, or as planned if it does not.
    pub bytes: u64,
}

/// A net on the devices of a backend.
pub struct Network<B: Backend> {
    pub(crate) backend: B,
    pub(crate) net: Net,
    pub(crate) placement: Placement,
    pub(crate) program: Program,
    pub(crate) max_batch: usize,
    /// Size of the batch of the last pass.
    pub(crate) n: usize,
    /// Whether the gradient buffers hold a sum that no update has used yet.
    pub(crate) accumulated: bool,
    /// Of each parameter, whether it gets no gradient.
    pub(crate) frozen: Vec<bool>,
    /// What this batch's backward pass may update on its way, and the update after it has still to do.
    pub(crate) ahead: Option<Ahead>,
    pub(crate) exchanged: u64,
    /// Of each device, if there are other replicas.
    pub(crate) buckets: Vec<Vec<Bucket>>,
    pub(crate) traffic: Traffic,
    /// Sizes of the batches whose scores stand in `scores`, in order, the last pass last.
    pub(crate) scored: Vec<usize>,
    pub(crate) timings: Option<Vec<Timing>>,
    /// Share of each label that is spread over all classes in training.
    pub(crate) smoothing: f32,
    // One buffer for each device.
    pub(crate) parameters: Vec<B::Buffer>,
    pub(crate) velocity: Vec<B::Buffer>,
    pub(crate) gradient: Vec<B::Buffer>,
    // For each tensor (mask, set of winners) one buffer for each device.
    pub(crate) tensors: Vec<Vec<B::Buffer>>,
    pub(crate) masks: Vec<Vec<B::Buffer>>,
    pub(crate) places: Vec<Vec<B::Places>>,
    /// Gradients of activations: the present one and the next, which change roles at each step back.
    pub(crate) flow: [Vec<B::Buffer>; 2],
    pub(crate) labels: Vec<B::Labels>,
    /// How staged records become inputs, and how many records each batch has that is staged and not yet used.
    pub(crate) augmentation: Option<Augmentation>,
    pub(crate) staged: VecDeque<usize>,
    pub(crate) scores: Vec<B::Buffer>,
    /// Made when [`Network::probabilities`] is first asked.
    pub(crate) probabilities: Option<B::Buffer>,
}

impl<B: Backend> Network<B> {
    /// Spreads `net` over all devices of `backend`, with room for batches of up to `max_batch` samples. Parameters
    /// and velocities are zero.
    ///
    /// # Errors
    /// The table makes no sense, there are more devices than columns, or a device has too little memory.
    pub fn new(mut backend: B, net: &Net, max_batch: usize) -> Result<Self, Error> {
        if max_batch == 0 {
            return Err(Error::Batch { problem: "room for 0 samples".to_owned() });
        }
        let devices = backend.devices();
        let placement = Placement::new(net, devices)?;
        let mut program = Program::new(net, &placement)?;
        if backend.fused().is_some() {
            program.fuse();
        }
        for step in &program.steps {
            for device in 0..devices {
                match step {
                    Step::Convolution { ops, .. } => {
                        backend.reserve_convolution(device, &ops[device], max_batch)?
                    }
                    Step::Dense { ops, .. } => backend.reserve_dense(device, &ops[device], max_batch)?,
                    _ => {}
                }
            }
        }
        let mut flat =
            || (0..devices).map(|d| backend.floats(d, placement.flat_len(d))).collect::<Result<Vec<_>, _>>();
        let (parameters, velocity, gradient) = (flat()?, flat()?, flat()?);
        let mut tensors = Vec::new();
        for (tensor, lens) in program.tensors.iter().enumerate() {
            // Logits stay what the loss is computed from.
            let logits = tensor == program.logits || Some(&tensor) == program.outputs.last();
            let make = if logits { B::floats } else { B::activations };
            let batch = if program.unwritten(tensor) { 0 } else { max_batch };
            tensors.push(buffers(&mut backend, make, lens, batch)?);
        }
        let mut masks = Vec::new();
        for lens in &program.masks {
            masks.push(buffers(&mut backend, B::floats, lens, max_batch)?);
        }
        let mut places = Vec::new();
        for lens in &program.places {
            let on = lens.iter().enumerate().map(|(device, len)| backend.places(device, len * max_batch));
            places.push(on.collect::<Result<Vec<_>, _>>()?);
        }
        let lens: Vec<usize> = (0..devices).map(|device| program.gradient_len(device)).collect();
        let mut flow = || buffers(&mut backend, B::activations, &lens, max_batch);
        let flow = [flow()?, flow()?];
        let labels =
            (0..devices).map(|device| backend.labels(device, max_batch)).collect::<Result<_, _>>()?;
        let bytes = backend.replicas().map(|replicas| replicas.bucket_bytes());
        let frozen = vec![false; placement.parameters().len()];
        let of = |device| bytes.map(|bytes| buckets(&program, &placement, device, bytes)).unwrap_or_default();
        let buckets = (0..devices).map(of).collect();
        let scores = (0..SCORES).map(|_| backend.floats(0, 3 * max_batch)).collect::<Result<_, _>>()?;
        Ok(Network {
            backend,
            net: net.clone(),
            placement,
            program,
            max_batch,
            n: 0,
            accumulated: false,
            frozen,
            ahead: None,
            exchanged: 0,
            buckets,
            traffic: Traffic::default(),
            scored: Vec::new(),
            timings: None,
            smoothing: 0.0,
            parameters,
            velocity,
            gradient,
            tensors,
            masks,
            places,
            flow,
            labels,
            augmentation: None,
            staged: VecDeque::new(),
            scores,
            probabilities: None,
        })
    }

    /// The table.
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// How columns and parameters are spread over the devices.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// The parameters' names and shapes, in global order.
    pub fn parameter_table(&self) -> &[Parameter] {
        self.placement.parameters()
    }

    /// The largest batch.
    pub fn max_batch(&self) -> usize {
        self.max_batch
    }

    /// The backend.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// The backend, to be changed.
    pub fn backend_mut(&mut self) -> &mut B {
        &mut self.backend
    }

    /// How long the devices stood still between updates and the batches that followed, and the time since the first batch,
    /// if the backend measures it.
    ///
    /// # Errors
    /// A device failed.
    pub fn paused(&mut self) -> Result<Option<[Duration; 2]>, Error> {
        Ok(self.backend.paused()?)
    }

    /// Bytes of a value that columns exchange, logits excepted.
    pub fn activation_bytes(&self) -> u64 {
        self.backend.activation_bytes()
    }

    /// The places where columns meet; empty with one device.
    pub fn exchanges(&self) -> &[ExchangeSite] {
        &self.program.sites
    }

    /// Whether the devices queue their work, so that scores are better read together, after several batches.
    pub fn queues(&self) -> bool {
        self.backend.queues()
    }

    /// What the training batches since the network was made have sent between devices.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Bytes sent between devices since the network was made, by plan, over all devices.
    pub fn exchanged_bytes(&self) -> u64 {
        self.exchanged
    }

    /// Spreads the share `smoothing` (0 ..= 1) of each label evenly over all classes from the next training batch on.
    /// Gradients follow; scores stay those of the labels themselves.
    pub fn set_label_smoothing(&mut self, smoothing: f32) {
        self.smoothing = smoothing;
    }

    /// Replaces the parameters.
    ///
    /// # Errors
    /// The values do not fit the net, or a device failed.
    pub fn set_parameters(&mut self, values: &Parameters) -> Result<(), Error> {
        values.check(&self.net)?;
        upload(&mut self.backend, &self.placement, values, &mut self.parameters)
    }

    /// The parameters.
    ///
    /// # Errors
    /// A device failed.
    pub fn parameters(&mut self) -> Result<Parameters, Error> {
        download(&mut self.backend, &self.placement, &self.net, &self.parameters)
    }

    /// Replaces the velocities.
    ///
    /// # Errors
    /// As [`Network::set_parameters`].
    pub fn set_velocity(&mut self, values: &Parameters) -> Result<(), Error> {
        values.check(&self.net)?;
        upload(&mut self.backend, &self.placement, values, &mut self.velocity)
    }

    /// The velocities.
    ///
    /// # Errors
    /// A device failed.
    pub fn velocity(&mut self) -> Result<Parameters, Error> {
        download(&mut self.backend, &self.placement, &self.net, &self.velocity)
    }

    /// The gradients summed since the last update; zeros if there are none.
    ///
    /// # Errors
    /// A device failed.
    pub fn gradients(&mut self) -> Result<Parameters, Error> {
        if self.accumulated {
            download(&mut self.backend, &self.placement, &self.net, &self.gradient)
        } else {
            Parameters::zeros(&self.net)
        }
    }

    /// The output of row `layer` of the table in the last pass, `[n, channels, height, width]` over all columns.
    /// Rows that work in place (rectifiers behind a convolution, dropout) share their tensor with the row above.
    ///
    /// # Errors
    /// There is no such row, or a device failed.
    pub fn activation(&mut self, layer: usize) -> Result<Vec<f32>, Error> {
        let Some(&tensor) = self.program.outputs.get(layer) else {
            let problem = format!("there is no layer {layer}, the net has {}", self.net.layers.len());
            return Err(Error::Net { preset: self.net.preset.clone(), problem });
        };
        let lens = self.program.tensors[tensor].clone();
        let whole: usize = lens.iter().sum();
        let mut values = vec![0.0; self.n * whole];
        let mut offset = 0;
        for (device, &len) in lens.iter().enumerate() {
            let mut part = vec![0.0; self.n * len];
            self.read_tensor(tensor, device, &mut part)?;
            for (sample, part) in part.chunks_exact(len).enumerate() {
                values[sample * whole + offset..][..len].copy_from_slice(part);
            }
            offset += len;
        }
        Ok(values)
    }
}

/// One buffer a device, for `n` samples of these lengths.
fn buffers<B: Backend>(
    backend: &mut B,
    make: fn(&mut B, usize, usize) -> Result<B::Buffer, DeviceError>,
    lens: &[usize],
    n: usize,
) -> Result<Vec<B::Buffer>, Error> {
    let on = lens.iter().enumerate().map(|(device, len)| make(backend, device, len * n));
    Ok(on.collect::<Result<_, _>>()?)
}

fn upload<B: Backend>(
    backend: &mut B,
    placement: &Placement,
    values: &Parameters,
    buffers: &mut [B::Buffer],
) -> Result<(), Error> {
    for (device, buffer) in buffers.iter_mut().enumerate() {
        for (values, range) in values.iter().zip(placement.ranges(device)) {
            backend.upload(device, &values[range.global.clone()], buffer, range.flat.start)?;
        }
    }
    Ok(())
}

fn download<B: Backend>(
    backend: &mut B,
    placement: &Placement,
    net: &Net,
    buffers: &[B::Buffer],
) -> Result<Parameters, Error> {
    let mut values = Parameters::zeros(net)?;
    for (device, buffer) in buffers.iter().enumerate() {
        for (number, range) in placement.ranges(device).iter().enumerate() {
            let part = &mut values.get_mut(number)[range.global.clone()];
            backend.download(device, buffer, range.flat.start, part)?;
        }
    }
    Ok(values)
}
