//! Times of the fused operations, as [`crate::timed`] takes those of the others.

use alexnet_cuda::Floats;
use alexnet_net::{
    Backend, Convolution, DeviceError, Fused, LocalResponse, MaxPool, ResponsePool, SoftmaxSlice, Weights,
};

use crate::cost::{convolution, convolution_cost, weights};
use crate::timed::Timed;

type Done = Result<(), DeviceError>;

impl Fused for Timed {
    type Buffer = Floats;
    type Places = Floats<u8>;
    type Labels = Floats<u32>;

    fn response_pool_forward(
        &mut self,
        device: usize,
        op: &ResponsePool,
        n: usize,
        x: &Floats,
        y: &mut Floats,
        places: &mut Floats<u8>,
    ) -> Done {
        let (input, output) = (n * op.pool.input_len(), n * op.pool.output_len());
        let (bytes, flops) = (self.width() * input + (self.width() + 1) * output, 35 * input);
        self.time("local response + max pool forward".into(), bytes, flops, |b| {
            b.response_pool_forward(device, op, n, x, y, places)
        })
    }
    fn response_pool_backward(
        &mut self,
        device: usize,
        op: &ResponsePool,
        n: usize,
        x: &Floats,
        (places, dy): (&Floats<u8>, &Floats),
        dx: &mut Floats,
    ) -> Done {
        let (input, output) = (n * op.pool.input_len(), n * op.pool.output_len());
        let (bytes, flops) = (2 * self.width() * input + (self.width() + 1) * output, 50 * input);
        self.time("local response + max pool backward".into(), bytes, flops, |b| {
            b.response_pool_backward(device, op, n, x, (places, dy), dx)
        })
    }
    fn local_response_backward_rectified(
        &mut self,
        device: usize,
        op: &LocalResponse,
        n: usize,
        x: &Floats,
        dy: &Floats,
        dx: &mut Floats,
    ) -> Done {
        let len = n * op.channels * op.pixels;
        self.time("local response backward, rectified".into(), 3 * self.width() * len, 28 * len, |b| {
            b.local_response_backward_rectified(device, op, n, x, dy, dx)
        })
    }
    fn max_pool_backward_rectified(
        &mut self,
        device: usize,
        op: &MaxPool,
        n: usize,
        (places, y): (&Floats<u8>, &Floats),
        dy: &Floats,
        dx: &mut Floats,
    ) -> Done {
        let (input, output) = (n * op.input_len(), n * op.output_len());
        let bytes = self.width() * input + (2 * self.width() + 1) * output;
        self.time("max pool backward, rectified".into(), bytes, 9 * output, |b| {
            b.max_pool_backward_rectified(device, op, n, (places, y), dy, dx)
        })
    }
    fn convolution_backward_rectified(
        &mut self,
        device: usize,
        op: &Convolution,
        n: usize,
        (x, dy): (&Floats, &Floats),
        w: Weights<'_, Floats>,
        dx: &mut Floats,
    ) -> Done {
        let (bytes, flops) = convolution_cost(op, n, self.width());
        let bytes = bytes + self.width() * n * op.input_len();
        self.time(convolution(op, "input gradient, rectified"), bytes, flops, |b| {
            b.convolution_backward_rectified(device, op, n, (x, dy), weights(&w), dx)
        })
    }
    fn score_and_gradient(
        &mut self,
        device: usize,
        op: &SoftmaxSlice,
        n: usize,
        smoothing: f32,
        (logits, labels): (&Floats, &Floats<u32>),
        (score, gradient): (&mut Floats, &mut Floats),
    ) -> Done {
        let (bytes, flops) = (n * (4 * op.classes + self.width() * op.count), 10 * n * op.classes);
        self.time("score and gradient".into(), bytes, flops, |b| {
            b.score_and_gradient(device, op, n, smoothing, (logits, labels), (score, gradient))
        })
    }
}

impl Timed {
    fn width(&self) -> usize {
        self.activation_bytes() as usize
    }
}
