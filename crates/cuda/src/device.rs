//! One GPU: its context, stream, kernels, matrix products and memory.
//!
//! All work of a device goes to one stream, so operations take effect in the order of the calls and cudarc's own
//! event tracking is off; whoever crosses devices ([`crate::exchange`]) orders the streams by events.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

use alexnet_net::{Convolution, DeviceError, OutOfMemory};
use cudarc::cublas::CudaBlas;
use cudarc::driver::{CudaContext, CudaFunction, CudaStream, DevicePtr, DeviceRepr, result, sys};
use cudarc::nvrtc::Ptx;

use crate::cache::Cache;
use crate::choice::{Convolutions, Way};
use crate::compile::KERNELS;
use crate::cudnn::Library;
use crate::epilogue::Epilogues;
use crate::graph::Lists;
use crate::pause::Pauses;
use crate::peers::Peers;
use crate::plan::Direction;
use crate::precision::{Precision, Shadow};
use crate::profile::Span;
use crate::settings::Settings;
use crate::tensor::{Floats, Scratch, Type};
use crate::work::Work;

pub(crate) struct Device {
    /// Its number in the backend, not the driver's.
    pub number: usize,
    pub context: Arc<CudaContext>,
    pub stream: Arc<CudaStream>,
    pub blas: CudaBlas,
    pub multiprocessors: u32,
    /// Of the compute capability.
    pub major: i32,
    pub precision: Precision,
    pub shadow: Option<Shadow>,
    /// Bytes copied from other devices.
    pub received: Cell<u64>,
    /// Kernels and products timed, while a profile is taken.
    pub spans: RefCell<Option<Vec<Span>>>,
    /// cuDNN, where it is installed.
    pub library: Option<Library>,
    /// cuBLASLt, where it is installed and may be used.
    pub epilogues: Option<Epilogues>,
    pub convolutions: Convolutions,
    /// The ways chosen so far.
    pub ways: HashMap<(Convolution, Direction), Way>,
    /// The device's name and the cache, for choices that are kept.
    pub name: String,
    pub cache: Cache,
    functions: HashMap<&'static str, CudaFunction>,
    pub scratch: [Option<Floats<u8>>; Scratch::COUNT],
    /// Address and number of the images that lie folded, and for which convolution.
    pub kept_fold: Option<(u64, usize, Convolution)>,
    pub pauses: Pauses,
    /// Work that waits until a step is whole, while it is put together.
    pub held: RefCell<Option<Vec<Work>>>,
    pub lists: RefCell<Lists>,
    pub settings: RefCell<Option<Settings>>,
    /// What cuBLAS works in.
    pub workspace: Option<Floats<u8>>,
    /// The same device of the other replicas, if there are any.
    pub peers: Option<Peers>,
}

/// Makes a [`DeviceError`] of any error.
pub(crate) fn failed<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    device: usize,
    operation: &'static str,
) -> impl FnOnce(E) -> DeviceError {
    move |cause| DeviceError { device, operation, cause: cause.into() }
}

impl Device {
    /// Opens the driver's device `ordinal` as the backend's `number`, with all kernels loaded.
    pub fn open(number: usize, ordinal: usize, cache: &Cache) -> Result<Device, DeviceError> {
        let start = || failed(number, "start the device");
        let context = CudaContext::new(ordinal).map_err(start())?;
        // SAFETY: one stream per device; exchanges order the streams by events.
        unsafe { context.disable_event_tracking() };
        let stream = context.new_stream().map_err(start())?;
        let (major, minor) = context.compute_capability().map_err(start())?;
        let count = sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
        let multiprocessors = context.attribute(count).map_err(start())?.max(1) as u32;
        let mut functions = HashMap::new();
        for file in KERNELS {
            let load = || failed(number, "load a kernel");
            let cubin = cache
                .cubin(file, &format!("sm_{major}{minor}"))
                .map_err(failed(number, "compile a kernel"))?;
            let module = context.load_module(Ptx::from_binary(cubin)).map_err(load())?;
            for kernel in file.kernels() {
                functions.insert(kernel, module.load_function(kernel).map_err(load())?);
            }
        }
        let context_name = context.name().map_err(start())?;
        let blas = CudaBlas::new(stream.clone()).map_err(failed(number, "start cuBLAS"))?;
        let mut device = Device {
            number,
            context,
            stream,
            blas,
            multiprocessors,
            major,
            precision: Precision::default(),
            shadow: None,
            received: Cell::new(0),
            spans: RefCell::new(None),
            library: None,
            epilogues: None,
            convolutions: Convolutions::default(),
            ways: HashMap::new(),
            name: context_name,
            cache: cache.clone(),
            functions,
            scratch: Default::default(),
            kept_fold: None,
            pauses: Pauses::default(),
            held: RefCell::new(None),
            lists: RefCell::new(Lists::default()),
            settings: RefCell::new(None),
            workspace: None,
            peers: None,
        };
        device.reserve_settings()?;
        device.reserve_products()?;
        Ok(device)
    }

    pub fn function(&self, kernel: &'static str) -> Result<CudaFunction, DeviceError> {
        let missing = || failed(self.number, "find a kernel")(format!("no kernel {kernel}"));
        self.functions.get(kernel).cloned().ok_or_else(missing)
    }

    /// The kernel's name for values of a type.
    pub fn typed(&self, kernel: &'static str, of: Type) -> Result<&'static str, DeviceError> {
        if of == Type::F32 {
            return Ok(kernel);
        }
        let name = format!("{kernel}_bf16");
        let missing = || failed(self.number, "find a kernel")(format!("no kernel {name}"));
        self.functions.get_key_value(name.as_str()).map(|(&name, _)| name).ok_or_else(missing)
    }

    /// Float32 values for parameters, gradients or velocities.
    pub fn parameters(&mut self, len: usize) -> Result<Floats, DeviceError> {
        let made = self.floats(len, Type::F32)?;
        self.stale(made.address); // the memory may have been another's
        Ok(made)
    }

    /// `len` values of a type, all zero.
    pub fn floats(&self, len: usize, of: Type) -> Result<Floats, DeviceError> {
        let made = self.zeros::<f32>((len * of.width()).div_ceil(4))?;
        Ok(Floats::new(made.slice, made.address, len, of))
    }

    /// `len` values, all bits zero; at least one, since the driver refuses empty buffers.
    pub fn zeros<T: DeviceRepr>(&self, len: usize) -> Result<Floats<T>, DeviceError> {
        let allocate = || failed(self.number, "allocate memory");
        self.order()?;
        self.context.bind_to_thread().map_err(allocate())?;
        // SAFETY: written by the memset that follows on the same stream, before anything can read it.
        let slice = match unsafe { self.stream.alloc::<T>(len.max(1)) } {
            Err(e) if e.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
                let asked = (len * size_of::<T>()) as u64;
                let (free, total) = result::mem_get_info().map_err(allocate())?;
                let cause = OutOfMemory { asked, free: free as u64, total: total as u64 };
                return Err(failed(self.number, "allocate memory")(cause));
            }
            other => other.map_err(allocate())?,
        };
        let address = slice.device_ptr(&self.stream).0;
        // SAFETY: the buffer has this many bytes and belongs to the stream's context.
        unsafe { result::memset_d8_async(address, 0, slice.num_bytes(), self.stream.cu_stream()) }
            .map_err(allocate())?;
        Ok(Floats::new(slice, address, len, Type::F32))
    }

    /// Queues a copy of host values to `to[offset ..]`; the host's may change as soon as this returns.
    pub fn put<T: DeviceRepr>(
        &self,
        from: &[T],
        to: &mut Floats<T>,
        offset: usize,
    ) -> Result<(), DeviceError> {
        if from.is_empty() {
            return Ok(());
        }
        self.order()?;
        let mut view = to.slice.slice_mut(offset..offset + from.len());
        self.stream.memcpy_htod(from, &mut view).map_err(failed(self.number, "upload"))
    }

    /// As [`Device::put`], to an address; page-locked values stay until the copy is done.
    pub fn put_at<T: DeviceRepr>(&self, from: &[T], to: u64) -> Result<(), DeviceError> {
        if from.is_empty() {
            return Ok(());
        }
        let fail = || failed(self.number, "upload");
        self.order()?;
        self.context.bind_to_thread().map_err(fail())?;
        // SAFETY: the caller has room for this many values there. Pageable memory is read before the call returns.
        unsafe { result::memcpy_htod_async(to, from, self.stream.cu_stream()) }.map_err(fail())
    }

    /// Copies values from an address to the host; waits for the device.
    pub fn get_at(&self, from: u64, to: &mut [f32]) -> Result<(), DeviceError> {
        if to.is_empty() {
            return Ok(());
        }
        let fail = || failed(self.number, "download");
        self.order()?;
        self.context.bind_to_thread().map_err(fail())?;
        // SAFETY: the caller has this many values there; the stream is waited for before `to` can go.
        unsafe { result::memcpy_dtoh_async(to, from, self.stream.cu_stream()) }.map_err(fail())?;
        self.wait()
    }

    /// Waits until all that was asked is done; afterwards all replicas are known to have been there, so its values can be
    /// used.
    pub fn wait(&self) -> Result<(), DeviceError> {
        self.order()?;
        self.stream.synchronize().map_err(failed(self.number, "wait for the device"))?;
        let link = self.peers.as_ref().map(|peers| &peers.link);
        link.map_or(Ok(()), |link| link.check()).map_err(failed(self.number, "sum over replicas"))
    }

    /// Copies within the device, at once in the stream's order.
    pub fn copy_now(&self, from: u64, to: u64, bytes: usize) -> Result<(), DeviceError> {
        let fail = || failed(self.number, "copy");
        self.context.bind_to_thread().map_err(fail())?;
        // SAFETY: both addresses begin `bytes` bytes of this device.
        unsafe { result::memcpy_dtod_async(to, from, bytes, self.stream.cu_stream()) }.map_err(fail())
    }

    /// Queues a copy within the device.
    pub fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<(), DeviceError> {
        self.queue(Work::Copy { from, to, bytes })
    }
}
