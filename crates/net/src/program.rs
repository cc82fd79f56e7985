//! A net compiled for a number of devices: tensors, steps and exchanges, ready to be walked.
//!
//! The list of steps is the same for every device; the sizes in it differ where columns are spread unevenly. A
//! rectifier behind a convolution or dense layer is fused into it, every other one works in place, and so does
//! dropout: no backward pass needs the values they overwrite. With one device no exchange is emitted and the reader
//! simply reads the owner's tensor.

use crate::error::Error;
use crate::exchange::{Exchange, ExchangeSite};
use crate::fused::ResponsePool;
use crate::layer::{DropoutLayer, Layer, Net, Reads};
use crate::operation::{AveragePool, Convolution, Dense, LocalResponse, MaxPool, SoftmaxSlice, WithinMap};
use crate::placement::Placement;
use crate::shape::Shape;

/// A step of the forward pass; the backward pass takes them in reverse. `x`, `y`, `from` and `to` are numbers of
/// tensors, `weight` is the number of the layer's weight (its bias is the next), operations are one for each device.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Gather {
        site: usize,
        from: usize,
        to: usize,
    },
    Convolution {
        ops: Vec<Convolution>,
        weight: usize,
        x: usize,
        y: usize,
    },
    Dense {
        ops: Vec<Dense>,
        weight: usize,
        x: usize,
        y: usize,
    },
    /// `fused`: the step before it rectifies already; not `back`: the step behind it masks already.
    Rectify {
        y: usize,
        fused: bool,
        back: bool,
    },
    LocalResponse {
        ops: Vec<LocalResponse>,
        x: usize,
        y: usize,
    },
    WithinMap {
        ops: Vec<WithinMap>,
        x: usize,
        y: usize,
    },
    MaxPool {
        ops: Vec<MaxPool>,
        places: usize,
        x: usize,
        y: usize,
    },
    /// Both in one, where a backend has that; tensor `between` is not written.
    ResponsePool {
        ops: Vec<ResponsePool>,
        between: usize,
        places: usize,
        x: usize,
        y: usize,
    },
    AveragePool {
        ops: Vec<AveragePool>,
        x: usize,
        y: usize,
    },
    /// Not in place: dropout behind it would change what its way back needs.
    Tanh {
        x: usize,
        y: usize,
    },
    Dropout {
        stream: DropoutLayer,
        keep: f64,
        first_unit: Vec<usize>,
        mask: usize,
        y: usize,
    },
}

impl Step {
    /// The number of its weight, if it has parameters.
    pub(crate) fn weight(&self) -> Option<usize> {
        match self {
            Step::Convolution { weight, .. } | Step::Dense { weight, .. } => Some(*weight),
            _ => None,
        }
    }
}

/// A compiled net.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub steps: Vec<Step>,
    /// What each step does, for people.
    pub names: Vec<String>,
    /// Values per sample of each tensor on each device. Tensor 0 is the input, whole on every device.
    pub tensors: Vec<Vec<usize>>,
    /// As `tensors`, for the masks of dropout.
    pub masks: Vec<Vec<usize>>,
    /// As `tensors`, for the winners of max pooling.
    pub places: Vec<Vec<usize>>,
    pub sites: Vec<ExchangeSite>,
    /// The tensor that holds each layer's output, the devices' parts.
    pub outputs: Vec<usize>,
    /// The logits, whole on every device.
    pub logits: usize,
    /// The classes each device owns.
    pub softmax: Vec<SoftmaxSlice>,
}

impl Program {
    pub(crate) fn new(net: &Net, placement: &Placement) -> Result<Program, Error> {
        let shapes = net.shapes()?;
        let mut compiler = Compiler { net, placement, program: Program::empty(net, placement), weight: 0 };
        let mut below = net.input_shape();
        for (i, layer) in net.layers.iter().enumerate() {
            let fused = i > 0 && net.layers[i - 1].name().is_some();
            compiler.layer(layer, below, shapes[i], fused);
            let output = compiler.last();
            compiler.program.outputs.push(output);
            below = shapes[i];
        }
        let last = compiler.last();
        compiler.program.logits = compiler.read_all("softmax", last, false);
        // The logits' gather is not a step: nothing comes back through it.
        if let Some(Step::Gather { .. }) = compiler.program.steps.last() {
            compiler.program.steps.pop();
            compiler.program.names.pop();
        }
        Ok(compiler.program)
    }

    fn empty(net: &Net, placement: &Placement) -> Program {
        let devices = placement.devices();
        let softmax = (0..devices).map(|device| {
            let share = placement.share(device, net.classes);
            SoftmaxSlice { classes: net.classes, first: share.start, count: share.len() }
        });
        Program {
            steps: Vec::new(),
            names: Vec::new(),
            tensors: vec![vec![net.input_shape().len(); devices]],
            masks: Vec::new(),
            places: Vec::new(),
            sites: Vec::new(),
            outputs: Vec::new(),
            logits: 0,
            softmax: softmax.collect(),
        }
    }

    /// The largest gradient a device has to hold, per sample.
    pub(crate) fn gradient_len(&self, device: usize) -> usize {
        self.tensors[1..].iter().map(|lens| lens[device]).max().unwrap_or(0)
    }
}

impl Net {
    /// The places where columns meet when the net runs on `devices` devices, softmax last; empty for one device.
    ///
    /// # Errors
    /// [`Error::Devices`], or those of [`Net::shapes`].
    pub fn exchanges(&self, devices: usize) -> Result<Vec<ExchangeSite>, Error> {
        Ok(Program::new(self, &Placement::new(self, devices)?)?.sites)
    }

    /// Bytes that each of `devices` devices holds for training with batches of `max_batch`: parameters, velocities,
    /// gradients and activations, without a backend's workspaces. One that fuses operations needs less.
    ///
    /// # Errors
    /// As [`Net::exchanges`].
    pub fn device_bytes(&self, devices: usize, max_batch: usize) -> Result<Vec<u64>, Error> {
        let placement = Placement::new(self, devices)?;
        let program = Program::new(self, &placement)?;
        let bytes = |device: usize| {
            let sum = |lens: &[Vec<usize>]| lens.iter().map(|lens| lens[device]).sum::<usize>();
            let floats = sum(&program.tensors) + sum(&program.masks) + 2 * program.gradient_len(device);
            (12 * placement.flat_len(device) + max_batch * (4 * floats + sum(&program.places))) as u64
        };
        Ok((0..devices).map(bytes).collect())
    }
}

struct Compiler<'a> {
    net: &'a Net,
    placement: &'a Placement,
    program: Program,
    weight: usize,
}

impl Compiler<'_> {
    fn last(&self) -> usize {
        match self.program.steps.last() {
            None => 0,
            Some(
                Step::Gather { to: y, .. }
                | Step::Convolution { y, .. }
                | Step::Dense { y, .. }
                | Step::Rectify { y, .. }
                | Step::LocalResponse { y, .. }
                | Step::WithinMap { y, .. }
                | Step::MaxPool { y, .. }
                | Step::ResponsePool { y, .. }
                | Step::AveragePool { y, .. }
                | Step::Tanh { y, .. }
                | Step::Dropout { y, .. },
            ) => *y,
        }
    }

    fn devices(&self) -> std::ops::Range<usize> {
        0..self.placement.devices()
    }

    /// A new tensor with each device's share of `shape`.
    fn tensor(&mut self, shape: Shape) -> usize {
        let share = |device| self.placement.share(device, shape.channels).len() * shape.pixels();
        let lens = self.devices().map(share).collect();
        self.program.tensors.push(lens);
        self.program.tensors.len() - 1
    }

    /// The tensor that holds all of `from` on every device, gathered if need be.
    fn read_all(&mut self, reader: &str, from: usize, reduced: bool) -> usize {
        if from == 0 || self.placement.devices() == 1 {
            return from;
        }
        let exchange = Exchange { parts: self.program.tensors[from].clone() };
        let to = self.program.tensors.len();
        self.program.tensors.push(vec![exchange.whole(); self.placement.devices()]);
        let site = self.program.sites.len();
        self.program.sites.push(ExchangeSite { reader: reader.to_owned(), exchange, reduced });
        self.program.steps.push(Step::Gather { site, from, to });
        self.program.names.push(format!("exchange before {reader}"));
        to
    }

    fn layer(&mut self, layer: &Layer, below: Shape, shape: Shape, after_parameters: bool) {
        let placement = self.placement;
        let columns = |device| placement.columns(device).len();
        let channels = |device| placement.share(device, shape.channels).len();
        let x = self.last();
        let step = match *layer {
            Layer::Convolution { ref name, kernel, stride, padding, reads, .. } => {
                let x = if reads == Reads::AllColumns { self.read_all(name, x, true) } else { x };
                let ops = self.devices().map(|device| Convolution {
                    groups: if reads == Reads::AllColumns { 1 } else { columns(device) },
                    inputs: self.program.tensors[x][device] / below.pixels(),
                    outputs: channels(device),
                    height: below.height,
                    width: below.width,
                    kernel,
                    stride,
                    padding,
                    out_height: shape.height,
                    out_width: shape.width,
                    rectify: false,
                });
                let ops = ops.collect();
                Step::Convolution { ops, weight: self.next_weight(), x, y: self.tensor(shape) }
            }
            Layer::Dense { ref name, reads, .. } => {
                let x = if reads == Reads::AllColumns { self.read_all(name, x, true) } else { x };
                let ops = self.devices().map(|device| Dense {
                    groups: if reads == Reads::AllColumns { 1 } else { columns(device) },
                    inputs: self.program.tensors[x][device],
                    outputs: channels(device),
                    rectify: false,
                });
                let ops = ops.collect();
                Step::Dense { ops, weight: self.next_weight(), x, y: self.tensor(shape) }
            }
            Layer::Rectifier => {
                if after_parameters {
                    self.fuse_rectifier();
                }
                Step::Rectify { y: x, fused: after_parameters, back: true }
            }
            Layer::LocalResponse(constants) => {
                let ops = self.devices().map(|device| LocalResponse {
                    columns: columns(device),
                    channels: channels(device),
                    pixels: shape.pixels(),
                    size: constants.size,
                    alpha: constants.alpha as f32,
                    k: constants.k as f32,
                    beta: constants.beta as f32,
                });
                let ops = ops.collect();
                Step::LocalResponse { ops, x, y: self.tensor(shape) }
            }
            Layer::WithinMap(constants) => {
                let ops = self.devices().map(|device| WithinMap {
                    channels: channels(device),
                    height: shape.height,
                    width: shape.width,
                    size: constants.size,
                    alpha: constants.alpha as f32,
                    k: constants.k as f32,
                    beta: constants.beta as f32,
                });
                let ops = ops.collect();
                Step::WithinMap { ops, x, y: self.tensor(shape) }
            }
            Layer::MaxPool { size, stride } => {
                let ops = self.devices().map(|device| MaxPool {
                    channels: channels(device),
                    height: below.height,
                    width: below.width,
                    size,
                    stride,
                    out_height: shape.height,
                    out_width: shape.width,
                });
                let ops = ops.collect();
                let y = self.tensor(shape);
                self.program.places.push(self.program.tensors[y].clone());
                Step::MaxPool { ops, places: self.program.places.len() - 1, x, y }
            }
            Layer::AveragePool { size, stride } => {
                let ops = self.devices().map(|device| AveragePool {
                    channels: channels(device),
                    height: below.height,
                    width: below.width,
                    size,
                    stride,
                    out_height: shape.height,
                    out_width: shape.width,
                });
                let ops = ops.collect();
                Step::AveragePool { ops, x, y: self.tensor(shape) }
            }
            Layer::Tanh => Step::Tanh { x, y: self.tensor(shape) },
            Layer::Dropout { stream, keep } => {
                let first = |device| placement.share(device, shape.channels).start * shape.pixels();
                let first_unit = self.devices().map(first).collect();
                self.program.masks.push(self.program.tensors[x].clone());
                Step::Dropout { stream, keep, first_unit, mask: self.program.masks.len() - 1, y: x }
            }
        };
        self.program.steps.push(step);
        self.program.names.push(layer.label().to_owned());
    }

    fn next_weight(&mut self) -> usize {
        self.weight += 2;
        debug_assert!(self.weight <= 2 * self.net.layers.len());
        self.weight - 2
    }

    fn fuse_rectifier(&mut self) {
        match self.program.steps.last_mut() {
            Some(Step::Convolution { ops, .. }) => ops.iter_mut().for_each(|op| op.rectify = true),
            Some(Step::Dense { ops, .. }) => ops.iter_mut().for_each(|op| op.rectify = true),
            _ => {}
        }
    }
}
