//! Convolutions: our own kernels on tensor cores ([`crate::tile`]), or patches to columns and matrix products by cuBLAS, or
//! cuDNN where it was faster.
//!
//! Everything lies channels last ([`crate::layout`]): columns are `[n·positions][groups][row]`, filters `[outputs][row]` with
//! the channels of a tap side by side, so one product a chunk of images writes the output as it lies, for all groups. The
//! gradient of the weights is cut into shares of the batch, products side by side that keep every multiprocessor busy; the
//! shares are added in order. cuBLAS counts column by column: a row-major a×b matrix is its b×a matrix.
//!
//! [`reserve`] decides once which way each of the three directions goes ([`crate::choice`]).

use alexnet_net::{Convolution, DeviceError};

use crate::choice::Way;
use crate::dense::Product;
use crate::device::Device;
use crate::launch::Arg;
use crate::layout::Layout;
use crate::plan::Direction;
use crate::tensor::{Floats, Maps, Scratch, Type};
use crate::tile;

type Done = Result<(), DeviceError>;

/// Makes room for all that the passes need, and chooses their ways.
pub(crate) fn reserve(device: &mut Device, op: &Convolution, n: usize) -> Done {
    for foldable in [true, false] {
        let layout = Layout::new(device.activation(), op, n, foldable);
        let width = layout.of.width();
        if !tile::turns(device, &layout.op) {
            device.room(Scratch::Columns, layout.columns(layout.chunk) * width)?;
        }
        device.room(Scratch::Filters, layout.filters() * width)?;
        let parts = if tile::fits(device, &layout.op) {
            tile::parts(device, &layout, n)
        } else {
            layout.shares(device, layout.chunk) * layout.filters() * 4
        };
        device.room(Scratch::Parts, parts)?;
        if layout.folded(n) > 0 {
            // It reads photos, whose gradient nobody asks for; who does finds room then.
            device.room(Scratch::Folded, layout.folded(n) * width)?;
            break;
        }
    }
    device.choose(op, n)
}

/// The columns of `images` images of x.
fn lower(device: &mut Device, layout: &Layout, x: u64, images: usize) -> Result<u64, DeviceError> {
    let len = layout.columns(images);
    let to = device.room(Scratch::Columns, len * layout.of.width())?;
    let shape = layout.shape(device, images)?;
    let args = [Arg::Address(x), Arg::Address(to), Arg::Columns(&shape)];
    device.launch(device.typed("im2col", layout.of)?, device.lanes(len, layout.of), &args)?;
    Ok(to)
}

/// y = w ∗ x + bias, rectified if the operation asks.
pub(crate) fn forward(
    device: &mut Device,
    op: &Convolution,
    n: usize,
    x: &Floats,
    (w, weight, bias): (&Floats, usize, usize),
    y: &mut Floats,
) -> Done {
    let layout = Layout::new(device.activation(), op, n, true);
    let x = device.last(x, n, op.inputs, op.height * op.width)?;
    let x = device.folded(&layout, x, n, false)?;
    let filters = device.filters_last(&layout, w.at(weight))?;
    y.maps = Maps::of(n, op.outputs, op.positions());
    let buffers = [x, filters, y.address];
    match device.way(op, Direction::Forward) {
        Way::Own if tile::fits(device, &layout.op) => {
            return device.tile_forward(&layout.op, n, [x, filters, w.at(bias), 0, y.address]);
        }
        Way::Own => multiply_forward(device, &layout, n, buffers)?,
        way => device.convolve(way, &layout.op, n, Direction::Forward, buffers)?,
    }
    device.bias(y, n * op.positions(), op.outputs, w.at(bias), op.rectify)
}

fn multiply_forward(device: &mut Device, layout: &Layout, n: usize, [x, w, y]: [u64; 3]) -> Done {
    let Layout { row, maps, of, op, .. } = *layout;
    for (first, images) in layout.chunks(n) {
        let columns = lower(device, layout, x + (first * op.input_len() * of.width()) as u64, images)?;
        device.product(&Product {
            m: maps,
            n: images * op.positions(),
            k: row,
            a: (w, row, true),
            b: (columns, op.groups * row, false),
            c: (y + (first * op.output_len() * of.width()) as u64, op.outputs, of),
            accumulate: false,
            batch: Some((op.groups, maps * row, row, maps)),
        })?;
    }
    Ok(())
}

/// Whether the input's gradient can be masked by x on its way out.
pub(crate) fn masks(device: &Device, op: &Convolution, x: &Floats) -> bool {
    let lies = op.inputs == 1 || op.height * op.width == 1 || x.maps.is_some();
    lies && device.way(op, Direction::Input) == Way::Own && tile::turns(device, op)
}

/// dx from dy; 0 where `x` is given and not above 0, which [`masks`] must allow.
pub(crate) fn backward_input(
    device: &mut Device,
    op: &Convolution,
    n: usize,
    (dy, x): (&Floats, Option<&Floats>),
    (w, at): (&Floats, usize),
    dx: &mut Floats,
) -> Done {
    let layout = Layout::new(device.activation(), op, n, false);
    let dy = device.last(dy, n, op.outputs, op.positions())?;
    dx.maps = Maps::of(n, op.inputs, op.height * op.width);
    match device.way(op, Direction::Input) {
        Way::Own if tile::turns(device, op) => {
            let gate = x.map_or(0, |x| x.address);
            device.tile_input(op, n, [dy, w.at(at), gate, dx.address])
        }
        Way::Own => {
            let filters = device.filters_last(&layout, w.at(at))?;
            multiply_input(device, &layout, n, [dx.address, filters, dy])
        }
        way => {
            let filters = device.filters_last(&layout, w.at(at))?;
            device.convolve(way, op, n, Direction::Input, [dx.address, filters, dy])
        }
    }
}

fn multiply_input(device: &mut Device, layout: &Layout, n: usize, [dx, w, dy]: [u64; 3]) -> Done {
    let Layout { row, maps, of, op, .. } = *layout;
    for (first, images) in layout.chunks(n) {
        let columns = device.room(Scratch::Columns, layout.columns(images) * of.width())?;
        device.product(&Product {
            m: row,
            n: images * op.positions(),
            k: maps,
            a: (w, row, false),
            b: (dy + (first * op.output_len() * of.width()) as u64, op.outputs, false),
            c: (columns, op.groups * row, of),
            accumulate: false,
            batch: Some((op.groups, maps * row, maps, row)),
        })?;
        let shape = layout.shape(device, images)?;
        let image = dx + (first * op.input_len() * of.width()) as u64;
        let args = [Arg::Address(columns), Arg::Address(image), Arg::Columns(&shape)];
        let grid = device.lanes(images * op.input_len(), of);
        device.launch(device.typed("col2im", of)?, grid, &args)?;
    }
    Ok(())
}

/// dw from x and dy, and the bias' gradient, added to what is there if `accumulate`.
pub(crate) fn backward_weights(
    device: &mut Device,
    op: &Convolution,
    n: usize,
    (x, dy): (&Floats, &Floats),
    (dw, db): (u64, u64),
    accumulate: bool,
) -> Done {
    let layout = Layout::new(device.activation(), op, n, true);
    let output = (dy, op.outputs, op.positions());
    let [x, dy] = device.both(n, (x, op.inputs, op.height * op.width), output)?;
    let x = device.folded(&layout, x, n, true)?;
    let biased = match device.way(op, Direction::Weights) {
        Way::Own => own_weights(device, &layout, n, [x, dy, dw, db], accumulate)?,
        way => {
            let gradient = device.room(Scratch::Parts, layout.filters() * layout.of.width())?;
            device.convolve(way, &layout.op, n, Direction::Weights, [x, gradient, dy])?;
            device.filters_first(&layout, (gradient, layout.of, 1, layout.row), dw, accumulate)?;
            false
        }
    };
    if biased {
        return Ok(());
    }
    device.bias_gradient((dy, layout.of), n * op.positions(), op.outputs, db, accumulate)
}

/// Says whether the bias' gradient came with it.
fn own_weights(
    device: &mut Device,
    layout: &Layout,
    n: usize,
    [x, dy, dw, db]: [u64; 4],
    accumulate: bool,
) -> Result<bool, DeviceError> {
    if tile::fits(device, &layout.op) {
        return device.tile_weights(layout, n, [x, dy, dw, db], accumulate);
    }
    let Layout { row, maps, of, op, .. } = *layout;
    let places = op.positions();
    for (first, images) in layout.chunks(n) {
        let columns = lower(device, layout, x + (first * op.input_len() * of.width()) as u64, images)?;
        let dy = dy + (first * op.output_len() * of.width()) as u64;
        let shares = layout.shares(device, images);
        let (parts, share) = (device.room(Scratch::Parts, shares * layout.filters() * 4)?, images / shares);
        for group in 0..op.groups {
            let steps = (shares, share * places * op.groups * row, share * op.output_len(), layout.filters());
            device.product(&Product {
                m: row,
                n: maps,
                k: share * places,
                a: (columns + (group * row * of.width()) as u64, op.groups * row, false),
                b: (dy + (group * maps * of.width()) as u64, op.outputs, true),
                c: (parts + (group * maps * row * 4) as u64, row, Type::F32),
                accumulate: false,
                batch: Some(steps),
            })?;
        }
        device.filters_first(layout, (parts, Type::F32, shares, row), dw, accumulate || first > 0)?;
    }
    Ok(false)
}

/// Runs a direction our own way, for its time alone: of x, w and y the one that `direction` names is written.
pub(crate) fn try_own(
    device: &mut Device,
    layout: &Layout,
    n: usize,
    direction: Direction,
    [x, w, y]: [u64; 3],
    gradient: u64, // of the filters, then of the bias
) -> Done {
    match direction {
        Direction::Forward if tile::fits(device, &layout.op) => {
            device.tile_forward(&layout.op, n, [x, w, 0, 0, y])
        }
        Direction::Forward => multiply_forward(device, layout, n, [x, w, y]),
        // `gradient` holds the weights as the net has them.
        Direction::Input if tile::turns(device, &layout.op) => {
            device.tile_input(&layout.op, n, [y, gradient, 0, x])
        }
        Direction::Input => multiply_input(device, layout, n, [x, w, y]),
        Direction::Weights => {
            let bias = gradient + 4 * layout.filters() as u64;
            own_weights(device, layout, n, [x, y, gradient, bias], false).map(drop)
        }
    }
}
