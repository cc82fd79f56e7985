//! A backend that times each operation of the CUDA backend by the device's own events: repeated, kernel by kernel.
//!
//! What it computes is of no use (operations in place are repeated), how long it takes is. Bytes and FLOPs are those
//! that the operation must move and do, with a perfect cache.

use alexnet_cuda::{CudaBackend, Floats};
use alexnet_net::{
    Augmentation, Backend, Convolution, Dense, DeviceError, Dropout, Exchange, FusedOf, Gradients,
    HostMemory, LocalResponse, MaxPool, RawBatch, Segment, SoftmaxSlice, Weights, WithinMap,
};

use crate::cost::{Records, convolution, convolution_cost, dense, dense_cost, weights};

/// The backend.
pub struct Timed {
    inner: CudaBackend,
    repeats: u32,
    records: Records,
    /// Bytes that augmentation must move for one image.
    image_bytes: usize,
    /// Bytes of an activation.
    width: usize,
}

type Done = Result<(), DeviceError>;

impl Timed {
    /// Repeats each operation so often.
    pub fn new(inner: CudaBackend, repeats: u32) -> Self {
        let width = inner.activation_bytes() as usize;
        Timed { inner, repeats, records: Records::default(), image_bytes: 0, width }
    }

    /// Where the costs are gathered.
    pub fn records(&self) -> Records {
        self.records.clone()
    }

    pub fn time(
        &mut self,
        name: String,
        bytes: usize,
        flops: usize,
        mut run: impl FnMut(&mut CudaBackend) -> Done,
    ) -> Done {
        run(&mut self.inner)?;
        self.inner.synchronise()?;
        self.inner.start_profile();
        for _ in 0..self.repeats {
            run(&mut self.inner)?;
        }
        self.book(name, bytes, flops, self.repeats)
    }

    /// Books what was launched since the profile began.
    fn book(&mut self, name: String, bytes: usize, flops: usize, repeats: u32) -> Done {
        let times = self.inner.profile()?;
        let mut records = self.records.borrow_mut();
        let cost = records.entry(name).or_default();
        cost.calls += 1;
        cost.bytes += bytes as f64;
        cost.flops += flops as f64;
        for time in times {
            *cost.kernels.entry(time.kernel).or_default() +=
                f64::from(time.milliseconds) / f64::from(repeats);
        }
        Ok(())
    }
}

impl Backend for Timed {
    type Buffer = Floats;
    type Places = Floats<u8>;
    type Labels = Floats<u32>;

    fn devices(&self) -> usize {
        self.inner.devices()
    }
    fn fused(&mut self) -> Option<FusedOf<'_, Self>> {
        if self.inner.fused().is_some() { Some(self) } else { None }
    }
    fn activation_bytes(&self) -> u64 {
        self.inner.activation_bytes()
    }
    fn floats(&mut self, device: usize, len: usize) -> Result<Floats, DeviceError> {
        self.inner.floats(device, len)
    }
    fn activations(&mut self, device: usize, len: usize) -> Result<Floats, DeviceError> {
        self.inner.activations(device, len)
    }
    fn places(&mut self, device: usize, len: usize) -> Result<Floats<u8>, DeviceError> {
        self.inner.places(device, len)
    }
    fn labels(&mut self, device: usize, len: usize) -> Result<Floats<u32>, DeviceError> {
        self.inner.labels(device, len)
    }
    fn upload(&mut self, device: usize, from: &[f32], to: &mut Floats, offset: usize) -> Done {
        self.inner.upload(device, from, to, offset)
    }
    fn upload_labels(&mut self, device: usize, from: &[u32], to: &mut Floats<u32>) -> Done {
        self.inner.upload_labels(device, from, to)
    }
    fn download(&mut self, device: usize, from: &Floats, offset: usize, to: &mut [f32]) -> Done {
        self.inner.download(device, from, offset, to)
    }
    fn synchronise(&mut self) -> Done {
        self.inner.synchronise()
    }
    fn reserve_convolution(&mut self, device: usize, op: &Convolution, n: usize) -> Done {
        self.inner.reserve_convolution(device, op, n)
    }
    fn reserve_dense(&mut self, device: usize, op: &Dense, n: usize) -> Done {
        self.inner.reserve_dense(device, op, n)
    }
    fn augments(&self) -> bool {
        self.inner.augments()
    }
    fn host_memory(&mut self, bytes: usize) -> Result<Box<dyn HostMemory>, DeviceError> {
        self.inner.host_memory(bytes)
    }
    fn prepare_records(&mut self, op: &Augmentation, n: usize) -> Done {
        self.image_bytes = 3 * (1 + self.width) * op.crop[0] * op.crop[1];
        self.inner.prepare_records(op, n)
    }
    fn stage(&mut self, batch: Box<dyn RawBatch>) -> Done {
        self.inner.stage(batch)
    }
    /// Once: a batch is used up.
    fn augment(&mut self, n: usize, x: &mut [Floats]) -> Done {
        self.inner.synchronise()?;
        self.inner.start_profile();
        self.inner.augment(n, x)?;
        self.book(
            "augment".into(),
            n * self.image_bytes,
            9 * n * self.image_bytes / (3 * (1 + self.width)),
            1,
        )
    }
    fn convolution_forward(
        &mut self,
        device: usize,
        op: &Convolution,
        n: usize,
        x: &Floats,
        w: Weights<'_, Floats>,
        y: &mut Floats,
    ) -> Done {
        let (bytes, flops) = convolution_cost(op, n, self.width);
        self.time(convolution(op, "forward"), bytes, flops, |b| {
            b.convolution_forward(device, op, n, x, weights(&w), y)
        })
    }
    fn convolution_backward_input(
        &mut self,
        device: usize,
        op: &Convolution,
        n: usize,
        dy: &Floats,
        w: Weights<'_, Floats>,
        dx: &mut Floats,
    ) -> Done {
        let (bytes, flops) = convolution_cost(op, n, self.width);
        self.time(convolution(op, "input gradient"), bytes, flops, |b| {
            b.convolution_backward_input(device, op, n, dy, weights(&w), dx)
        })
    }
    fn convolution_backward_weights(
        &mut self,
        device: usize,
        op: &Convolution,
        n: usize,
        x: &Floats,
        dy: &Floats,
        dw: Gradients<'_, Floats>,
    ) -> Done {
        let (bytes, flops) = convolution_cost(op, n, self.width);
        let Gradients { buffer, weight, bias, accumulate } = dw;
        self.time(convolution(op, "weight gradient"), bytes, flops, |b| {
            let dw = Gradients { buffer, weight: weight.clone(), bias: bias.clone(), accumulate };
            b.convolution_backward_weights(device, op, n, x, dy, dw)
        })
    }
    fn dense_forward(
        &mut self,
        device: usize,
        op: &Dense,
        n: usize,
        x: &Floats,
        w: Weights<'_, Floats>,
        y: &mut Floats,
    ) -> Done {
        let (bytes, flops) = dense_cost(op, n, self.width, false);
        self.time(dense(op, "forward"), bytes, flops, |b| b.dense_forward(device, op, n, x, weights(&w), y))
    }
    fn dense_backward_input(
        &mut self,
        device: usize,
        op: &Dense,
        n: usize,
        dy: &Floats,
        w: Weights<'_, Floats>,
        dx: &mut Floats,
    ) -> Done {
        let (bytes, flops) = dense_cost(op, n, self.width, false);
        self.time(dense(op, "input gradient"), bytes, flops, |b| {
            b.dense_backward_input(device, op, n, dy, weights(&w), dx)
        })
    }
    fn dense_backward_weights(
        &mut self,
        device: usize,
        op: &Dense,
        n: usize,
        x: &Floats,
        dy: &Floats,
        dw: Gradients<'_, Floats>,
    ) -> Done {
        let (bytes, flops) = dense_cost(op, n, self.width, true);
        let Gradients { buffer, weight, bias, accumulate } = dw;
        self.time(dense(op, "weight gradient"), bytes, flops, |b| {
            let (weight, bias) = (weight.clone(), bias.clone());
            b.dense_backward_weights(device, op, n, x, dy, Gradients { buffer, weight, bias, accumulate })
        })
    }
    fn rectify_forward(&mut self, device: usize, len: usize, y: &mut Floats) -> Done {
        let (bytes, flops) = (2 * self.width * len, len);
        self.time("rectify forward".into(), bytes, flops, |b| b.rectify_forward(device, len, y))
    }
    fn rectify_backward(&mut self, device: usize, len: usize, y: &Floats, dy: &mut Floats) -> Done {
        let (bytes, flops) = (2 * self.width * len, len);
        self.time("rectify backward".into(), bytes, flops, |b| b.rectify_backward(device, len, y, dy))
    }
    fn local_response_forward(
        &mut self,
        device: usize,
        op: &LocalResponse,
        n: usize,
        x: &Floats,
        y: &mut Floats,
    ) -> Done {
        let (bytes, flops) = (2 * self.width * n * op.channels * op.pixels, 15 * n * op.channels * op.pixels);
        self.time("local response forward".into(), bytes, flops, |b| {
            b.local_response_forward(device, op, n, x, y)
        })
    }
    fn local_response_backward(
        &mut self,
        device: usize,
        op: &LocalResponse,
        n: usize,
        x: &Floats,
        dy: &Floats,
        dx: &mut Floats,
    ) -> Done {
        let (bytes, flops) = (3 * self.width * n * op.channels * op.pixels, 27 * n * op.channels * op.pixels);
        self.time("local response backward".into(), bytes, flops, |b| {
            b.local_response_backward(device, op, n, x, dy, dx)
        })
    }
    fn within_map_forward(
        &mut self,
        device: usize,
        op: &WithinMap,
        n: usize,
        x: &Floats,
        y: &mut Floats,
    ) -> Done {
        let (bytes, flops) = (
            2 * self.width * n * op.channels * op.height * op.width,
            55 * n * op.channels * op.height * op.width,
        );
        self.time("within map forward".into(), bytes, flops, |b| b.within_map_forward(device, op, n, x, y))
    }
    fn within_map_backward(
        &mut self,
        device: usize,
        op: &WithinMap,
        n: usize,
        x: &Floats,
        dy: &Floats,
        dx: &mut Floats,
    ) -> Done {
        let (bytes, flops) = (
            3 * self.width * n * op.channels * op.height * op.width,
            87 * n * op.channels * op.height * op.width,
        );
        self.time("within map backward".into(), bytes, flops, |b| {
            b.within_map_backward(device, op, n, x, dy, dx)
        })
    }
    fn max_pool_forward(
        &mut self,
        device: usize,
        op: &MaxPool,
        n: usize,
        x: &Floats,
        y: &mut Floats,
        places: &mut Floats<u8>,
    ) -> Done {
        let (bytes, flops) =
            (n * (self.width * op.input_len() + (self.width + 1) * op.output_len()), 9 * n * op.output_len());
        self.time("max pool forward".into(), bytes, flops, |b| {
            b.max_pool_forward(device, op, n, x, y, places)
        })
    }
    fn max_pool_backward(
        &mut self,
        device: usize,
        op: &MaxPool,
        n: usize,
        places: &Floats<u8>,
        dy: &Floats,
        dx: &mut Floats,
    ) -> Done {
        let (bytes, flops) =
            (n * (self.width * op.input_len() + (self.width + 1) * op.output_len()), n * op.input_len());
        self.time("max pool backward".into(), bytes, flops, |b| {
            b.max_pool_backward(device, op, n, places, dy, dx)
        })
    }
    fn dropout_forward(
        &mut self,
        device: usize,
        op: &Dropout,
        n: usize,
        y: &mut Floats,
        mask: &mut Floats,
    ) -> Done {
        let (bytes, flops) = (2 * (self.width + 2) * n * op.units, 25 * n * op.units);
        self.time("dropout forward".into(), bytes, flops, |b| b.dropout_forward(device, op, n, y, mask))
    }
    fn multiply(&mut self, device: usize, len: usize, mask: &Floats, dy: &mut Floats) -> Done {
        let (bytes, flops) = (2 * (self.width + 2) * len, len);
        self.time("dropout backward".into(), bytes, flops, |b| b.multiply(device, len, mask, dy))
    }
    fn scale(&mut self, device: usize, len: usize, factor: f32, y: &mut Floats) -> Done {
        let (bytes, flops) = (2 * self.width * len, len);
        self.time("scale".into(), bytes, flops, |b| b.scale(device, len, factor, y))
    }
    fn score(
        &mut self,
        device: usize,
        classes: usize,
        n: usize,
        logits: &Floats,
        labels: &Floats<u32>,
        score: &mut Floats,
    ) -> Done {
        let (bytes, flops) = (4 * n * (classes + 3), 5 * n * classes);
        self.time("score".into(), bytes, flops, |b| b.score(device, classes, n, logits, labels, score))
    }
    fn softmax_gradient(
        &mut self,
        device: usize,
        op: &SoftmaxSlice,
        n: usize,
        logits: &Floats,
        labels: &Floats<u32>,
        gradient: &mut Floats,
    ) -> Done {
        let (bytes, flops) = (4 * n * (op.classes + op.count), 8 * n * op.classes);
        self.time("softmax gradient".into(), bytes, flops, |b| {
            b.softmax_gradient(device, op, n, logits, labels, gradient)
        })
    }
    fn softmax(
        &mut self,
        device: usize,
        classes: usize,
        n: usize,
        logits: &Floats,
        probabilities: &mut Floats,
    ) -> Done {
        let (bytes, flops) = (8 * n * classes, 8 * n * classes);
        self.time("softmax".into(), bytes, flops, |b| b.softmax(device, classes, n, logits, probabilities))
    }
    fn gather(&mut self, exchange: &Exchange, n: usize, parts: &[Floats], whole: &mut [Floats]) -> Done {
        self.inner.gather(exchange, n, parts, whole)
    }
    fn reduce(&mut self, exchange: &Exchange, n: usize, whole: &[Floats], parts: &mut [Floats]) -> Done {
        self.inner.reduce(exchange, n, whole, parts)
    }
    fn update(
        &mut self,
        device: usize,
        segments: &[Segment],
        momentum: f32,
        parameters: &mut Floats,
        velocity: &mut Floats,
        gradient: &Floats,
    ) -> Done {
        let len: usize = segments.iter().map(|segment| segment.range.len()).sum();
        let (bytes, flops) = ((24 - self.width) * len, 6 * len); // with the copy, 22 bytes
        self.time("update".into(), bytes, flops, |b| {
            b.update(device, segments, momentum, parameters, velocity, gradient)
        })
    }
}
