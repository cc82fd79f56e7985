//! Values of one device, and how they lie.
//!
//! Activations are float32, or bfloat16 where the precision says so, and lie channels last, `[n, pixels, channels]`, from the
//! first convolution to the last pooling: a pixel's channels then stand side by side for products, normalisation and
//! wide loads. A buffer says itself how its values lie; who needs the other order turns them ([`Device::last`],
//! [`Device::first`]), and what the host sees is always float32 `[n, channels, pixels]`.

use alexnet_net::DeviceError;
use cudarc::driver::CudaSlice;

use crate::device::{Device, failed};
use crate::launch::Arg;

/// The type of a buffer's values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Type {
    #[default]
    F32,
    Bf16,
}

impl Type {
    /// Bytes of a value.
    pub fn width(self) -> usize {
        if self == Type::Bf16 { 2 } else { 4 }
    }
}

/// `images` samples that lie `[pixels, channels]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Maps {
    pub images: usize,
    pub channels: usize,
    pub pixels: usize,
}

impl Maps {
    /// How the output of `n` images lies; a single pixel has only one order.
    pub fn of(images: usize, channels: usize, pixels: usize) -> Option<Maps> {
        (pixels > 1).then_some(Maps { images, channels, pixels })
    }

    fn len(self) -> usize {
        self.images * self.channels * self.pixels
    }
}

/// Values of one device.
#[derive(Debug)]
pub struct Floats<T = f32> {
    pub(crate) slice: CudaSlice<T>,
    pub(crate) address: u64,
    len: usize,
    pub(crate) of: Type,
    /// How the first values lie, if channels last.
    pub(crate) maps: Option<Maps>,
}

impl<T> Floats<T> {
    pub(crate) fn new(slice: CudaSlice<T>, address: u64, len: usize, of: Type) -> Self {
        Floats { slice, address, len, of, maps: None }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The address of value `at`.
    pub(crate) fn at(&self, at: usize) -> u64 {
        let width = if self.of == Type::Bf16 { 2 } else { size_of::<T>() };
        self.address + (at * width) as u64
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Memory for intermediate results, grown when needed and then kept.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scratch {
    /// Columns of a convolution.
    Columns,
    /// An image with squares of pixels as one.
    Folded,
    /// Weights of a convolution, channels last.
    Filters,
    /// Where patches begin.
    Spots,
    /// What cuDNN works in.
    Library,
    /// What cuBLASLt works in.
    Products,
    /// Gradients of those, one for each share of the batch.
    Parts,
    /// Sums of rows, on the way to a bias' gradient.
    Sums,
    /// Inputs or gradients in the other order.
    Turned,
    /// One of two such.
    Kept,
    /// Terms of a normalisation within maps.
    Terms,
    /// float32 on the way from or to the host.
    Transfer,
    /// Slices from other devices.
    Incoming,
    /// Slices for other devices.
    Outgoing,
}

impl Scratch {
    pub const COUNT: usize = Scratch::Outgoing as usize + 1;
}

impl Device {
    /// The address of at least `bytes` bytes, which the next caller of the same name overwrites.
    pub fn room(&mut self, name: Scratch, bytes: usize) -> Result<u64, DeviceError> {
        match &self.scratch[name as usize] {
            Some(buffer) if buffer.len() >= bytes => Ok(buffer.address),
            _ => {
                self.order()?; // what still reads it
                self.scratch[name as usize] = None; // its memory first
                self.kept_fold = None;
                let made = self.zeros(bytes)?;
                let address = made.address;
                self.scratch[name as usize] = Some(made);
                Ok(address)
            }
        }
    }

    /// The type of activations.
    pub fn activation(&self) -> Type {
        self.precision.activation()
    }

    /// `from` of `batch` times `[rows, columns]` to `[columns, rows]`.
    fn transpose(
        &self,
        of: Type,
        from: u64,
        to: u64,
        [batch, rows, columns]: [usize; 3],
    ) -> Result<(), DeviceError> {
        let mut args = vec![Arg::Address(from), Arg::Address(to)];
        for size in [batch, rows, columns] {
            args.push(Arg::Int(self.int(size)?));
        }
        let len = batch * rows * columns;
        self.int(len)?;
        self.launch(self.typed("transpose", of)?, self.grid(len), &args)
    }

    /// Where `n` samples of `channels` maps of `pixels` pixels lie channels last.
    pub fn last(&mut self, x: &Floats, n: usize, channels: usize, pixels: usize) -> Result<u64, DeviceError> {
        match x.maps {
            _ if channels == 1 || pixels == 1 => Ok(x.address),
            Some(maps) if (maps.channels, maps.pixels) == (channels, pixels) => Ok(x.address),
            Some(maps) => Err(self.misfit(maps, channels * pixels)),
            None => {
                let to = self.room(Scratch::Turned, n * channels * pixels * x.of.width())?;
                self.kept_fold = None; // of what stood there
                self.transpose(x.of, x.address, to, [n, channels, pixels])?;
                Ok(to)
            }
        }
    }

    /// As [`Device::last`], of two buffers, each with its channels and pixels, that are read together.
    pub fn both(
        &mut self,
        n: usize,
        x: (&Floats, usize, usize),
        y: (&Floats, usize, usize),
    ) -> Result<[u64; 2], DeviceError> {
        let mut first = self.last(x.0, n, x.1, x.2)?;
        if first != x.0.address && y.0.maps.is_none() {
            // Both are turned, which no net asks for: the first makes room for the second.
            let bytes = n * x.1 * x.2 * x.0.of.width();
            let kept = self.room(Scratch::Kept, bytes)?;
            self.copy(first, kept, bytes)?;
            first = kept;
        }
        Ok([first, self.last(y.0, n, y.1, y.2)?])
    }

    /// Where `n` samples of `len` values lie as the host has them.
    pub fn first(&mut self, x: &Floats, n: usize, len: usize) -> Result<u64, DeviceError> {
        match x.maps {
            Some(maps) if maps.channels * maps.pixels != len => Err(self.misfit(maps, len)),
            Some(maps) if maps.channels > 1 => {
                let to = self.room(Scratch::Turned, n * len * x.of.width())?;
                self.transpose(x.of, x.address, to, [n, maps.pixels, maps.channels])?;
                Ok(to)
            }
            _ => Ok(x.address),
        }
    }

    /// Turns the values of `x` in place, so that they lie as `maps` says.
    pub fn reorder(&mut self, x: &mut Floats, maps: Option<Maps>) -> Result<(), DeviceError> {
        if x.maps == maps {
            return Ok(());
        }
        let (all, turned) = match (x.maps, maps) {
            (Some(now), None) => (now, self.first(x, now.images, now.channels * now.pixels)?),
            (None, Some(to)) => (to, self.last(x, to.images, to.channels, to.pixels)?),
            (Some(now), Some(to)) => return Err(self.misfit(now, to.channels * to.pixels)),
            (None, None) => return Ok(()),
        };
        if turned != x.address {
            self.copy(turned, x.address, all.len() * x.of.width())?;
        }
        x.maps = maps;
        Ok(())
    }

    fn misfit(&self, maps: Maps, len: usize) -> DeviceError {
        let Maps { channels, pixels, .. } = maps;
        failed(self.number, "read an activation")(format!(
            "it holds {channels} maps of {pixels} pixels a sample, {len} values are asked for"
        ))
    }

    /// Copies host values to `to[offset ..]`; the host's may change as soon as this returns.
    pub fn upload(&mut self, from: &[f32], to: &mut Floats, offset: usize) -> Result<(), DeviceError> {
        to.maps = None;
        if to.of == Type::F32 {
            return self.put(from, to, offset);
        }
        let staged = self.room(Scratch::Transfer, 4 * from.len())?;
        self.put_at(from, staged)?;
        self.pairwise("narrow", from.len(), staged, to.at(offset))
    }

    /// Waits for the device and copies `from[offset ..]` to the host.
    pub fn download(&mut self, from: &Floats, offset: usize, to: &mut [f32]) -> Result<(), DeviceError> {
        self.await_sums()?;
        self.order()?;
        let end = offset + to.len();
        // What lies channels last comes first; the rest of a buffer lies as it was put there.
        let split = from.maps.map_or(0, Maps::len).clamp(offset, end) - offset;
        let (turned, plain) = to.split_at_mut(split);
        if let Some(maps) = from.maps.filter(|_| !turned.is_empty()) {
            let whole = self.first(from, maps.images, maps.channels * maps.pixels)?;
            self.fetch(from.of, whole + (offset * from.of.width()) as u64, turned)?;
        }
        self.fetch(from.of, from.at(offset + split), plain)?;
        self.wait()
    }

    fn fetch(&mut self, of: Type, from: u64, to: &mut [f32]) -> Result<(), DeviceError> {
        if to.is_empty() || of == Type::F32 {
            return self.get_at(from, to);
        }
        let widened = self.room(Scratch::Transfer, 4 * to.len())?;
        self.pairwise("widen", to.len(), from, widened)?;
        self.get_at(widened, to)
    }
}
