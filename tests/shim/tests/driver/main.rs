//! The stand-in driver under unmodified cudarc: it does what a driver does, and finds what a driver would hide.

mod captured; //  calls during a capture: what a GPU's driver answered
mod failure; //   errors, faults, limits: each is told apart, most in a process of their own
mod graph; //     captures and graphs: what is recorded, in which orders it runs
mod pipeline; //  two devices, streams, events, pinned memory, peer copies: right with all waits, wrong without any one
mod product; //   matrix products

use cudarc::driver::{CudaContext, CudaFunction, CudaStream, LaunchConfig};
use cudarc::nvrtc::Ptx;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

/// The stand-in driver has one queue and one seed for the process, so tests take turns.
struct Driver {
    seed: unsafe extern "C" fn(u64),
    peer_bytes: unsafe extern "C" fn() -> u64,
    graphs: unsafe extern "C" fn() -> u64,
    turn: Mutex<()>,
}

/// Loads the stand-ins by full path and keeps them, so that cudarc's own search finds them by name.
fn driver() -> (&'static Driver, MutexGuard<'static, ()>) {
    static DRIVER: OnceLock<Driver> = OnceLock::new();
    let driver = DRIVER.get_or_init(|| {
        let open = |name: &str| {
            let path = std::path::Path::new(alexnet_shim::DRIVERS).join(name);
            // SAFETY: our own library, whose initialisers do nothing but construct its tables.
            let library = unsafe { libloading::Library::new(path) }.expect("the stand-in driver");
            Box::leak(Box::new(library))
        };
        let cuda = open("libcuda.so.1");
        open("libcublas.so.13");
        // SAFETY: the functions have these types in driver/libcuda.cpp and driver/graph.cpp.
        unsafe {
            Driver {
                seed: *cuda.get(b"alx_driver_seed").expect("a symbol of the stand-in"),
                peer_bytes: *cuda.get(b"alx_driver_peer_bytes").expect("a symbol of the stand-in"),
                graphs: *cuda.get(b"alx_driver_graphs").expect("a symbol of the stand-in"),
                turn: Mutex::new(()),
            }
        }
    });
    let turn = driver.turn.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    (driver, turn)
}

/// A context with explicit synchronisation only: cudarc's own event tracking would hide forgotten waits.
fn context(device: usize) -> Arc<CudaContext> {
    let context = CudaContext::new(device).expect("the stand-in has the device");
    // SAFETY: the tests order their streams by events themselves.
    unsafe { context.disable_event_tracking() };
    context
}

/// Kernels by name, from an image that lists them.
fn kernel(context: &Arc<CudaContext>, name: &str) -> CudaFunction {
    let image = format!("alx-kernels\n{name}\n\0").into_bytes();
    let module = context.load_module(Ptx::from_binary(image)).expect("a list of kernels");
    module.load_function(name).expect("a kernel of kernels/")
}

/// 64 threads for each 128 of `n` elements.
fn launch(n: usize) -> LaunchConfig {
    LaunchConfig { grid_dim: (n.div_ceil(128) as u32, 1, 1), block_dim: (64, 1, 1), shared_mem_bytes: 0 }
}

/// Two streams of a device.
fn streams(context: &Arc<CudaContext>) -> [Arc<CudaStream>; 2] {
    [0, 1].map(|_| context.new_stream().expect("a stream"))
}
