//! What goes wrong is told apart. A fault of memory ends the process, so those run in one of their own.
use crate::{context, driver, kernel, launch};
use cudarc::driver::sys::CUstreamCaptureMode;
use cudarc::driver::{
    CudaContext, CudaSlice, DevicePtr, DriverError, PushKernelArg, sys::CUgraphInstantiate_flags,
    sys::CUresult,
};
use std::process::{Command, Output};

/// Runs one ignored test of this file in a process of its own.
fn alone(test: &str, variables: &[(&str, &str)]) -> Output {
    Command::new(std::env::current_exe().expect("a path"))
        .args(["--ignored", "--exact", &format!("failure::{test}"), "--nocapture"])
        .envs(variables.iter().copied())
        .output()
        .expect("the test's own program")
}

/// The report of a test that the driver had to end with its own status.
fn report(test: &str) -> String {
    let output = alone(test, &[]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(71), "{test}: {text}");
    text
}

#[test]
fn faults_name_kernel_device_and_buffer() {
    let past = report("past_the_end");
    assert!(past.contains("kernel relu_forward of device 0") && past.contains("past its end"), "{past}");
    let other = report("another_devices_buffer");
    assert!(other.contains("of device 1, which is not the device at work"), "{other}");
    let freed = report("after_free");
    assert!(freed.contains("which was freed"), "{freed}");
    let graph = report("freed_under_a_graph");
    assert!(
        graph.contains("kernel relu_forward of device 0 in a graph") && graph.contains("which was freed"),
        "{graph}"
    );
}

#[test]
#[ignore = "ends its process"]
fn past_the_end() {
    let (_driver, _turn) = driver();
    let context = context(0);
    let stream = context.default_stream();
    let mut x = stream.alloc_zeros::<f32>(100).expect("memory");
    let relu = kernel(&context, "relu_forward");
    // SAFETY: none: the kernel is told of one element too many, on purpose.
    unsafe { stream.launch_builder(&relu).arg(&mut x).arg(&101i32).launch(launch(101)) }.expect("a launch");
    let _ = stream.synchronize();
}

#[test]
#[ignore = "ends its process"]
fn another_devices_buffer() {
    let (_driver, _turn) = driver();
    let (here, there) = (context(0), context(1));
    let x: CudaSlice<f32> = there.default_stream().alloc_zeros(100).expect("memory");
    there.synchronize().expect("zeros");
    here.bind_to_thread().expect("a context");
    let stream = here.default_stream();
    let (address, _guard) = x.device_ptr(x.stream());
    let relu = kernel(&here, "relu_forward");
    // SAFETY: none: the address belongs to the other device, on purpose.
    unsafe { stream.launch_builder(&relu).arg(&address).arg(&100i32).launch(launch(100)) }.expect("a launch");
    let _ = stream.synchronize();
}

#[test]
#[ignore = "ends its process"]
fn after_free() {
    let (_driver, _turn) = driver();
    let context = context(0);
    let stream = context.default_stream();
    let x: CudaSlice<f32> = stream.alloc_zeros(100).expect("memory");
    let address = x.device_ptr(&stream).0;
    drop(x);
    let relu = kernel(&context, "relu_forward");
    // SAFETY: none: the buffer is gone, on purpose.
    unsafe { stream.launch_builder(&relu).arg(&address).arg(&100i32).launch(launch(100)) }.expect("a launch");
    let _ = stream.synchronize();
}

#[test]
#[ignore = "ends its process"]
fn freed_under_a_graph() {
    let (_driver, _turn) = driver();
    let context = context(0);
    let stream = context.new_stream().expect("a stream");
    let mut x: CudaSlice<f32> = stream.alloc_zeros(100).expect("memory");
    let relu = kernel(&context, "relu_forward");
    stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).expect("a capture");
    // SAFETY: 100 elements.
    unsafe { stream.launch_builder(&relu).arg(&mut x).arg(&100i32).launch(launch(100)) }.expect("a launch");
    let graph = stream.end_capture(CUgraphInstantiate_flags(0)).expect("a capture").expect("a graph");
    drop(x);
    graph.launch().expect("a launch of what is gone");
    let _ = stream.synchronize();
}

#[test]
fn a_missed_barrier_fails_the_launch() {
    let output = alone("early_return", &[]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("missed barrier"), "{text}");
}

#[test]
#[ignore = "leaves its process with a lost context"]
fn early_return() {
    let (_driver, _turn) = driver();
    let context = context(0);
    let stream = context.default_stream();
    let mut x = stream.alloc_zeros::<i32>(64).expect("memory");
    let faulty = kernel(&context, "shim_early_return");
    // SAFETY: 64 threads, 64 elements.
    unsafe { stream.launch_builder(&faulty).arg(&mut x).launch(launch(64)) }.expect("a launch");
    assert_eq!(stream.synchronize(), Err(DriverError(CUresult::CUDA_ERROR_LAUNCH_FAILED)));
}

#[test]
fn memory_has_a_limit() {
    let output = alone("too_much", &[("SHIM_DEVICE_MEMORY", "1000000")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "needs a small limit"]
fn too_much() {
    let (_driver, _turn) = driver();
    let stream = context(0).default_stream();
    let first = stream.alloc_zeros::<u8>(600_000).expect("within the limit");
    let second = stream.alloc_zeros::<u8>(600_000).expect_err("past the limit");
    assert_eq!(second, DriverError(CUresult::CUDA_ERROR_OUT_OF_MEMORY));
    drop(first);
    stream.synchronize().expect("the free in the stream's order");
    stream.alloc_zeros::<u8>(600_000).expect("free again");
}

#[test]
fn without_devices_there_is_an_error_and_no_panic() {
    let output = alone("no_devices", &[("SHIM_DEVICES", "0")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "needs a machine without devices"]
fn no_devices() {
    let (_driver, _turn) = driver();
    assert_eq!(CudaContext::device_count(), Err(DriverError(CUresult::CUDA_ERROR_NO_DEVICE)));
}

#[test]
fn wrong_calls_are_refused() {
    let (_driver, _turn) = driver();
    assert_eq!(CudaContext::new(9).map(drop), Err(DriverError(CUresult::CUDA_ERROR_INVALID_DEVICE)));
    let context = context(0);
    let stream = context.default_stream();
    let garbage = cudarc::nvrtc::Ptx::from_binary(vec![0; 64]);
    assert_eq!(context.load_module(garbage).map(drop), Err(DriverError(CUresult::CUDA_ERROR_INVALID_IMAGE)));
    let list = cudarc::nvrtc::Ptx::from_binary(b"alx-kernels\nscale\n\0".to_vec());
    let module = context.load_module(list).expect("a list");
    assert!(module.load_function("relu_forward").is_err(), "a kernel of another module");
    let mut x = stream.alloc_zeros::<f32>(4).expect("memory");
    let scale = module.load_function("scale").expect("a kernel");
    let mut config = launch(4);
    config.block_dim.0 = 2048;
    // SAFETY: refused before it runs.
    let result = unsafe { stream.launch_builder(&scale).arg(&mut x).arg(&1.0f32).arg(&4i32).launch(config) };
    assert_eq!(result.map(drop), Err(DriverError(CUresult::CUDA_ERROR_INVALID_VALUE)));
    // SAFETY: never written, on purpose: fresh memory is NaN.
    let fresh: CudaSlice<f32> = unsafe { stream.alloc(7) }.expect("memory");
    assert!(stream.clone_dtoh(&fresh).expect("a copy").iter().all(|v| v.is_nan()));
}
