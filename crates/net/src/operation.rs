//! The operations' descriptions: plain sizes and constants, as one device sees them.
//!
//! "Here" always means: on the device that runs the operation. Tensors are f32, row-major, samples outermost:
//! `[n, channels here, height, width]`; `n` may be anything from 1 to the largest batch the buffers were made for.

/// A grouped convolution with square kernels. Positions past the right and bottom edge read zeros, so the output
/// size is given, not derived. Weights are `[outputs, inputs / groups, kernel, kernel]`; group `g` of the outputs
/// reads group `g` of the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Convolution {
    /// Groups, each with equal shares of inputs and outputs.
    pub groups: usize,
    /// Input channels here.
    pub inputs: usize,
    /// Output channels here.
    pub outputs: usize,
    /// Input rows.
    pub height: usize,
    /// Input pixels a row.
    pub width: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Distance of neighbouring windows.
    pub stride: usize,
    /// Zeros before the first row and column.
    pub padding: usize,
    /// Output rows.
    pub out_height: usize,
    /// Output pixels a row.
    pub out_width: usize,
    /// Whether the forward pass ends in max(y, 0). The backward passes are given dy behind that, already masked.
    pub rectify: bool,
}

impl Convolution {
    /// Values of one output: `inputs / groups · kernel²`.
    pub fn window(&self) -> usize {
        self.inputs / self.groups * self.kernel * self.kernel
    }

    /// Values of one sample's input.
    pub fn input_len(&self) -> usize {
        self.inputs * self.height * self.width
    }

    /// Values of one sample's output.
    pub fn output_len(&self) -> usize {
        self.outputs * self.out_height * self.out_width
    }

    /// Values of the weights.
    pub fn weight_len(&self) -> usize {
        self.outputs * self.window()
    }

    /// Pixels of an output map.
    pub fn positions(&self) -> usize {
        self.out_height * self.out_width
    }
}

/// A grouped dense layer, y = x·wᵀ + b; weights are `[outputs, inputs / groups]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dense {
    /// Groups, each with equal shares of inputs and outputs.
    pub groups: usize,
    /// Inputs here.
    pub inputs: usize,
    /// Outputs here.
    pub outputs: usize,
    /// Whether the forward pass ends in max(y, 0), as in [`Convolution`].
    pub rectify: bool,
}

impl Dense {
    /// Values of the weights.
    pub fn weight_len(&self) -> usize {
        self.outputs * self.inputs / self.groups
    }
}

/// Normalisation over neighbouring maps: y = x · (k + alpha · Σ x²)^−beta, the sum over `size` maps centred on the
/// output's and clipped at the edges of its column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalResponse {
    /// Columns here, each with an equal share of the channels.
    pub columns: usize,
    /// Channels here.
    pub channels: usize,
    /// Pixels of a map.
    pub pixels: usize,
    /// Width of the window, odd.
    pub size: usize,
    /// Factor of the plain sum.
    pub alpha: f32,
    /// Constant term.
    pub k: f32,
    /// Exponent.
    pub beta: f32,
}

/// Normalisation over a `size`×`size` square of the same map, clipped at its border; the formula is
/// [`LocalResponse`]'s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WithinMap {
    /// Channels here.
    pub channels: usize,
    /// Rows of a map.
    pub height: usize,
    /// Pixels a row.
    pub width: usize,
    /// Side of the window, odd.
    pub size: usize,
    /// Factor of the plain sum.
    pub alpha: f32,
    /// Constant term.
    pub k: f32,
    /// Exponent.
    pub beta: f32,
}

/// Maximum over windows clipped at the right and bottom border. The winner's place, row · size + column in its
/// window, is kept; of equal values the first in that order wins. A NaN in a window wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPool {
    /// Channels here.
    pub channels: usize,
    /// Input rows.
    pub height: usize,
    /// Input pixels a row.
    pub width: usize,
    /// Side of the window, at most 15.
    pub size: usize,
    /// Distance of neighbouring windows.
    pub stride: usize,
    /// Output rows.
    pub out_height: usize,
    /// Output pixels a row.
    pub out_width: usize,
}

impl MaxPool {
    /// Values of one sample's input.
    pub fn input_len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Values of one sample's output.
    pub fn output_len(&self) -> usize {
        self.channels * self.out_height * self.out_width
    }
}

/// Mean over windows clipped at the right and bottom border, divided by the number of values inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AveragePool {
    /// Channels here.
    pub channels: usize,
    /// Input rows.
    pub height: usize,
    /// Input pixels a row.
    pub width: usize,
    /// Side of the window.
    pub size: usize,
    /// Distance of neighbouring windows.
    pub stride: usize,
    /// Output rows.
    pub out_height: usize,
    /// Output pixels a row.
    pub out_width: usize,
}

impl AveragePool {
    /// Values of one sample's input.
    pub fn input_len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Values of one sample's output.
    pub fn output_len(&self) -> usize {
        self.channels * self.out_height * self.out_width
    }

    /// Rows and columns of the map that the window at (`row`, `column`) covers.
    pub fn window(&self, row: usize, column: usize) -> [std::ops::Range<usize>; 2] {
        let (top, left) = (row * self.stride, column * self.stride);
        [top..(top + self.size).min(self.height), left..(left + self.size).min(self.width)]
    }
}

/// Dropout of one batch. Unit `u` of the sample at epoch position `p` is kept iff word `first_unit + u` of
/// `Stream::new(seed, epoch, p, purpose)` is below `threshold`; the mask's value is then `scale`, else 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Seed of the run.
    pub seed: u64,
    /// Epoch.
    pub epoch: u32,
    /// Position in the epoch of the batch's first sample; the others follow.
    pub first_position: u64,
    /// Which stream.
    pub purpose: alexnet_rng::Purpose,
    /// Number, over all columns, of the first unit here.
    pub first_unit: u64,
    /// Units here.
    pub units: usize,
    /// keep · 2³²; compared as integers.
    pub threshold: u64,
    /// Value of a kept unit's mask.
    pub scale: f32,
}

/// The classes whose gradient a device computes from the logits of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoftmaxSlice {
    /// All classes: the width of the logits.
    pub classes: usize,
    /// First class here.
    pub first: usize,
    /// Classes here: the width of the gradient.
    pub count: usize,
}
