//! Whether CUDA can be used here, asked without a panic.
//!
//! cudarc panics at the first call into a library that is not there, so every library is looked for by name before
//! anything of it is called; this is the only place that may find one missing.
#![allow(unsafe_code)]

use cudarc::driver::{CudaContext, result, sys::CUdevice_attribute};

use crate::precision::Precision;

/// Why CUDA cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// No driver.
    #[error("no NVIDIA driver: libcuda.so.1 could not be loaded")]
    Driver,
    /// The driver does not start or sees no device.
    #[error("the NVIDIA driver finds no usable device ({0})")]
    Device(String),
    /// A library of the toolkit is missing.
    #[error("{0} could not be loaded")]
    Library(&'static str),
}

impl Unavailable {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Unavailable::Driver => "install NVIDIA's driver, 580 or newer",
            Unavailable::Device(_) => "`nvidia-smi` and CUDA_VISIBLE_DEVICES show what the driver sees",
            Unavailable::Library(_) => {
                "install the CUDA 13 libraries, or put their folder on LD_LIBRARY_PATH"
            }
        }
        .to_owned()
    }
}

/// The number of CUDA devices, at least 1.
///
/// # Errors
/// What is missing, in the order in which it has to be mended: the driver, a device, cuBLAS, NVRTC.
pub fn probe() -> Result<usize, Unavailable> {
    // SAFETY: loading these libraries runs only their own initialisers.
    if !unsafe { cudarc::driver::sys::is_culib_present() } {
        return Err(Unavailable::Driver);
    }
    let devices = CudaContext::device_count().map_err(|e| Unavailable::Device(format!("{:?}", e.0)))?;
    if devices == 0 {
        return Err(Unavailable::Device("it counts none".to_owned()));
    }
    // SAFETY: as above.
    let libraries = unsafe {
        [
            ("libcublas.so.13", cudarc::cublas::sys::is_culib_present()),
            ("libnvrtc.so.13", cudarc::nvrtc::sys::is_culib_present()),
        ]
    };
    match libraries.iter().find(|(_, present)| !present) {
        Some((name, _)) => Err(Unavailable::Library(name)),
        None => Ok(devices as usize),
    }
}

/// What these devices multiply fastest: bfloat16 if all have compute capability 8.0 or more, else float32. [`probe()`] must
/// have succeeded.
pub fn fastest_precision(ordinals: &[usize]) -> Precision {
    let major = |&ordinal: &usize| {
        let device = result::device::get(ordinal as i32).ok()?;
        // SAFETY: the device is the driver's own.
        unsafe {
            result::device::get_attribute(
                device,
                CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
            )
        }
        .ok()
    };
    if ordinals.iter().all(|ordinal| major(ordinal) >= Some(8)) { Precision::Bf16 } else { Precision::F32 }
}
