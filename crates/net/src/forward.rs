//! The forward pass: the steps of the program in order, on every device.

use alexnet_rng::Purpose;

use crate::backend::Backend;
use crate::error::{DeviceError, Error};
use crate::fused;
use crate::layer::{DropoutConvention, DropoutLayer};
use crate::network::{BatchScore, DropoutKey, Network, SCORES};
use crate::operation::Dropout;
use crate::placement::ParameterRange;
use crate::program::Step;
use crate::timing::Pass;
use crate::views::Weights;

impl DropoutLayer {
    fn purpose(self) -> Purpose {
        match self {
            DropoutLayer::Fc6 => Purpose::DropoutFc6,
            DropoutLayer::Fc7 => Purpose::DropoutFc7,
        }
    }
}

/// What dropout does in a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Masks named by the key, or none.
    Training(Option<DropoutKey>),
    /// The expectation of the masks.
    Test,
}

/// A layer's weights on one device; `weight` is the number of the weight, whose bias follows.
pub(crate) fn weights<'a, T>(buffer: &'a T, ranges: &[ParameterRange], weight: usize) -> Weights<'a, T> {
    Weights { buffer, weight: ranges[weight].flat.clone(), bias: ranges[weight + 1].flat.clone() }
}

impl<B: Backend> Network<B> {
    /// Loss, top-1 and top-5 of a batch, without dropout (at test the paper multiplies by `keep`).
    /// Pixels are `[n, channels, height, width]`, labels class numbers.
    ///
    /// # Errors
    /// The batch does not fit, or a device failed.
    pub fn evaluate(&mut self, pixels: &[f32], labels: &[u32]) -> Result<BatchScore, Error> {
        if labels.is_empty() && pixels.is_empty() {
            return Ok(BatchScore::default());
        }
        self.load(pixels, labels)?;
        self.evaluate_loaded()
    }

    /// As [`Network::evaluate`], of the batch that [`Network::load`] brought.
    ///
    /// # Errors
    /// A device failed.
    pub fn evaluate_loaded(&mut self) -> Result<BatchScore, Error> {
        self.forward(Mode::Test)?;
        self.compute_score()?;
        let score = self.score();
        self.scored.clear();
        score
    }

    /// Brings a batch to every device.
    ///
    /// # Errors
    /// The batch does not fit, or a device failed.
    pub fn load(&mut self, pixels: &[f32], labels: &[u32]) -> Result<(), Error> {
        self.upload_batch(pixels, Some(labels))
    }

    fn check_size(&self, n: usize) -> Result<(), Error> {
        if n > 0 && n <= self.max_batch {
            return Ok(());
        }
        let problem = format!("{n} samples, but the network was made for 1 to {}", self.max_batch);
        Err(Error::Batch { problem })
    }

    /// Softmax of each sample, `[n, classes]`, without dropout.
    ///
    /// # Errors
    /// The batch does not fit, or a device failed.
    pub fn probabilities(&mut self, pixels: &[f32]) -> Result<Vec<f32>, Error> {
        if pixels.is_empty() {
            return Ok(Vec::new());
        }
        self.upload_batch(pixels, None)?;
        self.forward(Mode::Test)?;
        self.scored.clear();
        let classes = self.net.classes;
        let logits = &self.tensors[self.program.logits][0];
        if self.probabilities.is_none() {
            self.probabilities = Some(self.backend.floats(0, self.max_batch * classes)?);
        }
        let Some(probabilities) = &mut self.probabilities else { return Ok(Vec::new()) };
        self.backend.softmax(0, classes, self.n, logits, probabilities)?;
        let mut values = vec![0.0; self.n * classes];
        self.backend.download(0, probabilities, 0, &mut values)?;
        Ok(values)
    }

    /// Logits of the last pass, `[n, classes]`.
    ///
    /// # Errors
    /// A device failed.
    pub fn logits(&mut self) -> Result<Vec<f32>, Error> {
        let mut values = vec![0.0; self.n * self.net.classes];
        self.backend.download(0, &self.tensors[self.program.logits][0], 0, &mut values)?;
        Ok(values)
    }

    /// What the last batch of [`Network::train_batch`] scored, nothing after any other pass; waits for it.
    ///
    /// # Errors
    /// A device failed.
    pub fn score(&mut self) -> Result<BatchScore, Error> {
        let last = self.scored.len().checked_sub(1);
        last.map_or(Ok(BatchScore::default()), |slot| self.read_score(slot))
    }

    /// What each batch scored since this was last asked, or since a pass without scores, oldest first; waits for the last.
    /// Of more than [`SCORES`] only the newest remain.
    ///
    /// # Errors
    /// A device failed.
    pub fn scores(&mut self) -> Result<Vec<BatchScore>, Error> {
        let scores = (0..self.scored.len()).map(|slot| self.read_score(slot)).collect();
        self.scored.clear();
        scores
    }

    fn read_score(&mut self, slot: usize) -> Result<BatchScore, Error> {
        let n = self.scored[slot];
        let mut values = vec![0.0; 3 * n];
        self.backend.download(0, &self.scores[slot], 0, &mut values)?;
        let sum = |row: usize| values[row * n..(row + 1) * n].iter().map(|&x| f64::from(x)).sum::<f64>();
        Ok(BatchScore { loss_sum: sum(0), top1: sum(1) as u64, top5: sum(2) as u64, n: n as u64 })
    }

    fn upload_batch(&mut self, pixels: &[f32], labels: Option<&[u32]>) -> Result<(), Error> {
        let fail = |problem: String| Err(Error::Batch { problem });
        let sample = self.net.input_shape().len();
        let n = labels.map_or(pixels.len() / sample, <[u32]>::len);
        self.check_size(n)?;
        if pixels.len() != n * sample {
            return fail(format!("{} pixel values for {n} samples of {:?}", pixels.len(), self.net.input));
        }
        self.n = n;
        for device in 0..self.placement.devices() {
            self.backend.upload(device, pixels, &mut self.tensors[0][device], 0)?;
        }
        labels.map_or(Ok(()), |labels| self.upload_labels(labels))
    }

    /// The labels of the batch to come; their number is its size.
    pub(crate) fn upload_labels(&mut self, labels: &[u32]) -> Result<(), Error> {
        if let Some(i) = labels.iter().position(|&l| l as usize >= self.net.classes) {
            let problem =
                format!("sample {i} has label {}, the net has {} classes", labels[i], self.net.classes);
            return Err(Error::Batch { problem });
        }
        self.n = labels.len();
        for device in 0..self.placement.devices() {
            self.backend.upload_labels(device, labels, &mut self.labels[device])?;
        }
        Ok(())
    }

    /// Books a batch of `n` samples; the slot of its score.
    pub(crate) fn next_score(&mut self, n: usize) -> usize {
        if self.scored.len() == SCORES {
            self.scores.rotate_left(1);
            self.scored.remove(0);
        }
        self.scored.push(n);
        self.scored.len() - 1
    }

    pub(crate) fn compute_score(&mut self) -> Result<(), Error> {
        let n = self.n;
        let slot = self.next_score(n);
        let logits = &self.tensors[self.program.logits][0];
        self.backend.score(0, self.net.classes, n, logits, &self.labels[0], &mut self.scores[slot])?;
        Ok(())
    }

    /// Runs the net on the uploaded batch.
    pub(crate) fn forward(&mut self, mode: Mode) -> Result<(), Error> {
        for number in 0..self.program.steps.len() {
            let start = self.clock()?;
            self.step_forward(number, mode)?;
            self.lap(start, number, Pass::Forward)?;
        }
        let logits = self.program.logits;
        if let Some(site) = self.program.sites.iter().position(|site| !site.reduced) {
            let last = self.program.outputs[self.program.outputs.len() - 1];
            self.gather(site, last, logits)?;
        }
        Ok(())
    }

    fn gather(&mut self, site: usize, from: usize, to: usize) -> Result<(), DeviceError> {
        let exchange = &self.program.sites[site].exchange;
        let (parts, whole) = pair(&mut self.tensors, from, to);
        self.backend.gather(exchange, self.n, parts, whole)?;
        let devices = 0..self.placement.devices();
        self.exchanged += self.n as u64 * devices.map(|device| exchange.gather_bytes(device)).sum::<u64>();
        Ok(())
    }

    fn step_forward(&mut self, number: usize, mode: Mode) -> Result<(), DeviceError> {
        let n = self.n;
        if let Step::Gather { site, from, to } = self.program.steps[number] {
            return self.gather(site, from, to);
        }
        let Network { backend, program, placement, tensors, parameters, .. } = self;
        for device in 0..placement.devices() {
            let ranges = placement.ranges(device);
            match &program.steps[number] {
                Step::Gather { .. } => {}
                Step::Convolution { ops, weight, x, y } => {
                    let w = weights(&parameters[device], ranges, *weight);
                    let (x, y) = pair(tensors, *x, *y);
                    backend.convolution_forward(device, &ops[device], n, &x[device], w, &mut y[device])?;
                }
                Step::Dense { ops, weight, x, y } => {
                    let w = weights(&parameters[device], ranges, *weight);
                    let (x, y) = pair(tensors, *x, *y);
                    backend.dense_forward(device, &ops[device], n, &x[device], w, &mut y[device])?;
                }
                Step::Rectify { fused: true, .. } => {}
                Step::Rectify { y, fused: false, .. } => {
                    backend.rectify_forward(
                        device,
                        n * program.tensors[*y][device],
                        &mut tensors[*y][device],
                    )?;
                }
                Step::LocalResponse { ops, x, y } => {
                    let (x, y) = pair(tensors, *x, *y);
                    backend.local_response_forward(device, &ops[device], n, &x[device], &mut y[device])?;
                }
                Step::WithinMap { ops, x, y } => {
                    let (x, y) = pair(tensors, *x, *y);
                    backend.within_map_forward(device, &ops[device], n, &x[device], &mut y[device])?;
                }
                Step::MaxPool { ops, places, x, y } => {
                    let (x, y) = pair(tensors, *x, *y);
                    let places = &mut self.places[*places][device];
                    backend.max_pool_forward(device, &ops[device], n, &x[device], &mut y[device], places)?;
                }
                Step::ResponsePool { ops, places, x, y, .. } => {
                    let (x, y) = pair(tensors, *x, *y);
                    let places = &mut self.places[*places][device];
                    fused::response_pool_forward(
                        backend,
                        device,
                        &ops[device],
                        n,
                        &x[device],
                        &mut y[device],
                        places,
                    )?;
                }
                Step::AveragePool { ops, x, y } => {
                    let (x, y) = pair(tensors, *x, *y);
                    backend.average_pool_forward(device, &ops[device], n, &x[device], &mut y[device])?;
                }
                Step::Tanh { x, y } => {
                    let len = n * program.tensors[*y][device];
                    let (x, y) = pair(tensors, *x, *y);
                    backend.tanh_forward(device, len, &x[device], &mut y[device])?;
                }
                Step::Dropout { stream, keep, first_unit, mask, y } => {
                    let units = program.tensors[*y][device];
                    let in_training = self.net.dropout == DropoutConvention::ScaledInTraining;
                    let y = &mut tensors[*y][device];
                    match mode {
                        Mode::Training(None) => {}
                        Mode::Training(Some(DropoutKey { seed, epoch, first_position })) => {
                            let op = Dropout {
                                seed,
                                epoch,
                                first_position,
                                purpose: stream.purpose(),
                                first_unit: first_unit[device] as u64,
                                units,
                                threshold: (keep * (1u64 << 32) as f64) as u64,
                                scale: if in_training { (1.0 / keep) as f32 } else { 1.0 },
                            };
                            backend.dropout_forward(device, &op, n, y, &mut self.masks[*mask][device])?;
                        }
                        Mode::Test if in_training => {}
                        Mode::Test => backend.scale(device, n * units, *keep as f32, y)?,
                    }
                }
            }
        }
        Ok(())
    }
}

/// Tensor `x` to read and tensor `y` to write.
pub(crate) fn pair<T>(tensors: &mut [T], x: usize, y: usize) -> (&T, &mut T) {
    let [x, y] = tensors.get_disjoint_mut([x, y]).expect("a step never writes the tensor it reads");
    (x, y)
}
