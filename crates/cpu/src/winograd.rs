//! Convolution by minimal filtering: F(4×4, 3×3) for kernels of 3, F(2×2, 5×5) for kernels of 5.
//!
//! A stride s is folded away first: s×s pixels become one pixel of s² times the channels, and a kernel of 11 at stride 4
//! one of 3 at stride 1.
//! Both cut the output into tiles that read squares of 6×6 inputs and do with 36 products a channel what direct
//! convolution does with 144 and 100. A transform of inputs and kernels, 36 matrix products, a transform back; the
//! gradients are the transposes of the same steps. Tiles are taken in blocks that fit the second cache; the weight
//! gradient is cut by samples where its sums are small, by outputs where they are large. Rounding
//! is 5e-7 to 1.1e-6 of the values' root mean square, about twice that of sums of products one after the other
//! (`tests.rs` holds each pass to a bar; transforming kernels in float64 would gain 3 %); the same bytes come out for any
//! number of threads, since tiles are independent and the sum over the batch is cut into a fixed number of shares.

mod backward;
mod forward;
mod panels;
mod product;
#[cfg(test)]
mod tests;
mod transform;

use alexnet_net::Convolution;

use crate::elementwise::Sum;
use crate::workers::Workers;
use forward::Kernels;
use panels::{Frame, PANEL};
use product::{ROWS, Sizes};
use transform::POINTS;

/// Points of a tile.
const SQUARE: usize = POINTS * POINTS;

/// Kernels above this size (256 Ki values, 1 MiB) do not stay in the second cache beside the tiles.
const NEAR: usize = 1 << 18;

/// Values of the tiles taken at a time if the kernels stay in the cache: 1.5 MiB.
const TILES: usize = 3 << 17;

/// Tiles taken at a time if they do not: enough products for each kernel value that is read from afar.
const FAR_TILES: usize = 128;

/// Samples of a task at most.
const SAMPLES: usize = 8;

/// Shares of the batch in the weight gradient's sum, each with sums of its own, if those are small.
const SHARES: usize = 4;

/// Whether this convolution is taken this way: the kernel fits the transforms, and there are channels enough to fill
/// a good part of a panel.
pub fn takes(op: &Convolution) -> bool {
    let channels = (op.inputs / op.groups * op.stride * op.stride).min(op.outputs / op.groups);
    matches!(side(op), 3 | 5) && op.padding < op.kernel && channels >= 6
}

/// Whether the input gradient is taken this way too: only without folding.
pub fn takes_back(op: &Convolution) -> bool {
    takes(op) && op.stride == 1
}

/// Side of the folded kernel.
fn side(op: &Convolution) -> usize {
    op.kernel.div_ceil(op.stride)
}

/// How one group of a convolution is cut.
#[derive(Clone, Copy, Debug)]
struct Tiling {
    /// Outputs along a tile's side.
    side: usize,
    /// Rows of tiles of a sample, and tiles in each.
    rows: usize,
    columns: usize,
    /// Panels of the channels read and written.
    inputs: usize,
    outputs: usize,
    /// Rows of tiles in a block, over all samples of a task.
    block: usize,
    /// Whether transformed kernels stay in the second cache beside the tiles.
    near: bool,
}

impl Tiling {
    fn new(op: &Convolution) -> Self {
        let side = POINTS + 1 - side(op);
        let panels = |channels: usize| (channels / op.groups).div_ceil(PANEL);
        let (inputs, outputs) = (panels(op.inputs * op.stride * op.stride), panels(op.outputs));
        let columns = op.out_width.div_ceil(side);
        let near = SQUARE * inputs * outputs * PANEL * PANEL <= NEAR;
        let tiles = if near { TILES / (SQUARE * (inputs + outputs) * PANEL) } else { FAR_TILES };
        let rows = op.out_height.div_ceil(side);
        let block = (tiles / columns).clamp(1, if near { rows } else { SAMPLES * rows });
        Tiling { side, rows, columns, inputs, outputs, block, near }
    }

    /// Transformed kernels of a group: `[outputs, 36, 16 · inputs, 16]`.
    fn kernels(&self) -> usize {
        self.outputs * self.panel_of_kernels()
    }

    /// Shares of the batch in the weight gradient.
    fn shares(&self, n: usize) -> usize {
        if self.near { SHARES.min(n) } else { 1 }
    }

    /// Panels of outputs of a task of the weight gradient. Each task transforms all inputs for itself, so there are
    /// only as many as it takes to give every thread one; sums do not know which task they are in.
    fn cut_panels(&self, tasks: usize, threads: usize) -> usize {
        self.outputs.div_ceil(threads.div_ceil(tasks))
    }

    fn panel_of_kernels(&self) -> usize {
        SQUARE * self.inputs * PANEL * PANEL
    }

    /// Tiles that a block's buffers have room for.
    fn tiles(&self) -> usize {
        (self.block * self.columns).next_multiple_of(ROWS)
    }

    fn sizes(&self, used: usize) -> Sizes {
        Sizes { tiles: self.tiles(), used, inputs: self.inputs, outputs: self.outputs }
    }

    /// What the tiles of a sample read.
    fn input_frame(&self) -> Frame {
        let edge = POINTS - self.side;
        Frame { rows: self.side * self.rows + edge, columns: self.side * self.columns + edge }
    }

    /// What the tiles of a sample write.
    fn output_frame(&self) -> Frame {
        Frame { rows: self.side * self.rows, columns: self.side * self.columns }
    }

    /// Lengths of a thread's buffers: input frame, output frame (one row of tiles and one panel of it in the forward
    /// pass), transformed inputs, transformed outputs.
    fn buffers(&self) -> [usize; 4] {
        let block = |panels| SQUARE * self.sizes(0).apart(panels);
        [
            self.inputs * self.input_frame().pixels() * PANEL,
            self.outputs * self.output_frame().pixels() * PANEL,
            block(self.inputs),
            block(self.outputs),
        ]
    }

    /// Cuts a thread's workspace, from the first whole cache line on.
    fn cut<'a>(&self, scratch: &'a mut [f32]) -> [&'a mut [f32]; 4] {
        let mut rest = aligned(scratch);
        self.buffers().map(|len| {
            let (buffer, after) = std::mem::take(&mut rest).split_at_mut(len);
            rest = after;
            buffer
        })
    }
}

/// What is left from the first value that begins a cache line.
fn aligned(values: &mut [f32]) -> &mut [f32] {
    let past = values.as_ptr().addr() % 64 / 4;
    &mut values[(16 - past) % 16..]
}

/// Values a thread's workspace must hold.
pub fn scratch_len(op: &Convolution) -> usize {
    let tiling = Tiling::new(op);
    16 + tiling.buffers().iter().sum::<usize>().max(tiling.panel_of_kernels())
}

/// Values the shared workspace must hold for batches of `n`.
pub fn shared_len(op: &Convolution, n: usize) -> usize {
    let tiling = Tiling::new(op);
    16 + tiling.shares(n) * op.groups * tiling.kernels()
}

/// y = w ∗ x + b, rectified if asked; without `bias`, y = w ∗ x. With `turned`, `w` are the kernels of the convolution
/// whose input gradient this is: half a circle round, channel axes exchanged. `shared` holds the transformed kernels.
#[expect(clippy::too_many_arguments, reason = "an operation of the backend with its workspace")]
pub fn forward(
    workers: &Workers,
    op: &Convolution,
    n: usize,
    x: &[f32],
    (values, turned): (&[f32], bool),
    bias: Option<&[f32]>,
    y: &mut [f32],
    shared: &mut [f32],
) {
    let w = Kernels { values, turned };
    if side(op) == 3 {
        forward::forward::<4, 3>(workers, op, n, x, w, bias, y, shared);
    } else {
        forward::forward::<2, 5>(workers, op, n, x, w, bias, y, shared);
    }
}

/// Gradient of the weights, summed over the batch, into `dw`.
pub fn backward_weights(
    workers: &Workers,
    op: &Convolution,
    n: usize,
    x: &[f32],
    dy: &[f32],
    dw: Sum,
    shared: &mut [f32],
) {
    if side(op) == 3 {
        backward::backward_weights::<4, 3>(workers, op, n, x, dy, dw, shared);
    } else {
        backward::backward_weights::<2, 5>(workers, op, n, x, dy, dw, shared);
    }
}
