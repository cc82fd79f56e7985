//! Convolutions by our kernels on tensor cores (convolve.cu): bfloat16, without columns in memory.

use alexnet_net::{Convolution, DeviceError};

use crate::device::Device;
use crate::launch::{Arg, Grid};
use crate::layout::Layout;
use crate::shape::ConvolveShape;
use crate::tensor::{Scratch, Type};

/// Positions of a block, forward (`ALX_TALL`).
const TALL: usize = 128;
/// Terms of a filter that a block of the weights' gradient takes.
const WIDE: usize = 128;
/// Positions of a step (`ALX_DEEP`).
const DEEP: usize = 32;

/// Blocks that a multiprocessor holds.
const BLOCKS: usize = 2;
/// What a block costs beside its maps, in maps.
const START: usize = 32;

/// Maps of a block: those that take the least time, in rounds of all multiprocessors, with `blocks` for each tile of maps.
fn maps_of_block(device: &Device, maps: usize, blocks: usize) -> usize {
    let slots = BLOCKS * device.multiprocessors as usize;
    let cost = |&n: &usize| (blocks * maps.div_ceil(n)).div_ceil(slots) * (n + START);
    [128, 96, 64].into_iter().min_by_key(cost).unwrap_or(128)
}

/// Shares of a sum that fill rounds of all multiprocessors best, with `tiles` blocks for each: the fewest that come near.
fn shares(device: &Device, tiles: usize) -> usize {
    let slots = BLOCKS * device.multiprocessors as usize;
    let filled = |shares: usize| {
        let blocks = tiles * shares;
        (1000 * blocks) / (blocks.div_ceil(slots) * slots)
    };
    let all = 1..=(2 * slots / tiles).max(1);
    let best = all.clone().map(filled).max().unwrap_or(0);
    all.into_iter().find(|&shares| filled(shares) + 20 >= best).unwrap_or(1)
}

/// Whether the kernels can do it: whole vectors of channels and maps, on a device with tensor cores for bfloat16.
pub(crate) fn fits(device: &Device, op: &Convolution) -> bool {
    device.activation() == Type::Bf16
        && device.major >= 8
        && (op.inputs / op.groups).is_multiple_of(8)
        && (op.outputs / op.groups).is_multiple_of(8)
        && op.kernel <= 12
}

/// Whether the input's gradient is a convolution too.
pub(crate) fn turns(device: &Device, op: &Convolution) -> bool {
    fits(device, op) && op.stride == 1 && op.padding < op.kernel
}

/// The convolution that makes the input's gradient: dy with the filters turned.
fn turned(op: &Convolution) -> Convolution {
    Convolution {
        inputs: op.outputs,
        outputs: op.inputs,
        height: op.out_height,
        width: op.out_width,
        padding: op.kernel - 1 - op.padding,
        out_height: op.height,
        out_width: op.width,
        rectify: false,
        ..*op
    }
}

/// How the weights' gradient is cut into blocks.
struct Cut {
    /// Maps of a block.
    block: usize,
    /// Blocks of a share.
    tiles: usize,
    /// Positions of a share: whole steps.
    share: usize,
    shares: usize,
    /// Values of a row of parts: the filter's, and the bias in a vector behind it where that takes no further tile.
    row: usize,
}

impl Cut {
    fn of(device: &Device, layout: &Layout, n: usize) -> Cut {
        let op = &layout.op;
        let maps = op.outputs / op.groups;
        let block = [128, 96, 64].into_iter().min_by_key(|&n| maps.next_multiple_of(n)).unwrap_or(128);
        let row = op.window() + if op.window().is_multiple_of(WIDE) { 0 } else { 8 };
        let tiles = row.div_ceil(WIDE) * maps.div_ceil(block) * op.groups;
        let places = n * op.positions();
        let share = places.div_ceil(shares(device, tiles)).next_multiple_of(DEEP);
        Cut { block, tiles, share, shares: places.div_ceil(share), row }
    }
}

/// Bytes of the parts of the weights' gradient.
pub(crate) fn parts(device: &Device, layout: &Layout, n: usize) -> usize {
    let cut = Cut::of(device, layout, n);
    4 * cut.shares * layout.op.outputs * cut.row
}

fn shape(device: &Device, op: &Convolution, n: usize) -> Result<ConvolveShape, DeviceError> {
    let int = |value| device.int(value);
    int(n * op.input_len().max(op.output_len()))?;
    Ok(ConvolveShape {
        batch: int(n)?,
        groups: int(op.groups)?,
        channels: int(op.inputs / op.groups)?,
        maps: int(op.outputs / op.groups)?,
        height: int(op.height)?,
        width: int(op.width)?,
        out_height: int(op.out_height)?,
        out_width: int(op.out_width)?,
        kernel: int(op.kernel)?,
        stride: int(op.stride)?,
        pad: int(op.padding)?,
        row: int(op.window())?,
        relu: i32::from(op.rectify),
    })
}

impl Device {
    /// y = w ∗ x + bias, rectified if the operation asks, 0 where `gate` is not above 0; no bias or gate at address 0.
    pub fn tile_forward(
        &self,
        op: &Convolution,
        n: usize,
        [x, w, bias, gate, y]: [u64; 5],
    ) -> Result<(), DeviceError> {
        let shape = shape(self, op, n)?;
        let maps = op.outputs / op.groups;
        let tiles = (n * op.positions()).div_ceil(TALL) * op.groups;
        let block = maps_of_block(self, maps, tiles);
        let kernel = match block {
            128 => "convolve_128",
            96 => "convolve_96",
            _ => "convolve_64",
        };
        let blocks = tiles * maps.div_ceil(block);
        let mut args: Vec<Arg> = [x, w, bias, gate, y].map(Arg::Address).into();
        args.push(Arg::Convolve(&shape));
        self.launch(kernel, Grid::blocks(blocks), &args)
    }

    /// dx from dy and the weights at `w` as the net has them, gated as in [`Device::tile_forward`].
    pub fn tile_input(
        &mut self,
        op: &Convolution,
        n: usize,
        [dy, w, gate, dx]: [u64; 4],
    ) -> Result<(), DeviceError> {
        let (channels, maps, taps) = (op.inputs / op.groups, op.outputs / op.groups, op.kernel * op.kernel);
        let filters = self.room(Scratch::Filters, 2 * op.weight_len())?;
        let mut args = vec![Arg::Address(w), Arg::Address(filters)];
        for size in [op.groups, channels, maps, taps] {
            args.push(Arg::Int(self.int(size)?));
        }
        self.launch("filters_turned", self.grid(op.weight_len()), &args)?;
        self.tile_forward(&turned(op), n, [dy, filters, 0, gate, dx])
    }

    /// dw from x and dy, added to what is there if `accumulate`, and where it comes with it the bias' gradient, too; says
    /// whether it did.
    pub fn tile_weights(
        &mut self,
        layout: &Layout,
        n: usize,
        [x, dy, dw, db]: [u64; 4],
        accumulate: bool,
    ) -> Result<bool, DeviceError> {
        let op = &layout.op;
        let shape = shape(self, op, n)?;
        let Cut { block, tiles, share, shares, row } = Cut::of(self, layout, n);
        let kernel = match block {
            128 => "convolve_weights_128",
            96 => "convolve_weights_96",
            _ => "convolve_weights_64",
        };
        let parts = self.room(Scratch::Parts, 4 * shares * op.outputs * row)?;
        let with_bias = row > op.window();
        // A vector of one and zeros, then the spots.
        let one = self.room(Scratch::Spots, 16 + 8 * op.positions())?;
        let spots = one + 16;
        let args = [Arg::Address(spots), Arg::Address(one), Arg::Convolve(&shape)];
        self.launch("convolve_spots", self.grid(op.positions()), &args)?;
        let args = [
            Arg::Address(x),
            Arg::Address(dy),
            Arg::Address(spots),
            Arg::Address(one),
            Arg::Address(parts),
            Arg::Convolve(&shape),
            Arg::Int(self.int(share)?),
            Arg::Int(i32::from(with_bias)),
        ];
        self.launch(kernel, Grid::blocks(tiles * shares), &args)?;
        self.filters_first(layout, (parts, Type::F32, shares, row), dw, accumulate)?;
        if with_bias {
            let mut args = vec![Arg::Address(parts), Arg::Address(db)];
            for size in [shares, op.outputs, row, op.window(), usize::from(accumulate)] {
                args.push(Arg::Int(self.int(size)?));
            }
            self.launch("filter_biases", self.grid(op.outputs), &args)?;
        }
        Ok(with_bias)
    }
}
