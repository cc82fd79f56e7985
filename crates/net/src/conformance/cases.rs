//! What a case is, and how one is drawn.

use alexnet_rng::{Purpose, Stream};

use crate::exchange::Exchange;
use crate::fused::ResponsePool;
use crate::operation::{
    AveragePool, Convolution, Dense, Dropout, LocalResponse, MaxPool, SoftmaxSlice, WithinMap,
};
use crate::shape::windows;

/// One operation (with its ways back) on a batch of a size.
#[derive(Clone, Debug, PartialEq)]
pub enum Case {
    /// Forward, input gradient, weight gradients replaced and added.
    Convolution(Convolution, usize),
    /// The same.
    Dense(Dense, usize),
    /// Forward and backward.
    LocalResponse(LocalResponse, usize),
    /// Forward and backward.
    WithinMap(WithinMap, usize),
    /// Forward and backward, with ties and NaNs.
    MaxPool(MaxPool, usize),
    /// Forward and backward: normalisation, pooling and rectifiers in one.
    ResponsePool(ResponsePool, usize),
    /// Forward and backward.
    AveragePool(AveragePool, usize),
    /// Mask and product, and the way back.
    Dropout(Dropout, usize),
    /// Softmax, its gradient with and without smoothed labels, and the score, with ties.
    Softmax(SoftmaxSlice, usize),
    /// Rectifier and tanh, both forward and backward, and scaling of so many values.
    Elementwise(usize),
    /// Two segments of so many values, with a gap.
    Update(usize),
    /// Gather and reduce. Run only on backends with several devices, as many as there are parts.
    Exchange(Exchange, usize),
}

/// Whole numbers drawn one after another.
struct Draws {
    stream: Stream,
    next: u64,
}

impl Draws {
    /// `low ..= high`.
    fn within(&mut self, low: usize, high: usize) -> usize {
        self.next += 1;
        low + self.stream.below(self.next, (high - low + 1) as u32) as usize
    }

    fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.within(0, values.len() - 1)]
    }
}

impl Case {
    /// A case drawn from `seed`; exchanges only if there are at least two `devices`.
    pub fn random(seed: u64, devices: usize) -> Case {
        let mut draws = Draws { stream: Stream::new(seed, 0, 0, Purpose::Sample), next: 0 };
        let n = draws.within(1, 5);
        match draws.within(0, if devices > 1 { 11 } else { 10 }) {
            0 => Case::Convolution(convolution(&mut draws), n),
            1 => Case::Dense(dense(&mut draws), n),
            2 => Case::LocalResponse(local_response(&mut draws), n),
            3 => Case::WithinMap(within_map(&mut draws), n),
            4 => Case::MaxPool(max_pool(&mut draws), n),
            5 => Case::Dropout(dropout(&mut draws, seed), n),
            6 => Case::Softmax(softmax(&mut draws), n),
            7 => Case::Elementwise(draws.within(1, 70_000)),
            8 => Case::Update(draws.within(1, 40_000)),
            9 => Case::AveragePool(average_pool(&mut draws), n),
            10 => Case::ResponsePool(response_pool(&mut draws), n),
            _ => {
                let parts = (0..devices).map(|_| draws.within(1, 40)).collect();
                Case::Exchange(Exchange { parts }, n)
            }
        }
    }
}

/// Channels that fill no vector of a wide load, and such as do.
const CHANNELS: [usize; 9] = [1, 2, 3, 5, 7, 8, 13, 16, 24];

fn convolution(draws: &mut Draws) -> Convolution {
    let groups = draws.one_of(&[1, 1, 2, 3]);
    let kernel = draws.one_of(&[1, 2, 3, 5, 11]);
    let stride = draws.within(1, kernel.min(4));
    let padding = draws.within(0, kernel - 1);
    let side = |draws: &mut Draws| draws.within(kernel.max(2), kernel + 14);
    let (height, width) = (side(draws), side(draws));
    let out = |side: usize| windows(side + 2 * padding, kernel, stride).unwrap_or(1);
    Convolution {
        groups,
        inputs: groups * draws.one_of(&CHANNELS),
        outputs: groups * draws.one_of(&CHANNELS),
        height,
        width,
        kernel,
        stride,
        padding,
        out_height: out(height),
        out_width: out(width),
        rectify: draws.within(0, 1) == 1,
    }
}

fn dense(draws: &mut Draws) -> Dense {
    let groups = draws.one_of(&[1, 1, 2, 3]);
    let (inputs, outputs) = (groups * draws.within(1, 600), groups * draws.within(1, 300));
    Dense { groups, inputs, outputs, rectify: draws.within(0, 1) == 1 }
}

fn local_response(draws: &mut Draws) -> LocalResponse {
    let columns = draws.within(1, 3);
    LocalResponse {
        columns,
        channels: columns * draws.one_of(&CHANNELS),
        pixels: draws.within(1, 300),
        size: draws.one_of(&[1, 3, 5, 9]),
        alpha: draws.one_of(&[1e-4, 2e-5, 0.5]),
        k: draws.one_of(&[1.0, 2.0]),
        beta: draws.one_of(&[0.75, 0.75, 0.5]),
    }
}

fn within_map(draws: &mut Draws) -> WithinMap {
    WithinMap {
        channels: draws.one_of(&CHANNELS),
        height: draws.within(1, 20),
        width: draws.within(1, 20),
        size: draws.one_of(&[1, 3, 5, 9]),
        alpha: draws.one_of(&[4e-5, 0.5]),
        k: draws.one_of(&[1.0, 2.0]),
        beta: draws.one_of(&[0.75, 0.75, 0.5]),
    }
}

fn max_pool(draws: &mut Draws) -> MaxPool {
    let size = draws.one_of(&[1, 2, 3, 3, 4]);
    let stride = draws.within(1, size);
    let side = |draws: &mut Draws| draws.within(size, size + 12);
    let (height, width) = (side(draws), side(draws));
    let out = |side| windows(side, size, stride).unwrap_or(1);
    let (out_height, out_width) = (out(height), out(width));
    MaxPool { channels: draws.one_of(&CHANNELS), height, width, size, stride, out_height, out_width }
}

fn response_pool(draws: &mut Draws) -> ResponsePool {
    let (mut response, mut pool) = (local_response(draws), max_pool(draws));
    response.channels = response.columns * draws.one_of(&CHANNELS);
    pool.channels = response.channels;
    response.pixels = pool.height * pool.width;
    // Values keep their order, so that the oracle's winners are a coarser backend's too.
    response.alpha = draws.one_of(&[1e-4, 2e-5]);
    ResponsePool { response, pool, rectify: draws.within(0, 1) == 1, rectified: draws.within(0, 1) == 1 }
}

fn average_pool(draws: &mut Draws) -> AveragePool {
    let MaxPool { channels, height, width, size, stride, out_height, out_width } = max_pool(draws);
    AveragePool { channels, height, width, size, stride, out_height, out_width }
}

fn dropout(draws: &mut Draws, seed: u64) -> Dropout {
    Dropout {
        seed,
        epoch: draws.within(0, 90) as u32,
        first_position: draws.within(0, 1_281_166) as u64,
        purpose: draws.one_of(&[Purpose::DropoutFc6, Purpose::DropoutFc7]),
        first_unit: draws.within(0, 4096) as u64,
        units: draws.within(1, 300),
        threshold: draws.one_of(&[1 << 31, 1 << 30, 1 << 32]),
        scale: draws.one_of(&[1.0, 2.0]),
    }
}

fn softmax(draws: &mut Draws) -> SoftmaxSlice {
    let classes = draws.within(2, 40);
    let first = draws.within(0, classes - 1);
    SoftmaxSlice { classes, first, count: draws.within(1, classes - first) }
}
