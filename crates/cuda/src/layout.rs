//! A convolution as products and cuDNN see it: channels last, in whole vectors, in shares.

use alexnet_net::{Convolution, DeviceError};

use crate::device::Device;
use crate::launch::Arg;
use crate::shape::{ColumnShape, FilterShape, FoldShape};
use crate::tensor::{Scratch, Type};

/// Bytes of columns at a time: enough to fill a GPU, little beside its memory.
const COLUMNS: usize = 512 << 20;
/// Sides of the tile that a multiprocessor takes of a product, about.
const TILE: usize = 128;

/// A convolution's sizes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// As the net has it.
    net: Convolution,
    /// As it is computed: with squares of `fold`·`fold` pixels as one, if that fills whole vectors.
    pub op: Convolution,
    fold: usize,
    /// Values of a row of columns and of a filter, filled up with zeros.
    pub row: usize,
    /// Images whose columns are held at a time.
    pub chunk: usize,
    /// Output channels of a group.
    pub maps: usize,
    pub of: Type,
}

impl Layout {
    /// For batches of `n`; folded where that helps, if allowed. A fold has no way back to the image.
    pub fn new(of: Type, net: &Convolution, n: usize, foldable: bool) -> Layout {
        let lanes = 16 / of.width();
        let channels = net.inputs / net.groups;
        let fold = net.stride;
        let folds = foldable
            && net.groups == 1
            && fold > 1
            && !channels.is_multiple_of(lanes)
            && (fold * fold * channels).is_multiple_of(lanes);
        let mut op = *net;
        if folds {
            let side = net.kernel.div_ceil(fold);
            op.inputs = fold * fold * net.inputs;
            (op.height, op.width) = (net.out_height + side - 1, net.out_width + side - 1);
            (op.kernel, op.stride, op.padding) = (side, 1, 0);
        }
        let row = op.window().next_multiple_of(lanes);
        let image = op.positions() * op.groups * row * of.width();
        Layout {
            net: *net,
            op,
            fold: if folds { fold } else { 1 },
            row,
            chunk: (COLUMNS / image.max(1)).clamp(1, n.max(1)),
            maps: op.outputs / op.groups,
            of,
        }
    }

    /// Values of the filters, zeros included.
    pub fn filters(&self) -> usize {
        self.op.outputs * self.row
    }

    /// Values of the columns of `images` images.
    pub fn columns(&self, images: usize) -> usize {
        images * self.op.positions() * self.op.groups * self.row
    }

    /// Values of `n` folded images, 0 if they are not folded.
    pub fn folded(&self, n: usize) -> usize {
        if self.fold > 1 { n * self.op.input_len() } else { 0 }
    }

    /// Shares of `images` images in the weights' gradient: a divisor that makes about two tiles for each multiprocessor.
    pub fn shares(&self, device: &Device, images: usize) -> usize {
        let tiles = self.row.div_ceil(TILE) * self.maps.div_ceil(TILE);
        let wanted = (2 * device.multiprocessors as usize).div_ceil(tiles).min(images);
        (1..=wanted).rev().find(|&shares| images.is_multiple_of(shares)).unwrap_or(1)
    }

    /// The first image and the number of images of each chunk.
    pub fn chunks(&self, n: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let chunk = self.chunk;
        (0..n).step_by(chunk).map(move |first| (first, chunk.min(n - first)))
    }

    pub fn shape(&self, device: &Device, images: usize) -> Result<ColumnShape, DeviceError> {
        let op = &self.op;
        device.int(self.columns(images))?;
        device.int(images * op.input_len())?;
        let int = |value| device.int(value);
        Ok(ColumnShape {
            batch: int(images)?,
            groups: int(op.groups)?,
            channels: int(op.inputs / op.groups)?,
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

    fn filter_shape(&self, device: &Device) -> Result<FilterShape, DeviceError> {
        let int = |value| device.int(value);
        int(self.filters())?;
        Ok(FilterShape {
            outputs: int(self.op.outputs)?,
            channels: int(self.net.inputs / self.net.groups)?,
            kernel: int(self.net.kernel)?,
            fold: int(self.fold)?,
            side: int(self.op.kernel)?,
            row: int(self.row)?,
        })
    }
}

impl Device {
    /// The weights at `w` as products read them.
    pub fn filters_last(&mut self, layout: &Layout, w: u64) -> Result<u64, DeviceError> {
        let to = self.room(Scratch::Filters, layout.filters() * layout.of.width())?;
        let shape = layout.filter_shape(self)?;
        let args = [Arg::Address(w), Arg::Address(to), Arg::Filters(&shape)];
        self.launch(self.typed("filters_last", layout.of)?, self.grid(layout.filters()), &args)?;
        Ok(to)
    }

    /// The sum of `count` gradients of filters, in rows of `row` values, to `dw`, in the net's order.
    pub fn filters_first(
        &self,
        layout: &Layout,
        (parts, of, count, row): (u64, Type, usize, usize),
        dw: u64,
        accumulate: bool,
    ) -> Result<(), DeviceError> {
        let shape = FilterShape { row: self.int(row)?, ..layout.filter_shape(self)? };
        let args = [
            Arg::Address(parts),
            Arg::Address(dw),
            Arg::Filters(&shape),
            Arg::Int(self.int(count)?),
            Arg::Int(i32::from(accumulate)),
        ];
        self.launch(self.typed("filters_first", of)?, self.grid(layout.net.weight_len()), &args)
    }

    /// `n` images, channels last, as the layout reads them; if `again`, those that the forward pass folded may still serve.
    pub fn folded(&mut self, layout: &Layout, x: u64, n: usize, again: bool) -> Result<u64, DeviceError> {
        if layout.fold == 1 {
            return Ok(x);
        }
        let (net, len) = (&layout.net, layout.folded(n));
        let to = self.room(Scratch::Folded, len * layout.of.width())?;
        let kept = (x, n, layout.net);
        if self.kept_fold.replace(kept) == Some(kept) && again {
            return Ok(to);
        }
        self.int(len)?;
        let int = |value| self.int(value);
        let shape = FoldShape {
            batch: int(n)?,
            channels: int(net.inputs)?,
            height: int(net.height)?,
            width: int(net.width)?,
            fold: int(layout.fold)?,
            pad: int(net.padding)?,
            out_height: int(layout.op.height)?,
            out_width: int(layout.op.width)?,
        };
        let args = [Arg::Address(x), Arg::Address(to), Arg::Fold(&shape)];
        let work = n * layout.op.height * layout.op.width * layout.fold;
        self.launch(self.typed("fold", layout.of)?, self.grid(work), &args)?;
        Ok(to)
    }
}
