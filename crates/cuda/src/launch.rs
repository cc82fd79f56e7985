//! Launches: every kernel call of the crate goes through [`Device::launch`], and from there in its turn to the stream
//! ([`crate::work`]).
//!
//! A launch's arguments must be those of the kernel's signature in `kernels/`; the stand-in driver of `tests/shim`
//! checks their sizes, guard pages their addresses.
#![allow(unsafe_code)]

use std::ffi::c_void;

use alexnet_net::DeviceError;
use cudarc::driver::{CudaGraph, DeviceRepr, result};

use crate::device::{Device, failed};
use crate::work::{Launch, Work};

/// Threads per block of every kernel.
pub(crate) const BLOCK: u32 = 256;

/// How many blocks, and how much dynamic shared memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Grid {
    pub blocks: u32,
    pub shared: u32,
}

impl Grid {
    /// One block for each of `n` maps, channels or samples.
    pub fn blocks(n: usize) -> Grid {
        Grid { blocks: n as u32, shared: 0 }
    }
}

/// One argument.
#[derive(Clone, Copy)]
pub(crate) enum Arg<'a> {
    Address(u64),
    Int(i32),
    Unsigned(u32),
    Float(f32),
    Augment(&'a crate::shape::AugmentShape),
    Columns(&'a crate::shape::ColumnShape),
    Convolve(&'a crate::shape::ConvolveShape),
    Fold(&'a crate::shape::FoldShape),
    Filters(&'a crate::shape::FilterShape),
    Pool(&'a crate::shape::PoolShape),
    WithinMap(&'a crate::shape::WithinMapShape),
    Sources(&'a crate::shape::Sources),
}

/// Many launches, to be made by one.
pub(crate) struct Captured(pub CudaGraph);

// SAFETY: a graph is used by one thread at a time: a Device is owned by one.
unsafe impl Send for Captured {}

/// Puts a value's bytes behind `words`, from a new word on.
fn append<T: DeviceRepr>(words: &mut Vec<u64>, value: &T) {
    let first = words.len();
    words.resize(first + size_of::<T>().div_ceil(8), 0);
    // SAFETY: that many words were made for the value's bytes; values of kernels are numbers and structs of numbers
    // without padding, so every byte is written.
    unsafe {
        let to = words.as_mut_ptr().add(first).cast::<u8>();
        to.copy_from_nonoverlapping((&raw const *value).cast(), size_of::<T>());
    }
}

impl Arg<'_> {
    fn append(&self, words: &mut Vec<u64>) {
        match self {
            Arg::Address(v) => append(words, v),
            Arg::Int(v) => append(words, v),
            Arg::Unsigned(v) => append(words, v),
            Arg::Float(v) => append(words, v),
            Arg::Augment(v) => append(words, *v),
            Arg::Columns(v) => append(words, *v),
            Arg::Convolve(v) => append(words, *v),
            Arg::Fold(v) => append(words, *v),
            Arg::Filters(v) => append(words, *v),
            Arg::Pool(v) => append(words, *v),
            Arg::WithinMap(v) => append(words, *v),
            Arg::Sources(v) => append(words, *v),
        }
    }
}

impl Device {
    /// Enough blocks for `n` work items, but no more than keep every multiprocessor busy.
    pub fn grid(&self, n: usize) -> Grid {
        Grid {
            blocks: (n as u64).div_ceil(u64::from(BLOCK)).clamp(1, u64::from(self.multiprocessors) * 32)
                as u32,
            shared: 0,
        }
    }

    /// Queues a kernel. Nothing is launched for an empty grid.
    pub fn launch(&self, kernel: &'static str, grid: Grid, args: &[Arg]) -> Result<(), DeviceError> {
        if grid.blocks == 0 {
            return Ok(());
        }
        let mut words = Vec::with_capacity(2 * args.len());
        let place = |arg: &Arg| {
            let place = words.len();
            arg.append(&mut words);
            place
        };
        let places = args.iter().map(place).collect();
        self.queue(Work::Kernel(Launch { kernel, grid, words, places }))
    }

    /// Hands a kernel to the driver.
    pub fn start(&self, launch: &Launch) -> Result<(), DeviceError> {
        let fail = || failed(self.number, launch.kernel);
        let function = self.function(launch.kernel)?;
        self.context.bind_to_thread().map_err(fail())?;
        let word = |&place: &usize| launch.words.as_ptr().wrapping_add(place).cast_mut().cast::<c_void>();
        let mut places: Vec<*mut c_void> = launch.places.iter().map(word).collect();
        let (grid, block) = ((launch.grid.blocks, 1, 1), (BLOCK, 1, 1));
        let (handle, stream) = (function.cu_function(), self.stream.cu_stream());
        // SAFETY: the callers of `launch` pass the arguments of the kernel's signature, with buffers as long as its shapes
        // say. The driver copies the arguments, whose bytes begin at these places, before the call returns.
        unsafe { result::launch_kernel(handle, grid, block, launch.grid.shared, stream, &mut places) }
            .map_err(fail())
    }

    /// A count or size as the kernels take it.
    pub fn int(&self, value: usize) -> Result<i32, DeviceError> {
        let large = |_| {
            failed(self.number, "launch a kernel")(format!(
                "{value} values are too many for one launch: a smaller batch is needed"
            ))
        };
        i32::try_from(value).map_err(large)
    }
}
