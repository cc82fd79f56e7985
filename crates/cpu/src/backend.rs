//! The trait of operations on the CPU: which function does what.

use alexnet_net::{
    AveragePool, Backend, Convolution, Dense, DeviceError, Dropout, Exchange, FusedOf, Gradients,
    LocalResponse, MaxPool, Segment, SoftmaxSlice, Weights, WithinMap,
};

use crate::devices::{CpuBackend, zeros};
use crate::elementwise::Sum;
use crate::{convolution, dense, dropout, elementwise, normalisation, pooling, softmax, within_map};

type Done = Result<(), DeviceError>;
type Floats = Vec<f32>;

/// The two parts of a layer's gradient.
fn split(dw: Gradients<'_, Floats>) -> (Sum<'_>, Sum<'_>) {
    // A bias lies behind its weights.
    let (weights, rest) = dw.buffer.split_at_mut(dw.bias.start);
    let accumulate = dw.accumulate;
    let weights = Sum { values: &mut weights[dw.weight], accumulate };
    (weights, Sum { values: &mut rest[..dw.bias.len()], accumulate })
}

impl Backend for CpuBackend {
    type Buffer = Floats;
    type Places = Vec<u8>;
    type Labels = Vec<u32>;

    fn devices(&self) -> usize {
        self.devices
    }

    fn fused(&mut self) -> Option<FusedOf<'_, Self>> {
        self.fuses.then_some(self as _)
    }

    fn floats(&mut self, device: usize, len: usize) -> Result<Floats, DeviceError> {
        zeros(device, len)
    }

    fn places(&mut self, device: usize, len: usize) -> Result<Vec<u8>, DeviceError> {
        zeros(device, len)
    }

    fn labels(&mut self, device: usize, len: usize) -> Result<Vec<u32>, DeviceError> {
        zeros(device, len)
    }

    fn upload(&mut self, _: usize, from: &[f32], to: &mut Floats, offset: usize) -> Done {
        to[offset..][..from.len()].copy_from_slice(from);
        Ok(())
    }

    fn upload_labels(&mut self, _: usize, from: &[u32], to: &mut Vec<u32>) -> Done {
        to[..from.len()].copy_from_slice(from);
        Ok(())
    }

    fn download(&mut self, _: usize, from: &Floats, offset: usize, to: &mut [f32]) -> Done {
        to.copy_from_slice(&from[offset..][..to.len()]);
        Ok(())
    }

    fn synchronise(&mut self) -> Done {
        Ok(())
    }

    fn reserve_convolution(&mut self, _: usize, op: &Convolution, n: usize) -> Done {
        self.reserve(convolution::scratch_len(op), convolution::shared_len(op, n))
    }

    fn reserve_dense(&mut self, _: usize, op: &Dense, n: usize) -> Done {
        self.reserve(dense::scratch_len(), dense::shared_len(op, n))
    }

    fn convolution_forward(
        &mut self,
        _: usize,
        op: &Convolution,
        n: usize,
        x: &Floats,
        w: Weights<'_, Floats>,
        y: &mut Floats,
    ) -> Done {
        let (weight, bias) = (&w.buffer[w.weight], &w.buffer[w.bias]);
        convolution::forward(&self.workers, op, n, x, (weight, bias), y, &mut self.shared);
        Ok(())
    }

    fn convolution_backward_input(
        &mut self,
        _: usize,
        op: &Convolution,
        n: usize,
        dy: &Floats,
        w: Weights<'_, Floats>,
        dx: &mut Floats,
    ) -> Done {
        let weight = &w.buffer[w.weight];
        convolution::backward_input(&self.workers, op, n, dy, weight, dx, &mut self.shared);
        Ok(())
    }

    fn convolution_backward_weights(
        &mut self,
        _: usize,
        op: &Convolution,
        n: usize,
        x: &Floats,
        dy: &Floats,
        dw: Gradients<'_, Floats>,
    ) -> Done {
        let (dw, db) = split(dw);
        convolution::backward_weights(&self.workers, op, n, x, dy, dw, &mut self.shared);
        convolution::backward_bias(&self.workers, op, n, dy, db);
        Ok(())
    }

    fn dense_forward(
        &mut self,
        _: usize,
        op: &Dense,
        n: usize,
        x: &Floats,
        w: Weights<'_, Floats>,
        y: &mut Floats,
    ) -> Done {
        let (weight, bias) = (&w.buffer[w.weight], &w.buffer[w.bias]);
        dense::forward(&self.workers, op, n, x, (weight, bias), y, &mut self.shared);
        Ok(())
    }

    fn dense_backward_input(
        &mut self,
        _: usize,
        op: &Dense,
        n: usize,
        dy: &Floats,
        w: Weights<'_, Floats>,
        dx: &mut Floats,
    ) -> Done {
        dense::backward_input(&self.workers, op, n, dy, &w.buffer[w.weight], dx, &mut self.shared);
        Ok(())
    }

    fn dense_backward_weights(
        &mut self,
        _: usize,
        op: &Dense,
        n: usize,
        x: &Floats,
        dy: &Floats,
        dw: Gradients<'_, Floats>,
    ) -> Done {
        let (dw, db) = split(dw);
        dense::backward_weights(&self.workers, op, n, x, dy, dw);
        dense::backward_bias(op, n, dy, db);
        Ok(())
    }

    fn rectify_forward(&mut self, _: usize, len: usize, y: &mut Floats) -> Done {
        elementwise::rectify(&self.workers, &mut y[..len]);
        Ok(())
    }

    fn rectify_backward(&mut self, _: usize, len: usize, y: &Floats, dy: &mut Floats) -> Done {
        elementwise::rectify_backward(&self.workers, y, &mut dy[..len]);
        Ok(())
    }

    fn local_response_forward(
        &mut self,
        _: usize,
        op: &LocalResponse,
        n: usize,
        x: &Floats,
        y: &mut Floats,
    ) -> Done {
        self.reserve(normalisation::scratch_len(op), 0)?;
        normalisation::local_response_forward(&self.workers, op, n, x, y);
        Ok(())
    }

    fn local_response_backward(
        &mut self,
        _: usize,
        op: &LocalResponse,
        n: usize,
        x: &Floats,
        dy: &Floats,
        dx: &mut Floats,
    ) -> Done {
        self.reserve(normalisation::scratch_len(op), 0)?;
        normalisation::local_response_backward(&self.workers, op, false, n, (x, dy), dx);
        Ok(())
    }

    fn within_map_forward(&mut self, _: usize, op: &WithinMap, n: usize, x: &Floats, y: &mut Floats) -> Done {
        self.reserve(within_map::scratch_len(op), 0)?;
        within_map::forward(&self.workers, op, n, x, y);
        Ok(())
    }

    fn within_map_backward(
        &mut self,
        _: usize,
        op: &WithinMap,
        n: usize,
        x: &Floats,
        dy: &Floats,
        dx: &mut Floats,
    ) -> Done {
        self.reserve(within_map::scratch_len(op), 0)?;
        within_map::backward(&self.workers, op, n, x, dy, dx);
        Ok(())
    }

    fn max_pool_forward(
        &mut self,
        _: usize,
        op: &MaxPool,
        n: usize,
        x: &Floats,
        y: &mut Floats,
        places: &mut Vec<u8>,
    ) -> Done {
        pooling::forward(&self.workers, op, n, x, y, places);
        Ok(())
    }

    fn max_pool_backward(
        &mut self,
        _: usize,
        op: &MaxPool,
        n: usize,
        places: &Vec<u8>,
        dy: &Floats,
        dx: &mut Floats,
    ) -> Done {
        pooling::backward(&self.workers, op, n, (places, None), dy, dx);
        Ok(())
    }

    fn tanh_forward(&mut self, _: usize, len: usize, x: &Floats, y: &mut Floats) -> Done {
        elementwise::tanh(&self.workers, x, &mut y[..len]);
        Ok(())
    }

    fn tanh_backward(&mut self, _: usize, len: usize, x: &Floats, dy: &mut Floats) -> Done {
        elementwise::tanh_backward(&self.workers, x, &mut dy[..len]);
        Ok(())
    }

    fn average_pool_forward(
        &mut self,
        _: usize,
        op: &AveragePool,
        n: usize,
        x: &Floats,
        y: &mut Floats,
    ) -> Done {
        pooling::average_forward(&self.workers, op, n, x, y);
        Ok(())
    }

    fn average_pool_backward(
        &mut self,
        _: usize,
        op: &AveragePool,
        n: usize,
        dy: &Floats,
        dx: &mut Floats,
    ) -> Done {
        pooling::average_backward(&self.workers, op, n, dy, dx);
        Ok(())
    }

    fn dropout_forward(
        &mut self,
        _: usize,
        op: &Dropout,
        n: usize,
        y: &mut Floats,
        mask: &mut Floats,
    ) -> Done {
        dropout::forward(&self.workers, op, n, y, mask);
        Ok(())
    }

    fn multiply(&mut self, _: usize, len: usize, mask: &Floats, dy: &mut Floats) -> Done {
        elementwise::multiply(&self.workers, mask, &mut dy[..len]);
        Ok(())
    }

    fn scale(&mut self, _: usize, len: usize, factor: f32, y: &mut Floats) -> Done {
        elementwise::scale(&self.workers, factor, &mut y[..len]);
        Ok(())
    }

    fn score(
        &mut self,
        _: usize,
        classes: usize,
        n: usize,
        logits: &Floats,
        labels: &Vec<u32>,
        score: &mut Floats,
    ) -> Done {
        softmax::score(classes, n, logits, labels, score);
        Ok(())
    }

    fn softmax_gradient(
        &mut self,
        _: usize,
        op: &SoftmaxSlice,
        n: usize,
        logits: &Floats,
        labels: &Vec<u32>,
        gradient: &mut Floats,
    ) -> Done {
        softmax::gradient(op, n, logits, labels, gradient);
        Ok(())
    }

    fn softmax(&mut self, _: usize, classes: usize, n: usize, logits: &Floats, p: &mut Floats) -> Done {
        softmax::softmax(classes, n, logits, p);
        Ok(())
    }

    fn gather(&mut self, exchange: &Exchange, n: usize, parts: &[Floats], whole: &mut [Floats]) -> Done {
        elementwise::gather(exchange, n, parts, whole);
        Ok(())
    }

    fn reduce(&mut self, exchange: &Exchange, n: usize, whole: &[Floats], parts: &mut [Floats]) -> Done {
        elementwise::reduce(exchange, n, whole, parts);
        Ok(())
    }

    fn update(
        &mut self,
        _: usize,
        segments: &[Segment],
        momentum: f32,
        parameters: &mut Floats,
        velocity: &mut Floats,
        gradient: &Floats,
    ) -> Done {
        elementwise::update(&self.workers, segments, momentum, parameters, velocity, gradient);
        Ok(())
    }
}
