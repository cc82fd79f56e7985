//! The trait of operations on CUDA devices: which kernel or product does what.

use alexnet_net::{
    Augmentation, AveragePool, Backend, Convolution, Dense, DeviceError, Dropout, Exchange, Gradients,
    HostMemory, LocalResponse, MaxPool, RawBatch, Segment, SoftmaxSlice, Weights, WithinMap,
};

use crate::CudaBackend;
use crate::device::{Device, Floats, failed};
use crate::launch::Arg;
use crate::pinned::Pinned;
use crate::staging::Staging;
use crate::{convolution, dense, exchange};

type Done = Result<(), DeviceError>;

impl Backend for CudaBackend {
    type Buffer = Floats;
    type Places = Floats<u8>;
    type Labels = Floats<u32>;

    fn devices(&self) -> usize {
        self.devices.len()
    }

    fn queues(&self) -> bool {
        true
    }

    fn exchanged_bytes(&self) -> Option<u64> {
        Some(self.devices.iter().map(|device| device.received.get()).sum())
    }

    fn floats(&mut self, device: usize, len: usize) -> Result<Floats, DeviceError> {
        let made = self.devices[device].zeros(len)?;
        self.devices[device].stale(made.address); // the memory may have been another's
        Ok(made)
    }

    fn places(&mut self, device: usize, len: usize) -> Result<Floats<u8>, DeviceError> {
        self.devices[device].zeros(len)
    }

    fn labels(&mut self, device: usize, len: usize) -> Result<Floats<u32>, DeviceError> {
        self.devices[device].zeros(len)
    }

    fn upload(&mut self, device: usize, from: &[f32], to: &mut Floats, offset: usize) -> Done {
        self.devices[device].stale(to.address);
        self.devices[device].put(from, to, offset)
    }

    fn upload_labels(&mut self, device: usize, from: &[u32], to: &mut Floats<u32>) -> Done {
        self.devices[device].put(from, to, 0)
    }

    fn download(&mut self, device: usize, from: &Floats, offset: usize, to: &mut [f32]) -> Done {
        self.devices[device].get(from, offset, to)
    }

    fn synchronise(&mut self) -> Done {
        let wait = |d: &Device| d.stream.synchronize().map_err(failed(d.number, "synchronise"));
        self.devices.iter().try_for_each(wait)
    }

    fn augments(&self) -> bool {
        true
    }

    fn host_memory(&mut self, bytes: usize) -> Result<Box<dyn HostMemory>, DeviceError> {
        let pinned = Pinned::new(&self.devices[0].context, bytes);
        Ok(Box::new(pinned.map_err(failed(0, "allocate page-locked memory"))?))
    }

    fn prepare_records(&mut self, op: &Augmentation, n: usize) -> Done {
        self.staging = None; // its memory first
        self.staging = Some(Staging::new(&self.devices, op, n)?);
        Ok(())
    }

    fn stage(&mut self, batch: Box<dyn RawBatch>) -> Done {
        let Some(staging) = &mut self.staging else { return Err(failed(0, "stage records")("not prepared")) };
        staging.stage(&self.devices, batch)
    }

    fn augment(&mut self, n: usize, x: &mut [Floats]) -> Done {
        let Some(staging) = &mut self.staging else { return Err(failed(0, "augment")("nothing is staged")) };
        staging.augment(&self.devices, n, x)
    }

    fn reserve_convolution(&mut self, device: usize, op: &Convolution, n: usize) -> Done {
        convolution::reserve(&mut self.devices[device], op, n)
    }

    fn reserve_dense(&mut self, device: usize, op: &Dense, n: usize) -> Done {
        dense::reserve(&mut self.devices[device], op, n)
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
        let (weight, bias) = ((w.buffer, w.weight.start), w.buffer.at(w.bias.start));
        convolution::forward(&mut self.devices[device], op, n, x.address, weight, y.address)?;
        self.devices[device].bias(n, op.outputs, op.positions(), y.address, bias, op.rectify)
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
        let weight = (w.buffer, w.weight.start);
        convolution::backward_input(&mut self.devices[device], op, n, dy.address, weight, dx.address)
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
        let (weight, bias) = (dw.buffer.at(dw.weight.start), dw.buffer.at(dw.bias.start));
        let d = &mut self.devices[device];
        convolution::backward_weights(d, op, n, x.address, dy.address, weight, dw.accumulate)?;
        let sizes = [n, op.outputs, op.positions(), usize::from(dw.accumulate)];
        d.rows("bias_gradient_map", op.outputs, &[dy.address, bias], &sizes)
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
        let (weight, bias) = ((w.buffer, w.weight.start), w.buffer.at(w.bias.start));
        dense::forward(&mut self.devices[device], op, n, x.address, weight, y.address)?;
        self.devices[device].bias(n, op.outputs, 1, y.address, bias, op.rectify)
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
        let weight = (w.buffer, w.weight.start);
        dense::backward_input(&mut self.devices[device], op, n, dy.address, weight, dx.address)
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
        let (weight, bias) = (dw.buffer.at(dw.weight.start), dw.buffer.at(dw.bias.start));
        let d = &mut self.devices[device];
        dense::backward_weights(d, op, n, x.address, dy.address, weight, dw.accumulate)?;
        dense::backward_bias(d, op, n, dy.address, bias, dw.accumulate)
    }

    fn rectify_forward(&mut self, device: usize, len: usize, y: &mut Floats) -> Done {
        let d = &self.devices[device];
        d.launch("relu_forward", d.grid(len), &[Arg::Address(y.address), Arg::Int(d.int(len)?)])
    }

    fn rectify_backward(&mut self, device: usize, len: usize, y: &Floats, dy: &mut Floats) -> Done {
        self.devices[device].pairwise("relu_backward", len, y.address, dy.address)
    }

    fn local_response_forward(
        &mut self,
        device: usize,
        op: &LocalResponse,
        n: usize,
        x: &Floats,
        y: &mut Floats,
    ) -> Done {
        self.devices[device].normalise_maps("lrn_forward", op, n, &[x.address, y.address])
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
        self.devices[device].normalise_maps("lrn_backward", op, n, &[x.address, dy.address, dx.address])
    }

    fn within_map_forward(
        &mut self,
        device: usize,
        op: &WithinMap,
        n: usize,
        x: &Floats,
        y: &mut Floats,
    ) -> Done {
        self.devices[device].normalise_pixels("within_map_forward", op, n, 1, &[x.address, y.address])
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
        let buffers = [x.address, dy.address, dx.address];
        self.devices[device].normalise_pixels("within_map_backward", op, n, 3, &buffers)
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
        let (work, buffers) = (n * op.output_len(), [x.address, y.address, places.address]);
        self.devices[device].pool("max_pool_forward", op, n, work, &buffers)
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
        let buffers = [dy.address, places.address, dx.address];
        self.devices[device].pool("max_pool_backward", op, n, n * op.input_len(), &buffers)
    }

    fn average_pool_forward(
        &mut self,
        device: usize,
        op: &AveragePool,
        n: usize,
        x: &Floats,
        y: &mut Floats,
    ) -> Done {
        let (work, buffers) = (n * op.output_len(), [x.address, y.address]);
        self.devices[device].average("average_pool_forward", op, n, work, &buffers)
    }

    fn average_pool_backward(
        &mut self,
        device: usize,
        op: &AveragePool,
        n: usize,
        dy: &Floats,
        dx: &mut Floats,
    ) -> Done {
        let (work, buffers) = (n * op.input_len(), [dy.address, dx.address]);
        self.devices[device].average("average_pool_backward", op, n, work, &buffers)
    }

    fn tanh_forward(&mut self, device: usize, len: usize, x: &Floats, y: &mut Floats) -> Done {
        self.devices[device].pairwise("tanh_forward", len, x.address, y.address)
    }

    fn tanh_backward(&mut self, device: usize, len: usize, x: &Floats, dy: &mut Floats) -> Done {
        self.devices[device].pairwise("tanh_backward", len, x.address, dy.address)
    }

    fn dropout_forward(
        &mut self,
        device: usize,
        op: &Dropout,
        n: usize,
        y: &mut Floats,
        mask: &mut Floats,
    ) -> Done {
        self.devices[device].dropout(op, n, y.address, mask.address)
    }

    fn multiply(&mut self, device: usize, len: usize, mask: &Floats, dy: &mut Floats) -> Done {
        self.devices[device].pairwise("multiply", len, mask.address, dy.address)
    }

    fn scale(&mut self, device: usize, len: usize, factor: f32, y: &mut Floats) -> Done {
        let d = &self.devices[device];
        let args = [Arg::Address(y.address), Arg::Float(factor), Arg::Int(d.int(len)?)];
        d.launch("scale", d.grid(len), &args)
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
        let buffers = [logits.address, labels.address, score.address];
        self.devices[device].rows("softmax_score", n, &buffers, &[n, classes])
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
        let buffers = [logits.address, labels.address, gradient.address];
        self.devices[device].rows("softmax_gradient", n, &buffers, &[op.classes, op.first, op.count])
    }

    fn smooth_labels(
        &mut self,
        device: usize,
        op: &SoftmaxSlice,
        n: usize,
        smoothing: f32,
        logits: &Floats,
        gradient: &mut Floats,
    ) -> Done {
        self.devices[device].smooth(op, n, smoothing, [logits.address, gradient.address])
    }

    fn softmax(
        &mut self,
        device: usize,
        classes: usize,
        n: usize,
        logits: &Floats,
        probabilities: &mut Floats,
    ) -> Done {
        self.devices[device].rows("softmax_forward", n, &[logits.address, probabilities.address], &[classes])
    }

    fn gather(&mut self, exchange: &Exchange, n: usize, parts: &[Floats], whole: &mut [Floats]) -> Done {
        exchange::gather(&mut self.devices, exchange, n, parts, whole)
    }

    fn reduce(&mut self, exchange: &Exchange, n: usize, whole: &[Floats], parts: &mut [Floats]) -> Done {
        exchange::reduce(&mut self.devices, exchange, n, whole, parts)
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
        let buffers = [parameters.address, velocity.address, gradient.address];
        self.devices[device].momentum_update(segments, momentum, buffers)
    }
}
