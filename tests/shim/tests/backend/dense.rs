//! Dense layers whose biases cuBLASLt adds: the oracle's values, cuBLAS' where it cannot, and the same net as without it.

use crate::{cache, driver, net};
use alexnet_cuda::{Convolutions, CudaBackend, Precision};
use alexnet_net::conformance::{Case, check, check_coarsely};
use alexnet_net::{Backend, Dense, DropoutKey, Network, Parameters, UpdateRule};

const SPAN: &str = "matrix product, bias";

fn backend(precision: Precision, convolutions: Convolutions) -> CudaBackend {
    let open = CudaBackend::new(&[0], &cache()).expect("a device").with_precision(precision);
    open.with_convolutions(convolutions).expect("the stand-ins")
}

#[test]
fn biases_within_products_agree_with_the_oracle() {
    let Some((driver, _turn)) = driver() else { return };
    for precision in [Precision::F32, Precision::Bf16] {
        let check = if precision == Precision::F32 { check } else { check_coarsely };
        for (seed, (groups, inputs, outputs, n, fused)) in (0..).zip([
            (1, 64, 40, 3, true), // a bias that begins at a vector
            (1, 96, 10, 5, true), // outputs that are none
            (1, 8, 8, 1, true),
            (1, 9, 5, 2, false),   // a bias that begins anywhere
            (2, 64, 32, 4, false), // groups
        ]) {
            driver.seed(seed);
            let op = Dense { groups, inputs, outputs, rectify: seed % 2 == 0 };
            let mut backend = backend(precision, Convolutions::Library);
            // The choice is kept with the kernels, so only its first run tries anything.
            backend.reserve_dense(0, &op, n).expect("room");
            backend.start_profile();
            check(&mut backend, &Case::Dense(op, n), seed).expect("the oracle's values");
            let times = backend.profile().expect("times");
            let used = times.iter().filter(|time| time.kernel == SPAN).count();
            // Forward, and the gradient that is not added to another.
            assert_eq!(used, if fused { 2 } else { 0 }, "{op:?} in {precision}");
        }
    }
}

/// Losses of a few steps are those of cuBLAS and a kernel for the bias, to rounding; so are they where a gradient is added to.
#[test]
fn a_net_with_biases_within_products_trains_the_same() {
    let Some((driver, _turn)) = driver() else { return };
    driver.seed(2);
    let net = net("paper", 2, 64);
    let pixels: Vec<f32> = (0..4 * 3 * 64 * 64).map(|i| (i * 7919 % 251) as f32 - 125.0).collect();
    for (precision, tolerance) in [(Precision::F32, 1e-5), (Precision::Tf32, 1e-5), (Precision::Bf16, 5e-3)] {
        let run = |convolutions| {
            let mut network = Network::new(backend(precision, convolutions), &net, 4).expect("a net");
            network.set_parameters(&Parameters::initial(&net, 2).expect("parameters")).expect("an upload");
            let rule = UpdateRule::paper(1e-4, 4, network.parameter_table().len());
            network.backend_mut().start_profile();
            let mut losses = Vec::new();
            for step in 0..3 {
                for part in 0..2 {
                    let key = DropoutKey { seed: 1, epoch: 0, first_position: 8 * step + 4 * part };
                    network.train_batch(&pixels, &[1, 2, 3, 9], Some(key)).expect("a step");
                    losses.push(network.score().expect("a score").loss_sum);
                }
                network.update(&rule).expect("an update");
            }
            let times = network.backend_mut().profile().expect("times");
            (losses, times.iter().filter(|time| time.kernel == SPAN).count())
        };
        let ((ours, fused), (theirs, none)) = (run(Convolutions::Library), run(Convolutions::Own));
        // Three layers: each batch forward, and the first of every two backward.
        assert_eq!((fused, none), (3 * (6 + 3), 0), "{precision}");
        for (a, b) in ours.iter().zip(&theirs) {
            assert!((a / b - 1.0).abs() <= tolerance, "{precision}: {ours:?}, expected {theirs:?}");
        }
    }
}
