//! Convolutions: patches to columns by our kernel, then matrix products by cuBLAS, a chunk of images at a time.
//!
//! Everything lies channels last: columns are `[n·positions][groups][row]`, weights `[outputs][row]` with the channels of a
//! tap side by side and rows filled with zeros up to whole vectors, so one product a chunk writes the output as it lies, for
//! all groups. The gradient of the weights is cut into shares of the batch, products side by side that keep every
//! multiprocessor busy; the shares are added in order. cuBLAS counts column by column: a row-major a×b matrix is its b×a
//! matrix.

use alexnet_net::{Convolution, DeviceError};

use crate::dense::Product;
use crate::device::Device;
use crate::launch::Arg;
use crate::shape::ColumnShape;
use crate::tensor::{Floats, Maps, Scratch, Type};

/// Bytes of columns at a time: enough to fill a GPU, little beside its memory.
const COLUMNS: usize = 512 << 20;
/// Sides of the tile that a multiprocessor takes of a product, about.
const TILE: usize = 128;

/// A convolution's sizes as its products see them.
struct Layout {
    /// Values of a row of columns, filled up.
    row: usize,
    /// Images whose columns are held at a time.
    chunk: usize,
    /// Channels of a group, in and out.
    channels: usize,
    maps: usize,
    of: Type,
}

impl Layout {
    fn new(device: &Device, op: &Convolution, n: usize) -> Layout {
        let of = device.activation();
        let row = op.window().next_multiple_of(16 / of.width());
        let image = op.positions() * op.groups * row * of.width();
        Layout {
            row,
            chunk: (COLUMNS / image.max(1)).clamp(1, n.max(1)),
            channels: op.inputs / op.groups,
            maps: op.outputs / op.groups,
            of,
        }
    }

    fn columns(&self, op: &Convolution, images: usize) -> usize {
        images * op.positions() * op.groups * self.row
    }

    /// Shares of `images` images in the weights' gradient: a divisor that makes about two tiles for each multiprocessor.
    fn shares(&self, device: &Device, images: usize) -> usize {
        let tiles = self.row.div_ceil(TILE) * self.maps.div_ceil(TILE);
        let wanted = (2 * device.multiprocessors as usize).div_ceil(tiles).min(images);
        (1..=wanted).rev().find(|&shares| images.is_multiple_of(shares)).unwrap_or(1)
    }

    fn shape(&self, device: &Device, op: &Convolution, images: usize) -> Result<ColumnShape, DeviceError> {
        device.int(self.columns(op, images))?;
        device.int(images * op.input_len())?;
        let int = |value| device.int(value);
        Ok(ColumnShape {
            batch: int(images)?,
            groups: int(op.groups)?,
            channels: int(self.channels)?,
            height: int(op.height)?,
            width: int(op.width)?,
            out_height: int(op.out_height)?,
            out_width: int(op.out_width)?,
            kernel: int(op.kernel)?,
            stride: int(op.stride)?,
            pad: int(op.padding)?,
            row: int(self.row)?,
        })
    }

    /// The first image and the number of images of each chunk.
    fn chunks(&self, n: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let chunk = self.chunk;
        (0..n).step_by(chunk).map(move |first| (first, chunk.min(n - first)))
    }
}

/// Makes room for the columns of the largest chunk, for the weights and their gradients.
pub(crate) fn reserve(device: &mut Device, op: &Convolution, n: usize) -> Result<(), DeviceError> {
    let layout = Layout::new(device, op, n);
    let filters = op.outputs * layout.row;
    device.room(Scratch::Columns, layout.columns(op, layout.chunk) * layout.of.width())?;
    device.room(Scratch::Filters, filters * layout.of.width())?;
    device.room(Scratch::Parts, layout.shares(device, layout.chunk) * filters * 4).map(drop)
}

/// The weights (values `at ..` of `w`) as the products read them.
fn filters(
    device: &mut Device,
    op: &Convolution,
    layout: &Layout,
    (w, at): (&Floats, usize),
) -> Result<u64, DeviceError> {
    let to = device.room(Scratch::Filters, op.outputs * layout.row * layout.of.width())?;
    let mut args = vec![Arg::Address(w.at(at)), Arg::Address(to)];
    for size in [op.outputs, layout.channels, op.kernel * op.kernel, layout.row] {
        args.push(Arg::Int(device.int(size)?));
    }
    let grid = device.grid(op.outputs * layout.row);
    device.launch(device.typed("filters_last", layout.of)?, grid, &args)?;
    Ok(to)
}

/// The columns of `images` images of x.
fn lower(
    device: &mut Device,
    op: &Convolution,
    layout: &Layout,
    x: u64,
    images: usize,
) -> Result<u64, DeviceError> {
    let len = layout.columns(op, images);
    let to = device.room(Scratch::Columns, len * layout.of.width())?;
    let shape = layout.shape(device, op, images)?;
    let args = [Arg::Address(x), Arg::Address(to), Arg::Columns(&shape)];
    device.launch(device.typed("im2col", layout.of)?, device.lanes(len, layout.of), &args)?;
    Ok(to)
}

/// y = w ∗ x, without bias.
pub(crate) fn forward(
    device: &mut Device,
    op: &Convolution,
    n: usize,
    x: &Floats,
    w: (&Floats, usize),
    y: &mut Floats,
) -> Result<(), DeviceError> {
    let layout = Layout::new(device, op, n);
    let x = device.last(x, n, op.inputs, op.height * op.width)?;
    let w = filters(device, op, &layout, w)?;
    y.maps = Maps::of(n, op.outputs, op.positions());
    let Layout { row, maps, of, .. } = layout;
    for (first, images) in layout.chunks(n) {
        let x = x + (first * op.input_len() * of.width()) as u64;
        let columns = lower(device, op, &layout, x, images)?;
        device.product(&Product {
            m: maps,
            n: images * op.positions(),
            k: row,
            a: (w, row, true),
            b: (columns, op.groups * row, false),
            c: (y.at(first * op.output_len()), op.outputs, y.of),
            accumulate: false,
            batch: Some((op.groups, maps * row, row, maps)),
        })?;
    }
    Ok(())
}

/// dx from dy.
pub(crate) fn backward_input(
    device: &mut Device,
    op: &Convolution,
    n: usize,
    dy: &Floats,
    w: (&Floats, usize),
    dx: &mut Floats,
) -> Result<(), DeviceError> {
    let layout = Layout::new(device, op, n);
    let dy = device.last(dy, n, op.outputs, op.positions())?;
    let w = filters(device, op, &layout, w)?;
    dx.maps = Maps::of(n, op.inputs, op.height * op.width);
    let Layout { row, maps, of, .. } = layout;
    for (first, images) in layout.chunks(n) {
        let columns = device.room(Scratch::Columns, layout.columns(op, images) * of.width())?;
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
        let shape = layout.shape(device, op, images)?;
        let args =
            [Arg::Address(columns), Arg::Address(dx.at(first * op.input_len())), Arg::Columns(&shape)];
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
) -> Result<(), DeviceError> {
    let layout = Layout::new(device, op, n);
    let output = (dy, op.outputs, op.positions());
    let [x, dy] = device.both(n, (x, op.inputs, op.height * op.width), output)?;
    let Layout { row, maps, of, .. } = layout;
    let (filter, places) = (op.outputs * row, op.positions());
    for (first, images) in layout.chunks(n) {
        let x = x + (first * op.input_len() * of.width()) as u64;
        let dy = dy + (first * op.output_len() * of.width()) as u64;
        let columns = lower(device, op, &layout, x, images)?;
        let shares = layout.shares(device, images);
        let (parts, share) = (device.room(Scratch::Parts, shares * filter * 4)?, images / shares);
        for group in 0..op.groups {
            device.product(&Product {
                m: row,
                n: maps,
                k: share * places,
                a: (columns + (group * row * of.width()) as u64, op.groups * row, false),
                b: (dy + (group * maps * of.width()) as u64, op.outputs, true),
                c: (parts + (group * maps * row * 4) as u64, row, Type::F32),
                accumulate: false,
                batch: Some((shares, share * places * op.groups * row, share * op.output_len(), filter)),
            })?;
        }
        let mut args = vec![Arg::Address(parts), Arg::Address(dw)];
        let add = usize::from(accumulate || first > 0);
        for size in [shares, op.outputs, layout.channels, op.kernel * op.kernel, row, add] {
            args.push(Arg::Int(device.int(size)?));
        }
        device.launch("filters_first", device.grid(op.weight_len()), &args)?;
    }
    device.bias_gradient((dy, of), n * places, op.outputs, db, accumulate)
}
