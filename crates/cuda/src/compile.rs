//! The kernels' sources, and NVRTC.
//!
//! Sources are part of the program. They are compiled to a cubin of the device's own architecture, never to PTX,
//! which an older driver may refuse. Options are fixed: without fused multiply-add every operation of ours rounds
//! as on the CPU.
#![allow(unsafe_code)]

use std::ffi::{CString, c_char, c_int};

use cudarc::nvrtc::{result, sys};

/// One file of `kernels/`.
#[derive(Clone, Copy, Debug)]
pub struct KernelFile {
    /// Its name.
    pub name: &'static str,
    /// Its text.
    pub source: &'static str,
}

macro_rules! files {
    ($($name:literal),*) => {
        &[$(KernelFile { name: $name, source: include_str!(concat!("../../../kernels/", $name)) }),*]
    };
}

/// Every kernel file.
pub const KERNELS: &[KernelFile] = files!(
    "augment.cu",
    "bias_relu.cu",
    "convolve.cu",
    "dropout.cu",
    "exchange.cu",
    "im2col.cu",
    "lrn.cu",
    "operand.cu",
    "pool.cu",
    "response_pool.cu",
    "softmax.cu",
    "tanh.cu",
    "update.cu",
    "within_map.cu"
);

/// What they include.
pub(crate) const HEADERS: &[KernelFile] = files!(
    "prelude.cuh",
    "philox.cuh",
    "bf16.cuh",
    "lanes.cuh",
    "response.cuh",
    "tensor_core.cuh",
    "windows.cuh"
);

pub(crate) const OPTIONS: &[&str] = &["--std=c++17", "--fmad=false", "--ptxas-options=-v"];

impl KernelFile {
    /// The kernels that the file defines: the name on the line after `extern "C" __global__`.
    pub fn kernels(&self) -> Vec<&'static str> {
        let lines = self.source.lines();
        let after = lines.clone().skip(1);
        lines
            .zip(after)
            .filter(|(line, _)| line.starts_with("extern \"C\" __global__"))
            .filter_map(|(_, next)| next.split('(').next())
            .collect()
    }
}

/// A compiled kernel file.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The device's code.
    pub cubin: Vec<u8>,
    /// What the compiler said: registers, spills, warnings.
    pub log: String,
}

/// A kernel file that does not compile, or a compiler that does not work.
#[derive(Debug, thiserror::Error)]
#[error("{file}: NVRTC for {architecture}: {cause}\n{log}")]
pub struct CompileError {
    /// The kernel file.
    pub file: &'static str,
    /// What it was compiled for.
    pub architecture: String,
    /// NVRTC's result.
    pub cause: String,
    /// The compiler's messages, as far as there are any.
    pub log: String,
}

/// NVRTC's version, major and minor. The library must be there: [`crate::probe()`].
pub fn version() -> (i32, i32) {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: two writable integers.
    let _ = unsafe { sys::nvrtcVersion(&mut major, &mut minor) };
    (major, minor)
}

/// Compiles a kernel file for an architecture such as `sm_90`. The library must be there: [`crate::probe()`].
///
/// # Errors
/// The compiler's own, with its log.
pub fn compile(file: &KernelFile, architecture: &str) -> Result<Compiled, CompileError> {
    let fail = |cause: String, log: String| CompileError {
        file: file.name,
        architecture: architecture.to_owned(),
        cause,
        log,
    };
    let text = |text: &str| CString::new(text).expect("sources and options hold no NUL");
    let (source, name) = (text(file.source), text(file.name));
    let (bodies, names): (Vec<_>, Vec<_>) = HEADERS.iter().map(|h| (text(h.source), text(h.name))).unzip();
    let bodies: Vec<*const c_char> = bodies.iter().map(|body| body.as_ptr()).collect();
    let names: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let mut program = std::ptr::null_mut();
    // SAFETY: all texts end in NUL and live to the end of this function; the counts are those of the arrays.
    unsafe {
        sys::nvrtcCreateProgram(
            &mut program,
            source.as_ptr(),
            name.as_ptr(),
            HEADERS.len() as c_int,
            bodies.as_ptr(),
            names.as_ptr(),
        )
    }
    .result()
    .map_err(|e| fail(format!("{:?}", e.0), String::new()))?;
    let options: Vec<String> = std::iter::once(format!("--gpu-architecture={architecture}"))
        .chain(OPTIONS.iter().map(|&option| option.to_owned()))
        .collect();
    // SAFETY: `program` was made above and is destroyed below, once.
    let (compiled, log, cubin, destroyed) = unsafe {
        let compiled = result::compile_program(program, &options);
        let log = result::get_program_log(program).unwrap_or_default();
        let cubin = compiled.and_then(|()| cubin(program));
        (compiled, log, cubin, result::destroy_program(program))
    };
    let log: String = log.iter().map(|&c| c as u8 as char).filter(|&c| c != '\0').collect();
    match compiled.and(destroyed).and(cubin) {
        Ok(cubin) => Ok(Compiled { cubin, log }),
        Err(e) => Err(fail(format!("{:?}", e.0), log)),
    }
}

/// # Safety
/// `program` has been compiled and not been destroyed.
unsafe fn cubin(program: sys::nvrtcProgram) -> Result<Vec<u8>, result::NvrtcError> {
    let mut size = 0;
    // SAFETY: the program is alive and `size` writable.
    unsafe { sys::nvrtcGetCUBINSize(program, &mut size) }.result()?;
    let mut cubin = vec![0u8; size];
    // SAFETY: the buffer has the size that was asked for.
    unsafe { sys::nvrtcGetCUBIN(program, cubin.as_mut_ptr().cast()) }.result()?;
    Ok(cubin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_defines_kernels_and_none_is_missing() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../kernels");
        let mut there: Vec<String> = std::fs::read_dir(folder)
            .expect("the folder of kernels")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
            .filter(|name| name.ends_with(".cu"))
            .collect();
        there.sort();
        assert_eq!(there, KERNELS.iter().map(|file| file.name).collect::<Vec<_>>());
        assert!(KERNELS.iter().all(|file| !file.kernels().is_empty()));
        let lrn = ["lrn_forward", "lrn_forward_bf16", "lrn_backward", "lrn_backward_bf16"];
        assert_eq!(KERNELS[6].kernels(), lrn);
    }
}
