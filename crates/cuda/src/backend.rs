//! The trait of operations on CUDA devices: which kernel or product does what.

use std::time::Duration;

use alexnet_net::{
    Augmentation, AveragePool, Backend, Convolution, Dense, DeviceError, Dropout, Exchange, FusedOf,
    Gradients, HostMemory, LocalResponse, MaxPool, RawBatch, Replays, Replicas, Segment, SoftmaxSlice,
    Weights, WithinMap,
};

use crate::CudaBackend;
use crate::device::{Device, failed};
use crate::pinned::Pinned;
use crate::staging::Staging;
use crate::tensor::Floats;
use crate::{convolution, dense, exchange, graph, pause};

type Done = Result<(), DeviceError>;

impl Backend for CudaBackend {
    type Buffer = Floats;
    type Places = Floats<u8>;
    type Labels = Floats<u32>;

    fn devices(&self) -> usize {
        self.devices.len()
    }

    fn fused(&mut self) -> Option<FusedOf<'_, Self>> {
        self.one_go()
    }

    fn queues(&self) -> bool {
        true
    }

    fn paused(&mut self) -> Result<Option<[Duration; 2]>, DeviceError> {
        pause::longest(&mut self.devices)
    }

    fn activation_bytes(&self) -> u64 {
        self.devices.first().map_or(4, |device| device.activation().width() as u64)
    }

    fn begin_step(&mut self) -> Done {
        self.devices.iter().try_for_each(Device::hold)
    }

    fn replays(&self) -> Option<Replays> {
        graph::told(&self.devices)
    }

    fn exchanged_bytes(&self) -> Option<u64> {
        Some(self.devices.iter().map(|device| device.received.get()).sum())
    }

    fn replicas(&mut self) -> Option<&mut dyn Replicas<Floats>> {
        self.among.is_some().then_some(self)
    }

    fn floats(&mut self, device: usize, len: usize) -> Result<Floats, DeviceError> {
        self.devices[device].parameters(len)
    }

    fn activations(&mut self, device: usize, len: usize) -> Result<Floats, DeviceError> {
        let device = &mut self.devices[device];
        device.kept_fold = None; // the memory may have been another's
        device.floats(len, device.activation())
    }

    fn places(&mut self, device: usize, len: usize) -> Result<Floats<u8>, DeviceError> {
        self.devices[device].zeros(len)
    }

    fn labels(&mut self, device: usize, len: usize) -> Result<Floats<u32>, DeviceError> {
        self.devices[device].zeros(len)
    }

    fn upload(&mut self, device: usize, from: &[f32], to: &mut Floats, offset: usize) -> Done {
        self.devices[device].stale(to.address);
        self.devices[device].upload(from, to, offset)
    }

    fn upload_labels(&mut self, device: usize, from: &[u32], to: &mut Floats<u32>) -> Done {
        self.devices[device].send(from, to.address)
    }

    fn download(&mut self, device: usize, from: &Floats, offset: usize, to: &mut [f32]) -> Done {
        self.devices[device].download(from, offset, to)
    }

    fn synchronise(&mut self) -> Done {
        self.devices.iter().try_for_each(Device::wait)
    }

    fn augments(&self) -> bool {
        true
    }

    fn host_memory(&mut self, bytes: usize) -> Result<Box<dyn HostMemory>, DeviceError> {
        let pinned = Pinned::new(&self.devices[0].context, bytes);
        Ok(Box::new(pinned.map_err(failed(0, "allocate page-locked memory"))?))
    }

    fn prepare_records(&mut self, op: &Augmentation, n: usize) -> Done {
        Staging::prepare(&mut self.staging, &self.devices, op, n)
    }

    fn stage(&mut self, batch: Box<dyn RawBatch>) -> Done {
        let Some(staging) = &mut self.staging else { return Err(failed(0, "stage records")("not prepared")) };
        staging.stage(&self.devices, batch)
    }

    fn augment(&mut self, n: usize, x: &mut [Floats]) -> Done {
        let Some(staging) = &mut self.staging else { return Err(failed(0, "augment")("nothing is staged")) };
        staging.augment(&mut self.devices, n, x)
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
        let weights = (w.buffer, w.weight.start, w.bias.start);
        convolution::forward(&mut self.devices[device], op, n, x, weights, y)
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
        convolution::backward_input(&mut self.devices[device], op, n, (dy, None), weight, dx)
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
        let to = (dw.buffer.at(dw.weight.start), dw.buffer.at(dw.bias.start));
        convolution::backward_weights(&mut self.devices[device], op, n, (x, dy), to, dw.accumulate)
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
        let weights = (w.buffer, w.weight.start, w.bias.start);
        dense::forward(&mut self.devices[device], op, n, x, weights, y)
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
        dense::backward_input(&mut self.devices[device], op, n, dy, weight, dx)
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
        let to = (dw.buffer.at(dw.weight.start), dw.buffer.at(dw.bias.start));
        dense::backward_weights(&mut self.devices[device], op, n, (x, dy), to, dw.accumulate)
    }

    fn rectify_forward(&mut self, device: usize, len: usize, y: &mut Floats) -> Done {
        self.devices[device].rectify(len, y)
    }

    fn rectify_backward(&mut self, device: usize, len: usize, y: &Floats, dy: &mut Floats) -> Done {
        self.devices[device].rectify_back(len, y, dy)
    }

    fn local_response_forward(
        &mut self,
        device: usize,
        op: &LocalResponse,
        n: usize,
        x: &Floats,
        y: &mut Floats,
    ) -> Done {
        self.devices[device].across_maps(op, n, x, y)
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
        self.devices[device].across_maps_back(op, n, x, dy, dx, false)
    }

    fn within_map_forward(
        &mut self,
        device: usize,
        op: &WithinMap,
        n: usize,
        x: &Floats,
        y: &mut Floats,
    ) -> Done {
        self.devices[device].within_maps(op, n, x, y)
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
        self.devices[device].within_maps_back(op, n, x, dy, dx)
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
        self.devices[device].maxima(op, n, x, y, places)
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
        self.devices[device].maxima_back(op, n, (places, None), dy, dx)
    }

    fn average_pool_forward(
        &mut self,
        device: usize,
        op: &AveragePool,
        n: usize,
        x: &Floats,
        y: &mut Floats,
    ) -> Done {
        self.devices[device].means(op, n, x, y)
    }

    fn average_pool_backward(
        &mut self,
        device: usize,
        op: &AveragePool,
        n: usize,
        dy: &Floats,
        dx: &mut Floats,
    ) -> Done {
        self.devices[device].means_back(op, n, dy, dx)
    }

    fn tanh_forward(&mut self, device: usize, len: usize, x: &Floats, y: &mut Floats) -> Done {
        self.devices[device].tanh(len, x, y)
    }

    fn tanh_backward(&mut self, device: usize, len: usize, x: &Floats, dy: &mut Floats) -> Done {
        self.devices[device].tanh_back(len, x, dy)
    }

    fn dropout_forward(
        &mut self,
        device: usize,
        op: &Dropout,
        n: usize,
        y: &mut Floats,
        mask: &mut Floats,
    ) -> Done {
        self.devices[device].dropout(op, n, y, mask.address)
    }

    fn multiply(&mut self, device: usize, len: usize, mask: &Floats, dy: &mut Floats) -> Done {
        self.devices[device].mask(len, mask, dy)
    }

    fn scale(&mut self, device: usize, len: usize, factor: f32, y: &mut Floats) -> Done {
        self.devices[device].scale(len, factor, y)
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
        self.devices[device].score(n, classes, [logits.address, labels.address, score.address])
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
        self.devices[device].softmax_gradient(op, n, [logits.address, labels.address], gradient)
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
        self.devices[device].smooth(op, n, smoothing, logits.address, gradient)
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
        self.devices[device].momentum_update(segments, momentum, buffers)?;
        self.end_step(device)
    }
}
