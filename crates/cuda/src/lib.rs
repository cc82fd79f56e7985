//! The CUDA backend: a net's columns on one or several GPUs.
//!
//! [`probe()`] says first whether CUDA can be used at all and, if not, what is missing; nothing else here may be called
//! before it has succeeded. [`CudaBackend`] then runs every operation of the trait on a stream per device: our own
//! kernels (`kernels/`), compiled for the GPU at hand by NVRTC and kept in a [`Cache`], cuBLAS for the dense layers' products,
//! and cuDNN for convolutions and cuBLASLt for dense layers where [`Convolutions`] lets them and they are faster, in a
//! [`Precision`]. Activations lie channels last.
//! Within a device order is the stream's; between devices it is kept by events, in the exchanges alone.
//!
//! Raw records come from page-locked memory lent to the loader's ring, by a stream of their own beside the work on the
//! batch before, and are augmented on the device. A training step is held back until it is whole and replayed as a CUDA graph
//! when it has come before ([`Graphs`]); then a step is one launch, two small copies before it, and its batch's records and
//! draws beside the step before. With several devices the work between two exchanges is a graph, since copies from peer to
//! peer cannot be captured.
//!
//! Nothing here needs CUDA to build: libraries are loaded when they are first used. Schedules, draws and runs are left
//! to their own crates.

mod backend;
mod cache;
mod choice;
mod compile;
mod convolution;
mod cudnn;
mod dense;
mod device;
mod elementwise;
mod epilogue;
mod exchange;
mod fused;
mod gate;
mod graph;
mod launch;
mod layout;
mod maps;
mod nccl;
mod pause;
mod peers;
mod pinned;
mod plan;
mod precision;
mod probe;
mod profile;
mod replicas;
mod settings;
mod shape;
mod staging;
mod tensor;
mod tile;
mod watch;
mod work;

use alexnet_net::DeviceError;

use cudnn::Library;
use device::{Device, failed};
use epilogue::Epilogues;
use staging::Staging;
use watch::Watch;

pub use cache::Cache;
pub use choice::Convolutions;
pub use compile::{CompileError, Compiled, KERNELS, KernelFile, compile, version};
pub use gate::Gate;
pub use graph::Graphs;
pub use precision::Precision;
pub use probe::{Unavailable, fastest_precision, probe};
pub use profile::KernelTime;
pub use replicas::{Among, Health, NoNccl, UniqueId, nccl};
pub use tensor::Floats;

/// One or several CUDA devices. Operations are queued; only downloads and [`alexnet_net::Backend::synchronise`] wait.
pub struct CudaBackend {
    // Before the devices: areas are freed on their streams.
    staging: Option<Staging>,
    /// The thread that looks after the other replicas; ends before their communicators do.
    watch: Option<Watch>,
    /// The other replicas, if there are any.
    among: Option<Among>,
    devices: Vec<Device>,
    fuses: bool,
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
            fuses: true,
            watch: None,
            among: None,
            devices: ordinals.iter().enumerate().map(open).collect::<Result<_, _>>()?,
        })
    }

    /// The same devices with matrix products in this precision; float32 if nothing is said.
    #[must_use]
    pub fn with_precision(mut self, precision: Precision) -> Self {
        for device in &mut self.devices {
            device.precision = precision;
            device.lists.borrow_mut().forget(); // they do not name it
        }
        self
    }

    /// The same devices with steps replayed as graphs or not; where the driver can if nothing is said.
    #[must_use]
    pub fn with_graphs(mut self, graphs: Graphs) -> Self {
        self.set_graphs(graphs);
        self
    }

    /// Replays steps as graphs or not, from the next one on.
    pub fn set_graphs(&mut self, graphs: Graphs) {
        for device in &self.devices {
            device.lists.borrow_mut().use_of = graphs;
        }
    }

    /// The same devices with convolutions computed so; by our own kernels if nothing is said. cuDNN is used only where it
    /// is installed, and so is cuBLASLt.
    ///
    /// # Errors
    /// A device that cannot be made current.
    pub fn with_convolutions(mut self, convolutions: Convolutions) -> Result<Self, DeviceError> {
        for device in &mut self.devices {
            device.convolutions = convolutions;
            device.ways.clear();
            device.epilogues = None;
            if convolutions != Convolutions::Own {
                device.context.bind_to_thread().map_err(failed(device.number, "start cuDNN"))?;
                device.epilogues = Epilogues::open();
                if device.library.is_none() {
                    device.library = Library::open(&device.stream);
                }
            }
        }
        Ok(self)
    }

    /// Queues what a step held back, and what waits for its end.
    fn end_step(&mut self, device: usize) -> Result<(), DeviceError> {
        self.devices[device].release()?;
        if let Some(staging) = &mut self.staging {
            staging.has_read(&self.devices[device])?;
        }
        self.devices[device].pause_begins()
    }

    /// Whether cuDNN is there and may be used.
    pub fn has_cudnn(&self) -> bool {
        self.devices.iter().all(|device| device.library.is_some())
    }
}

/// A backend may be made in one thread and used in another.
const _: fn() = || {
    fn sent<T: Send>() {}
    sent::<CudaBackend>();
};
