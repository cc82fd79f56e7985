//! What the devices are made of: threads, workspaces, and memory that may not be there.

use std::collections::TryReserveError;

use alexnet_net::DeviceError;

use crate::workers::{Workers, grow};

/// The CPU as one device or several simulated ones. Buffers are vectors; the devices share threads and workspaces
/// and run one after another.
pub struct CpuBackend {
    pub(crate) devices: usize,
    pub(crate) workers: Workers,
    pub(crate) shared: Vec<f32>,
    pub(crate) fuses: bool,
}

impl CpuBackend {
    /// `devices` devices (at least 1) on `threads` threads; 0 threads means all cores.
    ///
    /// # Errors
    /// The system gives no threads.
    pub fn new(devices: usize, threads: usize) -> Result<Self, DeviceError> {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let workers = Workers::new(if threads == 0 { cores() } else { threads });
        let workers = workers.map_err(|cause| DeviceError {
            device: 0,
            operation: "start its threads",
            cause: Box::new(cause),
        })?;
        Ok(CpuBackend { devices: devices.max(1), workers, shared: Vec::new(), fuses: true })
    }

    /// The same devices, with operations fused (as they are if nothing is said) or each by itself.
    #[must_use]
    pub fn with_fusion(self, fuses: bool) -> Self {
        CpuBackend { fuses, ..self }
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.workers.threads()
    }

    /// Sees to it that each thread has `scratch` values for itself and all together `shared`.
    pub(crate) fn reserve(&mut self, scratch: usize, shared: usize) -> Result<(), DeviceError> {
        self.workers.reserve(scratch).and_then(|()| grow(&mut self.shared, shared)).map_err(no_memory(0))
    }
}

/// A vector of zeros, or an error where there is no room for it. (Fresh zeros cost nothing until they are written.)
pub(crate) fn zeros<T: Clone + Default>(device: usize, len: usize) -> Result<Vec<T>, DeviceError> {
    // Asked for and given back: only `vec!` gets zeros that are not there until they are written.
    Vec::<T>::new().try_reserve_exact(len).map_err(no_memory(device))?;
    Ok(vec![T::default(); len])
}

fn no_memory(device: usize) -> impl Fn(TryReserveError) -> DeviceError {
    move |cause| DeviceError { device, operation: "allocate a buffer", cause: Box::new(cause) }
}
