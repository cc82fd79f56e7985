//! The oracle as a backend: each operation's definition between f32 buffers, on any number of simulated devices.

use alexnet_rng::Stream;

use super::{
    convolution, convolution_input_gradient, convolution_weight_gradient, cross_entropy, dense,
    dense_input_gradient, dense_weight_gradient, local_response, local_response_gradient, max_pool,
    max_pool_gradient, rank, rectifier, rectifier_gradient, softmax, within_map, within_map_gradient,
};
use crate::backend::Backend;
use crate::error::DeviceError;
use crate::exchange::Exchange;
use crate::operation::{Convolution, Dense, Dropout, LocalResponse, MaxPool, SoftmaxSlice, WithinMap};
use crate::update::Segment;
use crate::views::{Gradients, Weights};

/// The slow reference backend. It never fails.
#[derive(Clone, Debug)]
pub struct Oracle {
    devices: usize,
}

impl Oracle {
    /// An oracle of `devices` devices.
    ///
    /// # Panics
    /// If `devices` is 0.
    pub fn new(devices: usize) -> Self {
        assert!(devices > 0, "a backend has at least one device");
        Oracle { devices }
    }
}

type Done = Result<(), DeviceError>;
type Floats = Vec<f32>;

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}

fn store(values: &[f64], to: &mut [f32]) {
    for (to, &value) in to.iter_mut().zip(values) {
        *to = value as f32;
    }
}

fn rectified(y: Vec<f64>, rectify: bool) -> Vec<f64> {
    if rectify { rectifier(&y) } else { y }
}

fn collect(dw: Gradients<'_, Floats>, (weight, bias): (Vec<f64>, Vec<f64>)) {
    for (range, values) in [(dw.weight, weight), (dw.bias, bias)] {
        for (to, value) in dw.buffer[range].iter_mut().zip(values) {
            *to = value as f32 + if dw.accumulate { *to } else { 0.0 };
        }
    }
}

fn parts(w: &Weights<'_, Floats>) -> (Vec<f64>, Vec<f64>) {
    (wide(&w.buffer[w.weight.clone()]), wide(&w.buffer[w.bias.clone()]))
}

impl Backend for Oracle {
    type Buffer = Floats;
    type Places = Vec<u8>;
    type Labels = Vec<u32>;

    fn devices(&self) -> usize {
        self.devices
    }

    fn floats(&mut self, _: usize, len: usize) -> Result<Floats, DeviceError> {
        Ok(vec![0.0; len])
    }

    fn places(&mut self, _: usize, len: usize) -> Result<Vec<u8>, DeviceError> {
        Ok(vec![0; len])
    }

    fn labels(&mut self, _: usize, len: usize) -> Result<Vec<u32>, DeviceError> {
        Ok(vec![0; len])
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

    fn reserve_convolution(&mut self, _: usize, _: &Convolution, _: usize) -> Done {
        Ok(())
    }

    fn reserve_dense(&mut self, _: usize, _: &Dense, _: usize) -> Done {
        Ok(())
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
        let (weight, bias) = parts(&w);
        store(&rectified(convolution(op, n, &wide(x), &weight, &bias), op.rectify), y);
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
        store(&convolution_input_gradient(op, n, &wide(dy), &parts(&w).0), dx);
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
        collect(dw, convolution_weight_gradient(op, n, &wide(x), &wide(dy)));
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
        let (weight, bias) = parts(&w);
        store(&rectified(dense(op, n, &wide(x), &weight, &bias), op.rectify), y);
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
        store(&dense_input_gradient(op, n, &wide(dy), &parts(&w).0), dx);
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
        collect(dw, dense_weight_gradient(op, n, &wide(x), &wide(dy)));
        Ok(())
    }

    fn rectify_forward(&mut self, _: usize, len: usize, y: &mut Floats) -> Done {
        store(&rectifier(&wide(&y[..len])), y);
        Ok(())
    }

    fn rectify_backward(&mut self, _: usize, len: usize, y: &Floats, dy: &mut Floats) -> Done {
        store(&rectifier_gradient(&wide(&y[..len]), &wide(&dy[..len])), dy);
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
        store(&local_response(op, n, &wide(x)), y);
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
        store(&local_response_gradient(op, n, &wide(x), &wide(dy)), dx);
        Ok(())
    }

    fn within_map_forward(&mut self, _: usize, op: &WithinMap, n: usize, x: &Floats, y: &mut Floats) -> Done {
        store(&within_map(op, n, &wide(x)), y);
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
        store(&within_map_gradient(op, n, &wide(x), &wide(dy)), dx);
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
        let (values, winners) = max_pool(op, n, &wide(x));
        store(&values, y);
        places[..winners.len()].copy_from_slice(&winners);
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
        store(&max_pool_gradient(op, n, places, &wide(dy)), dx);
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
        for sample in 0..n {
            let stream = Stream::new(op.seed, op.epoch, op.first_position + sample as u64, op.purpose);
            for unit in 0..op.units {
                let kept = u64::from(stream.word(op.first_unit + unit as u64)) < op.threshold;
                let at = sample * op.units + unit;
                mask[at] = if kept { op.scale } else { 0.0 };
                y[at] *= mask[at];
            }
        }
        Ok(())
    }

    fn multiply(&mut self, _: usize, len: usize, mask: &Floats, dy: &mut Floats) -> Done {
        dy[..len].iter_mut().zip(mask).for_each(|(dy, mask)| *dy *= mask);
        Ok(())
    }

    fn scale(&mut self, _: usize, len: usize, factor: f32, y: &mut Floats) -> Done {
        y[..len].iter_mut().for_each(|y| *y *= factor);
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
        for (sample, logits) in wide(&logits[..n * classes]).chunks(classes).enumerate() {
            let label = labels[sample] as usize;
            let rank = rank(logits, label);
            score[sample] = cross_entropy(logits, label) as f32;
            score[n + sample] = if rank < 1 { 1.0 } else { 0.0 };
            score[2 * n + sample] = if rank < 5 { 1.0 } else { 0.0 };
        }
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
        for (sample, logits) in wide(&logits[..n * op.classes]).chunks(op.classes).enumerate() {
            let mut p = softmax(logits);
            p[labels[sample] as usize] -= 1.0;
            store(&p[op.first..][..op.count], &mut gradient[sample * op.count..][..op.count]);
        }
        Ok(())
    }

    fn softmax(&mut self, _: usize, classes: usize, n: usize, logits: &Floats, p: &mut Floats) -> Done {
        for (sample, logits) in wide(&logits[..n * classes]).chunks(classes).enumerate() {
            store(&softmax(logits), &mut p[sample * classes..]);
        }
        Ok(())
    }

    fn gather(&mut self, exchange: &Exchange, n: usize, parts: &[Floats], whole: &mut [Floats]) -> Done {
        for (device, &len) in exchange.parts.iter().enumerate() {
            for sample in 0..n {
                let at = sample * exchange.whole() + exchange.offset(device);
                for whole in whole.iter_mut() {
                    whole[at..][..len].copy_from_slice(&parts[device][sample * len..][..len]);
                }
            }
        }
        Ok(())
    }

    fn reduce(&mut self, exchange: &Exchange, n: usize, whole: &[Floats], parts: &mut [Floats]) -> Done {
        for (device, &len) in exchange.parts.iter().enumerate() {
            for sample in 0..n {
                for i in 0..len {
                    let at = sample * exchange.whole() + exchange.offset(device) + i;
                    let sum = whole.iter().map(|whole| whole[at]).reduce(|sum, x| sum + x);
                    parts[device][sample * len + i] = sum.unwrap_or(0.0);
                }
            }
        }
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
        for segment in segments {
            for i in segment.range.clone() {
                velocity[i] =
                    momentum * velocity[i] - segment.decay * parameters[i] - segment.rate * gradient[i];
                parameters[i] += velocity[i];
            }
        }
        Ok(())
    }
}
