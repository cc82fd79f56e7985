//! Convolutions: patches to columns by our kernel, then matrix products by cuBLAS, a chunk of images at a time.
//!
//! Forward, and for the gradient of the input, columns are kept image by image, `[n][window][positions]`, so that a
//! product writes the NCHW output directly. The gradient of the weights is one product a chunk: columns
//! `[window][n·positions]` with dy turned to `[maps][n·positions]`. cuBLAS counts column by column: a row-major a×b
//! matrix is its b×a matrix.

use alexnet_net::{Convolution, DeviceError};

use crate::dense::Product;
use crate::device::{Device, Floats};
use crate::launch::Arg;
use crate::precision::{Precision, Slot};
use crate::shape::ColumnShape;

/// Bytes of columns at a time: enough to fill a GPU, little beside its memory.
const COLUMNS: usize = 512 << 20;

/// Images whose columns of one group are held at a time.
fn chunk(op: &Convolution, n: usize) -> usize {
    (COLUMNS / 4 / (op.window() * op.positions()).max(1)).clamp(1, n.max(1))
}

/// How the columns of a chunk lie.
#[derive(Clone, Copy)]
enum Columns {
    /// `[n][window][positions]`.
    ByImage,
    /// `[window][n·positions]`.
    OneMatrix,
}

fn shape(
    device: &Device,
    op: &Convolution,
    images: usize,
    columns: Columns,
) -> Result<ColumnShape, DeviceError> {
    let (row_stride, batch_stride) = match columns {
        Columns::ByImage => (op.positions(), op.window() * op.positions()),
        Columns::OneMatrix => (images * op.positions(), op.positions()),
    };
    device.int(images * op.window() * op.positions())?;
    device.int(images * op.input_len())?;
    let int = |value| device.int(value);
    Ok(ColumnShape {
        batch: int(images)?,
        channels: int(op.inputs / op.groups)?,
        height: int(op.height)?,
        width: int(op.width)?,
        out_height: int(op.out_height)?,
        out_width: int(op.out_width)?,
        kernel: int(op.kernel)?,
        stride: int(op.stride)?,
        pad: int(op.padding)?,
        image_stride: int(op.input_len())?,
        row_stride: int(row_stride)?,
        batch_stride: int(batch_stride)?,
    })
}

/// Makes room for the columns and the turned gradients of the largest chunk, and for what products read.
pub(crate) fn reserve(device: &mut Device, op: &Convolution, n: usize) -> Result<(), DeviceError> {
    let images = chunk(op, n);
    let (mut columns, mut turned) = (device.workspace.take(), device.turned.take());
    let grown = device.grown(&mut columns, images * op.window() * op.positions()).map(drop);
    let grown =
        grown.and_then(|()| device.grown(&mut turned, images * op.output_len() / op.groups).map(drop));
    (device.workspace, device.turned) = (columns, turned);
    grown?;
    device.reserve_operand(Slot::Gradient, n * op.output_len())
}

/// Calls `each` for every chunk of images and every group, with where they begin: input, weights, output (in values)
/// and the chunk's size.
fn pieces(
    op: &Convolution,
    n: usize,
    mut each: impl FnMut(usize, usize, usize, usize) -> Result<(), DeviceError>,
) -> Result<(), DeviceError> {
    let size = chunk(op, n);
    for first in (0..n).step_by(size) {
        for group in 0..op.groups {
            let input = first * op.input_len() + group * (op.input_len() / op.groups);
            let output = first * op.output_len() + group * (op.output_len() / op.groups);
            each(input, group * (op.weight_len() / op.groups), output, size.min(n - first))?;
        }
    }
    Ok(())
}

/// Columns of a chunk into the workspace; their address.
fn lower(
    device: &mut Device,
    op: &Convolution,
    x: u64,
    images: usize,
    columns: Columns,
) -> Result<u64, DeviceError> {
    let to = device.workspace.as_ref().map_or(0, |w| w.address);
    let shape = shape(device, op, images, columns)?;
    let grid = device.grid(images * op.window() * op.positions());
    let kernel = if device.precision == Precision::Bf16 { "im2col_bf16" } else { "im2col" };
    device.launch(kernel, grid, &[Arg::Address(x), Arg::Address(to), Arg::Columns(&shape)])?;
    Ok(to)
}

/// One group's gradients of a chunk with maps before images; their address.
fn turn(device: &mut Device, op: &Convolution, dy: u64, images: usize) -> Result<u64, DeviceError> {
    let to = device.turned.as_ref().map_or(0, |t| t.address);
    let mut args = vec![Arg::Address(dy), Arg::Address(to)];
    for size in [images, op.outputs / op.groups, op.positions(), op.output_len()] {
        args.push(Arg::Int(device.int(size)?));
    }
    let grid = device.grid(images * op.output_len() / op.groups);
    let kernel = if device.precision == Precision::Bf16 { "maps_first_bf16" } else { "maps_first" };
    device.int(images * op.output_len())?;
    device.launch(kernel, grid, &args)?;
    Ok(to)
}

/// y = w ∗ x, without bias. The weights are values `at ..` of `w`; addresses are of whole tensors.
pub(crate) fn forward(
    device: &mut Device,
    op: &Convolution,
    n: usize,
    x: u64,
    (w, at): (&Floats, usize),
    y: u64,
) -> Result<(), DeviceError> {
    let (window, places, maps) = (op.window(), op.positions(), op.outputs / op.groups);
    reserve(device, op, n)?;
    let (w, width) = (device.weights(w, at)?, device.width());
    pieces(op, n, |input, weight, output, images| {
        let columns = lower(device, op, x + 4 * input as u64, images, Columns::ByImage)?;
        device.product(&Product {
            m: places,
            n: maps,
            k: window,
            a: (columns, places, false),
            b: (w + width * weight as u64, window, false),
            c: (y + 4 * output as u64, places),
            accumulate: false,
            batch: Some((images, window * places, 0, op.output_len())),
        })
    })
}

/// dx from dy.
pub(crate) fn backward_input(
    device: &mut Device,
    op: &Convolution,
    n: usize,
    dy: u64,
    (w, at): (&Floats, usize),
    dx: u64,
) -> Result<(), DeviceError> {
    let (window, places, maps) = (op.window(), op.positions(), op.outputs / op.groups);
    reserve(device, op, n)?;
    let dy = device.operand(Slot::Gradient, dy, n * op.output_len())?;
    let (w, width) = (device.weights(w, at)?, device.width());
    pieces(op, n, |input, weight, output, images| {
        let columns = device.workspace.as_ref().map_or(0, |w| w.address);
        device.product(&Product {
            m: places,
            n: window,
            k: maps,
            a: (dy + width * output as u64, places, false),
            b: (w + width * weight as u64, window, true),
            c: (columns, places),
            accumulate: false,
            batch: Some((images, op.output_len(), 0, window * places)),
        })?;
        let shape = shape(device, op, images, Columns::ByImage)?;
        let grid = device.grid(images * op.input_len() / op.groups);
        device.launch(
            "col2im",
            grid,
            &[Arg::Address(columns), Arg::Address(dx + 4 * input as u64), Arg::Columns(&shape)],
        )
    })
}

/// dw from x and dy, added to what is there if `accumulate`.
pub(crate) fn backward_weights(
    device: &mut Device,
    op: &Convolution,
    n: usize,
    x: u64,
    dy: u64,
    dw: u64,
    accumulate: bool,
) -> Result<(), DeviceError> {
    let (window, places, maps) = (op.window(), op.positions(), op.outputs / op.groups);
    reserve(device, op, n)?;
    pieces(op, n, |input, weight, output, images| {
        let columns = lower(device, op, x + 4 * input as u64, images, Columns::OneMatrix)?;
        let turned = turn(device, op, dy + 4 * output as u64, images)?;
        device.product(&Product {
            m: window,
            n: maps,
            k: images * places,
            a: (columns, images * places, true),
            b: (turned, images * places, false),
            c: (dw + 4 * weight as u64, window),
            // The first chunk of the batch begins the sum of its group.
            accumulate: accumulate || output >= op.output_len(),
            batch: None,
        })
    })
}
