//! Launches: every kernel call of the crate goes through [`Device::launch`].
//!
//! A launch's arguments must be those of the kernel's signature in `kernels/`; the stand-in driver of `tests/shim`
//! checks their sizes, guard pages their addresses.
#![allow(unsafe_code)]

use alexnet_net::DeviceError;
use cudarc::driver::{LaunchConfig, PushKernelArg};

use crate::device::{Device, failed};

/// Threads per block of every kernel.
pub(crate) const BLOCK: u32 = 256;

/// How many blocks, and how much dynamic shared memory.
#[derive(Clone, Copy, Debug)]
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
    Dropout(&'a crate::shape::DropoutKey),
    Sources(&'a crate::shape::Sources),
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
        let function = self.function(kernel)?;
        let mut builder = self.stream.launch_builder(&function);
        for arg in args {
            match arg {
                Arg::Address(v) => builder.arg(v),
                Arg::Int(v) => builder.arg(v),
                Arg::Unsigned(v) => builder.arg(v),
                Arg::Float(v) => builder.arg(v),
                Arg::Augment(v) => builder.arg(*v),
                Arg::Columns(v) => builder.arg(*v),
                Arg::Convolve(v) => builder.arg(*v),
                Arg::Fold(v) => builder.arg(*v),
                Arg::Filters(v) => builder.arg(*v),
                Arg::Pool(v) => builder.arg(*v),
                Arg::WithinMap(v) => builder.arg(*v),
                Arg::Dropout(v) => builder.arg(*v),
                Arg::Sources(v) => builder.arg(*v),
            };
        }
        let config = LaunchConfig {
            grid_dim: (grid.blocks, 1, 1),
            block_dim: (BLOCK, 1, 1),
            shared_mem_bytes: grid.shared,
        };
        // SAFETY: the callers pass the arguments of the kernel's signature, with buffers as long as its shapes say.
        self.span(kernel, || unsafe { builder.launch(config) }.map(drop).map_err(failed(self.number, kernel)))
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
