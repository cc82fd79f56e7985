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
mod precision;
mod probe;
mod profile;
mod shape;
mod staging;

use alexnet_net::DeviceError;

use device::{Device, failed};
use staging::Staging;

pub use cache::Cache;
pub use compile::{CompileError, Compiled, KERNELS, KernelFile, compile, version};
pub use device::Floats;
pub use precision::Precision;
pub use probe::{Unavailable, fastest_precision, probe};
pub use profile::KernelTime;

/// One or several CUDA devices. Operations are queued; only downloads and [`alexnet_net::Backend::synchronise`] wait.
pub struct CudaBackend {
    // Before the devices: areas are freed on their streams.
    staging: Option<Staging>,
    devices: Vec<Device>,
}

impl CudaBackend {
    /// Opens the driver's devices with these numbers, in this order; [`crate::probe()`] must have succeeded.
    ///
    /// # Errors
    /// A device that does not exist or does not start, a kernel that does not compile.
    pub fn new(ordinals: &[usize], cache: &Cache) -> Result<Self, DeviceError> {
        if ordinals.is_empty() {
            return Err(failed(0, "start the device")("no device was named"));
        }
        let open = |(number, &ordinal): (usize, &usize)| Device::open(number, ordinal, cache);
        Ok(CudaBackend {
            staging: None,
            devices: ordinals.iter().enumerate().map(open).collect::<Result<_, _>>()?,
        })
    }

    /// The same devices with matrix products in this precision; float32 if nothing is said.
    #[must_use]
    pub fn with_precision(mut self, precision: Precision) -> Self {
        for device in &mut self.devices {
            device.precision = precision;
        }
        self
    }
}
