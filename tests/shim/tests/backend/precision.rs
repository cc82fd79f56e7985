//! Products in TF32 and bfloat16: near float32, not equal to it, and the parameters' copy always theirs.

use alexnet_cuda::{CudaBackend, Precision};
use alexnet_net::{Network, Parameters};

use crate::runs::{BATCH, Trace, train};
use crate::{cache, driver, net};

fn backend(devices: &[usize], precision: Precision) -> CudaBackend {
    CudaBackend::new(devices, &cache()).expect("devices").with_precision(precision)
}

#[test]
fn twenty_steps_stay_within_two_percent_of_float32() {
    let Some((driver, _turn)) = driver() else { return };
    for (preset, columns, devices) in
        [("paper", 2, &[0][..]), ("original", 2, &[0, 1]), ("paper", 4, &[2, 0, 1, 3])]
    {
        let net = net(preset, columns, 64);
        driver.seed(5);
        let exact = train(backend(devices, Precision::F32), &net, 64, 20, 0);
        for (precision, least) in [(Precision::Tf32, 1e-7), (Precision::Bf16, 1e-6)] {
            let ours = train(backend(devices, precision), &net, 64, 20, 0);
            let off = ours.losses.iter().zip(&exact.losses).map(|(a, b)| (a / b - 1.0).abs());
            let worst = off.fold(0.0, f64::max);
            assert!(worst > least && worst < 0.02, "{preset} on {devices:?}, {precision}: {worst}");
            assert_eq!(ours.exchanged, exact.exchanged, "by plan");
            // Activations travel as they are kept; logits are float32 always.
            let half = precision == Precision::Bf16 && exact.sent > 0;
            assert_eq!(ours.sent < exact.sent, half, "{preset}: {} of {} B", ours.sent, exact.sent);
            assert!(2 * ours.sent >= exact.sent);
        }
    }
}

#[test]
fn any_order_of_the_queue_gives_the_same_bits_in_bfloat16() {
    let Some((driver, _turn)) = driver() else { return };
    let net = net("original", 2, 64);
    let run = |seed| -> Trace {
        driver.seed(seed);
        train(backend(&[1, 0], Precision::Bf16), &net, 64, 2, 0)
    };
    let first = run(0);
    for seed in 1..8 {
        assert_eq!(run(seed).parameters, first.parameters, "seed {seed}");
    }
}

/// Parameters that are put in, updates and a second network on the same memory each reach the products.
#[test]
fn the_copy_of_the_parameters_is_never_stale() {
    let Some((driver, _turn)) = driver() else { return };
    driver.seed(0);
    let net = net("paper", 2, 64);
    let pixels = vec![30.0; BATCH * 3 * 64 * 64];
    let [first, second] = [1, 2].map(|seed| Parameters::initial(&net, seed).expect("parameters"));
    let fresh = |parameters: &Parameters| {
        let mut network = Network::new(backend(&[0], Precision::Bf16), &net, BATCH).expect("a net");
        network.set_parameters(parameters).expect("an upload");
        network.probabilities(&pixels).expect("probabilities")
    };
    let mut network = Network::new(backend(&[0], Precision::Bf16), &net, BATCH).expect("a net");
    for parameters in [&first, &second, &first] {
        network.set_parameters(parameters).expect("an upload");
        assert_eq!(network.probabilities(&pixels).expect("probabilities"), fresh(parameters));
    }
    assert_ne!(fresh(&first), fresh(&second));
    // After updates the copy is what a new one of the same parameters would be.
    let rule = alexnet_net::UpdateRule::paper(1e-4, BATCH, network.parameter_table().len());
    for _ in 0..2 {
        network.train_batch(&pixels, &[1, 2, 3, 4], None).expect("a step");
        network.update(&rule).expect("an update");
    }
    let trained = network.parameters().expect("a download");
    assert_eq!(network.probabilities(&pixels).expect("probabilities"), fresh(&trained));
    assert_ne!(fresh(&trained), fresh(&first));
}
