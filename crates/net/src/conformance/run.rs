//! Runs a case on a backend and brings back every tensor it wrote.

use alexnet_rng::{Purpose, Stream};

use super::{Case, Grain, Output};
use crate::backend::Backend;
use crate::error::DeviceError;
use crate::exchange::Exchange;
use crate::fused;
use crate::operation::{Convolution, Dense, Dropout, SoftmaxSlice};
use crate::update::Segment;
use crate::views::{Gradients, Weights};

type Outputs = Result<Vec<Output>, DeviceError>;

/// A backend and the values it is fed.
struct Runner<'a, B: Backend> {
    backend: &'a mut B,
    seed: u64,
    tensors: u64,
    grain: Grain,
}

pub(super) fn run<B: Backend>(backend: &mut B, case: &Case, seed: u64, grain: Grain) -> Outputs {
    let mut runner = Runner { backend, seed, tensors: 0, grain };
    match case {
        Case::Convolution(op, n) => runner.convolution(op, *n),
        Case::Dense(op, n) => runner.dense(op, *n),
        Case::LocalResponse(op, n) => {
            let len = n * op.channels * op.pixels;
            let (x, dy) = (runner.draw(0, len, 2.0)?, runner.draw(0, len, 1.0)?);
            let (mut y, mut dx) = (runner.dirty(0, len)?, runner.dirty(0, len)?);
            runner.backend.local_response_forward(0, op, *n, &x, &mut y)?;
            runner.backend.local_response_backward(0, op, *n, &x, &dy, &mut dx)?;
            let mut outputs = vec![runner.near("y", &y, len)?, runner.near("dx", &dx, len)?];
            fused::local_response_backward_rectified(runner.backend, 0, op, *n, &x, &dy, &mut dx)?;
            outputs.push(runner.near("dx, rectified", &dx, len)?);
            Ok(outputs)
        }
        Case::WithinMap(op, n) => {
            let len = n * op.channels * op.height * op.width;
            let (x, dy) = (runner.draw(0, len, 2.0)?, runner.draw(0, len, 1.0)?);
            let (mut y, mut dx) = (runner.dirty(0, len)?, runner.dirty(0, len)?);
            runner.backend.within_map_forward(0, op, *n, &x, &mut y)?;
            runner.backend.within_map_backward(0, op, *n, &x, &dy, &mut dx)?;
            Ok(vec![runner.near("y", &y, len)?, runner.near("dx", &dx, len)?])
        }
        Case::MaxPool(op, n) => {
            let (input, output) = (n * op.input_len(), n * op.output_len());
            // Few different values, so that windows have ties; one NaN.
            let mut x: Vec<f32> = runner.values(input, 2.0).iter().map(|x| x.round()).collect();
            x[input / 2] = f32::NAN;
            let (x, dy) = (runner.put(0, &x)?, runner.draw(0, output, 1.0)?);
            let (mut y, mut dx) = (runner.dirty(0, output)?, runner.dirty(0, input)?);
            let mut places = runner.backend.places(0, output)?;
            runner.backend.max_pool_forward(0, op, *n, &x, &mut y, &mut places)?;
            runner.backend.max_pool_backward(0, op, *n, &places, &dy, &mut dx)?;
            let mut outputs = vec![runner.exact("y", &y, output)?, runner.near("dx", &dx, input)?];
            let from = (&x, &places, &y);
            fused::max_pool_backward_rectified(runner.backend, 0, op, *n, from, &dy, &mut dx)?;
            outputs.push(runner.near("dx, rectified", &dx, input)?);
            Ok(outputs)
        }
        Case::ResponsePool(op, n) => {
            let (input, output) = (n * op.pool.input_len(), n * op.pool.output_len());
            let (x, dy) = (runner.apart(op.pool.width, op.pool.height, input)?, runner.draw(0, output, 1.0)?);
            let (mut y, mut dx) = (runner.dirty(0, output)?, runner.dirty(0, input)?);
            let mut places = runner.backend.places(0, output)?;
            fused::response_pool_forward(runner.backend, 0, op, *n, &x, &mut y, &mut places)?;
            fused::response_pool_backward(runner.backend, 0, op, *n, &x, (&places, &dy), &mut dx)?;
            Ok(vec![runner.near("y", &y, output)?, runner.near("dx", &dx, input)?])
        }
        Case::AveragePool(op, n) => {
            let (input, output) = (n * op.input_len(), n * op.output_len());
            let (x, dy) = (runner.draw(0, input, 2.0)?, runner.draw(0, output, 1.0)?);
            let (mut y, mut dx) = (runner.dirty(0, output)?, runner.dirty(0, input)?);
            runner.backend.average_pool_forward(0, op, *n, &x, &mut y)?;
            runner.backend.average_pool_backward(0, op, *n, &dy, &mut dx)?;
            Ok(vec![runner.near("y", &y, output)?, runner.near("dx", &dx, input)?])
        }
        Case::Dropout(op, n) => runner.dropout(op, *n),
        Case::Softmax(op, n) => runner.softmax(op, *n),
        Case::Elementwise(len) => runner.elementwise(*len),
        Case::Update(len) => runner.update(*len),
        Case::Exchange(exchange, n) => runner.exchange(exchange, *n),
    }
}

impl<B: Backend> Runner<'_, B> {
    /// `len` values, normal around 0; the next call gives others.
    fn values(&mut self, len: usize, sigma: f64) -> Vec<f32> {
        let mut values = vec![0.0; len];
        Stream::new(self.seed, 1, self.tensors, Purpose::Sample).fill_normal(sigma, &mut values);
        self.tensors += 1;
        if self.grain == Grain::Bfloat16 {
            // Cut, not rounded: any values of that grain will do.
            values.iter_mut().for_each(|x| *x = f32::from_bits(x.to_bits() & 0xffff_0000));
        }
        values
    }

    /// An activation or its gradient.
    fn put(&mut self, device: usize, values: &[f32]) -> Result<B::Buffer, DeviceError> {
        let mut buffer = self.backend.activations(device, values.len())?;
        self.backend.upload(device, values, &mut buffer, 0)?;
        Ok(buffer)
    }

    /// Logits, parameters and all else that is f32 everywhere.
    fn put_floats(&mut self, values: &[f32]) -> Result<B::Buffer, DeviceError> {
        let mut buffer = self.backend.floats(0, values.len())?;
        self.backend.upload(0, values, &mut buffer, 0)?;
        Ok(buffer)
    }

    fn draw_floats(&mut self, len: usize, sigma: f64) -> Result<B::Buffer, DeviceError> {
        let values = self.values(len, sigma);
        self.put_floats(&values)
    }

    fn dirty_floats(&mut self, len: usize) -> Result<B::Buffer, DeviceError> {
        self.put_floats(&vec![7.0; len + 3])
    }

    fn draw(&mut self, device: usize, len: usize, sigma: f64) -> Result<B::Buffer, DeviceError> {
        let values = self.values(len, sigma);
        self.put(device, &values)
    }

    /// Room for a result, longer than needed and full of what must not remain or be touched.
    fn dirty(&mut self, device: usize, len: usize) -> Result<B::Buffer, DeviceError> {
        self.put(device, &vec![7.0; len + 3])
    }

    /// Maps whose squares of 4×4 hold no value twice nor two that are near each other; negative ones too.
    fn apart(&mut self, width: usize, height: usize, len: usize) -> Result<B::Buffer, DeviceError> {
        let mixed = Stream::new(self.seed, 2, self.tensors, Purpose::Sample);
        let value = |i: usize| {
            let (column, row, map) = (i % width, i / width % height, i / width / height);
            let level = (row % 4 * 4 + column % 4) as u32 ^ (mixed.word(map as u64) % 16);
            let sign = if mixed.word(1 << 32 | u64::from(level)).is_multiple_of(3) { -1.0 } else { 1.0 };
            sign * (1.0 + level as f32 / 16.0)
        };
        let values: Vec<f32> = (0..len).map(value).collect();
        self.put(0, &values)
    }

    fn read(
        &mut self,
        name: &'static str,
        buffer: &B::Buffer,
        len: usize,
        exact: bool,
    ) -> Result<Output, DeviceError> {
        let mut values = vec![0.0; len];
        self.backend.download(0, buffer, 0, &mut values)?;
        Ok(Output { name, values, exact })
    }

    fn near(&mut self, name: &'static str, buffer: &B::Buffer, len: usize) -> Result<Output, DeviceError> {
        self.read(name, buffer, len, false)
    }

    fn exact(&mut self, name: &'static str, buffer: &B::Buffer, len: usize) -> Result<Output, DeviceError> {
        self.read(name, buffer, len, true)
    }

    fn convolution(&mut self, op: &Convolution, n: usize) -> Outputs {
        self.backend.reserve_convolution(0, op, n)?;
        let (x, dy) = (self.draw(0, n * op.input_len(), 1.0)?, self.draw(0, n * op.output_len(), 1.0)?);
        let (split, end) = (op.weight_len(), op.weight_len() + op.outputs);
        let parameters = self.draw_floats(end, 0.5)?;
        let weights = || Weights { buffer: &parameters, weight: 0..split, bias: split..end };
        let (mut y, mut dx) = (self.dirty(0, n * op.output_len())?, self.dirty(0, n * op.input_len())?);
        self.backend.convolution_forward(0, op, n, &x, weights(), &mut y)?;
        self.backend.convolution_backward_input(0, op, n, &dy, weights(), &mut dx)?;
        let mut outputs =
            vec![self.near("y", &y, n * op.output_len())?, self.near("dx", &dx, n * op.input_len())?];
        fused::convolution_backward_rectified(self.backend, 0, op, n, (&x, &dy), weights(), &mut dx)?;
        outputs.push(self.near("dx, rectified", &dx, n * op.input_len())?);
        let mut gradient = self.dirty_floats(end)?;
        for (accumulate, name) in [(false, "dw"), (true, "dw twice")] {
            let dw = Gradients { buffer: &mut gradient, weight: 0..split, bias: split..end, accumulate };
            self.backend.convolution_backward_weights(0, op, n, &x, &dy, dw)?;
            outputs.push(self.near(name, &gradient, end + 3)?);
        }
        Ok(outputs)
    }

    fn dense(&mut self, op: &Dense, n: usize) -> Outputs {
        self.backend.reserve_dense(0, op, n)?;
        let (x, dy) = (self.draw(0, n * op.inputs, 1.0)?, self.draw(0, n * op.outputs, 1.0)?);
        let (split, end) = (op.weight_len(), op.weight_len() + op.outputs);
        let parameters = self.draw_floats(end, 0.5)?;
        let weights = || Weights { buffer: &parameters, weight: 0..split, bias: split..end };
        let (mut y, mut dx) = (self.dirty(0, n * op.outputs)?, self.dirty(0, n * op.inputs)?);
        self.backend.dense_forward(0, op, n, &x, weights(), &mut y)?;
        self.backend.dense_backward_input(0, op, n, &dy, weights(), &mut dx)?;
        let mut outputs = vec![self.near("y", &y, n * op.outputs)?, self.near("dx", &dx, n * op.inputs)?];
        let mut gradient = self.dirty_floats(end)?;
        for (accumulate, name) in [(false, "dw"), (true, "dw twice")] {
            let dw = Gradients { buffer: &mut gradient, weight: 0..split, bias: split..end, accumulate };
            self.backend.dense_backward_weights(0, op, n, &x, &dy, dw)?;
            outputs.push(self.near(name, &gradient, end + 3)?);
        }
        Ok(outputs)
    }

    fn dropout(&mut self, op: &Dropout, n: usize) -> Outputs {
        let len = n * op.units;
        let (mut y, mut mask, mut dy) =
            (self.draw(0, len, 1.0)?, self.dirty_floats(len)?, self.draw(0, len, 1.0)?);
        self.backend.dropout_forward(0, op, n, &mut y, &mut mask)?;
        self.backend.multiply(0, len, &mask, &mut dy)?;
        Ok(vec![self.exact("mask", &mask, len + 3)?, self.exact("y", &y, len)?, self.exact("dy", &dy, len)?])
    }

    fn softmax(&mut self, op: &SoftmaxSlice, n: usize) -> Outputs {
        let len = n * op.classes;
        // Rounded, so that logits tie.
        let logits: Vec<f32> = self.values(len, 2.0).iter().map(|x| x.round()).collect();
        let logits = self.put_floats(&logits)?;
        let labels: Vec<u32> = (0..n).map(|i| ((self.seed as usize + 7 * i) % op.classes) as u32).collect();
        let mut on_device = self.backend.labels(0, n)?;
        self.backend.upload_labels(0, &labels, &mut on_device)?;
        let (mut p, mut gradient, mut score) =
            (self.dirty_floats(len)?, self.dirty(0, n * op.count)?, self.dirty_floats(3 * n)?);
        self.backend.softmax(0, op.classes, n, &logits, &mut p)?;
        self.backend.softmax_gradient(0, op, n, &logits, &on_device, &mut gradient)?;
        let plain = self.near("gradient", &gradient, n * op.count)?;
        self.backend.smooth_labels(0, op, n, 0.1, &logits, &mut gradient)?;
        self.backend.score(0, op.classes, n, &logits, &on_device, &mut score)?;
        let (mut again, mut both) = (self.dirty_floats(3 * n)?, self.dirty(0, n * op.count)?);
        let (from, to) = ((&logits, &on_device), (&mut again, &mut both));
        fused::score_and_gradient(self.backend, 0, op, n, 0.1, from, to)?;
        let together = [self.near("score", &again, 3 * n)?, self.near("its gradient", &both, n * op.count)?];
        let (p, smooth) = (self.near("p", &p, len)?, self.near("smooth gradient", &gradient, n * op.count)?);
        let mut hits = self.exact("hits", &score, 3 * n)?;
        let loss = Output { name: "loss", values: hits.values.drain(..n).collect(), exact: false };
        Ok([p, plain, smooth, loss, hits].into_iter().chain(together).collect())
    }

    fn elementwise(&mut self, len: usize) -> Outputs {
        let (mut y, mut dy) = (self.draw(0, len + 3, 1.0)?, self.draw(0, len + 3, 1.0)?);
        self.backend.rectify_forward(0, len, &mut y)?;
        self.backend.rectify_backward(0, len, &y, &mut dy)?;
        self.backend.scale(0, len, 0.5, &mut y)?;
        let mut t = self.dirty(0, len)?;
        self.backend.tanh_forward(0, len, &y, &mut t)?;
        let outputs = vec![self.exact("y", &y, len + 3)?, self.exact("dy", &dy, len + 3)?];
        self.backend.tanh_backward(0, len, &y, &mut dy)?;
        let tanh = [self.near("tanh", &t, len + 3)?, self.near("tanh dy", &dy, len + 3)?];
        Ok(outputs.into_iter().chain(tanh).collect())
    }

    fn update(&mut self, len: usize) -> Outputs {
        let (mut w, mut v, g) =
            (self.draw_floats(len, 1.0)?, self.draw_floats(len, 1.0)?, self.draw_floats(len, 9.0)?);
        let segments = [
            Segment { range: 0..len / 3, rate: 0.01 / 32.0, decay: 5e-6 },
            Segment { range: len / 2..len, rate: 0.02 / 32.0, decay: 0.0 },
        ];
        for _ in 0..2 {
            self.backend.update(0, &segments, 0.9, &mut w, &mut v, &g)?;
        }
        Ok(vec![self.exact("w", &w, len)?, self.exact("v", &v, len)?])
    }

    fn exchange(&mut self, exchange: &Exchange, n: usize) -> Outputs {
        let devices = exchange.parts.len();
        let (mut parts, mut whole, mut gradients) = (Vec::new(), Vec::new(), Vec::new());
        for device in 0..devices {
            parts.push(self.draw(device, n * exchange.parts[device] + 3, 1.0)?);
            whole.push(self.dirty(device, n * exchange.whole())?);
            gradients.push(self.draw(device, n * exchange.whole() + 3, 1.0)?);
        }
        self.backend.gather(exchange, n, &parts, &mut whole)?;
        self.backend.reduce(exchange, n, &gradients, &mut parts)?;
        let mut outputs = Vec::new();
        for device in 0..devices {
            for (name, buffer, len) in [
                ("whole", &whole[device], n * exchange.whole()),
                ("part", &parts[device], n * exchange.parts[device]),
            ] {
                let mut values = vec![0.0; len + 3];
                self.backend.download(device, buffer, 0, &mut values)?;
                outputs.push(Output { name, values, exact: true });
            }
        }
        Ok(outputs)
    }
}
