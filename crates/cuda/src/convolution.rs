//! Convolutions: patches to columns by our kernel, then matrix products by cuBLAS, a chunk of images at a time.
//!
//! Columns are kept image by image, `[n][window][positions]`, so that a product writes the NCHW output directly. The
//! gradient of the weights adds image after image, in order. cuBLAS counts column by column: a row-major a×b matrix
//! is its b×a matrix.

use alexnet_net::{Convolution, DeviceError};

use crate::dense::Product;
use crate::device::Device;
use crate::launch::Arg;
use crate::shape::ColumnShape;

/// Bytes of columns at a time: enough to fill a GPU, little beside its memory.
const COLUMNS: usize = 512 << 20;

/// Images whose columns of one group are held at a time.
fn chunk(op: &Convolution, n: usize) -> usize {
    (COLUMNS / 4 / (op.window() * op.positions()).max(1)).clamp(1, n.max(1))
}

fn shape(device: &Device, op: &Convolution, images: usize) -> Result<ColumnShape, DeviceError> {
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
        row_stride: int(op.positions())?,
        batch_stride: int(op.window() * op.positions())?,
    })
}

/// Makes room for the columns of the largest chunk.
pub(crate) fn reserve(device: &mut Device, op: &Convolution, n: usize) -> Result<(), DeviceError> {
    let len = chunk(op, n) * op.window() * op.positions();
    let mut place = device.workspace.take();
    let grown = device.grown(&mut place, len).map(drop);
    device.workspace = place;
    grown
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

/// Columns of a chunk into the workspace; its address.
fn lower(device: &mut Device, op: &Convolution, x: u64, images: usize) -> Result<u64, DeviceError> {
    reserve(device, op, images)?;
    let columns = device.workspace.as_ref().map_or(0, |w| w.address);
    let shape = shape(device, op, images)?;
    let grid = device.grid(images * op.window() * op.positions());
    device.launch("im2col", grid, &[Arg::Address(x), Arg::Address(columns), Arg::Columns(&shape)])?;
    Ok(columns)
}

/// y = w ∗ x, without bias. Addresses are of whole tensors.
pub(crate) fn forward(
    device: &mut Device,
    op: &Convolution,
    n: usize,
    x: u64,
    w: u64,
    y: u64,
) -> Result<(), DeviceError> {
    let (window, places, maps) = (op.window(), op.positions(), op.outputs / op.groups);
    pieces(op, n, |input, weight, output, images| {
        let columns = lower(device, op, x + 4 * input as u64, images)?;
        device.product(&Product {
            m: places,
            n: maps,
            k: window,
            a: (columns, places, false),
            b: (w + 4 * weight as u64, window, false),
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
    w: u64,
    dx: u64,
) -> Result<(), DeviceError> {
    let (window, places, maps) = (op.window(), op.positions(), op.outputs / op.groups);
    pieces(op, n, |input, weight, output, images| {
        reserve(device, op, images)?;
        let columns = device.workspace.as_ref().map_or(0, |w| w.address);
        device.product(&Product {
            m: places,
            n: window,
            k: maps,
            a: (dy + 4 * output as u64, places, false),
            b: (w + 4 * weight as u64, window, true),
            c: (columns, places),
            accumulate: false,
            batch: Some((images, op.output_len(), 0, window * places)),
        })?;
        let shape = shape(device, op, images)?;
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
    pieces(op, n, |input, weight, output, images| {
        let columns = lower(device, op, x + 4 * input as u64, images)?;
        // The first image of the batch begins the sum of its group.
        let begins = output < op.output_len();
        for image in 0..images {
            device.product(&Product {
                m: window,
                n: maps,
                k: places,
                a: (columns + 4 * (image * window * places) as u64, places, true),
                b: (dy + 4 * (output + image * op.output_len()) as u64, places, false),
                c: (dw + 4 * weight as u64, window),
                accumulate: accumulate || !begins || image > 0,
                batch: None,
            })?;
        }
        Ok(())
    })
}
