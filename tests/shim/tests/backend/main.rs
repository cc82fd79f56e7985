//! The CUDA backend on the stand-in driver against the CPU backend: the same programs, the same numbers.
//!
//! Kernels are compiled by the real NVRTC (`NVRTC_DIR`, or the loader's path) and run by the host shim; without NVRTC
//! the tests are skipped by name, or fail with `REQUIRE_DATA=1`.

use alexnet_cpu::CpuBackend;
use alexnet_cuda::{Cache, CudaBackend, KERNELS, compile};
use alexnet_net::{Backend, DropoutKey, Exchange, Net, Network, Parameters, UpdateRule};
use alexnet_rng::{Purpose, Stream};
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

/// The seed of the stand-in driver, when everything is there.
fn driver() -> Option<(unsafe extern "C" fn(u64), MutexGuard<'static, ()>)> {
    static SEED: OnceLock<unsafe extern "C" fn(u64)> = OnceLock::new();
    let seed = SEED.get_or_init(|| {
        let drivers = Path::new(alexnet_shim::DRIVERS);
        let cuda = open(&drivers.join("libcuda.so.1"));
        open(&drivers.join("libcublas.so.13"));
        if let Some(folder) = std::env::var_os("NVRTC_DIR") {
            open(&Path::new(&folder).join("libnvrtc-builtins.so.13.0"));
            open(&Path::new(&folder).join("libnvrtc.so.13"));
        }
        // SAFETY: the function has this type in driver/libcuda.cpp.
        unsafe { *cuda.get(b"alx_driver_seed").expect("a symbol of the stand-in") }
    });
    let turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    match alexnet_cuda::probe() {
        Ok(_) => Some((*seed, turn)),
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

/// What a run of a few steps leaves behind.
struct Trace {
    losses: Vec<f64>,
    parameters: Parameters,
    velocity: Parameters,
    probabilities: Vec<f32>,
    exchanged: u64,
}

const BATCH: usize = 4;

fn train<B: Backend>(backend: B, net: &Net, side: usize, steps: u64) -> Trace {
    let mut network = Network::new(backend, net, BATCH).expect("a net");
    network.set_parameters(&Parameters::initial(net, 2012).expect("parameters")).expect("an upload");
    let mut pixels = vec![0.0; BATCH * 3 * side * side];
    let rule = UpdateRule::paper(1e-4, BATCH, network.parameter_table().len());
    let mut losses = Vec::new();
    for step in 0..steps {
        Stream::new(5, 0, step % 3, Purpose::Sample).fill_normal(60.0, &mut pixels);
        let labels: Vec<u32> = (0..BATCH as u32).map(|i| (i * 3 + step as u32 % 3) % 10).collect();
        let key = DropoutKey { seed: 9, epoch: 1, first_position: step * BATCH as u64 };
        network.train_batch(&pixels, &labels, Some(key)).expect("a step");
        losses.push(network.score().expect("a score").loss_sum / BATCH as f64);
        network.update(&rule).expect("an update");
    }
    Trace {
        losses,
        parameters: network.parameters().expect("a download"),
        velocity: network.velocity().expect("a download"),
        probabilities: network.probabilities(&pixels).expect("probabilities"),
        exchanged: network.exchanged_bytes(),
    }
}

fn norm(values: impl Iterator<Item = f32>) -> f64 {
    values.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt()
}

fn assert_near(what: &str, ours: &Parameters, theirs: &Parameters, tolerance: f64) {
    for (i, (ours, theirs)) in ours.iter().zip(theirs.iter()).enumerate() {
        let difference = norm(ours.iter().zip(theirs).map(|(a, b)| a - b));
        assert!(
            difference <= tolerance * norm(theirs.iter().copied()) + 1e-12,
            "{what}, parameter {i}: {difference:e}"
        );
    }
}

fn assert_same(what: &str, ours: &Trace, theirs: &Trace) {
    for (step, (a, b)) in ours.losses.iter().zip(&theirs.losses).enumerate() {
        let tolerance = if step == 0 { 1e-5 } else { 1e-3 };
        assert!((a / b - 1.0).abs() <= tolerance, "{what}: loss {step}: {a}, expected {b}");
    }
    assert_near(&format!("{what}: parameters"), &ours.parameters, &theirs.parameters, 1e-3);
    assert_near(&format!("{what}: velocity"), &ours.velocity, &theirs.velocity, 2e-2);
    let difference = norm(ours.probabilities.iter().zip(&theirs.probabilities).map(|(a, b)| a - b));
    assert!(
        difference <= 1e-3 * norm(theirs.probabilities.iter().copied()),
        "{what}: probabilities: {difference:e}"
    );
    assert_eq!(ours.exchanged, theirs.exchanged, "{what}: bytes exchanged");
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
    let Some((seed, _turn)) = driver() else { return };
    for (preset, columns, devices) in
        [("paper", 2, 1), ("paper", 2, 2), ("original", 2, 2), ("original", 4, 1), ("paper", 4, 4)]
    {
        let net = net(preset, columns, 64);
        let expected = train(CpuBackend::new(devices, 2).expect("threads"), &net, 64, 20);
        // SAFETY: a function of the stand-in.
        unsafe { seed(3) };
        let ordinals: Vec<usize> = (0..devices).collect();
        let ours = train(CudaBackend::new(&ordinals, &cache()).expect("devices"), &net, 64, 20);
        assert_same(&format!("{preset}, {columns} columns on {devices}"), &ours, &expected);
    }
}

#[test]
fn any_order_of_the_queue_gives_the_same_bits() {
    let Some((seed, _turn)) = driver() else { return };
    let net = net("original", 2, 64);
    let run = |number| {
        // SAFETY: a function of the stand-in.
        unsafe { seed(number) };
        train(CudaBackend::new(&[1, 0], &cache()).expect("devices"), &net, 64, 2)
    };
    let first = run(0);
    for number in 1..20 {
        let other = run(number);
        assert_eq!(other.parameters, first.parameters, "seed {number}");
        assert_eq!(other.losses, first.losses, "seed {number}");
    }
}

/// Exchanges without a pause: the next one, or a new value, must not overtake a copy that is still to come.
#[test]
fn exchanges_follow_each_other_at_once() {
    let Some((seed, _turn)) = driver() else { return };
    let (n, exchange) = (3usize, Exchange { parts: vec![5, 2, 4] });
    let count = exchange.parts.len();
    for number in 0..20 {
        // SAFETY: a function of the stand-in.
        unsafe { seed(number) };
        let mut b = CudaBackend::new(&[0, 1, 2], &cache()).expect("devices");
        let value = |device: usize, i: usize| (100 * device + i) as f32;
        let mut floats = |len: &dyn Fn(usize) -> usize| {
            (0..count).map(|d| b.floats(d, n * len(d)).expect("memory")).collect::<Vec<_>>()
        };
        let (mut parts, mut whole, mut again) =
            (floats(&|d| exchange.parts[d]), floats(&|_| 11), floats(&|_| 11));
        let mut sums = floats(&|d| exchange.parts[d]);
        for (d, part) in parts.iter_mut().enumerate() {
            let values: Vec<f32> = (0..n * exchange.parts[d]).map(|i| value(d, i)).collect();
            b.upload(d, &values, part, 0).expect("an upload");
        }
        b.gather(&exchange, n, &parts, &mut whole).expect("a gather");
        for (d, part) in parts.iter_mut().enumerate() {
            b.scale(d, n * exchange.parts[d], 2.0, part).expect("a launch");
        }
        b.gather(&exchange, n, &parts, &mut again).expect("a gather");
        b.reduce(&exchange, n, &whole, &mut sums).expect("a sum");
        b.reduce(&exchange, n, &again, &mut parts).expect("a sum");
        for d in 0..count {
            for (buffers, factor) in [(&whole, 1.0), (&again, 2.0)] {
                let mut ours = vec![0.0; n * 11];
                b.download(d, &buffers[d], 0, &mut ours).expect("a download");
                let row = |sample: usize| {
                    let part = |owner: usize| {
                        let length = exchange.parts[owner];
                        (0..length).map(move |i| factor * value(owner, sample * length + i))
                    };
                    (0..count).flat_map(part).collect::<Vec<_>>()
                };
                assert_eq!(ours, (0..n).flat_map(row).collect::<Vec<_>>(), "device {d}, seed {number}");
            }
            for (buffers, factor) in [(&sums, 3.0), (&parts, 6.0)] {
                let mut ours = vec![0.0; n * exchange.parts[d]];
                b.download(d, &buffers[d], 0, &mut ours).expect("a download");
                let expected: Vec<f32> = (0..ours.len()).map(|i| factor * value(d, i)).collect();
                assert_eq!(ours, expected, "sums of device {d}, seed {number}");
            }
        }
    }
}

/// The whole input of the paper, once through both ways.
#[test]
fn full_size_input() {
    let Some(_turn) = driver() else { return };
    let net = net("original", 2, 224);
    let expected = train(CpuBackend::new(2, 2).expect("threads"), &net, 224, 1);
    assert_same(
        "224",
        &train(CudaBackend::new(&[0, 1], &cache()).expect("devices"), &net, 224, 1),
        &expected,
    );
}

#[test]
fn a_device_that_is_not_there_is_an_error() {
    let Some(_turn) = driver() else { return };
    let error = CudaBackend::new(&[17], &cache()).map(drop).expect_err("there is no such device").to_string();
    assert!(error.contains("INVALID_DEVICE"), "{error}");
}
