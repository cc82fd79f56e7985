//! Operations on maps, normalisation and pooling: their buffers in the order the kernels want, and their launches.

use alexnet_net::{AveragePool, DeviceError, LocalResponse, MaxPool, ResponsePool, WithinMap};

use crate::device::{Device, failed};
use crate::launch::Arg;
use crate::shape::{PoolShape, WithinMapShape};
use crate::tensor::{Floats, Maps, Scratch, Type};

type Done = Result<(), DeviceError>;

/// Windows that a thread of response_pool_forward takes (`ALX_STRIP`).
const STRIP: usize = 4;

/// The windows of means, which are those of maxima.
fn windows(op: &AveragePool) -> MaxPool {
    let AveragePool { channels, height, width, size, stride, out_height, out_width } = *op;
    MaxPool { channels, height, width, size, stride, out_height, out_width }
}

impl Device {
    pub fn across_maps(&mut self, op: &LocalResponse, n: usize, x: &Floats, y: &mut Floats) -> Done {
        let from = self.last(x, n, op.channels, op.pixels)?;
        y.maps = Maps::of(n, op.channels, op.pixels);
        self.normalise_maps("lrn_forward", op, n, None, (&[from, y.address], y.of))
    }

    /// Masked by x if that is a rectifier's output.
    pub fn across_maps_back(
        &mut self,
        op: &LocalResponse,
        n: usize,
        x: &Floats,
        dy: &Floats,
        dx: &mut Floats,
        rectified: bool,
    ) -> Done {
        let [x, dy] = self.both(n, (x, op.channels, op.pixels), (dy, op.channels, op.pixels))?;
        dx.maps = Maps::of(n, op.channels, op.pixels);
        self.normalise_maps("lrn_backward", op, n, Some(rectified), (&[x, dy, dx.address], dx.of))
    }

    pub fn within_maps(&mut self, op: &WithinMap, n: usize, x: &Floats, y: &mut Floats) -> Done {
        let pixels = op.height * op.width;
        let from = self.last(x, n, op.channels, pixels)?;
        y.maps = Maps::of(n, op.channels, pixels);
        self.normalise_pixels("within_map_forward", op, n, (&[from, y.address], y.of))
    }

    pub fn within_maps_back(
        &mut self,
        op: &WithinMap,
        n: usize,
        x: &Floats,
        dy: &Floats,
        dx: &mut Floats,
    ) -> Done {
        let pixels = op.height * op.width;
        let [x, dy] = self.both(n, (x, op.channels, pixels), (dy, op.channels, pixels))?;
        let terms = self.room(Scratch::Terms, n * op.channels * pixels * dx.of.width())?;
        dx.maps = Maps::of(n, op.channels, pixels);
        self.normalise_pixels("within_map_terms", op, n, (&[x, dy, dx.address, terms], dx.of))?;
        self.normalise_pixels("within_map_backward", op, n, (&[x, terms, dx.address], dx.of))
    }

    pub fn maxima(
        &mut self,
        op: &MaxPool,
        n: usize,
        x: &Floats,
        y: &mut Floats,
        places: &Floats<u8>,
    ) -> Done {
        let from = self.last(x, n, op.channels, op.height * op.width)?;
        y.maps = Maps::of(n, op.channels, op.out_height * op.out_width);
        let buffers = [from, y.address, places.address];
        self.pool("max_pool_forward", op, n, n * op.output_len(), (&buffers, y.of))
    }

    /// Masked by the maxima y if they are given.
    pub fn maxima_back(
        &mut self,
        op: &MaxPool,
        n: usize,
        (places, y): (&Floats<u8>, Option<&Floats>),
        dy: &Floats,
        dx: &mut Floats,
    ) -> Done {
        let pixels = op.out_height * op.out_width;
        let (from, y) = match y {
            Some(y) => {
                let [y, dy] = self.both(n, (y, op.channels, pixels), (dy, op.channels, pixels))?;
                (dy, y)
            }
            None => (self.last(dy, n, op.channels, pixels)?, 0),
        };
        dx.maps = Maps::of(n, op.channels, op.height * op.width);
        let buffers = [from, places.address, y, dx.address];
        self.pool("max_pool_backward", op, n, n * op.input_len(), (&buffers, dx.of))
    }

    pub fn means(&mut self, op: &AveragePool, n: usize, x: &Floats, y: &mut Floats) -> Done {
        let op = &windows(op);
        let from = self.last(x, n, op.channels, op.height * op.width)?;
        y.maps = Maps::of(n, op.channels, op.out_height * op.out_width);
        self.pool("average_pool_forward", op, n, n * op.output_len(), (&[from, y.address], y.of))
    }

    pub fn means_back(&mut self, op: &AveragePool, n: usize, dy: &Floats, dx: &mut Floats) -> Done {
        let op = &windows(op);
        let from = self.last(dy, n, op.channels, op.out_height * op.out_width)?;
        dx.maps = Maps::of(n, op.channels, op.height * op.width);
        self.pool("average_pool_backward", op, n, n * op.input_len(), (&[from, dx.address], dx.of))
    }

    fn has_response(&self, kernel: &'static str, op: &LocalResponse) -> Done {
        if op.beta != 0.75 || op.size.is_multiple_of(2) || !(3..=9).contains(&op.size) {
            return Err(failed(self.number, kernel)(format!(
                "windows of {} maps with beta {} have no kernel",
                op.size, op.beta
            )));
        }
        Ok(())
    }

    fn normalise_maps(
        &self,
        kernel: &'static str,
        op: &LocalResponse,
        n: usize,
        rectified: Option<bool>,
        (buffers, of): (&[u64], Type),
    ) -> Done {
        self.has_response(kernel, op)?;
        self.int(n * op.channels * op.pixels)?;
        let mut args: Vec<Arg> = buffers.iter().map(|&buffer| Arg::Address(buffer)).collect();
        for value in [n * op.pixels, op.columns, op.channels / op.columns, op.size / 2] {
            args.push(Arg::Int(self.int(value)?));
        }
        args.extend([Arg::Float(op.k), Arg::Float(op.alpha)]);
        args.extend(rectified.map(|rectified| Arg::Int(i32::from(rectified))));
        self.launch(self.typed(kernel, of)?, self.lanes(n * op.channels * op.pixels, of), &args)
    }

    fn normalise_pixels(
        &self,
        kernel: &'static str,
        op: &WithinMap,
        n: usize,
        (buffers, of): (&[u64], Type),
    ) -> Done {
        if op.beta != 0.75 || op.size.is_multiple_of(2) {
            let problem = format!("a window of {0}×{0} with beta {1} has no kernel", op.size, op.beta);
            return Err(failed(self.number, kernel)(problem));
        }
        let len = n * op.channels * op.height * op.width;
        self.int(len)?;
        let shape = WithinMapShape {
            batch: self.int(n)?,
            height: self.int(op.height)?,
            width: self.int(op.width)?,
            channels: self.int(op.channels)?,
            half: self.int(op.size / 2)?,
            k: op.k,
            alpha: op.alpha,
        };
        let mut args: Vec<Arg> = buffers.iter().map(|&buffer| Arg::Address(buffer)).collect();
        args.push(Arg::WithinMap(&shape));
        self.launch(self.typed(kernel, of)?, self.lanes(len, of), &args)
    }

    /// Launches a pooling kernel for `work` values.
    fn pool(
        &self,
        kernel: &'static str,
        op: &MaxPool,
        n: usize,
        work: usize,
        (buffers, of): (&[u64], Type),
    ) -> Done {
        let shape = self.pool_shape(op, n)?;
        let mut args: Vec<Arg> = buffers.iter().map(|&buffer| Arg::Address(buffer)).collect();
        args.push(Arg::Pool(&shape));
        self.launch(self.typed(kernel, of)?, self.lanes(work, of), &args)
    }

    /// Launches a kernel of both; `masked` is what it does about its rectifier.
    pub fn response_pool(
        &self,
        kernel: &'static str,
        op: &ResponsePool,
        n: usize,
        masked: bool,
        (buffers, of): (&[u64], Type),
    ) -> Done {
        let ResponsePool { response, pool, .. } = op;
        self.has_response(kernel, response)?;
        let shape = self.pool_shape(pool, n)?;
        let mut args: Vec<Arg> = buffers.iter().map(|&buffer| Arg::Address(buffer)).collect();
        args.extend([Arg::Pool(&shape), Arg::Int(self.int(response.columns)?)]);
        args.push(Arg::Int(self.int(response.size / 2)?));
        args.extend([Arg::Float(response.k), Arg::Float(response.alpha), Arg::Int(i32::from(masked))]);
        // Forward a thread takes a strip of windows, backward a pixel.
        let forward = pool.channels * pool.out_height.div_ceil(STRIP) * pool.out_width;
        let work = if buffers.len() == 3 { forward } else { pool.input_len() };
        self.launch(self.typed(kernel, of)?, self.lanes(n * work, of), &args)
    }

    fn pool_shape(&self, op: &MaxPool, n: usize) -> Result<PoolShape, DeviceError> {
        let int = |value| self.int(value);
        int(n * op.input_len())?;
        Ok(PoolShape {
            batch: int(n)?,
            channels: int(op.channels)?,
            height: int(op.height)?,
            width: int(op.width)?,
            out_height: int(op.out_height)?,
            out_width: int(op.out_width)?,
            size: int(op.size)?,
            stride: int(op.stride)?,
        })
    }
}
