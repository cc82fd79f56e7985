//! The kernels that are neither products nor exchanges: a device's launches with their shapes, checked first.

use alexnet_net::{
    AveragePool, DeviceError, Dropout, LocalResponse, MaxPool, Segment, SoftmaxSlice, WithinMap,
};

use crate::device::{Device, failed};
use crate::launch::{Arg, Grid};
use crate::shape::{DropoutKey, PoolShape, UpdateSegment, WithinMapShape};

/// Elements of momentum_update's block (`ALX_UPDATE_CHUNK`).
const UPDATE_CHUNK: usize = 4096;

type Done = Result<(), DeviceError>;

impl Device {
    /// Adds the bias to `[n, channels, plane]` and rectifies if asked.
    #[allow(clippy::too_many_arguments)] // an operation's sizes
    pub fn bias(&self, n: usize, channels: usize, plane: usize, y: u64, bias: u64, rectify: bool) -> Done {
        let args = [
            Arg::Address(y),
            Arg::Address(bias),
            Arg::Int(self.int(n)?),
            Arg::Int(self.int(channels)?),
            Arg::Int(self.int(plane)?),
            Arg::Int(i32::from(rectify)),
        ];
        self.int(n * channels * plane)?;
        self.launch("bias_forward", self.grid(n * channels * plane), &args)
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

    pub fn normalise_maps(
        &self,
        kernel: &'static str,
        op: &LocalResponse,
        n: usize,
        buffers: &[u64],
    ) -> Done {
        if op.beta != 0.75 || op.size.is_multiple_of(2) || !(3..=9).contains(&op.size) {
            return Err(failed(self.number, kernel)(format!(
                "windows of {} maps with beta {} have no kernel",
                op.size, op.beta
            )));
        }
        self.int(n * op.channels * op.pixels)?;
        let mut args: Vec<Arg> = buffers.iter().map(|&buffer| Arg::Address(buffer)).collect();
        for value in [n, op.columns, op.channels / op.columns, op.pixels, op.size / 2] {
            args.push(Arg::Int(self.int(value)?));
        }
        args.extend([Arg::Float(op.k), Arg::Float(op.alpha)]);
        self.launch(kernel, self.grid(n * op.columns * op.pixels), &args)
    }

    pub fn normalise_pixels(
        &self,
        kernel: &'static str,
        op: &WithinMap,
        n: usize,
        copies: usize,
        buffers: &[u64],
    ) -> Done {
        let shared = copies * op.height * op.width * 4;
        if op.beta != 0.75 || op.size.is_multiple_of(2) || shared > 48 << 10 {
            let problem = format!(
                "a window of {0}×{0}, maps of {1}×{2}, beta {3} have no kernel",
                op.size, op.height, op.width, op.beta
            );
            return Err(failed(self.number, kernel)(problem));
        }
        self.int(n * op.channels * op.height * op.width)?;
        let shape = WithinMapShape {
            height: self.int(op.height)?,
            width: self.int(op.width)?,
            half: self.int(op.size / 2)?,
            k: op.k,
            alpha: op.alpha,
        };
        let mut args: Vec<Arg> = buffers.iter().map(|&buffer| Arg::Address(buffer)).collect();
        args.push(Arg::WithinMap(&shape));
        self.launch(kernel, Grid { shared: shared as u32, ..Grid::blocks(n * op.channels) }, &args)
    }

    /// Launches a pooling kernel for `work` items.
    pub fn pool(&self, kernel: &'static str, op: &MaxPool, n: usize, work: usize, buffers: &[u64]) -> Done {
        let int = |value| self.int(value);
        int(n * op.input_len())?;
        let shape = PoolShape {
            maps: int(n * op.channels)?,
            height: int(op.height)?,
            width: int(op.width)?,
            out_height: int(op.out_height)?,
            out_width: int(op.out_width)?,
            size: int(op.size)?,
            stride: int(op.stride)?,
        };
        let mut args: Vec<Arg> = buffers.iter().map(|&buffer| Arg::Address(buffer)).collect();
        args.push(Arg::Pool(&shape));
        self.launch(kernel, self.grid(work), &args)
    }

    /// As [`Device::pool`], for means.
    pub fn average(
        &self,
        kernel: &'static str,
        op: &AveragePool,
        n: usize,
        work: usize,
        buffers: &[u64],
    ) -> Done {
        let AveragePool { channels, height, width, size, stride, out_height, out_width } = *op;
        let windows = MaxPool { channels, height, width, size, stride, out_height, out_width };
        self.pool(kernel, &windows, n, work, buffers)
    }

    /// Spreads a share of each label over all classes.
    pub fn smooth(&self, op: &SoftmaxSlice, n: usize, smoothing: f32, [logits, gradient]: [u64; 2]) -> Done {
        let mut args = vec![Arg::Address(logits), Arg::Address(gradient)];
        for size in [op.classes, op.first, op.count] {
            args.push(Arg::Int(self.int(size)?));
        }
        args.push(Arg::Float(smoothing));
        self.launch("smooth_labels", Grid::blocks(n), &args)
    }

    /// Draws a mask and multiplies by it.
    pub fn dropout(&self, op: &Dropout, n: usize, y: u64, mask: u64) -> Done {
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
        let args = [Arg::Address(y), Arg::Address(mask), Arg::Dropout(&key)];
        self.launch("dropout_forward", self.grid(n * op.units.div_ceil(4)), &args)
    }

    /// Changes parameters and velocities (the first two addresses) by the gradient (the third).
    pub fn momentum_update(&mut self, segments: &[Segment], momentum: f32, [w, v, g]: [u64; 3]) -> Done {
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
        let mut place = self.segments.take();
        let buffer = self.grown(&mut place, table.len())?;
        let mut view = buffer.slice.slice_mut(0..table.len());
        self.stream.memcpy_htod(&table, &mut view).map_err(failed(self.number, "update"))?;
        let args = [
            Arg::Address(w),
            Arg::Address(v),
            Arg::Address(g),
            Arg::Address(buffer.address),
            Arg::Int(self.int(table.len())?),
            Arg::Unsigned(last.end),
            Arg::Float(momentum),
            self.shadow_of(w),
        ];
        self.segments = place;
        self.int(last.end as usize)?;
        self.launch("momentum_update", Grid::blocks((last.end as usize).div_ceil(UPDATE_CHUNK)), &args)
    }
}
