//! The kernels that are neither products nor exchanges: a device's launches with their shapes, checked first.

use alexnet_net::{DeviceError, Dropout, Segment, SoftmaxSlice};

use crate::device::Device;
use crate::launch::{Arg, Grid};
use crate::shape::{DropoutKey, UpdateSegment};
use crate::tensor::{Floats, Scratch, Type};

/// Elements of momentum_update's block (`ALX_UPDATE_CHUNK`).
const UPDATE_CHUNK: usize = 4096;

type Done = Result<(), DeviceError>;

impl Device {
    /// Adds the bias to `[rows, channels]` and rectifies if asked.
    pub fn bias(&self, y: &Floats, rows: usize, channels: usize, bias: u64, rectify: bool) -> Done {
        let args = [
            Arg::Address(y.address),
            Arg::Address(bias),
            Arg::Int(self.int(rows)?),
            Arg::Int(self.int(channels)?),
            Arg::Int(i32::from(rectify)),
        ];
        self.int(rows * channels)?;
        self.launch(self.typed("bias_forward", y.of)?, self.lanes(rows * channels, y.of), &args)
    }

    /// The bias' gradient: dy `[rows, channels]` at an address, added over the rows.
    pub fn bias_gradient(
        &mut self,
        (dy, of): (u64, Type),
        rows: usize,
        channels: usize,
        bias: u64,
        accumulate: bool,
    ) -> Done {
        let share = rows.div_ceil(4 * self.multiprocessors as usize).max(8);
        let parts = rows.div_ceil(share);
        let sums = self.room(Scratch::Sums, 4 * parts * channels)?;
        self.int(rows * channels)?;
        let sizes = [rows, channels, share];
        self.rows(self.typed("row_sums", of)?, parts, &[dy, sums], &sizes)?;
        self.rows("bias_gradient", channels, &[sums, bias], &[parts, channels, usize::from(accumulate)])
    }

    /// Enough blocks for `len` values taken 16 bytes at a time.
    pub fn lanes(&self, len: usize, of: Type) -> Grid {
        self.grid(len.div_ceil(16 / of.width()))
    }

    /// Launches a kernel of (address, address, length).
    pub fn pairwise(&self, kernel: &'static str, len: usize, a: u64, b: u64) -> Done {
        self.launch(kernel, self.grid(len), &[Arg::Address(a), Arg::Address(b), Arg::Int(self.int(len)?)])
    }

    /// Launches a kernel of addresses and sizes with a block for each of `n` rows.
    pub fn rows(&self, kernel: &'static str, n: usize, buffers: &[u64], sizes: &[usize]) -> Done {
        let mut args: Vec<Arg> = buffers.iter().map(|&buffer| Arg::Address(buffer)).collect();
        for &size in sizes {
            args.push(Arg::Int(self.int(size)?));
        }
        self.launch(kernel, Grid::blocks(n), &args)
    }

    pub fn rectify(&self, len: usize, y: &mut Floats) -> Done {
        let args = [Arg::Address(y.address), Arg::Int(self.int(len)?)];
        self.launch(self.typed("relu_forward", y.of)?, self.lanes(len, y.of), &args)
    }

    pub fn rectify_back(&mut self, len: usize, y: &Floats, dy: &mut Floats) -> Done {
        self.reorder(dy, y.maps)?;
        let args = [Arg::Address(y.address), Arg::Address(dy.address), Arg::Int(self.int(len)?)];
        self.launch(self.typed("relu_backward", y.of)?, self.lanes(len, y.of), &args)
    }

    pub fn tanh(&self, len: usize, x: &Floats, y: &mut Floats) -> Done {
        y.maps = x.maps;
        self.pairwise(self.typed("tanh_forward", y.of)?, len, x.address, y.address)
    }

    pub fn tanh_back(&mut self, len: usize, x: &Floats, dy: &mut Floats) -> Done {
        self.reorder(dy, x.maps)?;
        self.pairwise(self.typed("tanh_backward", dy.of)?, len, x.address, dy.address)
    }

    pub fn mask(&mut self, len: usize, mask: &Floats, dy: &mut Floats) -> Done {
        self.reorder(dy, None)?;
        self.pairwise(self.typed("multiply", dy.of)?, len, mask.address, dy.address)
    }

    pub fn scale(&self, len: usize, factor: f32, y: &mut Floats) -> Done {
        let args = [Arg::Address(y.address), Arg::Float(factor), Arg::Int(self.int(len)?)];
        self.launch(self.typed("scale", y.of)?, self.grid(len), &args)
    }

    /// Loss and ranks from logits and labels; the score's address, the third, is one of the settings.
    pub fn score(&self, n: usize, classes: usize, [logits, labels, score]: [u64; 3]) -> Done {
        self.rows("softmax_score", n, &[logits, labels, self.setting(&[score])?], &[n, classes])
    }

    /// softmax − one-hot of the classes of `op`.
    pub fn softmax_gradient(
        &self,
        op: &SoftmaxSlice,
        n: usize,
        [logits, labels]: [u64; 2],
        gradient: &mut Floats,
    ) -> Done {
        gradient.maps = None;
        let kernel = self.typed("softmax_gradient", gradient.of)?;
        self.rows(kernel, n, &[logits, labels, gradient.address], &[op.classes, op.first, op.count])
    }

    /// Spreads a share of each label over all classes.
    pub fn smooth(
        &self,
        op: &SoftmaxSlice,
        n: usize,
        smoothing: f32,
        logits: u64,
        gradient: &Floats,
    ) -> Done {
        let mut args = vec![Arg::Address(logits), Arg::Address(gradient.address)];
        for size in [op.classes, op.first, op.count] {
            args.push(Arg::Int(self.int(size)?));
        }
        args.push(Arg::Float(smoothing));
        self.launch(self.typed("smooth_labels", gradient.of)?, Grid::blocks(n), &args)
    }

    /// Draws a mask and multiplies by it; units are numbered as the host has them.
    pub fn dropout(&mut self, op: &Dropout, n: usize, y: &mut Floats, mask: u64) -> Done {
        self.reorder(y, None)?;
        let key = DropoutKey {
            seed: op.seed,
            first_position: op.first_position,
            threshold: op.threshold,
            epoch: op.epoch,
            purpose: op.purpose as u32,
            units: self.int(op.units)?,
            first_unit: self.int(op.first_unit as usize)?,
            scale: op.scale,
            batch: self.int(n)?,
        };
        let args = [y.address, mask, self.setting(&[key])?].map(Arg::Address);
        self.launch(self.typed("dropout_forward", y.of)?, self.grid(n * op.units.div_ceil(4)), &args)
    }

    /// Changes parameters and velocities (the first two addresses) by the gradient (the third).
    pub fn momentum_update(&mut self, segments: &[Segment], momentum: f32, [w, v, g]: [u64; 3]) -> Done {
        self.await_sums()?;
        let table: Vec<UpdateSegment> = segments
            .iter()
            .map(|s| UpdateSegment {
                begin: s.range.start as u32,
                end: s.range.end as u32,
                rate: s.rate,
                decay: s.decay,
            })
            .collect();
        let Some(last) = table.last() else { return Ok(()) };
        let args = [
            Arg::Address(w),
            Arg::Address(v),
            Arg::Address(g),
            Arg::Address(self.setting(&table)?),
            Arg::Int(self.int(table.len())?),
            Arg::Unsigned(last.end),
            Arg::Float(momentum),
            self.shadow_of(w),
        ];
        self.int(last.end as usize)?;
        self.launch("momentum_update", Grid::blocks((last.end as usize).div_ceil(UPDATE_CHUNK)), &args)
    }
}
