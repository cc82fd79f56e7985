//! The CUDA backend: a net's columns on one or several GPUs.
//!
//! [`probe()`] says first whether CUDA can be used at all and, if not, what is missing; nothing else here may be called
//! before it has succeeded. [`CudaBackend`] then runs every operation of the trait on a stream per device: our own
//! kernels (`kernels/`), compiled for the GPU at hand by NVRTC and kept in a [`Cache`], and cuBLAS for the matrix
//! products. Within a device order is the stream's; between devices it is kept by events, in the exchanges alone.
//!
//! Raw records come from page-locked memory lent to the loader's ring, by a stream of their own beside the work on the
//! batch before, and are augmented on the device.
//!
//! Nothing here needs CUDA to build: libraries are loaded when they are first used. Schedules, draws and runs are left
//! to their own crates.

mod backend;
mod cache;
mod compile;
mod convolution;
mod dense;
mod device;
mod elementwise;
mod exchange;
mod launch;
mod pinned;
mod probe;
mod shape;
mod staging;

pub use backend::CudaBackend;
pub use cache::Cache;
pub use compile::{CompileError, Compiled, KERNELS, KernelFile, compile, version};
pub use device::Floats;
pub use probe::{Unavailable, probe};
