//! The CUDA backend on the stand-in driver against the CPU backend: the same programs, the same numbers.
//!
//! Each operation against the oracle, whole nets against the CPU and against PyTorch, columns on devices, raw records.
//! Kernels are compiled by the real NVRTC (`NVRTC_DIR`, or the loader's path) and run by the host shim; without NVRTC
//! the tests are skipped by name, or fail with `REQUIRE_DATA=1`.

mod convolution; // by our kernels and by cuDNN
mod dense; //    biases within products
mod exchange; // gather and reduce in any order of the queue, bytes counted against the formula
mod fusion; // the bits of fused operations
#[allow(dead_code)] // shared with the workspace's own tests, which use more of it
#[path = "../../../golden.rs"]
mod golden;
#[path = "../../../golden_nets/check.rs"]
mod golden_nets;
mod graph; // steps as graphs: the same bits as launches, in as few calls as they say
mod precision; // TF32 and bfloat16 products beside float32
mod records; //  raw records: bit for bit the loader's, in any order of the queue
mod replicas; // gradients summed over replicas that are threads
mod runs; //  a few steps of training, and how near two programs' have to be

use alexnet_cpu::CpuBackend;
use alexnet_cuda::{Cache, Convolutions, CudaBackend, KERNELS, Precision, compile};
use alexnet_net::conformance::{Case, check, check_coarsely};
use alexnet_net::{Backend, Net};
use runs::{compare, train};
use std::ffi::{CStr, c_char, c_int};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock};

/// The stand-in driver has one queue and one seed for the process, so tests take turns.
static TURN: Mutex<()> = Mutex::new(());

/// Loads a library by full path and keeps it, so that cudarc's own search finds it by name.
fn open(path: &Path) -> &'static libloading::Library {
    // SAFETY: the stand-ins' and NVRTC's initialisers construct their tables and nothing else.
    let library =
        unsafe { libloading::Library::new(path) }.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    Box::leak(Box::new(library))
}

/// The stand-in driver, for one test at a time.
struct Driver {
    seed: unsafe extern "C" fn(u64),
    peer_bytes: unsafe extern "C" fn() -> u64,
    calls: unsafe extern "C" fn(*const c_char) -> u64,
    refuse_captures: unsafe extern "C" fn(c_int),
}

impl Driver {
    /// Chooses the order of the queue.
    fn seed(&self, seed: u64) {
        // SAFETY: a function of the stand-in.
        unsafe { (self.seed)(seed) }
    }

    /// Bytes that the driver has copied from device to device.
    fn peer_bytes(&self) -> u64 {
        // SAFETY: as above.
        unsafe { (self.peer_bytes)() }
    }

    /// How often each of these calls was made.
    fn calls<const N: usize>(&self, names: [&CStr; N]) -> [u64; N] {
        // SAFETY: as above; the name is terminated.
        names.map(|name| unsafe { (self.calls)(name.as_ptr()) })
    }

    /// Makes a driver that refuses to begin captures (1) or spoils them (2), or the usual one (0).
    fn refuse_captures(&self, how: c_int) {
        // SAFETY: as above.
        unsafe { (self.refuse_captures)(how) }
    }
}

/// The stand-in driver, when everything is there.
fn driver() -> Option<(&'static Driver, MutexGuard<'static, ()>)> {
    static DRIVER: OnceLock<Driver> = OnceLock::new();
    let driver = DRIVER.get_or_init(|| {
        let drivers = Path::new(alexnet_shim::DRIVERS);
        let cuda = open(&drivers.join("libcuda.so.1"));
        open(&drivers.join("libcublas.so.13"));
        open(&drivers.join("libcublasLt.so.13"));
        open(&drivers.join("libcudnn.so.9"));
        open(&drivers.join("libnccl.so.2"));
        if let Some(folder) = std::env::var_os("NVRTC_DIR") {
            open(&Path::new(&folder).join("libnvrtc-builtins.so.13.0"));
            open(&Path::new(&folder).join("libnvrtc.so.13"));
        }
        // SAFETY: the functions have these types in driver/libcuda.cpp.
        unsafe {
            Driver {
                seed: *cuda.get(b"alx_driver_seed").expect("a symbol of the stand-in"),
                peer_bytes: *cuda.get(b"alx_driver_peer_bytes").expect("a symbol of the stand-in"),
                calls: *cuda.get(b"alx_driver_calls").expect("a symbol of the stand-in"),
                refuse_captures: *cuda.get(b"alx_driver_refuse_captures").expect("a symbol of the stand-in"),
            }
        }
    });
    let turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    match alexnet_cuda::probe() {
        Ok(_) => Some((driver, turn)),
        Err(e) => {
            assert!(std::env::var_os("REQUIRE_DATA").is_none(), "{e}");
            eprintln!("skipped: the CUDA backend on the stand-in driver ({e})");
            None
        }
    }
}

fn cache() -> Cache {
    Cache::new(Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("cubins")))
}

fn net(preset: &str, columns: usize, side: usize) -> Net {
    Net::preset(preset, columns, 10).expect("a preset").narrowed(8, 64).with_input(side)
}

#[test]
fn every_kernel_compiles_through_the_product() {
    let Some(_turn) = driver() else { return };
    for file in KERNELS {
        for architecture in ["sm_80", "sm_90"] {
            let compiled = compile(file, architecture).unwrap_or_else(|e| panic!("{e}"));
            assert!(!compiled.log.contains("warning"), "{}: {}", file.name, compiled.log);
            assert_eq!(
                compiled.log.matches(" 0 bytes spill stores, 0 bytes spill loads").count(),
                file.kernels().len()
            );
        }
    }
    let broken = alexnet_cuda::KernelFile { name: "broken.cu", source: "int x = ;" };
    let error = compile(&broken, "sm_90").expect_err("it is broken").to_string();
    assert!(error.contains("broken.cu") && error.contains("expected an expression"), "{error}");
}

#[test]
fn twenty_steps_on_one_two_and_four_devices() {
    let Some((driver, _turn)) = driver() else { return };
    for (preset, columns, devices) in [
        ("paper", 2, 1),
        ("paper", 2, 2),
        ("original", 2, 2),
        ("original", 4, 1),
        ("original", 4, 2),
        ("paper", 4, 4),
    ] {
        let net = net(preset, columns, 64);
        let ordinals: Vec<usize> = (0..devices).collect();
        driver.seed(3);
        compare(&format!("{preset}, {columns} columns on {devices}"), &net, |draw| {
            let cuda = CudaBackend::new(&ordinals, &cache()).expect("devices");
            let cpu = CpuBackend::new(devices, 2).expect("threads");
            [train(cuda, &net, 64, 20, draw), train(cpu, &net, 64, 20, draw)]
        });
    }
}

#[test]
fn any_order_of_the_queue_gives_the_same_bits() {
    let Some((driver, _turn)) = driver() else { return };
    let net = net("original", 2, 64);
    let run = |number| {
        driver.seed(number);
        train(CudaBackend::new(&[1, 0], &cache()).expect("devices"), &net, 64, 2, 0)
    };
    let first = run(0);
    for number in 1..20 {
        let other = run(number);
        assert_eq!(other.parameters, first.parameters, "seed {number}");
        assert_eq!(other.losses, first.losses, "seed {number}");
    }
}

/// The whole input of the paper, once through both ways.
#[test]
fn full_size_input() {
    let Some(_turn) = driver() else { return };
    let net = net("original", 2, 224);
    compare("224", &net, |draw| {
        let cuda = CudaBackend::new(&[0, 1], &cache()).expect("devices");
        [train(cuda, &net, 224, 1, draw), train(CpuBackend::new(2, 2).expect("threads"), &net, 224, 1, draw)]
    });
}

#[test]
fn a_profile_names_each_launch_in_order() {
    let Some(_turn) = driver() else { return };
    let mut backend = CudaBackend::new(&[0], &cache()).expect("a device");
    let mut y = backend.floats(0, 8).expect("memory");
    let mut names = |backend: &mut CudaBackend| {
        backend.scale(0, 8, 2.0, &mut y).expect("a kernel");
        backend.rectify_forward(0, 8, &mut y).expect("a kernel");
        let times = backend.profile().expect("a profile");
        assert!(times.iter().all(|time| time.milliseconds > 0.0 && time.device == 0), "{times:?}");
        times.iter().map(|time| time.kernel).collect::<Vec<_>>()
    };
    assert!(names(&mut backend).is_empty(), "nobody had asked");
    backend.start_profile();
    assert_eq!(names(&mut backend), ["scale", "relu_forward"]);
    assert!(names(&mut backend).is_empty(), "it had ended");
}

#[test]
fn a_device_that_is_not_there_is_an_error() {
    let Some(_turn) = driver() else { return };
    let error = CudaBackend::new(&[17], &cache()).map(drop).expect_err("there is no such device").to_string();
    assert!(error.contains("INVALID_DEVICE"), "{error}");
}

/// What no preset uses has no kernel, and says so.
#[test]
fn every_operation_agrees_with_the_oracle() {
    let Some((driver, _turn)) = driver() else { return };
    let mut agreed = std::collections::HashSet::new();
    for (devices, seeds, precision, convolutions) in [
        (1, 0..120, Precision::F32, Convolutions::Own),
        (3, 1000..1040, Precision::F32, Convolutions::Own),
        (1, 2000..2120, Precision::Bf16, Convolutions::Own),
        (3, 3000..3040, Precision::Bf16, Convolutions::Own),
        (1, 4000..4120, Precision::F32, Convolutions::Library),
        (1, 4000..4120, Precision::Bf16, Convolutions::Library),
    ] {
        let ordinals: Vec<usize> = (0..devices).collect();
        let mut backend = CudaBackend::new(&ordinals, &cache()).expect("devices").with_precision(precision);
        backend = backend.with_convolutions(convolutions).expect("cuDNN's stand-in");
        assert_eq!(backend.has_cudnn(), convolutions == Convolutions::Library);
        let check = if precision == Precision::F32 { check } else { check_coarsely };
        for seed in seeds {
            driver.seed(seed);
            let case = Case::random(seed, devices);
            let unused = match &case {
                Case::LocalResponse(op, _) => op.size == 1 || op.beta != 0.75,
                Case::WithinMap(op, _) => op.beta != 0.75,
                Case::ResponsePool(op, _) => op.response.size == 1 || op.response.beta != 0.75,
                _ => false,
            };
            match check(&mut backend, &case, seed) {
                Ok(()) => _ = agreed.insert(std::mem::discriminant(&case)),
                Err(e) if unused => assert!(e.contains("no kernel"), "{e}"),
                Err(e) => panic!("{e}"),
            }
        }
    }
    assert_eq!(agreed.len(), 12, "kinds of operations");
}

#[test]
fn golden_nets_of_pytorch() {
    let Some((driver, _turn)) = driver() else { return };
    driver.seed(4);
    for (preset, columns, devices) in [
        ("paper", 1, 1),
        ("paper", 2, 1),
        ("paper", 2, 2),
        ("paper", 4, 1),
        ("paper", 4, 3),
        ("original", 2, 1),
        ("original", 2, 2),
    ] {
        let ordinals: Vec<usize> = (0..devices).collect();
        golden_nets::run(CudaBackend::new(&ordinals, &cache()).expect("devices"), preset, columns);
    }
}
